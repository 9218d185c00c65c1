package line

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"cellwarden/agent/machine/mdb"
)

// vend is one cashless vend as the sniffer prints it.
const vend = "x,00,0000001000,13,00015E000C\r\nx,80,0000001020,,ACK\r\nx,00,0000001500,12,\r\n" +
	"x,80,0000001520,,05015E\r\nx,00,0000001540,,ACK\r\n" +
	"x,00,0000002000,13,02000C\r\nx,80,0000002020,,ACK\r\n"

// The sniffer is told to begin, what it prints becomes events, and it is told to end.
func TestSniffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, its := net.Pipe()
		port := &recorder{Conn: ours}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			buf := make([]byte, 64)
			its.Read(buf)
			its.Read(buf)
			its.Write([]byte("v,3.1\r\nx,ACK\r\n" + vend[:40]))
			its.Write([]byte(vend[40:]))
			time.Sleep(50 * time.Second) // then nothing is heard
			cancel()
			its.Read(buf)
		}()
		var got []string
		version, bad := Sniff(ctx, port, func(e mdb.Event) { got = append(got, string(e.Kind)) })
		if s := strings.Join(got, " "); s != "bus_speaks vend_wanted sale bus_silent" {
			t.Errorf("heard %s", s)
		}
		if version != "3.1" || bad != 0 {
			t.Errorf("version %q, %d bad lines", version, bad)
		}
		if s := string(port.sent); s != "V\nX,1\nX,0\n" {
			t.Errorf("sent %q", s)
		}
	})
}

// The adapter is pulled: listening ends, and what was heard is told.
func TestSnifferPulled(t *testing.T) {
	ours, its := net.Pipe()
	go func() {
		buf := make([]byte, 64)
		its.Read(buf)
		its.Read(buf)
		its.Write([]byte(vend))
		its.Close()
	}()
	sales := 0
	Sniff(t.Context(), ours, func(e mdb.Event) {
		if e.Kind == mdb.Sale {
			sales++
		}
	})
	if sales != 1 {
		t.Errorf("%d sales", sales)
	}
}

// A port whose driver drops the parity is refused with the reason. A pseudo terminal is
// such a one.
func TestTapNeedsTheNinthBit(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	if _, err := OpenTap(slave.Name()); !errors.Is(err, ErrNoNinthBit) {
		t.Errorf("a pseudo terminal was taken for a port with a ninth bit: %v", err)
	}
	if _, err := OpenTap("/dev/null"); err == nil {
		t.Error("/dev/null was opened")
	}
	good := unix.Termios{Cflag: tapControl, Iflag: tapInput}
	if err := tapTaken(&good); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]unix.Termios{
		"parity dropped":       {Cflag: tapControl &^ unix.PARENB, Iflag: tapInput},
		"stick parity dropped": {Cflag: tapControl &^ unix.CMSPAR, Iflag: tapInput},
		"odd instead of space": {Cflag: tapControl | unix.PARODD, Iflag: tapInput},
		"no marks":             {Cflag: tapControl, Iflag: unix.INPCK},
		"marks stripped":       {Cflag: tapControl, Iflag: tapInput | unix.ISTRIP},
	} {
		if err := tapTaken(&bad); !errors.Is(err, ErrNoNinthBit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A tap gives the bytes of the line to the decoder.
func TestTap(t *testing.T) {
	ours, its := net.Pipe()
	mark := func(b byte) []byte { return []byte{0xff, 0x00, b} }
	var all []byte
	all = append(append(all, mark(0x13)...), 0x02, 0x00, 0x0C, 0x21) // 13 02 000C, checksum
	all = append(all, mark(0x00)...)                                 // ACK
	go func() {
		its.Write(all)
		its.Close()
	}()
	var got []string
	bad := Tap(t.Context(), ours, func(e mdb.Event) { got = append(got, string(e.Kind)) })
	if s := strings.Join(got, " "); s != "bus_speaks sale" || bad != 0 {
		t.Errorf("heard %s, %d bad", s, bad)
	}
	if _, err := new(tap).Write([]byte{1}); err == nil {
		t.Error("a tap can be written to")
	}
}
