// Package cli is the command line of cellwarden: the table of verbs, their
// flags and exit codes, and the text that a technician reads on a serial
// console of 80 columns and 24 rows.
//
// It asks a running daemon through localapi and lays out what package view
// says. It judges nothing, opens no modem and holds no configuration: verbs
// that other packages own (run, explain, profiles, config, diagnose --direct)
// are Hooks.
//
// Exit codes: 0 healthy or done, 1 failed, 3 a fault was found, 4 an event was
// not kept and may be tried again.
package cli
