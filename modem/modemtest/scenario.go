package modemtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

const (
	// maxScenarioBytes bounds a scenario file: a field recording of a day is
	// some hundred KB, and anything larger is not a scenario.
	maxScenarioBytes = 4 << 20
	// minEvery bounds repetition, so that a typo ("every 1ns") cannot make an
	// endless loop of one simulated day.
	minEvery = 100 * time.Millisecond
)

// A Section is one part of a scenario file, kept as written.
type Section struct {
	Name string
	Line int // line of the file where Data begins
	Data string
}

// A Scenario is a parsed scenario file. It is read-only once made and may be
// shared by many Players.
type Scenario struct {
	Name    string // file name as given to Parse
	Heading string // the text before the first section
	// Device holds the keys and values of the device section, keys in lower case.
	Device map[string]string
	// Sections holds every section, also those that this package does not read.
	Sections []Section
	// Start is the wall-clock time at the scenario's start, from the device
	// key "clock" (RFC 3339); DefaultStart when not given.
	Start time.Time

	modem  []action
	script []timedAction
	cues   []cue
}

// DefaultStart is the wall clock at the start of a scenario that names none.
var DefaultStart = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.FixedZone("", 8*3600))

// A timedAction is one line of the script.
type timedAction struct {
	at, every, until time.Duration // every 0: once; until 0: for ever
	act              action
}

// An action is one settings, event or reply line, ready to be performed.
type action func(p *Player)

// Section returns the named section.
func (sc *Scenario) Section(name string) (Section, bool) {
	for _, s := range sc.Sections {
		if s.Name == name {
			return s, true
		}
	}
	return Section{}, false
}

// ParseFile reads a scenario file.
func ParseFile(path string) (*Scenario, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("modemtest: %w", err)
	}
	if info.Size() > maxScenarioBytes {
		return nil, fmt.Errorf("modemtest: %s: %d bytes; a scenario has at most %d", path, info.Size(), maxScenarioBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("modemtest: %w", err)
	}
	return Parse(filepath.Base(path), data)
}

// Parse reads a scenario. Errors name file and line: "x.txtar:7: ...".
func Parse(name string, data []byte) (*Scenario, error) {
	if len(data) > maxScenarioBytes {
		return nil, fmt.Errorf("%s: %d bytes; a scenario has at most %d", name, len(data), maxScenarioBytes)
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	archive := txtar.Parse(data)
	sc := &Scenario{
		Name:    name,
		Heading: strings.TrimSpace(string(archive.Comment)),
		Device:  map[string]string{},
		Start:   DefaultStart,
	}
	line := 1 + bytes.Count(archive.Comment, []byte("\n"))
	for _, f := range archive.Files {
		line++ // the marker
		if _, twice := sc.Section(f.Name); twice {
			return nil, fmt.Errorf("%s:%d: section %q is there twice; join the two", name, line-1, f.Name)
		}
		sc.Sections = append(sc.Sections, Section{Name: f.Name, Line: line, Data: string(f.Data)})
		line += bytes.Count(f.Data, []byte("\n"))
	}
	if len(sc.Sections) == 0 {
		return nil, fmt.Errorf("%s:1: no section; a scenario needs at least a line \"-- modem --\"", name)
	}
	for _, s := range sc.Sections {
		var err error
		switch s.Name {
		case "device":
			err = sc.eachLine(s, sc.deviceLine)
		case "modem":
			err = sc.actionLines(s, sc.modemLine)
		case "script":
			err = sc.actionLines(s, sc.scriptLine)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(sc.script, func(a, b timedAction) int { return int(sign(a.at - b.at)) })
	return sc, nil
}

func sign(d time.Duration) time.Duration {
	return max(-1, min(1, d))
}

// eachLine calls do with each line that is not blank or a comment, and adds
// the place to its error.
func (sc *Scenario) eachLine(s Section, do func(text string) error) error {
	for i, text := range strings.Split(s.Data, "\n") {
		text = strings.TrimSpace(text)
		// "#QSS?" is a command of Telit's; only "# text" is a comment.
		if text == "" || text == "#" || strings.HasPrefix(text, "# ") {
			continue
		}
		if err := do(text); err != nil {
			return fmt.Errorf("%s:%d: %w", sc.Name, s.Line+i, err)
		}
	}
	return nil
}

func (sc *Scenario) deviceLine(text string) error {
	key, value, _ := strings.Cut(text, " ")
	key, value = strings.ToLower(key), strings.TrimSpace(value)
	if value == "" {
		return fmt.Errorf("device key %q has no value", key)
	}
	if _, twice := sc.Device[key]; twice {
		return fmt.Errorf("device key %q is there twice", key)
	}
	if check := deviceChecks[key]; check != nil {
		if err := check(value); err != nil {
			return fmt.Errorf("device key %q: %w", key, err)
		}
	}
	if key == "clock" {
		sc.Start, _ = time.Parse(time.RFC3339, value) // checked above
	}
	sc.Device[key] = value
	return nil
}

// actionLines reads a section of settings, events and replies. A line "then
// -> ..." belongs to the reply above it.
func (sc *Scenario) actionLines(s Section, add func(string) (*rule, error)) error {
	var last *rule
	return sc.eachLine(s, func(text string) error {
		if rest, ok := cutWord(text, "then"); ok {
			if last == nil {
				return fmt.Errorf("\"then\" continues a reply line, and there is none above it")
			}
			answer, err := parseAnswer(rest)
			if err != nil {
				return err
			}
			last.answers = append(last.answers, answer)
			return nil
		}
		var err error
		last, err = add(text)
		return err
	})
}

func (sc *Scenario) modemLine(text string) (*rule, error) {
	act, r, event, err := parseLine(text)
	if err != nil {
		return nil, err
	}
	if event {
		return nil, fmt.Errorf("%q happens at a time: put it in the script section with its time", firstWord(text))
	}
	sc.modem = append(sc.modem, act)
	return r, nil
}

func (sc *Scenario) scriptLine(text string) (*rule, error) {
	var t timedAction
	var err error
	word, rest, _ := strings.Cut(text, " ")
	if t.at, err = ParseTime(word); err != nil {
		return nil, fmt.Errorf("a script line begins with its time, such as 30s: %w", err)
	}
	rest = strings.TrimSpace(rest)
	if after, ok := cutWord(rest, "every"); ok {
		word, rest, _ = strings.Cut(after, " ")
		if t.every, err = ParseTime(word); err != nil {
			return nil, fmt.Errorf("every: %w", err)
		}
		if t.every < minEvery {
			return nil, fmt.Errorf("every %s is too often; at least %s", t.every, minEvery)
		}
		rest = strings.TrimSpace(rest)
		if after, ok := cutWord(rest, "until"); ok {
			word, rest, _ = strings.Cut(after, " ")
			if t.until, err = ParseTime(word); err != nil {
				return nil, fmt.Errorf("until: %w", err)
			}
			if t.until <= t.at {
				return nil, fmt.Errorf("until %s is not after the line's own time %s", t.until, t.at)
			}
			rest = strings.TrimSpace(rest)
		}
	}
	if rest == "" {
		return nil, fmt.Errorf("nothing happens at %s: the line ends after its time", t.at)
	}
	act, r, _, err := parseLine(rest)
	if err != nil {
		return nil, err
	}
	t.act = act
	sc.script = append(sc.script, t)
	return r, nil
}

// ParseTime reads a Go duration that may begin with days: "30s", "26d6h".
func ParseTime(s string) (time.Duration, error) {
	days, rest, hasDays := strings.Cut(s, "d")
	var total time.Duration
	if hasDays {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time such as 30s, 10m or 26d6h", s)
		}
		total = time.Duration(n) * 24 * time.Hour
		if rest == "" {
			rest = "0s"
		}
	} else {
		rest = s
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time such as 30s, 10m or 26d6h", s)
	}
	if d < 0 || total+d > maxScenarioTime || d > maxScenarioTime {
		return 0, fmt.Errorf("%q is outside 0 to %s", s, "10 years")
	}
	return total + d, nil
}

// maxScenarioTime keeps sums of times far from overflow.
const maxScenarioTime = 3650 * 24 * time.Hour

// parseLine reads one line without its time: a setting, an event or a reply.
// r is set for a reply.
func parseLine(text string) (act action, r *rule, event bool, err error) {
	word := firstWord(text)
	if v, ok := verbs[word]; ok {
		act, err := v.parse(strings.TrimSpace(strings.TrimPrefix(text, word)))
		if err != nil {
			return nil, nil, false, fmt.Errorf("%s: %w; it reads %q", word, err, v.usage)
		}
		return act, nil, v.event, nil
	}
	if strings.Contains(text, "->") {
		r, err := parseRule(text)
		if err != nil {
			return nil, nil, false, err
		}
		return func(p *Player) { p.setRule(r) }, r, false, nil
	}
	return nil, nil, false, fmt.Errorf("%q is neither a setting (sim, reg, signal, ...) nor a reply (\"+CSQ -> +CSQ: 20,99 | OK\")", word)
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// cutWord cuts word and the blanks behind it from s.
func cutWord(s, word string) (string, bool) {
	rest, ok := strings.CutPrefix(s, word)
	if !ok || rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return s, false
	}
	return strings.TrimSpace(rest), true
}
