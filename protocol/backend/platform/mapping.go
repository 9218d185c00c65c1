package platform

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed mappings/*.toml
var files embed.FS

// A Mapping is what one platform calls things: a file of mappings/.
type Mapping struct {
	Name    string            // the file's name
	Title   map[string]string // by language
	Source  string            // where the facts are from
	Host    string            // the usual one, "" where each customer has his own
	Zone    string            // offset of times that are written without one: +08:00
	Cycle   int               // day on which the billing cycle begins; 0: none, or the contract's
	Unit    string            // of amounts without a suffix
	Lag     string            // up to when usage counts: live, hours, midnight (the last one), lag_unknown
	ICCID   int               // how many characters of it are asked with: 19, 20, or 0 as it is
	Scheme  []string          // the ways to log in or sign, the default first
	Needs   []string          // what an account has to hold
	Limits  Limits
	Path    map[string]string            // of each call
	Sign    map[string][]string          // what enters a signature beside the usual, by call
	Frame   map[string]string            // the answer's code: its Kind
	Table   map[string]map[string]string // codes to states (state…), reasons (reason…), and others
	Setting map[string]string            // what an account may set otherwise, with its default

	zone *time.Location
}

// Limits are what a platform allows an account.
type Limits struct {
	Calls  int      // within Per
	Per    duration //
	AtOnce int      `toml:"at_once"`
	Batch  int      // cards in a batch; 0: there is none
	Page   int      // entries of a page
	Why    string   // who says so
}

type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

// Names lists the platforms.
func Names() []string {
	list, _ := files.ReadDir("mappings")
	var out []string
	for _, f := range list {
		out = append(out, strings.TrimSuffix(f.Name(), ".toml"))
	}
	return out
}

// LoadMapping reads the mapping of a platform by its name.
func LoadMapping(name string) (*Mapping, error) {
	raw, err := files.ReadFile(path.Join("mappings", name+".toml"))
	if err != nil {
		return nil, fmt.Errorf("no platform is called %q: there are %s", clip(name, 40), strings.Join(Names(), ", "))
	}
	return ParseMapping(name, raw)
}

// ParseMapping reads a mapping file, for those who keep their own beside the program's.
func ParseMapping(name string, raw []byte) (*Mapping, error) {
	m := &Mapping{Name: name}
	meta, err := toml.Decode(string(raw), m)
	if err != nil {
		return nil, fmt.Errorf("%s.toml: %w", name, err)
	}
	if bad := meta.Undecoded(); len(bad) > 0 {
		return nil, fmt.Errorf("%s.toml: %s is not known here", name, bad[0])
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s.toml: %w", name, err)
	}
	return m, nil
}

func (m *Mapping) check() error {
	zone, err := parseZone(m.Zone)
	if err != nil {
		return err
	}
	m.zone = zone
	switch {
	case m.Title["en"] == "" || m.Title["zh"] == "":
		return fmt.Errorf("title wants en and zh")
	case m.Source == "":
		return fmt.Errorf("source is empty: say where the facts are from")
	case m.Limits.Calls < 1 || m.Limits.Per <= 0 || m.Limits.AtOnce < 1:
		return fmt.Errorf("limits wants calls, per and at_once above 0")
	case m.Limits.Why == "":
		return fmt.Errorf("limits.why is empty")
	case !slices.Contains([]string{"live", "hours", "midnight", "lag_unknown"}, m.Lag):
		return fmt.Errorf("lag %q: want live, hours, midnight or lag_unknown", m.Lag)
	case units[m.Unit] == 0:
		return fmt.Errorf("unit %q: want B, KB, MB or GB", m.Unit)
	case m.Cycle < 0 || m.Cycle > 31:
		return fmt.Errorf("cycle %d: want 0 to 31", m.Cycle)
	}
	for code, kind := range m.Frame {
		if !slices.Contains(kinds, Kind(kind)) {
			return fmt.Errorf("frame: %q is no kind; code %s", kind, code)
		}
	}
	for table, codes := range m.Table {
		for code, to := range codes {
			if strings.HasPrefix(table, "state") && !slices.Contains(States, to) {
				return fmt.Errorf("table.%s: %q is no state; code %s", table, to, code)
			}
			if strings.HasPrefix(table, "reason") && !slices.Contains(Reasons, to) {
				return fmt.Errorf("table.%s: %q is no reason; code %s", table, to, code)
			}
		}
	}
	return nil
}

func parseZone(s string) (*time.Location, error) {
	t, err := time.Parse("-07:00", s)
	if err != nil {
		return nil, fmt.Errorf("zone %q: want an offset such as +08:00", clip(s, 20))
	}
	_, sec := t.Zone()
	return time.FixedZone(s, sec), nil
}

// asOf is up to when a usage figure counts that was answered at now.
func (m *Mapping) asOf(lag string, now time.Time) time.Time {
	now = now.In(m.zone)
	switch lag {
	case "live":
		return now
	case "midnight":
		return time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, m.zone)
	}
	return time.Time{} // not known: say nothing rather than now
}
