package meter

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"cellwarden/protocol"
)

// MaxSnapshotBytes bounds what Snapshot returns: four SIMs with full histories
// of the largest numbers. One SIM that moves some MB a day takes about 6 KB.
const MaxSnapshotBytes = 128 << 10

const (
	snapshotMagic   = "CWMT"
	snapshotVersion = 2
	// oldestVersion can still be read: version 1 did not keep apart what was sent.
	oldestVersion = 1
	maxPlanBytes  = 2 << 10 // a plan as JSON; CheckPlan keeps it below
	maxBoot       = 64      // bytes of a boot id, which has 36
)

// ErrSnapshot is what a snapshot that cannot be read yields, with what is wrong.
// The caller starts anew and keeps the bad file for whoever comes.
var ErrSnapshot = errors.New("unreadable snapshot")

// Snapshot is the whole state, checksummed. A snapshot may be kept after every
// look where writing costs nothing (a RAM disk: a kill then loses nothing even
// when the interface is re-created) and must be kept on flash when Due says so.
func (m *Meter) Snapshot() []byte {
	m.gen++
	w := writer{b: make([]byte, 0, 8<<10)}
	w.b = append(w.b, snapshotMagic...)
	w.b = append(w.b, snapshotVersion)
	w.uint(m.gen)
	w.text(clip(m.boot, maxBoot))
	w.uint(uint64(m.ord))
	w.int(int64(m.highIndex))
	w.int(int64(m.lastMono))
	w.uint(uint64(m.anchor.boot))
	w.int(m.anchor.off)
	w.int(m.lastTrusted)
	w.uint(m.resets)
	w.uint(m.dirty)
	w.uint(uint64(len(m.lines)))
	for _, l := range m.lines {
		w.text(l.name)
		w.int(int64(l.index))
		w.uint(l.rx)
		w.uint(l.tx)
		w.int(int64(l.mono))
	}
	w.uint(uint64(len(m.books)))
	for _, b := range m.books {
		b.write(&w)
	}
	w.uint(m.counted)
	w.uint(m.recovered)
	w.uint(m.mark.modem)
	w.uint(m.mark.counted)
	w.uint(uint64(m.mark.ord))
	w.int(m.mark.unix)
	w.uint(m.mark.tx)
	return binary.BigEndian.AppendUint32(w.b, crc32.ChecksumIEEE(w.b))
}

func (b *book) write(w *writer) {
	w.text(b.key)
	w.text(string(planBytes(b.plan)))
	w.uint(b.lifetime)
	w.int(int64(b.firstDay))
	writeRows(w, b.hours[:])
	writeRows(w, b.days[:])
	w.uint(uint64(len(b.cycles)))
	for _, c := range b.cycles {
		w.int(int64(c.start))
		w.int(int64(c.end))
		w.load(c.load)
		w.uint(c.quota)
		w.int(c.figure.asOf)
		w.uint(c.figure.used)
		w.uint(c.figure.raw)
	}
	w.uint(uint64(len(b.slices)))
	var last time.Duration
	for _, s := range b.slices {
		w.uint(uint64(s.ord))
		w.int(int64(s.from - last))
		w.int(int64(s.to - s.from))
		last = s.to
		w.load(s.load)
		w.bool(s.placed)
		if s.placed {
			w.int(int64(s.hour))
		} else {
			w.int(s.hint)
		}
	}
	w.text(b.warned.expires)
	w.int(int64(b.warned.expiry))
	w.int(int64(b.warned.retention))
	w.uint(uint64(len(b.warned.cycles)))
	for _, c := range b.warned.cycles {
		w.int(int64(c.start))
		w.uint(c.quota)
		w.uint(uint64(len(c.thresholds)))
		for _, t := range c.thresholds {
			w.int(int64(t))
		}
		w.bool(c.forecast)
		w.bool(c.unusual)
		w.bool(c.restored)
		w.bool(c.over)
	}
	for _, f := range b.fix.fields() {
		w.float(*f)
	}
}

func writeRows(w *writer, rows []row) {
	n := 0
	for _, r := range rows {
		if !r.none() {
			n++
		}
	}
	w.uint(uint64(n))
	last := int32(0)
	for _, r := range rows {
		if !r.none() {
			w.int(int64(r.key) - int64(last))
			last = r.key
			w.load(r.load)
		}
	}
}

// Restore returns the meter as it was when the snapshot was taken. Its first
// look counts what moved since, unless the board was started anew; then it
// counts what moved since that start.
func Restore(snapshot []byte, opt Options) (*Meter, error) {
	r, err := open(snapshot)
	if err != nil {
		return nil, err
	}
	m := &Meter{opt: opt.withDefaults()}
	m.gen = r.uint()
	m.boot = r.text(maxBoot)
	m.ord = uint32(r.uintMax(math.MaxUint32))
	m.highIndex = int(r.intIn(0, math.MaxInt32))
	m.lastMono = time.Duration(r.intIn(-1, math.MaxInt64))
	m.anchor.boot = uint32(r.uintMax(math.MaxUint32))
	m.anchor.off = r.int()
	m.lastTrusted = r.int()
	m.resets = r.uint()
	m.dirty = r.uint()
	for n := r.uintMax(maxLines); n > 0 && r.err == nil; n-- {
		m.lines = append(m.lines, line{
			name: r.text(maxName), index: int(r.intIn(1, math.MaxInt32)),
			rx: r.uint(), tx: r.uint(), mono: time.Duration(r.intIn(0, math.MaxInt64)),
		})
	}
	books := r.uintMax(maxBooks)
	if books == 0 {
		r.fail("no sim")
	}
	for ; books > 0 && r.err == nil; books-- {
		m.books = append(m.books, readBook(r))
	}
	m.counted, m.recovered = r.uint(), r.uint()
	m.mark = modemMark{modem: r.uint(), counted: r.uint(), ord: uint32(r.uintMax(math.MaxUint32)), unix: r.int()}
	if r.version > 1 {
		m.mark.tx = r.uint()
	}
	if m.mark.counted > m.counted {
		r.fail("mark")
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes left over")
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// RestoreNewest restores the newest of several snapshots that can be read, such
// as that on the RAM disk and that on flash. It fails when none can, with the
// fault of the first; empty ones are passed over.
func RestoreNewest(opt Options, snapshots ...[]byte) (*Meter, error) {
	var best *Meter
	var fault error
	for _, s := range snapshots {
		if len(s) == 0 {
			continue
		}
		m, err := Restore(s, opt)
		if err != nil {
			if fault == nil {
				fault = err
			}
			continue
		}
		if best == nil || m.gen > best.gen {
			best = m
		}
	}
	switch {
	case best != nil:
		return best, nil
	case fault != nil:
		return nil, fault
	}
	return nil, fmt.Errorf("meter: %w: empty", ErrSnapshot)
}

func readBook(r *reader) *book {
	b := newBook(r.text(maxKey))
	var p protocol.Plan
	if err := json.Unmarshal([]byte(r.text(maxPlanBytes)), &p); err != nil && r.err == nil {
		r.fail("plan")
	}
	if err := CheckPlan(p); err != nil && r.err == nil {
		r.fail("plan")
	}
	b.setPlan(p)
	b.lifetime = r.uint()
	b.firstDay = r.int32()
	readRows(r, b.hours[:])
	readRows(r, b.days[:])
	for n := r.uintMax(cycleRows); n > 0 && r.err == nil; n-- {
		var c cycleRow
		c.start, c.end = r.int32(), r.int32()
		if c.end < c.start || c.end-c.start > 62 {
			r.fail("cycle")
		}
		c.load, c.quota = r.load(), r.uint()
		c.figure = figure{asOf: r.int(), used: r.uint(), raw: r.uint()}
		b.cycles = append(b.cycles, c)
	}
	var last time.Duration
	for n := r.uintMax(maxSlices); n > 0 && r.err == nil; n-- {
		s := slice{ord: uint32(r.uintMax(math.MaxUint32))}
		s.from = last + time.Duration(r.int())
		s.to = s.from + time.Duration(r.intIn(0, math.MaxInt64))
		if s.from < 0 || s.to < s.from {
			r.fail("slice")
		}
		last = s.to
		s.load = r.load()
		if s.placed = r.bool(); s.placed {
			s.hour = r.int32()
		} else {
			s.hint = r.int()
		}
		b.slices = append(b.slices, s)
	}
	b.warned.expires = r.text(maxPlanField)
	b.warned.expiry = int(r.intIn(0, maxRetention))
	b.warned.retention = int(r.intIn(0, maxRetention))
	for n := r.uintMax(warnedCycles); n > 0 && r.err == nil; n-- {
		c := warnedCycle{start: r.int32(), quota: r.uint()}
		for k := r.uintMax(2 * maxThresholds); k > 0 && r.err == nil; k-- {
			c.thresholds = append(c.thresholds, int(r.intIn(1, maxThreshold)))
		}
		c.forecast, c.unusual, c.restored, c.over = r.bool(), r.bool(), r.bool(), r.bool()
		b.warned.cycles = append(b.warned.cycles, c)
	}
	for _, f := range b.fix.fields() {
		*f = r.float()
	}
	return b
}

func readRows(r *reader, rows []row) {
	n := int32(len(rows))
	last := int64(0)
	for k := r.uintMax(uint64(n)); k > 0 && r.err == nil; k-- {
		last += r.intIn(-math.MaxUint32, math.MaxUint32)
		if last < math.MinInt32 || last > math.MaxInt32 {
			r.fail("row")
			return
		}
		x := row{key: int32(last), load: r.load()}
		rows[mod(x.key, n)] = x
	}
}

func (c *correction) fields() []*float64 {
	return []*float64{&c.srr, &c.srd, &c.sdd, &c.sru, &c.sdu, &c.n, &c.miss}
}

// writer appends varints.
type writer struct{ b []byte }

func (w *writer) uint(v uint64)   { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)     { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) text(s string)   { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) float(v float64) { w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(v)) }
func (w *writer) bool(v bool) {
	if v {
		w.b = append(w.b, 1)
	} else {
		w.b = append(w.b, 0)
	}
}

func (w *writer) load(l load) {
	w.uint(l.total)
	w.uint(l.tx)
	w.uint(l.own)
}

// reader takes varints off and remembers the first fault.
type reader struct {
	b       []byte
	version byte
	err     error
}

func open(snapshot []byte) (*reader, error) {
	head := len(snapshotMagic) + 1
	if len(snapshot) < head+4 || len(snapshot) > MaxSnapshotBytes || string(snapshot[:len(snapshotMagic)]) != snapshotMagic {
		return nil, fmt.Errorf("meter: %w: not a snapshot of the meter", ErrSnapshot)
	}
	body, sum := snapshot[:len(snapshot)-4], binary.BigEndian.Uint32(snapshot[len(snapshot)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return nil, fmt.Errorf("meter: %w: damaged (checksum)", ErrSnapshot)
	}
	v := body[head-1]
	if v < oldestVersion || v > snapshotVersion {
		return nil, fmt.Errorf("meter: %w: version %d, this agent reads %d to %d", ErrSnapshot, v, oldestVersion, snapshotVersion)
	}
	return &reader{b: body[head:], version: v}, nil
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("meter: %w: damaged (%s)", ErrSnapshot, what)
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uintMax(limit uint64) uint64 {
	v := r.uint()
	if v > limit {
		r.fail("range")
		return 0
	}
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) intIn(lo, hi int64) int64 {
	v := r.int()
	if v < lo || v > hi {
		r.fail("range")
		return max(lo, 0)
	}
	return v
}

func (r *reader) int32() int32 { return int32(r.intIn(math.MinInt32/2, math.MaxInt32/2)) }

func (r *reader) text(limit int) string {
	n := int(r.uintMax(uint64(limit)))
	if n > len(r.b) {
		r.fail("text")
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) load() (l load) {
	l.total = r.uint()
	if r.version > 1 {
		l.tx = r.uintMax(l.total)
	}
	l.own = r.uint()
	return l
}

func (r *reader) bool() bool {
	v := r.uintMax(1)
	return v == 1
}

func (r *reader) float() float64 {
	if len(r.b) < 8 {
		r.fail("number")
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail("number")
		return 0
	}
	return v
}
