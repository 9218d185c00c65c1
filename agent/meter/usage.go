package meter

import (
	"sort"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// Usage is how this cycle stands.
type Usage struct {
	RawBytes      uint64 // as counted on the interfaces in this cycle, unplaced ones included
	TxBytes       uint64 // of RawBytes, sent
	UsedBytes     uint64 // in the operator's count, as far as known
	ErrorPercent  float64
	Reconciled    bool   // a figure of the operator is in UsedBytes' making
	UnplacedBytes uint64 // of RawBytes, counted while no clock was trusted
	TodayBytes    uint64
	OwnBytes      uint64 // the agent's own share of RawBytes
	LifetimeBytes uint64 // everything ever counted for this SIM

	QuotaBytes uint64  // 0 not known; the test allowance while that holds
	Percent    float64 // UsedBytes of QuotaBytes, 0 without a quota
	Cycle      BillingCycle
	CycleKnown bool // the plan names the cycle day; otherwise it is the calendar month
	Test       bool // in the silent period: QuotaBytes is the test allowance
	OnExhaust  string
	Pool       bool

	TimeKnown   bool // some clock could be believed; otherwise Cycle is zero
	TimeTrusted bool

	Forecast Forecast
	Guard    Guard
}

// Usage is the state at an instant.
func (m *Meter) Usage(at instant.Instant) Usage {
	now, exact := m.now(at)
	return m.active().usage(now, exact, m)
}

// UsageOf is Usage of one SIM; ok is false when it has no book.
func (m *Meter) UsageOf(key string, at instant.Instant) (u Usage, ok bool) {
	b := m.find(key)
	if b == nil {
		return Usage{}, false
	}
	now, exact := m.now(at)
	return b.usage(now, exact, m), true
}

func (b *book) usage(now int64, exact bool, m *Meter) Usage {
	p := b.plan
	u := Usage{
		LifetimeBytes: b.lifetime, QuotaBytes: p.QuotaBytes, OnExhaust: p.OnExhaust, Pool: protocol.Is(p.Pool),
		TimeKnown: now != 0, TimeTrusted: exact,
	}
	if now == 0 {
		// No clock: all that is known is the sum since the last restart of the
		// count, which is all that is unplaced.
		l := b.unplaced(daySpan{}, m)
		u.RawBytes, u.TxBytes, u.OwnBytes = l.total, l.tx, l.own
		u.UnplacedBytes, u.UsedBytes, u.ErrorPercent = u.RawBytes, u.RawBytes, UnreconciledPercent
	} else {
		c := b.cycle(now)
		u.Cycle, u.CycleKnown = Cycle(p, time.Unix(now, 0))
		loose := b.unplaced(c, m)
		l := b.sum(c).plus(loose)
		u.RawBytes, u.TxBytes, u.OwnBytes, u.UnplacedBytes = l.total, l.tx, l.own, loose.total
		today := b.dayOf(now)
		u.TodayBytes = b.day(today).plus(b.unplaced(daySpan{today, today + 1}, m)).total
		row := cycleRow{daySpan: c}
		if r := b.cycleRow(c); r != nil {
			row = *r
		}
		u.Reconciled = row.figure.asOf != 0 || b.fix.n > 0
		u.UsedBytes, u.ErrorPercent = b.corrected(row, now, u.RawBytes)
		if silent, err := time.ParseInLocation(dateLayout, p.SilentUntil, zone(int(b.off))); err == nil && p.TestBytes > 0 {
			u.Test = today <= b.dayOf(silent.Unix())
		}
		if u.Test {
			// The allowance is for the whole test period, whatever the cycle.
			u.QuotaBytes, u.UsedBytes = p.TestBytes, b.lifetime
		}
		u.Forecast = b.forecast(b.habit(today), c, now, u.UsedBytes, u.QuotaBytes)
	}
	u.OwnBytes = min(u.OwnBytes, u.RawBytes)
	if u.QuotaBytes > 0 {
		u.Percent = 100 * float64(u.UsedBytes) / float64(u.QuotaBytes)
	}
	u.Guard = GuardFor(u)
	return u
}

// A Bar is one hour, day or cycle of the history.
type Bar struct {
	Start, End time.Time // in the operator's time
	Bytes      uint64    // as counted, both directions
	Tx         uint64    // of Bytes, sent
	Own        uint64    // the agent's share
	Used       uint64    // cycles only: in the operator's count
	Quota      uint64    // cycles only: the plan of then, 0 not known
}

// Hours is the last seven days by hour, oldest first, hours with traffic only.
func (m *Meter) Hours() []Bar {
	b := m.active()
	return b.bars(b.hours[:], time.Hour)
}

// Days is the last thirteen months by day, oldest first, days with traffic only.
func (m *Meter) Days() []Bar {
	b := m.active()
	return b.bars(b.days[:], 24*time.Hour)
}

// TopHours is the n busiest hours of the last seven days, busiest first.
func (m *Meter) TopHours(n int) []Bar {
	b := m.active()
	rows := b.topHours(n)
	bars := make([]Bar, 0, len(rows))
	for _, r := range rows {
		bars = append(bars, b.bar(r, time.Hour))
	}
	return bars
}

// Cycles is the last three years by billing cycle, oldest first, the present one
// last.
func (m *Meter) Cycles(at instant.Instant) []Bar {
	b := m.active()
	b.refresh()
	now, _ := m.now(at)
	bars := make([]Bar, 0, len(b.cycles))
	for _, c := range b.cycles {
		start, end := b.dayStart(c.start), b.dayStart(c.end)
		used, _ := b.corrected(c, min(now, end.Unix()), c.total)
		bars = append(bars, Bar{Start: start, End: end, Bytes: c.total, Tx: c.tx, Own: min(c.own, c.total), Used: used, Quota: c.quota})
	}
	return bars
}

func (b *book) bar(r row, long time.Duration) Bar {
	s := int64(long / time.Second)
	start := time.Unix(int64(r.key)*s-int64(b.off), 0).In(zone(int(b.off)))
	return Bar{Start: start, End: start.Add(long), Bytes: r.total, Tx: r.tx, Own: min(r.own, r.total)}
}

func (b *book) bars(rows []row, long time.Duration) []Bar {
	var bars []Bar
	for _, r := range rows {
		if !r.none() {
			bars = append(bars, b.bar(r, long))
		}
	}
	sortBars(bars)
	return bars
}

func sortBars(bars []Bar) {
	sort.Slice(bars, func(i, j int) bool { return bars[i].Start.Before(bars[j].Start) })
}
