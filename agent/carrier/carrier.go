// Package carrier holds what is known of operators: what their refusals and
// messages mean, when their billing cycle turns. One TOML file each; the file
// named by its first PLMN. It is pure.
package carrier

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed 460-*.toml
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
	// Weights overrides rows of the weight table for this operator, in decibans.
	Weights map[string]map[string]float64 `toml:"weights"`
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
