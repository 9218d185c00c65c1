package at

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// A USBMatch says which port is wanted. Empty fields match all; the numbers are
// written as sysfs does: lower-case hex without 0x.
type USBMatch struct {
	Vendor, Product string // "2c7c", "0125"
	Interface       string // bInterfaceNumber, "02"
	Serial          string // the modem's USB serial number, where two are alike
}

func (m USBMatch) String() string {
	or := func(s string) string {
		if s == "" {
			return "*"
		}
		return s
	}
	return fmt.Sprintf("usb %s:%s interface %s", or(m.Vendor), or(m.Product), or(m.Interface))
}

// PortInfo is a serial port as sysfs tells of it.
type PortInfo struct {
	Path      string // "/dev/ttyUSB2"
	Vendor    string
	Product   string
	Interface string
	Serial    string
	Driver    string // "option", "cdc_acm"
	USBPath   string // "1-1.2": where it is plugged in, the same after a re-plug
}

// usbDepth is how many directories above the tty's device the USB interface and
// the USB device are looked for: usb-serial puts one in between, cdc_acm none.
const usbDepth = 4

// FindPort lists the serial ports of USB devices that match want, in order of
// interface number. It reads sysRoot ("/sys") and opens no port: opening a
// foreign one can disturb what hangs on it (a card reader on a UART). No match
// is an empty list, not an error; a sysRoot that cannot be read is ErrBlind.
func FindPort(sysRoot string, want USBMatch) ([]PortInfo, error) {
	class := filepath.Join(sysRoot, "class", "tty")
	entries, err := os.ReadDir(class)
	if err != nil {
		return nil, fmt.Errorf("at: find %v: %w: is %s mounted and readable?: %w", want, ErrBlind, sysRoot, err)
	}
	var found []PortInfo
	for _, e := range entries {
		dir, err := filepath.EvalSymlinks(filepath.Join(class, e.Name(), "device"))
		if errors.Is(err, os.ErrNotExist) {
			continue // a console or a pty
		}
		if err != nil {
			return nil, fmt.Errorf("at: find %v: %w", want, err)
		}
		info := PortInfo{Path: "/dev/" + e.Name()}
		if driver, err := os.Readlink(filepath.Join(dir, "driver")); err == nil {
			info.Driver = filepath.Base(driver)
		}
		for range usbDepth {
			if info.Interface == "" {
				info.Interface = attr(dir, "bInterfaceNumber")
			}
			if info.Vendor = attr(dir, "idVendor"); info.Vendor != "" {
				info.Product = attr(dir, "idProduct")
				info.Serial = attr(dir, "serial")
				info.USBPath = filepath.Base(dir)
				break
			}
			dir = filepath.Dir(dir)
		}
		if info.Vendor != "" && want.matches(info) {
			found = append(found, info)
		}
	}
	sort.SliceStable(found, func(i, j int) bool {
		a, b := found[i], found[j]
		if a.USBPath != b.USBPath {
			return a.USBPath < b.USBPath
		}
		return a.Interface < b.Interface
	})
	return found, nil
}

func (m USBMatch) matches(p PortInfo) bool {
	same := func(want, got string) bool { return want == "" || strings.EqualFold(want, got) }
	return same(m.Vendor, p.Vendor) && same(m.Product, p.Product) && same(m.Interface, p.Interface) && (m.Serial == "" || m.Serial == p.Serial)
}

func attr(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
