// Package mdb listens to the payment bus (MDB/ICP 4.2) and says what it heard: vends
// asked for, approved, delivered or failed, coins and notes in, tubes, faults,
// silence. It is pure: frames and time in, Events out. It sends nothing; the two
// adapters that it reads are a sniffer that prints lines (Sniffer) and a direct tap
// of the line (Tap).
//
// A sale is told once. A vend goes through these states, for each reader:
//
//	idle --13 00--> asked --05 approved--> approved --13 02--> sold
//	approved --13 03--> failed (the money goes back)
//	approved --reset--> sold, inferred (MDB 4.2 §7.4.2: a reset counts as success)
//	any --13 05--> a cash sale that the machine reports by itself
//
// What a peripheral says counts only once the master acknowledged it: after NAK, RET
// or silence it will say it again (§2.4). Without the SETUP of a device its scale is
// not known, and amounts stay raw.
package mdb
