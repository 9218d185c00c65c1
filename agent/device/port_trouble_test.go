package device

import (
	"fmt"
	"path/filepath"
	"testing"

	"cellwarden/modem"
	"cellwarden/modem/at"
)

// TestPortTrouble tells a modem that is not there from a board that keeps the
// agent from looking.
func TestPortTrouble(t *testing.T) {
	_, blind := at.FindPort(filepath.Join(t.TempDir(), "sys"), at.USBMatch{})
	for _, tt := range []struct {
		name  string
		err   error
		state string
	}{
		{"/sys is not mounted", blind, "unreadable"},
		{"no right to open the port", fmt.Errorf("modem: %w", at.ErrPermission), "unreadable"},
		{"nothing on USB", fmt.Errorf("modem: %w", modem.ErrNotFound), "absent"},
		{"no such tty", fmt.Errorf("modem: %w", at.ErrNoPort), "absent"},
		{"a tty without an answer", fmt.Errorf("modem: %w", modem.ErrNoAnswer), "silent"},
		{"a card reader", fmt.Errorf("modem: %w", modem.ErrNotAT), "garbage"},
	} {
		if state, detail := PortTrouble(tt.err); state != tt.state || detail == "" {
			t.Errorf("%s: %q (%q), want %q", tt.name, state, detail, tt.state)
		}
	}
}
