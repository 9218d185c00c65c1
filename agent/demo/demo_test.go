package demo

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/modem"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The whole story, as make demo -fast tells it. It waits for conditions only;
// the bound is for a computer that does something else besides.
func TestStory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	var out, log strings.Builder
	r, err := Run(ctx, Options{Out: &out, Log: &log, Fast: true, Version: "test", Getenv: func(string) string { return "" }})
	if err != nil || t.Failed() {
		t.Fatalf("%v\n%s\nthe agent's log:\n%s", err, &out, &log)
	}
	if r.Handed < 100 || r.Durable != r.Handed || r.Delivered != r.Handed {
		t.Errorf("%d events handed in, %d durable, %d delivered; want at least 100, and all", r.Handed, r.Durable, r.Delivered)
	}
	if r.Kept < 30 || r.Missing != 0 || r.OutOfOrder != 0 || r.Holes != 0 {
		t.Errorf("%d kept, %d missing, %d out of order, %d gaps; want at least 30 kept and none of the others", r.Kept, r.Missing, r.OutOfOrder, r.Holes)
	}
	if r.Metered != r.Moved || r.Metered < quota {
		t.Errorf("%d bytes metered, %d moved, want the same and more than the plan", r.Metered, r.Moved)
	}
	if got := strings.Join(r.Alerts, ","); got != "over_quota confirmed" {
		t.Errorf("alerts %s, want over_quota alone", got)
	}
	for _, words := range []string{
		"== 1 ", "== 2 ", "== 3 ", "== 4 ", "== 5 ", "sale #1 is here", "WARNING 80 %", "WARNING 95 %", "+CGEV: NW PDN DEACT 1",
		"over_quota, confirmed", "back by itself? yes, on 2026-04-01 00:00", "流量超套停机（已确认）", "CLEAR over_quota", "each once",
	} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("nobody said %q in\n%s", words, &out)
		}
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if width(line) > 80 {
			t.Errorf("wider than a terminal of 80 columns: %q", line)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours although nobody asked for them")
	}
}

// Who stops the demo stops all of it.
func TestStoryStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := writer(func(p []byte) {
		if strings.Contains(string(p), "sale #1 ") {
			cancel()
		}
	})
	defer cancel()
	if _, err := Run(ctx, Options{Out: out, Fast: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

// Without pseudo terminals the modem plays in memory.
func TestModemWithoutTerminal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var d drama
	_, open, err := startModem(ctx, "/no/such/folder/ttyUSB2", &d)
	if err != nil {
		t.Fatal(err)
	}
	if open == nil {
		t.Fatal("a terminal in a folder that is not there")
	}
	for range 2 { // opened again after a loss
		m, err := open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		answers := m.Ask(ctx, modem.SIM)
		if len(answers) == 0 || !answers[0].Accepted() {
			t.Errorf("the modem's card: %+v", answers)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A promise that does not hold is seen: each field of a good report is spoilt
// in turn.
func TestJudge(t *testing.T) {
	good := func() Report {
		return Report{Handed: 9, Durable: 9, Kept: 3, Delivered: 9, Messages: 12, Moved: 5, Metered: 5, Alerts: []string{"over_quota confirmed"},
			Clears: []string{"over_quota by cycle_start"}, RaisedAfter: time.Minute, ClearedAfter: time.Minute,
			Warnings: []string{"forecast", "80 %", "95 %", "100 %"}, Restored: true, Foretold: opening, Exhausted: opening,
			ResumesAt: newMonth.Format(time.RFC3339)}
	}
	bad := func(r Report) (n int) {
		r.judge(nil)
		for _, c := range r.Checks {
			if !c.OK {
				n++
			}
		}
		return n
	}
	if n := bad(good()); n != 0 {
		t.Fatalf("%d checks fail on a good report", n)
	}
	for name, spoil := range map[string]func(*Report){
		"not durable":        func(r *Report) { r.Durable-- },
		"not delivered":      func(r *Report) { r.Delivered-- },
		"nothing kept":       func(r *Report) { r.Kept = 0 },
		"missing":            func(r *Report) { r.Missing++ },
		"out of order":       func(r *Report) { r.OutOfOrder++ },
		"a gap":              func(r *Report) { r.Holes++ },
		"another alert":      func(r *Report) { r.Alerts = append(r.Alerts, "ambiguous undecided") },
		"no alert":           func(r *Report) { r.Alerts = nil },
		"late alert":         func(r *Report) { r.RaisedAfter = time.Hour },
		"alert too early":    func(r *Report) { r.RaisedAfter = -time.Minute },
		"not cleared":        func(r *Report) { r.Clears = nil },
		"cleared by another": func(r *Report) { r.Clears = []string{"over_quota by recovered"} },
		"cleared late":       func(r *Report) { r.ClearedAfter = time.Hour },
		"no forecast":        func(r *Report) { r.Warnings = r.Warnings[1:] },
		"wrong forecast":     func(r *Report) { r.Foretold = r.Foretold.AddDate(0, 0, 3) },
		"not restored":       func(r *Report) { r.Restored = false },
		"no return foretold": func(r *Report) { r.ResumesAt = "" },
		"bytes lost":         func(r *Report) { r.Metered-- },
	} {
		r := good()
		spoil(&r)
		if bad(r) == 0 {
			t.Errorf("%s: no check fails", name)
		}
	}
}

// Dull time passes fast only while agent and story both wait, and stands at the
// first time that is waited for.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(opening)
		defer c.stop()
		c.run(3600)
		passed := func() time.Duration { return c.wall().Sub(opening) }
		time.Sleep(time.Second)
		if got := passed(); got != time.Second {
			t.Errorf("with nobody waiting %v passed in 1 s", got)
		}
		mono := c.now().Mono
		tick, stop := c.timer(mono + 30*time.Minute)
		defer stop()
		time.Sleep(time.Second)
		if got := passed(); got != 2*time.Second {
			t.Errorf("while the story works %v passed in 2 s", got)
		}
		began := time.Now()
		if !c.sleep(t.Context().Done(), opening.Add(10*time.Minute)) {
			t.Fatal("the sleep was cut short")
		}
		if real := time.Since(began); real > 200*time.Millisecond {
			t.Errorf("ten minutes took %v, want about 166 ms", real)
		}
		select {
		case <-tick:
			t.Error("the agent was woken 20 min early")
		default:
		}
		if got := passed(); got < 10*time.Minute || got > 10*time.Minute+time.Second {
			t.Errorf("the sleep ended at %v", got)
		}

		release := c.hold()
		slept := make(chan bool)
		go func() { slept <- c.sleep(t.Context().Done(), opening.Add(2*time.Hour)) }()
		time.Sleep(10 * time.Second)
		if got := passed(); got > 11*time.Minute {
			t.Errorf("while the modem answers time ran to %v", got)
		}
		release()
		<-tick // at 30 min; the agent does not wait again: time is slow
		time.Sleep(10 * time.Second)
		if got := passed(); got < 30*time.Minute || got > 31*time.Minute {
			t.Errorf("time ran to %v behind the agent's back", got)
		}
		_, stop2 := c.timer(mono + 24*time.Hour)
		defer stop2()
		if !<-slept {
			t.Error("the second sleep was cut short")
		}
		if got := passed(); got < 2*time.Hour || got > 2*time.Hour+time.Second {
			t.Errorf("the second sleep ended at %v", got)
		}
	})
}

// A sleeper who gives up is gone: time does not stand at his hour.
func TestClockQuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(opening)
		defer c.stop()
		quit := make(chan struct{})
		close(quit)
		if c.sleep(quit, opening.Add(time.Hour)) {
			t.Error("slept an hour in no time")
		}
		if len(c.waits) != 0 {
			t.Errorf("%d still wait", len(c.waits))
		}
	})
}

func TestWrap(t *testing.T) {
	for _, x := range []struct {
		s    string
		n    int
		want string
	}{
		{"one two three", 7, "one two/three"},
		{"one two three", 80, "one two three"},
		{"流量 用完", 5, "流量/用完"},
		{"", 5, ""},
	} {
		if got := strings.Join(wrap(x.s, x.n), "/"); got != x.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", x.s, x.n, got, x.want)
		}
	}
}
