package meter

import (
	"cmp"
	"math"
	"slices"
	"time"

	"cellwarden/agent/instant"
)

const (
	// adviceCycles is how many full cycles the advice looks back on: thirteen months
	// hold every season once.
	adviceCycles = 13
	// adviceLeast is how few full cycles are enough to advise at all.
	adviceLeast = 2
	// adviceMargin is what the fitting quota holds beyond the fullest cycle.
	adviceMargin = 1.2
	// adviceAhead is how many days before an end a person should act: a top-up and the
	// resume after it take working days.
	adviceAhead = 5
	megabyte    = 1_000_000 // as in the config
)

// planSizes are the quotas that carriers sell to machines, in MB.
var planSizes = []uint64{5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000, 10_000, 20_000, 30_000, 50_000, 100_000}

// Advice is what the history says of the plan.
type Advice struct {
	Cycles      int    // full cycles that it rests on; below 2 nothing is advised
	MedianBytes uint64 // of those cycles, in the operator's count
	MostBytes   uint64
	MostStart   time.Time // when the fullest began
	FitBytes    uint64    // the smallest usual quota that would have held, with a fifth to spare; 0 nothing advised
	Short       int       // cycles in which the present quota did not hold
	// RechargeBy is the last day on which a person should act: before the data or the
	// plan runs out. Zero: nothing runs out that is known of.
	RechargeBy time.Time
	// OverageBytes are beyond the quota in this cycle, where the operator bills them;
	// OverageCost is their price, 0 without one.
	OverageBytes uint64
	OverageCost  float64
	OwnPercent   float64 // the agent's own share of the present cycle
	Busiest      []Bar   // the hours of the last week that used most
}

// Advise reads the history of the card in use.
func (m *Meter) Advise(at instant.Instant) Advice {
	u := m.Usage(at)
	var a Advice
	if !u.TimeKnown {
		return a
	}
	full := slices.DeleteFunc(m.Cycles(at), func(c Bar) bool { return c.End.After(u.Cycle.Start) }) // not the present one
	full = full[max(0, len(full)-adviceCycles):]
	a.Cycles = len(full)
	if a.Cycles >= adviceLeast {
		slices.SortFunc(full, func(x, y Bar) int { return cmp.Compare(x.Used, y.Used) })
		most := full[len(full)-1]
		a.MedianBytes, a.MostBytes, a.MostStart = full[len(full)/2].Used, most.Used, most.Start
		a.FitBytes = fitting(most.Used)
		for _, c := range full {
			if u.QuotaBytes > 0 && c.Used > u.QuotaBytes {
				a.Short++
			}
		}
	}
	if u.RawBytes > 0 {
		a.OwnPercent = 100 * float64(u.OwnBytes) / float64(u.RawBytes)
	}
	a.Busiest = m.TopHours(3)
	if p := m.Plan(); u.OnExhaust == "overage" && u.QuotaBytes > 0 && u.UsedBytes > u.QuotaBytes {
		a.OverageBytes = u.UsedBytes - u.QuotaBytes
		a.OverageCost = math.Ceil(float64(a.OverageBytes)/megabyte) * p.OveragePerMB
	}
	a.RechargeBy = m.rechargeBy(at, u)
	return a
}

func (m *Meter) rechargeBy(at instant.Instant, u Usage) time.Time {
	unix, _ := m.now(at)
	now := time.Unix(unix, 0)
	by := time.Time{}
	sooner := func(t time.Time) {
		if t = t.AddDate(0, 0, -adviceAhead); t.Before(now) {
			t = now // it is late already
		}
		if by.IsZero() || t.Before(by) {
			by = t
		}
	}
	if f := u.Forecast; f.Known && f.Exhausts && u.OnExhaust != "overage" && u.Percent < 100 {
		sooner(f.ExhaustedOn)
	}
	if left, _, _, ok := Expiry(m.Plan(), now); ok && left <= 30 {
		sooner(now.AddDate(0, 0, max(0, left)))
	}
	return by
}

// fitting is the smallest usual quota that holds n with the margin.
func fitting(n uint64) uint64 {
	need := float64(n) * adviceMargin
	for _, mb := range planSizes {
		if float64(mb*megabyte) >= need {
			return mb * megabyte
		}
	}
	return uint64(math.Ceil(need/(1000*megabyte))) * 1000 * megabyte
}
