// Package meter counts the bytes of the data interface against the plan of the
// SIM, per SIM, and says in time when the plan will run out. It is pure: no
// clock, no disk, no kernel. Package board reads the counters and the clocks;
// the caller keeps the snapshot.
//
// What it promises of the sum: no byte is counted twice, none is invented, and
// none is lost but what passed after the last look at an interface that then
// vanished, or after the last kept snapshot when power was cut. The sum never
// depends on the wall clock; the clock only says in which hour, day and cycle a
// byte belongs, and bytes counted while it is not believed are moved there later.
//
// It does not know of packets, connections or programs, cannot see what moved
// before it first looked, and does not block anything.
package meter

import (
	"math"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// Limits and defaults, each with its reason.
const (
	// DefaultFlushBytes is the counted traffic that a power cut may cost.
	DefaultFlushBytes = 128 << 10
	// DefaultFlushEvery bounds how stale the kept snapshot of a quiet line gets;
	// four small writes a day are far below what traffic causes.
	DefaultFlushEvery = 6 * time.Hour
	// flushUpTo is the traffic of a day up to which FlushBytes is the bound. On a
	// busier day it grows with what moved, so that 1 GB a day costs some 120 writes
	// and not 8,000.
	flushUpTo = 2 << 20
	// DefaultMaxRate, bytes a second, bounds what a 32-bit counter may have
	// moved between two looks: LTE category 4, 150 Mbit/s. Boards whose kernel
	// has 32-bit counters carry nothing faster.
	DefaultMaxRate = 150_000_000 / 8
	// maxWrap is the most that one 32-bit turn may add. A counter that falls from
	// the middle of its range was reset, it did not turn: phantom gigabytes come
	// from taking the one for the other.
	maxWrap = 1 << 30
	// maxTwinWrap is the same when both directions fell between two looks, which
	// is what a reset looks like.
	maxTwinWrap = 64 << 20
	// maxLines bounds the interfaces remembered in one boot. A modem that
	// re-enumerates makes a new one each time; only the newest can come back.
	maxLines = 32
	// maxBooks bounds the SIMs remembered: a dual-SIM board and two cards that
	// were swapped out.
	maxBooks = 4
	// maxKey bounds a SIM key, a short hash.
	maxKey = 64
	// maxName is IFNAMSIZ less its terminating NUL.
	maxName = 15
	// stepTolerance is how far the wall clock may drift from the monotonic one
	// between two looks before it counts as a step. NTP slews by at most 500 ppm,
	// 43 s a day.
	stepTolerance = 2 * time.Minute
)

// notBefore is the earliest believable wall time: the agent did not exist then.
var notBefore = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// Options tunes a Meter. Zero values mean the defaults.
type Options struct {
	FlushBytes uint64        // counted traffic at risk to a power cut
	FlushEvery time.Duration // longest time that counted traffic waits to be kept
	MaxRate    uint64        // bytes a second of the fastest line, for 32-bit counters
}

func (o Options) withDefaults() Options {
	if o.FlushBytes == 0 {
		o.FlushBytes = DefaultFlushBytes
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = DefaultFlushEvery
	}
	if o.MaxRate == 0 {
		o.MaxRate = DefaultMaxRate
	}
	return o
}

// A Reading is one look at one interface.
type Reading struct {
	At        instant.Instant
	Interface string
	Index     int // the kernel's ifindex; not reused within a boot
	RxBytes   uint64
	TxBytes   uint64
	Bits      int  // width of the driver's counter, 32 or 64
	Skip      bool // present, but not a data interface: seen only to know what is old
	Stacked   bool // rests on another data interface, which counts the same bytes
}

// line is what is remembered of one interface in this boot.
type line struct {
	name   string
	index  int
	rx, tx uint64
	mono   time.Duration // of the last reading
}

// anchor ties the monotonic clock of one boot to trusted wall time.
type anchor struct {
	boot uint32 // ordinal
	off  int64  // Unix nanoseconds at Mono zero
}

// Meter counts. The zero value is not usable: New or Restore. It is not safe
// for concurrent use; the loop owns it.
//
//	fresh --first Look--> counting (what the counters held before is not ours)
//	counting --other boot id--> counting (counters began at zero with the boot)
//	counting --Snapshot, kill, Restore--> counting (the difference is counted)
type Meter struct {
	opt Options

	boot      string        // boot id of the last look
	ord       uint32        // counts boots: 0 fresh, 1 the first
	highIndex int           // largest ifindex seen in this boot: a larger one is a new interface
	lastMono  time.Duration // of the last look in this boot, -1 when there was none yet
	lines     []line

	anchor      anchor
	lastTrusted int64 // Unix seconds of the last trusted look, 0 never

	counted   uint64    // by all books, ever
	mark      modemMark // the modem's count as last settled
	heard     modemMark // and as heard since
	recovered uint64    // bytes that the mark has brought back

	books  []*book // most recently used first; books[0] is the SIM now in use
	resets uint64

	gen       uint64 // of the last Snapshot
	dirty     uint64 // bytes counted since the last Saved
	urgent    bool   // something that must not be forgotten changed
	savedOrd  uint32
	savedMono time.Duration
}

// New returns a meter that has counted nothing. Its first look only notes where
// the counters stand.
func New(opt Options) *Meter {
	return &Meter{opt: opt.withDefaults(), books: []*book{newBook("")}}
}

func (m *Meter) active() *book { return m.books[0] }

// SetSIM says whose bytes are counted from now on. The key is a salted hash of
// the ICCID. Call Look first, so that what moved until now goes to the card that
// moved it. "" (not known) changes nothing: a card that cannot be read is most
// likely the one that was there. Bytes counted before any key was known go to
// the first that is.
func (m *Meter) SetSIM(key string, at instant.Instant) {
	if key == "" || key == m.active().key || len(key) > maxKey {
		return
	}
	m.see(at)
	unknown := m.find("")
	b := m.find(key)
	switch {
	case b == nil && unknown != nil:
		b = unknown
		b.key = key
	case b == nil:
		b = newBook(key)
		m.books = append(m.books, b)
	case unknown != nil:
		b.absorb(unknown, m)
		m.drop(unknown)
	}
	if b != m.active() {
		m.mark, m.heard = modemMark{}, modemMark{} // the modem does not know whose bytes it counts
	}
	m.toFront(b)
	if len(m.books) > maxBooks {
		m.books = m.books[:maxBooks]
	}
	m.urgent = true
}

func (m *Meter) find(key string) *book {
	for _, b := range m.books {
		if b.key == key {
			return b
		}
	}
	return nil
}

func (m *Meter) drop(b *book) {
	for i, x := range m.books {
		if x == b {
			m.books = append(m.books[:i], m.books[i+1:]...)
			return
		}
	}
}

func (m *Meter) toFront(b *book) {
	m.drop(b)
	m.books = append([]*book{b}, m.books...)
}

// SIM is the key of the SIM in use, "" while none is known.
func (m *Meter) SIM() string { return m.active().key }

// SetPlan gives the SIM its tariff. It is refused with what is wrong when it
// makes no sense; the old plan then stays. A plan for a SIM never seen opens its
// book; the key "" is the SIM now in use.
func (m *Meter) SetPlan(key string, p protocol.Plan, at instant.Instant) error {
	if err := CheckPlan(p); err != nil {
		return err
	}
	b, err := m.bookFor(key)
	if err != nil {
		return err
	}
	m.see(at)
	if b.setPlan(p) {
		m.urgent = true
	}
	if now, exact := m.now(at); exact {
		b.turn(now)
	}
	return nil
}

// Plan is the tariff of the SIM now in use.
func (m *Meter) Plan() protocol.Plan { return m.active().plan }

func (m *Meter) bookFor(key string) (*book, error) {
	if key == "" {
		return m.active(), nil
	}
	if len(key) > maxKey {
		return nil, errKey
	}
	if b := m.find(key); b != nil {
		return b, nil
	}
	b := newBook(key)
	if len(m.books) == maxBooks {
		m.books[maxBooks-1] = b
	} else {
		m.books = append(m.books, b)
	}
	return b, nil
}

// see takes note of the boot and of the clock, before anything is booked.
func (m *Meter) see(at instant.Instant) {
	if m.ord == 0 || at.Boot != m.boot {
		fresh := m.ord == 0
		m.boot = at.Boot
		m.ord++
		m.lines = m.lines[:0]
		m.highIndex = 0
		m.lastMono = 0
		if fresh {
			m.lastMono = -1
		}
		for _, b := range m.books {
			b.forgetPlaced()
		}
	}
	m.trust(at)
}

// trust moves the anchor to a believed wall clock, and what was booked under
// another belief with it.
func (m *Meter) trust(at instant.Instant) {
	if !at.Trusted || at.Wall.Unix() < notBefore {
		return
	}
	off := at.Wall.UnixNano() - int64(at.Mono)
	known := m.anchor.boot == m.ord
	step := off - m.anchor.off
	earliest := m.lastTrusted
	m.anchor = anchor{boot: m.ord, off: off}
	m.lastTrusted = at.Wall.Unix()
	if known && step <= int64(stepTolerance) && step >= -int64(stepTolerance) {
		return
	}
	for _, b := range m.books {
		b.replace(m.ord, off, earliest)
	}
}

// wall is the time at mono in this boot: exact when the boot has an anchor,
// otherwise what the untrusted clock of at would have shown.
func (m *Meter) wall(mono time.Duration, at instant.Instant) (unix int64, exact bool) {
	if m.anchor.boot == m.ord && m.ord != 0 {
		return floorDiv(m.anchor.off+int64(mono), int64(time.Second)), true
	}
	return at.Wall.Unix() - int64((at.Mono-mono)/time.Second), false
}

// now is the best estimate of the present: exact when anchored; otherwise the
// untrusted clock, unless it lies before what is known to have passed. Zero
// means that nothing is known.
func (m *Meter) now(at instant.Instant) (unix int64, exact bool) {
	if m.ord != 0 && at.Boot == m.boot {
		unix, exact = m.wall(at.Mono, at)
	} else {
		unix = at.Wall.Unix()
	}
	if exact {
		return unix, true
	}
	return m.believe(unix), false
}

// believe keeps an untrusted time from lying before what is known to have passed.
func (m *Meter) believe(unix int64) int64 {
	if unix >= notBefore && unix >= m.lastTrusted {
		return unix
	}
	return m.lastTrusted
}

// Look takes in the counters of all interfaces now present and returns the
// warnings that are due. An interface that is missing has vanished; nothing is
// assumed of it.
func (m *Meter) Look(at instant.Instant, seen []Reading) []protocol.Warning {
	m.see(at)
	first := m.lastMono < 0
	high := m.highIndex
	for i, r := range seen {
		if r.Index <= 0 || repeated(seen[:i], r.Index) {
			continue
		}
		if r.Index > m.highIndex {
			m.highIndex = r.Index
		}
		if r.Skip || r.Stacked {
			continue
		}
		m.count(at, r, first, high)
	}
	m.lastMono = at.Mono
	if m.savedOrd != m.ord {
		m.savedOrd, m.savedMono = m.ord, at.Mono
	}
	m.settle(at)
	return m.warn(at)
}

// Final takes in the last counters of one interface that was just deleted (the
// kernel sends them with the deletion). One that was counted before is known by
// its index, whatever Skip says. What the others moved is counted by the next Look.
func (m *Meter) Final(at instant.Instant, r Reading) {
	if m.ord == 0 || m.boot != at.Boot || m.lastMono < 0 || r.Index <= 0 || r.Skip && m.line(r.Index) == nil {
		return // before the first look of this boot nothing says what is new
	}
	m.see(at)
	high := m.highIndex
	if r.Index > high {
		m.highIndex = r.Index
	}
	before := m.line(r.Index)
	if before == nil {
		m.count(at, r, false, high)
		return
	}
	// A driver may take part of its counters down first (veth forgets its peer).
	// That is no reset, and the line must not fall: moved to another namespace,
	// the interface can come back with its counters and its index.
	old, resets := *before, m.resets
	m.count(at, r, false, high)
	if m.resets != resets {
		m.resets = resets
		l := m.line(r.Index)
		l.rx, l.tx = max(l.rx, old.rx), max(l.tx, old.tx)
	}
}

func repeated(seen []Reading, index int) bool {
	for _, r := range seen {
		if r.Index == index {
			return true
		}
	}
	return false
}

// count books what one interface moved since it was last read. high is the
// largest index that existed at the look before.
func (m *Meter) count(at instant.Instant, r Reading, first bool, high int) {
	l := m.line(r.Index)
	if l == nil {
		n := m.addLine(r, at.Mono)
		// ifindex only grows within a boot, so a larger one than any seen before
		// was created since, with counters at zero. A smaller one was there all
		// the time and was not ours (a changed pattern, an interface moved
		// between namespaces): what it holds is not counted.
		if !first && r.Index > high {
			m.book(at, m.lastMono, n.rx, n.tx)
		}
		return
	}
	rx, tx, ok := m.deltas(*l, r, at.Mono)
	if !ok {
		m.resets++
	}
	m.book(at, l.mono, rx, tx)
	l.rx, l.tx, l.mono, l.name = r.RxBytes, r.TxBytes, at.Mono, clip(r.Interface, maxName)
}

func (m *Meter) line(index int) *line {
	for i := range m.lines {
		if m.lines[i].index == index {
			return &m.lines[i]
		}
	}
	return nil
}

func (m *Meter) addLine(r Reading, mono time.Duration) *line {
	if len(m.lines) == maxLines { // the one not seen for longest
		old := 0
		for i, l := range m.lines {
			if l.mono < m.lines[old].mono {
				old = i
			}
		}
		m.lines = append(m.lines[:old], m.lines[old+1:]...)
	}
	m.lines = append(m.lines, line{name: clip(r.Interface, maxName), index: r.Index, rx: r.RxBytes, tx: r.TxBytes, mono: mono})
	return &m.lines[len(m.lines)-1]
}

// deltas is what both counters of one interface grew by. ok is false when one
// fell without having turned: it was reset in place, and what it shows now is not
// counted, because not every driver restarts at zero. A counter that was reset
// and has grown past its last reading gives the difference, which did move.
func (m *Meter) deltas(l line, r Reading, now time.Duration) (rx, tx uint64, ok bool) {
	var limit uint64 // of a 32-bit turn, 0 for counters that do not turn
	if r.Bits == 32 && max(l.rx, l.tx, r.RxBytes, r.TxBytes) <= math.MaxUint32 {
		limit = maxWrap
		if r.RxBytes < l.rx && r.TxBytes < l.tx {
			limit = maxTwinWrap
		}
		// One second of grace: the looks are not stamped at the very read.
		if s := uint64((now-l.mono)/time.Second) + 1; s < limit/m.opt.MaxRate {
			limit = s * m.opt.MaxRate
		}
	}
	rx, rxOK := grown(l.rx, r.RxBytes, limit)
	tx, txOK := grown(l.tx, r.TxBytes, limit)
	return rx, tx, rxOK && txOK
}

// grown is how far one counter went, over at most one turn of at most limit.
func grown(last, now, limit uint64) (uint64, bool) {
	if now >= last {
		return now - last, true
	}
	if d := now + (1 << 32) - last; limit > 0 && d <= limit {
		return d, true
	}
	return 0, false
}

// book puts what moved between from and at into the book of the SIM now in use. A
// long span (the agent was down) is spread evenly.
func (m *Meter) book(at instant.Instant, from time.Duration, rx, tx uint64) {
	n := satAdd(rx, tx)
	if n == 0 {
		return
	}
	if from < 0 || from > at.Mono {
		from = at.Mono
	}
	m.dirty = satAdd(m.dirty, n)
	m.counted += n
	b := m.active()
	b.lifetime = satAdd(b.lifetime, n)
	span := max(at.Mono-from, 1)
	pieces := uint64((span-1)/pieceLength) + 1
	if pieces > maxPieces {
		pieces = maxPieces
	}
	all, done := load{total: n, tx: tx}, load{}
	for i := uint64(1); i <= pieces; i++ {
		upTo := all.part(i, pieces)
		mid := from + time.Duration(float64(span)*(float64(i)-0.5)/float64(pieces))
		if pieces == 1 {
			mid = at.Mono
		}
		unix, exact := m.wall(mid, at)
		b.add(m.ord, mid, unix, exact, upTo.less(done), m)
		done = upTo
	}
}

// OwnBytes books the agent's own share of what the interfaces carried. It does
// not add to the sum, which the counters give. Shares of fewer than a flush are
// lost in a power cut or a kill; the sum is not.
func (m *Meter) OwnBytes(n uint64, at instant.Instant) {
	if n == 0 {
		return
	}
	m.see(at)
	unix, exact := m.wall(at.Mono, at)
	m.active().add(m.ord, at.Mono, unix, exact, load{own: n}, m)
}

// Resets is how many times a counter was reset in place since the meter began.
func (m *Meter) Resets() uint64 { return m.resets }

// Dirty is how many counted bytes a power cut would cost now.
func (m *Meter) Dirty() uint64 { return m.dirty }

// AtRisk is the bound beyond which Due asks for a snapshot: FlushBytes, and on a
// busy day in proportion more.
func (m *Meter) AtRisk(at instant.Instant) uint64 {
	risk := m.opt.FlushBytes
	if now, ok := m.now(at); ok {
		if today := m.active().day(m.active().dayOf(now)).total; today > flushUpTo {
			risk = uint64(float64(risk) * float64(today) / flushUpTo)
		}
	}
	return risk
}

// Due reports that a snapshot should be kept now. Call Saved after it is on disk.
func (m *Meter) Due(at instant.Instant) bool {
	if m.urgent || m.dirty >= m.AtRisk(at) {
		return true
	}
	if m.dirty == 0 || m.savedOrd != m.ord {
		return false
	}
	return at.Mono-m.savedMono >= m.opt.FlushEvery
}

// Saved says that the last snapshot is on disk.
func (m *Meter) Saved(at instant.Instant) {
	m.dirty, m.urgent = 0, false
	m.savedOrd, m.savedMono = m.ord, at.Mono
}

func satAdd(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func satSub(a, b uint64) uint64 {
	if b > a {
		return 0
	}
	return a - b
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
