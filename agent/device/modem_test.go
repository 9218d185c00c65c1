package device

import (
	"testing"
	"time"

	"cellwarden/agent/config"
)

// What [modem] says reaches the package that opens the modem.
func TestModemSpec(t *testing.T) {
	cfg := config.Default
	if s := ModemSpec(cfg, nil); s.Timeout != 5*time.Second || s.Port != "" || s.Profile != "" || s.USB.Interface != "" {
		t.Errorf("by default %+v", s)
	}
	cfg.Modem.CommandTimeout, cfg.Modem.USBVendor, cfg.Modem.USBInterface, cfg.Modem.Profile = config.Duration(9*time.Second), "2C7C", 10, "quectel-ec2x"
	if s := ModemSpec(cfg, nil); s.Timeout != 9*time.Second || s.USB.Vendor != "2c7c" || s.USB.Interface != "0a" || s.Profile != "quectel-ec2x" {
		t.Errorf("%+v", s)
	}
	cfg.Modem.Port = "/dev/cellwarden-at"
	if s := ModemSpec(cfg, nil); s.Port != "/dev/cellwarden-at" || s.USB.Vendor != "" {
		t.Errorf("a path alone: %+v", s)
	}
}
