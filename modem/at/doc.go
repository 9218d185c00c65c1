// Package at keeps commands and replies in step on one serial line.
//
// It is a line discipline: an io.ReadWriter that stands between a port and the
// engine of github.com/warthog618/modem/at, which is unsafe alone. After a
// timeout that engine takes the late answer for the next command's, for ever
// after, and it credits an unsolicited line to whatever reply it falls into.
// Here one goroutine owns the port's reader, knows the command in flight from
// what was written, hands the engine only the lines that answer it and exactly
// one final result in a form that the engine knows, and sends every other line,
// stamped on arrival, to one ordered and bounded queue.
//
// # States of the line
//
//	unproven --prove ok--> in step --timeout, reboot, stray final--> unproven
//	unproven --no step within ResyncBound--> lost
//	any      --write blocked, read error, Close--> lost
//
// A line starts unproven. The next Command after a fault first proves step: it
// waits for quiet, sends a bare AT, and then a marker: a read command whose
// answer carries a prefix that no outstanding answer can carry. A modem answers
// in the order it was asked, so once the marker's own answer is seen nothing
// older can follow. A lost line stays lost: its owner re-opens the port.
//
// The package does not parse what a modem says (package threegpp does), does
// not decide what to ask (package modem does), and never sends ATZ, which would
// reset the user's settings.
package at
