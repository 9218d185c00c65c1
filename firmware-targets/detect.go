package targets

import "strings"

// Facts are what a machine says of itself. The zero value says nothing.
type Facts struct {
	Compatible []string // of the device tree, the most particular first
	Model      string   // of the device tree, or DMI's vendor and product
	CPU        CPU
	Arch       string // GOARCH
	Android    bool
}

// How much a match says: a model more than any string of the device tree, those the
// more the earlier they stand there, then the processor's name, then its kind.
const (
	byModel      = 10_000
	byCompatible = 1_000
	byCPU        = 100
	byArch       = 10
)

// Match says how well t fits, 0 for not at all, and by which fact.
func (t *Target) Match(f Facts) (rank int, by string) {
	d := t.Detect
	if d.OS == "android" && !f.Android {
		return 0, ""
	}
	if d.OS != "" {
		defer func() {
			if rank > 0 {
				rank++ // the same board with Android, where both are described
			}
		}()
	}
	for _, m := range d.Model {
		if m != "" && strings.HasPrefix(f.Model, m) {
			return byModel, f.Model
		}
	}
	for i, have := range f.Compatible {
		for _, want := range d.Compatible {
			if compatible(have, want) {
				return byCompatible - 10*min(i, 50), have
			}
		}
	}
	for _, c := range d.CPU {
		if c != "" && f.CPU.Name == c {
			return byCPU, c
		}
	}
	for _, a := range d.Arch {
		if a != "" && f.Arch == a {
			return byArch, a
		}
	}
	return 0, ""
}

func compatible(have, want string) bool {
	return want != "" && (have == want || strings.HasPrefix(have, want+"-"))
}

// Detect finds the built-in board that fits best, and by which fact; nil when none
// does. Only files that could fit are parsed.
func Detect(f Facts) (*Target, string, error) {
	var best *Target
	rank, by := 0, ""
	for _, name := range Names() {
		text, err := Text(name)
		if err != nil {
			return nil, "", err
		}
		if !f.mentioned(text) {
			continue
		}
		t, err := Parse(name+".toml", text)
		if err != nil {
			return nil, "", err
		}
		if r, why := t.Match(f); r > rank {
			best, rank, by = t, r, why
		}
	}
	return best, by, nil
}

// mentioned reports whether any quoted word of text may be one of the facts. It may
// say yes too often, never no where Match would not.
func (f Facts) mentioned(text string) bool {
	for _, word := range strings.Split(text, `"`) {
		if word == "" {
			continue
		}
		if word == f.CPU.Name || word == f.Arch || strings.HasPrefix(f.Model, word) {
			return true
		}
		for _, have := range f.Compatible {
			if compatible(have, word) {
				return true
			}
		}
	}
	return false
}
