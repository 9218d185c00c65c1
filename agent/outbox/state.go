package outbox

import (
	"errors"
	"fmt"
	"io/fs"

	"cellwarden/agent/flash"
)

// Reason says why records are missing.
type Reason string

// The reasons. Full and Damaged are losses of accepted records.
const (
	Full    Reason = "full"    // evicted to make room
	Damaged Reason = "damaged" // the flash gave back something else
	Cut     Reason = "cut"     // was being written when the power went; no Commit had confirmed it
)

// Gap reports records that nobody will get.
type Gap struct {
	Priority          Priority
	Count             uint64
	FirstSeq, LastSeq uint64
	From, To          Stamp
	Reason            Reason
}

// gap is a Gap as it is kept.
type gap struct {
	prio        Priority
	reason      byte
	count       uint64
	first, last uint64
	from, to    stamp
}

var reasons = [...]Reason{Full, Damaged, Cut}

const (
	reasonFull byte = iota
	reasonDamaged
	reasonCut
)

func (g gap) unpack() Gap {
	return Gap{g.prio, g.count, g.first, g.last, g.from.unpack(), g.to.unpack(), reasons[g.reason]}
}

// run is a range of sequence numbers that are done, ends included.
type run struct{ first, last uint64 }

// clockOf is what is known of one boot: the wall clock, in ms, when it began.
type clockOf struct {
	boot uint32
	wall int64
}

const (
	slotSize   = 4096 // one page: a slot is one write, and never shares a page with the other
	stateBytes = 2 * slotSize

	stateMagic   = "CWst"
	stateVersion = 1

	maxRuns   = 32                        // per priority; a window of 32 messages leaves no more
	maxLosses = 8                         // per priority: damaged segments that are remembered as reported
	maxGaps   = priorities * len(reasons) // one per priority and reason: they merge
	maxClocks = 8                         // boots whose records may still wait

	// clockSlackMS: a boot time that moved less than this is not written again.
	clockSlackMS = 1000

	lanesAt   = 32
	laneSize  = 24 + maxLosses*8
	clocksAt  = lanesAt + priorities*laneSize
	clockSize = 12
	gapsAt    = clocksAt + maxClocks*clockSize
	gapSize   = 80
	runsAt    = gapsAt + maxGaps*gapSize
)

// laneState is what the state file knows of one priority.
type laneState struct {
	done   uint64 // every record up to this number is acked or evicted
	oldest uint32 // generation of the oldest live segment
	runs   []run  // acked beyond done
	losses []loss // what is reported already
}

// loss is how many records of a segment, by its generation, are reported as lost.
type loss struct{ gen, count uint32 }

// lossOf is how many records of a segment are reported as lost.
func (l *laneState) lossOf(gen uint32) int {
	for _, x := range l.losses {
		if x.gen == gen {
			return int(min(x.count, maxIndex))
		}
	}
	return 0
}

// state is the content of one slot.
type state struct {
	write   uint64
	epoch   uint32
	nextGen uint32
	lastSeq uint64
	lanes   [priorities]laneState
	clocks  []clockOf
	gaps    []gap
}

func (s *state) encode() []byte {
	b := make([]byte, slotSize)
	copy(b, stateMagic)
	le.PutUint16(b[4:], stateVersion)
	le.PutUint16(b[6:], uint16(len(s.gaps)))
	le.PutUint64(b[8:], s.write)
	le.PutUint32(b[16:], s.epoch)
	le.PutUint32(b[20:], s.nextGen)
	le.PutUint64(b[24:], s.lastSeq)
	for i, l := range s.lanes {
		p := b[lanesAt+i*laneSize:]
		// Runs that do not fit are forgotten: their records are sent again.
		runs := l.runs[:min(len(l.runs), maxRuns)]
		le.PutUint64(p, l.done)
		le.PutUint32(p[8:], l.oldest)
		le.PutUint32(p[12:], uint32(len(runs)))
		for j, x := range l.losses {
			le.PutUint32(p[24+j*8:], x.gen)
			le.PutUint32(p[28+j*8:], x.count)
		}
		for j, r := range runs {
			q := b[runsAt+(i*maxRuns+j)*16:]
			le.PutUint64(q, r.first)
			le.PutUint64(q[8:], r.last)
		}
	}
	for i, c := range s.clocks {
		p := b[clocksAt+i*clockSize:]
		le.PutUint32(p, c.boot)
		le.PutUint64(p[4:], uint64(c.wall))
	}
	for i, g := range s.gaps {
		p := b[gapsAt+i*gapSize:]
		p[0], p[1] = byte(g.prio), g.reason
		le.PutUint64(p[8:], g.count)
		le.PutUint64(p[16:], g.first)
		le.PutUint64(p[24:], g.last)
		g.from.put(p[32:])
		g.to.put(p[56:])
	}
	le.PutUint32(b[slotSize-4:], crc(b[:slotSize-4]))
	return b
}

func decodeState(b []byte) (state, bool) {
	var s state
	if len(b) < slotSize || string(b[:4]) != stateMagic || le.Uint16(b[4:]) != stateVersion ||
		le.Uint32(b[slotSize-4:]) != crc(b[:slotSize-4]) {
		return s, false
	}
	s.write = le.Uint64(b[8:])
	s.epoch = le.Uint32(b[16:])
	s.nextGen = le.Uint32(b[20:])
	s.lastSeq = le.Uint64(b[24:])
	if !sane(s.nextGen, s.lastSeq) {
		return s, false
	}
	for i := range s.lanes {
		p := b[lanesAt+i*laneSize:]
		l := &s.lanes[i]
		l.done = le.Uint64(p)
		l.oldest = le.Uint32(p[8:])
		for j := range maxLosses {
			if gen := le.Uint32(p[24+j*8:]); gen != 0 {
				l.losses = append(l.losses, loss{gen, le.Uint32(p[28+j*8:])})
			}
		}
		for j := range int(min(le.Uint32(p[12:]), maxRuns)) {
			q := b[runsAt+(i*maxRuns+j)*16:]
			l.runs = append(l.runs, run{le.Uint64(q), le.Uint64(q[8:])})
		}
	}
	for i := range maxClocks {
		p := b[clocksAt+i*clockSize:]
		if boot := le.Uint32(p); boot != 0 {
			s.clocks = append(s.clocks, clockOf{boot, int64(le.Uint64(p[4:]))})
		}
	}
	for i := range min(int(le.Uint16(b[6:])), maxGaps) {
		p := b[gapsAt+i*gapSize:]
		g := gap{
			prio: Priority(p[0]), reason: p[1], count: le.Uint64(p[8:]),
			first: le.Uint64(p[16:]), last: le.Uint64(p[24:]),
			from: getStamp(p[32:]), to: getStamp(p[56:]),
		}
		if g.prio < priorities && int(g.reason) < len(reasons) {
			s.gaps = append(s.gaps, g)
		}
	}
	return s, true
}

// newestSlot picks the valid slot that was written last. It also says how many of
// the slots that held something were damaged.
func newestSlot(b []byte) (best state, found bool, damaged int) {
	for at := 0; at+slotSize <= len(b); at += slotSize {
		s, ok := decodeState(b[at : at+slotSize])
		switch {
		case ok && (!found || s.write > best.write):
			best, found = s, true
		case !ok && !isZero(b[at:at+slotSize]):
			damaged++
		}
	}
	return best, found, damaged
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// addGap merges a loss into the gap of the same priority and reason.
func (s *state) addGap(g gap) {
	if g.count == 0 {
		return
	}
	for i := range s.gaps {
		have := &s.gaps[i]
		if have.prio != g.prio || have.reason != g.reason {
			continue
		}
		have.count += g.count
		if g.first < have.first {
			have.first, have.from = g.first, g.from
		}
		if g.last > have.last {
			have.last, have.to = g.last, g.to
		}
		return
	}
	s.gaps = append(s.gaps, g)
}

// takeGap removes what a reader has taken over; what came on top since stays.
func (s *state) takeGap(g Gap) bool {
	for i := range s.gaps {
		have := &s.gaps[i]
		if have.prio != g.Priority || reasons[have.reason] != g.Reason {
			continue
		}
		if have.count <= g.Count {
			s.gaps = append(s.gaps[:i], s.gaps[i+1:]...)
			return true
		}
		have.count -= g.Count
		if have.last > g.LastSeq {
			have.first = g.LastSeq + 1
			if to, err := g.To.pack(); err == nil {
				have.from = to
			}
		}
		return true
	}
	return false
}

// setClock remembers when a boot began. It is false when that was known already,
// within clockSlackMS.
func (s *state) setClock(boot uint32, wall int64) bool {
	for i, c := range s.clocks {
		if c.boot != boot {
			continue
		}
		if d := c.wall - wall; d > -clockSlackMS && d < clockSlackMS {
			return false
		}
		s.clocks[i].wall = wall
		return true
	}
	if len(s.clocks) == maxClocks {
		s.clocks = append(s.clocks[:0], s.clocks[1:]...)
	}
	s.clocks = append(s.clocks, clockOf{boot, wall})
	return true
}

const stateName = "state"

// persist writes the state to the older slot. After it returned nil, what the
// state calls done is done on the flash, and the segments waiting for that are free.
func (o *Outbox) persist() error {
	o.unsaved, o.jotted = 0, 0 // also after a failure: the next try comes with the next ackEvery acks
	if err := o.writeState(true); err != nil {
		return o.failed(fmt.Errorf("outbox: write %s: %w", o.path(stateName), err))
	}
	o.dirty = false
	o.reclaim()
	return nil
}

// jot writes the state where persist will write it, and does not sync. What a power cut
// makes of that slot touches nothing: the other one is the state that is durable. A
// failure is nothing either, persist will tell.
func (o *Outbox) jot() {
	o.jotted = o.unsaved
	if o.st.write > 0 { // else there is no state to fall back on
		_ = o.writeState(false)
	}
}

// writeState writes the older slot. Only a durable write counts as one.
func (o *Outbox) writeState(durable bool) error {
	if err := o.openState(); err != nil {
		return err
	}
	for p, l := range o.lanes {
		o.st.lanes[p] = l.state(o.st.nextGen)
	}
	next := o.st.write + 1
	s := o.st
	s.write = next
	_, err := o.stateFile.WriteAt(s.encode(), int64(next%2)*slotSize)
	if err == nil && durable {
		err = o.stateFile.Sync()
	}
	if err != nil {
		// The file may have been opened before a remount: open it afresh next time.
		err = errors.Join(err, o.stateFile.Close())
		o.stateFile = nil
		return err
	}
	if durable {
		o.st.write = next
	}
	return nil
}

// openState opens the state file for writing and makes it if it is not there.
func (o *Outbox) openState() error {
	if o.stateFile != nil {
		return nil
	}
	name := o.path(stateName)
	f, err := o.fs.Open(name, true)
	if err == nil {
		// A shorter one was cut off: what is left of it stays.
		var size int64
		if size, err = f.Size(); err == nil && size < stateBytes {
			err = fillZero(f, size, stateBytes)
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
		o.stateFile = f
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o.stateFile, err = o.createZero(name, stateBytes)
	return err
}

// createZero makes a file of n zeros that is durable when it returns. It leaves
// nothing behind where that fails.
func (o *Outbox) createZero(name string, n int64) (flash.File, error) {
	f, err := o.fs.Create(name, 0o600)
	if err != nil {
		return nil, err
	}
	if err = fillZero(f, 0, n); err == nil {
		err = o.fs.SyncDir(o.dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), o.fs.Remove(name))
	}
	return f, nil
}

// fillZero writes zeros from one offset to another and makes them durable.
func fillZero(f flash.File, from, to int64) error {
	zeros := make([]byte, min(to-from, fillBytes))
	for at := from; at < to; {
		n, err := f.WriteAt(zeros[:min(to-at, fillBytes)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return f.Sync()
}

// fillBytes is one write of zeros: few calls, little memory.
const fillBytes = 32 << 10
