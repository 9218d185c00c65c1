package update

import (
	"testing"
	"time"

	"cellwarden/protocol"
)

// A card of 30 MB a month, updates between 01:00 and 05:00 in Shanghai, 1.5 MB a
// day, up to 70 % of the plan.
func TestWhenADownloadMayGo(t *testing.T) {
	p := Policy{From: 60, To: 300, Zone: time.FixedZone("", 8*3600), DayBytes: 1_500_000, UntilPercent: 70}
	night := time.Date(2026, 11, 22, 18, 30, 0, 0, time.UTC) // 02:30 there
	line := Line{Now: night, Trusted: true, OverData: true, Quota: 30_000_000, Used: 5_000_000}
	for _, tt := range []struct {
		name   string
		change func(*Line, *Policy)
		now    bool
		want   int64
		code   string
	}{
		{name: "at night, little used", want: 1_500_000},
		{name: "part of the day's bytes gone", change: func(l *Line, _ *Policy) { l.Spent = 1_000_000 }, want: 500_000},
		{name: "all gone", change: func(l *Line, _ *Policy) { l.Spent = 1_500_000 }, code: protocol.UpdateDayBytes},
		{name: "all gone, and urgent", change: func(l *Line, _ *Policy) { l.Spent = 1_500_000 }, now: true, code: protocol.UpdateDayBytes},
		{name: "close to the bound of the plan", change: func(l *Line, _ *Policy) { l.Used = 20_900_000 }, want: 100_000},
		{name: "beyond it", change: func(l *Line, _ *Policy) { l.Used = 21_000_000 }, code: protocol.UpdateQuota},
		{name: "beyond it, and urgent", change: func(l *Line, _ *Policy) { l.Used = 21_000_000 }, now: true, code: protocol.UpdateQuota},
		{name: "no plan known", change: func(l *Line, _ *Policy) { l.Quota, l.Used = 0, 90_000_000 }, want: 1_500_000},
		{name: "by day", change: func(l *Line, _ *Policy) { l.Now = night.Add(3 * time.Hour) }, code: protocol.UpdateOffPeak},
		{name: "by day, and urgent", change: func(l *Line, _ *Policy) { l.Now = night.Add(3 * time.Hour) }, now: true, want: 1_500_000},
		{name: "by day, over Ethernet", change: func(l *Line, _ *Policy) { l.Now, l.OverData = night.Add(3*time.Hour), false }, want: MaxBinary},
		{name: "no clock", change: func(l *Line, _ *Policy) { l.Trusted = false }, code: protocol.UpdateClock},
		{name: "no clock, and no hours set", change: func(l *Line, p *Policy) { l.Trusted, p.To = false, p.From }, want: 1_500_000},
		{name: "no clock, so the cycle is not known", change: func(l *Line, p *Policy) { l.Trusted, l.Unplaced, p.To = false, true, p.From }, code: protocol.UpdateClock},
		{name: "hours over midnight", change: func(_ *Line, p *Policy) { p.From, p.To = 23*60, 4*60 }, want: 1_500_000},
		{name: "outside of hours over midnight", change: func(l *Line, p *Policy) { p.From, p.To, l.Now = 23*60, 60, night }, code: protocol.UpdateOffPeak},
	} {
		l, q := line, p
		if tt.change != nil {
			tt.change(&l, &q)
		}
		got, why := q.Allow(l, tt.now)
		c := ""
		if why != nil {
			c = why.Code
		}
		if got != tt.want || c != tt.code {
			t.Errorf("%s: %d %q, want %d %q", tt.name, got, c, tt.want, tt.code)
		}
	}
}

// What starts, over the life of a board.
func TestSlots(t *testing.T) {
	var s Slots
	next := func(pkg, want string, wantTrial bool) {
		t.Helper()
		b, trial, _ := s.Start(pkg)
		got := ""
		if b != nil {
			got = b.Version
		}
		if got != want || trial != wantTrial {
			t.Fatalf("starts %q (trial %v), want %q (%v)", got, trial, want, wantTrial)
		}
	}
	next("v1.0.0", "", false)
	s.Try(Binary{Slot: s.Free(), Version: "v1.1.0"}, "v1.0.0", nil)
	next("v1.0.0", "v1.1.0", true)
	s.Confirm()
	next("v1.0.0", "v1.1.0", false)
	if s.Free() != "b" {
		t.Fatalf("would write over slot %s, which runs", s.Free())
	}
	s.Try(Binary{Slot: s.Free(), Version: "v1.2.0"}, "v1.0.0", nil)
	for range maxStarts {
		next("v1.0.0", "v1.2.0", true)
	}
	next("v1.0.0", "v1.1.0", false)
	if s.Failed != "v1.2.0" || s.Result == nil || s.Result.Code != protocol.UpdateCrashed {
		t.Fatalf("after the crash loop: failed %q, result %+v", s.Failed, s.Result)
	}
	// Somebody installs another package: it runs, and what ran stays the floor.
	next("v1.0.5", "", false)
	if floor, changed := s.Settle("v1.0.5"); floor != "v1.1.0" || !changed || s.Current != nil {
		t.Fatalf("settled: floor %q, changed %v, current %+v", floor, changed, s.Current)
	}
	next("v1.0.5", "", false)
}
