package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"cellwarden/agent/flash/flashtest"
)

// stored is a store in memory with n accepted records of all priorities in several
// segments, and what they were.
func stored(t testing.TB, n int) (*flashtest.FS, map[uint64]Record) {
	t.Helper()
	fs := flashtest.New(1)
	o := mustOpen(t, "/s", small(fs))
	for i := range n {
		put(t, o, Priority(i%3%2+2), strings.Repeat(fmt.Sprint(i, "."), 1+i%40))
		if i%4 != 1 {
			commit(t, o)
		}
	}
	commit(t, o)
	all := map[uint64]Record{}
	for _, r := range o.Peek(1<<20, 1<<30) {
		all[r.Seq] = r
	}
	if len(all) != n {
		t.Fatalf("%d records, want %d", len(all), n)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	return fs, all
}

// survey opens a damaged store and checks what always holds: what comes out is what
// went in, in order; what does not is covered by a gap; no number is drawn again;
// and new records are accepted. It returns how many records are lost.
func survey(t testing.TB, fs *flashtest.FS, all map[uint64]Record, name string) (lost int, rep Report) {
	t.Helper()
	o, rep, err := Open("/s", small(fs))
	if err != nil {
		t.Fatalf("%s: open: %v", name, err)
	}
	recs := o.Peek(1<<20, 1<<30)
	gaps := o.Gaps()
	var last [priorities]uint64
	here := map[uint64]bool{}
	for _, r := range recs {
		want, ok := all[r.Seq]
		if !ok || !bytes.Equal(r.Payload, want.Payload) || r.Priority != want.Priority || r.At != want.At {
			t.Fatalf("%s: %d came out as %.30q, went in as %.30q", name, r.Seq, r.Payload, want.Payload)
		}
		if r.Seq <= last[r.Priority] {
			t.Fatalf("%s: %d after %d", name, r.Seq, last[r.Priority])
		}
		last[r.Priority] = r.Seq
		here[r.Seq] = true
	}
	if o.Len() != len(recs) {
		t.Fatalf("%s: Len %d, delivered %d", name, o.Len(), len(recs))
	}
	largest := uint64(0)
	for seq, r := range all {
		largest = max(largest, seq)
		if here[seq] {
			continue
		}
		lost++
		if !slices.ContainsFunc(gaps, func(g Gap) bool {
			return g.Priority == r.Priority && g.FirstSeq <= seq && seq <= g.LastSeq && g.Reason != Full
		}) {
			t.Fatalf("%s: %s %d is lost and not reported: %+v", name, r.Priority, seq, gaps)
		}
	}
	reported := 0
	for _, g := range gaps {
		reported += int(g.Count)
	}
	if reported != lost {
		t.Fatalf("%s: %d lost, %d reported: %+v", name, lost, reported, gaps)
	}
	if seq := put(t, o, Alert, "new"); seq <= largest {
		t.Fatalf("%s: number %d drawn again, largest was %d", name, seq, largest)
	}
	commit(t, o)
	if err := o.Close(); err != nil {
		t.Fatalf("%s: close: %v", name, err)
	}
	// A second start finds the same, and reports nothing twice.
	if o, _, err = Open("/s", small(fs)); err != nil {
		t.Fatalf("%s: second open: %v", name, err)
	}
	if n := o.Len(); n != len(recs)+1 {
		t.Fatalf("%s: %d records at the second start, %d at the first and one new", name, n, len(recs))
	}
	o.Peek(1<<20, 1<<30)
	if again := o.Gaps(); !slices.Equal(again, gaps) {
		t.Fatalf("%s: gaps %+v at the second start, %+v at the first", name, again, gaps)
	}
	if err := o.Close(); err != nil {
		t.Fatalf("%s: close: %v", name, err)
	}
	return lost, rep
}

// segments are the segment files, for damage.
func segments(fs *flashtest.FS) []*flashtest.Inode {
	var out []*flashtest.Inode
	for _, n := range slices.Sorted(maps.Keys(fs.Names)) {
		if strings.HasPrefix(filepath.Base(n), "seg-") {
			out = append(out, fs.Names[n])
		}
	}
	return out
}

func TestAFlippedBitCostsOneRecordAtMost(t *testing.T) {
	fs, all := stored(t, 24)
	lostOnes := 0
	for n, seg := range segments(fs) {
		if isZero(seg.Data) {
			continue
		}
		for off := range segments(fs)[n].Data {
			damaged := fs.Copy()
			segments(damaged)[n].Data[off] ^= 1 << (off % 8)
			lost, rep := survey(t, damaged, all, fmt.Sprintf("segment %d, byte %d", n, off))
			if lost > 1 || off < sectorSize && lost > 0 || rep.Quarantined > 0 {
				t.Fatalf("segment %d, byte %d: %d records lost, report %+v", n, off, lost, rep)
			}
			lostOnes += lost
		}
	}
	if lostOnes < 500 {
		t.Fatalf("only %d flips hit a record", lostOnes)
	}
}

func TestAFlippedBitInTheStateOnlyDeliversAgain(t *testing.T) {
	fs, all := stored(t, 20)
	for off := range fs.Names["/s/state"].Data {
		damaged := fs.Copy()
		damaged.Names["/s/state"].Data[off] ^= 1 << (off % 8)
		if lost, _ := survey(t, damaged, all, fmt.Sprint("byte ", off)); lost > 0 {
			t.Fatalf("byte %d: %d lost", off, lost)
		}
	}
	damaged := fs.Copy()
	clear(damaged.Names["/s/state"].Data)
	if lost, rep := survey(t, damaged, all, "all of it"); lost > 0 || !rep.StateLost || rep.Created {
		t.Fatalf("state lost: %d records lost, %+v", lost, rep)
	}
	delete(damaged.Names, "/s/state")
	all[21+numberJump] = Record{Seq: 21 + numberJump, Priority: Alert, At: at(3), Payload: []byte("new")}
	if lost, rep := survey(t, damaged, all, "the file"); lost > 0 || !rep.StateLost {
		t.Fatalf("state removed: %d records lost, %+v", lost, rep)
	}
}

func TestAZeroedOrGarbledSector(t *testing.T) {
	fs, all := stored(t, 40)
	for n := range segments(fs) {
		for s := range len(segments(fs)[n].Data) / sectorSize {
			for _, how := range []string{"zero", "ones"} {
				damaged := fs.Copy()
				sector := segments(damaged)[n].Data[s*sectorSize : (s+1)*sectorSize]
				clear(sector)
				if how == "ones" {
					for i := range sector {
						sector[i] = 0xff
					}
				}
				name := fmt.Sprintf("segment %d, sector %d: %s", n, s, how)
				o, _, err := Open("/s", small(damaged))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				// All but those that touch the sector must come out: with 10 bytes and
				// more at least, a sector is at most nine records.
				recs := o.Peek(1<<20, 1<<30)
				if len(recs) < len(all)-9 || s == 0 && len(recs) != len(all) {
					t.Fatalf("%s: %d of %d left", name, len(recs), len(all))
				}
				for _, r := range recs {
					if !bytes.Equal(r.Payload, all[r.Seq].Payload) {
						t.Fatalf("%s: %d is not what it was", name, r.Seq)
					}
				}
			}
		}
	}
}

func TestTruncationAtEveryByte(t *testing.T) {
	fs, all := stored(t, 12)
	for n, seg := range segments(fs) {
		if isZero(seg.Data) {
			continue
		}
		for size := range seg.Data {
			damaged := fs.Copy()
			segments(damaged)[n].Data = segments(damaged)[n].Data[:size]
			o, rep, err := Open("/s", small(damaged))
			if err != nil || len(rep.Troubles) > 0 {
				t.Fatalf("segment %d cut to %d: %v %v", n, size, err, rep.Troubles)
			}
			recs := o.Peek(1<<20, 1<<30)
			for _, r := range recs {
				if !bytes.Equal(r.Payload, all[r.Seq].Payload) {
					t.Fatalf("segment %d cut to %d: %d is not what it was", n, size, r.Seq)
				}
			}
			for seq := put(t, o, Event, "on"); ; {
				commit(t, o)
				if got := o.Peek(1<<20, 1<<30); len(got) != len(recs)+1 || !slices.ContainsFunc(got, func(r Record) bool { return r.Seq == seq }) {
					t.Fatalf("segment %d cut to %d: does not go on", n, size)
				}
				break
			}
			if err := o.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for size := range stateBytes {
		if size%64 != 0 && size%slotSize > 8 { // a slot counts as a whole
			continue
		}
		damaged := fs.Copy()
		damaged.Names["/s/state"].Data = damaged.Names["/s/state"].Data[:size]
		if lost, _ := survey(t, damaged, all, fmt.Sprint("state cut to ", size)); lost > 0 {
			t.Fatalf("state cut to %d: %d lost", size, lost)
		}
	}
}

func TestForeignFilesAreSetAsideAndTheRestGoesOn(t *testing.T) {
	fs, all := stored(t, 20)
	add := func(name string, data []byte) {
		fs.Put("/s/"+name, data)
	}
	other := segHeader{prio: Event, epoch: 77, gen: 900, size: 4096}
	add("seg-0900", append(other.encode(), make([]byte, 4096-sectorSize)...))
	later := make([]byte, 4096)
	copy(later, segMagic)
	later[4] = segVersion + 1
	le.PutUint32(later[88:], crc(later[:88]))
	add("seg-0901", later)
	add("seg-0902", make([]byte, maxSegment+1))
	add("seg-0903", bytes.Repeat([]byte("not ours"), 512))
	add("notes.txt", []byte("keep"))
	lost, rep := survey(t, fs, all, "foreign files")
	if lost > 0 || rep.Quarantined != 3 {
		t.Fatalf("%d lost, report %+v", lost, rep)
	}
	if fs.Names["/s/notes.txt"] == nil {
		t.Fatal("a file that is not ours is gone")
	}
	kept := 0
	for n := range fs.Names {
		if strings.HasPrefix(n, "/s/bad-") {
			kept++
		}
	}
	if kept != maxBad {
		t.Fatalf("%d quarantined files kept, want %d", kept, maxBad)
	}
}

func TestFullDiskRefusesClearlyDrainsAndGoesOn(t *testing.T) {
	fs := flashtest.New(1)
	o := mustOpen(t, "/s", small(fs))
	fill(t, o, Metric, 12)
	fs.Room = fs.Size()
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		put(t, o, Event, strings.Repeat("e", 400))
		err = o.Commit()
	}
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "write event records to /s") {
		t.Fatalf("after %d: %v", n, err)
	}
	if o.Stats().LastError == "" {
		t.Fatal("Stats does not tell")
	}
	accepted := o.Stats().Waiting
	for i := range 3 { // again and again: nothing half
		if err := o.Commit(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	for range 10 { // alerts have their reserve, made with the store
		put(t, o, Alert, "door forced")
		if err := o.Commit(); err == nil {
			t.Fatal("the event was accepted on a full disk")
		}
	}
	if got := o.Stats().Waiting; got[Alert] != 10 || got[Event] != accepted[Event] {
		t.Fatalf("waiting %v, alerts want 10; before %v", got, accepted)
	}
	// Draining works, and what it frees is used again without any room.
	for _, r := range o.Peek(1<<20, 1<<30) {
		if err := o.Ack(r.Seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.SyncAcks(); err != nil {
		t.Fatal(err)
	}
	fs.Room = 0
	commit(t, o)
	if o.Staged() != 0 || o.Stats().LastError != "" {
		t.Fatalf("with room again: %+v", o.Stats())
	}
}

func TestAPreallocatedStoreNeedsNoMoreRoom(t *testing.T) {
	fs := flashtest.New(1)
	opt := small(fs)
	opt.Prealloc = true
	o := mustOpen(t, "/s", opt)
	if fs.Size() != opt.CapBytes {
		t.Fatalf("%d bytes made, cap %d", fs.Size(), opt.CapBytes)
	}
	fs.Room = fs.Size()
	fill(t, o, Metric, 100) // commits must all work
	fill(t, o, Alert, 100)
	if s := o.Stats(); s.Evicted == 0 || s.Waiting[Alert] < 50 {
		t.Fatalf("%+v", s)
	}
}

// A disk that is smaller than the cap: the store takes what is there, keeps to
// it, and leaves room for others.
func TestPreallocatingOnASmallDisk(t *testing.T) {
	fs := flashtest.New(1)
	opt := small(fs)
	opt.Prealloc = true
	fs.Room = opt.CapBytes / 2
	o, rep, err := Open("/s", opt)
	if err != nil || len(rep.Troubles) != 1 || !errors.Is(rep.Troubles[0], syscall.ENOSPC) {
		t.Fatalf("open: %v, report %+v", err, rep)
	}
	left := fs.Room - fs.Size()
	if want := int64(fullDiskLeaves * o.segSize); left < want {
		t.Fatalf("%d bytes left for others, want %d", left, want)
	}
	fs.Room = fs.Size() // the others take it
	put(t, o, Event, "sale")
	put(t, o, Alert, "jam")
	commit(t, o)
	if s := o.Stats(); s.Waiting[Alert] != 1 || s.Waiting[Event] != 1 || s.LastError != "" {
		t.Fatalf("%+v", s)
	}
}

func TestEmptyDirectoryOnAFullDisk(t *testing.T) {
	fs := flashtest.New(1)
	fs.Room = 100
	o, rep, err := Open("/s", small(fs))
	if err != nil || len(rep.Troubles) == 0 || !errors.Is(rep.Troubles[0], syscall.ENOSPC) {
		t.Fatalf("open: %v, report %+v", err, rep)
	}
	put(t, o, Event, "sale")
	if err := o.Commit(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("commit: %v", err)
	}
	if fs.Size() > 100 {
		t.Fatalf("%d bytes left on a disk of 100", fs.Size())
	}
	fs.Room = 0
	commit(t, o)
	if got := payloads(o.Peek(1, 0)); got != "1 event sale" {
		t.Fatalf("with room: %q", got)
	}
}

func TestReadOnlyRemount(t *testing.T) {
	fs, all := stored(t, 20)
	o := mustOpen(t, "/s", small(fs))
	fs.ReadOnly = true
	put(t, o, Event, "late")
	if err := o.Commit(); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("commit: %v", err)
	}
	recs := o.Peek(1<<20, 1<<30)
	if len(recs) != len(all) {
		t.Fatalf("%d delivered", len(recs))
	}
	for _, r := range recs[:10] {
		if err := o.Ack(r.Seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.SyncAcks(); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("sync acks: %v", err)
	}
	// A restart on the read-only disk delivers, and cannot accept.
	fs.Restart(false)
	o, rep, err := Open("/s", small(fs))
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if got := len(o.Peek(1<<20, 1<<30)); got != len(all) {
		t.Fatalf("%d delivered after restart, report %+v", got, rep)
	}
	put(t, o, Event, "later")
	if err := o.Commit(); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("commit: %v", err)
	}
	fs.ReadOnly = false
	commit(t, o)
	if o.Len() != len(all)+1 {
		t.Fatalf("len %d", o.Len())
	}
}

func TestAFailedSyncIsWrittenAgain(t *testing.T) {
	// After a failed fdatasync Linux calls the pages clean: a second fdatasync
	// alone would report success for data that is not there.
	fs := flashtest.New(1)
	o := mustOpen(t, "/s", small(fs))
	fill(t, o, Event, 1)
	writes, failing := 0, true
	fs.Fail = func(op, name string) error {
		if op == "write" {
			writes++
		}
		if op == "sync" && failing {
			return syscall.EIO
		}
		return nil
	}
	put(t, o, Event, "x")
	if err := o.Commit(); !errors.Is(err, syscall.EIO) || o.Staged() != 1 || o.Len() != 1 {
		t.Fatalf("commit: %v, staged %d, len %d", err, o.Staged(), o.Len())
	}
	before := writes
	failing = false
	commit(t, o)
	if writes != before+1 {
		t.Fatalf("%d writes in the second try", writes-before)
	}
	if got := payloads(o.Peek(2, 1<<20)[1:]); got != "2 event x" {
		t.Fatalf("got %q", got)
	}
}

func TestASegmentThatCannotBeWrittenIsLeft(t *testing.T) {
	fs := flashtest.New(1)
	o := mustOpen(t, "/s", small(fs))
	fill(t, o, Event, 2)
	bad := "/s/" + segName(o.lanes[Event].active().id)
	fs.Fail = func(op, name string) error {
		if op == "write" && name == bad {
			return syscall.EIO
		}
		return nil
	}
	put(t, o, Event, "x")
	tries := 0
	for ; o.Commit() != nil; tries++ {
		if tries > 10 {
			t.Fatal("wedged on one bad segment")
		}
	}
	if tries != writeTries {
		t.Fatalf("left after %d tries", tries)
	}
	fs.Fail = nil
	fs.Restart(true)
	o = mustOpen(t, "/s", small(fs))
	if recs := o.Peek(9, 1<<20); len(recs) != 3 || string(recs[2].Payload) != "x" || len(o.Gaps()) != 0 {
		t.Fatalf("after restart: %s, gaps %+v", payloads(recs), o.Gaps())
	}
}

func TestAReadErrorThatPassesLosesNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		errors  int
		want    int
		damaged bool
	}{
		{"passes", readTries - 1, 3, false},
		{"stays", 1 << 30, 1, true},
	} {
		fs := flashtest.New(1)
		o := mustOpen(t, "/s", small(fs))
		fill(t, o, Event, 2)
		fill(t, o, Alert, 1)
		bad, left := "/s/"+segName(o.lanes[Event].active().id), c.errors
		fs.Fail = func(op, name string) error {
			if op == "read" && name == bad && left > 0 {
				left--
				return syscall.EIO
			}
			return nil
		}
		for range readTries - 1 {
			if got := len(o.Peek(9, 1<<20)); got != 1 {
				t.Fatalf("%s: the alert must pass the bad place: %d delivered", c.name, got)
			}
		}
		got := o.Peek(9, 1<<20)
		gaps := o.Gaps()
		if len(got) != c.want || (len(gaps) == 1 && gaps[0].Reason == Damaged && gaps[0].Count == 2) != c.damaged {
			t.Fatalf("%s: %d delivered, gaps %+v", c.name, len(got), gaps)
		}
		if o.Len() != c.want {
			t.Fatalf("%s: len %d", c.name, o.Len())
		}
	}
}

func TestClocksThatJumpChangeNothingInTheOrder(t *testing.T) {
	o := mustOpen(t, t.TempDir(), Options{})
	stamps := []Stamp{
		{Boot: "00000002", MonoMS: 1 << 50, WallMS: 1 << 50},
		{Boot: "00000001", MonoMS: -5, WallMS: -1 << 60, Trusted: true},
		{},
		{Boot: "00000002", MonoMS: 7, WallMS: 1},
	}
	for _, s := range stamps {
		if _, err := o.Append(Event, s, nil); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, o)
	var got []Stamp
	for i, r := range o.Peek(9, 0) {
		if r.Seq != uint64(i+1) {
			t.Fatalf("record %d has number %d", i, r.Seq)
		}
		got = append(got, r.At)
	}
	if !slices.Equal(got, stamps) {
		t.Fatalf("%+v, want %+v", got, stamps)
	}
}
