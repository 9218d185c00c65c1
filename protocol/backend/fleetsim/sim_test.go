package fleetsim

import (
	"testing"
	"time"
)

func play(t *testing.T, seed uint64, machines int, days time.Duration) *Sim {
	t.Helper()
	s, err := New(Config{Machines: machines, Districts: 2, Seed: seed, From: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		For:  days * 24 * time.Hour,
		Poll: 30 * time.Minute, Rate: 20})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	return s
}

// Three crowded days: what is said with 0.8 and more is right in 80 % and more, and the
// platform's word lets more be said. No outage is found that was not played.
func TestWhatTheBackendMakesOfAFleet(t *testing.T) {
	var all Result
	for seed := range uint64(2) {
		r := play(t, seed+1, 25, 3).Result
		all.Silences += r.Silences
		all.OutagesFalse += r.OutagesFalse
		all.Alerts, all.Messages = all.Alerts+r.Alerts, all.Messages+r.Messages
		all.OutagesPlayed, all.OutagesFound = all.OutagesPlayed+r.OutagesPlayed, all.OutagesFound+r.OutagesFound
		all.Without.Said, all.Without.Right = all.Without.Said+r.Without.Said, all.Without.Right+r.Without.Right
		all.Right.Said, all.Right.Right = all.Right.Said+r.Right.Said, all.Right.Right+r.Right.Right
		for c, x := range r.Rows {
			y := all.row(c)
			y.Played += x.Played
			y.With.Said, y.With.Right = y.With.Said+x.With.Said, y.With.Right+x.With.Right
			y.Without.Said, y.Without.Right = y.Without.Said+x.Without.Said, y.Without.Right+x.Without.Right
		}
	}
	t.Logf("%d silences\n%s", all.Silences, all.Table())
	if all.Right.Right*100 < all.Right.Said*80 || all.Without.Right*100 < all.Without.Said*80 {
		t.Error("the bar is 80 % of what is said with 0.8 and more")
	}
	if all.Right.Said <= all.Without.Said || all.OutagesFalse > 0 {
		t.Errorf("said %d with the platform's word, %d without; %d false outages", all.Right.Said, all.Without.Said, all.OutagesFalse)
	}
	for _, c := range []string{"arrears", "power", "weak_signal"} {
		if all.Rows[c] == nil {
			t.Errorf("%s was not played", c)
		}
	}
	if x := all.Rows["arrears"]; x != nil && (x.With.Right*10 < x.Played*6 || x.Without.Right > 0) {
		t.Errorf("arrears: %+v of %d; without the platform nobody can know", x.With, x.Played)
	}
	if all.Alerts == 0 {
		t.Error("no machine told what it was")
	}
}

// The same seed is the same fleet, to the last message.
func TestASeedIsAFleet(t *testing.T) {
	a, b := play(t, 7, 10, 2), play(t, 7, 10, 2)
	if a.Steps != b.Steps || a.Result.Messages != b.Result.Messages || a.Result.Table() != b.Result.Table() {
		t.Errorf("%d and %d steps\n%s%s", a.Steps, b.Steps, a.Result.Table(), b.Result.Table())
	}
	if len(a.Result.Weeks) == 0 || a.Result.Weeks[0].N == 0 {
		t.Error("no truth came with those that returned")
	}
}

func TestBadConfigs(t *testing.T) {
	for _, c := range []Config{{}, {Machines: 1}, {Machines: 1, For: time.Hour}, {Machines: 200_000, For: time.Hour, Poll: time.Minute}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
