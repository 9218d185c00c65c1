// Package protocol defines what crosses the wire between a device and its
// backend: topics, messages and their JSON. It is pure, imports nothing of
// ours, and is all that a backend written in Go needs to import.
package protocol
