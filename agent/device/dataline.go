package device

import (
	"os"
	"sync"

	"cellwarden/agent/board"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/modem"
	"cellwarden/modem/at"
)

// dataLine reads the interfaces of the line: those that the config names, and
// whatever the modem's USB device makes, under any name (eth1, enx00e099...). The
// loop, the prober, the uplink and the modem worker ask it.
type dataLine struct {
	links *board.Links
	spec  *modem.Spec // nil: no modem

	mu   sync.Mutex
	sel  board.Selection
	high int // the largest ifindex seen: a larger one has just come
}

func (d *dataLine) selection() board.Selection {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sel
}

func (d *dataLine) read(now instant.Instant) ([]meter.Reading, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, err := d.links.Read(now, d.sel)
	if err != nil || !d.newcomer(r) {
		return r, err
	}
	// The modem may have come with it, and is not opened yet. Its interface must
	// be known at the first sight, or what it held would count as a stranger's.
	if !d.present() && d.use(d.plugged()) {
		return d.links.Read(now, d.sel)
	}
	return r, nil
}

// newcomer reports whether an interface is there that was not before.
func (d *dataLine) newcomer(readings []meter.Reading) bool {
	was := d.high
	for _, r := range readings {
		d.high = max(d.high, r.Index)
	}
	return d.high > was
}

// present reports whether the USB device is known and plugged in.
func (d *dataLine) present() bool {
	if d.sel.USBDevice == "" {
		return false
	}
	_, err := os.Stat(d.sel.USBDevice)
	return err == nil
}

// plugged is a port of the modem that the config means, "" when none or more than
// one is plugged in: then the one that is opened tells.
func (d *dataLine) plugged() string {
	if d.spec == nil {
		return ""
	}
	spec, err := anyModem(*d.spec)
	if err != nil || spec.Port != "" {
		return spec.Port
	}
	ports, err := at.FindPort("/sys", spec.USB)
	if err != nil || len(ports) == 0 || ports[0].USBPath != ports[len(ports)-1].USBPath {
		return ""
	}
	return ports[0].Path
}

// use takes the USB device that makes a port, and reports whether there is one.
func (d *dataLine) use(port string) bool {
	if port == "" {
		return false
	}
	dir := board.USBDeviceOf("", port)
	if dir != "" {
		d.sel.USBDevice = dir
	}
	return dir != ""
}

// opened is told the port of the modem that works.
func (d *dataLine) opened(port string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.use(port)
}
