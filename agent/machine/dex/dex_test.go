package dex

import (
	"bytes"
	"testing"
	"time"
)

// The frames of a read, byte for byte: the vectors of the standard and of devices.
func TestFrames(t *testing.T) {
	const id ID = DefaultID
	for _, c := range []struct {
		out  Out
		rev  Revision
		want string
	}{
		{SendENQ, Rev6, "\x05"}, {SendACK0, Rev6, "\x10\x30"}, {SendACK1, Rev6, "\x10\x31"}, {SendEOT, Rev6, "\x04"}, {SendNAK, Rev6, "\x15"},
		{SendWACK, Rev6, "\x10\x3b"},
		{SendRead, Rev6, "\x10\x01CWD0000001RR00L06\x10\x03\x0c\x93"},
		{SendRead, Rev1, "\x10\x01CWD0000001RR01L01\x10\x03\x33\x63"},
		{0, Rev6, ""}, {SendAccept + 1, Rev6, ""}, {255, Rev6, ""},
	} {
		if got := c.out.Bytes(id, c.rev); string(got) != c.want {
			t.Errorf("%s %s is % X, want % X", c.out, c.rev, got, c.want)
		}
	}
	if got := SendAccept.Bytes("EPHOR00001", Rev1); string(got) != "\x10\x0100EPHOR00001R01L01\x10\x03\xfe\x80" {
		t.Errorf("what an Ephor modem answers is % X", got)
	}
	if got := SendRead.Bytes("XYZ1234567", Rev6); !bytes.HasSuffix(got, []byte("\x7b\x06")) {
		t.Errorf("the standard's example ends % X, want 7B 06", got[len(got)-2:])
	}
}

// There is no way to say a write: all that can be sent, over every value that an
// Out can have, is a read's, and its operation is R and its response 00.
func TestNothingElseCanBeSaid(t *testing.T) {
	for o := range 256 {
		for _, rev := range []Revision{Rev6, Rev1} {
			f := Out(o).Bytes(DefaultID, rev)
			if len(f) <= 2 {
				continue
			}
			text := f[2 : len(f)-4]
			switch {
			case len(text) == 17 && text[10] == 'R' && string(text[11:]) == string(rev):
			case len(text) == 18 && string(text[:2]) == "00":
			default:
				t.Errorf("Out %d says %q", o, text)
			}
		}
	}
}

func TestIDs(t *testing.T) {
	for _, good := range []ID{DefaultID, "ABC0000000"} {
		if err := good.Check(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []ID{"", "CWD000001", "cwd0000001", "CWD00000011", "CW 0000001", "0000000000", "CWD000000S"} {
		if bad.Check() == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

// Real frames of other makers' machines are read, cut at every place.
func TestScannerOnRealFrames(t *testing.T) {
	crane := "\x10\x01CNV   DE32SR01L01\x10\x03\x75\x9b"
	ephor := "\x10\x0100EPHOR00001R01L01\x10\x03\xfe\x80"
	whole := "\xff\x05" + crane + "\x10\x16\x04" + ephor + "\x10;" +
		"\x10\x02DXS*RST7654321*VA*V0/6*1\r\nST*001*0001\r\n\x10\x17\x17\xc9" + "\x15\x100\x101"
	want := []kind{gotENQ, gotHeader, gotEOT, gotHeader, gotWACK, gotBlock, gotNAK, gotACK0, gotACK1}
	var s scanner
	var got []kind
	for i := range len(whole) {
		if tok, ok := s.feed(whole[i]); ok {
			got = append(got, tok.kind)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("tokens %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("token %d is %d, want %d", i, got[i], want[i])
		}
	}
	if s.noise != 1 {
		t.Errorf("%d bytes of noise, want 1", s.noise)
	}
}

// FuzzSession: whatever a line says, at whatever pace, the session ends, sends
// frames of a read only, and never holds more than an audit.
func FuzzSession(f *testing.F) {
	f.Add([]byte("\x05\x10\x01CNV   DE32SR01L01\x10\x03\x75\x9b\x04\x100\x101\x05\x10\x02DXS*A\r\n\x10\x03\x00\x00"), byte(3))
	f.Add([]byte("\x100\x101\x05\x10\x0100EPHOR00001R01L01\x10\x03\xfe\x80\x04\x05"), byte(1))
	f.Add([]byte("\x15\x15\x10;\x10\x16\x05\x05"), byte(200))
	f.Fuzz(func(t *testing.T, in []byte, pace byte) {
		var now time.Duration
		s := New(DefaultID, "", now)
		sent := 0
		var do func(list []Effect)
		do = func(list []Effect) {
			for _, e := range list {
				if e.Send != 0 {
					sent++
					if b := s.Frame(e.Send); len(b) == 0 || len(b) > 30 {
						t.Fatalf("sends % X", b)
					}
				}
				if len(e.Store) > maxAudit {
					t.Fatal("an audit beyond the limit")
				}
				if e.Store != nil {
					do(s.Stored(now, pace%2 == 0))
				}
			}
		}
		for _, b := range in {
			now += time.Duration(pace) * time.Millisecond
			for !s.Over() && s.Deadline() <= now {
				do(s.Tick(max(now, s.Deadline())))
			}
			do(s.Bytes(now, []byte{b}))
		}
		for i := 0; !s.Over(); i++ {
			if i > 10_000 {
				t.Fatal("it does not end")
			}
			d := s.Deadline()
			if d < now-time.Hour {
				t.Fatal("a deadline long past")
			}
			now = max(now, d)
			do(s.Tick(now))
		}
		if now > sessionMax+time.Duration(len(in))*time.Duration(pace)*time.Millisecond {
			t.Fatalf("it took %v", now)
		}
		if sent > 4000 {
			t.Fatalf("%d frames were sent", sent)
		}
	})
}
