package core

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/explain"
	"cellwarden/modem/modemtest"
)

// longScenario is too long to be played twice in every test run.
const longScenario = 20 * time.Hour

// verdict is what must be the same.
type verdict struct {
	Class      diag.Code
	Verdict    diag.Verdict
	Candidates []diag.Candidate
}

func verdictOf(d diag.Diagnosis) verdict { return verdict{d.Class, d.Verdict, d.Candidates} }

// exported reads the core's recording as the explain command reads a bundle.
func exported(t *testing.T, c *Core) (explain.Case, Recording) {
	t.Helper()
	r := c.Recording()
	raw, err := json.Marshal(map[string]any{"id": "recording", "exchange": r.Entries,
		"context": map[string]any{"now": c.now.Wall, "clock_trusted": c.now.Trusted}})
	if err != nil {
		t.Fatal(err)
	}
	cases, err := explain.Read("recording", strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return cases[0], r
}

// What is exported at the end of any scenario, and in the middle of its fault,
// is judged as it was live; where nothing was thinned out, step by step.
func TestRecordingsReproduceTheLiveVerdict(t *testing.T) {
	files, err := filepath.Glob(scenarioDir + "/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	compared, thinned := 0, 0
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sc, err := modemtest.Parse(f, data)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, sc)
			if sc.Device["poll"] != "" && w.script[len(w.script)-1].at > longScenario && os.Getenv("CELLWARDEN_LONG") == "" {
				t.Skip("days long: CELLWARDEN_LONG=1 plays it a second time")
			}
			live := map[int]verdict{} // by the number of observations so far
			var core *Core
			w.after = func() {
				if core != w.core {
					core = w.core
					clear(live)
					core.ring.Max = 16 << 20 // step by step needs them all
				}
				if n := core.ring.Len(); n%11 == 0 && n > 0 {
					live[n] = verdictOf(diag.Diagnose(&core.known, nil))
				}
			}
			if sc.Device["poll"] != "" {
				w.after = nil // months: the end is enough
			}
			w.play()
			c, r := exported(t, w.core)
			if got, want := verdictOf(explain.Judge(c, nil)), verdictOf(r.Diagnosis); !reflect.DeepEqual(got, want) {
				t.Errorf("after %d thinned out: judged again %+v, live %+v", r.Dropped, got, want)
			}
			if r.Dropped > 0 {
				thinned++
				return
			}
			var k diag.Known
			for i, o := range c.Observations() {
				k.Observe(o)
				if want, ok := live[i+1]; ok {
					compared++
					if got := verdictOf(diag.Diagnose(&k, nil)); !reflect.DeepEqual(got, want) {
						t.Fatalf("at observation %d (%s): judged again %+v, live %+v", i, o.Source, got, want)
					}
				}
			}
		})
	}
	t.Logf("%d scenarios, %d steps judged again as live; of %d full rings the end", len(files), compared, thinned)
}
