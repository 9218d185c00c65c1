package meter

import (
	"slices"
	"sort"
	"time"

	"cellwarden/protocol"
)

// Sizes of the history, fixed so that a snapshot is bounded.
const (
	hourRows  = 7 * 24 // a week by hour
	dayRows   = 400    // 13 months by day, 397 at most
	cycleRows = 37     // three years by cycle, and the present one
	// looseLength is how finely bytes without a trusted time are kept: when the
	// clock comes right they land at most this far off, as long as there is room.
	looseLength = time.Minute
	// placedLength is the same for bytes already placed, which move only when a
	// clock that was trusted turns out to have been wrong.
	placedLength = 10 * time.Minute
	// pieceLength is how finely a look after an absence is spread.
	pieceLength = 10 * time.Minute
	// maxPieces bounds over how many slices one look after a long absence is spread.
	maxPieces = 96
	// maxSlices bounds the bytes that can still be moved: the last 27 h of a line
	// without pause once the clock is right.
	maxSlices = 160
	// mergeSpan is how far unplaced slices of one boot may be merged when there is
	// no room; beyond it the oldest is settled by the untrusted clock.
	mergeSpan = 6 * time.Hour
)

const (
	secondsPerHour = 3600
	secondsPerDay  = 24 * secondsPerHour
)

// row is what moved in one hour or one day of the operator's time. Key counts
// them from 1970. A row without bytes is free.
type row struct {
	key int32
	load
}

// load is bytes: all, those sent among them, and the agent's own among all.
type load struct{ total, tx, own uint64 }

func (l load) plus(o load) load {
	return load{satAdd(l.total, o.total), satAdd(l.tx, o.tx), satAdd(l.own, o.own)}
}

func (l load) less(o load) load {
	return load{satSub(l.total, o.total), satSub(l.tx, o.tx), satSub(l.own, o.own)}
}

func (l load) none() bool { return l.total == 0 && l.own == 0 }

// part is what falls to the first i of n equal pieces.
func (l load) part(i, n uint64) load {
	if i == n {
		return l // the rest goes to the last piece; no overflow
	}
	tx := l.tx / n * i
	return load{(l.total-l.tx)/n*i + tx, tx, l.own / n * i}
}

// daySpan is the local days of a cycle: Start is in it, End is not.
type daySpan struct{ start, end int32 }

func (s daySpan) has(day int32) bool { return day >= s.start && day < s.end }

// cycleRow is one billing cycle. Its sums are renewed from the days as long as
// those are kept.
type cycleRow struct {
	daySpan
	load
	quota  uint64
	figure figure
}

// slice is a group of bytes that can still be moved to another hour: it was
// counted in the boot ord between from and to.
type slice struct {
	ord      uint32
	from, to time.Duration
	hint     int64 // Unix seconds at to by the clock of then, trusted or not
	load
	placed bool
	hour   int32 // where it is placed
}

// book is what is known of one SIM.
type book struct {
	key      string
	plan     protocol.Plan
	off      int32  // seconds east of Greenwich of the operator's clock
	lifetime uint64 // everything ever counted
	firstDay int32  // the first day with a byte, 0 none yet
	hours    [hourRows]row
	days     [dayRows]row
	cycles   []cycleRow
	slices   []slice
	warned   warned
	fix      correction
	round    Rounding // as last told

	habitDay int32 // the day that usual was worked out for, 0 never
	usual    habit
}

func newBook(key string) *book {
	return &book{key: key, off: defaultOffset}
}

func (b *book) hourOf(unix int64) int32 { return int32(floorDiv(unix+int64(b.off), secondsPerHour)) }
func (b *book) dayOf(unix int64) int32  { return int32(floorDiv(unix+int64(b.off), secondsPerDay)) }

// dayFraction is how much of its day has passed at unix, 0..1.
func (b *book) dayFraction(unix int64) float64 {
	into := unix + int64(b.off) - int64(b.dayOf(unix))*secondsPerDay
	return float64(into) / secondsPerDay
}

// dayStart is midnight of a local day.
func (b *book) dayStart(day int32) time.Time {
	return time.Unix(int64(day)*secondsPerDay-int64(b.off), 0).In(zone(int(b.off)))
}

// day is what moved in one local day.
func (b *book) day(day int32) row {
	if r := b.days[mod(day, dayRows)]; r.key == day {
		return r
	}
	return row{key: day}
}

func (b *book) hour(hour int32) row {
	if r := b.hours[mod(hour, hourRows)]; r.key == hour {
		return r
	}
	return row{key: hour}
}

// sum is what moved in the days of s, as far as they are kept.
func (b *book) sum(s daySpan) (l load) {
	if s.end-s.start > dayRows {
		s.start = s.end - dayRows
	}
	for d := s.start; d < s.end; d++ {
		l = l.plus(b.day(d).load)
	}
	return l
}

// put adds to the rows of one hour and its day.
func (b *book) put(hour int32, l load) {
	day := int32(floorDiv(int64(hour), 24))
	putRow(&b.hours[mod(hour, hourRows)], hour, l)
	putRow(&b.days[mod(day, dayRows)], day, l)
	if l.total > 0 && (b.firstDay == 0 || day < b.firstDay) {
		b.firstDay = day
	}
}

func putRow(r *row, key int32, l load) {
	if r.key > key && !r.none() {
		return // older than the history reaches
	}
	if r.key != key {
		*r = row{key: key}
	}
	r.load = r.plus(l)
}

// take removes what put added.
func (b *book) take(hour int32, l load) {
	day := int32(floorDiv(int64(hour), 24))
	takeRow(&b.hours[mod(hour, hourRows)], hour, l)
	takeRow(&b.days[mod(day, dayRows)], day, l)
	if day == b.firstDay && b.day(day).total == 0 {
		b.firstDay = b.oldestDay()
	}
}

func takeRow(r *row, key int32, l load) {
	if r.key == key {
		r.load = r.less(l)
	}
}

func (b *book) oldestDay() int32 {
	var oldest int32
	for _, r := range b.days {
		if r.total > 0 && (oldest == 0 || r.key < oldest) {
			oldest = r.key
		}
	}
	return oldest
}

// add books bytes counted at mono of the boot ord. unix is when that was; it is
// used at once when exact and kept as a hint otherwise.
func (b *book) add(ord uint32, mono time.Duration, unix int64, exact bool, l load, m *Meter) {
	hour := b.hourOf(unix)
	if exact {
		b.put(hour, l)
	} else {
		hour = 0
	}
	length := looseLength
	if exact {
		length = placedLength
	}
	if n := len(b.slices); n > 0 {
		s := &b.slices[n-1]
		if s.ord == ord && s.placed == exact && s.hour == hour && mono >= s.from && mono-s.from < length {
			s.load = s.plus(l)
			if mono >= s.to {
				s.to, s.hint = mono, unix
			}
			return
		}
	}
	if len(b.slices) == maxSlices {
		b.makeRoom(m)
	}
	b.slices = append(b.slices, slice{ord: ord, from: mono, to: mono, hint: unix, load: l, placed: exact, hour: hour})
}

// makeRoom gives up the least useful freedom to move: that of the oldest placed
// slice; else the difference between two unplaced neighbours; else it settles
// the oldest by the clock of then.
func (b *book) makeRoom(m *Meter) {
	for i, s := range b.slices {
		if s.placed {
			b.slices = slices.Delete(b.slices, i, i+1)
			return
		}
	}
	best, span := -1, mergeSpan
	for i := 0; i+1 < len(b.slices); i++ {
		a, z := b.slices[i], b.slices[i+1]
		if a.ord == z.ord && z.to >= a.from && z.to-a.from < span {
			best, span = i, z.to-a.from
		}
	}
	if best < 0 {
		if at := m.believe(b.slices[0].hint); at != 0 {
			s := b.slices[0]
			b.put(b.hourOf(at), s.load)
			b.slices = slices.Delete(b.slices, 0, 1)
			return
		}
		best = 0 // no clock was ever right: only the sum is known
	}
	a, z := b.slices[best], b.slices[best+1]
	z.load = z.plus(a.load)
	if z.ord == a.ord {
		z.from = a.from
	}
	b.slices[best] = z
	b.slices = slices.Delete(b.slices, best+1, best+2)
}

// replace moves every slice to where it belongs by a newly trusted clock: off is
// Unix nanoseconds at mono zero of the boot ord. Slices of earlier boots, whose
// clock was never right, go where their clock put them, but not before earliest
// nor into this boot.
func (b *book) replace(ord uint32, off, earliest int64) {
	b.habitDay = 0
	for i := range b.slices {
		s := &b.slices[i]
		var unix int64
		switch {
		case s.ord == ord:
			unix = floorDiv(off+int64(s.from+(s.to-s.from)/2), int64(time.Second))
		case !s.placed:
			unix = min(max(s.hint, earliest, notBefore), floorDiv(off, int64(time.Second)))
		default:
			continue
		}
		hour := b.hourOf(unix)
		if s.placed {
			if s.hour == hour {
				continue
			}
			b.take(s.hour, s.load)
		}
		b.put(hour, s.load)
		s.placed, s.hour, s.hint = true, hour, unix
	}
	b.refresh()
}

// forgetPlaced ends the freedom to move what an earlier boot has placed.
func (b *book) forgetPlaced() {
	b.slices = slices.DeleteFunc(b.slices, func(s slice) bool { return s.placed })
}

// unplaced is the bytes not in any row yet that most likely moved in the days of
// s; without any clock they count as now.
func (b *book) unplaced(s daySpan, m *Meter) (l load) {
	for _, x := range b.slices {
		if x.placed {
			continue
		}
		if at := m.believe(x.hint); at == 0 || s.has(b.dayOf(at)) {
			l = l.plus(x.load)
		}
	}
	return l
}

// turn opens the row of the cycle that unix lies in. A clock that came back, or
// a new cycle day, makes later rows give way and an overlapping one end earlier.
func (b *book) turn(unix int64) {
	c := b.cycle(unix)
	if n := len(b.cycles); n > 0 && b.cycles[n-1].daySpan == c {
		b.cycles[n-1].quota = b.plan.QuotaBytes
		return
	}
	b.refresh()
	for n := len(b.cycles); n > 0 && b.cycles[n-1].start >= c.start; n = len(b.cycles) {
		b.cycles = b.cycles[:n-1]
	}
	if n := len(b.cycles); n > 0 && b.cycles[n-1].end > c.start {
		b.cycles[n-1].end = c.start
	}
	b.cycles = append(b.cycles, cycleRow{daySpan: c, quota: b.plan.QuotaBytes})
	if len(b.cycles) > cycleRows {
		b.cycles = slices.Delete(b.cycles, 0, len(b.cycles)-cycleRows)
	}
	b.refresh()
}

// refresh renews the sums of the cycles whose days are all kept.
func (b *book) refresh() {
	var newest int32
	for _, r := range b.days {
		if r.total > 0 && r.key > newest {
			newest = r.key
		}
	}
	for i := range b.cycles {
		c := &b.cycles[i]
		if c.start > newest-dayRows {
			c.load = b.sum(c.daySpan)
		}
	}
}

// absorb adds all of o, counted before it was known that both are one SIM.
func (b *book) absorb(o *book, m *Meter) {
	b.lifetime = satAdd(b.lifetime, o.lifetime)
	b.habitDay = 0
	for _, r := range o.days {
		if !r.none() {
			putRow(&b.days[mod(r.key, dayRows)], r.key, r.load)
			if b.firstDay == 0 || r.key < b.firstDay {
				b.firstDay = r.key
			}
		}
	}
	for _, r := range o.hours {
		if !r.none() {
			putRow(&b.hours[mod(r.key, hourRows)], r.key, r.load)
		}
	}
	for _, s := range o.slices {
		if len(b.slices) == maxSlices {
			b.makeRoom(m)
		}
		b.slices = append(b.slices, s)
	}
	if planEqual(b.plan, protocol.Plan{}) {
		b.setPlan(o.plan)
	}
	b.refresh()
}

// setPlan reports whether the plan changed.
func (b *book) setPlan(p protocol.Plan) bool {
	if planEqual(b.plan, p) {
		return false
	}
	b.plan = p
	b.habitDay = 0
	b.off = int32(offsetOf(p))
	return true
}

func (b *book) topHours(n int) []row {
	var rows []row
	for _, r := range b.hours {
		if r.total > 0 {
			rows = append(rows, r)
		}
	}
	sort.Slice(rows, func(i, j int) bool {
		if rows[i].total != rows[j].total {
			return rows[i].total > rows[j].total
		}
		return rows[i].key > rows[j].key
	})
	return rows[:min(n, len(rows))]
}

func mod(a int32, n int32) int32 {
	if a %= n; a < 0 {
		a += n
	}
	return a
}
