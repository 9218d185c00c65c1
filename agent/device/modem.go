package device

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cellwarden/agent/config"
	"cellwarden/modem"
	"cellwarden/modem/at"
	"cellwarden/modem/profile"
)

// OpenModem opens a modem and makes its settings. A refused setting is noted by
// Init and is no error.
func OpenModem(ctx context.Context, spec modem.Spec) (Modem, error) {
	m, err := modem.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	if _, err := m.Init(ctx); err != nil {
		_ = m.Close()
		return nil, err
	}
	return m, nil
}

// ModemSpec says which modem the config means.
func ModemSpec(cfg config.Config, rec *modem.Recorder) modem.Spec {
	m := cfg.Modem
	spec := modem.Spec{Baud: m.Baud, Timeout: m.CommandTimeout.Std(), Recorder: rec}
	if m.Profile != "auto" {
		spec.Profile = m.Profile
	}
	if m.Port != "auto" {
		spec.Port = m.Port
		return spec
	}
	spec.USB.Vendor, spec.USB.Product = strings.ToLower(m.USBVendor), strings.ToLower(m.USBProduct)
	if m.USBInterface >= 0 {
		spec.USB.Interface = fmt.Sprintf("%02x", m.USBInterface)
	}
	return spec
}

// anyModem fills in the vendor of whatever modem is plugged in, where the
// config names neither a port nor a vendor.
func anyModem(spec modem.Spec) (modem.Spec, error) {
	if spec.Port != "" || spec.USB.Vendor != "" {
		return spec, nil
	}
	root := spec.SysRoot
	if root == "" {
		root = "/sys"
	}
	ports, err := at.FindPort(root, spec.USB)
	if err != nil {
		return spec, err
	}
	vendors, err := profile.ModemVendors()
	if err != nil {
		return spec, err
	}
	for _, p := range ports {
		if vendors[p.Vendor] != "" {
			spec.USB.Vendor, spec.USB.Product = p.Vendor, p.Product
			return spec, nil
		}
	}
	return spec, fmt.Errorf("%w: no port of a known modem maker under %s; set modem.port, or modem.usb_vendor", modem.ErrNotFound, root)
}

// PortTrouble words why the port could not be opened, as core's port states. Of
// a held one the detail is who holds it.
func PortTrouble(err error) (state, detail string) {
	var held *at.HeldError
	switch {
	case errors.As(err, &held):
		return "held", held.By.String()
	case errors.Is(err, modem.ErrNotAT):
		return "garbage", err.Error()
	case errors.Is(err, modem.ErrNoAnswer):
		return "silent", err.Error()
	case errors.Is(err, at.ErrBlind), errors.Is(err, at.ErrPermission):
		return "unreadable", err.Error() // the board keeps us from looking: nothing is known of the modem
	}
	return "absent", err.Error()
}
