// Package at keeps commands and replies in step on one serial line.
//
// It is a line discipline: an io.ReadWriter that stands between a port
// (go.bug.st/serial, see Port) and the engine of
// github.com/warthog618/modem/at.
//
// The engine drives the dialogue: it writes the command, waits for the answer until the
// time is up, gathers its lines, passes over the echo, answers the prompt of a message
// with the text and leaves that text with ESC when it must; what it returns is what a
// Command returns. The discipline decides what the engine sees. One goroutine owns the
// port's reader, knows the command in flight from what the engine wrote, and hands on
// only the lines that answer it and exactly one final result in a form that the engine
// knows. Every other line goes, stamped on arrival, to one ordered and bounded queue.
//
// # What the engine cannot do alone
//
// Seen with v0.4.0, and held by tests of these names that would tell of a change:
//
//   - After a timeout it takes the late answer for the next command's, for ever after
//     (TestEngineAloneTakesALateAnswer). Here the line proves step first.
//   - It credits an unsolicited line to the reply that it falls into, beside its handler
//     (TestEngineAloneGivesAURCTwice), and runs each handler in a goroutine of its own,
//     so that their order is lost (TestEngineAloneRunsHandlersSideBySide). So its
//     indications are not used: the queue here takes their place.
//   - It knows OK, ERROR and +CME/+CMS ERROR. Another final result goes to it as a line
//     of the answer before one of these.
//
// Its package gsm is not used: it speaks to the engine past the proof of step, and takes
// messages by the engine's indications. Messages are coded with warthog618/sms.
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
