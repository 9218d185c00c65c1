package main

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
	if want := "PROFILE PRESENCE CELL SIGNAL REJECT SESSION BYTES TEMP SLOT PCO"; strings.Join(strings.Fields(lines[0]), " ") != want {
		t.Errorf("head %q", lines[0])
	}
	for i, r := range profile.Table() {
		if got, want := strings.Join(strings.Fields(lines[1+i]), " "), r.Name+" "+strings.Join(r.How, " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, r := range profile.Table() {
		want := strings.TrimSpace(r.Name+" "+strings.Join(r.Families, ", ")) + " from: " + strings.Join(r.Sources, "; ")
		if len(r.Unseen) > 0 {
			want += " in no capture or manual here: " + strings.Join(r.Unseen, ", ")
		}
		if !strings.Contains(text, strings.Join(strings.Fields(want), " ")) {
			t.Errorf("not in the table: %s", want)
		}
	}
}
