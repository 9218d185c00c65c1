package config

import "strings"

// Lang is device.lang of a config, "" when it says nothing. It reads no more than
// that line: the command line asks at every call, and wants words even where the
// file is wrong elsewhere.
func Lang(file string) string {
	section := ""
	for line := range strings.Lines(file) {
		line, _, _ = strings.Cut(line, "#")
		key, value, pair := strings.Cut(line, "=")
		switch key = strings.TrimSpace(key); {
		case strings.HasPrefix(key, "["):
			section = key
		case pair && section == "[device]" && key == "lang":
			return strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return ""
}
