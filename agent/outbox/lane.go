package outbox

import (
	"fmt"
	"slices"
)

const (
	// maxWindow is how many records of one priority may be between the oldest that
	// is not acked and the newest handed out: 32 messages of 32 records.
	maxWindow = 1024

	// readTries is how often Peek meets a read error at one place before it takes
	// the place for damaged. A USB stick or an eMMC in reset answers again.
	readTries = 8
)

type entryState uint8

const (
	waiting entryState = iota
	inFlight
	gone // acked, or lost
)

// entry is a record between the oldest that is not done and the reading place.
type entry struct {
	seq    uint64
	seg    *segment
	at     stamp
	sum    uint32
	off    int32
	length uint16
	state  entryState
}

// lane is one priority: its chain of segments, oldest first, the last one being
// written; and the window of records that were read and are not done.
type lane struct {
	prio  Priority
	segs  []*segment
	done  uint64 // every record up to this number is done
	ahead []run  // acked before the restart, not read again yet

	win  []entry // in order; the first is not done
	cur  walk    // where reading goes on, in segs[read]
	read int

	readErrs int // in a row, at cur

	staged    []Record
	pin       int  // where a failed commit began, 0 none
	writeErrs int  // in a row, on the newest segment
	sealed    bool // the newest segment takes no more
}

func (l *lane) active() *segment {
	if len(l.segs) == 0 {
		return nil
	}
	return l.segs[len(l.segs)-1]
}

func (l *lane) live() int {
	n := 0
	for _, s := range l.segs {
		n += s.live()
	}
	return n
}

// state is what the state file shall know of the lane.
func (l *lane) state(nextGen uint32) laneState {
	out := laneState{done: l.done, oldest: nextGen, runs: l.runs()}
	if len(l.segs) > 0 {
		out.oldest = l.segs[0].gen
	}
	for _, s := range l.segs {
		if s.lost == 0 {
			continue
		}
		if len(out.losses) == maxLosses { // keep the newest: it has no successor that knows
			out.losses = out.losses[:maxLosses-1]
		}
		out.losses = append(out.losses, loss{s.gen, uint32(s.lost)})
	}
	return out
}

// runs are the numbers acked out of order.
func (l *lane) runs() []run {
	var out []run
	open := false
	for _, e := range l.win {
		switch {
		case e.state != gone:
			open = false
		case open:
			out[len(out)-1].last = e.seq
		default:
			out = append(out, run{e.seq, e.seq})
			open = true
		}
	}
	for _, r := range l.ahead {
		if r.last > l.cur.last {
			out = append(out, r)
		}
	}
	return out
}

// next reads one more record into the window. It is false where there is none, or
// where it cannot be read now.
func (o *Outbox) next(l *lane) bool {
	for l.read < len(l.segs) && len(l.win) < maxWindow {
		s := l.segs[l.read]
		h, off, ok, err := o.step(s, &l.cur, s.end, s.written)
		if err == nil && ok {
			_, intact, perr := o.payload(s, off, h.length, h.sum, s.end)
			if err = perr; err == nil {
				o.rd.salvage, l.readErrs = false, 0
				if o.enter(l, s, h, off, intact) {
					return true
				}
				continue
			}
		}
		if err != nil {
			if o.readFailed(l, err) {
				continue
			}
			return false
		}
		// The end of the segment: what is missing up to here is lost.
		if missing := s.written - l.cur.index; missing > 0 {
			o.lose(l, s, missing, gap{first: l.cur.last + 1, last: s.last, from: l.cur.at, to: s.lastAt}, reasonDamaged)
			l.cur.index, l.cur.off = s.written, s.end
		}
		s.lost = min(s.lost, l.cur.lost) // what could not be read once can be read again
		o.rd.salvage, l.readErrs = false, 0
		if s == l.active() {
			return false
		}
		l.read++
		after := l.cur
		l.cur = startOf(l.segs[l.read])
		l.cur.last, l.cur.at = max(l.cur.last, after.last), after.at
		o.settle(l)
	}
	return false
}

// readFailed counts a read error; true if it has lasted so long that the place is
// to be taken for damaged, at once.
func (o *Outbox) readFailed(l *lane, err error) bool {
	_ = o.failed(fmt.Errorf("outbox: read in %s: %w", o.dir, err))
	o.rd.forget()
	l.readErrs++
	o.rd.salvage = l.readErrs >= readTries
	return o.rd.salvage
}

// enter takes the record h into account; true if it now stands in the window.
func (o *Outbox) enter(l *lane, s *segment, h head, off int, intact bool) bool {
	if missing := int(h.index) - l.cur.index; missing > 0 {
		o.lose(l, s, missing, gap{first: l.cur.last + 1, last: h.seq - 1, from: l.cur.at, to: h.at}, reasonDamaged)
	}
	l.cur.pass(h, off)
	switch {
	case !intact:
		o.lose(l, s, 1, gap{first: h.seq, last: h.seq, from: h.at, to: h.at}, reasonDamaged)
		return false
	case h.seq <= l.done:
		s.done++
		return false
	}
	e := entry{seq: h.seq, seg: s, at: h.at, sum: h.sum, off: int32(off), length: uint16(h.length)}
	for _, r := range l.ahead {
		if r.first <= h.seq && h.seq <= r.last {
			e.state = gone
			s.done++
			break
		}
	}
	l.win = append(l.win, e)
	o.settle(l)
	return true
}

// lose counts n records of s as lost that the walk has just found missing, and
// reports those that were not reported before a restart.
func (o *Outbox) lose(l *lane, s *segment, n int, g gap, reason byte) {
	l.cur.lost += n
	if l.cur.lost > s.lost {
		o.report(l, s, min(n, l.cur.lost-s.lost), g, reason)
	}
}

// report adds n lost records of s to the gap of the lane. Those that were done
// before are nobody's loss.
func (o *Outbox) report(l *lane, s *segment, n int, g gap, reason byte) {
	s.lost += n
	o.dirty = true
	if g.last <= l.done {
		return
	}
	g.prio, g.reason, g.count = l.prio, reason, uint64(n)
	g.first = max(g.first, l.done+1)
	if reason == reasonDamaged {
		o.counts.Damaged += uint64(n)
	}
	o.st.addGap(g)
}

// settle drops from the window and the chain what is done.
func (o *Outbox) settle(l *lane) {
	n := 0
	for n < len(l.win) && l.win[n].state == gone {
		l.done = max(l.done, l.win[n].seq)
		n++
	}
	l.win = l.win[n:]
	for l.read > 0 && (len(l.win) == 0 || l.win[0].seg != l.segs[0]) {
		o.drop(l)
	}
}

// drop takes the oldest segment out of the chain. Its file is free once the state
// file knows.
func (o *Outbox) drop(l *lane) {
	s := l.segs[0]
	l.done = max(l.done, s.last)
	l.segs = slices.Delete(l.segs, 0, 1)
	if l.read > 0 {
		l.read--
	} else if len(l.segs) > 0 {
		l.cur = startOf(l.segs[0])
	} else {
		l.cur = walk{}
	}
	if o.rd.seg == s {
		o.rd.forget()
	}
	o.shut(s)
	o.dead = append(o.dead, spare{id: s.id, size: s.size})
	o.dirty = true
}

// Peek returns up to max records that wait and are not in flight, alerts first and
// oldest first within a priority, with at most maxBytes of payload in all, but
// always one if there is one. It takes nothing out.
func (o *Outbox) Peek(max int, maxBytes int) []Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	var out []Record
	for p := priorities - 1; p >= 0 && len(out) < max; p-- {
		l := o.lanes[p]
		for i := 0; len(out) < max; i++ {
			if i >= len(l.win) {
				if !o.next(l) {
					break
				}
				// The new one is the last; next may have dropped some at the front.
				if i = len(l.win) - 1; i < 0 {
					continue
				}
			}
			e := &l.win[i]
			if e.state != waiting {
				continue
			}
			if len(out) > 0 && int(e.length) > maxBytes {
				return out
			}
			b, ok, err := o.payload(e.seg, int(e.off), int(e.length), e.sum, e.seg.end)
			if err != nil {
				if o.readFailed(l, err) {
					i--
					continue
				}
				break // the next Peek tries again
			}
			o.rd.salvage, l.readErrs = false, 0
			if !ok { // it was intact when it was read first
				e.state = gone
				if e.seg == l.segs[l.read] {
					l.cur.lost++
				}
				o.report(l, e.seg, 1, gap{first: e.seq, last: e.seq, from: e.at, to: e.at}, reasonDamaged)
				continue
			}
			maxBytes -= int(e.length)
			out = append(out, Record{Seq: e.seq, Priority: l.prio, At: e.at.unpack(), Payload: slices.Clone(b)})
		}
	}
	return out
}

// find returns the lane and window entry of a number, nil if none.
func (o *Outbox) find(seq uint64) (*lane, *entry) {
	for _, l := range o.lanes {
		i, ok := slices.BinarySearchFunc(l.win, seq, func(e entry, seq uint64) int {
			switch {
			case e.seq < seq:
				return -1
			case e.seq > seq:
				return 1
			}
			return 0
		})
		if ok {
			return l, &l.win[i]
		}
	}
	return nil, nil
}

// Take marks records that Peek returned as in flight: Peek skips them until they
// are released. Numbers that do not wait are ignored.
func (o *Outbox) Take(seqs ...uint64) { o.mark(seqs, waiting, inFlight) }

// Release lets records in flight wait again, in their old place.
func (o *Outbox) Release(seqs ...uint64) { o.mark(seqs, inFlight, waiting) }

func (o *Outbox) mark(seqs []uint64, from, to entryState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, seq := range seqs {
		if _, e := o.find(seq); e != nil && e.state == from {
			e.state = to
		}
	}
}

// ReleaseAll lets everything in flight wait again: the connection is gone.
func (o *Outbox) ReleaseAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes {
		for i := range l.win {
			if l.win[i].state == inFlight {
				l.win[i].state = waiting
			}
		}
	}
}

// ackEvery is how many acks a crash may forget. Each forgotten one costs a message
// sent again; each write of the state file costs a page of flash.
const ackEvery = 256

// jotEvery is how many acks the end of the process alone, a kill -9, may forget. They
// are written and not synced: the kernel keeps them over a kill, and writes the page
// when it likes, at most each half minute. Fewer would cost a machine with one event a
// minute a page for each of them.
const jotEvery = 16

// Ack removes records that were delivered. Only records that Peek returned can be
// acked; other numbers (acked before, evicted) are ignored. It takes effect at once
// and is written every 16 acks, and so that it outlasts a power cut every 256 and by SyncAcks. An error means that this writing
// failed: the records are gone until a restart, which may bring them back.
func (o *Outbox) Ack(seqs ...uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	var touched [priorities]bool
	for _, seq := range seqs {
		l, e := o.find(seq)
		if e == nil || e.state == gone {
			continue
		}
		e.state = gone
		e.seg.done++
		touched[l.prio] = true
		o.unsaved++
		o.dirty = true
	}
	for p, yes := range touched {
		if yes {
			o.settle(o.lanes[p])
		}
	}
	if o.unsaved >= ackEvery {
		return o.persist()
	}
	if o.unsaved-o.jotted >= jotEvery {
		o.jot()
	}
	return nil
}

// SyncAcks makes all acks so far durable. It writes nothing if there are none.
func (o *Outbox) SyncAcks() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	if !o.dirty {
		return nil
	}
	return o.persist()
}
