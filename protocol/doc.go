// Package protocol defines what crosses the wire between a device and its
// backend: topics, messages, their JSON, batches and signed commands. It is
// pure (no clock, no I/O), imports nothing of ours, and is all that a backend
// written in Go needs to import; REFERENCE.md is for the others.
//
// Up, a backend calls DecodePublish for what arrives on a device's data topics
// and DecodeStatus for its status topic. Down, it calls SignCommand and
// MarshalCommand. A device calls the opposite halves.
//
// It does not move a byte: agent/uplink does.
package protocol
