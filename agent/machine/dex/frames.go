package dex

import (
	"fmt"

	"cellwarden/agent/machine/crc16"
)

// The control characters (EVA-DTS 6.2 §4.4).
const (
	soh = 0x01
	stx = 0x02
	etx = 0x03
	eot = 0x04
	enq = 0x05
	dle = 0x10
	nak = 0x15
	syn = 0x16
	etb = 0x17
)

// An Out is a frame that may be sent. There is no other.
type Out uint8

// The frames of a read.
const (
	SendENQ    Out = iota + 1 // begins a handshake, and asks for the last answer again
	SendACK0                  // DLE 0
	SendACK1                  // DLE 1
	SendEOT                   // ends a handshake
	SendNAK                   // the block came damaged
	SendWACK                  // DLE ; : wait, the audit is being kept
	SendRead                  // first handshake as master: operation R, read
	SendAccept                // second handshake as master: response 00, go on
)

// Revision is what a Session says of the standard it speaks.
type Revision string

// The two that machines know.
const (
	Rev6 Revision = "R00L06"
	Rev1 Revision = "R01L01"
)

// ID names us to the machine: 10 characters, three letters and seven digits.
type ID string

// DefaultID is used where the config gives none.
const DefaultID ID = "CWD0000001"

// Check refuses an ID that would not be one.
func (id ID) Check() error {
	if len(id) != idLen {
		return fmt.Errorf("%q has %d characters; a DEX id has %d, three letters and seven digits", string(id), len(id), idLen)
	}
	for i := range len(id) {
		c := id[i]
		if letter := c >= 'A' && c <= 'Z'; i < 3 && !letter || i >= 3 && (c < '0' || c > '9') {
			return fmt.Errorf("%q: a DEX id is three letters A-Z and seven digits", string(id))
		}
	}
	return nil
}

const idLen = 10

// Bytes is the frame as it goes over the line. An Out that is none gives nothing.
func (o Out) Bytes(id ID, rev Revision) []byte {
	switch o {
	case SendENQ:
		return []byte{enq}
	case SendACK0:
		return []byte{dle, '0'}
	case SendACK1:
		return []byte{dle, '1'}
	case SendEOT:
		return []byte{eot}
	case SendNAK:
		return []byte{nak}
	case SendWACK:
		return []byte{dle, ';'}
	case SendRead:
		return header(string(id) + "R" + string(rev))
	case SendAccept:
		return header("00" + string(id) + string(rev))
	}
	return nil
}

func (o Out) String() string {
	names := [...]string{"", "ENQ", "DLE 0", "DLE 1", "EOT", "NAK", "WACK", "read", "accept"}
	if int(o) < len(names) {
		return names[o]
	}
	return ""
}

// header frames text: the checksum counts the bytes after SOH with ETX, and no DLE.
func header(text string) []byte {
	crc := crc16.Add(crc16.String(0, text), etx)
	return append(append([]byte{dle, soh}, text...), dle, etx, byte(crc), byte(crc>>8))
}
