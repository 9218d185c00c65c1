package outbox

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"cellwarden/agent/flash"
	"cellwarden/agent/flash/flashtest"
)

var event300 = bytes.Repeat([]byte("0123456789"), 30)

// pageCounter counts what is written, in whole pages, as a file system does.
type pageCounter struct {
	flash.FS
	pages int
}

type pageFile struct {
	flash.File
	c *pageCounter
}

func (c *pageCounter) Open(name string, write bool) (flash.File, error) {
	f, err := c.FS.Open(name, write)
	return pageFile{f, c}, err
}

func (c *pageCounter) Create(name string, mode fs.FileMode) (flash.File, error) {
	f, err := c.FS.Create(name, mode)
	return pageFile{f, c}, err
}

func (f pageFile) WriteAt(b []byte, off int64) (int, error) {
	f.c.pages += pages(int(off), len(b))
	return f.File.WriteAt(b, off)
}

// benchAppend measures a store whose segments exist all: making them, once in its
// life, writes each byte once more.
func benchAppend(b *testing.B, group int) {
	dir := b.TempDir()
	full(b, dir)
	c := &pageCounter{FS: flash.OS{}}
	o, _, err := Open(dir, Options{FS: c})
	if err != nil {
		b.Fatal(err)
	}
	defer o.Close()
	c.pages = 0
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		for range group {
			if _, err := o.Append(Event, at(1), event300); err != nil {
				b.Fatal(err)
			}
			n++
		}
		if err := o.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(c.pages*pageSize)/float64(n), "flashB/record")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
}

// full fills a store until it evicts.
func full(b *testing.B, dir string) {
	o, _, err := Open(dir, Options{FS: lazyFS{flash.OS{}}})
	if err != nil {
		b.Fatal(err)
	}
	for o.Stats().Evicted == 0 {
		for range 128 {
			if _, err := o.Append(Event, at(1), event300); err != nil {
				b.Fatal(err)
			}
		}
		if err := o.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkAppendAlone(b *testing.B)   { benchAppend(b, 1) }
func BenchmarkAppendGroup32(b *testing.B) { benchAppend(b, 32) }

// backlog puts n events of 300 bytes into a store, without waiting for the disk.
func backlog(b testing.TB, n int) string {
	b.Helper()
	dir := b.TempDir()
	o, _, err := Open(dir, Options{CapBytes: int64(n)*400 + 8<<20, FS: lazyFS{flash.OS{}}})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		if _, err := o.Append(Event, at(int64(i)), event300); err != nil {
			b.Fatal(err)
		}
		if i%128 == 127 || i == n-1 {
			if err := o.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if o.Len() != n {
		b.Fatalf("%d in the store, want %d", o.Len(), n)
	}
	if err := o.Close(); err != nil {
		b.Fatal(err)
	}
	return dir
}

// lazyFS does not sync: only to prepare a backlog quickly.
type lazyFS struct{ flash.FS }

type lazyFile struct{ flash.File }

func (lazyFile) Sync() error { return nil }

func (l lazyFS) Open(name string, write bool) (flash.File, error) {
	f, err := l.FS.Open(name, write)
	return lazyFile{f}, err
}

func (l lazyFS) Create(name string, mode fs.FileMode) (flash.File, error) {
	f, err := l.FS.Create(name, mode)
	return lazyFile{f}, err
}

// benchDrain delivers n records with a window of 8 messages of 32 records.
func benchDrain(b *testing.B, n int) {
	for b.Loop() {
		b.StopTimer()
		dir := backlog(b, n)
		o, _, err := Open(dir, Options{CapBytes: int64(n)*400 + 8<<20})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		drainAll(b, o, n)
		b.StopTimer()
		if err := o.Close(); err != nil {
			b.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "records/s")
}

func drainAll(b testing.TB, o *Outbox, n int) {
	b.Helper()
	var window [][]uint64
	last := uint64(0)
	for got := 0; got < n || len(window) > 0; {
		if recs := o.Peek(32, 64<<10); len(recs) > 0 && len(window) < 8 {
			seqs := make([]uint64, len(recs))
			for i, r := range recs {
				if r.Seq <= last {
					b.Fatalf("%d after %d", r.Seq, last)
				}
				last, seqs[i] = r.Seq, r.Seq
			}
			o.Take(seqs...)
			window = append(window, seqs)
			got += len(recs)
			continue
		}
		if len(window) == 0 {
			b.Fatalf("wedged at %d of %d", got, n)
		}
		if err := o.Ack(window[0]...); err != nil {
			b.Fatal(err)
		}
		window = window[1:]
	}
	if o.Len() != 0 {
		b.Fatalf("%d left", o.Len())
	}
}

func BenchmarkDrain10k(b *testing.B) { benchDrain(b, 10_000) }

func BenchmarkDrain1M(b *testing.B) {
	if testing.Short() {
		b.Skip("1M records take 400 MB of disk")
	}
	benchDrain(b, 1_000_000)
}

// BenchmarkOpen100k opens a store with 100,000 waiting, delivers a window from it,
// and says how much memory that holds.
func BenchmarkOpen100k(b *testing.B) {
	const n = 100_000
	dir := backlog(b, n)
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1024
	}
	before, held, rss := heap(), 0.0, rssKB()
	for b.Loop() {
		o, rep, err := Open(dir, Options{CapBytes: n*400 + 8<<20})
		if err != nil || rep.Waiting[Event] != n {
			b.Fatalf("%v, %+v", err, rep)
		}
		for range 8 {
			for _, r := range o.Peek(32, 64<<10) {
				o.Take(r.Seq)
			}
		}
		b.StopTimer()
		held = max(held, heap()-before)
		b.StartTimer()
		if err := o.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(held, "heapKB")
	b.ReportMetric(rssKB()-rss, "rssGrowthKB")
}

// rssKB is the resident memory of this process.
func rssKB() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest + " 0")[0])
	if err != nil {
		return 0
	}
	return float64(kb)
}

func TestFlashPerRecord(t *testing.T) {
	// What the block layer adds is measured in the bench; this is the agent's share.
	for _, c := range []struct{ group, most int }{{1, 4200}, {32, 400}} {
		t.Run(fmt.Sprint("groups of ", c.group), func(t *testing.T) {
			fs := &pageCounter{FS: flashtest.New(1)}
			o := mustOpen(t, "/s", Options{FS: fs, CapBytes: 16 << 20})
			put(t, o, Event, "the segment is there")
			commit(t, o)
			fs.pages = 0
			const n = 640
			for i := range n {
				put(t, o, Event, string(event300))
				if i%c.group == c.group-1 {
					commit(t, o)
				}
			}
			per := fs.pages * pageSize / n
			// Segments made on the way are zero-filled once in their life.
			for _, s := range o.lanes[Event].segs[1:] {
				per -= s.size / n
			}
			if per > c.most {
				t.Fatalf("%d bytes of flash per record, at most %d", per, c.most)
			}
		})
	}
}

func TestABacklogCostsLittleMemory(t *testing.T) {
	const n = 50_000
	dir := backlog(t, n)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	o := mustOpen(t, dir, Options{CapBytes: n*400 + 8<<20})
	for range 32 { // the widest window
		for _, r := range o.Peek(32, 64<<10) {
			o.Take(r.Seq)
		}
	}
	if s := o.Stats(); s.InFlight != maxWindow {
		t.Fatalf("%d in flight", s.InFlight)
	}
	held := heap() - before
	t.Logf("%d KB held with %d waiting and %d in flight", held/1024, n, maxWindow)
	if held > 1<<20 {
		t.Fatalf("%d KB held", held/1024)
	}
	runtime.KeepAlive(o)
}

func TestDrainOfALargeBacklogIsInOrder(t *testing.T) {
	const n = 20_000
	dir := backlog(t, n)
	o := mustOpen(t, dir, Options{CapBytes: n*400 + 8<<20})
	drainAll(t, o, n)
}
