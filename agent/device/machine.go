package device

import (
	"io"

	"cellwarden/agent/config"
	"cellwarden/agent/machine/ddcmp"
	"cellwarden/agent/machine/line"
	"cellwarden/modem/at"
)

// Rates of the machine's ports (EVA-DTS 6.2 §7.3; the sniffer's maker).
const (
	dexBaud     = 9600
	snifferBaud = 115200
)

// openMachine is how the ports of the machine are opened, nil where they are off.
func openMachine(m config.Machine) (audit, bus func() (io.ReadWriteCloser, error)) {
	serial := func(path string, baud int) func() (io.ReadWriteCloser, error) {
		return func() (io.ReadWriteCloser, error) {
			p, err := at.OpenPort(path, baud)
			if err != nil {
				return nil, err
			}
			return p, nil
		}
	}
	switch m.Audit {
	case "dex":
		audit = serial(m.AuditPort, dexBaud)
	case "ddcmp":
		audit = serial(m.AuditPort, ddcmp.Baud)
	}
	switch m.Bus {
	case "sniffer":
		bus = serial(m.BusPort, snifferBaud)
	case "tap":
		bus = func() (io.ReadWriteCloser, error) { return line.OpenTap(m.BusPort) }
	}
	return audit, bus
}
