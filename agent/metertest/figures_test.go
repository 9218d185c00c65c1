package metertest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
)

const link = "wwan0"

// kernel is the interface's own count, once it stands still.
func kernel(t *testing.T, p *boardtest.Pair) uint64 {
	t.Helper()
	for range 500 {
		rx, tx := p.Counters()
		if rx2, tx2 := p.Counters(); rx == rx2 && tx == tx2 {
			return rx + tx
		}
	}
	t.Fatal("the line does not come to rest")
	return 0
}

// agree is what the interface counts and what the agent has counted, at a moment
// when the line is at rest: the last packets of a connection trickle.
func agree(t *testing.T, m *machine, p *boardtest.Pair) (line, used int64) {
	t.Helper()
	for range 20 {
		before := kernel(t, p)
		m.looked(1)
		n := m.used()
		if kernel(t, p) == before {
			return int64(before), int64(n)
		}
	}
	t.Fatal("the line does not come to rest")
	return 0, 0
}

func TestPlainTraffic(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, link)
	p.Exchange(1000, 5000) // moved before the agent came: not its to count
	before := kernel(t, p)
	m := newMachine(t, p.Device, "1s", "")
	m.start()
	for range 40 {
		p.Exchange(30_000, 200_000)
	}
	line, used := agree(t, m, p)
	moved := line - int64(before)
	off := used - moved
	t.Logf("FIGURE plain traffic: kernel %d bytes, agent %d off", moved, off)
	if off != 0 || moved < 40*230_000 {
		t.Error("off")
	}
}

func TestKillOnTheSameInterface(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, link)
	before := kernel(t, p)
	m := newMachine(t, p.Device, "1s", "")
	m.start()
	const kills = 5
	for range kills {
		p.Exchange(1000, 60_000)
		m.looked(1)
		p.Exchange(1000, 70_000)
		m.stop(syscall.SIGKILL)
		p.Exchange(1000, 90_000) // while none runs
		m.start()
	}
	line, used := agree(t, m, p)
	moved := line - int64(before)
	off := used - moved
	t.Logf("FIGURE kill -9, same interface: %d kills, kernel %d bytes, agent %d off", kills, moved, off)
	if off != 0 {
		t.Error("off")
	}
}

func TestKillAndRecreatedInterface(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, link)
	truth := -int64(kernel(t, p))
	m := newMachine(t, p.Device, "1s", "")
	m.start()
	const kills = 3
	var unseen int64
	for range kills {
		p.Exchange(1000, 60_000)
		m.looked(2)
		seen := kernel(t, p)
		p.Exchange(1000, 20_000) // at most this is after the last look
		m.stop(syscall.SIGKILL)
		last := kernel(t, p)
		truth += int64(last)
		unseen += int64(last - seen)
		p.Delete()
		p.Create()
		p.Exchange(1000, 30_000) // on the new one, before the agent is back
		m.start()
	}
	line, used := agree(t, m, p)
	truth += line
	lost := truth - used
	t.Logf("FIGURE kill -9, interface re-created: %d times, moved %d bytes, lost %d of at most %d since the last looks", kills, truth, lost, unseen)
	if lost < 0 || lost > unseen {
		t.Error("out of bounds")
	}
}

func TestInterfaceRecreatedTwentyTimesWithinASecond(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, link)
	truth := -int64(kernel(t, p))
	m := newMachine(t, p.Device, "1s", "")
	m.start()
	var longest time.Duration
	var most int64
	for range 20 {
		p.Exchange(500, 20_000)
		n := int64(kernel(t, p))
		truth += n
		most = max(most, n)
		began := time.Now()
		p.Delete()
		p.Create()
		longest = max(longest, time.Since(began))
	}
	line, used := agree(t, m, p)
	truth += line
	lost := truth - used
	t.Logf("FIGURE re-created 20 times, veth, polled each second: moved %d bytes, lost %d (a veth pair drops half of its counters before it goes); longest change %v", truth, lost, longest.Round(time.Millisecond))
	if lost < 0 || lost > 20*most || longest > time.Second {
		t.Error("out of bounds")
	}
}

// A modem's interface keeps its counters to the end, as a tun interface does;
// polled only every ten minutes, all that is counted is the kernel's last word.
func TestLastWordsOfInterfacesThatVanish(t *testing.T) {
	t.Parallel()
	ns := boardtest.NewNetNS(t)
	m := newMachine(t, ns, "10m", "")
	m.start()
	const times, n, size = 20, 40, 1000 + 28
	for range times {
		tun := boardtest.OpenTun(t, ns, link)
		ns.IP("addr", "add", "10.78.0.2/24", "dev", link)
		ns.IP("link", "set", link, "up")
		tun.Echo("10.78.0.9:9", n)
		tun.Close()
	}
	const truth = times * 2 * n * size
	m.until("the last words", func() bool { return m.used() >= truth })
	lost := truth - int64(m.used())
	t.Logf("FIGURE re-created 20 times, tun, never polled: moved %d bytes, lost %d", truth, lost)
	if lost != 0 {
		t.Error("off")
	}
}

// What the agent costs on a line that is polled as by default, without a modem.
func TestCPU(t *testing.T) {
	if os.Getenv("CELLWARDEN_E2E") == "" {
		t.Skip("20 s of waiting: set CELLWARDEN_E2E=1")
	}
	p := boardtest.NewPair(t, link)
	m := newMachine(t, p.Device, "10s", "")
	m.start()
	const span = 21 * time.Second // two looks
	cpu := func() time.Duration { return cpuTime(t, m.cmd.Process.Pid) }
	began, before := time.Now(), cpu()
	end := time.NewTimer(span)
	defer end.Stop()
	<-end.C // the measurement is of this time
	spent, wall := cpu()-before, time.Since(began)
	share := 100 * spent.Seconds() / wall.Seconds()
	t.Logf("FIGURE CPU at default polling: %v in %v = %.4f %% of a core", spent.Round(time.Microsecond), wall.Round(time.Second), share)
	if share > 0.05 {
		t.Error("more than 0.05 %")
	}
}

// cpuTime is what all threads of a process have run, by the scheduler's own
// clock; the ticks of /proc/PID/stat are too coarse.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tasks, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sum time.Duration
	for _, task := range tasks {
		b, err := os.ReadFile(dir + "/" + task.Name() + "/schedstat")
		if err != nil {
			t.Skipf("SKIPPED, NOT PROVED: no scheduler statistics: %v", err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// A bridge on the line (as qmimux0 or rmnet_data0 on a wwan0) counts the same bytes
// again, and both names are the line's: they count once. The address is the upper's.
func TestAnInterfaceOnTopOfAnotherCountsOnce(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, link)
	p.Device.IP("link", "add", "wwan9", "type", "bridge")
	p.Device.IP("link", "set", link, "master", "wwan9")
	p.Device.IP("addr", "flush", "dev", link)
	p.Device.IP("addr", "add", p.DeviceAddr+"/24", "dev", "wwan9")
	p.Device.IP("link", "set", "wwan9", "up")
	m := newMachine(t, p.Device, "1s", "")
	m.start()
	before, began := agree(t, m, p) // a new bridge has packets of its own
	for range 5 {
		p.Exchange(30_000, 200_000)
		m.looked(1)
	}
	line, used := agree(t, m, p)
	moved := line - before
	used -= began
	t.Logf("FIGURE two interfaces of one line, one on the other: kernel %d bytes, agent %d off", moved, used-moved)
	if used != moved || moved < 5*230_000 {
		t.Error("off")
	}
	s, err := m.client.Status(t.Context())
	if err != nil || s.Network.Interface != "wwan9" {
		t.Errorf("data go over %q (%v), want the one with the address", s.Network.Interface, err)
	}
}

// Two interfaces at once are two counts in one sum.
func TestTwoInterfacesAtOnce(t *testing.T) {
	t.Parallel()
	p := boardtest.NewPair(t, link)
	tun := boardtest.OpenTun(t, p.Device, "wwan1")
	p.Device.IP("addr", "add", "10.78.0.2/24", "dev", "wwan1")
	p.Device.IP("link", "set", "wwan1", "up")
	before := kernel(t, p)
	m := newMachine(t, p.Device, "1s", "")
	m.start()
	const n, size = 40, 1000 + 28
	p.Exchange(30_000, 200_000)
	tun.Echo("10.78.0.9:9", n)
	line, used := agree(t, m, p)
	moved := line - int64(before) + 2*n*size
	t.Logf("FIGURE two interfaces at once: moved %d bytes, agent %d off", moved, used-moved)
	if used != moved {
		t.Error("off")
	}
	tun.Close()
}
