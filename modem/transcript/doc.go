// Package transcript reads what technicians have of a modem: terminal captures,
// serial logs with time stamps, arrows and written-out line ends, hex dumps, chat
// and pppd logs, and the output of host tools. It turns them into commands with
// their answers, unsolicited lines, and (of host tools) typed facts. It is pure:
// bytes in, a value out. It knows forms, and nothing of what a fact means.
//
// Two tables hold what differs: wrappers (what stands around a modem's line) and
// host (what a tool's line tells). A line that no row knows is passed over where
// it is plain text, and listed as not read where it looks like a modem's.
package transcript
