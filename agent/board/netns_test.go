package board_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/board/boardtest"
	"cellwarden/agent/flash"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

var line = board.Selection{Patterns: []string{"wwan*"}}

// station meters a veth pair as the agent does.
type station struct {
	t     *testing.T
	p     *boardtest.Pair
	links *board.Links
	clock *board.Clock
	m     *meter.Meter
}

func newStation(t *testing.T) *station {
	s := &station{t: t, p: boardtest.NewPair(t, "wwan0"), m: meter.New(meter.Options{})}
	var err error
	if s.clock, err = board.OpenClock(); err != nil {
		t.Fatal(err)
	}
	s.clock.Tell(board.TimeCloud, time.Now())
	s.p.Device.Run(func() { s.links, err = board.OpenLinks("") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.links.Close() })
	s.look()
	return s
}

func (s *station) look() uint64 {
	s.t.Helper()
	now := s.clock.Now()
	seen, err := s.links.Read(now, line)
	if err != nil {
		s.t.Fatal(err)
	}
	s.m.Look(now, seen)
	return s.m.Usage(now).LifetimeBytes
}

// agree looks until the kernel's counters, read from /sys on either side of the
// look, stood still during it (the last packets of a connection trickle), and
// returns both sums.
func (s *station) agree() (counted, kernel uint64) {
	s.t.Helper()
	for range 500 {
		rx, tx := s.p.Counters()
		counted = s.look()
		if rx2, tx2 := s.p.Counters(); rx == rx2 && tx == tx2 {
			return counted, rx + tx
		}
	}
	s.t.Fatal("the line does not come to rest")
	return 0, 0
}

func TestPlainTrafficZeroBytesOff(t *testing.T) {
	s := newStation(t)
	_, before := s.agree()
	began := s.look()
	for range 20 {
		s.p.Exchange(30_000, 200_000)
		s.look()
	}
	counted, kernel := s.agree()
	t.Logf("kernel %d, meter %d", kernel-before, counted-began)
	if counted-began != kernel-before || counted-began < 20*230_000 {
		t.Errorf("%d off", int64(counted-began)-int64(kernel-before))
	}
}

func TestKillAndRestoreOnTheSameInterface(t *testing.T) {
	s := newStation(t)
	_, before := s.agree()
	path := filepath.Join(t.TempDir(), "meter")
	for range 5 {
		s.p.Exchange(1000, 50_000)
		s.look()
		if err := flash.WriteFile(flash.OS{}, path, s.m.Snapshot()); err != nil {
			t.Fatal(err)
		}
		s.p.Exchange(1000, 70_000) // counted by a process that then dies
		s.look()
		s.m = nil
		s.p.Exchange(1000, 90_000) // while none runs
		kept, err := flash.ReadFile(flash.OS{}, path)
		if err != nil {
			t.Fatal(err)
		}
		if s.m, err = meter.Restore(kept, meter.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	counted, kernel := s.agree()
	t.Logf("kernel %d, meter %d after 5 kills", kernel-before, counted)
	if counted != kernel-before {
		t.Errorf("%d off", int64(counted)-int64(kernel-before))
	}
}

// Without link events the bytes since the last look are lost with an interface,
// and never more.
func TestInterfaceRecreatedTwentyTimes(t *testing.T) {
	s := newStation(t)
	counted, first := s.agree()
	truth := counted - first
	var unseen uint64
	for range 20 {
		s.p.Exchange(500, 20_000)
		_, looked := s.agree()
		s.p.Exchange(500, 5_000) // not looked at
		rx, tx := s.still()
		truth += rx + tx
		unseen += rx + tx - looked
		s.p.Delete()
		s.p.Create()
	}
	counted, last := s.agree()
	truth += last
	t.Logf("truth %d, meter %d: lost %d in 20 re-creations, %d moved since the last looks", truth, counted, truth-counted, unseen)
	if counted > truth || truth-counted > unseen {
		t.Errorf("lost %d, allowed 0 to %d", int64(truth-counted), unseen)
	}
}

// With link events the kernel's last word closes even that gap. (A tun interface,
// which goes when its program does: veth drops half of its counters before it
// says goodbye.)
func TestLastWordOfADeletedInterface(t *testing.T) {
	ns := boardtest.NewNetNS(t)
	clock, err := board.OpenClock()
	if err != nil {
		t.Fatal(err)
	}
	var links *board.Links
	ns.Run(func() { links, err = board.OpenLinks("") })
	if err != nil {
		t.Fatal(err)
	}
	defer links.Close()
	gone := watch(t, ns, clock)
	m := meter.New(meter.Options{})
	look := func() uint64 {
		now := clock.Now()
		seen, err := links.Read(now, line)
		if err != nil {
			t.Fatal(err)
		}
		m.Look(now, seen)
		return m.Usage(now).LifetimeBytes
	}
	look()
	var truth uint64
	const n, size = 40, 1000 + 28
	for range 5 {
		tun := boardtest.OpenTun(t, ns, "wwan0")
		ns.IP("addr", "add", "10.78.0.2/24", "dev", "wwan0")
		ns.IP("link", "set", "wwan0", "up")
		tun.Echo("10.78.0.9:9", n)
		look()
		tun.Echo("10.78.0.9:9", n)
		truth += 2 * 2 * n * size
		tun.Close()
		m.Final(clock.Now(), (<-gone).Reading)
	}
	counted := look()
	t.Logf("truth %d, meter %d after 5 interfaces that vanished", truth, counted)
	if counted != truth {
		t.Errorf("%d off", int64(counted)-int64(truth))
	}
}

// still waits until the counters do not move.
func (s *station) still() (rx, tx uint64) {
	for range 500 {
		rx, tx = s.p.Counters()
		if rx2, tx2 := s.p.Counters(); rx == rx2 && tx == tx2 {
			return rx, tx
		}
	}
	s.t.Fatal("the line does not come to rest")
	return 0, 0
}

// watch delivers what the kernel says of deleted wwan interfaces.
func watch(t *testing.T, ns *boardtest.NetNS, clock *board.Clock) chan board.LinkEvent {
	gone := make(chan board.LinkEvent, 1)
	ctx, stop := context.WithCancel(context.Background())
	ready := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		ns.Run(func() {
			w, err := board.OpenLinkWatch()
			ready <- err
			if err != nil {
				return
			}
			defer w.Close()
			err = w.Run(ctx, clock.Now, func() board.Selection { return line }, func(e board.LinkEvent) {
				if e.Gone && e.Reading.Interface == "wwan0" {
					gone <- e
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); wg.Wait() })
	return gone
}

func TestNetlinkAndSysfsAgree(t *testing.T) {
	s := newStation(t)
	s.p.Exchange(1000, 10_000)
	s.still()
	now := instant.Instant{Boot: "b"}
	viaNetlink, err := s.links.Read(now, line)
	if err != nil {
		t.Fatal(err)
	}
	// A copy of the namespace's /sys/class/net, read through the fallback.
	root := t.TempDir()
	for _, r := range viaNetlink {
		dir := filepath.Join(root, "class/net", r.Interface)
		if err := os.MkdirAll(filepath.Join(dir, "statistics"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"ifindex", "statistics/rx_bytes", "statistics/tx_bytes"} {
			b, err := s.p.Device.Command("cat", "/sys/class/net/"+r.Interface+"/"+f).Output()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	viaSys, err := board.ReadSys(root, now, line)
	if err != nil {
		t.Fatal(err)
	}
	if len(viaSys) != len(viaNetlink) || len(viaSys) < 2 {
		t.Fatalf("netlink %+v\nsysfs %+v", viaNetlink, viaSys)
	}
	for i := range viaSys {
		if viaSys[i] != viaNetlink[i] {
			t.Errorf("netlink %+v\nsysfs %+v", viaNetlink[i], viaSys[i])
		}
	}
}

// The meter's plan end to end, on real counters.
func TestRealTrafficReachesAThreshold(t *testing.T) {
	s := newStation(t)
	now := s.clock.Now()
	if err := s.m.SetPlan("", protocol.Plan{QuotaBytes: 1 << 20, CycleDay: 1}, now); err != nil {
		t.Fatal(err)
	}
	s.p.Exchange(1000, 900_000)
	now = s.clock.Now()
	seen, err := s.links.Read(now, line)
	if err != nil {
		t.Fatal(err)
	}
	ws := s.m.Look(now, seen)
	if len(ws) == 0 || ws[0].Kind != meter.KindThreshold || ws[0].Percent != 80 {
		t.Errorf("%+v", ws)
	}
}
