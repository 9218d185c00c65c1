package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/journal"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
)

// The daemon of these tests has what a technician at the machine needs.
var onsiteSaid []string

func (d *daemon) Chronicle(_ context.Context, since time.Time) (localapi.Chronicle, error) {
	all := []journal.Entry{{Unix: 1_795_313_000, Kind: journal.Fault, What: "sim_absent", Why: "confirmed"},
		{Unix: 1_795_314_060, Kind: journal.Over, What: "sim_absent", Why: "recovered", Lasted: 1060}, {Unix: 1_795_320_000, Kind: journal.Message, What: "stop_arrears", Count: 2}}
	for len(all) > 0 && all[0].Unix < since.Unix() {
		all = all[1:]
	}
	return localapi.Chronicle{Entries: all}, d.err
}
func (d *daemon) Identities(context.Context) (localapi.Identities, error) {
	return localapi.Identities{ICCID: "89860000000000000017", IMEI: "860000000000017"}, d.err
}
func (d *daemon) Did(_ context.Context, what string) error {
	onsiteSaid = append(onsiteSaid, what)
	return d.err
}
func (d *daemon) Repair(_ context.Context, on bool) error {
	onsiteSaid = append(onsiteSaid, map[bool]string{true: "repair", false: "end"}[on])
	d.status.Recovery = &localapi.Recovery{Able: true, PausedS: map[bool]int64{true: 3600}[on]}
	return d.err
}
func (d *daemon) Hold(context.Context, time.Duration) error { return d.err }

func TestLogTellsWhatHappened(t *testing.T) {
	d := &daemon{}
	code, out, errs := call(t, d, Env{}, "log", "--since", "2026-11-01", "--lang", "zh")
	want := "2026-11-22 10:03   故障：没有检测到 SIM 卡（已确认）\n"
	if code != exitOK || errs != "" || !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 3 || !strings.Contains(out, "短信：欠费停机（2 次）") {
		t.Errorf("exit %d, %q:\n%s\nwant it to begin with\n%s", code, errs, out, want)
	}
	if _, out, _ = call(t, d, Env{}, "log", "--since", "2026-11-22T10:10:00+08:00", "--lang", "en"); strings.Contains(out, "fault:") || !strings.Contains(out, "over: No SIM card found") {
		t.Errorf("since 10:10:\n%s", out)
	}
	if code, _, errs = call(t, d, Env{}, "log", "--since", "yesterday"); code != exitFail || !strings.Contains(errs, "7d, 12h") {
		t.Errorf("exit %d, %q", code, errs)
	}
}

func TestSinceWhen(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, beijing)
	for s, want := range map[string]time.Time{"7d": now.AddDate(0, 0, -7), "12h": now.Add(-12 * time.Hour), "0d": now, "2026-11-20": time.Date(2026, 11, 20, 0, 0, 0, 0, beijing)} {
		if got, err := sinceWhen(s, now, beijing); err != nil || !got.Equal(want) {
			t.Errorf("%s = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "-3d", "7dd", "400d", "-1h", "22.11."} {
		if got, err := sinceWhen(s, now, beijing); err == nil {
			t.Errorf("%q = %v", s, got)
		}
	}
}

// What a technician does at the console reaches the agent; the numbers in full are for
// this console only.
func TestOnSiteVerbs(t *testing.T) {
	d := &daemon{status: fixture.Statuses()["healthy"]}
	onsiteSaid = nil
	for _, tt := range []struct {
		args string
		code int
		says string
	}{
		{"sim", 0, "ICCID   89860000000000000017"}, {"sim --json", 0, `"imei": "860000000000017"`},
		{"did card_reseated --lang zh", 0, "已记下"}, {"did danced", 1, "bill_paid"}, {"did", 1, "an argument is missing"},
		{"repair on --lang en", 0, "repair mode for another 1 h"}, {"repair off --lang en", 0, "nothing to do"}, {"repair maybe", 1, "say on or off"},
		{"signal --once --lang en", 0, "RSRP -92 dBm"}, {"signal --json", 0, `"rsrp_dbm": -92`},
		{"completion bash", 0, "complete -F"}, {"completion zsh", 0, "#compdef"}, {"completion fish", 0, "-a status"}, {"completion ksh", 1, "bash, zsh or fish"},
	} {
		code, out, errs := call(t, d, Env{}, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(out+errs, tt.says) {
			t.Errorf("%s: exit %d, %q is not in:\n%s%s", tt.args, code, tt.says, out, errs)
		}
	}
	if got := strings.Join(onsiteSaid, " "); got != "card_reseated repair end" {
		t.Errorf("the agent heard %q", got)
	}
	if _, out, _ := call(t, d, Env{}, "status", "--all"); strings.Contains(out, "89860000000000000017") {
		t.Error("the status shows the card's number")
	}
}

// Each class has a code of its own that stays: new classes come last.
func TestCodesOfTheDisplay(t *testing.T) {
	code, out, _ := call(t, &daemon{}, Env{}, "codes")
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		c := line[:3]
		if seen[c] {
			t.Errorf("two classes show %s", c)
		}
		seen[c] = true
		if w := width(line); w > columns {
			t.Errorf("%d columns: %s", w, line)
		}
	}
	if code != 0 || !strings.HasPrefix(out, "E01  欠费停机") || !strings.Contains(out, "E06  没有检测到 SIM 卡") || len(seen) < 20 {
		t.Errorf("exit %d:\n%s", code, out)
	}
}
