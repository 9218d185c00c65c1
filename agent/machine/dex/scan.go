package dex

import "cellwarden/agent/machine/crc16"

// kind is what a token is.
type kind uint8

const (
	gotENQ kind = iota + 1
	gotEOT
	gotNAK
	gotACK0
	gotACK1
	gotWACK
	gotHeader // a whole SOH block
	gotBlock  // a whole STX block with more to come
	gotLast   // a whole STX block that ends the data
	gotBad    // a block that came damaged
)

// token is one thing that the machine sent.
type token struct {
	kind kind
	data []byte // of a block, without its frame
}

// maxBlock is what one block may have. The standard's is 245 bytes with its end;
// twice that and some is taken, for blocks are not always counted alike.
const maxBlock = 512

// scanner takes bytes apart, however they are cut. Noise between tokens is counted
// and passed over, DLE SYN (filler) skipped anywhere.
type scanner struct {
	inBlock bool
	dle     bool
	head    byte // soh or stx
	bad     bool // of the block
	data    []byte
	crc     uint16
	end     byte // etx or etb once seen
	tail    int  // bytes of the checksum still to come
	sum     uint16
	noise   int
}

// reset forgets a block that was begun.
func (s *scanner) reset() { *s = scanner{noise: s.noise, data: s.data[:0]} }

// partial reports whether a block was begun and not ended.
func (s *scanner) partial() bool { return s.inBlock || s.dle }

// feed takes one byte; ok says that it ended a token. The data of a token is valid
// until the next call.
func (s *scanner) feed(b byte) (t token, ok bool) {
	switch {
	case s.tail > 0:
		s.sum |= uint16(b) << (8 * (2 - s.tail))
		if s.tail--; s.tail > 0 {
			return token{}, false
		}
		return s.whole(), true
	case s.inBlock:
		return s.inside(b)
	case s.dle:
		s.dle = false
		switch b {
		case '0':
			return token{kind: gotACK0}, true
		case '1':
			return token{kind: gotACK1}, true
		case ';':
			return token{kind: gotWACK}, true
		case soh, stx:
			s.reset()
			s.inBlock, s.head = true, b
		case syn:
		case dle:
			s.dle = true
		case enq: // half a DLE before it was noise
			s.noise++
			return token{kind: gotENQ}, true
		default:
			s.noise += 2
		}
		return token{}, false
	}
	switch b {
	case dle:
		s.dle = true
	case enq:
		return token{kind: gotENQ}, true
	case eot:
		return token{kind: gotEOT}, true
	case nak:
		return token{kind: gotNAK}, true
	case syn:
	default:
		s.noise++
	}
	return token{}, false
}

// inside takes a byte of a block. There is no DLE in its data, so each begins an end
// or a filler.
func (s *scanner) inside(b byte) (token, bool) {
	if s.dle {
		s.dle = false
		switch b {
		case etx, etb:
			s.crc = crc16.Add(s.crc, b)
			s.end, s.tail, s.sum = b, 2, 0
		case syn:
		case soh, stx: // the block began anew: what was of it before is lost
			s.reset()
			s.inBlock, s.head = true, b
		default:
			s.bad = true
		}
		return token{}, false
	}
	if b == dle {
		s.dle = true
		return token{}, false
	}
	s.crc = crc16.Add(s.crc, b)
	if len(s.data) >= maxBlock {
		s.bad = true
		return token{}, false
	}
	s.data = append(s.data, b)
	return token{}, false
}

// whole ends a block.
func (s *scanner) whole() token {
	t := token{kind: gotBad, data: s.data}
	if !s.bad && s.sum == s.crc {
		switch {
		case s.head == soh && s.end == etx:
			t.kind = gotHeader
		case s.head == stx && s.end == etb:
			t.kind = gotBlock
		case s.head == stx:
			t.kind = gotLast
		}
	}
	s.inBlock, s.dle, s.crc, s.bad = false, false, 0, false
	return t
}
