package outbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Open opens the store in dir and makes it if there is none. It fails only where
// the directory cannot be used at all, or another process has it. Damage, a full
// disk and a read-only one do not fail it: the Report tells, and the rest works on.
func Open(dir string, opt Options) (*Outbox, Report, error) {
	opt = opt.withDefaults()
	var rep Report
	if opt.segments() < minSegments {
		return nil, rep, fmt.Errorf("outbox: a cap of %d bytes is too small: at least %d", opt.CapBytes, stateBytes+minSegments*minSegment)
	}
	o := &Outbox{
		fs: opt.FS, dir: dir, cap: opt.CapBytes, segSize: opt.SegmentBytes, maxRecs: opt.MaxStaged,
		names: map[string]bool{},
	}
	for p := range o.lanes {
		o.lanes[p] = &lane{prio: Priority(p)}
	}
	mkErr := o.fs.MkdirAll(dir)
	lock, err := o.fs.Lock(dir)
	if err != nil {
		return nil, rep, fmt.Errorf("outbox: cannot use the state directory %s: %w; "+
			"stop the other process, or choose a directory on a writable disk that belongs to this user",
			dir, errors.Join(mkErr, err))
	}
	o.lock = lock
	names, err := o.fs.List(dir)
	if err != nil {
		return nil, rep, errors.Join(
			fmt.Errorf("outbox: cannot read the state directory %s: %w; give this user the right to read and write it", dir, err),
			lock.Close())
	}
	if err := o.load(names, opt, &rep); err != nil {
		return nil, rep, errors.Join(err, lock.Close())
	}
	for p, l := range o.lanes {
		rep.Waiting[p] = l.live()
		rep.Segments += len(l.segs)
	}
	return o, rep, nil
}

func (r *Report) trouble(err error) {
	if err != nil {
		r.Troubles = append(r.Troubles, err)
	}
}

func (o *Outbox) load(names []string, opt Options, rep *Report) error {
	slices.Sort(names)
	for _, n := range names {
		o.names[n] = true
	}
	o.loadBad(names)
	known, damaged := o.loadState(rep)
	found := o.findSegments(names, known, rep)
	if !known {
		rep.StateLost = len(found) > 0 || damaged
		rep.Created = !rep.StateLost
		if err := o.newEpoch(found, opt.Rand); err != nil {
			return err
		}
		o.dirty = true
	}
	o.link(found, rep)
	for _, l := range o.lanes {
		o.catchUp(l)
	}
	o.nextSeq = o.st.lastSeq + 1
	o.settleDown(opt, rep)
	return nil
}

// loadBad counts the files set aside earlier.
func (o *Outbox) loadBad(names []string) {
	for _, n := range names {
		if id, ok := numbered(n, "bad-"); ok {
			o.bad = append(o.bad, id)
			o.units++
		}
	}
}

func numbered(name, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 20) // ten million segments are no store of ours
	if err != nil || fmt.Sprintf("%s%04d", prefix, id) != name {
		return 0, false
	}
	return int(id), true
}

// loadState reads the state file. It says whether a slot is valid, and whether one
// is damaged.
func (o *Outbox) loadState(rep *Report) (known, damaged bool) {
	if !o.names[stateName] {
		return false, false
	}
	b := make([]byte, stateBytes)
	f, err := o.fs.Open(o.path(stateName), true)
	if err != nil {
		f, err = o.fs.Open(o.path(stateName), false) // a read-only disk
	} else {
		// After a kill -9 the file may be ahead of the flash. Nothing may rest on
		// what a power cut could take back.
		rep.trouble(f.Sync())
	}
	if err == nil {
		for at := 0; at < stateBytes; at += slotSize { // apart: one may be unreadable
			rep.trouble(readZero(f, b[at:at+slotSize], at))
		}
		err = f.Close()
	}
	if err != nil {
		rep.trouble(err)
		if !noRoom(err) && !errors.Is(err, fs.ErrPermission) {
			o.quarantine(stateName, rep) // a directory of that name, or the like
		}
	}
	s, known, bad := newestSlot(b)
	if !known {
		return false, bad > 0
	}
	o.st = s
	for p, l := range o.lanes {
		l.done, l.ahead = s.lanes[p].done, s.lanes[p].runs
	}
	return true, bad > 0
}

// quarantine sets a file aside under another name. The oldest ones are removed.
func (o *Outbox) quarantine(name string, rep *Report) {
	id := 1
	if len(o.bad) > 0 {
		id = o.bad[len(o.bad)-1] + 1
	}
	rep.Quarantined++
	o.units++
	if err := o.fs.Rename(o.path(name), o.path(fmt.Sprintf("bad-%04d", id))); err != nil {
		rep.trouble(fmt.Errorf("outbox: set %s aside: %w", o.path(name), err))
		return
	}
	delete(o.names, name)
	o.bad = append(o.bad, id)
	for len(o.bad) > maxBad {
		if err := o.fs.Remove(o.path(fmt.Sprintf("bad-%04d", o.bad[0]))); err != nil {
			rep.trouble(err)
			return
		}
		o.bad = o.bad[1:]
		o.units--
	}
}

// candidate is a segment file that may hold live records.
type candidate struct {
	seg    *segment
	header segHeader
	intact bool // the header
}

// findSegments looks at the head of every segment file and sorts out the free ones.
func (o *Outbox) findSegments(names []string, known bool, rep *Report) []candidate {
	var out []candidate
	for _, name := range names {
		id, ok := numbered(name, "seg-")
		if !ok {
			continue
		}
		c, verdict, err := o.inspect(id)
		rep.trouble(err)
		switch {
		case verdict == hopeless:
			o.quarantine(name, rep)
			continue
		case verdict == raw:
			o.release(spare{id: id, size: c.seg.size, raw: true})
			continue
		}
		if known {
			if c.intact && c.header.epoch != o.st.epoch {
				o.quarantine(name, rep) // of another store
				continue
			}
			o.st.nextGen = max(o.st.nextGen, c.seg.gen+1)
			o.st.lastSeq = max(o.st.lastSeq, c.header.largest, c.header.base, c.header.prev.last)
			if c.seg.gen < o.st.lanes[c.seg.prio].oldest {
				o.release(spare{id: id, size: c.seg.size})
				continue
			}
		}
		if !c.intact {
			rep.Recovered++
		}
		out = append(out, c)
	}
	return out
}

// release makes a file free, or removes it where it has another size than segments
// have now.
func (o *Outbox) release(sp spare) {
	if sp.size == o.segSize {
		o.free = append(o.free, sp)
	} else {
		o.remove(sp)
	}
}

type verdict int

const (
	live     verdict = iota // has records of ours, perhaps old ones
	raw                     // has none
	hopeless                // cannot be read, or is of a later version
)

// inspect tells what a segment file is, by its first two sectors if they are
// intact, else by all of it.
func (o *Outbox) inspect(id int) (candidate, verdict, error) {
	s := &segment{id: id}
	c := candidate{seg: s}
	f, err := o.open(s, false)
	if err != nil {
		return c, hopeless, err
	}
	defer o.shut(s)
	size, err := f.Size()
	if err != nil || size > maxSegment {
		return c, hopeless, err
	}
	s.size = int(size)
	head := make([]byte, 2*sectorSize)
	if err := readZero(f, head, 0); err != nil {
		head[0] = 0xff // neither intact nor empty: perhaps the records can be read
	}
	h, ok := decodeSegHeader(head)
	switch {
	case ok:
		s.gen, s.prio, s.base = h.gen, h.prio, h.base
		c.header, c.intact = h, true
		return c, live, nil
	case isLater(head):
		return c, hopeless, nil
	case isZero(head):
		return c, raw, nil
	}
	return o.rescue(c)
}

// rescue looks for the newest records in a segment whose header is damaged.
func (o *Outbox) rescue(c candidate) (candidate, verdict, error) {
	s := c.seg
	o.rd.salvage = true
	b, err := o.fetch(s, 0, s.size, s.size)
	o.rd.salvage = false
	defer o.rd.forget()
	if err != nil {
		return c, hopeless, err
	}
	for at := sectorSize; at+recordHead <= len(b); at += recordAlign {
		if h, ok := getHead(b[at:]); ok && h.gen > s.gen {
			s.gen, s.prio = h.gen, h.prio
		}
	}
	if s.gen == 0 {
		return c, raw, nil // it was being made when the power went, or nothing can be saved
	}
	return c, live, nil
}

// newEpoch takes the store's name from its newest segment, or draws one.
func (o *Outbox) newEpoch(found []candidate, rand io.Reader) error {
	for _, c := range found {
		if c.intact && c.seg.gen >= o.st.nextGen {
			o.st.epoch = c.header.epoch
		}
		o.st.nextGen = max(o.st.nextGen, c.seg.gen+1)
		o.st.lastSeq = max(o.st.lastSeq, c.header.largest, c.header.base, c.header.prev.last)
	}
	if len(found) > 0 {
		// What the lost state knew of may be larger than all that is left.
		o.st.nextGen += genJump
	} else {
		o.st.nextGen = 1
	}
	for o.st.epoch == 0 {
		var b [4]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return fmt.Errorf("outbox: draw an epoch: %w", err)
		}
		o.st.epoch = le.Uint32(b[:])
	}
	return nil
}

// genJump is more generations than can have been begun after the newest one found.
const genJump = 1 << 12

// link makes the chains and learns what each segment holds: from its successor's
// header, or by reading it.
func (o *Outbox) link(found []candidate, rep *Report) {
	sort.SliceStable(found, func(i, j int) bool { return found[i].seg.gen < found[j].seg.gen })
	var prev *candidate
	for i := range found {
		c := &found[i]
		if c.intact && c.header.epoch != o.st.epoch || prev != nil && prev.seg.gen == c.seg.gen {
			o.quarantine(segName(c.seg.id), rep)
			continue
		}
		prev = c
		l := o.lanes[c.seg.prio]
		if before := l.active(); before != nil {
			o.know(l, before, c, rep)
		}
		l.segs = append(l.segs, c.seg)
		// One without a header gets no more records: it could not be told whose
		// they are if their sector is lost too.
		l.sealed = !c.intact || c.seg.size != o.segSize
	}
	var tails []tail
	for _, l := range o.lanes {
		if s := l.active(); s != nil {
			tails = append(tails, o.scan(l, s, true, rep))
			l.cur = startOf(l.segs[0])
		}
	}
	o.reportTails(tails, rep)
}

// know fills in a segment that has a successor.
func (o *Outbox) know(l *lane, s *segment, next *candidate, rep *Report) {
	p := next.header.prev
	if !next.intact || next.header.prevGen != s.gen || p.lost > p.written || p.end < sectorSize {
		o.scan(l, s, false, rep)
		return
	}
	s.written = p.written
	s.lost = min(max(p.lost, o.st.lanes[l.prio].lossOf(s.gen)), s.written)
	s.end = min(p.end, max(s.size, sectorSize))
	s.first, s.last, s.lastAt = p.first, p.last, p.lastAt
	o.st.lastSeq = max(o.st.lastSeq, s.last)
}

// scan reads a whole segment to learn what it holds and where it ends. What is
// missing in the last commit of the newest segment was perhaps never accepted: that
// is left to reportTails.
func (o *Outbox) scan(l *lane, s *segment, newest bool, rep *Report) tail {
	s.lost = o.st.lanes[l.prio].lossOf(s.gen)
	known := s.lost
	o.rd.salvage, o.rd.bad = true, false
	w := startOf(s)
	s.end = sectorSize
	var holes []hole
	limit := max(s.size, sectorSize)
	for {
		h, off, ok, err := o.step(s, &w, limit, maxIndex)
		if err != nil || !ok {
			rep.trouble(err)
			break
		}
		if missing := int(h.index) - w.index; missing > 0 {
			holes = append(holes, hole{missing, gap{first: w.last + 1, last: h.seq - 1, from: w.at, to: h.at}})
		}
		if h.first { // all before it was committed
			o.settleHoles(l, s, holes, &known, reasonDamaged, rep)
			holes = holes[:0]
		}
		if s.first == 0 {
			s.first = h.seq
		}
		w.pass(h, off)
		s.end, s.last, s.lastAt = w.off, h.seq, h.at
		if _, intact, err := o.payload(s, off, h.length, h.sum, limit); err != nil || !intact {
			holes = append(holes, hole{1, gap{first: h.seq, last: h.seq, from: h.at, to: h.at}})
		}
	}
	t := tail{l: l, s: s, holes: holes, known: known}
	if newest && o.cutTail(s, &w) {
		t.cut = true
		t.holes = append(t.holes, hole{1, gap{first: w.last + 1, from: w.at, to: w.at}})
		s.end = w.off
		if s.first == 0 {
			s.first = w.last + 1
		}
	}
	s.written = w.index
	if !newest {
		o.settleHoles(l, s, t.holes, &t.known, reasonDamaged, rep)
	}
	o.st.lastSeq = max(o.st.lastSeq, s.last, w.last)
	l.sealed = l.sealed || newest && o.rd.bad
	o.rd.salvage = false
	o.rd.forget()
	return t
}

// hole is records missing at one place.
type hole struct {
	n int
	gap
}

// settleHoles counts holes as lost. The first known ones were reported before.
func (o *Outbox) settleHoles(l *lane, s *segment, holes []hole, known *int, reason byte, rep *Report) {
	for _, h := range holes {
		n := h.n
		old := min(n, *known)
		*known -= old
		if n -= old; n == 0 {
			continue
		}
		o.report(l, s, n, h.gap, reason)
		if h.last <= l.done {
			continue
		}
		if reason == reasonCut {
			rep.Cut += n
		} else {
			rep.Damaged += n
		}
	}
}

// cutTail looks behind the last record for one whose header is not intact, in the
// places where a record could begin, and steps over it.
func (o *Outbox) cutTail(s *segment, w *walk) bool {
	limit := max(s.size, sectorSize)
	for _, at := range [...]int{w.off, alignUp(w.off, sectorSize), alignUp(w.off, pageSize)} {
		if at+recordHead > limit {
			continue
		}
		b, err := o.fetch(s, at, recordHead, limit)
		if err == nil && s.looksCut(b, w) {
			w.index++
			w.off = at + recordHead
			return true
		}
	}
	return false
}

// tail is what link found missing at the end of a chain. It is judged when the
// largest number in the store is known.
type tail struct {
	l     *lane
	s     *segment
	holes []hole
	known int  // of them were reported before
	cut   bool // the last hole is a record without an intact header
}

// numberJump is more numbers than can be staged at once: so far may the number of a
// record that cannot be read be ahead of all that can.
const numberJump = 1 << 12

// reportTails reports the losses at the ends of the chains. Where a number is not
// known, the next ones are drawn well behind it.
func (o *Outbox) reportTails(tails []tail, rep *Report) {
	top := o.st.lastSeq
	if rep.StateLost {
		top += numberJump
	}
	for _, t := range tails {
		if t.cut && len(t.holes) > t.known {
			top = o.st.lastSeq + numberJump
		}
	}
	o.st.lastSeq = top
	for _, t := range tails {
		if t.cut {
			t.s.last = top
			t.holes[len(t.holes)-1].last = top
		}
		o.settleHoles(t.l, t.s, t.holes, &t.known, reasonCut, rep)
	}
}

// catchUp reads over what is done in the oldest segment, so that the counts are
// right, and over what was acked out of order.
func (o *Outbox) catchUp(l *lane) {
	for len(l.segs) > 1 && l.segs[0].last <= l.done {
		o.drop(l)
	}
	if len(l.segs) == 0 || l.segs[0].first > l.done && len(l.ahead) == 0 {
		return
	}
	to := l.done
	for _, r := range l.ahead {
		to = max(to, r.last)
	}
	for o.next(l) && l.cur.last < to {
		continue
	}
}

// settleDown brings the directory into the state that running needs. What fails is
// tried again when it is needed.
func (o *Outbox) settleDown(opt Options, rep *Report) {
	for _, l := range o.lanes {
		if s := l.active(); s != nil {
			// See loadState: what was read must be on the flash before it is delivered.
			if f, err := o.open(s, true); err == nil {
				rep.trouble(f.Sync())
			}
		}
	}
	rep.trouble(o.fs.SyncDir(o.dir))
	o.trim(rep)
	if o.dirty {
		rep.trouble(o.persist()) // before the segments: without its state a store keeps nothing
	}
	for o.used() < o.limit() && (opt.Prealloc || len(o.free)+len(o.lanes[Alert].segs) < reserve[Alert]) {
		sp, err := o.create()
		if err != nil {
			rep.trouble(fmt.Errorf("outbox: make a segment in %s: %w", o.dir, err))
			if opt.Prealloc {
				o.leaveRoom()
			}
			break
		}
		o.free = append(o.free, sp)
	}
	if o.dirty {
		rep.trouble(o.persist())
	}
}

// fullDiskLeaves is how many segments are given back where the disk was too small
// for all: the agent's other state and the machine's own software live there too.
const fullDiskLeaves = 2

// leaveRoom gives back what was made last, but not the reserve.
func (o *Outbox) leaveRoom() {
	for range fullDiskLeaves {
		if len(o.free)+len(o.lanes[Alert].segs) <= reserve[Alert] {
			return
		}
		sp := o.free[len(o.free)-1]
		o.free = o.free[:len(o.free)-1]
		o.remove(sp)
	}
}

// trim gets below the cap after it was lowered.
func (o *Outbox) trim(rep *Report) {
	for o.used() > o.limit() {
		switch {
		case len(o.free) > 0:
			o.remove(o.takeFree())
			continue
		case len(o.dead) == 0:
			q := Metric
			for q < Alert && len(o.lanes[q].segs) == 0 {
				q++
			}
			if len(o.lanes[q].segs) == 0 {
				return // only quarantined files
			}
			o.evict(o.lanes[q])
		}
		if err := o.persist(); err != nil {
			rep.trouble(err)
			return
		}
	}
}
