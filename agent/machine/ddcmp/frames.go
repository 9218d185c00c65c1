// Package ddcmp reads an audit over DDCMP (EVA-DTS 6.2 §3 and §6) as the primary
// station, at 2400 baud. It asks for list 2, the security read, which clears nothing
// in the machine; list 1, which does, cannot be said, nor can any write. It is pure:
// bytes and time go in, frames to send, an audit to keep and an end come out.
//
// A session goes through these states:
//
//	starting --STACK--> who --88 E0--> reading --88 E2--> receiving
//	receiving --last block--> keeping --kept--> finishing --ACK--> over
package ddcmp

import (
	"time"

	"cellwarden/agent/machine/crc16"
)

// Baud is the rate of the line. A machine may offer more; 1.6 KB take 23 s at this
// one, which is good enough for a read or two a day.
const Baud = 2400

// station is the address of a point to point line, the only one that old devices
// answer to.
const station = 0x01

// The bytes that begin a message, and its types.
const (
	control  = 0x05
	dataHead = 0x81
	typeACK  = 0x01
	typeNACK = 0x02
	typeGo   = 0x06 // START
	typeBack = 0x07 // STACK
	flags    = 0x40
	selected = 0x80 // the last block of what is sent
)

// Reasons of a NACK (§3.5).
const (
	badHeader = 1
	badData   = 2
	tooLong   = 16
)

// An Out is a message that may be sent. There is no other: no write, no delete, no
// programming, no list but the second.
type Out uint8

// The messages of a read.
const (
	SendStart Out = iota + 1
	SendACK
	SendNACK
	SendWho    // who are you: opens the read
	SendRead   // read list 2
	SendFinish // the end
)

func (o Out) String() string {
	names := [...]string{"", "START", "ACK", "NACK", "who are you", "read list 2", "finish"}
	if int(o) < len(names) {
		return names[o]
	}
	return ""
}

// Codes are what the operator set in his machines. A machine that has none stores the
// first that is not zero and locks all others out (§6.1.6): so zero is what is sent
// unless the config says otherwise.
type Codes struct {
	Security, Pass uint16 // four digits each, BCD: 0x1234
}

// message is an Out with the numbers that it needs.
type message struct {
	out    Out
	reason byte // of a NACK
	rr, xx byte // last received, own number
	codes  Codes
	at     time.Time // of SendWho
}

// bytes is the message as it goes over the line.
func (m message) bytes() []byte {
	short := func(kind, flag, rr byte) []byte {
		b := []byte{control, kind, flag, rr, 0, station}
		return sum(b)
	}
	switch m.out {
	case SendStart: // the rate 0: stay
		return short(typeGo, flags, 0)
	case SendACK:
		return short(typeACK, flags, m.rr)
	case SendNACK:
		return short(typeNACK, flags|m.reason, m.rr)
	case SendWho:
		c, t := m.codes, m.at
		return m.data(0x77, 0xE0, 0, byte(c.Security>>8), byte(c.Security), byte(c.Pass>>8), byte(c.Pass),
			bcd(t.Day()), bcd(int(t.Month())), bcd(t.Year()%100), bcd(t.Hour()), bcd(t.Minute()), bcd(t.Second()), 0, 0, 0x0C)
	case SendRead: // list 2, record 1, from its begin, all of it
		return m.data(0x77, 0xE2, 0, 2, 1, 0, 0, 0, 0)
	case SendFinish:
		return m.data(0x77, 0xFF)
	}
	return nil
}

// data frames a data message.
func (m message) data(text ...byte) []byte {
	head := sum([]byte{dataHead, byte(len(text)), flags, m.rr, m.xx, station})
	return append(head, sum(text)...)
}

// sum puts the checksum behind b, low byte first.
func sum(b []byte) []byte {
	c := crc16.Sum(0, b)
	return append(b, byte(c), byte(c>>8))
}

func bcd(n int) byte { return byte(n/10<<4 | n%10) }
