package profile

import (
	_ "embed"

	"github.com/BurntSushi/toml"
)

//go:embed usb/vendors.toml
var vendorsTOML string

// ModemVendors are the makers of cellular modems by their USB vendor number, four hex
// digits in lower case. It reads the list anew each time; a search of ports is rare.
func ModemVendors() (map[string]string, error) {
	m := map[string]string{}
	_, err := toml.Decode(vendorsTOML, &m)
	return m, err
}
