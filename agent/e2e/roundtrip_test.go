package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cellwarden/agent/diag"
)

// A field fault becomes a test by copying a file: what the agent records of a
// fault is judged by explain as it was judged live, and played by the simulator,
// as a case and as a scenario, it leads a second agent to the same verdict.
func TestRecordedFaultIsJudgedAlikeEverywhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault string
		class diag.Code
	}{
		{"sim absent", "sim_absent"},
		{"reg denied cause=7", "suspended_unspecified"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			modem := newModem(t, "healthy-quectel")
			modem.do(tt.fault)
			live := direct(t, modem.port)
			if live.Class != tt.class {
				t.Fatalf("the fault itself is judged %s", live.Class)
			}
			m := newMachine(t, nil, fmt.Sprintf("[device]\nid = \"roundtrip\"\n[modem]\nport = %q\npoll = \"1s\"\n[data]\ninterfaces = [\"none0\"]\n[probes]\nthird_party = []\nhttp_url = \"\"\ndns = []\nntp = []\n%s", modem.port, testPace))
			m.start()
			m.says(live.Class, patient)
			file, scene := filepath.Join(t.TempDir(), "bundle.json"), filepath.Join(t.TempDir(), "bundle.txtar")
			for _, args := range [][]string{{"bundle", "-o", file}, {"bundle", "--scenario", "-o", scene}} {
				if out, errs, code := m.run(args...); code != 0 {
					t.Fatalf("%v: exit %d %s%s", args, code, out, errs)
				}
			}
			m.stop()
			for _, f := range []string{file, scene} {
				text, err := os.ReadFile(f)
				if err != nil || strings.Contains(string(text), "460000000000001") {
					t.Errorf("%s: %v, or it shows the subscriber's number", f, err)
				}
			}

			out, errs, _ := runAgent(t, nil, "explain", "--json", file)
			if !strings.Contains(out, `"`+string(live.Class)+`"`) {
				t.Errorf("explain does not say %s: %s%s", live.Class, out, errs)
			}
			for name, args := range map[string][]string{"case": {"-case", file, "-id", "recording"}, "scenario": {scene}} {
				again := newModem(t, "", args...)
				if got := direct(t, again.port); got.Class != live.Class {
					t.Errorf("played as a %s: %s %s, recorded from %s", name, got.Verdict, got.Class, live.Class)
				}
			}
		})
	}
}

// direct is the verdict of the command that asks the modem itself.
func direct(t *testing.T, port string) (d diag.Diagnosis) {
	t.Helper()
	out, errs, code := runAgent(t, nil, "diagnose", "--direct", port, "--json")
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("diagnose: exit %d: %v\n%s%s", code, err, out, errs)
	}
	return d
}
