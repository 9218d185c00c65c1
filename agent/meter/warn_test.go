package meter

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"cellwarden/protocol"
)

// days gives the rig some days of a habit before the story begins.
func (r *rig) days(n int, perDay func(time.Time) uint64) {
	for range n * 24 {
		r.move(perDay(r.at.Wall)/24, time.Hour)
	}
}

func TestThresholdsOnceEachAndRestored(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	var got []string
	for range 35 {
		r.move(MB, 24*time.Hour)
		for _, w := range r.warnings() {
			if w.Kind == KindThreshold || w.Kind == KindRestored {
				got = append(got, fmt.Sprint(r.at.Wall.Day(), " ", w.Kind, " ", w.Percent))
			}
			if w.QuotaBytes != 30<<20 || w.CycleStart == "" || w.CycleEnd == "" {
				t.Errorf("%+v", w)
			}
			// A kill right after a warning must not repeat it.
			back, err := Restore(r.m.Snapshot(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			r.m = back
		}
	}
	want := "[25 threshold 80 30 threshold 95 31 threshold 100 1 restored 0]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %v", got, want)
	}
}

func TestMonthTurnMissedWhileOff(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	r.move(31*MB, time.Minute)
	if k := kinds(r.warnings()); k != "threshold threshold threshold" {
		t.Error(k)
	}
	flash := r.m.Snapshot()
	m, err := Restore(flash, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.m, r.rx, r.tx = m, 0, 0
	r.at.Boot, r.at.Mono, r.at.Wall = "b", time.Minute, time.Date(2026, 7, 2, 9, 0, 0, 0, beijing)
	r.move(5*kB, time.Second)
	if u := r.m.Usage(r.at); u.RawBytes != 5*kB || u.Cycle.Start.Month() != time.July {
		t.Errorf("%+v", u)
	}
	if k := kinds(r.warnings()); k != "restored" {
		t.Error(k)
	}
}

func TestTopUpArmsTheThresholdsAgain(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	r.move(25*MB, time.Minute)
	r.plan(protocol.Plan{QuotaBytes: 60 << 20, CycleDay: 1, UTCOffset: "+08:00"})
	r.move(kB, time.Minute)
	r.move(24*MB, time.Minute)
	if k := kinds(r.warnings()); k != "threshold threshold" {
		t.Errorf("%s: want 80 of the old quota and 80 of the new", k)
	}
}

func TestExpiryAndRetentionWarnings(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
	r.plan(protocol.Plan{Expires: "2026-06-15", RetentionDays: 40})
	var got []string
	for range 100 {
		r.move(0, 24*time.Hour)
		for _, w := range r.warnings() {
			got = append(got, fmt.Sprint(r.at.Wall.Format("01-02"), " ", w.Kind, " ", w.Days))
		}
	}
	want := "[05-16 expiry 30 06-08 expiry 7 06-14 expiry 1 06-25 retention 30 07-18 retention 7 07-24 retention 1]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %v", got, want)
	}
	r.plan(protocol.Plan{Expires: "2026-08-12"}) // renewed, three days ahead
	r.move(0, time.Hour)
	if w := r.warnings(); len(w) != 1 || w[0].Kind != KindExpiry || w[0].Days != 3 {
		t.Errorf("%+v", w)
	}
}

func TestUnusual(t *testing.T) {
	weekly := func(at time.Time) uint64 {
		if at.In(beijing).Weekday() == time.Saturday {
			return 3 * MB
		}
		return 500 * kB
	}
	r := newRig(t, time.Date(2026, 4, 1, 0, 0, 0, 0, beijing))
	r.plan(protocol.Plan{QuotaBytes: 500 << 20, CycleDay: 1})
	r.days(28, weekly)
	if k := kinds(r.warnings()); k != "" {
		t.Errorf("an ordinary month with busy Saturdays: %s", k)
	}
	r.move(6*MB, time.Hour) // a stuck app on a Wednesday
	r.move(6*MB, time.Hour)
	if k := kinds(r.warnings()); k != KindUnusual {
		t.Errorf("a burst: %q", k)
	}
}

func TestForecastKnowsTheWeek(t *testing.T) {
	// 200 kB on working days, 2 MB on Saturdays and Sundays: the quota runs out on
	// a weekend, which a straight line does not know.
	use := func(at time.Time) uint64 {
		if d := at.In(beijing).Weekday(); d == time.Saturday || d == time.Sunday {
			return 2 * MB
		}
		return 200 * kB
	}
	r := newRig(t, time.Date(2026, 4, 1, 0, 0, 0, 0, beijing))
	r.plan(protocol.Plan{QuotaBytes: 16 << 20, CycleDay: 1})
	r.days(30+12, use)
	truth := uint64(0)
	var day time.Time
	for d := time.Date(2026, 5, 1, 0, 0, 0, 0, beijing); truth < 16<<20; d = d.AddDate(0, 0, 1) {
		truth += use(d) / 24 * 24
		day = d
	}
	f := r.m.Usage(r.at).Forecast
	if !f.Exhausts || !f.ExhaustedOn.Equal(day) || f.PlusMinusDays > 4 {
		t.Errorf("on %v ± %.1f, truth %v", f.ExhaustedOn, f.PlusMinusDays, day)
	}
	var told []protocol.Warning
	for _, w := range r.warnings() {
		if w.Kind == KindForecast {
			told = append(told, w)
		}
	}
	if last := told[len(told)-1]; last.CycleStart[:10] == "2026-05-01" && last.PlusMinusD <= 0 {
		t.Errorf("told without its doubt: %+v", last)
	}
}

// The stated 80 per cent must hold about that often, on devices with noise, and
// the weekly rhythm must beat the straight line.
func TestForecastIsCalibrated(t *testing.T) {
	inside, all := 0, 0
	var errWeek, errLine float64
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 11))
		weekend := 0.2 + 3*rng.Float64()
		use := func(at time.Time) uint64 {
			x := 800e3 * math.Exp(0.4*rng.NormFloat64())
			if d := at.In(beijing).Weekday(); d == time.Saturday || d == time.Sunday {
				x *= weekend
			}
			return uint64(x)
		}
		r := newRig(t, time.Date(2026, 4, 1, 0, 0, 0, 0, beijing))
		for range 30 + 8 + rng.IntN(15) {
			r.move(use(r.at.Wall), 24*time.Hour)
		}
		u := r.m.Usage(r.at)
		line := float64(u.RawBytes) * 31 / float64(r.at.Wall.In(beijing).Day()-1)
		f := u.Forecast
		for r.at.Wall.In(beijing).Month() == time.May {
			r.move(use(r.at.Wall), 24*time.Hour)
		}
		c := r.m.Cycles(r.at)
		truth := float64(c[len(c)-2].Bytes)
		miss := math.Abs(float64(f.CycleEndBytes) - truth)
		errWeek += miss / truth
		errLine += math.Abs(line-truth) / truth
		if miss <= float64(f.PlusMinusBytes) {
			inside++
		}
		all++
	}
	share := float64(inside) / float64(all)
	t.Logf("80 %% interval held %.0f %% of %d; mean miss %.1f %%, straight line %.1f %%", 100*share, all, 100*errWeek/float64(all), 100*errLine/float64(all))
	if share < 0.70 || share > 0.92 || errWeek > errLine {
		t.Error("the forecast is not what it says")
	}
}

func TestTestAllowance(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 30, 0, 0, 0, 0, beijing))
	r.plan(protocol.Plan{QuotaBytes: 30 << 20, CycleDay: 1, TestBytes: 2 << 20, SilentUntil: "2026-06-10"})
	r.move(MB, 72*time.Hour) // over the turn of the month: the allowance goes on
	if u := r.m.Usage(r.at); !u.Test || u.QuotaBytes != 2<<20 || u.Percent != 50 {
		t.Errorf("%+v", u)
	}
	r.move(0, 20*24*time.Hour)
	if u := r.m.Usage(r.at); u.Test || u.QuotaBytes != 30<<20 {
		t.Errorf("%+v", u)
	}
}

func TestGuard(t *testing.T) {
	for _, tc := range []struct {
		u    Usage
		want Guard
	}{
		{Usage{}, GuardNone},
		{Usage{QuotaBytes: 1, Percent: 89.9}, GuardNone},
		{Usage{QuotaBytes: 1, Percent: 90}, GuardSave},
		{Usage{QuotaBytes: 1, Percent: 98}, GuardStrict},
		{Usage{QuotaBytes: 1, Percent: 300, OnExhaust: "throttle"}, GuardStrict},
		{Usage{QuotaBytes: 1, Percent: 300, OnExhaust: "overage"}, GuardSave},
	} {
		if got := GuardFor(tc.u); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc.u, got, tc.want)
		}
	}
	if GuardNone.Share() != 1 || GuardSave.Share() >= 1 || GuardStrict.Share() >= GuardSave.Share() {
		t.Error("shares do not fall")
	}
}
