package mdb

import "time"

// Tap takes the bytes of a serial port that listens to both lines of the bus in one
// (9600 baud, space parity, PARMRK), and gives frames. The ninth bit, which the
// driver marks, is set on the master's address byte and on a peripheral's last byte;
// with the checksums that tells where a block ends, so no gap has to be measured: USB
// bridges deliver in lumps of 1 to 16 ms.
type Tap struct {
	Bad int // bytes that made no frame

	esc     uint8 // of the driver's marks: 1 after FF, 2 after FF 00
	buf     []byte
	modes   []bool
	started bool // buf begins with an address byte of the master's
	confirm bool // a peripheral's block is whole: the master's word follows
}

// maxBlock is the longest exchange: a block of 36 bytes either way, and a word.
const maxExchange = 80

// Feed takes what the port gave, at one moment.
func (t *Tap) Feed(at time.Duration, got []byte) []Frame {
	var out []Frame
	for _, b := range got {
		switch {
		case t.esc == 0 && b == 0xff:
			t.esc = 1
		case t.esc == 1 && b == 0xff:
			t.esc = 0
			out = t.byte(out, at, 0xff, false)
		case t.esc == 1 && b == 0x00:
			t.esc = 2
		case t.esc == 1: // a mark that is none
			t.esc = 0
			t.Bad++
		case t.esc == 2:
			t.esc = 0
			out = t.byte(out, at, b, true)
		default:
			out = t.byte(out, at, b, false)
		}
	}
	return out
}

// byte takes one byte of the bus with its mode bit.
func (t *Tap) byte(out []Frame, at time.Duration, b byte, mode bool) []Frame {
	if !mode {
		if t.confirm {
			t.confirm = false
			if w, ok := answerWord(b); ok {
				return append(out, Frame{At: at, Master: true, Word: w})
			}
		}
		if !t.started {
			t.Bad++
			return out
		}
		if len(t.buf) >= maxExchange {
			t.drop()
			return out
		}
		t.buf = append(t.buf, b)
		return out
	}
	t.confirm = false
	if t.started {
		whole := append(t.buf, b)
		if k, ok := split(whole); ok { // the end of a peripheral's answer
			out = append(out, master(at, whole[:k]))
			slave := whole[k+1:]
			t.buf, t.started = t.buf[:0], false
			if len(slave) == 1 {
				w := ACK
				if slave[0] == 0xff {
					w = NAK
				}
				return append(out, Frame{At: at, Word: w})
			}
			t.confirm = true
			return append(out, Frame{At: at, Data: clone(slave[:len(slave)-1])})
		}
		if k, ok := alone(t.buf); ok { // nobody answered
			out = append(out, master(at, t.buf[:k]))
		} else {
			t.Bad += len(t.buf)
		}
	}
	t.buf = append(t.buf[:0], b)
	t.started = true
	return out
}

func (t *Tap) drop() {
	t.Bad += len(t.buf)
	t.buf, t.started = t.buf[:0], false
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// master is the frame of a block without its checksum.
func master(at time.Duration, b []byte) Frame {
	return Frame{At: at, Master: true, Cmd: b[0], Data: clone(b[1:])}
}

func answerWord(b byte) (Word, bool) {
	switch b {
	case 0x00:
		return ACK, true
	case 0xaa:
		return RET, true
	case 0xff:
		return NAK, true
	}
	return 0, false
}

// sumOf is the checksum of a block: all bytes before it, added up.
func sumOf(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// split finds where the master's block ends in an exchange whose last byte ends the
// peripheral's: k is the place of the master's checksum. Both checksums must fit.
func split(b []byte) (k int, ok bool) {
	for k := 1; k < len(b)-1; k++ {
		if sumOf(b[:k]) != b[k] {
			continue
		}
		slave := b[k+1:]
		if len(slave) == 1 && (slave[0] == 0x00 || slave[0] == 0xff) {
			return k, true
		}
		if len(slave) > 1 && sumOf(slave[:len(slave)-1]) == slave[len(slave)-1] {
			return k, true
		}
	}
	return 0, false
}

// alone finds the end of a block that got no answer.
func alone(b []byte) (k int, ok bool) {
	if n := len(b) - 1; n >= 1 && sumOf(b[:n]) == b[n] {
		return n, true
	}
	return 0, false
}
