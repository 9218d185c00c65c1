package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cellwarden/agent/flash"
	"cellwarden/agent/flash/flashtest"
)

const testBoot = "c0ffee01"

func at(ms int64) Stamp {
	return Stamp{Boot: testBoot, MonoMS: ms, WallMS: 1_800_000_000_000 + ms, Trusted: true}
}

// small is a store with few, small segments: all edges come soon.
func small(fs flash.FS) Options {
	return Options{FS: fs, CapBytes: stateBytes + 12*4096, SegmentBytes: 4096, Rand: bytes.NewReader([]byte{1, 2, 3, 4})}
}

func mustOpen(t testing.TB, dir string, opt Options) *Outbox {
	t.Helper()
	o, rep, err := Open(dir, opt)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if len(rep.Troubles) > 0 {
		t.Fatalf("open: troubles: %v", rep.Troubles)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func put(t testing.TB, o *Outbox, p Priority, payload string) uint64 {
	t.Helper()
	seq, err := o.Append(p, at(int64(len(payload))), []byte(payload))
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return seq
}

func commit(t testing.TB, o *Outbox) {
	t.Helper()
	if err := o.Commit(); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func payloads(recs []Record) string {
	var out []string
	for _, r := range recs {
		out = append(out, fmt.Sprintf("%d %s %s", r.Seq, r.Priority, r.Payload))
	}
	return strings.Join(out, "\n")
}

func TestStagedIsNotAccepted(t *testing.T) {
	dir := t.TempDir()
	o := mustOpen(t, dir, Options{})
	put(t, o, Event, "sale")
	if got := o.Peek(10, 1<<20); len(got) != 0 || o.Len() != 0 || o.Staged() != 1 {
		t.Fatalf("before commit: peek %v, len %d, staged %d", got, o.Len(), o.Staged())
	}
	commit(t, o)
	if got := payloads(o.Peek(10, 1<<20)); got != "1 event sale" || o.Len() != 1 || o.Staged() != 0 {
		t.Fatalf("after commit: peek %q, len %d, staged %d", got, o.Len(), o.Staged())
	}
}

func TestDeliveryIsByPriorityThenNumberAndSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	o := mustOpen(t, dir, Options{})
	for i, p := range []Priority{Metric, Event, Alert, State, Event, Alert} {
		put(t, o, p, fmt.Sprint("n", i))
	}
	commit(t, o)
	want := "3 alert n2\n6 alert n5\n2 event n1\n5 event n4\n4 state n3\n1 metric n0"
	if got := payloads(o.Peek(10, 1<<20)); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	epoch := o.Epoch()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = mustOpen(t, dir, Options{})
	if got := payloads(o.Peek(10, 1<<20)); got != want || o.Epoch() != epoch || o.Len() != 6 {
		t.Fatalf("after restart: epoch %s (was %s), len %d, got\n%s", o.Epoch(), epoch, o.Len(), got)
	}
	if seq := put(t, o, Metric, "next"); seq != 7 {
		t.Fatalf("next number %d, want 7", seq)
	}
	r := o.Peek(1, 0)[0]
	if r.At != at(2) {
		t.Fatalf("stamp %+v, want %+v", r.At, at(2))
	}
}

func TestWindowTakeReleaseAck(t *testing.T) {
	o := mustOpen(t, t.TempDir(), Options{})
	for i := range 6 {
		put(t, o, Event, fmt.Sprint(i))
	}
	commit(t, o)
	o.Peek(3, 1<<20)
	o.Take(1, 2, 3)
	if got := payloads(o.Peek(2, 1<<20)); got != "4 event 3\n5 event 4" {
		t.Fatalf("behind the window: %q", got)
	}
	if err := o.Ack(2); err != nil {
		t.Fatal(err)
	}
	o.ReleaseAll()
	if got := payloads(o.Peek(2, 1<<20)); got != "1 event 0\n3 event 2" {
		t.Fatalf("sent again after a reconnect: %q", got)
	}
	if got := o.Peek(6, 2); len(got) != 2 {
		t.Fatalf("2 bytes of payload: got %d records", len(got))
	}
	if err := o.Ack(1, 2, 99); err != nil { // twice, and unknown
		t.Fatal(err)
	}
	if o.Len() != 4 {
		t.Fatalf("len %d, want 4", o.Len())
	}
}

func TestAcksOutOfOrderSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	o := mustOpen(t, dir, Options{})
	for i := range 40 {
		put(t, o, []Priority{Event, Alert}[i%2], fmt.Sprint(i))
	}
	commit(t, o)
	o.Peek(40, 1<<20)
	if err := o.Ack(3, 4, 9, 11, 13, 40, 2); err != nil {
		t.Fatal(err)
	}
	want := payloads(o.Peek(40, 1<<20))
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = mustOpen(t, dir, Options{})
	if o.Len() != 33 {
		t.Fatalf("len %d after restart, want 33", o.Len())
	}
	if got := payloads(o.Peek(40, 1<<20)); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNumbersAreNotDrawnAgainAfterAllWasAcked(t *testing.T) {
	dir := t.TempDir()
	for round := range 5 {
		o := mustOpen(t, dir, Options{})
		if seq := put(t, o, Event, "x"); seq != uint64(round+1) {
			t.Fatalf("round %d: number %d", round, seq)
		}
		commit(t, o)
		if err := o.Ack(o.Peek(1, 0)[0].Seq); err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// fill appends n records of a size that makes seven of them a 4 KB segment.
func fill(t testing.TB, o *Outbox, p Priority, n int) {
	t.Helper()
	for i := range n {
		put(t, o, p, strings.Repeat(fmt.Sprint(i%10), 400))
		commit(t, o)
	}
}

func TestEvictionTakesTheLowestPriorityAndTheOldestFirst(t *testing.T) {
	dir := t.TempDir()
	o := mustOpen(t, dir, small(nil))
	fill(t, o, Metric, 40)
	fill(t, o, Event, 30)
	before := o.Stats()
	if before.Evicted == 0 || before.Waiting[Event] != 30 {
		t.Fatalf("before: %+v", before)
	}
	gaps := o.Gaps()
	if len(gaps) != 1 {
		t.Fatalf("gaps %+v, want one", gaps)
	}
	g := gaps[0]
	if g.Priority != Metric || g.Reason != Full || g.FirstSeq != 1 || g.Count != g.LastSeq || g.Count != before.Evicted ||
		int(g.Count) != 40-before.Waiting[Metric] || g.From != at(400) || g.To != at(400) {
		t.Fatalf("gap %+v, stats %+v", g, before)
	}
	fill(t, o, Alert, 100)
	s := o.Stats()
	if s.Waiting[Metric] == 0 || s.Waiting[Event] == 0 || s.Waiting[Alert] < 50 {
		t.Fatalf("after a flood of alerts the newest of each must be there: %v", s.Waiting)
	}
	if s.DiskBytes > s.CapBytes {
		t.Fatalf("%d bytes on disk, cap %d", s.DiskBytes, s.CapBytes)
	}
	fill(t, o, Metric, 30) // the lowest takes only from itself
	after := o.Stats()
	if after.Waiting[Alert] != s.Waiting[Alert] || after.Waiting[Event] != s.Waiting[Event] {
		t.Fatalf("metrics took room from above: %v, then %v", s.Waiting, after.Waiting)
	}
	// The report survives a restart until it is taken over.
	want := o.Gaps()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = mustOpen(t, dir, small(nil))
	if got := o.Gaps(); !slices.Equal(got, want) {
		t.Fatalf("gaps after restart %+v, want %+v", got, want)
	}
	fill(t, o, Metric, 10)
	if err := o.AckGaps(want...); err != nil {
		t.Fatal(err)
	}
	left := o.Gaps()
	if len(left) != 1 || left[0].Priority != Metric || left[0].FirstSeq <= want[0].LastSeq {
		t.Fatalf("what was lost since must stay reported: %+v", left)
	}
}

func TestEverythingInTheStoreIsAccountedFor(t *testing.T) {
	o := mustOpen(t, t.TempDir(), small(nil))
	fill(t, o, State, 25)
	fill(t, o, Metric, 25)
	fill(t, o, Alert, 60)
	got := map[Priority]int{}
	var last [priorities]uint64
	for {
		recs := o.Peek(7, 1<<20)
		if len(recs) == 0 {
			break
		}
		for _, r := range recs {
			if r.Seq <= last[r.Priority] {
				t.Fatalf("%s %d after %d", r.Priority, r.Seq, last[r.Priority])
			}
			last[r.Priority] = r.Seq
			got[r.Priority]++
			if err := o.Ack(r.Seq); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, g := range o.Gaps() {
		got[g.Priority] += int(g.Count)
	}
	if got[State] != 25 || got[Metric] != 25 || got[Alert] != 60 || o.Len() != 0 {
		t.Fatalf("delivered and reported as dropped: %v, len %d", got, o.Len())
	}
}

func TestStagingIsBoundedAndAlertsStillFit(t *testing.T) {
	o := mustOpen(t, t.TempDir(), Options{MaxStaged: 4})
	for range 4 {
		put(t, o, Metric, "m")
	}
	if _, err := o.Append(Event, at(1), []byte("e")); !errors.Is(err, ErrStaged) {
		t.Fatalf("fifth: %v", err)
	}
	if seq := put(t, o, Alert, "a"); seq != 5 {
		t.Fatalf("a refused record must not use a number: alert has %d", seq)
	}
	commit(t, o)
	if o.Len() != 5 {
		t.Fatalf("len %d", o.Len())
	}
}

func TestAppendRefuses(t *testing.T) {
	o := mustOpen(t, t.TempDir(), Options{})
	for _, c := range []struct {
		name string
		p    Priority
		at   Stamp
		n    int
		want string
	}{
		{"an unknown priority", 4, at(1), 1, "outbox: no such priority: 4"},
		{"a long payload", Event, at(1), maxPayload + 1, "outbox: payload too long: 32769 bytes, at most 32768"},
		{"a long boot id", Event, Stamp{Boot: "c0ffee01-2345"}, 1, "outbox: boot id must be 8 hex digits or empty"},
	} {
		if _, err := o.Append(c.p, c.at, make([]byte, c.n)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if seq := put(t, o, Event, ""); seq != 1 {
		t.Fatalf("first number %d", seq)
	}
	commit(t, o)
	if r := o.Peek(1, 0); len(r) != 1 || len(r[0].Payload) != 0 {
		t.Fatalf("an empty payload: %v", r)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Append(Event, at(1), nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("after close: %v", err)
	}
	if err := o.Commit(); !errors.Is(err, ErrClosed) {
		t.Fatalf("after close: %v", err)
	}
}

func TestDue(t *testing.T) {
	o := mustOpen(t, t.TempDir(), Options{})
	due := func(now int64, want bool, why string) {
		t.Helper()
		if got := o.Due(now); got != want {
			t.Errorf("%s: due %v", why, got)
		}
	}
	due(1<<40, false, "nothing staged")
	put(t, o, Metric, "12345") // at 5 ms
	due(5+CommitEveryMS-1, false, "younger than CommitEveryMS")
	due(5+CommitEveryMS, true, "as old as CommitEveryMS")
	due(4, true, "a clock that went back")
	put(t, o, Alert, "a")
	due(6, true, "an alert")
	commit(t, o)
	due(1<<40, false, "all committed")
	for i := range CommitRecords {
		due(6, false, fmt.Sprint(i, " staged"))
		put(t, o, Event, "e")
	}
	due(6, true, "CommitRecords")
}

func TestCorrect(t *testing.T) {
	early := Stamp{Boot: testBoot, MonoMS: 5000, WallMS: 7000} // 1970
	for _, c := range []struct {
		name string
		at   Stamp
		boot string
		want Stamp
		yes  bool
	}{
		{"recorded in 1970", early, testBoot, Stamp{Boot: testBoot, MonoMS: 5000, WallMS: 1_700_000_005_000, Trusted: true}, true},
		{"another boot", early, "00000002", early, false},
		{"trusted already", at(5), testBoot, at(5), false},
		{"no boot known", Stamp{MonoMS: 1}, "", Stamp{MonoMS: 1}, false},
	} {
		if got, yes := Correct(c.at, c.boot, 1_700_000_000_000); got != c.want || yes != c.yes {
			t.Errorf("%s: %+v %v", c.name, got, yes)
		}
	}
}

func TestBootTimesSurviveRestart(t *testing.T) {
	dir := t.TempDir()
	o := mustOpen(t, dir, Options{})
	early := Stamp{Boot: testBoot, MonoMS: 5000, WallMS: 7000}
	if _, yes := o.Corrected(early); yes {
		t.Fatal("corrected with nothing known")
	}
	if err := o.SetBootWall(testBoot, 1_700_000_000_000); err != nil {
		t.Fatal(err)
	}
	writes := o.st.write
	if err := o.SetBootWall(testBoot, 1_700_000_000_400); err != nil || o.st.write != writes {
		t.Fatalf("a small drift was written: %v", err)
	}
	if err := o.SetBootWall("nonsense", 1); err == nil {
		t.Fatal("no error for a bad boot id")
	}
	for i := range maxClocks - 1 {
		if err := o.SetBootWall(fmt.Sprintf("%08x", i+1), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o = mustOpen(t, dir, Options{})
	got, yes := o.Corrected(early)
	if !yes || got.WallMS != 1_700_000_005_000 || !got.Trusted {
		t.Fatalf("after restart: %+v %v", got, yes)
	}
	if err := o.SetBootWall("0000ffff", 1); err != nil {
		t.Fatal(err)
	}
	if _, yes := o.Corrected(early); yes || len(o.st.clocks) != maxClocks {
		t.Fatalf("the oldest of nine boots is still known; %d kept", len(o.st.clocks))
	}
}

func TestSecondProcessIsRefusedWithTheCure(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{})
	_, _, err := Open(dir, Options{})
	if !errors.Is(err, flash.ErrLocked) || !strings.Contains(err.Error(), "stop the other process") {
		t.Fatalf("second open: %v", err)
	}
	_, _, err = Open(dir, Options{CapBytes: 20000})
	if err == nil || !strings.Contains(err.Error(), "at least 40960") {
		t.Fatalf("cap of 20000: %v", err)
	}
}

func TestLowerCapDropsTheLowestFirst(t *testing.T) {
	dir := t.TempDir()
	o := mustOpen(t, dir, small(nil))
	fill(t, o, Alert, 10)
	fill(t, o, Metric, 60)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	opt := small(nil)
	opt.CapBytes = stateBytes + minSegments*4096
	o = mustOpen(t, dir, opt)
	s := o.Stats()
	if s.DiskBytes > opt.CapBytes || s.Waiting[Alert] != 10 || s.Waiting[Metric] == 0 {
		t.Fatalf("after lowering: %+v", s)
	}
	fill(t, o, Event, 3)
	if n := o.Stats().Waiting[Event]; n != 3 {
		t.Fatalf("%d events", n)
	}
}

func TestSegmentSizeMayChange(t *testing.T) {
	dir := t.TempDir()
	o := mustOpen(t, dir, small(nil))
	fill(t, o, Event, 20)
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	opt := small(nil)
	opt.SegmentBytes, opt.CapBytes = 8192, stateBytes+16*8192
	o = mustOpen(t, dir, opt)
	fill(t, o, Event, 20)
	recs := o.Peek(100, 1<<20)
	if len(recs) != 40 || recs[39].Seq != 40 {
		t.Fatalf("%d records", len(recs))
	}
	for _, r := range recs {
		if err := o.Ack(r.Seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.SyncAcks(); err != nil {
		t.Fatal(err)
	}
	names, err := flash.OS{}.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasPrefix(n, "seg-") {
			continue
		}
		f, err := flash.OS{}.Open(dir+"/"+n, false)
		if err != nil {
			t.Fatal(err)
		}
		if size, err := f.Size(); err != nil || size != 8192 {
			t.Errorf("%s still has %d bytes: %v", n, size, err)
		}
		_ = f.Close()
	}
}

// What a kill makes the backend hear twice is what came since the last 16 acks; a power
// cut may repeat 255. The flash sees no more syncs for the difference.
func TestRepeatsAfterAKillAndAfterACut(t *testing.T) {
	for _, c := range []struct {
		name  string
		power bool
		most  int
	}{{"kill -9", false, jotEvery - 1}, {"power cut", true, ackEvery - 1}} {
		fs := flashtest.New(1)
		syncs := 0
		fs.Fail = func(op, _ string) error {
			if op == "sync" {
				syncs++
			}
			return nil
		}
		opt := Options{FS: fs, Rand: bytes.NewReader([]byte{1, 2, 3, 4})}
		o := mustOpen(t, "/s", opt)
		const n, acked = 240, 207
		for i := range n {
			put(t, o, Event, fmt.Sprint("event ", i))
		}
		if err := o.Commit(); err != nil {
			t.Fatal(err)
		}
		before := syncs
		for _, r := range o.Peek(n, 1<<20)[:acked] {
			if err := o.Ack(r.Seq); err != nil {
				t.Fatal(err)
			}
		}
		if syncs != before {
			t.Errorf("%s: %d syncs for %d acks", c.name, syncs-before, acked)
		}
		fs.Restart(c.power)
		again := mustOpen(t, "/s", opt)
		if repeats := again.Len() - (n - acked); repeats < 0 || repeats > c.most {
			t.Errorf("%s: %d of %d delivered ones are delivered again, want at most %d", c.name, repeats, acked, c.most)
		}
	}
}
