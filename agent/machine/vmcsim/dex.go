package vmcsim

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Faults are what goes wrong on the line or in the machine. The zero value is a
// machine without fault. Counts say how often.
type Faults struct {
	Noise      string        // sent at plug-in, before anything else
	Collide    bool          // the machine calls in the moment in which it is called
	RefuseRev  string        // a revision that is answered with response 02
	Code       string        // the response of the second handshake, instead of 00
	CodeAfter  bool          // the response stands behind the ID, as in the printed example
	WACK       int           // answers of "wait" before DLE 0
	Filler     bool          // DLE SYN inside and between blocks
	Late       time.Duration // before each answer
	Build      time.Duration // before the data
	Split      bool          // each byte by itself
	Glue       bool          // the end of a phase and the next call in one write
	LoseAck    int           // answers to blocks that do not arrive: the machine asks again
	Resend     int           // the same, but it sends the block again
	DupENQ     bool          // each call twice
	BadCRC     int           // blocks that come damaged; below 0: all
	NoEOT      bool          // a phase ends without EOT
	UnplugAt   int           // after so many frames of the machine the plug is pulled; 0 never
	Flood      bool          // blocks without end
	Silent     bool          // it says nothing
	Mute       int           // calls to it that stay without an answer
	Ask        byte          // the operation that it asks for as master, instead of 'S'
	BlockBytes int           // of text in a block; 0 is 200
}

// DEX is the machine's side of the jack.
type DEX struct {
	Board  *Board
	Master bool // it calls first
	Faults Faults
	ID     string // its communication id, 10 characters
	// Sent is called after each frame of the machine, with its number; nil: nobody asks.
	Sent func(frame int)

	line *line
	sent int
	held string // an end that goes with the next call
}

// The control bytes.
const (
	cENQ, cEOT, cNAK, cDLE  = "\x05", "\x04", "\x15", "\x10"
	cSOH, cSTX, cETX, cETB  = "\x01", "\x02", "\x03", "\x17"
	dle0, dle1, wack, cFill = "\x100", "\x101", "\x10;", "\x10\x16"
)

// Serve plays one session after the other on rw until the wire is gone or the plug
// is pulled (errUnplugged is no error then). Reads of rw must end when it is closed.
func (d *DEX) Serve(rw io.ReadWriter) error {
	d.line = newLine(rw)
	if d.Faults.Noise != "" {
		if err := d.put(d.Faults.Noise); err != nil {
			return err
		}
	}
	for {
		var err error
		if d.Master {
			err = d.master()
		} else {
			err = d.slave()
		}
		switch {
		case err == nil, errors.Is(err, errQuiet), errors.Is(err, errBroken):
			d.line.drop()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, errUnplugged):
			return nil
		default:
			return err
		}
	}
}

// Recorded is every byte that came to the machine.
func (d *DEX) Recorded() []byte { return d.line.recorded() }

// Frames is how many frames the machine has sent.
func (d *DEX) Frames() int { return d.sent }

// errBroken: the other side did not go on as the standard says.
var errBroken = errors.New("the session broke")

// put sends one frame, with the faults that concern any.
func (d *DEX) put(frame string) error {
	if d.Faults.Late > 0 && frame != d.Faults.Noise {
		time.Sleep(d.Faults.Late)
	}
	if d.Faults.Glue && frame == cEOT {
		d.held, d.sent = cEOT, d.sent+1
		return nil
	}
	frame, d.held = d.held+frame, ""
	if d.Faults.Filler && len(frame) > 4 {
		frame = cFill + frame[:4] + cFill + frame[4:]
	}
	parts := []string{frame}
	if d.Faults.Split {
		parts = parts[:0]
		for i := range len(frame) {
			parts = append(parts, frame[i:i+1])
		}
	}
	for _, p := range parts {
		if _, err := io.WriteString(d.line.rw, p); err != nil {
			return err
		}
		if d.Faults.Split {
			time.Sleep(20 * time.Millisecond)
		}
	}
	d.sent++
	if d.Sent != nil {
		d.Sent(d.sent)
	}
	if d.Faults.UnplugAt > 0 && d.sent >= d.Faults.UnplugAt {
		if c, ok := d.line.rw.(io.Closer); ok {
			c.Close()
		}
		return errUnplugged
	}
	return nil
}

// token waits for the next thing: ENQ, EOT, NAK, DLE 0, DLE 1, WACK, or "B" and the
// text of a header whose checksum is right. Anything else is passed over.
func (d *DEX) token(wait time.Duration) (string, error) {
	for {
		b, err := d.line.byte(wait)
		if err != nil {
			return "", err
		}
		switch string(b) {
		case cENQ, cEOT, cNAK:
			return string(b), nil
		case cDLE:
		default:
			continue
		}
		if b, err = d.line.byte(wait); err != nil {
			return "", err
		}
		switch s := cDLE + string(b); s {
		case dle0, dle1, wack:
			return s, nil
		case cDLE + cSOH:
			var text []byte
			for {
				if b, err = d.line.byte(wait); err != nil {
					return "", err
				}
				if string(b) == cDLE {
					break
				}
				text = append(text, b)
			}
			var tail [3]byte
			for i := range tail {
				if tail[i], err = d.line.byte(wait); err != nil {
					return "", err
				}
			}
			if sum := crc(string(text) + cETX); tail != [3]byte{3, byte(sum), byte(sum >> 8)} {
				return "damaged", nil
			}
			return "B" + string(text), nil
		}
	}
}

// expect waits for want. ENQ is answered with what was said last.
func (d *DEX) expect(wait time.Duration, want, last string) error {
	for range 8 {
		got, err := d.token(wait)
		switch {
		case err != nil:
			return err
		case got == want:
			return nil
		case got == cENQ && last != "":
			if err := d.put(last); err != nil {
				return err
			}
		case got == cEOT && want == cENQ: // an end that was said twice
		default:
			return fmt.Errorf("%w: %q instead of %q", errBroken, got, want)
		}
	}
	return errBroken
}

// timerA is how long the machine waits for an answer (1 s), between phases longer.
const (
	timerA  = time.Second
	between = 10 * time.Second
)

// slave waits to be called.
func (d *DEX) slave() error {
	if d.Faults.Silent {
		_, err := d.line.byte(time.Hour)
		return err
	}
	if err := d.expect(time.Hour, cENQ, ""); err != nil {
		return err
	}
	if d.Faults.Mute > 0 {
		d.Faults.Mute--
		return nil
	}
	if d.Faults.Collide {
		d.Faults.Collide = false
		if err := d.put(cENQ); err != nil {
			return err
		}
		time.Sleep(600 * time.Millisecond)
		return d.master()
	}
	if err := d.beCalled(); err != nil {
		return err
	}
	text, err := d.header(dle0)
	if err != nil {
		return err
	}
	if len(text) != 17 || text[10] != 'R' {
		return fmt.Errorf("the first handshake is %q, want a read", text)
	}
	rev := text[11:]
	if err := d.put(dle1); err != nil {
		return err
	}
	if err := d.expect(2*time.Second, cEOT, dle1); err != nil {
		return err
	}
	time.Sleep(150 * time.Millisecond)
	// The second handshake is the machine's.
	if err := d.call(); err != nil {
		return err
	}
	code := "00"
	if rev == d.Faults.RefuseRev {
		code = "02"
	}
	if d.Faults.Code != "" {
		code = d.Faults.Code
	}
	reply := code + d.id() + rev
	if d.Faults.CodeAfter {
		reply = d.id() + code + rev
	}
	if err := d.block(cSOH, reply, cETX, dle1); err != nil {
		return err
	}
	if code != "00" {
		return d.put(cEOT)
	}
	if err := d.eot(); err != nil {
		return err
	}
	return d.data()
}

// beCalled answers a call, with patience asked for first.
func (d *DEX) beCalled() error {
	for ; d.Faults.WACK > 0; d.Faults.WACK-- {
		if err := d.put(wack); err != nil {
			return err
		}
		if err := d.expect(2*time.Second, cENQ, ""); err != nil {
			return err
		}
	}
	return d.put(dle0)
}

// header waits for a block of the other side; damaged ones are asked for again.
func (d *DEX) header(last string) (string, error) {
	for range 5 {
		got, err := d.token(2500 * time.Millisecond)
		if err != nil {
			return "", err
		}
		switch {
		case strings.HasPrefix(got, "B"):
			return got[1:], nil
		case got == "damaged":
			err = d.put(cNAK)
		case got == cENQ:
			err = d.put(last)
		}
		if err != nil {
			return "", err
		}
	}
	return "", errBroken
}

// master calls first.
func (d *DEX) master() error {
	if d.Faults.Silent {
		_, err := d.line.byte(time.Hour)
		return err
	}
	if err := d.call(); err != nil {
		return err
	}
	op := byte('S')
	if d.Faults.Ask != 0 {
		op = d.Faults.Ask
	}
	if err := d.block(cSOH, d.id()+string(op)+"R00L06", cETX, dle1); err != nil {
		return err
	}
	if err := d.eot(); err != nil {
		return err
	}
	if err := d.expect(between, cENQ, ""); err != nil {
		return err
	}
	if err := d.beCalled(); err != nil {
		return err
	}
	text, err := d.header(dle0)
	if err != nil {
		return err
	}
	if len(text) != 18 || text[:2] != "00" {
		return fmt.Errorf("the second handshake is %q, want response 00", text)
	}
	if err := d.put(dle1); err != nil {
		return err
	}
	if err := d.expect(2*time.Second, cEOT, dle1); err != nil {
		return err
	}
	return d.data()
}

func (d *DEX) id() string {
	if d.ID != "" {
		return d.ID
	}
	return "SIM0000001"
}

// call sends ENQ until it is answered.
func (d *DEX) call() error {
	for range 10 {
		enq := cENQ
		if d.Faults.DupENQ {
			enq += cENQ
		}
		if err := d.put(enq); err != nil {
			return err
		}
		got, err := d.token(timerA)
		if err == nil && got == dle0 {
			return nil
		}
		if err != nil && !errors.Is(err, errQuiet) {
			return err
		}
	}
	return errBroken
}

// eot ends a phase of the machine's.
func (d *DEX) eot() error {
	if d.Faults.NoEOT {
		return nil
	}
	return d.put(cEOT)
}

// frame makes a block with its checksum.
func frame(head, text, end string) string {
	sum := crc(text + end)
	return cDLE + head + text + cDLE + end + string([]byte{byte(sum), byte(sum >> 8)})
}

// block sends one block until its answer comes. wantAck is DLE 0 or DLE 1.
func (d *DEX) block(head, text, end, wantAck string) error {
	whole := frame(head, text, end)
	for range 6 {
		out := whole
		if d.Faults.BadCRC != 0 {
			d.Faults.BadCRC--
			out = out[:len(out)-1] + string([]byte{out[len(out)-1] ^ 0x40})
		}
		if err := d.put(out); err != nil {
			return err
		}
		again, err := d.answered(wantAck)
		if err != nil || !again {
			return err
		}
	}
	return errBroken
}

// answered waits for the answer to a block: again says that it must be sent anew.
func (d *DEX) answered(wantAck string) (again bool, err error) {
	for range 60 {
		got, err := d.token(timerA)
		if errors.Is(err, errQuiet) {
			if err := d.put(cENQ); err != nil {
				return false, err
			}
			continue
		}
		if err != nil {
			return false, err
		}
		switch got {
		case wantAck:
			if d.Faults.LoseAck > 0 {
				d.Faults.LoseAck--
				time.Sleep(timerA)
				if err := d.put(cENQ); err != nil {
					return false, err
				}
				continue
			}
			if d.Faults.Resend > 0 {
				d.Faults.Resend--
				time.Sleep(timerA)
				return true, nil
			}
			return false, nil
		case cNAK, dle0, dle1:
			if d.Faults.DupENQ && got != cNAK {
				continue // the answer to the second call
			}
			return true, nil
		case wack:
			time.Sleep(300 * time.Millisecond)
			if err := d.put(cENQ); err != nil {
				return false, err
			}
		case cEOT:
			return false, errBroken
		}
	}
	return false, errBroken
}

// data sends the audit.
func (d *DEX) data() error {
	time.Sleep(120*time.Millisecond + d.Faults.Build)
	if err := d.call(); err != nil {
		return err
	}
	text, size := d.Board.Text(), d.Faults.BlockBytes
	if size == 0 {
		size = 200
	}
	if d.Faults.Flood {
		text = "DXS*FLOOD*VA*V0/6*1\r\n" + strings.Repeat("MA5*"+strings.Repeat("F", 90)+"\r\n", 1000)
	}
	ack, other := dle1, dle0
	for len(text) > size {
		if err := d.block(cSTX, text[:size], cETB, ack); err != nil {
			return err
		}
		text, ack, other = text[size:], other, ack
	}
	if err := d.block(cSTX, text, cETX, ack); err != nil {
		return err
	}
	d.Board.succeeded()
	d.Faults.Glue = false
	return d.eot()
}
