package meter

import (
	"math"
	"slices"
	"time"
)

const (
	// habitDays is how far back the habit is taken from: eight weeks.
	habitDays = 56
	// minHabitDays of full days before anything is foretold.
	minHabitDays = 3
	// shrink pulls the mean of a weekday to the mean of all days, in days: two
	// Sundays weigh as much as the rest.
	shrink = 2.0
	// outlier bounds a day in the habit, in times the day that one in ten exceeds,
	// so that one update of the machine's software does not foretell one each
	// month, while a busy day each week (one in seven) stays whole.
	outlier = 3.0
	// z80 turns a standard deviation into the half-width that holds 80 per cent.
	z80 = 1.2816
	// A day below this share of the median day is a still one: a stopped line's
	// modem still asks and is not answered.
	stillShare = 0.05
	// stillRun of them in a row are a stop or an absence and no habit, unless that
	// weekday is mostly still: the machine of a school moves little on Sundays.
	stillRun = 3
	// spentShare of the quota and the line may be stopped or slowed.
	spentShare = 0.98
	// minSpread is the least standard deviation of a day, as a share of its mean.
	minSpread = 0.05
)

// Forecast is where this cycle is heading.
type Forecast struct {
	Known          bool
	CycleEndBytes  uint64    // expected at the end of the cycle
	PlusMinusBytes uint64    // 80 per cent lie within
	Exhausts       bool      // the quota is expected to run out before the end
	ExhaustedOn    time.Time // the day it does, local midnight
	PlusMinusDays  float64   // 80 per cent lie within
	Chance         float64   // 0..1, that the quota runs out before the end
}

// habit is what a day usually moves, by weekday, in the operator's count.
type habit struct {
	days    int
	weekday [7]float64
	mean    float64
	spread  float64 // standard deviation of a day about its weekday's mean
	biggest float64 // of the last 28 full days, as counted
}

func weekday(day int32) int32 { return mod(day+4, 7) } // 1 January 1970 was a Thursday

// habit is taken from the full days before today. Days without a row count as
// days without traffic: a machine that is off on Sundays has that habit. Days on
// which the line was stopped, or the machine away, are left out.
func (b *book) habit(today int32) habit {
	if b.habitDay != today {
		b.usual, b.habitDay = b.workOutHabit(today), today
	}
	return b.usual
}

func (b *book) workOutHabit(today int32) habit {
	var h habit
	if b.firstDay == 0 {
		return h
	}
	from := max(b.firstDay+1, today-habitDays)
	if today-from < minHabitDays {
		return h
	}
	all := make([]float64, 0, habitDays)
	for d := from; d < today; d++ {
		x := float64(b.day(d).total)
		all = append(all, x)
		if today-d <= 28 {
			h.biggest = math.Max(h.biggest, x)
		}
	}
	out := b.stopped(from, all)
	var raw []float64
	var of []int32 // their weekdays
	for i, x := range all {
		if !out[i] {
			raw, of = append(raw, x), append(of, weekday(from+int32(i)))
		}
	}
	if h.days = len(raw); h.days < minHabitDays {
		return h
	}
	sorted := slices.Clone(raw)
	slices.Sort(sorted)
	limit := math.Inf(1)
	if high := sorted[len(sorted)*9/10]; high > 0 {
		limit = outlier * high
	}
	use := raw
	for i, x := range use {
		use[i] = float64(b.fix.grown(uint64(math.Min(x, limit)), 1))
		h.mean += use[i] / float64(h.days)
	}
	var sum, n [7]float64
	for i, x := range use {
		w := of[i]
		sum[w] += x
		n[w]++
	}
	for w := range h.weekday {
		h.weekday[w] = (sum[w] + shrink*h.mean) / (n[w] + shrink)
	}
	var ss float64
	for i, x := range use {
		e := x - h.weekday[of[i]]
		ss += e * e
	}
	h.spread = math.Max(math.Sqrt(ss/float64(h.days-1)), minSpread*h.mean)
	return h
}

// stopped marks the days, the first of them from, that say nothing of the habit:
// those after the quota was used up where that stops or slows the line, and a run
// of still days on weekdays that are mostly busy.
func (b *book) stopped(from int32, all []float64) []bool {
	out := make([]bool, len(all))
	median := 0.0
	if busy := slices.DeleteFunc(slices.Clone(all), func(x float64) bool { return x == 0 }); len(busy) > 0 {
		slices.Sort(busy)
		median = busy[len(busy)/2]
	}
	still := func(i int) bool { return all[i] < stillShare*median }
	var balance [7]int // still days less busy ones
	for i := range all {
		if w := weekday(from + int32(i)); still(i) {
			balance[w]++
		} else {
			balance[w]--
		}
	}
	for i := 0; i < len(all); i++ {
		end := i
		for end < len(all) && still(end) {
			end++
		}
		for long := end-i >= stillRun; i < end; i++ {
			out[i] = long && balance[weekday(from+int32(i))] <= 0
		}
	}
	for _, c := range b.cycles {
		if c.quota == 0 || b.plan.OnExhaust == "overage" {
			continue
		}
		limit := spentShare * float64(c.quota)
		used := 0.0
		for d := c.start; d < c.end; d++ {
			i := int(d - from)
			if i >= 0 && i < len(all) && used >= limit {
				out[i] = true
			}
			if total := b.day(d).total; total > 0 {
				used += float64(b.fix.grown(total, 1))
			}
		}
	}
	return out
}

// forecast walks the days left of the cycle.
func (b *book) forecast(h habit, c daySpan, now int64, used, quota uint64) Forecast {
	if h.days < minHabitDays {
		return Forecast{}
	}
	today, frac := b.dayOf(now), b.dayFraction(now)
	f := Forecast{Known: true}
	// The spread of a sum of n days, and the doubt about the mean itself.
	deviation := func(n float64) float64 {
		return h.spread * math.Sqrt(n+n*n/float64(h.days))
	}
	cum, left := float64(used), 0.0
	for d := today; d < c.end; d++ {
		share := 1.0
		if d == today {
			share = 1 - frac
		}
		cum += share * h.weekday[weekday(d)]
		left += share
		if quota > 0 && !f.Exhausts && used < quota && cum >= float64(quota) {
			f.Exhausts = true
			f.ExhaustedOn = b.dayStart(d)
			if h.mean > 0 {
				f.PlusMinusDays = math.Max(0.5, z80*deviation(left)/h.mean)
			}
		}
	}
	sd := deviation(left)
	f.CycleEndBytes, f.PlusMinusBytes = uint64(cum), uint64(z80*sd)
	if quota > 0 {
		if sd > 0 {
			f.Chance = 0.5 * math.Erfc((float64(quota)-cum)/(sd*math.Sqrt2))
		} else if cum >= float64(quota) {
			f.Chance = 1
		}
	}
	return f
}
