package agent

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/outbox"
	"cellwarden/agent/uplink"
	"cellwarden/protocol"
)

// backlogOf puts n events of 300 bytes into the outbox of a state directory.
func backlogOf(b testing.TB, dir string, n int) outbox.Options {
	b.Helper()
	opt := outbox.Options{CapBytes: int64(n)*400 + 8<<20, MaxStaged: 2048}
	box, _, err := outbox.Open(filepath.Join(dir, "outbox"), opt)
	if err != nil {
		b.Fatal(err)
	}
	q := newQueue("cw-1", box)
	now := trustedNow()
	for i := range n {
		now.Mono += time.Second
		body := fmt.Sprintf(`{"name":"sale","data":{"slot":%d,"fen":%d,"paid":"wechat","temp":%d.%d,"stock":%d,"door":false,"order":"20261122%06d"}}`,
			i%40, 100+i*7%900, i%5+3, i%10, 9-i%9, i*7919%1000000)
		q.must(b, protocol.TypeEvent, core.EventPriority, now, body)
		if i%512 == 511 || i == n-1 {
			if err := box.Commit(); err != nil {
				b.Fatal(err)
			}
		}
	}
	if got := box.Len(); got != n {
		b.Fatalf("%d in the outbox, want %d", got, n)
	}
	if err := box.Close(); err != nil {
		b.Fatal(err)
	}
	return opt
}

// benchDrain empties a backlog from the flash to mosquitto, through queue, uplink
// and TCP, with the rate limit off.
func benchDrain(b *testing.B, n int) {
	addr := mosquittoOn(b, "max_queued_messages 0")
	var took time.Duration
	var cpu int64 // ours, without the broker's
	for range b.N {
		dir := b.TempDir()
		opt := backlogOf(b, dir, n)
		box, _, err := outbox.Open(filepath.Join(dir, "outbox"), opt)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		got, timing := 0, quickUplink
		timing.DrainPerSec = -1
		var began time.Time
		up := uplink.New(uplink.Options{Device: "cw-1", Brokers: []string{"tcp://" + addr}, Source: newQueue("cw-1", box), Now: trustedNow, Timing: timing,
			OnEvent: func(e uplink.Event) {
				switch e := e.(type) {
				case uplink.Connected:
					began = time.Now()
					cpu -= cpuMicros(b)
				case uplink.Delivered:
					if got += len(e.Seqs); got == n {
						took += time.Since(began)
						cpu += cpuMicros(b)
						cancel()
					}
				}
			}})
		if err := up.Run(ctx); err != nil || got != n || box.Len() != 0 {
			b.Fatalf("%v, %d delivered, %d left", err, got, box.Len())
		}
		cancel()
		if err := box.Close(); err != nil {
			b.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/took.Seconds(), "events/s")
	b.ReportMetric(float64(cpu)/float64(n*b.N), "us-cpu/event") // what a busy machine does not change
	b.ReportMetric(0, "ns/op")
}

// cpuMicros is what this process has used of the processors.
func cpuMicros(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return (u.Utime.Nano() + u.Stime.Nano()) / 1000
}

func BenchmarkDrainToBroker10k(b *testing.B) { benchDrain(b, 10_000) }

func BenchmarkDrainToBroker1M(b *testing.B) {
	if testing.Short() {
		b.Skip("SKIP: a million events take 400 MB of disk and a minute")
	}
	benchDrain(b, 1_000_000)
}

// helperEnv names the state directory of an agent that this test binary is
// started again as.
const helperEnv = "CELLWARDEN_TEST_AGENT"

// TestHelperAgent is that agent: default config, no modem, a broker that is away.
func TestHelperAgent(t *testing.T) {
	dir := os.Getenv(helperEnv)
	if dir == "" {
		t.Skip("started by the tests that measure a process")
	}
	cfg := testConfig(t, "tcp://127.0.0.1:9")
	cfg.Store.Dir = dir
	cfg.Store.OutboxBytes = 64 << 20
	if addr := os.Getenv(helperEnv + "_BROKER"); addr != "" {
		cfg.Uplink.Brokers = []string{"tcp://" + addr}
	}
	if sock := os.Getenv(helperEnv + "_SOCKET"); sock != "" {
		cfg.API.Socket = sock
	}
	runAgent(t, Options{Config: cfg, Hardware: bareHardware(trustedNow), Ready: func() { fmt.Println("ready") }})
	select {} // until killed
}

// helperAgent starts it and waits until it is ready.
func helperAgent(t testing.TB, dir string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperAgent$", "-test.timeout=0")
	cmd.Env = append(append(os.Environ(), helperEnv+"="+dir), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if lines.Text() == "ready" {
			return cmd
		}
	}
	t.Fatal("the agent did not start")
	return nil
}

func rssKB(t testing.TB, pid int) int {
	t.Helper()
	return memoryKB(t, pid, "VmRSS:")
}

// memoryKB is a line of a process's status, in KB.
func memoryKB(t testing.TB, pid int, what string) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), what)
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

// backlogRSS is the bar: how much more memory an agent may take with 100,000
// events waiting than with none.
const backlogRSS = 2 << 10 // KB

// raced says that the race detector is in this binary. Its shadow of all memory is
// several times what the bars allow, so that make test runs the tests of memory,
// TestMemory..., once more without it.
var raced bool

func skipRaced(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("SKIP: the race detector takes memory itself; make test runs this test without it")
	}
}

// TestMemoryWithABacklog compares two agents a moment after their start, with the
// broker away.
func TestMemoryWithABacklog(t *testing.T) {
	skipRaced(t)
	if testing.Short() {
		t.Skip("SKIP: writes 40 MB")
	}
	empty, full := t.TempDir(), t.TempDir()
	backlogOf(t, full, 100_000)
	least := func(dir string) int {
		cmd := helperAgent(t, dir)
		<-time.After(2 * time.Second) // what it does at its start is done
		kb := rssKB(t, cmd.Process.Pid)
		_ = cmd.Process.Kill()
		return kb
	}
	idle, loaded := least(empty), least(full)
	t.Logf("RSS %d KB idle, %d KB with 100,000 waiting: %+d KB (bar %d)", idle, loaded, loaded-idle, backlogRSS)
	if loaded-idle > backlogRSS {
		t.Error("over the bar")
	}
}
