package board

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	targets "cellwarden/firmware-targets"
)

// struct gpiohandle_request of linux/gpio.h: 64 offsets, flags, 64 default values, a
// label of 32 bytes, the number of lines, the descriptor that comes back.
func TestLineRequest(t *testing.T) {
	b := lineRequest(targets.Line{Chip: "gpiochip0", Line: 0x0107, ActiveLow: true})
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
	if len(b) != 64*4+4+64+32+4+4 {
		t.Errorf("%d bytes", len(b))
	}
	if word(0) != 0x0107 || word(4) != 0 {
		t.Errorf("offsets %#x %#x", word(0), word(4))
	}
	if word(256) != 2|4 || b[260] != 1 || b[261] != 0 {
		t.Errorf("flags %#x, values %v", word(256), b[260:262])
	}
	if label := string(b[324:356]); strings.TrimRight(label, "\x00") != "cellwarden" {
		t.Errorf("label %q", label)
	}
	if word(356) != 1 || word(360) != 0 {
		t.Errorf("%d lines, descriptor %d", word(356), word(360))
	}
	// _IOWR(0xb4, 3, 364 bytes) and _IOWR(0xb4, 9, 64 bytes).
	if getLineHandle != 3<<30|handleBytes<<16|0xb4<<8|3 || setLineValues != 3<<30|64<<16|0xb4<<8|9 {
		t.Errorf("%#x %#x", uint(getLineHandle), uint(setLineValues))
	}
	if err := Press(targets.Line{Chip: "gpiochip999"}); err == nil || !strings.HasPrefix(err.Error(), "board: /dev/gpiochip999 line 0: ") {
		t.Errorf("a chip that is not there: %v", err)
	}
}

func TestLED(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "class/leds/net")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	trigger := filepath.Join(dir, "trigger")
	for _, c := range []struct {
		good bool
		want string
	}{{true, "default-on"}, {false, "timer"}} {
		if err := os.WriteFile(trigger, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := OpenLED(root, "net").Show(c.good); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(trigger); string(got) != c.want {
			t.Errorf("good %v: %q", c.good, got)
		}
	}
	if err := OpenLED(root, "gone").Show(true); err == nil {
		t.Error("an LED that is not there can be lit")
	}
}

func TestRunCommand(t *testing.T) {
	for _, c := range []struct{ command, want string }{
		{"", ""},
		{"true", ""},
		{"false", "board: false: exit status 1"},
		{"no-such-dialer --up", "board: no-such-dialer: "},
		// No shell: what looks like one is an argument.
		{"test a = a && false", "board: test: exit status"},
	} {
		err := RunCommand(c.command)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
			t.Errorf("%q: %v, want %q", c.command, err, c.want)
		}
	}
}
