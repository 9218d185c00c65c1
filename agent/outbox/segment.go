package outbox

import (
	"errors"
	"fmt"
	"io"

	"cellwarden/agent/flash"
)

const (
	sectorSize = 512  // what a power cut tears at most
	pageSize   = 4096 // what a write costs at least

	segMagic   = "CWsg"
	segVersion = 1
	segHead    = 92 // the used part of the header sector

	// maxSegment keeps indexes and the read buffer small.
	maxSegment = 1 << 20
	maxIndex   = 1 << 16
)

// segment is one live segment. It is free again when live is 0 and it is not the
// newest of its chain.
type segment struct {
	id   int
	gen  uint32
	prio Priority
	size int    // of the file
	base uint64 // every record has a larger number

	written     int // indexes used
	lost        int // of them unreadable, and reported
	done        int // of them acked
	end         int // where the last one ends
	first, last uint64
	lastAt      stamp

	f        flash.File
	writable bool
}

func (s *segment) live() int { return s.written - s.lost - s.done }

func segName(id int) string { return fmt.Sprintf("seg-%04d", id) }

// segHeader is the header sector of a segment.
type segHeader struct {
	prio    Priority
	epoch   uint32
	gen     uint32
	size    int
	base    uint64
	largest uint64 // number, anywhere in the store, when the segment was begun
	prevGen uint32
	prev    segment // the summary of the segment before, where prevGen is not 0
}

func (h *segHeader) encode() []byte {
	b := make([]byte, sectorSize)
	copy(b, segMagic)
	le.PutUint16(b[4:], segVersion)
	b[6] = byte(h.prio)
	le.PutUint32(b[8:], h.epoch)
	le.PutUint32(b[12:], h.gen)
	le.PutUint32(b[16:], uint32(h.size))
	le.PutUint64(b[20:], h.base)
	le.PutUint32(b[28:], h.prevGen)
	le.PutUint16(b[32:], uint16(h.prev.written))
	le.PutUint16(b[34:], uint16(h.prev.lost))
	le.PutUint32(b[36:], uint32(h.prev.end))
	le.PutUint64(b[40:], h.prev.first)
	le.PutUint64(b[48:], h.prev.last)
	h.prev.lastAt.put(b[56:])
	le.PutUint64(b[80:], h.largest)
	le.PutUint32(b[88:], crc(b[:88]))
	return b
}

func decodeSegHeader(b []byte) (segHeader, bool) {
	if len(b) < segHead || string(b[:4]) != segMagic || le.Uint16(b[4:]) != segVersion ||
		b[6] >= priorities || le.Uint32(b[88:]) != crc(b[:88]) {
		return segHeader{}, false
	}
	h := segHeader{
		prio: Priority(b[6]), epoch: le.Uint32(b[8:]), gen: le.Uint32(b[12:]),
		size: int(min(le.Uint32(b[16:]), maxSegment)), base: le.Uint64(b[20:]), largest: le.Uint64(b[80:]),
		prevGen: le.Uint32(b[28:]),
	}
	h.prev = segment{
		written: int(le.Uint16(b[32:])), lost: int(le.Uint16(b[34:])), end: int(min(le.Uint32(b[36:]), maxSegment)),
		first: le.Uint64(b[40:]), last: le.Uint64(b[48:]), lastAt: getStamp(b[56:]),
	}
	return h, h.gen != 0 && sane(h.gen, h.base, h.largest, h.prev.first, h.prev.last)
}

// isLater tells whether an intact header is of a later version, which keeps magic,
// version and CRC where they are.
func isLater(b []byte) bool {
	return string(b[:4]) == segMagic && le.Uint16(b[4:]) > segVersion && le.Uint32(b[88:]) == crc(b[:88])
}

// walk is a place in a segment, between two records.
type walk struct {
	off   int
	index int    // of the record that comes next
	last  uint64 // number of the record before, or a lower bound
	at    stamp  // of the record before
	lost  int    // holes seen so far
}

func startOf(s *segment) walk { return walk{off: sectorSize, last: s.base} }

// reader holds a part of one segment in memory. Its buffer is as large as a
// segment, so what is read once in a drain is read from the flash once.
type reader struct {
	seg    *segment
	buf    []byte // file offsets lo to hi are valid
	lo, hi int
	// salvage takes unreadable pages for zeros instead of failing. bad says that it
	// did.
	salvage, bad bool
}

// readBytes is one read from the flash.
const readBytes = 32 << 10

func (r *reader) forget() { r.seg, r.lo, r.hi = nil, 0, 0 }

// fetch returns n bytes at off of a segment, which must lie within limit. The
// slice is good until the next fetch.
func (o *Outbox) fetch(s *segment, off, n, limit int) ([]byte, error) {
	r := &o.rd
	if r.seg != s || off < r.lo || off > r.hi {
		if r.seg != nil && r.seg != s {
			o.closeIdle(r.seg)
		}
		r.seg = s
		r.lo = off / sectorSize * sectorSize
		r.hi = r.lo
	}
	if len(r.buf) < s.size { // only right after a change of segment
		r.buf = make([]byte, max(s.size, o.segSize))
	}
	for r.hi < off+n {
		to := min(max(off+n, r.hi+readBytes), limit)
		if err := o.fill(s, r.buf[r.hi:to], r.hi); err != nil {
			return nil, err
		}
		r.hi = to
	}
	return r.buf[off : off+n], nil
}

// fill reads b at off. What the file does not have any more reads as zeros.
func (o *Outbox) fill(s *segment, b []byte, off int) error {
	f, err := o.open(s, false)
	if err == nil {
		err = readZero(f, b, off)
	}
	if err == nil || !o.rd.salvage {
		return err
	}
	o.rd.bad = true
	for at := 0; at < len(b); at += pageSize {
		page := b[at:min(at+pageSize, len(b))]
		if f == nil || readZero(f, page, off+at) != nil {
			clear(page)
		}
	}
	return nil
}

func readZero(f flash.File, b []byte, off int) error {
	n, err := f.ReadAt(b, int64(off))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(b[n:])
	return nil
}

// headerAt reads a record header that may stand at off.
func (o *Outbox) headerAt(s *segment, w *walk, off, limit, indexes int) (head, bool, error) {
	if off+recordHead > limit {
		return head{}, false, nil
	}
	b, err := o.fetch(s, off, recordHead, limit)
	if err != nil {
		return head{}, false, err
	}
	h, ok := getHead(b)
	return h, ok && s.owns(h, w, off, limit, indexes), nil
}

// owns tells whether an intact header belongs to this use of the segment and may
// come after w.
func (s *segment) owns(h head, w *walk, off, limit, indexes int) bool {
	return h.gen == s.gen && h.prio == s.prio && h.seq > w.last &&
		int(h.index) >= w.index && int(h.index) < indexes && off+footprint(h.length) <= limit
}

// step finds the next intact record header at or after w. limit is where the
// segment's records end and indexes how many it has, as far as known. It does not
// move w. Between two commits there may be unused bytes (zeros, or an old use of
// the segment): a hole in the indexes, not in the bytes, is a loss.
func (o *Outbox) step(s *segment, w *walk, limit, indexes int) (h head, off int, ok bool, err error) {
	if h, ok, err = o.headerAt(s, w, w.off, limit, indexes); err != nil || ok && int(h.index) == w.index {
		return h, w.off, ok, err
	}
	for off = alignUp(w.off, sectorSize); off < limit; off += sectorSize {
		if h, ok, err = o.headerAt(s, w, off, limit, indexes); err != nil {
			return h, off, false, err
		}
		if ok {
			break
		}
	}
	if ok && int(h.index) == w.index {
		return h, off, true, nil
	}
	// Something is damaged: look at every place.
	if limit-w.off < recordHead {
		return h, off, false, nil
	}
	b, err := o.fetch(s, w.off, limit-w.off, limit)
	if err != nil {
		return h, off, false, err
	}
	for at := alignUp(w.off, recordAlign); at+recordHead <= limit; at += recordAlign {
		if h, ok = getHead(b[at-w.off:]); ok && s.owns(h, w, at, limit, indexes) {
			return h, at, true, nil
		}
	}
	return head{}, limit, false, nil
}

// pass moves w behind the record h at off.
func (w *walk) pass(h head, off int) {
	w.off = off + footprint(h.length)
	w.index = int(h.index) + 1
	w.last = h.seq
	w.at = h.at
}

// payload returns the payload of the record at off, and false where it is damaged.
// The slice is good until the next fetch.
func (o *Outbox) payload(s *segment, off, n int, sum uint32, limit int) ([]byte, bool, error) {
	b, err := o.fetch(s, off+recordHead, n, limit)
	if err != nil {
		return nil, false, err
	}
	return b, crc(b) == sum, nil
}

// looksCut tells whether the bytes at off were meant to be a header of this
// segment: not intact, yet too alike for chance.
func (s *segment) looksCut(b []byte, w *walk) bool {
	alike := 0
	for _, yes := range [...]bool{
		le.Uint16(b) == recordMagic,
		le.Uint32(b[8:]) == s.gen,
		int(le.Uint16(b[6:])) == w.index,
		le.Uint64(b[16:])-w.last-1 < maxIndex, // a little larger than the last
	} {
		if yes {
			alike++
		}
	}
	return alike >= 3
}

// open returns the segment's file.
func (o *Outbox) open(s *segment, write bool) (flash.File, error) {
	if s.f != nil && (s.writable || !write) {
		return s.f, nil
	}
	f, err := o.fs.Open(o.path(segName(s.id)), write)
	if err != nil {
		return nil, err
	}
	o.shut(s)
	s.f, s.writable = f, write
	return f, nil
}

// shut closes the segment's file.
func (o *Outbox) shut(s *segment) {
	if s.f != nil {
		// Nothing unsynced is in it that anybody relies on.
		_ = s.f.Close()
		s.f = nil
	}
}

// closeIdle closes a segment's file unless it is being written.
func (o *Outbox) closeIdle(s *segment) {
	if o.lanes[s.prio].active() != s {
		o.shut(s)
	}
}
