package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"regexp"
	"strings"
)

// idSources are where a board's own number is found. Host names are not
// among them: boards flashed from one image all have the same.
var idSources = []struct {
	path   string
	hashed bool // not to be shown as it is
}{
	{"proc/device-tree/serial-number", false},
	{"sys/class/dmi/id/product_serial", false},
	{"etc/machine-id", true}, // machine-id(5) asks not to publish it
}

// serialPattern leaves out "None", "Default string" and the like: a serial
// number has a digit and no spaces.
var serialPattern = regexp.MustCompile(`^[A-Za-z0-9._-]*[0-9][A-Za-z0-9._-]*$`)

// ErrNoID is a board without a number of its own.
var ErrNoID = errors.New("this board has no serial number and no machine id; set device.id")

// DeviceID resolves the id "auto" from the board: the serial number in the
// device tree or in DMI, else a hash of the machine id, each behind "cw-". Any
// other id stays as it is. root is os.DirFS("/"). from is the file it came from.
func DeviceID(root fs.FS, id string) (resolved, from string, err error) {
	if id != "auto" {
		return id, "config", nil
	}
	for _, s := range idSources {
		b, err := fs.ReadFile(root, s.path)
		if err != nil {
			continue
		}
		text := strings.Trim(string(b), "\x00 \t\r\n")
		if s.hashed {
			if len(text) != 32 {
				continue
			}
			sum := sha256.Sum256([]byte("cellwarden device id " + text))
			return "cw-" + hex.EncodeToString(sum[:6]), "/" + s.path, nil
		}
		if len(text) < 4 || len(text) > 61 || !serialPattern.MatchString(text) || sameLetter(text) || text == "0123456789" {
			continue
		}
		return "cw-" + strings.ToLower(text), "/" + s.path, nil
	}
	return "", "", ErrNoID
}

// sameLetter finds "00000000", which unprogrammed boards report.
func sameLetter(s string) bool { return strings.Trim(s, s[:1]) == "" }
