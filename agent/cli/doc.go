// Package cli is the command line of cellwarden: the table of verbs, their
// flags and exit codes, and the text that a technician reads on a serial
// console of 80 columns and 24 rows.
//
// It asks a running daemon through localapi and lays out what package view
// says. It judges nothing, opens no modem and holds no configuration: verbs
// that other packages own (run, explain, profiles, config, diagnose --direct)
// are Hooks.
//
// For programs: --json on every reading verb, and "usage --csv" with the columns
//
//	from,total_bytes,own_bytes,used_bytes,quota_bytes,rx_bytes,tx_bytes
//
// one row an hour, day or cycle (--by), oldest first. total_bytes is both
// directions as the interface counts, own_bytes the agent's share of it;
// used_bytes, the operator's count, and quota_bytes are of cycles only.
//
// Exit codes: 0 healthy or done, 1 failed, 3 a fault was found, 4 an event was
// not kept and may be tried again.
package cli
