// Package modemtest is the one simulated modem behind the demo, the tests and
// hands-on use. It plays a scenario file: what a modem of some make answers,
// and what happens to it over time (the card is pulled, the network refuses,
// the line goes mute, the port vanishes).
//
// The Player is pure: bytes and a time go in, bytes with their times come out;
// the same scenario and seed always give the same bytes. Around it stand thin
// shells: Pipe (in memory, for tests under testing/synctest), PTY (a real
// pseudo terminal) and Serve (any io.ReadWriter). A scenario test that needs
// no bytes asks the Player whole commands with Ask and Unsolicited.
//
// It simulates the AT port only. It moves no user data, knows nothing of the
// agent, and claims no more of a modem than the commands in commands.go: any
// other command gets ERROR, as on a real modem.
//
// # Scenario files
//
// A scenario is a txtar file. Text before the first section is its heading.
//
//	SIM pulled while online.
//	-- device --
//	manufacturer Quectel
//	carrier      460-00
//	-- modem --
//	reg home
//	+QSIMSTAT? -> +QSIMSTAT: 1,1 | OK
//	-- script --
//	30s  sim absent
//	30s  +QSIMSTAT? -> +QSIMSTAT: 1,0 | OK
//	2m   sim ready
//
// A reply line reads "command [options] -> line | line". The command is given
// without AT and matches without regard to case and blanks; a trailing *
// matches any tail. The last reply given for a command wins, over earlier ones
// and over the settings. "silence" instead of lines means that no answer ever
// comes. A following line "then -> ..." is the answer to the next time the
// command is asked; the last one stays. In answers \r \n \t \\ \| and \xHH
// stand for those bytes. Options:
//
//	[after 30s]           the answer takes that long
//	[split 3]             the answer leaves in pieces of 3 bytes
//	[urc-inside +CREG: 1] this line comes between the lines of the answer
//	[prompt]              first "> ", then text up to Ctrl-Z, then the answer
//
// Every other line of the modem and script sections is a setting or an event;
// Settings lists them. A script line begins with its time from the scenario's
// start: a Go duration, with d for days, as in "26d6h". After the time,
// "every 10m" repeats the line for ever and "every 10m until 2h" up to that
// time. A line that begins with "# " is a comment.
//
// Sections other than device, modem and script are kept as they are, for the
// packages that understand them.
package modemtest
