package mdb

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A SnifferOut is a line that may be sent to the sniffer (Qibixx MDB-USB, Pi Hat).
// There is no other: the same adapter can play a reader and move money.
type SnifferOut uint8

// The lines.
const (
	AskVersion SnifferOut = iota + 1 // V
	StartSniff                       // X,1
	StopSniff                        // X,0
)

// Bytes is the line as it goes to the adapter. A SnifferOut that is none gives nothing.
func (o SnifferOut) Bytes() []byte {
	switch o {
	case AskVersion:
		return []byte("V\n")
	case StartSniff:
		return []byte("X,1\n")
	case StopSniff:
		return []byte("X,0\n")
	}
	return nil
}

// maxLine is the longest line that is looked at: a block has 36 bytes.
const maxLine = 160

// tick is the unit of the sniffer's clock.
const tick = 100 * time.Microsecond

// reorder is how long a frame waits for an older one: the sniffer's lines may be off
// by some milliseconds.
const reorder = 50 * time.Millisecond

// maxHeld bounds what waits.
const maxHeld = 64

// Sniffer reads the lines of the adapter and gives frames in order.
type Sniffer struct {
	Version string // as the adapter said it
	Bad     int    // lines that could not be read
	Errors  int    // frames that the adapter calls faulty

	line []byte
	long bool
	held []Frame
	last int64 // of the adapter's clock
	base time.Duration
}

// Feed takes bytes, however they are cut, and gives the frames that are due.
func (s *Sniffer) Feed(got []byte) []Frame {
	var out []Frame
	for _, b := range got {
		if b != '\n' && b != '\r' {
			if len(s.line) < maxLine {
				s.line = append(s.line, b)
			} else {
				s.long = true
			}
			continue
		}
		if len(s.line) > 0 {
			if s.long {
				s.Bad++
			} else {
				out = append(out, s.take(string(s.line))...)
			}
		}
		s.line, s.long = s.line[:0], false
	}
	return out
}

// Flush gives what still waits: nothing older will come.
func (s *Sniffer) Flush() []Frame {
	out := s.held
	s.held = nil
	return out
}

// take reads one line.
func (s *Sniffer) take(line string) []Frame {
	switch {
	case strings.HasPrefix(line, "x,ACK"):
		return nil
	case strings.HasPrefix(line, "v,"):
		s.Version = strings.TrimPrefix(line, "v,")
		return nil
	case !strings.HasPrefix(line, "x,"):
		return nil // of another service of the adapter
	}
	f, faulty, err := s.frame(line)
	if err != nil {
		s.Bad++
		return nil
	}
	if faulty {
		s.Errors++
		return nil
	}
	at := len(s.held)
	for at > 0 && s.held[at-1].At > f.At {
		at--
	}
	s.held = slices.Insert(s.held, at, f)
	var out []Frame
	newest := s.held[len(s.held)-1].At
	for len(s.held) > 0 && (newest-s.held[0].At > reorder || len(s.held) > maxHeld) {
		out = append(out, s.held[0])
		s.held = s.held[1:]
	}
	return out
}

// frame reads x,aa,tttttttttt,yy,data: aa is 0x of the master and 8x of a peripheral,
// its low bits an error; t counts 0.1 ms; yy is the master's command byte; data is hex
// without checksum, or ACK, NAK, RET.
func (s *Sniffer) frame(line string) (f Frame, faulty bool, err error) {
	part := strings.Split(line, ",")
	if len(part) < 4 || len(part) > 5 {
		return f, false, fmt.Errorf("%d fields", len(part))
	}
	aa, err := strconv.ParseUint(part[1], 16, 8)
	if err != nil {
		return f, false, err
	}
	t, err := strconv.ParseInt(part[2], 10, 64)
	if err != nil || t < 0 {
		return f, false, fmt.Errorf("time %q", part[2])
	}
	f.Master = aa&0x80 == 0
	if aa&0x7f != 0 {
		return f, true, nil
	}
	// The adapter was started anew, or its clock went over its end.
	if s.last-t > int64(time.Minute/tick) {
		s.base += time.Duration(s.last-t)*tick + tick
	}
	s.last = t
	f.At = s.base + time.Duration(t)*tick
	data, cmd := part[len(part)-1], ""
	if len(part) == 5 {
		cmd = part[3]
	}
	switch strings.ToUpper(data) {
	case "ACK":
		f.Word = ACK
		return f, false, nil
	case "NAK", "NACK":
		f.Word = NAK
		return f, false, nil
	case "RET":
		f.Word = RET
		return f, false, nil
	}
	if f.Data, err = hex.DecodeString(data); err != nil {
		return f, false, err
	}
	if !f.Master {
		return f, false, nil
	}
	if cmd == "" {
		if len(f.Data) == 0 {
			return f, false, fmt.Errorf("no command")
		}
		f.Cmd, f.Data = f.Data[0], f.Data[1:]
		return f, false, nil
	}
	c, err := strconv.ParseUint(cmd, 16, 8)
	f.Cmd = byte(c)
	return f, false, err
}
