// Package machine is the judgement over the machine itself: audits and what the
// payment bus says go in; sales, windows and notices that a person acts on come out.
// It is pure, as the core is: events in, effects out. It reads no port (package line
// does) and sends nothing.
//
// Three sources count the same vends: the bus, the audits, the machine's own
// software. They are compared and never added: what is sold today is said by the one
// that sees single sales, if there is one, else by the audits.
//
// Every notice says how it is known: reported (the machine says so), derived (computed
// from what it says) or inferred (from this machine's habit).
package machine
