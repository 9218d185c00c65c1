package profile

import (
	"regexp"
	"testing"
)

// A number in another form would never match what sysfs says, and a maker without a
// name is nobody's.
func TestModemVendors(t *testing.T) {
	m, err := ModemVendors()
	if err != nil {
		t.Fatal(err)
	}
	if m["2c7c"] != "Quectel" || m["0403"] != "" {
		t.Errorf("2c7c is %q, 0403 (FTDI, a serial adapter) is %q", m["2c7c"], m["0403"])
	}
	for number, name := range m {
		if !regexp.MustCompile(`^[0-9a-f]{4}$`).MatchString(number) || name == "" {
			t.Errorf("%q = %q", number, name)
		}
	}
}
