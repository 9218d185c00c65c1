// Package carrier holds what is known of operators: what their refusals and
// messages mean, when their billing cycle turns. One TOML file each; the file
// named by its first PLMN. It is pure.
package carrier

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed [0-9]*.toml
var files embed.FS

// Carrier is one operator.
type Carrier struct {
	Name     string   `toml:"name"`
	NameZH   string   `toml:"name_zh"`
	PLMNs    []string `toml:"plmns"`  // MCC+MNC digits, home network codes
	Source   string   `toml:"source"` // where the facts come from
	CycleDay int      `toml:"cycle_day"`
	Offset   string   `toml:"utc_offset"`
	// ResumeLagHours is how long after the cycle's turn a stopped line may still
	// be down: the first figure is usual, the second the longest that is normal.
	ResumeLagHours [2]int `toml:"resume_lag_hours"`
	// Rounding is how it counts usage, as far as that is published.
	Rounding Rounding `toml:"rounding"`
	// Weights overrides rows of the weight table for this operator, in decibans.
	Weights map[string]map[string]float64 `toml:"weights"`
}

// Rounding is a rule by which usage is counted. The zero value is as the device
// counts: IP packets with their headers, nothing rounded.
type Rounding struct {
	UnitBytes      uint64  `toml:"unit_bytes"`       // each span is rounded up to this
	Per            string  `toml:"per"`              // "session", "day" or "cycle"
	SessionsPerDay float64 `toml:"sessions_per_day"` // of a line that is always on
	PacketBytes    uint64  `toml:"packet_bytes"`     // counted with each IP packet besides
	Source         string  `toml:"source"`
}

func (r Rounding) check() error {
	switch {
	case r == Rounding{}:
		return nil
	case r.Source == "":
		return errors.New("rounding.source is required")
	case r.UnitBytes > 0 && r.Per != "session" && r.Per != "day" && r.Per != "cycle":
		return fmt.Errorf("rounding.per %q: want session, day or cycle", r.Per)
	case r.Per == "session" && r.SessionsPerDay <= 0:
		return errors.New("rounding.sessions_per_day is required with sessions")
	}
	return nil
}

// Load reads the embedded carriers.
func Load() ([]Carrier, error) {
	names, err := fs.Glob(files, "*.toml")
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	var out []Carrier
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c, err := Parse(name, string(data))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Parse reads one carrier file; name is for the error text.
func Parse(name, text string) (Carrier, error) {
	var c Carrier
	md, err := toml.Decode(text, &c)
	if err != nil {
		return c, fmt.Errorf("carrier: %s: %w", name, err)
	}
	if un := md.Undecoded(); len(un) > 0 {
		return c, fmt.Errorf("carrier: %s: unknown key %q", name, un[0].String())
	}
	if c.Name == "" || len(c.PLMNs) == 0 || c.Source == "" {
		return c, fmt.Errorf("carrier: %s: name, plmns and source are required", name)
	}
	if err := c.Rounding.check(); err != nil {
		return c, fmt.Errorf("carrier: %s: %w", name, err)
	}
	return c, nil
}

// ByPLMN finds the carrier that plmn (digits, or MCC-MNC) belongs to.
func ByPLMN(list []Carrier, plmn string) (Carrier, bool) {
	plmn = strings.ReplaceAll(plmn, "-", "")
	for _, c := range list {
		for _, p := range c.PLMNs {
			if p == plmn {
				return c, true
			}
		}
	}
	return Carrier{}, false
}
