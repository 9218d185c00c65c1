package remedy

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed ladders.toml
var laddersTOML string

// Step names one entry of the table of steps, such as "radio_cycle". The names
// cross the wire.
type Step string

// Disturbance says how much of the line a step takes away while it lasts.
type Disturbance int

// From nothing to the whole board, each with all that stands before it.
const (
	DisturbsNothing Disturbance = iota
	DisturbsCard                // the card is read again; the line may stay
	DisturbsSession             // the data session ends
	DisturbsRadio               // the module leaves the network
	DisturbsModule              // the module restarts
	DisturbsBoard               // the board restarts
)

var disturbances = map[string]Disturbance{
	"nothing": DisturbsNothing, "card": DisturbsCard, "session": DisturbsSession,
	"radio": DisturbsRadio, "module": DisturbsModule, "board": DisturbsBoard,
}

// StepInfo is one row of the table of steps.
type StepInfo struct {
	Disturbs string   `toml:"disturbs"`
	Timeout  duration `toml:"timeout"` // the longest it may take; then it counts as failed
	Settle   duration `toml:"settle"`  // after it, before the next rung and before its own disturbance is evidence
	Spends   []string `toml:"spends"`  // budgets it draws on
	Consent  bool     `toml:"consent"` // only where the config allows it by name
	Does     string   `toml:"does"`    // for whoever reads the table
}

// Budget limits how often steps may be taken. Of is "card" where the limit belongs
// to the SIM (TS.34 8.2.4_REQ_003) and "machine" where it belongs to the hardware.
type Budget struct {
	Limit  int      `toml:"limit"`
	Per    duration `toml:"per"`
	Of     string   `toml:"of"`
	Reason string   `toml:"reason"`
}

// Rung is one step of a climb. After counts from the end of the rung before, for
// the first one from when the class was judged.
type Rung struct {
	Step  Step     `toml:"step"`
	After duration `toml:"after"`
	// Bound names the standard that sets After: no search moves it. "" none does.
	Bound string `toml:"bound"`
}

// Wait is After as a time.Duration.
func (r Rung) Wait() time.Duration { return time.Duration(r.After) }

// With is the rung with another wait.
func (r Rung) With(wait time.Duration) Rung {
	r.After = duration(wait)
	return r
}

// Ladder is how one class is brought back.
type Ladder struct {
	Rungs []Rung `toml:"rungs"`
	// Patient is the step that is tried again and again once the rungs are used up,
	// after each wait of Waits; the last wait repeats. "" holds for good.
	Patient Step       `toml:"patient"`
	Waits   []duration `toml:"waits"`
	// News are steps that good news (a bill paid, a cycle begun, a technician's word)
	// brings forward. "" none.
	News Step `toml:"news"`
	// Hears are the kinds of news that count for the class; a technician's word always
	// does.
	Hears []string `toml:"hears"`
	// Never are steps that the class forbids, whatever else is configured.
	Never []Step `toml:"never"`
	// Spread is the longest random wait before the first rung, so that a district
	// does not come back in step.
	Spread duration `toml:"spread"`
	// Family: classes of one family share one climb. "" stands alone.
	Family string `toml:"family"`
	Reason string `toml:"reason"`
}

// Table is all that steers the engine. Read-only once loaded.
type Table struct {
	Step   map[Step]StepInfo `toml:"step"`
	Budget map[string]Budget `toml:"budget"`
	Class  map[string]Ladder `toml:"class"`
}

// Builtin is the table that is compiled in.
var Builtin = func() *Table {
	t, err := ParseTable("ladders.toml", laddersTOML)
	if err != nil {
		panic("remedy: " + err.Error()) // embedded, and read by every test
	}
	return t
}()

// ParseTable reads a table and checks that it is whole. Errors name file and row.
func ParseTable(name, text string) (*Table, error) {
	var t Table
	md, err := toml.Decode(text, &t)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if un := md.Undecoded(); len(un) > 0 {
		return nil, fmt.Errorf("%s: unknown key %q", name, un[0].String())
	}
	for _, b := range slices.Sorted(maps.Keys(t.Budget)) {
		if row := t.Budget[b]; row.Limit < 1 || row.Per <= 0 || row.Of != "card" && row.Of != "machine" || row.Reason == "" {
			return nil, fmt.Errorf("%s: [budget.%s] limit (1 or more), per, of (card or machine) and reason are required", name, b)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(t.Step)) {
		row := t.Step[s]
		if _, ok := disturbances[row.Disturbs]; !ok {
			return nil, fmt.Errorf("%s: [step.%s] disturbs = %q; one of nothing, card, session, radio, module, board", name, s, row.Disturbs)
		}
		if row.Timeout <= 0 || row.Does == "" {
			return nil, fmt.Errorf("%s: [step.%s] timeout and does are required", name, s)
		}
		if t.disturbs(s) > DisturbsCard && len(row.Spends) == 0 {
			return nil, fmt.Errorf("%s: [step.%s] cuts the line and draws on no budget", name, s)
		}
		for _, b := range row.Spends {
			if _, ok := t.Budget[b]; !ok {
				return nil, fmt.Errorf("%s: [step.%s] spends %q, which is no budget", name, s, b)
			}
		}
	}
	for _, c := range slices.Sorted(maps.Keys(t.Class)) {
		if err := t.checkLadder(t.Class[c]); err != nil {
			return nil, fmt.Errorf("%s: [class.%s] %w", name, c, err)
		}
	}
	return &t, nil
}

func (t *Table) checkLadder(l Ladder) error {
	steps := []Step{}
	for _, r := range l.Rungs {
		steps = append(steps, r.Step)
	}
	if l.Patient != "" {
		steps = append(steps, l.Patient)
		if len(l.Waits) == 0 {
			return fmt.Errorf("patient = %q has no waits", l.Patient)
		}
	}
	if l.News != "" {
		steps = append(steps, l.News)
	}
	for _, s := range append(steps, l.Never...) {
		if _, ok := t.Step[s]; !ok {
			return fmt.Errorf("%q is no step", s)
		}
	}
	for _, s := range steps {
		if slices.Contains(l.Never, s) {
			return fmt.Errorf("step %q is forbidden by its own never", s)
		}
	}
	if l.Reason == "" {
		return fmt.Errorf("reason is missing")
	}
	return nil
}

// Forbids reports whether class may never take a step.
func (t *Table) Forbids(class string, s Step) bool { return slices.Contains(t.Class[class].Never, s) }

func (t *Table) disturbs(s Step) Disturbance { return disturbances[t.Step[s].Disturbs] }

// Disturbs says how much of the line a step takes away.
func (t *Table) Disturbs(s Step) Disturbance { return t.disturbs(s) }

// Settle is how long after a step its own disturbance is no evidence.
func (t *Table) Settle(s Step) time.Duration { return time.Duration(t.Step[s].Settle) }

// Timeout is the longest that a step may take.
func (t *Table) Timeout(s Step) time.Duration { return time.Duration(t.Step[s].Timeout) }

// duration reads "90s" from TOML.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v < 0 {
		err = fmt.Errorf("%s is negative", v)
	}
	*d = duration(v)
	return err
}
