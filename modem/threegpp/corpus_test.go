package threegpp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A recorded case: the exchanges of the diagnosis corpus, without its labels.
type recording struct {
	ID, Vendor, Model string
	Exchange          []struct {
		Cmd  string   `json:"cmd"`
		Resp []string `json:"resp"`
		URC  []string `json:"urc"`
	} `json:"exchange"`
}

func recordings(t testing.TB) []recording {
	t.Helper()
	var all []recording
	for _, name := range []string{"transcripts-open.json", "cases-open.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Cases []recording }
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, file.Cases...)
	}
	return all
}

// notFromAModem are the lines that stay unparsed, each for its reason.
var notFromAModem = map[string]string{
	"Modem hangup - possibly due to an unregistered SIM": "printed by the host's tool (Hologram)",
	"HTTP get failed ! error code = 7150":                "printed by the host's sketch (LilyGO)",
}

func TestCorpusHasNoUnparsedLine(t *testing.T) {
	used := map[string]bool{}
	cases := recordings(t)
	lines, raw := 0, 0
	defer func() { t.Logf("FIGURE corpus: %d lines of %d recordings, %d kept raw", lines, len(cases), raw) }()
	if len(cases) != 110 {
		t.Fatalf("got %d recordings, want 110", len(cases))
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			for _, e := range c.Exchange {
				var facts []Fact
				lines += len(e.URC) + len(e.Resp)
				for _, u := range e.URC {
					facts = append(facts, URC(u)...)
				}
				if e.Cmd != "" {
					facts = append(facts, Reply(e.Cmd, e.Resp)...)
				}
				for _, f := range facts {
					if u, ok := f.(Unparsed); ok {
						if notFromAModem[u.Line] == "" {
							t.Errorf("%s: %q: unparsed %q", e.Cmd, e.Resp, u.Line)
						}
						used[u.Line] = true
						raw++
					}
					checkFact(t, f)
				}
			}
		})
	}
	for text := range notFromAModem {
		if !used[text] {
			t.Errorf("allow-list: %q is not unparsed any more", text)
		}
	}
}

// checkFact holds what is true of every fact: it has a kind and a rendering,
// and shows no identity.
func checkFact(t testing.TB, f Fact) {
	t.Helper()
	if f.Kind() == "" || f.String() == "" {
		t.Errorf("%T has kind %q and text %q", f, f.Kind(), f.String())
	}
	if n := longestDigits(f.String()); n >= 14 {
		t.Errorf("%s shows a run of %d digits: %s", f.Kind(), n, f)
	}
	if s, ok := f.(Silence); ok && strings.TrimSpace(s.Command) == "" {
		t.Error("silence without a command")
	}
}
