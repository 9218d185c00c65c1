package device

import (
	"testing"

	boards "cellwarden/firmware-targets"
)

// The power key of a modem that is on and mute would switch it off.
func TestResetLine(t *testing.T) {
	reset, key := &boards.Line{Chip: "gpiochip0", Line: 7}, &boards.Line{Chip: "gpiochip0", Line: 6}
	for _, c := range []struct {
		name  string
		g     boards.GPIO
		state string
		want  *boards.Line
	}{
		{"mute, with a reset line", boards.GPIO{Reset: reset, PowerKey: key}, "silent", reset},
		{"gone, with a reset line", boards.GPIO{Reset: reset, PowerKey: key}, "absent", reset},
		{"gone, with a power key alone", boards.GPIO{PowerKey: key}, "absent", key},
		{"mute, with a power key alone", boards.GPIO{PowerKey: key}, "silent", nil},
	} {
		if got := resetLine(c.g, c.state); got != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}
