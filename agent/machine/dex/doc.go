// Package dex reads an audit over DEX/UCS (EVA-DTS 6.2 §4): it is the data carrier
// in both roles. It is pure: bytes and the passing of time go in, frames to send,
// an audit to keep and an end come out (Session). A worker owns the port.
//
// It cannot write to a machine: an Out is one of eight frames, all of a read, and
// nothing else becomes bytes. A read is not harmless all the same: a machine in its
// AUTO state clears its interval counters and finished events once the read has
// succeeded (§2.6.1), so the audit is kept (Store, Stored) before the last block is
// acknowledged, and whoever starts a Session has asked for consent.
//
// A session goes through these states:
//
//	listening --silence--> calling --DLE 0--> asking --DLE 1--> waiting for the second handshake
//	listening --ENQ--> being asked --frame, EOT--> answering --DLE 1--> waiting for data
//	waiting --ENQ--> receiving --last block--> keeping --kept--> over
package dex
