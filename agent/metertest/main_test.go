package metertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
	"cellwarden/agent/localapi"
)

// patient bounds every wait; it only ends a test that would fail anyway.
const patient = time.Minute

// pollEvery is how often a condition outside of this process is looked at:
// nothing tells when it becomes true.
const pollEvery = 50 * time.Millisecond

var agentBin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cellwarden-metertest-")
	if err != nil {
		panic(err)
	}
	agentBin = filepath.Join(dir, "cellwarden")
	code := 1
	// The agent as boards get it.
	cmd := exec.Command("../../scripts/build.sh", "-o", dir, "host")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "scripts/build.sh: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir) // what is left is in the system's temporary directory
	os.Exit(code)
}

// machine is the agent in a namespace: no modem, no broker, only the meter.
type machine struct {
	t      *testing.T
	ns     *boardtest.NetNS
	config string
	run    string // the run directory
	poll   string
	block  string // data.block_at
	state  string // store.dir
	more   string // further tables of the config
	ifaces string // data.interfaces
	modem  string // modem.port
	first  string // shell commands before the agent, in a mount namespace of its own
	flush  uint64 // store.meter_flush_bytes
	client *localapi.Client
	cmd    *exec.Cmd
}

func newMachine(t *testing.T, ns *boardtest.NetNS, poll, more string) *machine {
	t.Helper()
	dir := t.TempDir()
	// The run directory is in memory on a board; /dev/shm is here.
	run, err := os.MkdirTemp("/dev/shm", "cellwarden-metertest-")
	if err != nil {
		t.Skipf("SKIPPED, NOT PROVED: no tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	m := &machine{t: t, ns: ns, run: run, config: filepath.Join(dir, "cellwarden.toml"), client: localapi.NewClient(filepath.Join(run, "api.sock"))}
	m.poll, m.more, m.state, m.block = poll, more, filepath.Join(dir, "state"), "never"
	m.ifaces, m.modem, m.flush = `"wwan*"`, "none", 128<<10
	m.write()
	t.Cleanup(func() {
		if m.cmd != nil {
			m.stop(syscall.SIGKILL)
		}
	})
	return m
}

// write makes the config file.
func (m *machine) write() {
	m.t.Helper()
	text := fmt.Sprintf(`
[device]
id = "vm-meter"
[modem]
port = %q
[data]
interfaces = [%s]
poll = %q
block_at = %q
[probes]
daily_budget_bytes = 0
[store]
dir = %q
meter_flush_bytes = %d
[api]
socket = %q
http = ""
%s`, m.modem, m.ifaces, m.poll, m.block, m.state, m.flush, filepath.Join(m.run, "api.sock"), m.more)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// start runs the agent until it answers; its first look is then done.
func (m *machine) start() {
	m.t.Helper()
	// "ip netns exec" gives each program its own mounts.
	m.cmd = m.ns.Command("sh", "-c", m.first+"\nexec "+agentBin+" run -config "+m.config)
	m.cmd.Stderr = os.Stderr
	started := make(chan error, 1)
	spawner <- func() { started <- m.cmd.Start() }
	if err := <-started; err != nil {
		m.t.Fatal(err)
	}
	m.until("an answer of the agent", func() bool { _, err := m.ask(); return err == nil })
}

// spawner starts all children from one thread that never ends, so that
// Pdeathsig, which goes by the thread, does not end them early.
var spawner = func() chan<- func() {
	c := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range c {
			f()
		}
	}()
	return c
}()

func (m *machine) stop(sig syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil {
		m.t.Fatal(err)
	}
	_ = m.cmd.Wait() // its exit code is the signal
	m.cmd = nil
}

// ask is everything counted in this cycle, which began before the test.
func (m *machine) ask() (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	u, err := m.client.Usage(ctx)
	var refused *localapi.Error
	if errors.As(err, &refused) && refused.Hint == "no_usage" {
		return 0, nil
	}
	return u.RawBytes, err // UsedBytes has the rounding of the card's operator
}

func (m *machine) used() uint64 {
	m.t.Helper()
	n, err := m.ask()
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// until waits for a condition.
func (m *machine) until(what string, ok func() bool) {
	m.t.Helper()
	began := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ok() {
		if time.Since(began) > patient {
			m.t.Fatalf("not within %v: %s", patient, what)
		}
		<-tick.C
	}
}

// looked waits until the agent has looked again, which a new file of the state
// in memory tells, so many times.
func (m *machine) looked(times int) {
	m.t.Helper()
	file := filepath.Join(m.run, "meter.state")
	for range times {
		before, err := os.Stat(file)
		if err != nil {
			m.t.Fatal(err)
		}
		m.until("another look", func() bool {
			now, err := os.Stat(file)
			return err == nil && !now.ModTime().Equal(before.ModTime())
		})
	}
}
