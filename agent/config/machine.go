package config

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Machine is how the machine itself is read: its audit port and its payment bus. Both
// are off until they are named.
type Machine struct {
	Audit                 string   `toml:"audit"`      // "off", "dex", "ddcmp"
	AuditPort             string   `toml:"audit_port"` // a path
	ReadAt                []string `toml:"read_at"`    // times of day, "02:00"
	IntervalResetAccepted bool     `toml:"interval_reset_accepted"`
	DEXID                 string   `toml:"dex_id"`
	DDCMPSecurity         Secret   `toml:"ddcmp_security"` // four digits, "" is 0000
	DDCMPPass             Secret   `toml:"ddcmp_pass"`     // four digits
	Bus                   string   `toml:"bus"`            // "off", "sniffer", "tap"
	BusPort               string   `toml:"bus_port"`       // a path
	SalesWithin           Duration `toml:"sales_within"`
	SilentAfter           Duration `toml:"silent_after"`
	TubesLow              int      `toml:"tubes_low"`
	LowPercent            int      `toml:"low_percent"`
	Fill                  []string `toml:"fill"`  // "selection=count"
	Items                 []string `toml:"items"` // "item of the bus=selection"
}

// defaultMachine is Default's part of it.
var defaultMachine = Machine{Audit: "off", ReadAt: []string{"02:00", "14:00"}, DEXID: "CWD0000001", Bus: "off",
	SalesWithin: Duration(4 * time.Hour), SilentAfter: Duration(4 * time.Hour), TubesLow: 8, LowPercent: 20, Fill: []string{}, Items: []string{}}

// On reports whether anything of the machine is read.
func (m Machine) On() bool { return m.Audit != "off" || m.Bus != "off" }

// Times are ReadAt from midnight. It was checked.
func (m Machine) Times() (out []time.Duration) {
	for _, s := range m.ReadAt {
		if t, err := time.Parse("15:04", s); err == nil {
			out = append(out, time.Duration(t.Hour())*time.Hour+time.Duration(t.Minute())*time.Minute)
		}
	}
	return out
}

// Full is Fill by selection, Mapping Items by item. They were checked.
func (m Machine) Full() map[string]int64 {
	out := map[string]int64{}
	for _, s := range m.Fill {
		if sel, n, ok := strings.Cut(s, "="); ok {
			out[sel], _ = strconv.ParseInt(n, 10, 64)
		}
	}
	return out
}

// Mapping is Items by item of the bus.
func (m Machine) Mapping() map[string]string {
	out := map[string]string{}
	for _, s := range m.Items {
		if item, sel, ok := strings.Cut(s, "="); ok {
			out[item] = sel
		}
	}
	return out
}

// Codes are the security and the pass code as the line has them: four digits in BCD.
func (m Machine) Codes() (security, pass uint16) {
	read := func(s Secret) uint16 {
		n, _ := strconv.ParseUint(s.Reveal(), 16, 16)
		return uint16(n)
	}
	return read(m.DDCMPSecurity), read(m.DDCMPPass)
}

var (
	dexPattern  = regexp.MustCompile(`^[A-Z]{3}[0-9]{7}$`)
	codePattern = regexp.MustCompile(`^[0-9]{4}$`)
	fillPattern = regexp.MustCompile(`^[^=\s]{1,16}=[0-9]{1,4}$`)
	itemPattern = regexp.MustCompile(`^[0-9]{1,5}=[^=\s]{1,16}$`)
)

// maxReads in a day: a read may stop the machine for seconds.
const maxReads = 4

func (k *checker) machine(c Config) {
	m := c.Machine
	k.oneOf("machine.audit", m.Audit, "off", "dex", "ddcmp")
	k.oneOf("machine.bus", m.Bus, "off", "sniffer", "tap")
	port := func(key, value string, on bool) {
		if on && !path.IsAbs(value) {
			k.add(key, fmt.Sprintf("%q is not a port", value), `write its path, such as "/dev/serial/by-id/usb-FTDI_..."`)
		}
		if on && value != "" && value == c.Modem.Port {
			k.add(key, "is the modem's port", "name another", "modem.port")
		}
	}
	port("machine.audit_port", m.AuditPort, m.Audit != "off")
	port("machine.bus_port", m.BusPort, m.Bus != "off")
	if m.Audit != "off" && m.Bus != "off" && m.AuditPort == m.BusPort && m.BusPort != "" {
		k.add("machine.bus_port", "is the audit's port too", "name another", "machine.audit_port")
	}
	if m.Audit == "dex" && !m.IntervalResetAccepted {
		k.add("machine.interval_reset_accepted", "is false, and a plain DEX read may clear the interval counters and finished events in the machine",
			"ask whoever else reads the machine, then write interval_reset_accepted = true; or use ddcmp, whose security read clears nothing", "machine.audit")
	}
	if m.Audit != "off" && (len(m.ReadAt) == 0 || len(m.ReadAt) > maxReads) {
		k.add("machine.read_at", fmt.Sprintf("has %d times", len(m.ReadAt)), fmt.Sprintf(`write 1 to %d, such as ["02:00", "14:00"]`, maxReads))
	}
	for i, s := range m.ReadAt {
		if t, err := time.Parse("15:04", s); err != nil || t.Format("15:04") != s {
			k.add(fmt.Sprintf("machine.read_at[%d]", i), fmt.Sprintf("%q is no time of day", s), `write such as "02:00"`)
		}
	}
	if !dexPattern.MatchString(m.DEXID) {
		k.add("machine.dex_id", fmt.Sprintf("%q cannot be a DEX id", m.DEXID), "write three letters A-Z and seven digits")
	}
	for _, code := range []struct {
		key string
		s   Secret
	}{{"machine.ddcmp_security", m.DDCMPSecurity}, {"machine.ddcmp_pass", m.DDCMPPass}} {
		if code.s != "" && !codePattern.MatchString(code.s.Reveal()) {
			k.add(code.key, "is not four digits", `write "" unless the machines have one: the first other than 0000 locks all others out`)
		}
	}
	k.between("machine.sales_within", m.SalesWithin, 0, 12*time.Hour)
	k.between("machine.silent_after", m.SilentAfter, time.Hour, 7*24*time.Hour)
	between(k, "machine.tubes_low", m.TubesLow, 1, 100)
	between(k, "machine.low_percent", m.LowPercent, 1, 90)
	for i, s := range m.Fill {
		if !fillPattern.MatchString(s) {
			k.add(fmt.Sprintf("machine.fill[%d]", i), fmt.Sprintf("%q is no filling", s), `write selection=count, such as "11=20"`)
		}
	}
	for i, s := range m.Items {
		if !itemPattern.MatchString(s) {
			k.add(fmt.Sprintf("machine.items[%d]", i), fmt.Sprintf("%q is no pair", s), `write the bus's number=the audit's selection, such as "1=11"`)
		}
	}
}
