package profile

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

//go:embed *.toml
var files embed.FS

// maxFile bounds one file: the longest built-in one is a few kilobytes.
const maxFile = 64 << 10

// file is the form of a profile on disk.
type file struct {
	Name     string              `toml:"name"`
	Title    string              `toml:"title"`
	Families []string            `toml:"families"`
	Sources  []string            `toml:"sources"`
	Notes    []string            `toml:"notes"`
	Match    match               `toml:"match"`
	Examples []match             `toml:"example"`
	URCs     []string            `toml:"urcs"`
	Banners  []string            `toml:"banners"`
	Finals   []string            `toml:"finals"`
	Never    []string            `toml:"never"`
	Unseen   []string            `toml:"unseen"`
	Answers  map[string][]string `toml:"answers"`
	Init     []step              `toml:"init"`
	Query    map[string]recipe   `toml:"query"`
}

type match struct {
	Manufacturer string `toml:"manufacturer"`
	Model        string `toml:"model"`
	Revision     string `toml:"revision"`
}

type step struct {
	Name  string   `toml:"name"`
	Tries []string `toml:"tries"`
	Why   string   `toml:"why"`
	// Ask is a read whose answer, where it matches Unless, makes the step needless.
	Ask    string `toml:"ask"`
	Unless string `toml:"unless"`
}

type recipe struct {
	Commands []string `toml:"commands"`
	Any      bool     `toml:"any"`
	Timeout  string   `toml:"timeout"`
	Note     string   `toml:"note"`
}

// Builtin reads the profiles that are linked in.
func Builtin() (*Set, error) { return load(nil, files) }

// Load reads the built-in profiles and those of dir over them: a file there
// replaces the built-in one of the same name, or adds a family. Every error
// names the file, and the line where there is one.
func Load(dir fs.FS) (*Set, error) {
	base, err := Builtin()
	if err != nil {
		return nil, err
	}
	return load(base, dir)
}

func load(base *Set, dir fs.FS) (*Set, error) {
	names, err := fs.Glob(dir, "*.toml")
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	found := map[string]*Profile{}
	if base != nil {
		for _, p := range base.list {
			found[p.Name] = p
		}
	}
	// The ground comes first, since the others are laid over it.
	sort.Slice(names, func(i, j int) bool {
		a, b, ground := names[i], names[j], Ground+".toml"
		return b != ground && (a == ground || a < b)
	})
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("profile: %w", err)
		}
		p, err := Parse(name, text, found[Ground])
		if err != nil {
			return nil, err
		}
		found[p.Name] = p
	}
	ground, ok := found[Ground]
	if !ok {
		return nil, errors.New("profile: " + Ground + ".toml: missing, all others stand on it")
	}
	s := &Set{list: []*Profile{ground}}
	for name, p := range found {
		if name != Ground {
			s.list = append(s.list, p)
		}
	}
	others := s.list[1:]
	sort.Slice(others, func(i, j int) bool { return others[i].Name < others[j].Name })
	return s, nil
}

// Parse reads one file. ground is nil for the ground itself.
func Parse(name string, text []byte, ground *Profile) (*Profile, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("profile: %s: longer than %d bytes", name, maxFile)
	}
	if line := tooNested(string(text)); line > 0 {
		return nil, fmt.Errorf("profile: %s:%d: nested too deep", name, line)
	}
	var f file
	meta, err := toml.Decode(string(text), &f)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("profile: %s:%d: %s", name, pe.Position.Line, pe.Message)
		}
		return nil, fmt.Errorf("profile: %s: %w", name, err)
	}
	bad := func(key, format string, args ...any) error {
		return fmt.Errorf("profile: %s:%d: %s", name, lineOf(string(text), key), fmt.Sprintf(format, args...))
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		key := extra[0]
		return nil, bad(key[len(key)-1], "unknown key %q", key.String())
	}
	if want := strings.TrimSuffix(path.Base(name), ".toml"); f.Name != want {
		return nil, bad("name", "name is %q, the file's name says %q", f.Name, want)
	}
	isGround := f.Name == Ground
	p := &Profile{
		Name: f.Name, Title: f.Title, Families: f.Families, Sources: f.Sources, Notes: f.Notes,
		URCs: f.URCs, Banners: f.Banners, Finals: f.Finals, Answers: f.Answers, Never: f.Never, Unseen: f.Unseen,
		Recipes: map[Query]Recipe{}, File: name,
	}
	if f.Title == "" || len(f.Sources) == 0 {
		return nil, bad("name", "a title and at least one source are needed")
	}
	if !isGround && ground == nil {
		return nil, bad("name", "no ground to stand on")
	}
	for _, m := range []struct {
		key, text string
		into      **regexp.Regexp
	}{{"manufacturer", f.Match.Manufacturer, &p.Match.Manufacturer}, {"model", f.Match.Model, &p.Match.Model}, {"revision", f.Match.Revision, &p.Match.Revision}} {
		if m.text == "" {
			continue
		}
		re, err := regexp.Compile("(?i)" + m.text)
		if err != nil {
			return nil, bad(m.key, "match %s: %v", m.key, err)
		}
		*m.into = re
	}
	if isGround == (p.Match != Match{}) {
		return nil, bad("match", "every family needs a match, and the ground has none")
	}
	for _, e := range f.Examples {
		p.Examples = append(p.Examples, Identity(e))
	}
	if !isGround {
		p.Init = slices.Clone(ground.Init)
		for q, r := range ground.Recipes {
			r.Ground = true
			p.Recipes[q] = r
		}
		p.Banners = append(slices.Clone(ground.Banners), p.Banners...)
	}
	for i, s := range f.Init {
		if s.Name == "" || len(s.Tries) == 0 || len(s.Tries) > maxCommands {
			return nil, bad("init", "init step %d needs a name and 1 to %d tries", i+1, maxCommands)
		}
		tries, reason := commands(s.Tries, setting)
		if reason != "" {
			return nil, bad(s.Name, "init %s: %s", s.Name, reason)
		}
		own := Step{Name: s.Name, Tries: tries, Why: s.Why}
		if (s.Ask == "") != (s.Unless == "") {
			return nil, bad(s.Name, "init %s: ask and unless go together", s.Name)
		}
		if s.Ask != "" {
			ask, reason := commands([]string{s.Ask}, reading)
			if reason != "" {
				return nil, bad(s.Name, "init %s: %s", s.Name, reason)
			}
			re, err := regexp.Compile(s.Unless)
			if err != nil {
				return nil, bad(s.Name, "init %s: unless: %v", s.Name, err)
			}
			own.Ask, own.Unless = ask[0], re
		}
		if at := slices.IndexFunc(p.Init, func(x Step) bool { return x.Name == s.Name }); at >= 0 {
			p.Init[at] = own
		} else {
			p.Init = append(p.Init, own)
		}
	}
	for key, r := range f.Query {
		q := Query(key)
		if !q.Known() {
			return nil, bad("query."+key, "unknown query %q", key)
		}
		own, reason := r.build()
		if reason != "" {
			return nil, bad("query."+key, "query %s: %s", key, reason)
		}
		if len(own.Commands) == 0 {
			delete(p.Recipes, q) // documented as not there
			continue
		}
		p.Recipes[q] = own
	}
	return p, nil
}

func (r recipe) build() (Recipe, string) {
	cmds, reason := commands(r.Commands, reading)
	if reason != "" {
		return Recipe{}, reason
	}
	if len(cmds) > maxCommands {
		return Recipe{}, fmt.Sprintf("more than %d commands", maxCommands)
	}
	if len(cmds) == 0 && r.Note == "" {
		return Recipe{}, "no commands, and no note that says why"
	}
	timeout := DefaultTimeout
	if r.Timeout != "" {
		var err error
		if timeout, err = time.ParseDuration(r.Timeout); err != nil || timeout <= 0 || timeout > maxTimeout {
			return Recipe{}, fmt.Sprintf("timeout %q is not a duration up to %v", r.Timeout, maxTimeout)
		}
	}
	return Recipe{Commands: cmds, Any: r.Any, Timeout: timeout, Note: r.Note}, ""
}

// purpose says what a command in a file may do.
type purpose bool

const (
	reading purpose = false
	setting purpose = true
)

// harmful are beginnings of commands that a file may not hold: they end or
// change a data session, scan, restart, write the modem's memory, or spend
// attempts of a PIN.
var harmful = []string{
	"Z", "&", "D", "H", "A", "O", "+COPS=0", "+COPS=1", "+COPS=2", "+COPS=4", "+COPS=?", "+CFUN=", "+CGATT=", "+CGACT=",
	"+CGDCONT=", "+CPIN=", "+CLCK=", "+CPWD=", "+CMGD", "+CMGS", "+CMGW", "+CMSS", "+CSAS", "+CRES", "+CGDATA", "+QPOWD", "+QRST",
	"+CPOF", "+CRESET", "+QIACT=", "+QIDEACT", "+CNACT=", "+NETOPEN", "+NETCLOSE", "+QICSGP=", "+CMUX", "+IPR=",
}

// reads are commands with '=' that set nothing all the same.
var reads = []*regexp.Regexp{
	regexp.MustCompile(`^\+QENG="(servingcell|neighbourcell)"$`),
	regexp.MustCompile(`^\+(QCFG|QNWCFG|QNWLOCK|QNWPREFCFG)="[a-zA-Z0-9_/]+"$`), // no value: read
	regexp.MustCompile(`^\+CMGL=4$`),
	regexp.MustCompile(`^\+(CGPADDR|QLTS)=1$`),
	regexp.MustCompile(`^\+(CGCONTRDP|CGSN)=1$`),
	regexp.MustCompile(`^#(MONI|TEMPMON)=[01]$`),
	regexp.MustCompile(`^\^[A-Z]+\?$`),
	regexp.MustCompile(`^\+EEMGINFO\?$`),
	regexp.MustCompile(`^\+KCELLMEAS=0$`),   // 0: once, now
	regexp.MustCompile(`^\+GTSENRDTEMP=1$`), // the sensor's number
}

func commands(list []string, why purpose) (cmds []string, reason string) {
	for _, c := range list {
		c = strings.TrimPrefix(c, "AT")
		if c == "" || strings.ContainsAny(c, "\r\n;\x1a") {
			return nil, fmt.Sprintf("command %q: one command, without AT or line end", c)
		}
		for _, h := range harmful {
			if strings.HasPrefix(strings.ToUpper(c), h) {
				return nil, fmt.Sprintf("command %q: may disturb the data session or the modem's memory", c)
			}
		}
		if why == reading && strings.Contains(c, "=") && !slices.ContainsFunc(reads, func(re *regexp.Regexp) bool { return re.MatchString(c) }) {
			return nil, fmt.Sprintf("command %q: a query may not set anything", c)
		}
		cmds = append(cmds, "AT"+c)
	}
	return cmds, ""
}

// maxNesting is more than any profile needs. The TOML library takes seconds for
// a line of thousands of dots or brackets.
const maxNesting = 8

// tooNested returns the first line with too many dots or brackets outside of
// quotes, or 0.
func tooNested(text string) int {
	for i, line := range strings.Split(text, "\n") {
		n, quote := 0, rune(0)
		for _, r := range line {
			switch {
			case quote != 0:
				if r == quote {
					quote = 0
				}
			case r == '"' || r == '\'':
				quote = r
			case r == '.' || r == '{' || r == '[':
				n++
			}
		}
		if n > maxNesting {
			return i + 1
		}
	}
	return 0
}

// lineOf finds the line of a key, 1 when it is not found.
func lineOf(text, key string) int {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		name, _, ok := strings.Cut(line, "=")
		if ok && strings.Trim(strings.TrimSpace(name), `"`) == key ||
			strings.Trim(line, "[]") == key || strings.HasSuffix(strings.Trim(line, "[]"), "."+key) ||
			ok && strings.TrimSpace(name) == "name" && strings.Contains(line, `"`+key+`"`) {
			return i + 1
		}
	}
	return 1
}
