package board

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
)

const (
	defaultSysRoot = "/sys"
	// maxPatterns bounds a selection.
	maxPatterns = 16
	// maxUSBDepth bounds how far up a port's device path the USB device is sought;
	// real ones are two or three levels up.
	maxUSBDepth = 8
)

// Selection says which interfaces carry the line.
type Selection struct {
	// Patterns are names or shell patterns: "wwan0", "ppp*", "usb*".
	Patterns []string
	// USBDevice is the sysfs directory of the modem's USB device (see
	// USBDeviceOf): each network interface that it makes is the line's. "" not known.
	USBDevice string
}

// Check says what is wrong with a pattern.
func (s Selection) Check() error {
	if len(s.Patterns) > maxPatterns {
		return fmt.Errorf("board: %d interface patterns: at most %d", len(s.Patterns), maxPatterns)
	}
	for _, p := range s.Patterns {
		if p == "" || strings.Contains(p, "/") {
			return fmt.Errorf("board: interface pattern %q: want a name such as wwan0 or ppp*", p)
		}
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("board: interface pattern %q: %w", p, err)
		}
	}
	return nil
}

// matches reports whether name is the line's. The loopback never is.
func (s Selection) matches(name string, ofUSB map[string]bool) bool {
	if name == "lo" {
		return false
	}
	if ofUSB[name] {
		return true
	}
	for _, p := range s.Patterns {
		if ok, err := path.Match(p, name); err == nil && ok {
			return true
		}
	}
	return false
}

// ofUSB is the interfaces of the selection's USB device.
func (s Selection) ofUSB(sysRoot string) map[string]bool {
	if s.USBDevice == "" {
		return nil
	}
	return netOfUSB(sysRoot, s.USBDevice)
}

// has reports whether name is the line's at this moment.
func (s Selection) has(sysRoot, name string) bool { return s.matches(name, s.ofUSB(sysRoot)) }

// link is one interface as the kernel shows it.
type link struct {
	index  int
	name   string
	rx, tx uint64
}

// Links reads the counters. It is not safe for concurrent use.
type Links struct {
	sysRoot string
	bits    int
	dump    func() ([]link, error) // nil: only sysfs
	close   func() error
}

// OpenLinks opens the kernel's route netlink; where that is refused (a sandbox
// without the socket family) the counters under /sys serve. sysRoot is "" for
// /sys.
func OpenLinks(sysRoot string) (*Links, error) {
	if sysRoot == "" {
		sysRoot = defaultSysRoot
	}
	l := &Links{sysRoot: sysRoot, bits: counterBits(), close: func() error { return nil }}
	s, err := openRoute(0)
	if err != nil {
		if _, serr := os.Stat(filepath.Join(sysRoot, "class/net")); serr != nil {
			return nil, fmt.Errorf("board: no interface counters: %w; %w", err, serr)
		}
		return l, nil
	}
	l.dump, l.close = s.links, s.close
	return l, nil
}

// Close releases the socket.
func (l *Links) Close() error { return l.close() }

// Read is one look at all interfaces: those of the selection, and the others
// marked to be skipped (the meter must know that they are old).
func (l *Links) Read(now instant.Instant, sel Selection) ([]meter.Reading, error) {
	var links []link
	var err error
	if l.dump != nil {
		links, err = l.dump()
	}
	if l.dump == nil || err != nil {
		var serr error
		if links, serr = sysLinks(l.sysRoot); serr != nil {
			return nil, errors.Join(err, serr)
		}
	}
	return l.readings(now, links, sel), nil
}

// ReadSys is Read from the files under sysRoot alone.
func ReadSys(sysRoot string, now instant.Instant, sel Selection) ([]meter.Reading, error) {
	links, err := sysLinks(sysRoot)
	if err != nil {
		return nil, err
	}
	l := Links{sysRoot: sysRoot, bits: counterBits()}
	return l.readings(now, links, sel), nil
}

func (l *Links) readings(now instant.Instant, links []link, sel Selection) []meter.Reading {
	ofUSB := sel.ofUSB(l.sysRoot)
	readings := make([]meter.Reading, 0, len(links))
	ours := map[string]bool{}
	for _, k := range links {
		r := l.reading(now, k, sel.matches(k.name, ofUSB))
		if !r.Skip {
			ours[r.Interface] = true
		}
		readings = append(readings, r)
	}
	if len(ours) > 1 {
		for i, r := range readings {
			readings[i].Stacked = !r.Skip && l.stacked(r.Interface, ours)
		}
	}
	return readings
}

// stacked reports whether an interface rests on another of the line (a VLAN, a
// qmimux or rmnet_data on its wwan), which counts the same bytes. The lower one is
// there first and stays last, so that one is counted.
func (l *Links) stacked(name string, ours map[string]bool) bool {
	lower, err := filepath.Glob(filepath.Join(l.sysRoot, "class/net", name, "lower_*"))
	if err != nil {
		return false // the pattern is bad for no name that the kernel allows
	}
	for _, at := range lower {
		if ours[strings.TrimPrefix(filepath.Base(at), "lower_")] {
			return true
		}
	}
	return false
}

func (l *Links) reading(now instant.Instant, k link, ours bool) meter.Reading {
	return meter.Reading{At: now, Interface: k.name, Index: k.index, RxBytes: k.rx, TxBytes: k.tx, Bits: l.bits, Skip: !ours}
}

// sysLinks reads /sys/class/net. An interface that vanishes while it is read is
// left out.
func sysLinks(sysRoot string) ([]link, error) {
	dir := filepath.Join(sysRoot, "class/net")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("board: interfaces: %w", err)
	}
	var links []link
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		index, err1 := readNumber(filepath.Join(at, "ifindex"))
		rx, err2 := readNumber(filepath.Join(at, "statistics/rx_bytes"))
		tx, err3 := readNumber(filepath.Join(at, "statistics/tx_bytes"))
		if err1 != nil || err2 != nil || err3 != nil || index == 0 || index > 1<<31-1 {
			continue // bonding_masters is a file here; the rest is on its way out
		}
		links = append(links, link{index: int(index), name: e.Name(), rx: rx, tx: tx})
	}
	sort.Slice(links, func(i, j int) bool { return links[i].index < links[j].index })
	return links, nil
}

func readNumber(path string) (uint64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// USBDeviceOf is the sysfs directory of the USB device that makes a serial port
// (/dev/ttyUSB2) or control device (/dev/cdc-wdm0), "" when it is not on USB.
func USBDeviceOf(sysRoot, port string) string {
	if sysRoot == "" {
		sysRoot = defaultSysRoot
	}
	name := filepath.Base(port)
	for _, class := range []string{"class/tty", "class/usbmisc", "class/net"} {
		dir, err := filepath.EvalSymlinks(filepath.Join(sysRoot, class, name, "device"))
		if err != nil {
			continue
		}
		for range maxUSBDepth {
			if _, err := os.Stat(filepath.Join(dir, "idVendor")); err == nil {
				return dir
			}
			dir = filepath.Dir(dir)
		}
	}
	return ""
}

// netOfUSB is the network interfaces that a USB device makes.
func netOfUSB(sysRoot, device string) map[string]bool {
	names := map[string]bool{}
	all, err := filepath.Glob(filepath.Join(sysRoot, "class/net/*/device"))
	if err != nil {
		return names // the pattern is constant and good
	}
	for _, at := range all {
		if dir, err := filepath.EvalSymlinks(at); err == nil && strings.HasPrefix(dir+"/", device+"/") {
			names[filepath.Base(filepath.Dir(at))] = true
		}
	}
	return names
}
