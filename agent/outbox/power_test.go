package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"cellwarden/agent/flash/flashtest"
)

// world is what an honest observer outside knows of a store.
type world struct {
	t    *testing.T
	name string
	fs   *flashtest.FS
	rng  *rand.Rand
	o    *Outbox
	// tight: the smallest cap, long payloads, few acks, so that much is evicted
	tight   bool
	evicted uint64

	now      int64
	content  map[uint64]string   // last payload drawn for a number
	prio     map[uint64]Priority // and its priority
	accepted map[uint64]bool     // Commit returned nil
	seen     map[uint64]string   // delivered once: fixed for ever
	acked    map[uint64]bool     // Ack returned
	ackSaved map[uint64]bool     // and SyncAcks returned nil since
	unsaved  []uint64            // acked in this life, since the last SyncAcks
	dropped  map[Priority][]Gap  // gaps taken over
	staged   []uint64            // appended, no good commit since
}

func newWorld(t *testing.T, name string, fs *flashtest.FS, seed uint64) *world {
	return &world{
		t: t, name: name, fs: fs, rng: rand.New(rand.NewPCG(seed, 2)), tight: seed%2 == 1,
		content: map[uint64]string{}, prio: map[uint64]Priority{}, accepted: map[uint64]bool{},
		seen: map[uint64]string{}, acked: map[uint64]bool{}, ackSaved: map[uint64]bool{}, dropped: map[Priority][]Gap{},
	}
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s, op %d: %s", w.name, w.fs.Ops, fmt.Sprintf(format, args...))
}

// open opens the store; false if the power went meanwhile.
func (w *world) open() bool {
	w.t.Helper()
	opt := small(w.fs)
	if w.tight {
		opt.CapBytes = stateBytes + minSegments*minSegment
	}
	opt.Rand = bytes.NewReader([]byte{9, 9, 9, 9})
	o, rep, err := Open("/s", opt)
	if err != nil {
		if w.fs.Off {
			return false
		}
		w.fatalf("open: %v", err)
	}
	if w.fs.Off {
		return false
	}
	if rep.Damaged > 0 || rep.Quarantined > 0 || rep.StateLost && len(w.accepted) > 0 || len(rep.Troubles) > 0 {
		w.fatalf("a power cut was taken for damage: %+v", rep)
	}
	w.o, w.staged, w.unsaved = o, nil, nil
	return true
}

// deliver notes that a record came out and checks it against what is known.
func (w *world) deliver(r Record) {
	w.t.Helper()
	if before, ok := w.seen[r.Seq]; ok && before != string(r.Payload) {
		w.fatalf("number %d was used twice: %.20q, then %.20q", r.Seq, before, r.Payload)
	}
	if w.content[r.Seq] != string(r.Payload) || w.prio[r.Seq] != r.Priority {
		w.fatalf("number %d: got %.20q, appended was %.20q", r.Seq, r.Payload, w.content[r.Seq])
	}
	w.seen[r.Seq] = string(r.Payload)
}

// step does one thing that a running agent does.
func (w *world) step() {
	w.now += int64(w.rng.IntN(2000))
	switch n := w.rng.IntN(100); {
	case n < 45:
		p := Priority(w.rng.IntN(priorities))
		payload := fmt.Appendf(nil, "%d-%d-", p, w.rng.Uint32())
		tens := 60
		if w.tight {
			tens = 95
		}
		for range w.rng.IntN(tens) {
			payload = append(payload, "0123456789"...)
		}
		when := Stamp{Boot: testBoot, MonoMS: w.now, WallMS: w.rng.Int64(), Trusted: w.rng.IntN(2) == 0}
		seq, err := w.o.Append(p, when, payload)
		if err != nil {
			if !w.fs.Off && !errors.Is(err, ErrStaged) {
				w.fatalf("append: %v", err)
			}
			return
		}
		if w.accepted[seq] || w.seen[seq] != "" {
			w.fatalf("number %d drawn again", seq)
		}
		w.content[seq], w.prio[seq] = string(payload), p
		w.staged = append(w.staged, seq)
	case n < 65:
		if err := w.o.Commit(); err == nil {
			for _, seq := range w.staged {
				w.accepted[seq] = true
			}
			w.staged = nil
		}
	case n < 70:
		w.o.ReleaseAll()
	case n < 90:
		recs := w.o.Peek(1+w.rng.IntN(20), 1<<20)
		if w.fs.Off {
			return
		}
		for _, r := range recs {
			w.deliver(r)
			switch n := w.rng.IntN(4); {
			case n == 0:
				w.o.Take(r.Seq)
			case n < 3 && !w.tight || r.Seq%8 == 0:
				if err := w.o.Ack(r.Seq); err != nil && !w.fs.Off {
					w.fatalf("ack: %v", err)
				}
				w.acked[r.Seq] = true
				w.unsaved = append(w.unsaved, r.Seq)
			}
		}
	case n < 94:
		if w.o.SyncAcks() == nil {
			w.saved()
		}
	case n < 95:
		gaps := w.o.Gaps()
		for _, g := range gaps { // known outside, whether this ends well or not
			w.dropped[g.Priority] = append(w.dropped[g.Priority], g)
		}
		if err := w.o.AckGaps(gaps...); err != nil && !w.fs.Off {
			w.fatalf("ack gaps: %v", err)
		}
	case n < 96:
		_ = w.o.SetBootWall(testBoot, w.rng.Int64N(1e12))
	case n < 97:
		staged := w.staged
		if w.o.Close() == nil {
			for _, seq := range staged {
				w.accepted[seq] = true
			}
			w.saved()
		}
		w.fs.Locked = false
		w.open()
	}
}

func (w *world) saved() {
	for _, seq := range w.unsaved {
		w.ackSaved[seq] = true
	}
	w.unsaved = nil
}

// check compares all that the store holds with what the world knows.
func (w *world) check() {
	w.t.Helper()
	if size := w.fs.Size(); size > w.o.cap {
		w.fatalf("%d bytes on the disk, cap %d", size, w.o.cap)
	}
	w.o.ReleaseAll()
	w.evicted += w.o.Stats().Evicted
	recs := w.o.Peek(1<<20, 1<<30)
	if len(recs) != w.o.Len() {
		w.fatalf("Len says %d, %d records are delivered", w.o.Len(), len(recs))
	}
	var last [priorities]uint64
	here := map[uint64]bool{}
	for _, r := range recs {
		w.deliver(r)
		if r.Seq <= last[r.Priority] {
			w.fatalf("%s %d delivered after %d", r.Priority, r.Seq, last[r.Priority])
		}
		last[r.Priority] = r.Seq
		here[r.Seq] = true
		if w.ackSaved[r.Seq] {
			w.fatalf("%s %d delivered again after its ack was saved", r.Priority, r.Seq)
		}
	}
	dropped := w.dropped
	gaps := map[Priority][]Gap{}
	for p, g := range dropped {
		gaps[p] = append(gaps[p], g...)
	}
	for _, g := range w.o.Gaps() {
		switch g.Reason {
		case Damaged:
			w.fatalf("a power cut was reported as damage: %+v", g)
		case Full:
			gaps[g.Priority] = append(gaps[g.Priority], g)
		}
	}
	missing := map[Priority]uint64{}
	for seq := range w.accepted {
		if here[seq] || w.acked[seq] {
			continue
		}
		p := w.prio[seq]
		covered := false
		for _, g := range gaps[p] {
			covered = covered || g.FirstSeq <= seq && seq <= g.LastSeq
		}
		if !covered {
			w.fatalf("accepted %s %d is lost, gaps %+v", p, seq, gaps[p])
		}
		missing[p]++
	}
	for p, n := range missing {
		reported := uint64(0)
		for _, g := range gaps[p] {
			reported += g.Count
		}
		if reported < n {
			w.fatalf("%d %s records dropped, %d reported", n, p, reported)
		}
	}
}

// drain takes everything out and checks that nothing is left.
func (w *world) drain() {
	w.t.Helper()
	w.o.ReleaseAll()
	for w.o.Len() > 0 {
		recs := w.o.Peek(5, 1<<20)
		if len(recs) == 0 {
			w.fatalf("wedged: %d left, none delivered", w.o.Len())
		}
		for _, r := range recs {
			w.deliver(r)
			if err := w.o.Ack(r.Seq); err != nil {
				w.fatalf("ack: %v", err)
			}
		}
	}
}

// history runs steps until they are done or the power goes.
func (w *world) history(steps int) {
	w.t.Helper()
	for range steps {
		if w.fs.Off {
			return
		}
		w.step()
	}
}

// long makes the seeded tests go through n times as many histories where
// CELLWARDEN_LONG is set to a number.
func long(n int) int {
	if k, err := strconv.Atoi(os.Getenv("CELLWARDEN_LONG")); err == nil && k > 0 {
		return n * k
	}
	return n
}

func TestPowerCutAtEveryWrite(t *testing.T) {
	cuts, evicted := 0, uint64(0)
	for seed := range uint64(long(8)) {
		steps := 200
		if seed%40 == 39 { // where CELLWARDEN_LONG asks for it
			steps = 1000
		}
		whole := newWorld(t, "no cut", flashtest.New(seed), seed)
		whole.open()
		whole.history(steps)
		whole.check()
		for cut := 1; cut <= whole.fs.Ops; cut++ {
			fs := flashtest.New(seed<<32 + uint64(cut))
			fs.CutAt = cut
			w := newWorld(t, fmt.Sprintf("seed %d, cut at %d", seed, cut), fs, seed)
			if w.open() {
				w.history(steps)
			}
			// Then another life, cut as well: by power, or only the process.
			fs.Restart(fs.Rand.IntN(4) > 0)
			fs.CutAt = fs.Ops + 1 + fs.Rand.IntN(60)
			if w.open() {
				w.check()
				w.history(40)
			}
			fs.Restart(true)
			if !w.open() {
				w.fatalf("did not open")
			}
			w.check()
			w.history(20)
			w.check()
			w.drain()
			cuts += 2
			evicted += w.evicted
		}
	}
	t.Logf("%d power cuts, %d records evicted", cuts, evicted)
	if cuts < 1000 || evicted < 1000 {
		t.Fatalf("%d power cuts, %d records evicted: the histories do too little", cuts, evicted)
	}
}
