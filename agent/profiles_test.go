package agent

import (
	"bytes"
	"strings"
	"testing"

	"cellwarden/agent/cli"
	"cellwarden/modem/profile"
)

// The table of families has a line for each, says of every item how it is
// answered, and marks what nobody has seen.
func TestProfilesVerb(t *testing.T) {
	var out, errs bytes.Buffer
	if code := profilesVerb(t.Context(), nil, cli.Env{Stdout: &out, Stderr: &errs}); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit %d, %s", code, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := "PROFILE PRESENCE CELL SIGNAL REJECT SESSION BYTES TEMP SLOT PCO FAMILIES SOURCES"; strings.Join(strings.Fields(lines[0]), " ") != want {
		t.Errorf("head %q", lines[0])
	}
	found := map[string]string{}
	for _, l := range lines[1:] {
		name, rest, _ := strings.Cut(l, " ")
		found[name] = strings.Join(strings.Fields(rest), " ")
	}
	for _, r := range profile.Table() {
		if !strings.HasPrefix(found[r.Name], strings.Join(r.How, " ")+" ") {
			t.Errorf("%s: %q", r.Name, found[r.Name])
		}
	}
	if got := found["zte"]; !strings.HasPrefix(got, "- own 3gpp 3gpp 3gpp - - - - ME3630, ") || !strings.HasSuffix(got, "in no capture or manual here: +ZEND, +ZPASR, ME3630") {
		t.Errorf("zte: %q", got)
	}
	if !strings.HasPrefix(lines[len(lines)-1], "own: ") {
		t.Errorf("no legend: %q", lines[len(lines)-1])
	}
}
