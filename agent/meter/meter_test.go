package meter

import (
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

const kB, MB = uint64(1 << 10), uint64(1 << 20)

var beijing = time.FixedZone("UTC+08:00", 8*3600)

// rig drives a meter over one interface.
type rig struct {
	t      *testing.T
	m      *Meter
	at     instant.Instant
	rx, tx uint64
	index  int
	due    []protocol.Warning
}

func newRig(t *testing.T, start time.Time) *rig {
	r := &rig{t: t, m: New(Options{}), index: 3}
	r.at = instant.Instant{Boot: "a", Mono: time.Minute, Wall: start, Trusted: true}
	r.look()
	return r
}

func (r *rig) look() {
	r.due = append(r.due, r.m.Look(r.at, []Reading{{Interface: "wwan0", Index: r.index, RxBytes: r.rx, TxBytes: r.tx, Bits: 64}})...)
}

func (r *rig) move(n uint64, d time.Duration) {
	r.rx += n - n/4
	r.tx += n / 4
	r.at = r.at.Add(d)
	r.look()
}

func (r *rig) plan(p protocol.Plan) {
	r.t.Helper()
	if err := r.m.SetPlan("", p, r.at); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) warnings() []protocol.Warning {
	w := r.due
	r.due = nil
	return w
}

func kinds(ws []protocol.Warning) string {
	var k []string
	for _, w := range ws {
		k = append(k, w.Kind)
	}
	return strings.Join(k, " ")
}

func TestTheFirstLookCountsNothing(t *testing.T) {
	m := New(Options{})
	at := instant.Instant{Boot: "a", Mono: time.Hour, Wall: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Trusted: true}
	m.Look(at, []Reading{{Interface: "wwan0", Index: 3, RxBytes: 5e9, TxBytes: 1e9, Bits: 64}})
	if u := m.Usage(at); u.RawBytes != 0 {
		t.Errorf("counted %d bytes that moved before the agent came", u.RawBytes)
	}
}

func TestCounterFaces(t *testing.T) {
	type look struct {
		boot  string
		after time.Duration
		seen  []Reading
	}
	r := func(index int, rx, tx uint64, bits int) Reading {
		return Reading{Interface: "wwan0", Index: index, RxBytes: rx, TxBytes: tx, Bits: bits}
	}
	eth := Reading{Interface: "eth0", Index: 2, RxBytes: 7e9, TxBytes: 7e9, Bits: 64, Skip: true}
	const top = 1 << 32
	tests := []struct {
		name  string
		looks []look
		want  uint64
	}{
		{"both directions", []look{{"a", 0, []Reading{r(3, 10, 20, 64)}}, {"a", time.Second, []Reading{r(3, 110, 220, 64)}}}, 300},
		{"re-created: all of it is ours", []look{{"a", 0, []Reading{r(3, 1000, 1000, 64)}}, {"a", time.Second, []Reading{r(9, 40, 2, 64)}}}, 42},
		{"re-created within one look, both seen once", []look{{"a", 0, []Reading{r(3, 10, 0, 64)}}, {"a", 1, nil}, {"a", 1, []Reading{r(4, 5, 0, 64)}}, {"a", 1, []Reading{r(4, 6, 0, 64)}}}, 6},
		{"renamed", []look{{"a", 0, []Reading{r(3, 10, 0, 64)}}, {"a", 1, []Reading{{Interface: "lte0", Index: 3, RxBytes: 15, Bits: 64}}}}, 5},
		{"reboot: counters began at zero with it", []look{{"a", 0, []Reading{r(3, 1e6, 0, 64)}}, {"b", time.Minute, []Reading{r(3, 700, 7, 64)}}}, 707},
		{"a config now names eth0, which was there all the time", []look{{"a", 0, []Reading{r(3, 1, 1, 64), eth}}, {"a", 1, []Reading{r(3, 2, 1, 64), {Interface: "eth0", Index: 2, RxBytes: 8e9, TxBytes: 7e9, Bits: 64}}}}, 1},
		{"reset in place, 64 bits: not invented", []look{{"a", 0, []Reading{r(3, 9e9, 9e9, 64)}}, {"a", time.Second, []Reading{r(3, 50, 50, 64)}}, {"a", time.Second, []Reading{r(3, 60, 50, 64)}}}, 10},
		{"32 bits: one turn", []look{{"a", 0, []Reading{r(3, top-100, 5, 32)}}, {"a", 10 * time.Second, []Reading{r(3, 50, 6, 32)}}}, 151},
		{"32 bits: both turn near the top", []look{{"a", 0, []Reading{r(3, top-100, top-10, 32)}}, {"a", 10 * time.Second, []Reading{r(3, 50, 6, 32)}}}, 166},
		{"32 bits: a reset from 3.9 GB is no turn within a second", []look{{"a", 0, []Reading{r(3, 3900e6, 1, 32)}}, {"a", time.Second, []Reading{r(3, 50, 2, 32)}}}, 1},
		{"32 bits: a re-enumerated modem is no 8.6 GB", []look{{"a", 0, []Reading{r(3, 500e6, 90e6, 32)}}, {"a", time.Hour, []Reading{r(3, 50, 20, 32)}}}, 0},
		{"32 bits: both fell from near 4 GB in an hour, a reset", []look{{"a", 0, []Reading{r(3, 3900e6, 4200e6, 32)}}, {"a", time.Hour, []Reading{r(3, 50, 20, 32)}}}, 0},
		{"one direction reset, the other went on", []look{{"a", 0, []Reading{r(3, 900, 100, 64)}}, {"a", time.Hour, []Reading{r(3, 50, 120, 64)}}}, 20},
		{"32 bits claimed, but the counter is larger", []look{{"a", 0, []Reading{r(3, top+5, 0, 32)}}, {"a", time.Second, []Reading{r(3, top-5, 0, 32)}}}, 0},
		{"32 bits: a turn that no line of 150 Mbit/s makes", []look{{"a", 0, []Reading{r(3, top-100e6, 0, 32)}}, {"a", time.Second, []Reading{r(3, 900e6, 0, 32)}}}, 0},
		{"the same interface listed twice counts once", []look{{"a", 0, []Reading{r(3, 0, 0, 64)}}, {"a", 1, []Reading{r(3, 5, 0, 64), r(3, 5, 0, 64)}}}, 5},
		{"gone for a day and back with its index", []look{{"a", 0, []Reading{r(3, 5, 0, 64)}}, {"a", time.Hour, nil}, {"a", 24 * time.Hour, []Reading{r(3, 8, 0, 64)}}}, 3},
		{"two at once", []look{{"a", 0, []Reading{r(3, 0, 0, 64), r(4, 0, 0, 64)}}, {"a", 1, []Reading{r(3, 5, 1, 64), r(4, 7, 1, 64)}}}, 14},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := New(Options{})
			at := instant.Instant{Mono: time.Hour, Wall: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC), Trusted: true}
			for _, l := range tc.looks {
				at.Boot = l.boot
				at = at.Add(l.after)
				m.Look(at, l.seen)
			}
			if u := m.Usage(at); u.RawBytes != tc.want || u.LifetimeBytes != tc.want {
				t.Errorf("counted %d (ever %d), want %d", u.RawBytes, u.LifetimeBytes, tc.want)
			}
		})
	}
}

// veth drops what it received when its peer goes, before the kernel's last word;
// and an interface that only moved to another namespace comes back whole.
func TestLastWordOfAnInterfaceThatComesBack(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 2, 8, 0, 0, 0, beijing))
	r.move(100*kB, time.Minute) // rx 75, tx 25
	r.m.Final(r.at, Reading{Interface: "wwan0", Index: 3, RxBytes: 0, TxBytes: 26 * kB, Bits: 64, Skip: true})
	if got := r.m.Usage(r.at).RawBytes; got != 101*kB {
		t.Errorf("after the last word %d, want %d", got, 101*kB)
	}
	r.move(4*kB, time.Minute) // rx 78, tx 26
	if got := r.m.Usage(r.at).RawBytes; got != 104*kB || r.m.Resets() != 0 {
		t.Errorf("back again %d, want %d (%d resets)", got, 104*kB, r.m.Resets())
	}
	r.m.Final(r.at, Reading{Interface: "eth0", Index: 99, RxBytes: 1e9, Bits: 64, Skip: true})
	r.m.Final(r.at, Reading{Interface: "wwan1", Index: 100, RxBytes: kB, Bits: 64}) // came and went between two looks
	if got := r.m.Usage(r.at).RawBytes; got != 105*kB {
		t.Errorf("%d, want %d", got, 105*kB)
	}
}

func TestKillLosesNothingAndPowerCutLosesTheStatedBound(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 2, 8, 0, 0, 0, beijing))
	r.move(100*kB, time.Minute)
	flash := r.m.Snapshot()
	r.m.Saved(r.at)
	r.move(127*kB, time.Minute)
	if r.m.Due(r.at) {
		t.Error("due below the bound")
	}
	atRisk := r.m.Dirty()
	kill := func() *Meter {
		m, err := Restore(flash, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	r.m = kill() // the process, not the board: the counters are still there
	r.move(0, time.Second)
	if got := r.m.Usage(r.at).RawBytes; got != 227*kB {
		t.Errorf("after a kill %d, want %d", got, 227*kB)
	}
	r.m = kill()
	r.rx, r.tx = 0, 0
	r.at = instant.Instant{Boot: "b", Mono: time.Second, Wall: r.at.Wall.Add(time.Hour), Trusted: true}
	r.move(3*kB, time.Second)
	if got, want := r.m.Usage(r.at).RawBytes, 230*kB-atRisk; got != want || atRisk > DefaultFlushBytes {
		t.Errorf("after a power cut %d, want %d with %d at risk", got, want, atRisk)
	}
}

// A RAM disk keeps a snapshot after each look: then even a kill during which the
// interface is re-created costs only what passed since the last look.
func TestKillWithInterfaceRecreated(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 2, 8, 0, 0, 0, beijing))
	flash := r.m.Snapshot()
	r.move(90*kB, time.Minute)
	ram := r.m.Snapshot()
	r.rx += 5 * kB // not looked at before it vanished
	r.index, r.rx, r.tx = 8, 0, 0
	var err error
	if r.m, err = RestoreNewest(Options{}, flash, ram); err != nil {
		t.Fatal(err)
	}
	r.move(7*kB, time.Minute)
	if got := r.m.Usage(r.at).RawBytes; got != 97*kB {
		t.Errorf("counted %d, want %d: 5 kB lost with the interface", got, 97*kB)
	}
}

func TestClockJumpsMoveNoByteToAWrongHour(t *testing.T) {
	start := time.Date(2026, 4, 30, 20, 0, 0, 0, beijing) // four hours before the cycle turns
	for _, tc := range []struct {
		name    string
		trusted bool // what the jumping clock claims of itself
		jumps   map[int]time.Duration
	}{
		{"untrusted, 1970 until it is told", false, map[int]time.Duration{0: -56 * 365 * 24 * time.Hour, 30: 0}},
		{"untrusted, back two hours, forward two days", false, map[int]time.Duration{6: -2 * time.Hour, 18: 48 * time.Hour, 33: 0}},
		{"a lying clock: back two hours, forward two days, to 1970 and back", true, map[int]time.Duration{6: -2 * time.Hour, 12: 48 * time.Hour, 18: -56 * 365 * 24 * time.Hour, 30: 0}},
		{"a lying clock: forward a year and back", true, map[int]time.Duration{6: 365 * 24 * time.Hour, 30: 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, start)
			r.m = New(Options{})
			if _, ok := tc.jumps[0]; ok {
				r.at.Trusted = false
				r.at.Wall = start.Add(tc.jumps[0])
			}
			r.look()
			r.plan(plan30)
			real := start
			truth := map[int64]uint64{}
			rng := rand.New(rand.NewPCG(1, 2))
			off := tc.jumps[0]
			for i := range 40 { // every ten minutes, on the tens
				if d, ok := tc.jumps[i]; ok {
					off = d
					r.at.Trusted = d == 0 || tc.trusted && i > 0
				}
				n := rng.Uint64N(50*kB) + 1
				real = real.Add(10 * time.Minute)
				r.at.Mono += 10 * time.Minute
				r.at.Wall = real.Add(off)
				r.rx += n
				r.look()
				truth[real.Unix()/3600] += n
			}
			var sum uint64
			for _, b := range r.m.Hours() {
				if truth[b.Start.Unix()/3600] != b.Bytes {
					t.Errorf("%v: %d, truth %d", b.Start, b.Bytes, truth[b.Start.Unix()/3600])
				}
				sum += b.Bytes
			}
			if sum != r.rx {
				t.Errorf("sum %d, truth %d", sum, r.rx)
			}
			var april uint64
			turn := time.Date(2026, 5, 1, 0, 0, 0, 0, beijing)
			for h, n := range truth {
				if h < turn.Unix()/3600 {
					april += n
				}
			}
			cycles := r.m.Cycles(r.at)
			if u := r.m.Usage(r.at); u.RawBytes != r.rx-april || !u.TimeTrusted || u.UnplacedBytes != 0 {
				t.Errorf("May holds %d, truth %d (%+v)", u.RawBytes, r.rx-april, u)
			}
			if last := cycles[len(cycles)-1]; !last.Start.Equal(turn) || last.Bytes != r.rx-april {
				t.Errorf("last cycle %+v", last)
			}
		})
	}
}

func TestUnplacedBytesOfEarlierBoots(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 30, 12, 0, 0, 0, beijing))
	r.plan(plan30)
	r.move(10*kB, time.Hour)
	// Two boots without a clock, each with traffic; then a trusted one in June.
	for _, boot := range []string{"b", "c"} {
		r.rx, r.tx = 0, 0
		r.at = instant.Instant{Boot: boot, Mono: time.Minute, Wall: time.Unix(60, 0)}
		r.move(3*kB, time.Hour)
	}
	if u := r.m.Usage(r.at); u.RawBytes != 16*kB || u.UnplacedBytes != 6*kB || u.TimeTrusted || !u.TimeKnown {
		t.Errorf("before the clock: %+v", u)
	}
	r.rx, r.tx = 0, 0
	r.at = instant.Instant{Boot: "d", Mono: time.Minute, Wall: time.Date(2026, 6, 2, 0, 0, 0, 0, beijing), Trusted: true}
	r.move(kB, time.Minute)
	if u := r.m.Usage(r.at); u.RawBytes != kB || u.UnplacedBytes != 0 {
		t.Errorf("June: %+v", u)
	}
	if c := r.m.Cycles(r.at); len(c) != 2 || c[0].Bytes != 16*kB {
		t.Errorf("May: %+v", c)
	}
}

func TestNeverTrustedClockStillCountsAndStaysBounded(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 30, 12, 0, 0, 0, beijing))
	r.m = New(Options{})
	r.at.Trusted = false
	r.look()
	for range 3000 {
		r.move(kB, 17*time.Minute)
		if len(r.m.active().slices) > maxSlices {
			t.Fatal("unplaced slices grow without bound")
		}
	}
	if got := r.m.inRows(); got != 3000*kB {
		t.Errorf("%d of %d bytes kept", got, 3000*kB)
	}
}

func TestALongAbsenceIsSpread(t *testing.T) {
	r := newRig(t, time.Date(2026, 4, 29, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	r.move(4*MB, 96*time.Hour) // the agent was down over the turn, the board was not
	days := r.m.Days()
	if len(days) != 4 {
		t.Fatalf("%d days: %+v", len(days), days)
	}
	for _, d := range days {
		if d.Bytes < MB-64*kB || d.Bytes > MB+64*kB {
			t.Errorf("%v: %d", d.Start, d.Bytes)
		}
	}
	if u := r.m.Usage(r.at); u.RawBytes+2*MB > 4*MB+64*kB || u.LifetimeBytes != 4*MB {
		t.Errorf("%+v", u)
	}
}

func TestSIMsKeepTheirOwnBooks(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 2, 8, 0, 0, 0, beijing))
	r.move(5*kB, time.Minute) // not known yet whose
	r.m.SetSIM("card-1", r.at)
	r.plan(plan30)
	r.move(7*kB, time.Minute)
	r.m.SetSIM("", r.at) // unreadable for a moment
	r.move(kB, time.Minute)
	r.m.SetSIM("card-2", r.at)
	if q := r.m.Usage(r.at).QuotaBytes; q != 0 {
		t.Errorf("the new card has the old one's plan: %d", q)
	}
	r.move(2*kB, time.Minute)
	back, err := Restore(r.m.Snapshot(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.m = back
	one, ok := r.m.UsageOf("card-1", r.at)
	if !ok || one.RawBytes != 13*kB || one.QuotaBytes != 30<<20 {
		t.Errorf("card-1: %+v", one)
	}
	if u := r.m.Usage(r.at); u.RawBytes != 2*kB {
		t.Errorf("card-2: %+v", u)
	}
	r.m.SetSIM("card-1", r.at)
	r.move(kB, time.Minute)
	if u := r.m.Usage(r.at); u.RawBytes != 14*kB {
		t.Errorf("card-1 again: %+v", u)
	}
	for _, k := range []string{"c3", "c4", "c5", "c6"} {
		r.m.SetSIM(k, r.at)
	}
	if len(r.m.books) != maxBooks || r.m.active().key != "c6" {
		t.Errorf("%d books", len(r.m.books))
	}
}

func TestOwnShare(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 2, 8, 0, 0, 0, beijing))
	r.move(10*kB, time.Minute)
	r.m.OwnBytes(4*kB, r.at)
	if u := r.m.Usage(r.at); u.OwnBytes != 4*kB || u.RawBytes != 10*kB {
		t.Errorf("%+v", u)
	}
	if top := r.m.TopHours(3); len(top) != 1 || top[0].Own != 4*kB || top[0].Bytes != 10*kB {
		t.Errorf("%+v", top)
	}
}

func TestMidMonthChangeOfTheCycle(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 30, 0, 0, beijing))
	r.plan(plan30)
	for range 19 {
		r.move(MB, 24*time.Hour)
	}
	r.plan(protocol.Plan{QuotaBytes: 30 << 20, CycleDay: 10, UTCOffset: "+08:00"})
	u := r.m.Usage(r.at) // 20 May: the new cycle began on the 10th
	if u.RawBytes < 10*MB || u.RawBytes > 12*MB {
		t.Errorf("since the 10th: %d", u.RawBytes)
	}
	c := r.m.Cycles(r.at)
	if len(c) != 2 || !c[0].End.Equal(c[1].Start) || c[0].Bytes+c[1].Bytes != 19*MB {
		t.Errorf("%+v", c)
	}
	r.plan(plan30)
	if u := r.m.Usage(r.at); u.RawBytes != 19*MB {
		t.Errorf("back to the 1st: %d", u.RawBytes)
	}
	if c := r.m.Cycles(r.at); len(c) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestFlashPolicy(t *testing.T) {
	for _, tc := range []struct {
		name              string
		perDay            uint64
		maxWrites, maxOut int
	}{
		{"1 MB a day", MB, 12, 200 << 10},
		{"quiet, 20 kB a day", 20 * kB, 5, 60 << 10},
		{"1 GB a day", 1024 * MB, 160, 3 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
			rng := rand.New(rand.NewPCG(3, 4))
			var writes, written int
			var risk uint64
			const days = 20
			for range days * 24 * 30 {
				r.move(rng.Uint64N(2*tc.perDay/(24*30)+1), 2*time.Minute)
				if r.m.Due(r.at) {
					writes++
					written += len(r.m.Snapshot())
					r.m.Saved(r.at)
				}
				risk = max(risk, r.m.Dirty())
			}
			t.Logf("%s: %.1f writes and %d B a day, at most %d B at risk, snapshot %d B", tc.name, float64(writes)/days, written/days, risk, len(r.m.Snapshot()))
			if writes > tc.maxWrites*days || written > tc.maxOut*days {
				t.Errorf("%d writes, %d bytes in %d days", writes, written, days)
			}
			if risk > max(DefaultFlushBytes, tc.perDay/16*11/10) {
				t.Errorf("%d bytes at risk", risk)
			}
		})
	}
}

func TestSnapshotRoundTripAndBound(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	m := New(Options{})
	at := instant.Instant{Boot: strings.Repeat("b", 36), Mono: time.Hour, Wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Trusted: true}
	var rx uint64
	for sim := range maxBooks {
		m.SetSIM(strings.Repeat(string(rune('a'+sim)), maxKey), at)
		if err := m.SetPlan("", plan30, at); err != nil {
			t.Fatal(err)
		}
		for range 5000 { // 400 days, numbers as large as they get
			rx += rng.Uint64N(1 << 40)
			at = at.Add(2 * time.Hour)
			m.OwnBytes(1<<33, at)
			m.Look(at, []Reading{{Interface: "wwan0", Index: 3, RxBytes: rx, Bits: 64}})
		}
	}
	s := m.Snapshot()
	if len(s) > MaxSnapshotBytes {
		t.Errorf("snapshot of %d bytes, bound %d", len(s), MaxSnapshotBytes)
	}
	t.Logf("largest snapshot: %d bytes", len(s))
	back, err := Restore(s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := m.Usage(at), back.Usage(at); !reflect.DeepEqual(a, b) {
		t.Errorf("usage differs:\n%+v\n%+v", a, b)
	}
	if !reflect.DeepEqual(m.Days(), back.Days()) || !reflect.DeepEqual(m.Hours(), back.Hours()) || !reflect.DeepEqual(m.Cycles(at), back.Cycles(at)) {
		t.Error("history differs")
	}
	m.gen--
	if again := back.Snapshot(); string(again[5:8]) == string(s[5:8]) {
		t.Error("the generation does not rise, the newest cannot be told")
	}
}

func TestDamagedSnapshots(t *testing.T) {
	r := newRig(t, time.Date(2026, 5, 1, 0, 0, 0, 0, beijing))
	r.plan(plan30)
	r.move(kB, time.Minute)
	good := r.m.Snapshot()
	for i := range good {
		if _, err := Restore(good[:i], Options{}); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		if _, err := Restore(bad, Options{}); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("flipped at %d: %v", i, err)
		}
	}
	newer := seal(append([]byte("CWMT\x03"), good[5:len(good)-4]...))
	if _, err := Restore(newer, Options{}); err == nil || !strings.Contains(err.Error(), "version 3, this agent reads 1 to 2") {
		t.Errorf("newer version: %v", err)
	}
	if _, err := RestoreNewest(Options{}, nil, nil); !errors.Is(err, ErrSnapshot) {
		t.Errorf("nothing kept: %v", err)
	}
	if m, err := RestoreNewest(Options{}, good[:9], good); err != nil || m.Usage(r.at).RawBytes != kB {
		t.Errorf("one good of two: %v", err)
	}
}

// What was sent is kept apart through every turn that bytes take: spread over an
// absence, moved when the clock comes right, kept and restored.
func TestBothDirectionsAreKeptApart(t *testing.T) {
	r := newRig(t, time.Date(2026, 4, 30, 20, 0, 0, 0, beijing))
	r.plan(plan30)
	rng := rand.New(rand.NewPCG(8, 9))
	for i := range 60 {
		r.at.Trusted = i%7 > 2
		rx, tx := rng.Uint64N(90*kB), rng.Uint64N(30*kB)
		r.rx, r.tx = r.rx+rx, r.tx+tx
		r.at = r.at.Add(time.Duration(1+rng.IntN(300)) * time.Minute)
		r.look()
	}
	r.at.Trusted = true
	r.look()
	back, err := Restore(r.m.Snapshot(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, bars := range map[string][]Bar{"days": back.Days(), "cycles": back.Cycles(r.at)} {
		var all, tx uint64
		for _, b := range bars {
			all, tx = all+b.Bytes, tx+b.Tx
		}
		if all != r.rx+r.tx || tx != r.tx {
			t.Errorf("%s: %d, sent %d; moved %d, sent %d", name, all, tx, r.rx+r.tx, r.tx)
		}
	}
	cycles := back.Cycles(r.at)
	if u := back.Usage(r.at); len(cycles) != 2 || u.TxBytes != cycles[1].Tx || u.TxBytes == 0 {
		t.Errorf("this cycle sent %d of %+v", u.TxBytes, cycles)
	}
}

// An agent that is updated goes on with what the version before has kept: 40 days
// of 0.5 MB, written by it.
func TestSnapshotOfTheFirstVersion(t *testing.T) {
	old, err := os.ReadFile("testdata/version1.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Restore(old, Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := instant.Instant{Boot: "a", Mono: 960*time.Hour + time.Minute, Wall: time.Date(2026, 6, 9, 16, 0, 0, 0, time.UTC), Trusted: true}
	if u := m.Usage(at); u.RawBytes != 9*MB/2 || u.LifetimeBytes != 20*MB || u.OwnBytes != 100*kB || u.TxBytes != 0 || u.QuotaBytes != 30<<20 {
		t.Errorf("%+v", u)
	}
	if _, err := Restore(m.Snapshot(), Options{}); err != nil {
		t.Errorf("kept anew: %v", err)
	}
}
