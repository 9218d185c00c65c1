package update

import (
	"math"
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
		{name: "a plan of 2^64-1 bytes", change: func(l *Line, _ *Policy) { l.Quota = math.MaxUint64 }, want: 1_500_000},
		{name: "more used than can be", change: func(l *Line, _ *Policy) { l.Used = math.MaxUint64 }, code: protocol.UpdateQuota},
		{name: "by day", change: func(l *Line, _ *Policy) { l.Now = night.Add(3 * time.Hour) }, code: protocol.UpdateOffPeak},
		{name: "by day, and urgent", change: func(l *Line, _ *Policy) { l.Now = night.Add(3 * time.Hour) }, now: true, want: 1_500_000},
		{name: "by day, over Ethernet", change: func(l *Line, _ *Policy) { l.Now, l.OverData = night.Add(3*time.Hour), false }, want: MaxBinary},
		{name: "no clock", change: func(l *Line, _ *Policy) { l.Trusted = false }, code: protocol.UpdateClock},
		{name: "no clock, and no hours set", change: func(l *Line, p *Policy) { l.Trusted, p.To = false, p.From }, want: 1_500_000},
		{name: "no clock, so the cycle is not known", change: func(l *Line, p *Policy) { l.Trusted, l.Unplaced, p.To = false, true, p.From }, code: protocol.UpdateClock},
		{name: "hours over midnight", change: func(_ *Line, p *Policy) { p.From, p.To = 23*60, 4*60 }, want: 1_500_000},
		{name: "while the machine sells well", change: func(l *Line, _ *Policy) { l.Busy = true }, code: protocol.UpdateOffPeak},
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
		b, trial, _ := s.Start(pkg, true)
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

// A confirmed binary's later life, start by start: "x" ends early (a crash, a power
// cut), "." lasts, "s" is stopped in good order, "?" ends early under a config that
// the packaged binary would refuse. From the eighth early end in a row on the packaged
// one runs.
func TestConfirmedBinaryLater(t *testing.T) {
	for _, tt := range []struct{ name, life, want string }{
		{"months of good service", "....................", "current"},
		{"a crash now and then", "xx.xxx.x.xxxxxxx.xxxxxxx", "current"},
		{"seven power cuts in an evening, then quiet", "xxxxxxx.", "current"},
		{"crashes at each start", "xxxxxxxx", "packaged"},
		{"crashes at each start, after months", "......xxxxxxxx", "packaged"},
		{"restarted ten times by a technician who tries things", "ssssssssss", "current"},
		{"restarts between crashes make nothing good", "xsxxsxxssxxx", "packaged"},
		{"a mistake in the config, or a key that only the new one knows", "????????????????", "current"},
		{"crashes that began under such a config", "????????xxxxxxx", "current"},
	} {
		s := Slots{Package: "v1.0.0", Current: &Binary{Slot: "a", Version: "v1.1.0"}}
		for i, c := range tt.life {
			b, trial, changed := s.Start("v1.0.0", c != '?')
			if b == nil || trial || changed == (c == '?') {
				t.Errorf("%s: start %d: %+v, trial %v, changed %v", tt.name, i, b, trial, changed)
			}
			switch c {
			case '.':
				s.Lasted()
			case 's':
				s.Stopped()
			}
		}
		b, _, _ := s.Start("v1.0.0", true)
		got := "packaged"
		if b != nil {
			got = "current"
		}
		if got != tt.want {
			t.Errorf("%s: the %s binary starts, want the %s: %+v", tt.name, got, tt.want, s)
		}
		if tt.want == "packaged" && (s.Failed != "v1.1.0" || s.Result == nil || s.Result.Code != protocol.UpdateCrashed || s.Short != 0 || s.Free() != "a") {
			t.Errorf("%s: nobody is told: %+v", tt.name, s)
		}
	}
}
