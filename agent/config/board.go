package config

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"

	targets "cellwarden/firmware-targets"
)

// Board is the board that the config stands on.
type Board struct {
	Target *targets.Target // nil: an unknown board
	// By is how it is known: "config", a file, or the fact that the board gave away.
	By string
}

// BoardFile, beside the config, describes a board that is not built in.
const BoardFile = "board.toml"

// Load reads the file at path over Default and over what is known of the board. Its
// error is a Problems.
func Load(path string) (Config, error) {
	c, _, err := LoadOn(os.DirFS("/"), path)
	return c, err
}

// LoadOn is Load on a machine of which root shows /proc and /sys, and says which
// board it is. The config always wins: what the board says counts only where a key
// is left out, or says "auto" or nothing.
func LoadOn(root fs.FS, path string) (Config, Board, error) {
	text, err := readFile(path)
	if err != nil {
		return Config{}, Board{}, unreadable(path, err)
	}
	c, err := Parse(path, text)
	if err != nil {
		return Config{}, Board{}, err
	}
	board, err := FindBoard(root, c.Device.Target, path)
	if err != nil {
		p := Problem{File: path, Line: indexLines(string(text)).of("device.target"), Key: "device.target", What: err.Error(), Cure: "correct it, or write \"auto\""}
		return Config{}, Board{}, Problems{p}
	}
	if board.Target == nil {
		return c, board, nil
	}
	known := board.Target.Known()
	base := Default
	lay(&base, known)
	if !reflect.DeepEqual(base, Default) {
		if c, err = parseOver(base, path, text); err != nil {
			return Config{}, Board{}, err
		}
	}
	fill(&c, known)
	if problems := Check(c); len(problems) > 0 { // of the board, since the file alone was good
		for i := range problems {
			problems[i].File = "board " + board.Target.Name
		}
		return Config{}, Board{}, Problems(problems)
	}
	return c, board, nil
}

// FindBoard reads the board that target names ("" and "auto": the one at hand) for a
// config at configPath, which need not be there.
func FindBoard(root fs.FS, target, configPath string) (Board, error) {
	if target == "" {
		target = "auto"
	}
	return findBoard(root, target, filepath.Join(filepath.Dir(configPath), BoardFile))
}

// findBoard reads the board that target names; "auto" is the file own, where it is
// there, else the built-in one that fits what the machine says of itself.
func findBoard(root fs.FS, target, own string) (Board, error) {
	if target != "auto" && !strings.Contains(target, "/") {
		t, err := targets.Get(target)
		return Board{t, "config"}, err
	}
	if target != "auto" {
		own = target
	}
	text, err := readFile(own)
	switch {
	case err == nil:
		t, err := targets.Parse(own, string(text))
		return Board{t, own}, err
	case target != "auto" || !errors.Is(err, fs.ErrNotExist):
		return Board{}, err
	}
	t, by, err := targets.Detect(targets.ReadFacts(root, runtime.GOARCH))
	return Board{t, by}, err
}

// lay puts under the config what a key of the file replaces.
func lay(c *Config, t targets.Target) {
	if len(t.Data.Interfaces) > 0 {
		c.Data.Interfaces = slices.Clone(t.Data.Interfaces)
	}
	if t.Paths.State != "" {
		c.Store.Dir = t.Paths.State
	}
	if n := t.Flash.FlushBytes(); n > 0 {
		c.Store.MeterFlushBytes = n
	}
	if t.Paths.Run != "" {
		c.API.Socket = path.Join(t.Paths.Run, path.Base(Default.API.Socket))
	}
}

// fill gives a value to what the file leaves open by "auto", "" or [].
func fill(c *Config, t targets.Target) {
	m := &c.Modem
	if m.Port == "auto" && m.USBVendor == "" {
		switch vendor, product, usb := strings.Cut(t.Modem.USB, ":"); {
		case usb:
			m.USBVendor, m.USBProduct = vendor, product
			if t.Modem.USBInterface != nil && m.USBInterface < 0 {
				m.USBInterface = *t.Modem.USBInterface
			}
		case t.Modem.UART != "":
			m.Port = t.Modem.UART
			if m.Baud == Default.Modem.Baud {
				m.Baud = t.Modem.Baud
			}
		}
	}
	if m.Profile == "auto" && t.Modem.Profile != "" {
		m.Profile = t.Modem.Profile
	}
	if len(c.Probes.DNS) == 0 {
		c.Probes.DNS = slices.Clone(t.Net.DNS)
	}
	if c.Uplink.CAFile == "" {
		c.Uplink.CAFile = t.Net.CAFile
	}
}
