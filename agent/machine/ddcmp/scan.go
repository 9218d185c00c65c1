package ddcmp

import "cellwarden/agent/machine/crc16"

// headLen is a header with its checksum.
const headLen = 8

// maxData is the most that a data message may have; machines send 256.
const maxData = 2048

// kind is what came.
type kind uint8

const (
	gotStack kind = iota + 1
	gotACK
	gotNACK
	gotData
	gotBad // something damaged; reason says how
)

type token struct {
	kind   kind
	rr, xx byte
	last   bool
	reason byte
	data   []byte
}

// scanner takes bytes apart, however they are cut.
type scanner struct {
	buf  []byte
	need int // of a data message, header included; 0 while the header comes
}

func (s *scanner) partial() bool { return len(s.buf) > 0 }

func (s *scanner) reset() { s.buf, s.need = s.buf[:0], 0 }

// feed takes one byte; ok says that it ended something.
func (s *scanner) feed(b byte) (t token, ok bool) {
	if len(s.buf) == 0 && b != control && b != dataHead {
		return token{}, false // noise
	}
	s.buf = append(s.buf, b)
	switch {
	case s.need > 0:
		if len(s.buf) < s.need {
			return token{}, false
		}
		return s.whole(), true
	case len(s.buf) < headLen:
		return token{}, false
	}
	h := s.buf
	if crc16.Sum(0, h[:6]) != uint16(h[6])|uint16(h[7])<<8 {
		s.reset()
		return token{kind: gotBad, reason: badHeader}, true
	}
	if h[0] == control {
		t := token{rr: h[3], xx: h[4]}
		switch h[1] {
		case typeBack:
			t.kind = gotStack
		case typeACK:
			t.kind = gotACK
		case typeNACK:
			t.kind, t.reason = gotNACK, h[2]&^flags
		}
		s.reset()
		return t, t.kind != 0
	}
	size := int(h[2]&0x3f)<<8 | int(h[1])
	if size > maxData {
		s.reset()
		return token{kind: gotBad, reason: tooLong}, true
	}
	s.need = headLen + size + 2
	return token{}, false
}

// whole ends a data message.
func (s *scanner) whole() token {
	h, text := s.buf[:headLen], s.buf[headLen:s.need-2]
	t := token{kind: gotData, rr: h[3], xx: h[4], last: h[2]&selected != 0, data: append([]byte(nil), text...)}
	if crc16.Sum(0, text) != uint16(s.buf[s.need-2])|uint16(s.buf[s.need-1])<<8 {
		t = token{kind: gotBad, reason: badData}
	}
	s.reset()
	return t
}
