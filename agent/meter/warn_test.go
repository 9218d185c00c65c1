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

// How often an ordinary machine is called unusual in its first four weeks, and a
// stuck one found: noise about a weekly rhythm, one day in twenty with an update.
func TestUnusualInTheFirstWeeks(t *testing.T) {
	const machines = 400
	alarms, found := 0, 0
	for seed := range uint64(machines) {
		rng := rand.New(rand.NewPCG(seed, 12))
		weekend, noise := 0.2+3*rng.Float64(), 0.2+0.4*rng.Float64()
		use := func(at time.Time) uint64 {
			x := 400e3 * math.Exp(noise*rng.NormFloat64())
			if d := at.In(beijing).Weekday(); d == time.Saturday || d == time.Sunday {
				x *= weekend
			}
			if rng.IntN(20) == 0 {
				x *= 2
			}
			return uint64(x)
		}
		r := newRig(t, time.Date(2026, 4, 1, 15, 0, 0, 0, beijing))
		r.plan(protocol.Plan{QuotaBytes: 100 << 20, CycleDay: 1})
		r.move(use(r.at.Wall), 9*time.Hour-time.Second)
		stuck := 8 + rng.IntN(20)
		for day := range 28 {
			n := use(r.at.Wall.Add(time.Minute))
			if day == stuck && seed%4 == 0 {
				n += 12 * MB // 30 times an ordinary day
			}
			r.move(n, 24*time.Hour)
			for _, w := range r.warnings() {
				if w.Kind != KindUnusual {
					continue
				}
				if day == stuck && seed%4 == 0 {
					found++
				} else {
					alarms++
				}
			}
		}
	}
	t.Logf("%d false alarms of %d machines in four weeks, %d of %d stuck apps found", alarms, machines, found, machines/4)
	if alarms > machines/100 || found < machines/4*95/100 {
		t.Error("not what it says")
	}
}

// A stopped day is no quiet day, and a machine's own rhythm is no stop.
func TestTheForecastLeavesOutStoppedDays(t *testing.T) {
	busy := func(time.Time) uint64 { return MB }
	for _, tc := range []struct {
		name string
		plan protocol.Plan
		use  func(at time.Time) uint64
		want float64 // MB foretold for June, on the 6th
	}{
		{name: "stopped at the quota for the last eleven days of May", plan: protocol.Plan{QuotaBytes: 20 << 20, CycleDay: 1, OnExhaust: "stop"},
			use: func(at time.Time) uint64 {
				if at.Month() == time.May && at.Day() > 20 {
					return 5 * kB // its modem asks, nobody answers
				}
				return busy(at)
			}, want: 30},
		{name: "slowed at the quota to a third", plan: protocol.Plan{QuotaBytes: 15 << 20, CycleDay: 1, OnExhaust: "throttle"},
			use: func(at time.Time) uint64 {
				if at.Month() == time.May && at.Day() > 15 {
					return MB / 3
				}
				return busy(at)
			}, want: 30},
		{name: "a second price after the quota: those days are the habit too", plan: protocol.Plan{QuotaBytes: 15 << 20, CycleDay: 1, OnExhaust: "overage"},
			use: func(at time.Time) uint64 {
				if at.Month() == time.May && at.Day() > 15 {
					return MB / 3
				}
				return busy(at)
			}, want: 24},
		{name: "away for the holidays, 1 to 8 May", plan: plan30,
			use: func(at time.Time) uint64 {
				if at.Month() == time.May && at.Day() <= 8 {
					return 0
				}
				return busy(at)
			}, want: 30},
		{name: "a school: still from Friday to Sunday, each week", plan: plan30,
			use: func(at time.Time) uint64 {
				if d := at.Weekday(); d == time.Friday || d == time.Saturday || d == time.Sunday {
					return 0
				}
				return busy(at)
			}, want: 18},
		{name: "off on single days now and then", plan: plan30,
			use: func(at time.Time) uint64 {
				if at.Day()%6 == 0 {
					return 0
				}
				return busy(at)
			}, want: 25},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, time.Date(2026, 4, 20, 0, 0, 0, 0, beijing))
			r.plan(tc.plan)
			for r.at.Wall.Before(time.Date(2026, 6, 6, 0, 0, 0, 0, beijing)) {
				r.move(tc.use(r.at.Wall.In(beijing)), 24*time.Hour-time.Second)
				r.at = r.at.Add(time.Second)
				r.look()
			}
			f := r.m.Usage(r.at).Forecast
			if got := float64(f.CycleEndBytes) / float64(MB); math.Abs(got-tc.want) > 0.1*tc.want {
				t.Errorf("%.1f MB by the end of June, want about %.0f", got, tc.want)
			}
		})
	}
}
