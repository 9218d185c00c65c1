package meter

import (
	"math"
	"time"

	"cellwarden/agent/instant"
)

// How the operator's figure is used. The operator counts by rules that the
// device does not see: rounding per session or per kB, headers, its own day.
// Within a cycle the last figure is the base, and what was counted since is
// added after scaling. Scale and a constant for each day with traffic (sessions
// that are rounded up cost the same on a busy day as on a quiet one) are learned
// from the growth between figures, by least squares with a pull towards the
// operator's Rounding, or 1 and 0 where none is known.
const (
	// UnreconciledPercent is the stated error before any figure came: link
	// overhead and rounding cost 3 to 8 per cent.
	UnreconciledPercent = 8.0
	// scaleMemory is the half-life, in days of figures, of what was learned: about
	// two cycles, so that a changed rule is forgotten.
	scaleMemory = 60.0
	// pullScale and pullDaily are the weight of the Rounding, in observations. A
	// scale is the likelier rule, so the daily constant is pulled harder.
	pullScale = 0.02
	pullDaily = 0.2
	// Growth outside these bounds was not counted by the same two meters (the
	// agent was off, a figure of another card) and teaches nothing.
	minRatio, maxRatio = 0.5, 8.0
	minGrowth          = 4 << 10 // bytes; less is all rounding
	// futureFigure is how far ahead of the clock a figure may be dated.
	futureFigure = 24 * time.Hour
)

// figure is the operator's last word on a cycle.
type figure struct {
	asOf int64 // Unix seconds, 0 none
	used uint64
	raw  uint64 // what was counted in the cycle by then
}

// correction is what was learned of the operator's rule, in kB and days.
type correction struct {
	srr, srd, sdd, sru, sdu float64
	n                       float64 // figures learned from, fading
	miss                    float64 // mean relative error of the growth foretold
	scale0, daily0          float64 // what is pulled towards: the Rounding's, scale 0 is 1
}

// rule gives used = scale*raw + daily*days.
func (c correction) rule() (scale, daily float64) {
	s0, d0 := c.scale0, c.daily0
	if s0 == 0 {
		s0 = 1
	}
	if c.n == 0 {
		return s0, d0
	}
	ps, pd := pullScale*c.srr/c.n, pullDaily*c.sdd/c.n
	det := (c.srr+ps)*(c.sdd+pd) - c.srd*c.srd
	if det <= 0 {
		return s0, d0
	}
	ru, du := c.sru+ps*s0, c.sdu+pd*d0
	scale = (ru*(c.sdd+pd) - du*c.srd) / det
	daily = ((c.srr+ps)*du - c.srd*ru) / det
	return scale, daily
}

func (c *correction) learn(raw, days, used float64) {
	scale, daily := c.rule()
	if used > 0 {
		miss := math.Abs(scale*raw+daily*days-used) / used
		if c.n == 0 {
			c.miss = miss
		} else {
			c.miss += (miss - c.miss) / math.Min(c.n+1, 20)
		}
	}
	fade := math.Pow(0.5, days/scaleMemory)
	c.srr, c.srd, c.sdd = c.srr*fade+raw*raw, c.srd*fade+raw*days, c.sdd*fade+days*days
	c.sru, c.sdu = c.sru*fade+raw*used, c.sdu*fade+days*used
	c.n = c.n*fade + 1
}

// grown is what the operator will have counted for raw bytes on so many days
// with traffic.
func (c correction) grown(raw uint64, days float64) uint64 {
	if raw == 0 {
		return 0
	}
	scale, daily := c.rule()
	g := scale*float64(raw) + daily*1024*days
	return uint64(math.Max(0, math.Min(g, math.MaxInt64)))
}

// Reconcile takes in what the operator says was used in the billing cycle up to
// asOf, usually last midnight. Figures that are older than one already known, or
// dated ahead of the clock, are passed over.
func (m *Meter) Reconcile(key string, used uint64, asOf time.Time, at instant.Instant) {
	b := m.active()
	if key != "" {
		if b = m.find(key); b == nil {
			return
		}
	}
	m.see(at)
	now, exact := m.now(at)
	if asOf.Unix() < notBefore || now == 0 || asOf.Unix() > now+int64(futureFigure/time.Second) {
		return
	}
	if exact {
		b.turn(now)
	}
	b.reconcile(used, asOf.Unix())
	m.urgent = true
}

func (b *book) reconcile(used uint64, asOf int64) {
	// Midnight at a cycle's start is the end of the cycle before, unless the
	// figure is far too small for it.
	c := b.cycle(asOf - 1)
	row := b.cycleRow(c)
	if c.end == b.dayOf(asOf) && b.dayStart(c.end).Unix() == asOf {
		next := b.cycleRow(b.cycle(asOf))
		raw := b.sum(c).total
		if next != nil && used < raw/2 {
			row = next
		}
	}
	if row == nil || asOf < row.figure.asOf {
		return
	}
	raw := b.rawUntil(row.daySpan, asOf)
	last := row.figure
	begin := last.asOf
	if begin == 0 {
		begin = b.dayStart(row.start).Unix()
	}
	whole := last.asOf != 0 || b.firstDay != 0 && b.firstDay < row.start
	if whole && asOf > begin && used > last.used && raw >= last.raw+minGrowth {
		dr, du := float64(raw-last.raw), float64(used-last.used)
		if ratio := du / dr; ratio >= minRatio && ratio <= maxRatio {
			b.fix.learn(dr/1024, b.activeDays(begin, asOf), du/1024)
		}
	}
	b.habitDay = 0
	row.figure = figure{asOf: asOf, used: used, raw: raw}
}

func (b *book) cycleRow(c daySpan) *cycleRow {
	for i := range b.cycles {
		if b.cycles[i].daySpan == c {
			return &b.cycles[i]
		}
	}
	return nil
}

// rawUntil is what was counted in a cycle up to an instant in it. Within the day
// of that instant the hours tell, as long as they are kept.
func (b *book) rawUntil(c daySpan, unix int64) uint64 {
	day := b.dayOf(unix)
	if day >= c.end {
		return b.sum(c).total
	}
	total := b.sum(daySpan{c.start, day}).total
	hour := b.hourOf(unix)
	var part uint64
	for h := day * 24; h < hour; h++ {
		part = satAdd(part, b.hour(h).total)
	}
	into := float64(unix+int64(b.off)-int64(hour)*secondsPerHour) / secondsPerHour
	part = satAdd(part, uint64(into*float64(b.hour(hour).total)))
	return satAdd(total, min(part, b.day(day).total))
}

// activeDays is how many days with traffic lie between two instants; the days
// cut by them count in part.
func (b *book) activeDays(from, to int64) float64 {
	var n float64
	first, last := b.dayOf(from), b.dayOf(to)
	first = max(first, last-dayRows)
	for d := first; d <= last; d++ {
		if b.day(d).total == 0 {
			continue
		}
		share := 1.0
		if d == first {
			share -= b.dayFraction(from)
		}
		if d == last {
			share -= 1 - b.dayFraction(to)
		}
		n += share
	}
	return n
}

// corrected is the operator's view of a cycle up to until, with raw bytes
// counted, and its stated error in per cent.
func (b *book) corrected(c cycleRow, until int64, raw uint64) (used uint64, errPercent float64) {
	base, begin, grown := uint64(0), b.dayStart(c.start).Unix(), raw
	if c.figure.asOf != 0 {
		base, begin, grown = c.figure.used, c.figure.asOf, satSub(raw, c.figure.raw)
	}
	more := b.fix.grown(grown, b.activeDays(begin, until))
	used = b.round.up(satAdd(base, more))
	miss := UnreconciledPercent
	if b.fix.n > 0 {
		miss = 200 * b.fix.miss // twice the mean: most growth lies within
	}
	if used > 0 {
		errPercent = miss * float64(more) / float64(used)
	}
	return used, errPercent
}
