package profile

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func builtin(t *testing.T) *Set {
	t.Helper()
	s, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every built-in file reads, and every example in it is matched by it alone.
func TestBuiltinFiles(t *testing.T) {
	s := builtin(t)
	names, err := fs.Glob(files, "*.toml")
	if err != nil || len(names) != len(s.All()) {
		t.Fatalf("%d files, %d profiles, %v", len(names), len(s.All()), err)
	}
	for _, p := range s.All() {
		if p.Name == Ground {
			continue
		}
		if len(p.Families) == 0 || len(p.Examples) == 0 {
			t.Errorf("%s: no families or no examples", p.File)
		}
		for _, id := range p.Examples {
			var by []string
			for _, other := range s.All() {
				if other.Matches(id) {
					by = append(by, other.Name)
				}
			}
			if !slices.Equal(by, []string{p.Name}) {
				t.Errorf("%s: example %+v is matched by %v", p.File, id, by)
			}
			if got := s.For(id); got != p {
				t.Errorf("For(%+v) = %s", id, got.Name)
			}
		}
		for _, n := range p.Never {
			if cmd, why, ok := strings.Cut(n, " # "); !ok || why == "" || !strings.HasPrefix(cmd, "AT") {
				t.Errorf("%s: never %q: write it as AT… # reason", p.File, n)
			}
		}
	}
}

func TestGround(t *testing.T) {
	s := builtin(t)
	g := s.For(Identity{Manufacturer: "nobody", Model: "nothing"})
	if g.Name != Ground {
		t.Fatalf("an unknown modem got %s", g.Name)
	}
	var missing []Query
	for _, q := range Queries {
		if _, ok := g.Recipes[q]; !ok {
			missing = append(missing, q)
		}
	}
	if want := []Query{Presence, Cell, Backoff, Locks, Counters, Temperature, Slot, PCO}; !slices.Equal(missing, want) {
		t.Errorf("3GPP does not specify %v, the ground lacks %v", want, missing)
	}
	ec, ok := s.Get("quectel-ec2x")
	if !ok {
		t.Fatal("no quectel-ec2x")
	}
	if r := ec.Recipes[Registration]; !r.Ground || r.Commands[0] != "AT+CEREG?" {
		t.Errorf("registration of EC2x: %+v", r)
	}
	if r := ec.Recipes[Cell]; r.Ground || r.Commands[0] != `AT+QENG="servingcell"` || r.Timeout != DefaultTimeout {
		t.Errorf("cell of EC2x: %+v", r)
	}
	if len(ec.Init) != len(g.Init) || ec.Init[0].Tries[0] != "ATE0" {
		t.Errorf("init of EC2x: %+v", ec.Init)
	}
}

// EC200 is another chip than EC20, however alike the names are.
func TestLookalikes(t *testing.T) {
	s := builtin(t)
	for _, tt := range []struct{ maker, model, want string }{
		{"Quectel", "EC20F", "quectel-ec2x"},
		{"Quectel", "EG25", "quectel-ec2x"},
		{"SIMCOM INCORPORATED", "SIMCOM_SIM7600E", "simcom-sim76xx"},
		{"QUECTEL", "EC25", "quectel-ec2x"},
	} {
		if got := s.For(Identity{Manufacturer: tt.maker, Model: tt.model}).Name; got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.maker, tt.model, got, tt.want)
		}
	}
	if got := s.For(Identity{Manufacturer: "Quectel", Model: "EC200A"}).Name; got == "quectel-ec2x" {
		t.Errorf("EC200A: %s", got)
	}
}

const good = "name = \"x\"\ntitle = \"X\"\nfamilies = [\"X\"]\nsources = [\"a manual\"]\n[match]\nmodel = \"^X\"\n"

func TestBadFiles(t *testing.T) {
	ground, _ := builtin(t).Get(Ground)
	tests := []struct{ name, text, want string }{
		{"unknown key", good + "[query.cell]\ncommands = [\"+X?\"]\nparser = \"qss\"\n", `profile: x.toml:9: unknown key "query.cell.parser"`},
		{"bad TOML", "name = \"x\"\ntitle = \n", "profile: x.toml:2: expected value but found '\\n' instead"},
		{"dots without end", good + strings.Repeat("a.", 9) + "a = 1\n", "profile: x.toml:7: nested too deep"},
		{"unknown query", good + "[query.mood]\ncommands = [\"+X?\"]\n", `profile: x.toml:7: unknown query "mood"`},
		{"other name", strings.Replace(good, `"x"`, `"y"`, 1), `profile: x.toml:1: name is "y", the file's name says "x"`},
		{"bad pattern", strings.Replace(good, "^X", "(", 1), "profile: x.toml:6: match model: error parsing regexp: missing closing ): `(?i)(`"},
		{"no match", good[:strings.Index(good, "[match]")], "profile: x.toml:1: every family needs a match, and the ground has none"},
		{"no source", strings.Replace(good, `["a manual"]`, "[]", 1), "profile: x.toml:1: a title and at least one source are needed"},
		{"a scan", good + "[query.operator]\ncommands = [\"+COPS=?\"]\n", `profile: x.toml:7: query operator: command "+COPS=?": may disturb the data session or the modem's memory`},
		{"a reset at start", good + "[[init]]\nname = \"reset\"\ntries = [\"Z\"]\n", `profile: x.toml:8: init reset: command "Z": may disturb the data session or the modem's memory`},
		{"a radio cycle", good + "[[init]]\nname = \"radio\"\ntries = [\"AT+CFUN=1\"]\n", `profile: x.toml:8: init radio: command "+CFUN=1": may disturb the data session or the modem's memory`},
		{"a setting as a query", good + "[query.cell]\ncommands = [\"+QCFG=\\\"band\\\",1\"]\n", `profile: x.toml:7: query cell: command "+QCFG=\"band\",1": a query may not set anything`},
		{"two commands in one", good + "[query.cell]\ncommands = [\"+X;+CFUN=0\"]\n", `profile: x.toml:7: query cell: command "+X;+CFUN=0": one command, without AT or line end`},
		{"timeout", good + "[query.cell]\ncommands = [\"+X?\"]\ntimeout = \"3h\"\n", `profile: x.toml:7: query cell: timeout "3h" is not a duration up to 1m15s`},
		{"no commands", good + "[query.cell]\ncommands = []\n", "profile: x.toml:7: query cell: no commands, and no note that says why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("x.toml", []byte(tt.text), ground)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
}

func TestOverlay(t *testing.T) {
	s, err := Load(fstest.MapFS{
		"x.toml":            {Data: []byte(good + "[query.registration]\ncommands = []\nnote = \"it has none\"\n")},
		"quectel-ec2x.toml": {Data: []byte("name = \"quectel-ec2x\"\ntitle = \"ours\"\nsources = [\"here\"]\n[match]\nmodel = \"^EC25\"\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	x := s.For(Identity{Model: "X1"})
	if _, ok := x.Recipes[Registration]; x.Name != "x" || ok {
		t.Errorf("%s: %+v", x.Name, x.Recipes[Registration])
	}
	if p, _ := s.Get("quectel-ec2x"); p.Title != "ours" {
		t.Errorf("not replaced: %s", p.Title)
	}
	if _, err := Load(fstest.MapFS{"bad.toml": {Data: []byte("nmae = 1")}}); err == nil || !strings.HasPrefix(err.Error(), "profile: bad.toml:1: unknown key \"nmae\"") {
		t.Errorf("error %v", err)
	}
}

func TestTable(t *testing.T) {
	rows := Table()
	if len(rows) == 0 || rows[0].Name != Ground {
		t.Fatalf("%+v", rows)
	}
	for _, r := range rows[1:] {
		if len(r.Families) == 0 || len(r.Sources) == 0 {
			t.Errorf("%s: families %v, sources %v", r.Name, r.Families, r.Sources)
		}
	}
}

// Lines that no recorded case and no transcript shows are marked so in the file,
// and what is shown meanwhile is no longer marked.
func TestUnseenIsMarked(t *testing.T) {
	shown := ""
	for _, pattern := range []string{"testdata/*.txt", "../threegpp/testdata/*.json"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			shown += string(text)
		}
	}
	marks := 0
	for _, p := range builtin(t).All() {
		var unseen []string
		lines := slices.Concat(p.URCs, p.Banners)
		for _, e := range p.Examples {
			lines = append(lines, e.Model)
		}
		for _, l := range lines {
			if !strings.Contains(shown, l) && !slices.Contains(unseen, l) {
				unseen = append(unseen, l)
			}
		}
		slices.Sort(unseen)
		marks += len(unseen)
		if !slices.Equal(unseen, p.Unseen) {
			t.Errorf("%s: unseen = %q, want %q", p.File, p.Unseen, unseen)
		}
	}
	t.Logf("%d lines and names are marked as seen nowhere", marks)
}

// What the table says of families that a technician would look up.
func TestHow(t *testing.T) {
	s := builtin(t)
	for name, want := range map[string]string{
		"3gpp":          "presence - cell - signal 3gpp reject 3gpp session 3gpp bytes - temp - slot - pco -",
		"quectel-ec2x":  "presence own cell own signal own reject 3gpp session own bytes own temp own slot - pco -",
		"huawei-balong": "presence - cell own signal own reject own session own bytes own temp - slot - pco -",
		"quectel-m95":   "presence - cell - signal own reject 3gpp session 3gpp bytes - temp own slot - pco -",
		"sierra-hl":     "presence - cell - signal own reject own session 3gpp bytes - temp - slot - pco -",
	} {
		p, ok := s.Get(name)
		if !ok {
			t.Fatal(name)
		}
		var got []string
		for i, how := range p.How() {
			got = append(got, Items[i].Name, how)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s\nwant %s", name, strings.Join(got, " "), want)
		}
	}
}

// The package is pure: no clock, no files of its own, no goroutine.
func TestPure(t *testing.T) {
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			switch strings.Trim(imp.Path.Value, `"`) {
			case "os", "net", "sync", "os/exec":
				t.Errorf("%s imports %s", name, imp.Path.Value)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add("[query.cell]\ncommands=[\"\"]")
	s, err := Builtin()
	if err != nil {
		f.Fatal(err)
	}
	ground, _ := s.Get(Ground)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("x.toml", []byte(text), ground)
		if err == nil && (p.Name != "x" || len(p.Sources) == 0) {
			t.Errorf("accepted %q as %+v", text, p)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "profile: x.toml") {
			t.Errorf("error without its place: %v", err)
		}
	})
}
