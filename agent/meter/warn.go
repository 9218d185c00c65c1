package meter

import (
	"math"
	"slices"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// Kinds of warnings.
const (
	KindThreshold = "threshold"
	KindForecast  = "forecast"
	KindUnusual   = "unusual"
	KindExpiry    = "expiry"
	KindRetention = "retention"
	KindRestored  = "restored"
)

const (
	// warnChance is how sure the forecast must be to speak.
	warnChance = 0.8
	// A day is unusual when it is beyond all of: unusualTimes the usual weekday,
	// unusualSpreads standard deviations above it, twice the biggest day
	// of four weeks; and large enough to matter.
	unusualTimes   = 3.0
	unusualSpreads = 4.0
	unusualBiggest = 2.0
	unusualFloor   = 1 << 20 // bytes
	unusualDays    = 7       // of habit before a day can be called unusual
	// unusualDoubt widens all three while the habit is young, in days: after a week
	// it doubles them, after eight it adds an eighth.
	unusualDoubt = 7.0
	// warnedCycles bounds the cycles whose warnings are remembered; more than one
	// because a clock may come back.
	warnedCycles = 3
)

// daysAhead is when expiry and the end of retention are announced. The last one
// reached is told; those passed on the way are not made up for.
var daysAhead = [...]int{1, 7, 30}

// warnedCycle is what was said in one cycle.
type warnedCycle struct {
	start      int32
	quota      uint64 // the quota that thresholds are of
	thresholds []int
	forecast   bool
	unusual    bool
	restored   bool
	over       bool // the quota was reached
}

// warned is what was said of one SIM.
type warned struct {
	cycles    []warnedCycle // newest last
	expires   string        // the end of plan that the next two are about
	expiry    int           // the fewest days announced, 0 none
	retention int
}

func (w *warned) cycle(start int32) *warnedCycle {
	for i := range w.cycles {
		if w.cycles[i].start == start {
			return &w.cycles[i]
		}
	}
	if len(w.cycles) == warnedCycles {
		w.cycles = append(w.cycles[:0], w.cycles[1:]...)
	}
	w.cycles = append(w.cycles, warnedCycle{start: start})
	return &w.cycles[len(w.cycles)-1]
}

// overBefore reports whether the newest remembered cycle before start was over.
func (w *warned) overBefore(start int32) bool {
	var newest int32 = math.MinInt32
	over := false
	for _, c := range w.cycles {
		if c.start < start && c.start > newest {
			newest, over = c.start, c.over
		}
	}
	return over
}

// warn returns what is due, once each. Without a trusted clock only thresholds
// are told: the others speak of dates.
func (m *Meter) warn(at instant.Instant) []protocol.Warning {
	now, exact := m.now(at)
	b := m.active()
	if now == 0 && b.plan.QuotaBytes == 0 {
		return nil
	}
	if exact {
		b.turn(now)
	}
	u := b.usage(now, exact, m)
	var start int32
	if now != 0 {
		start = b.cycle(now).start
	}
	said := b.warned.cycle(start)
	var due []protocol.Warning
	tell := func(kind string, fill func(*protocol.Warning)) {
		w := protocol.Warning{Kind: kind, UsedBytes: u.UsedBytes, QuotaBytes: u.QuotaBytes}
		if u.QuotaBytes > 0 {
			w.Percent = int(math.Min(u.Percent, math.MaxInt32))
		}
		if u.TimeKnown {
			w.CycleStart, w.CycleEnd = u.Cycle.Start.Format(time.RFC3339), u.Cycle.End.Format(time.RFC3339)
		}
		if fill != nil {
			fill(&w)
		}
		due = append(due, w)
		m.urgent = true
	}

	if exact && !said.restored && b.warned.overBefore(start) {
		said.restored = true
		if u.Percent < 100 && b.plan.OnExhaust != "overage" {
			tell(KindRestored, nil)
		}
	}
	if u.QuotaBytes > 0 {
		if said.quota != u.QuotaBytes {
			// A pack was bought: what is not reached any more may be told again.
			said.thresholds = slices.DeleteFunc(said.thresholds, func(t int) bool { return u.Percent < float64(t) })
			said.over = said.over && u.Percent >= 100
			said.quota = u.QuotaBytes
		}
		for _, t := range thresholds(b.plan) {
			if u.Percent >= float64(t) && !slices.Contains(said.thresholds, t) && len(said.thresholds) < 2*maxThresholds {
				said.thresholds = append(said.thresholds, t)
				tell(KindThreshold, func(w *protocol.Warning) { w.Percent = t })
			}
		}
		if u.Percent >= 100 && !said.over {
			said.over = true
			m.urgent = true
		}
	}
	if !exact {
		return due
	}
	f := u.Forecast
	if f.Exhausts && f.Chance >= warnChance && !said.forecast {
		said.forecast = true
		tell(KindForecast, func(w *protocol.Warning) {
			w.ExhaustedOn = f.ExhaustedOn.Format(dateLayout)
			w.PlusMinusD = math.Round(f.PlusMinusDays*10) / 10
		})
	}
	if !said.unusual && b.unusual(now, u.QuotaBytes) {
		said.unusual = true
		tell(KindUnusual, nil)
	}
	b.warnDates(now, tell)
	return due
}

// unusual reports whether today is far beyond this device's own habit.
func (b *book) unusual(now int64, quota uint64) bool {
	today := b.dayOf(now)
	h := b.habit(today)
	if h.days < unusualDays {
		return false
	}
	floor := uint64(unusualFloor)
	if quota > 0 {
		floor = min(floor, quota/50)
	}
	raw := b.day(today).total
	x := float64(b.fix.grown(raw, 1))
	usual := h.weekday[weekday(today)]
	doubt := 1 + unusualDoubt/float64(h.days)
	return raw >= floor && x > doubt*unusualTimes*usual && x > usual+doubt*unusualSpreads*h.spread && float64(raw) > doubt*unusualBiggest*h.biggest
}

// warnDates tells of the end of the plan and of the number.
func (b *book) warnDates(now int64, tell func(string, func(*protocol.Warning))) {
	left, expired, kept, ok := Expiry(b.plan, time.Unix(now, 0))
	if b.warned.expires != b.plan.Expires {
		b.warned.expires, b.warned.expiry, b.warned.retention = b.plan.Expires, 0, 0
	}
	switch {
	case !ok:
	case !expired:
		announce(left, &b.warned.expiry, func() {
			tell(KindExpiry, func(w *protocol.Warning) { w.Days = left })
		})
	default:
		announce(kept, &b.warned.retention, func() {
			tell(KindRetention, func(w *protocol.Warning) { w.Days = kept })
		})
	}
}

// announce calls say when days has come down to a step not yet told.
func announce(days int, told *int, say func()) {
	for _, step := range daysAhead {
		if days <= step {
			if *told == 0 || step < *told {
				*told = step
				say()
			}
			return
		}
	}
}
