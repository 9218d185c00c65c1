package meter

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// operator counts by a rule that the device does not know.
type operator struct {
	name     string
	perPkt   float64 // bytes of header per packet of 400 bytes
	scale    float64
	session  uint64  // each session is rounded up to this, 0 not
	perDayKB bool    // each day is rounded up to a kB
	late     int     // days after which a figure comes; it says of which midnight it is
	offset   float64 // kB that it counts at each start of a cycle
	perPktUp float64 // each packet of 400 bytes is rounded up to this
	few      bool    // some sessions a day, as of a line that is always on; else some twenty
}

func TestReconciliationWithinOnePercentAfterThreeCycles(t *testing.T) {
	for _, op := range []operator{
		{name: "headers counted", perPkt: 40, scale: 1},
		{name: "link overhead 6 %, kB per day", scale: 1.06, perDayKB: true},
		{name: "sessions rounded to 1 kB", scale: 1, session: 1 << 10},
		{name: "sessions rounded to 10 kB, headers", scale: 1, perPkt: 28, session: 10 << 10, few: true},
		{name: "counts less than we do", scale: 0.97},
		{name: "a kB is 1000 bytes, told as 1024", scale: 1.024},
		{name: "a MB is 1000 kB of 1024", scale: 1.024 * 1.024, perDayKB: true},
		{name: "each packet rounded up to 128 bytes, link headers", scale: 1, perPktUp: 128, perPkt: 14},
		{name: "headers counted, figures two days late", perPkt: 40, scale: 1, late: 2},
		{name: "sessions rounded to 10 kB, figures a day late", scale: 1, session: 10 << 10, few: true, late: 1},
		{name: "an activation of 64 kB in each cycle", scale: 1.03, offset: 64},
	} {
		for _, every := range []int{1, 7} { // figures daily or weekly, always of last midnight
			t.Run(fmt.Sprintf("%s, every %d d", op.name, every), func(t *testing.T) {
				var worst, worstStated float64
				for seed := range uint64(4) {
					w, s := simulateOperator(t, op, every, seed)
					worst, worstStated = math.Max(worst, w), math.Max(worstStated, s)
				}
				t.Logf("worst error after three cycles %.2f %%, stated at most %.2f %%", worst, worstStated)
				if worst > 1 {
					t.Errorf("%.2f %% off", worst)
				}
			})
		}
	}
}

// simulateOperator runs six cycles and returns the worst relative error of the
// corrected figure, in per cent of the cycle so far, from the fourth on.
func simulateOperator(t *testing.T, op operator, every int, seed uint64) (worst, stated float64) {
	rng := rand.New(rand.NewPCG(seed, 21))
	r := newRig(t, time.Date(2026, 3, 14, 0, 0, 0, 0, beijing)) // installed in mid-cycle
	r.plan(plan30)
	truth := 4e6 // what the card had used before the agent came
	cycle := time.March
	day := 0
	type figureOf struct {
		used     uint64
		midnight time.Time
	}
	var figures []figureOf
	for {
		local := r.at.Wall.In(beijing)
		if local.Month() != cycle {
			cycle, truth = local.Month(), op.offset*1024
		}
		if cycle == time.September {
			return worst, stated
		}
		busy := 1.0 // every tenth day the machine fetches an update
		if rng.IntN(10) == 0 {
			busy = 4
		}
		var today float64
		sessions, size := 16+rng.IntN(10), 50e3
		if op.few {
			sessions, size = 2+rng.IntN(7), 200e3
		}
		for range sessions {
			n := uint64(busy * size * math.Exp(0.5*rng.NormFloat64()))
			x := float64(n)*op.scale + op.perPkt*float64(n)/400
			if op.perPktUp > 0 {
				x += float64(n) / 400 * (math.Ceil(400/op.perPktUp)*op.perPktUp - 400)
			}
			if op.session > 0 {
				x = math.Ceil(x/float64(op.session)) * float64(op.session)
			}
			today += x
			r.move(n, 20*time.Hour/time.Duration(sessions))
		}
		if op.perDayKB {
			today = math.Ceil(today/1024) * 1024
		}
		truth += today
		midnight := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, beijing)
		r.at = r.at.Add(midnight.Add(-time.Second).Sub(r.at.Wall))
		r.look()
		u := r.m.Usage(r.at)
		// The fourth full cycle and later, once the cycle has a figure: before that
		// some hundred kB of foretold rounding are the whole sum.
		if local.Month() >= time.July && local.Day() > every+op.late+1 {
			worst = math.Max(worst, 100*math.Abs(float64(u.UsedBytes)-truth)/truth)
			stated = math.Max(stated, u.ErrorPercent)
		}
		r.at = r.at.Add(time.Second)
		r.look()
		if day++; day%every == 0 {
			figures = append(figures, figureOf{uint64(truth), midnight})
		}
		if n := len(figures); n > 0 && !r.at.Wall.Before(figures[0].midnight.AddDate(0, 0, op.late)) {
			f := figures[0]
			figures = figures[1:]
			r.at = r.at.Add(time.Hour) // it comes later, and is of midnight
			r.look()
			r.m.Reconcile("", f.used, f.midnight, r.at)
			r.at.Wall, r.at.Mono = r.at.Wall.Add(-time.Hour), r.at.Mono-time.Hour
		}
	}
}

func TestFiguresThatMakeNoSense(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	r.move(10*MB, 10*24*time.Hour)
	r.m.Reconcile("", 11*MB, time.Date(2026, 5, 11, 0, 0, 0, 0, beijing), r.at)
	if u := r.m.Usage(r.at); u.UsedBytes != 11*MB || u.RawBytes != 10*MB || !u.Reconciled {
		t.Fatalf("%+v", u)
	}
	for name, f := range map[string]struct {
		key  string
		used uint64
		asOf time.Time
	}{
		"older":             {"", 2 * MB, time.Date(2026, 5, 4, 0, 0, 0, 0, beijing)},
		"of the future":     {"", 99 * MB, time.Date(2026, 5, 20, 0, 0, 0, 0, beijing)},
		"without a date":    {"", 99 * MB, time.Time{}},
		"of a foreign card": {"nobody", 99 * MB, time.Date(2026, 5, 11, 0, 0, 0, 0, beijing)},
	} {
		r.m.Reconcile(f.key, f.used, f.asOf, r.at)
		if u := r.m.Usage(r.at); u.UsedBytes != 11*MB {
			t.Errorf("a figure %s changed it to %d", name, u.UsedBytes)
		}
	}
	r.move(MB, time.Hour)
	if u := r.m.Usage(r.at); u.UsedBytes < 12*MB {
		t.Errorf("what moved since is missing: %d", u.UsedBytes)
	}
}

// On the first of the month platforms send the last cycle's total as of midnight.
func TestFigureOfMidnightBelongsToTheCycleThatEnded(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	for range 31 {
		r.move(MB, 24*time.Hour-time.Second)
		r.at = r.at.Add(time.Second)
	}
	r.move(kB, time.Hour)
	r.m.Reconcile("", 33*MB, time.Date(2026, 6, 1, 0, 0, 0, 0, beijing), r.at)
	c := r.m.Cycles(r.at)
	if len(c) != 2 || c[0].Used != 33*MB || c[1].Used > 2*kB {
		t.Errorf("%+v", c)
	}
}

// What is known of the operator's rule helps before its first figure, and does
// not hinder the figures where it is wrong.
func TestRoundingAsData(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rule  Rounding
		truth func(raw uint64, days int) float64
	}{
		{"each session to 1 kB, 20 a day", Rounding{UnitBytes: 1 << 10, Per: "session", SessionsPerDay: 20},
			func(raw uint64, days int) float64 { return float64(raw) + float64(days)*20*512 }},
		{"50 bytes for each packet of 400", Rounding{PacketBytes: 50}, func(raw uint64, _ int) float64 { return float64(raw) * 450 / 400 }},
		{"a month to 100 kB", Rounding{UnitBytes: 100 << 10, Per: "cycle"},
			func(raw uint64, _ int) float64 { return math.Ceil(float64(raw)/102400) * 102400 }},
		{"as counted", Rounding{}, func(raw uint64, _ int) float64 { return float64(raw) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
			r.plan(plan30)
			r.m.SetRounding(tc.rule)
			for range 10 {
				r.move(100*kB, 23*time.Hour)
				r.move(0, time.Hour)
			}
			u := r.m.Usage(r.at)
			want := tc.truth(u.RawBytes, 10)
			if off := math.Abs(float64(u.UsedBytes)-want) / want; off > 0.01 {
				t.Errorf("%d of raw %d, the operator says %.0f", u.UsedBytes, u.RawBytes, want)
			}
			back, err := Restore(r.m.Snapshot(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			back.SetRounding(tc.rule)
			if again := back.Usage(r.at); again.UsedBytes != u.UsedBytes {
				t.Errorf("after a restart %d, before %d", again.UsedBytes, u.UsedBytes)
			}
		})
	}
}

func TestAWrongRoundingIsUnlearned(t *testing.T) {
	r := newRig(t, time.Date(2026, 3, 1, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	r.m.SetRounding(Rounding{PacketBytes: 60}) // the operator counts as the device does
	var truth uint64
	for range 31 + 30 + 31 + 20 {
		if r.at.Wall.In(beijing).Day() == 1 {
			truth = 0
		}
		r.move(500*kB, 24*time.Hour-time.Second)
		truth += 500 * kB
		r.at = r.at.Add(time.Second)
		r.m.Reconcile("", truth, r.at.Wall, r.at)
	}
	truth += 500 * kB
	r.move(500*kB, 20*time.Hour)
	if u := r.m.Usage(r.at); math.Abs(float64(u.UsedBytes)-float64(truth)) > 0.01*float64(truth) {
		t.Errorf("%d, the operator says %d", u.UsedBytes, truth)
	}
}
