package metertest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent"
	"cellwarden/agent/board"
	"cellwarden/agent/board/boardtest"
	"cellwarden/agent/config"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/flash"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
	"cellwarden/agent/meter"
)

// handClock is the board's clocks, moved by hand: the machine that runs the tests
// keeps its own. Trust is the real one's, board.TimeTrust.
type handClock struct {
	mu    sync.Mutex
	mono  time.Duration
	wall  time.Time // what the system clock shows at mono
	ntp   bool      // a time daemon holds it; a step by hand ends that
	trust board.TimeTrust
	wake  []waiter
}

type waiter struct {
	at time.Duration
	c  chan time.Time
}

func (c *handClock) now() instant.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, by := c.trust.Judge(c.wall, c.mono, c.ntp)
	return instant.Instant{Boot: "boot", Mono: c.mono, Wall: wall, Trusted: by != board.TimeNone}
}

func (c *handClock) timer(mono time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := waiter{mono, make(chan time.Time, 1)}
	c.wake = append(c.wake, w)
	c.fire()
	return w.c, func() {}
}

func (c *handClock) fire() {
	left := c.wake[:0]
	for _, w := range c.wake {
		if w.at <= c.mono {
			w.c <- c.wall
		} else {
			left = append(left, w)
		}
	}
	c.wake = left
}

func (c *handClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mono, c.wall = c.mono+d, c.wall.Add(d)
	c.fire()
}

// set is what "date -s" does, or a time daemon that has found the time.
func (c *handClock) set(wall time.Time, ntp bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.ntp = wall, ntp
}

// inside is the whole agent in this process, with real counters of a namespace, a
// real store and the hand clock. It looks every ten minutes of that clock.
type inside struct {
	t      *testing.T
	p      *boardtest.Pair
	clock  *handClock
	client *localapi.Client
	run    string
	state  string
	seen   uint64 // what the kernel had counted at the last look
}

const inPoll = 10 * time.Minute

func newInside(t *testing.T, wall time.Time, state string) *inside {
	t.Helper()
	p := boardtest.NewPair(t, link)
	run, err := os.MkdirTemp("/dev/shm", "cellwarden-metertest-")
	if err != nil {
		t.Skipf("SKIPPED, NOT PROVED: no tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	in := &inside{t: t, p: p, run: run, state: state, clock: &handClock{mono: time.Minute, wall: wall, ntp: true},
		client: localapi.NewClient(filepath.Join(run, "api.sock"))}
	cfg, err := config.Parse("test", fmt.Appendf(nil, `
[device]
id = "vm-meter"
[modem]
port = "none"
[data]
interfaces = ["wwan*"]
poll = "10m"
[plan]
quota_bytes = 30000000
cycle_day = 1
utc_offset = "+08:00"
[probes]
daily_budget_bytes = 0
ntp = []
[store]
dir = %q
[api]
socket = %q
http = ""
`, state, filepath.Join(run, "api.sock")))
	if err != nil {
		t.Fatal(err)
	}
	var links *board.Links
	p.Device.Run(func() { links, err = board.OpenLinks("") })
	if err != nil {
		t.Fatal(err)
	}
	sel := board.Selection{Patterns: []string{"wwan*"}}
	hw := device.Hardware{Now: in.clock.now, Timer: in.clock.timer, Links: func() ([]meter.Reading, diag.Interface, error) {
		r, err := links.Read(in.clock.now(), sel)
		return r, diag.Interface{Name: link, Present: true, Up: true, Addr: p.DeviceAddr}, err
	}}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- agent.Run(ctx, agent.Options{Config: cfg, Version: "test", Hardware: hw, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Ready: func() { close(ready) }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = links.Close()
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	in.look() // the first
	in.seen = kernel(t, p)
	return in
}

// look lets ten minutes pass, and waits until the agent has looked.
func (in *inside) look() {
	in.t.Helper()
	file := filepath.Join(in.run, "meter.state")
	before, _ := os.Stat(file) // none before the first
	in.clock.pass(inPoll)
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		// A new file each time; stamps alone are too coarse.
		if now, err := os.Stat(file); err == nil && (before == nil || !os.SameFile(before, now)) {
			return
		}
		if time.Since(began) > patient {
			in.t.Fatal("the agent does not look")
		}
		<-tick.C
	}
}

// moves makes real traffic, and returns what the interface counted for it once the
// line is at rest and looked at.
func (in *inside) moves(up, down int64) (n uint64) {
	in.t.Helper()
	in.p.Exchange(up, down)
	return in.rest()
}

// rest looks until nothing moves and returns what the kernel counted since the
// last time: the end of a connection may straggle in after its data.
func (in *inside) rest() (n uint64) {
	in.t.Helper()
	for {
		now := kernel(in.t, in.p)
		in.look()
		if kernel(in.t, in.p) == now {
			n, in.seen = now-in.seen, now
			return n
		}
	}
}

// The wall clock goes back two hours, forward two days, to 1970 and back to the
// right time, over the turn of the month; the sum is exact, and once the clock is
// right each byte is in its month.
func TestClockJumps(t *testing.T) {
	beijing := time.FixedZone("UTC+08:00", 8*3600)
	start := time.Date(2026, 4, 30, 20, 0, 0, 0, beijing)
	turn := time.Date(2026, 5, 1, 0, 0, 0, 0, beijing)
	in := newInside(t, start, t.TempDir())
	real := func() time.Time { return start.Add(in.clock.now().Mono - time.Minute) }
	truth := map[bool]uint64{} // after the turn: bytes
	steps := map[int]func(){
		6:  func() { in.clock.set(real().Add(-2*time.Hour), false) },
		14: func() { in.clock.set(real().Add(48*time.Hour), false) },
		22: func() { in.clock.set(time.Unix(3600, 0), false) },
		40: func() { in.clock.set(real(), true) },
		44: func() { in.clock.set(real().Add(-2*time.Hour), true) }, // the time daemon itself errs
		48: func() { in.clock.set(real(), true) },
	}
	for i := range 54 {
		if step := steps[i]; step != nil {
			step()
		}
		if d := turn.Sub(real()); d > -3*inPoll && d < 3*inPoll {
			truth[real().After(turn)] += in.rest() // no traffic of ours: to which side of midnight a look belongs is not the question
			continue
		}
		n := in.moves(500, 20_000)
		truth[real().After(turn)] += n
	}
	in.look()
	h, err := in.client.History(t.Context(), "cycle", 9)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Rows) != 2 || h.Rows[0].From != "2026-04-01" || h.Rows[1].From != "2026-05-01" {
		t.Fatalf("cycles %+v", h.Rows)
	}
	april, may := h.Rows[0].TotalBytes, h.Rows[1].TotalBytes
	t.Logf("FIGURE clock back 2 h, forward 2 days, to 1970 and back: moved %d bytes, %d off; in a wrong month %d",
		truth[false]+truth[true], int64(april+may)-int64(truth[false]+truth[true]), int64(april)-int64(truth[false]))
	if april != truth[false] || may != truth[true] || april < 15*20_000 || may < 15*20_000 {
		t.Errorf("April %d, truth %d; May %d, truth %d", april, truth[false], may, truth[true])
	}
	days, err := in.client.History(t.Context(), "day", 9)
	if err != nil || len(days.Rows) != 2 {
		t.Errorf("days %+v, %v", days.Rows, err)
	}
}

// onFlash is what a power cut would leave counted.
func (in *inside) onFlash() uint64 {
	in.t.Helper()
	data, err := os.ReadFile(filepath.Join(in.state, "meter.state"))
	if err != nil {
		in.t.Fatal(err)
	}
	copied := filepath.Join(in.run, "copy.state")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		in.t.Fatal(err)
	}
	slots, kept, err := flash.OpenSlots(flash.OS{}, copied, 0)
	if err != nil {
		in.t.Fatal(err)
	}
	_ = slots.Close()
	if len(kept) == 0 {
		return 0
	}
	m, err := meter.Restore(kept, meter.Options{})
	if err != nil {
		in.t.Fatal(err)
	}
	return m.Usage(in.clock.now()).LifetimeBytes
}

// yearOld leaves the state of a meter with thirteen months of history.
func yearOld(t *testing.T, now time.Time, state string) {
	t.Helper()
	m := meter.New(meter.Options{})
	at := instant.Instant{Boot: "before", Mono: time.Hour, Wall: now.AddDate(0, -13, 0), Trusted: true}
	for rx := uint64(0); at.Wall.Before(now); rx += 40_000 {
		m.Look(at, []meter.Reading{{Interface: link, Index: 3, RxBytes: rx, TxBytes: rx / 4, Bits: 64}})
		at = at.Add(time.Hour)
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	slots, _, err := flash.OpenSlots(flash.OS{}, filepath.Join(state, "meter.state"), 0)
	if err == nil {
		err = slots.Write(m.Snapshot())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := slots.Close(); err != nil {
		t.Fatal(err)
	}
}

// flashOfADay bounds what is written. A quiet machine writes less than 200,000 bytes;
// ext4's own journal adds what a busy one makes of it, since it commits by real time.
const flashOfADay = 300_000

// A day on which the line moves 1 MB, looked at every ten minutes: what all files of
// the agent cost a real ext4, and how much of what is counted is not on it.
func TestFlashOfADay(t *testing.T) {
	mnt, written := ext4(t)
	start, state := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC), filepath.Join(mnt, "state")
	yearOld(t, start, state)
	in := newInside(t, start, state)
	begun, before := in.onFlash(), written()
	var moved, risk uint64
	for range 24 * 6 {
		moved += in.moves(1500, 4800)
		risk = max(risk, moved-(in.onFlash()-begun))
	}
	cost := written() - before
	t.Logf("FIGURE flash of a day, %d bytes moved: %d bytes written by the whole agent, at most %d counted bytes at risk", moved, cost, risk)
	if moved < 1_000_000 || cost > flashOfADay || risk > 128<<10+8_000 {
		t.Error("out of bounds")
	}
}

// ext4 mounts a small file system, and tells what was written to its device.
func ext4(t *testing.T) (mnt string, written func() int) {
	t.Helper()
	boardtest.Require(t)
	dir := t.TempDir()
	img, mnt := filepath.Join(dir, "img"), filepath.Join(dir, "mnt")
	run := func(args ...string) string {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("SKIPPED, NOT PROVED: %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("mkdir", mnt)
	run("truncate", "-s", "64M", img)
	run("mkfs.ext4", "-q", "-b", "4096", img)
	dev := run("losetup", "-f", "--show", img)
	t.Cleanup(func() { run("losetup", "-d", dev) })
	run("mount", dev, mnt)
	t.Cleanup(func() { run("umount", mnt) })
	return mnt, func() int {
		run("sync", "-f", mnt)
		b, err := os.ReadFile("/sys/block/" + filepath.Base(dev) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.Fields(string(b))[6])
		if err != nil {
			t.Fatal(err)
		}
		return n * 512
	}
}
