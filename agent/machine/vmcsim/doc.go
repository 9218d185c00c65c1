// Package vmcsim is a vending machine's control board at the other end of the line:
// it speaks DEX as slave and as master and DDCMP as slave, over any io.ReadWriter (a
// pipe in tests, a pseudo terminal for the whole agent), with the faults that real
// ones show. In its AUTO state it clears what a successful read clears.
//
// It is written from EVA-DTS 6.2 and shares no code with the readers, so that the
// two check each other. It is never part of the agent.
package vmcsim
