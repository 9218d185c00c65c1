package ddcmp

import (
	"bytes"
	"testing"
	"time"
)

// The messages of a read, byte for byte: the vectors of the standard.
func TestMessages(t *testing.T) {
	at := time.Date(2026, 11, 22, 4, 21, 7, 0, time.UTC)
	for _, c := range []struct {
		name string
		m    message
		want string
	}{
		{"START", message{out: SendStart}, "\x05\x06\x40\x00\x00\x01\x5c\x55"},
		{"ACK of 1", message{out: SendACK, rr: 1}, "\x05\x01\x40\x01\x00\x01\xb8\x55"},
		{"READ list 2", message{out: SendRead, rr: 1, xx: 2}, "\x81\x09\x40\x01\x02\x01\x46\xb0\x77\xe2\x00\x02\x01\x00\x00\x00\x00\xf0\x41"},
		{"FINISH", message{out: SendFinish, rr: 5, xx: 3}, "\x81\x02\x40\x05\x03\x01\xa3\x20\x77\xff\x67\xb0"},
		{"none", message{}, ""},
		{"none such", message{out: SendFinish + 1}, ""},
	} {
		if got := c.m.bytes(); string(got) != c.want {
			t.Errorf("%s is % X, want % X", c.name, got, c.want)
		}
	}
	who := message{out: SendWho, xx: 1, at: at, codes: Codes{0x1234, 0x0099}}.bytes()
	if want := []byte{0x77, 0xE0, 0, 0x12, 0x34, 0, 0x99, 0x22, 0x11, 0x26, 0x04, 0x21, 0x07, 0, 0, 0x0C}; !bytes.Equal(who[8:24], want) {
		t.Errorf("who are you is % X, want % X", who[8:24], want)
	}
}

// Over all that an Out can be, nothing asks for another list, nor writes.
func TestNothingElseCanBeSaid(t *testing.T) {
	for o := range 256 {
		b := message{out: Out(o), rr: 7, xx: 9, reason: 1}.bytes()
		if len(b) <= headLen {
			continue
		}
		switch text := b[headLen : len(b)-2]; {
		case text[1] == 0xE0 && len(text) == 16, text[1] == 0xFF && len(text) == 2:
		case text[1] == 0xE2 && text[3] == 2:
		default:
			t.Errorf("Out %d says % X", o, text)
		}
	}
}

// FuzzSession: whatever comes, the session ends and stays within its limits.
func FuzzSession(f *testing.F) {
	stack := sum([]byte{5, 7, 0x40, 0, 0, 1})
	f.Add(append(append(stack, sum([]byte{5, 1, 0x40, 1, 0, 1})...), sum([]byte{0x81, 4, 0xC0, 1, 1, 1})...), byte(4))
	f.Add([]byte{0x81, 0xff, 0xff}, byte(99))
	f.Fuzz(func(t *testing.T, in []byte, pace byte) {
		var now time.Duration
		s := New(Codes{}, time.Time{}, now)
		sent := 0
		var do func([]Effect)
		do = func(list []Effect) {
			for _, e := range list {
				if e.Send != nil {
					sent++
				}
				if e.Store != nil {
					do(s.Stored(now, pace%2 == 0))
				}
			}
		}
		for _, b := range in {
			now += time.Duration(pace) * time.Millisecond
			for !s.Over() && s.Deadline() <= now {
				do(s.Tick(now))
			}
			do(s.Bytes(now, []byte{b}))
		}
		for i := 0; !s.Over(); i++ {
			if i > 10_000 {
				t.Fatal("it does not end")
			}
			now = max(now, s.Deadline())
			do(s.Tick(now))
		}
		if sent > 2000 || len(s.audit) > maxAudit {
			t.Fatalf("%d messages sent, %d bytes held", sent, len(s.audit))
		}
	})
}
