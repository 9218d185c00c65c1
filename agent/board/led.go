package board

import (
	"os"
	"path/filepath"
)

// LED is one of /sys/class/leds, shown by the kernel itself: nothing runs here to
// blink.
type LED struct{ dir string }

// OpenLED takes an LED by its name, under sysfs at root ("/sys").
func OpenLED(root, name string) LED {
	return LED{filepath.Join(root, "class/leds", name)}
}

// Show lights the LED: steadily for good, blinking for not.
func (l LED) Show(good bool) error {
	trigger := "timer" // half a second each, the kernel's default
	if good {
		trigger = "default-on"
	}
	return os.WriteFile(filepath.Join(l.dir, "trigger"), []byte(trigger), 0)
}
