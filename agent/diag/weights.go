package diag

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

//go:embed weights.toml
var weightsTOML string

// Rule is one row of the weight table.
type Rule struct {
	Channel string             `toml:"channel"`
	Member  bool               `toml:"member"` // may tell arrears, over_quota, admin_suspended and expired_or_cancelled apart
	Echo    bool               `toml:"echo"`   // rests on the word of another channel, so is no second witness beside it
	Weights map[string]float64 `toml:"weights"`
	Source  string             `toml:"source"` // required in an operator's file: who says so
}

// Weights is the whole table. Read-only once loaded.
type Weights struct {
	Priors map[string]float64 `toml:"priors"` // per cent
	Rule   map[string]Rule    `toml:"rule"`
}

// maxWeightDB clips each channel (diagnosis.md §5.1).
const maxWeightDB = 15

const channels = "HSRNEUCTFX"

// DefaultWeights is the built-in table.
var DefaultWeights = func() *Weights {
	w, err := ParseWeights("weights.toml", weightsTOML, nil)
	if err != nil {
		panic("diag: " + err.Error()) // embedded, and read by every test
	}
	return w
}()

// ParseWeights reads a table. With a base it is an override: rows given replace
// weights of the base's rows, each must name its source, and no new rule can
// appear (rules are code). Errors name the file and the row.
func ParseWeights(name, text string, base *Weights) (*Weights, error) {
	var w Weights
	md, err := toml.Decode(text, &w)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if un := md.Undecoded(); len(un) > 0 {
		return nil, fmt.Errorf("%s: unknown key %q; a row has channel, weights, member, echo, source", name, un[0].String())
	}
	for class, percent := range w.Priors {
		if !knownClass(class) {
			return nil, fmt.Errorf("%s: [priors] %q is no diagnosis class", name, class)
		}
		if !(percent >= 0 && percent <= 1000) { // NaN too; the scale is any, per cent by habit
			return nil, fmt.Errorf("%s: [priors] %s = %g is not from 0 to 1000", name, class, percent)
		}
	}
	for id, r := range w.Rule {
		if base != nil {
			if _, ok := base.Rule[id]; !ok {
				return nil, fmt.Errorf("%s: [rule.%s] there is no such rule; rules are listed in the built-in weights.toml", name, id)
			}
			if r.Source == "" {
				return nil, fmt.Errorf("%s: [rule.%s] source is missing: say who measured it", name, id)
			}
		} else if len(r.Channel) != 1 || !strings.Contains(channels, r.Channel) {
			return nil, fmt.Errorf("%s: [rule.%s] channel is required: one letter of %s", name, id, channels)
		}
		for class, db := range r.Weights {
			if class != suspendedGroup && !knownClass(class) {
				return nil, fmt.Errorf("%s: [rule.%s] %q is no diagnosis class", name, id, class)
			}
			if math.IsNaN(db) || math.Abs(db) > maxWeightDB {
				return nil, fmt.Errorf("%s: [rule.%s] %s = %g dB is outside ±%d", name, id, class, db, maxWeightDB)
			}
		}
	}
	if base == nil {
		return &w, nil
	}
	out := &Weights{Priors: map[string]float64{}, Rule: map[string]Rule{}}
	for c, p := range base.Priors {
		out.Priors[c] = p
	}
	for c, p := range w.Priors {
		out.Priors[c] = p
	}
	for id, r := range base.Rule {
		if o, ok := w.Rule[id]; ok {
			r.Weights, r.Source = o.Weights, o.Source
		}
		out.Rule[id] = r
	}
	return out, nil
}

func knownClass(c string) bool { return slices.Contains(Classes, Code(c)) }

func (h hit) text() Text { return Text{Key: "evidence." + h.rule, Args: h.args} }
