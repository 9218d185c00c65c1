package meter

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// world is a board that knows the truth: what each interface really moved, in
// which life of its counter, and what the meter can know of it.
type world struct {
	rng    *rand.Rand
	at     instant.Instant // Wall is what the board's clock shows
	real   time.Time
	boots  int
	next   int // next ifindex
	ifs    []*iface
	meter  *Meter
	flash  kept
	ram    kept
	useRAM bool
	seen   ledger
	trust  bool
}

type iface struct {
	name  string
	index int
	life  int // counts resets in place
	rx    uint64
	tx    uint64
	bits  int
	skip  bool
}

// ledger is what the meter can know: for each counter life the reading last taken.
type ledger struct {
	counted uint64
	sent    uint64
	boot    int
	last    map[int][3]uint64 // index: life, rx, tx
}

func (l ledger) clone() ledger {
	c := ledger{counted: l.counted, sent: l.sent, boot: l.boot, last: map[int][3]uint64{}}
	for k, v := range l.last {
		c.last[k] = v
	}
	return c
}

type kept struct {
	data []byte
	led  ledger
}

func newWorld(seed uint64) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 7)), real: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		meter: New(Options{}), trust: true, useRAM: seed%4 == 0,
	}
	w.seen.last = map[int][3]uint64{}
	w.seen.boot = -1
	w.boot()
	return w
}

func (w *world) boot() {
	w.boots++
	w.next = 2
	w.at = instant.Instant{Boot: fmt.Sprintf("boot-%d", w.boots), Mono: 5 * time.Second, Wall: w.real, Trusted: w.trust}
	w.ifs = nil
	w.create("eth0", true)
	w.create("wwan0", false)
	if w.rng.IntN(3) == 0 {
		w.create("ppp0", false)
	}
}

func (w *world) create(name string, skip bool) {
	f := &iface{name: name, index: w.next, bits: 64, skip: skip}
	if w.rng.IntN(3) == 0 {
		f.bits = 32
	}
	w.next++
	w.ifs = append(w.ifs, f)
}

func (w *world) pass(d time.Duration) {
	w.real = w.real.Add(d)
	w.at = w.at.Add(d)
}

func (w *world) traffic() {
	for _, f := range w.ifs {
		if w.rng.IntN(3) > 0 {
			f.rx += w.rng.Uint64N(100 << 10)
			f.tx += w.rng.Uint64N(20 << 10)
		}
	}
}

func (f *iface) reading(at instant.Instant) Reading {
	r := Reading{At: at, Interface: f.name, Index: f.index, RxBytes: f.rx, TxBytes: f.tx, Bits: f.bits, Skip: f.skip}
	if f.bits == 32 {
		r.RxBytes, r.TxBytes = uint64(uint32(f.rx)), uint64(uint32(f.tx))
	}
	return r
}

// look lets the meter look, and does the same sum with the truth.
func (w *world) look() {
	var rs []Reading
	fresh := w.seen.boot == -1
	if w.seen.boot != w.boots {
		w.seen.boot = w.boots
		w.seen.last = map[int][3]uint64{}
	}
	for _, f := range w.ifs {
		rs = append(rs, f.reading(w.at))
		if f.skip {
			continue
		}
		last, known := w.seen.last[f.index]
		switch {
		case fresh:
		case !known:
			w.seen.counted += f.rx + f.tx
			w.seen.sent += f.tx
		default:
			// Reset and grown past a reading kept before: the growth beyond it
			// really moved, and is all that can be told.
			w.seen.counted += satSub(f.rx, last[1]) + satSub(f.tx, last[2])
			w.seen.sent += satSub(f.tx, last[2])
		}
		w.seen.last[f.index] = [3]uint64{uint64(f.life), f.rx, f.tx}
	}
	w.meter.Look(w.at, rs)
	if w.useRAM {
		w.ram = kept{w.meter.Snapshot(), w.seen.clone()}
	}
	if w.meter.Due(w.at) {
		w.flash = kept{w.meter.Snapshot(), w.seen.clone()}
		w.meter.Saved(w.at)
	}
}

// restart brings the agent back from what was kept.
func (w *world) restart(t *testing.T, power bool) {
	k := w.flash
	if power {
		w.ram = kept{}
	} else if w.useRAM && w.ram.data != nil {
		k = w.ram
	}
	if k.data == nil {
		w.meter = New(Options{})
		w.seen = ledger{boot: -1, last: map[int][3]uint64{}}
		return
	}
	m, err := RestoreNewest(Options{}, w.flash.data, w.ram.data)
	if err != nil {
		t.Fatal(err)
	}
	w.meter, w.seen = m, k.led.clone()
}

func (w *world) step(t *testing.T) string {
	switch w.rng.IntN(22) {
	case 0:
		w.restart(t, false)
		return "kill -9"
	case 1:
		w.restart(t, true)
		w.real = w.real.Add(time.Duration(w.rng.IntN(72)) * time.Hour)
		w.boot()
		return "power cut"
	case 2: // the modem re-enumerates
		i := 1 + w.rng.IntN(len(w.ifs)-1)
		name := w.ifs[i].name
		w.ifs = append(w.ifs[:i], w.ifs[i+1:]...)
		w.create(name, false)
		return "re-created"
	case 3: // 32-bit resets have a table of their own: TestThirtyTwoBits
		f := w.ifs[1+w.rng.IntN(len(w.ifs)-1)]
		if f.bits == 32 {
			return "nothing"
		}
		f.life++
		f.rx, f.tx = 0, 0
		w.look() // so short after the reset that the counters are still lower
		return "reset in place"
	case 4: // so much moves that a 32-bit counter turns soon
		if w.rng.IntN(4) > 0 || w.seen.boot != w.boots {
			return "nothing"
		}
		f := w.ifs[1+w.rng.IntN(len(w.ifs)-1)]
		w.look()
		for uint32(f.rx) < 1<<32-500<<20 {
			f.rx += 400 << 20
			f.tx += w.rng.Uint64N(100 << 20)
			w.pass(time.Minute)
			w.look()
		}
		if left := uint64(-uint32(f.rx)); left > 200<<10 {
			f.rx += left - w.rng.Uint64N(200<<10)
		}
		w.pass(time.Minute)
		w.look()
		return "gigabytes"
	case 5:
		d := time.Duration(w.rng.IntN(120)-60) * time.Hour
		w.at.Wall = w.at.Wall.Add(d)
		return fmt.Sprint("clock steps ", d)
	case 6:
		w.at.Wall = time.Unix(w.rng.Int64N(86400), 0)
		return "clock in 1970"
	case 7:
		w.at.Wall, w.at.Trusted = w.real, true
		return "clock right"
	case 8:
		w.at.Trusted = !w.at.Trusted
		w.trust = w.at.Trusted
		return "trust turns"
	case 9:
		f := w.ifs[1+w.rng.IntN(len(w.ifs)-1)]
		f.name += "x"
		return "renamed"
	case 10:
		if len(w.ifs) < 6 {
			w.create("usb0", false)
		}
		return "one more"
	case 11:
		w.pass(time.Duration(w.rng.IntN(40)) * time.Hour)
		return "long silence"
	case 12: // counted and deleted: the kernel's last word
		if len(w.ifs) > 2 && w.seen.boot == w.boots {
			f := w.ifs[len(w.ifs)-1]
			if last, known := w.seen.last[f.index]; known && last[0] == uint64(f.life) {
				w.seen.counted += f.rx - last[1] + f.tx - last[2]
				w.seen.sent += f.tx - last[2]
				w.seen.last[f.index] = [3]uint64{last[0], f.rx, f.tx}
				w.meter.Final(w.at, f.reading(w.at))
				w.ifs = w.ifs[:len(w.ifs)-1]
				return "deleted with its last word"
			}
		}
		return "nothing"
	default:
		w.traffic()
		w.pass(time.Duration(1+w.rng.IntN(60)) * time.Second)
		return "traffic"
	}
}

// total is what the rows and the unplaced slices of all books hold.
func (m *Meter) inRows() (n uint64) {
	for _, b := range m.books {
		for _, r := range b.days {
			n += r.total
		}
		for _, s := range b.slices {
			if !s.placed {
				n += s.total
			}
		}
	}
	return n
}

// sentInRows is the same of what was sent.
func (m *Meter) sentInRows() (n uint64) {
	for _, b := range m.books {
		for _, r := range b.days {
			n += r.tx
		}
		for _, s := range b.slices {
			if !s.placed {
				n += s.tx
			}
		}
	}
	return n
}

func (m *Meter) lifetime() (n uint64) {
	for _, b := range m.books {
		n += b.lifetime
	}
	return n
}

func TestNeverTwiceNeverInvented(t *testing.T) {
	histories, steps := 2000, 100
	if testing.Short() {
		histories = 300
	}
	var bytes uint64
	for seed := range uint64(histories) {
		w := newWorld(seed)
		w.look()
		var log []string
		for range steps {
			log = append(log, w.step(t))
			if w.rng.IntN(3) > 0 {
				w.look()
				if got := w.meter.lifetime(); got != w.seen.counted {
					t.Fatalf("seed %d after %v: counted %d, truth %d", seed, log, got, w.seen.counted)
				}
				if got := w.meter.sentInRows(); got != w.seen.sent {
					t.Fatalf("seed %d after %v: rows hold %d as sent, truth %d", seed, log, got, w.seen.sent)
				}
				if got := w.meter.inRows(); got != w.meter.lifetime() {
					t.Fatalf("seed %d after %v: rows hold %d of %d", seed, log, got, w.meter.lifetime())
				}
			}
		}
		bytes += w.seen.counted
	}
	t.Logf("%d histories of %d steps, %d bytes counted, 0 off", histories, steps, bytes)
}

var plan30 = protocol.Plan{QuotaBytes: 30 << 20, CycleDay: 1, UTCOffset: "+08:00"}

// Thousands of clocks that step, lie and lose their trust over the turn of a month:
// once the clock is right, each byte of the boot is in its hour, day and month.
func TestBytesAreInTheirHourOnceTheClockIsRight(t *testing.T) {
	histories := uint64(2000)
	if testing.Short() {
		histories = 300
	}
	start := time.Date(2026, 4, 30, 14, 0, 0, 0, beijing)
	turn := time.Date(2026, 5, 1, 0, 0, 0, 0, beijing)
	for seed := range histories {
		rng := rand.New(rand.NewPCG(seed, 17))
		r := newRig(t, start)
		r.m = New(Options{})
		real, off, trusted := start, time.Duration(0), true
		if rng.IntN(2) == 0 {
			off, trusted = -time.Duration(rng.IntN(56*365*24))*time.Hour, false
		}
		r.at.Wall, r.at.Trusted = real.Add(off), trusted
		r.look()
		r.plan(plan30)
		hours, april := map[int64]uint64{}, uint64(0)
		steps := 60 + rng.IntN(80)
		for range steps { // every ten minutes, on the tens
			switch rng.IntN(12) {
			case 0:
				off, trusted = time.Duration(rng.IntN(240)-120)*time.Hour, false
			case 1: // a clock that is believed and wrong
				off, trusted = time.Duration(rng.IntN(240)-120)*time.Hour, true
			case 2:
				off, trusted = 0, true
			case 3:
				trusted = false
			}
			n := rng.Uint64N(50*kB) + 1
			real = real.Add(10 * time.Minute)
			r.at.Mono += 10 * time.Minute
			r.at.Wall, r.at.Trusted = real.Add(off), trusted
			r.rx += n
			r.look()
			hours[real.Unix()/3600] += n
			if real.Before(turn) {
				april += n
			}
			if rng.IntN(20) == 0 { // kill -9
				m, err := Restore(r.m.Snapshot(), Options{})
				if err != nil {
					t.Fatal(err)
				}
				r.m = m
			}
		}
		r.at.Wall, r.at.Trusted = real, true
		r.look()
		var sum uint64
		for _, b := range r.m.Hours() {
			sum += b.Bytes
			if truth := hours[b.Start.Unix()/3600]; truth != b.Bytes {
				t.Fatalf("seed %d: %v has %d, truth %d", seed, b.Start, b.Bytes, truth)
			}
		}
		u := r.m.Usage(r.at)
		want := r.rx - april
		if real.Before(turn) {
			want = april
		}
		if sum != r.rx || u.RawBytes != want || u.UnplacedBytes != 0 {
			t.Fatalf("seed %d: sum %d of %d, this month %d, truth %d", seed, sum, r.rx, u.RawBytes, want)
		}
	}
}

// The config trades the bytes that a power cut may cost against the flash.
func TestFlushBytesIsTheBound(t *testing.T) {
	last := 1 << 30
	for _, bound := range []uint64{16 * kB, 128 * kB, MB} {
		r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
		r.m = New(Options{FlushBytes: bound})
		r.look()
		rng := rand.New(rand.NewPCG(1, bound))
		writes, risk := 0, uint64(0)
		for range 10 * 24 * 60 { // 1.9 MB a day
			r.move(rng.Uint64N(2*19*MB/10/(24*60)), time.Minute)
			if r.m.Due(r.at) {
				writes++
				_ = r.m.Snapshot()
				r.m.Saved(r.at)
			}
			risk = max(risk, r.m.Dirty())
		}
		t.Logf("%d at most: %d bytes at risk, %.1f writes a day", bound, risk, float64(writes)/10)
		if risk > bound+2*2*MB/(24*60) || writes >= last { // one look may go beyond it
			t.Errorf("bound %d: %d bytes at risk, %d writes, %d with the smaller one", bound, risk, writes, last)
		}
		last = writes
	}
}
