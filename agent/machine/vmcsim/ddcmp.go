package vmcsim

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// DDCMPFaults are what goes wrong. The zero value is a machine without fault.
type DDCMPFaults struct {
	Silent    bool
	Mute      int           // STARTs without an answer
	Late      time.Duration // before each answer
	Build     time.Duration // before the data
	BadHeader int           // messages whose header comes damaged
	BadData   int           // messages whose data come damaged; below 0: all
	LoseACK   int           // ACKs of ours that do not arrive: the block comes again
	NACK      int           // messages of ours that are refused
	NoLast    bool          // the last block is not marked (old units)
	Reject    bool          // it refuses us
	Split     bool          // each byte by itself
	Noise     string
	UnplugAt  int // after so many messages; 0 never
	Flood     bool
	Skip      int // a block that is left out, from 1
	Carry     bool
}

// DDCMP is the machine's side.
type DDCMP struct {
	Board  *Board
	Faults DDCMPFaults

	line *line
	sent int
	xx   byte      // our number
	rr   byte      // the last of theirs
	next [2]string // a request that came in place of an ACK
	List byte      // the list that was asked for
	Code [2]uint16
}

// Recorded is every byte that came to the machine.
func (d *DDCMP) Recorded() []byte { return d.line.recorded() }

// Messages is how many messages the machine has sent.
func (d *DDCMP) Messages() int { return d.sent }

// Serve plays sessions on rw until the wire is gone.
func (d *DDCMP) Serve(rw io.ReadWriter) error {
	d.line = newLine(rw)
	if d.Faults.Noise != "" {
		io.WriteString(rw, d.Faults.Noise)
	}
	for {
		err := d.session()
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

// put sends one message whose header is 6 bytes, with text behind it where there is.
func (d *DDCMP) put(head, text string) error {
	time.Sleep(45*time.Millisecond + d.Faults.Late)
	add := func(s string) string {
		c := crc(s)
		return s + string([]byte{byte(c), byte(c >> 8)})
	}
	out := add(head)
	if d.Faults.BadHeader > 0 && text != "" {
		d.Faults.BadHeader--
		out = out[:7] + string([]byte{out[7] ^ 1})
	}
	if text != "" {
		out += add(text)
		if d.Faults.BadData != 0 {
			d.Faults.BadData--
			out = out[:len(out)-1] + string([]byte{out[len(out)-1] ^ 1})
		}
	}
	for i := 0; i < len(out); {
		n := len(out) - i
		if d.Faults.Split {
			n = 1
			time.Sleep(4 * time.Millisecond)
		}
		if _, err := io.WriteString(d.line.rw, out[i:i+n]); err != nil {
			return err
		}
		i += n
	}
	d.sent++
	if d.Faults.UnplugAt > 0 && d.sent >= d.Faults.UnplugAt {
		if c, ok := d.line.rw.(io.Closer); ok {
			c.Close()
		}
		return errUnplugged
	}
	return nil
}

// get waits for one message: its 6 bytes of header and its text.
func (d *DDCMP) get(wait time.Duration) (head, text string, err error) {
	read := func(n int, wait time.Duration) (string, error) {
		var b strings.Builder
		for range n {
			c, err := d.line.byte(wait)
			if err != nil {
				return "", err
			}
			b.WriteByte(c)
		}
		s := b.String()
		if n < 2 || crc(s[:n-2]) != uint16(s[n-2])|uint16(s[n-1])<<8 {
			return "", fmt.Errorf("a message with a wrong checksum: % X", s)
		}
		return s[:n-2], nil
	}
	if head, err = read(8, wait); err != nil {
		return "", "", err
	}
	if head[0] == 0x81 {
		text, err = read(int(head[1])+2, time.Second)
	}
	return head, text, err
}

func (d *DDCMP) ack() error { return d.put(string([]byte{5, 1, 0x40, d.rr, 0, 1}), "") }

// send sends text until it is acknowledged.
func (d *DDCMP) send(text string, lastOne bool) error {
	d.xx++
	flag := byte(0x40)
	if lastOne && !d.Faults.NoLast {
		flag |= 0x80
	}
	for range 8 {
		if err := d.put(string([]byte{0x81, byte(len(text)), flag | byte(len(text)>>8), d.rr, d.xx, 1}), text); err != nil {
			return err
		}
		head, text, err := d.get(2 * time.Second)
		if errors.Is(err, errQuiet) {
			continue
		}
		if err != nil {
			return err
		}
		if head[0] == 0x81 && head[3] == d.xx { // data carry the ACK
			d.next = [2]string{head, text}
			return nil
		}
		if head[0] == 5 && head[1] == 1 && head[3] == d.xx {
			if d.Faults.LoseACK > 0 {
				d.Faults.LoseACK--
				continue
			}
			return nil
		}
	}
	return errBroken
}

// request waits for a data message of theirs and acknowledges it.
func (d *DDCMP) request() (string, error) {
	for range 8 {
		head, text := d.next[0], d.next[1]
		if d.next = [2]string{}; head == "" {
			var err error
			if head, text, err = d.get(6 * time.Second); err != nil {
				return "", err
			}
		}
		if head[0] != 0x81 {
			continue
		}
		if d.Faults.NACK > 0 {
			d.Faults.NACK--
			if err := d.put(string([]byte{5, 2, 0x40 | 2, d.rr, 0, 1}), ""); err != nil {
				return "", err
			}
			continue
		}
		if again := head[4] == d.rr; again {
			if err := d.ack(); err != nil {
				return "", err
			}
			continue
		}
		d.rr = head[4]
		if d.Faults.Carry { // the answer will carry it
			return text, nil
		}
		return text, d.ack()
	}
	return "", errBroken
}

func (d *DDCMP) session() error {
	d.xx, d.rr, d.next = 0, 0, [2]string{}
	if d.Faults.Silent {
		_, err := d.line.byte(time.Hour)
		return err
	}
	for {
		head, _, err := d.get(time.Hour)
		if err != nil {
			return err
		}
		if head[0] != 5 || head[1] != 6 {
			continue
		}
		if d.Faults.Mute > 0 {
			d.Faults.Mute--
			continue
		}
		break
	}
	if err := d.put(string([]byte{5, 7, 0x40, 0, 0, 1}), ""); err != nil {
		return err
	}
	text, err := d.request()
	if err != nil {
		return err
	}
	if len(text) != 16 || text[:2] != "\x77\xe0" {
		return fmt.Errorf("% X is not who are you", text)
	}
	d.Code = [2]uint16{uint16(text[3])<<8 | uint16(text[4]), uint16(text[5])<<8 | uint16(text[6])}
	if d.Faults.Reject {
		return d.send("\x88\xe0\x00\x01", true)
	}
	if err := d.send("\x88\xe0\x01\x00\x00\x00\x00"+fmt.Sprintf("%8s", d.Board.Serial)+"\x01\x02\x00\x00\x01", true); err != nil {
		return err
	}
	if text, err = d.request(); err != nil {
		return err
	}
	if len(text) != 9 || text[:2] != "\x77\xe2" {
		return fmt.Errorf("% X is not a read", text)
	}
	d.List = text[3]
	if err := d.send("\x88\xe2\x01\x00\x01\x00\x00\xff\xff", false); err != nil {
		return err
	}
	time.Sleep(d.Faults.Build)
	audit := d.Board.Text()
	if d.Faults.Flood {
		audit = "DXS*FLOOD*VA*V0/6*1\r\n" + strings.Repeat("MA5*"+strings.Repeat("F", 90)+"\r\n", 1000)
	}
	for no := 0; len(audit) > 0; no++ {
		n := min(120, len(audit))
		if no+1 != d.Faults.Skip {
			if err := d.send(string([]byte{0x99, byte(no)})+audit[:n], n == len(audit)); err != nil {
				return err
			}
		}
		audit = audit[n:]
	}
	if text, err = d.request(); err != nil {
		return err
	}
	if text != "\x77\xff" {
		return fmt.Errorf("% X is not finish", text)
	}
	if d.Faults.Carry {
		if err := d.ack(); err != nil {
			return err
		}
	}
	if d.List == 1 { // what only list 1 does
		d.Board.succeeded()
	}
	return nil
}
