package outbox

import (
	"errors"
	"fmt"
	"syscall"
)

// Commit makes everything staged durable, alerts first. On an error, what could not
// be written stays staged, whole, and the next Commit tries again.
func (o *Outbox) Commit() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	return o.commit()
}

func (o *Outbox) commit() error {
	if o.staged == 0 {
		return nil
	}
	if o.st.write == 0 { // a new store: the epoch must be there before any record
		if err := o.persist(); err != nil {
			return err
		}
	}
	var errs error
	for p := priorities - 1; p >= 0; p-- {
		if err := o.commitLane(o.lanes[p]); err != nil {
			errs = errors.Join(errs, o.failed(fmt.Errorf("outbox: write %s records to %s: %w", Priority(p), o.dir, err)))
		}
	}
	o.stagedAlert = len(o.lanes[Alert].staged) > 0
	if errs == nil {
		o.lastErr = nil
	}
	return errs
}

func (o *Outbox) commitLane(l *lane) error {
	for len(l.staged) > 0 {
		s := l.active()
		if s == nil || l.sealed || !fits(s, len(l.staged[0].Payload)) {
			if err := o.begin(l); err != nil {
				return err
			}
			continue
		}
		start, n, b := o.encode(l, s)
		if err := o.write(s, b, start); err != nil {
			o.writeFailed(l, s, start, err)
			return err
		}
		l.pin, l.writeErrs = 0, 0
		first, last := l.staged[0], l.staged[n-1]
		if s.written == 0 {
			s.first = first.Seq
		}
		s.written += n
		s.end = start + len(b)
		s.last = last.Seq
		s.lastAt, _ = last.At.pack() // Append has checked it
		o.st.lastSeq = max(o.st.lastSeq, last.Seq)
		for _, r := range l.staged[:n] {
			o.stagedBytes -= len(r.Payload)
		}
		o.staged -= n
		rest := copy(l.staged, l.staged[n:])
		clear(l.staged[rest:])
		l.staged = l.staged[:rest]
	}
	return nil
}

func fits(s *segment, payload int) bool {
	return s.written < maxIndex-1 && alignUp(s.end, sectorSize)+footprint(payload) <= s.size
}

// encode lays out as many staged records as fit in s and in one write, and says
// where they go.
func (o *Outbox) encode(l *lane, s *segment) (start, n int, b []byte) {
	start = alignUp(s.end, sectorSize)
	if l.pin != 0 {
		start = l.pin
	}
	room := min(s.size-start, maxCommitBytes)
	size := 0
	for n < len(l.staged) && s.written+n < maxIndex-1 {
		add := footprint(len(l.staged[n].Payload))
		if size+add > room {
			break
		}
		size += add
		n++
	}
	if l.pin == 0 {
		if page := alignUp(start, pageSize); page+size <= s.size && pages(page, size) < pages(start, size) {
			start = page
		}
	}
	if len(o.wbuf) < size {
		o.wbuf = make([]byte, alignUp(size, pageSize))
	}
	at := 0
	for i, r := range l.staged[:n] {
		when, _ := r.At.pack() // Append has checked it
		h := head{prio: l.prio, first: i == 0, index: uint16(s.written + i), gen: s.gen, seq: r.Seq, at: when}
		at += putRecord(o.wbuf[at:], h, r.Payload)
	}
	return start, n, o.wbuf[:size]
}

// pages is how many pages n bytes at off touch.
func pages(off, n int) int { return (off+n-1)/pageSize - off/pageSize + 1 }

func (o *Outbox) write(s *segment, b []byte, at int) error {
	f, err := o.open(s, true)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(b, int64(at)); err != nil {
		return err
	}
	return f.Sync()
}

// writeFailed prepares the next try: at the same place, so that what a failed sync
// left in doubt is written again. A segment that keeps failing is left alone where
// another one can be had without dropping anything.
func (o *Outbox) writeFailed(l *lane, s *segment, start int, err error) {
	l.pin = start
	l.writeErrs++
	o.shut(s) // a remount may ask for a new descriptor
	if l.writeErrs >= writeTries && s.written > 0 && !noRoom(err) && o.hasRoom(l.prio) {
		l.sealed = true
	}
}

// noRoom tells that another segment would fare no better.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EDQUOT)
}

// begin gives the lane a new segment to write to. Its header is durable before any
// record is written, so a generation is never used by two.
func (o *Outbox) begin(l *lane) error {
	sp, err := o.acquire(l.prio)
	if err != nil {
		return err
	}
	s := &segment{id: sp.id, gen: o.st.nextGen, prio: l.prio, size: o.segSize, base: l.staged[0].Seq - 1, end: sectorSize}
	o.st.nextGen++
	h := segHeader{prio: s.prio, epoch: o.st.epoch, gen: s.gen, size: s.size, base: s.base, largest: o.st.lastSeq}
	if prev := l.active(); prev != nil {
		h.prevGen, h.prev = prev.gen, *prev
	}
	if err = o.prepare(s, sp, &h); err != nil {
		o.shut(s)
		sp.raw = true
		o.free = append(o.free, sp)
		return err
	}
	if prev := l.active(); prev != nil && o.rd.seg != prev {
		o.shut(prev)
	}
	l.segs = append(l.segs, s)
	if len(l.segs) == 1 {
		l.read, l.cur = 0, startOf(s)
	}
	l.pin, l.writeErrs, l.sealed = 0, 0, false
	return nil
}

func (o *Outbox) prepare(s *segment, sp spare, h *segHeader) error {
	f, err := o.open(s, true)
	if err != nil {
		return err
	}
	if sp.raw {
		if err := fillZero(f, 0, int64(o.segSize)); err != nil {
			return err
		}
	}
	return o.write(s, h.encode(), 0)
}

// used is how many segments' worth of files there are.
func (o *Outbox) used() int {
	n := len(o.free) + o.units
	for _, sp := range o.dead {
		n += o.unitsOf(sp.size)
	}
	for _, l := range o.lanes {
		for _, s := range l.segs {
			n += o.unitsOf(s.size)
		}
	}
	return n
}

func (o *Outbox) unitsOf(size int) int { return max(1, alignUp(size, o.segSize)/o.segSize) }

// limit is how many segments the cap allows.
func (o *Outbox) limit() int { return int((o.cap - stateBytes) / int64(o.segSize)) }

// hasRoom tells whether p may have one more segment without anybody losing one.
func (o *Outbox) hasRoom(p Priority) bool {
	n := o.units
	for q, l := range o.lanes {
		held := 0
		for _, s := range l.segs {
			held += o.unitsOf(s.size)
		}
		if Priority(q) != p {
			held = max(held, reserve[q])
		}
		n += held
	}
	return n < o.limit()
}

// acquire finds a file for a new segment of priority p: a free one, a new one, or
// that of the oldest segment of the lowest priority.
func (o *Outbox) acquire(p Priority) (spare, error) {
	if len(o.dead) > 0 {
		if err := o.persist(); err != nil {
			return spare{}, err
		}
	}
	var full error
	if o.hasRoom(p) {
		kept := 0 // free files that are the alerts' own
		if p != Alert {
			kept = max(0, reserve[Alert]-len(o.lanes[Alert].segs))
		}
		if len(o.free) > kept {
			return o.takeFree(), nil
		}
		if o.used() < o.limit() {
			sp, err := o.create()
			if err == nil || !noRoom(err) {
				return sp, err
			}
			full = err // the disk is full below the cap: only a lower priority yields
		}
	}
	for q := Metric; q <= Alert; q++ {
		have, floor := len(o.lanes[q].segs), reserve[q]
		switch {
		case q == p:
			floor = 0
			if full != nil {
				continue
			}
		case q > p && len(o.lanes[p].segs) >= reserve[p]: // else the cap was lowered: a reserve is a reserve
			continue
		}
		if have <= floor {
			continue
		}
		o.evict(o.lanes[q])
		if err := o.persist(); err != nil {
			return spare{}, err
		}
		if len(o.free) > 0 {
			return o.takeFree(), nil
		}
		return o.create() // it was of an odd size and is removed
	}
	if full != nil {
		return spare{}, full
	}
	return spare{}, fmt.Errorf("no room for another segment under the cap of %d bytes: raise it", o.cap)
}

func (o *Outbox) takeFree() spare {
	sp := o.free[0]
	o.free = append(o.free[:0], o.free[1:]...)
	return sp
}

// create makes a new segment file.
func (o *Outbox) create() (spare, error) {
	id := 0
	for o.names[segName(id)] {
		id++
	}
	f, err := o.createZero(o.path(segName(id)), int64(o.segSize))
	if err != nil {
		return spare{}, err
	}
	o.names[segName(id)] = true
	return spare{id: id, size: o.segSize}, f.Close()
}

// reclaim frees what the state file now says is done. Files of another size than
// segments have today are removed.
func (o *Outbox) reclaim() {
	for _, sp := range o.dead {
		if sp.size == o.segSize {
			o.free = append(o.free, sp)
			continue
		}
		o.remove(sp)
	}
	o.dead = o.dead[:0]
}

func (o *Outbox) remove(sp spare) {
	name := segName(sp.id)
	if err := o.fs.Remove(o.path(name)); err != nil {
		_ = o.failed(fmt.Errorf("outbox: remove %s: %w", o.path(name), err))
		return // its name stays taken; the next Open looks at it again
	}
	delete(o.names, name)
}

// evict drops the oldest segment of a lane and reports what was lost with it.
func (o *Outbox) evict(l *lane) {
	s := l.segs[0]
	if len(l.win) == 0 {
		o.next(l) // to know the first that is lost; may find that there is none
		if len(l.segs) == 0 || l.segs[0] != s {
			return
		}
	}
	if n := s.live(); n > 0 {
		g := gap{prio: l.prio, reason: reasonFull, count: uint64(n), first: s.first, last: s.last, to: s.lastAt}
		if len(l.win) > 0 && l.win[0].seg == s {
			g.first, g.from = l.win[0].seq, l.win[0].at
		}
		o.counts.Evicted += uint64(n)
		o.st.addGap(g)
	}
	n := 0
	for n < len(l.win) && l.win[n].seg == s {
		n++
	}
	l.win = l.win[n:]
	o.drop(l)
}
