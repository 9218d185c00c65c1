package uplink

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
)

// TestBrokerKilledMidDrain: mosquitto is ended in the middle of a drain and
// started again. Everything arrives, each once after dedupe, alerts in order
// and events in order. It is ended in order (SIGTERM): mosquitto writes its
// store to disk only then or at intervals, so a kill -9 of the broker loses
// what it has acknowledged, whatever a client does.
func TestBrokerKilledMidDrain(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t, "")
	b := newBackend(t, m.addr)
	s := newStore(t)
	const n = 4000
	for i := range n {
		s.event(i)
	}
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + m.addr}
		o.Timing.DrainPerSec = 40_000
	})
	const kills = 3
	for i := 1; i <= kills; i++ {
		b.until("part of the drain", func() bool { return len(b.once()) > i*n/8 })
		m.halt()
		s.alert("cloud_unreachable")
		find[Unreachable](r, 0, nil)
		m.start()
		r.until("a new connection", func() bool {
			return r.count(func(e Event) bool { _, ok := e.(Connected); return ok }) > i
		})
	}
	r.empty()
	b.until("all", func() bool { return len(b.once()) == n+kills })
	b.mu.Lock()
	defer b.mu.Unlock()
	last := map[protocol.Type]uint64{}
	for _, e := range b.once() {
		if e.Seq <= last[e.Type] {
			t.Fatalf("%s %d after %d", e.Type, e.Seq, last[e.Type])
		}
		last[e.Type] = e.Seq
	}
	t.Logf("%d events and %d alerts, %d came twice, %d restarts of the broker", n, kills, len(b.order)-n-kills, kills)
}

// TestBrokerOutageNothingLost: kill -9 of mosquitto while nothing is under way
// in it; what is recorded meanwhile comes when it is back.
func TestBrokerOutageNothingLost(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t, "")
	s := newStore(t)
	r := start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + m.addr} })
	_, at := find[Connected](r, 0, nil)
	m.kill()
	if e, _ := find[Disconnected](r, at, nil); e.Why != WhyClosed && e.Why != WhyNetwork {
		t.Errorf("%s: %v", e.Why, e.Err)
	}
	if e, _ := find[Unreachable](r, at, nil); e.Why != WhyConnect {
		t.Errorf("%s: %v", e.Why, e.Err)
	}
	for i := range 500 {
		s.event(i)
	}
	m.start()
	b := newBackend(t, m.addr)
	b.until("the events", func() bool { return len(b.once()) == 500 })
	r.empty()
}

// TestRefusedByPasswordFile: the real refusal of the real broker.
func TestRefusedByPasswordFile(t *testing.T) {
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Skip("SKIP: mosquitto_passwd not installed: apt-get install mosquitto")
	}
	file := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command(tool, "-b", "-c", file, "machine", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := newMosquitto(t, "password_file "+file+"\nallow_anonymous false")
	s := newStore(t)
	s.alert("sim_absent")
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + m.addr}
		o.User, o.Password = "machine", "wrong"
		o.Timing.RefusedMin, o.Timing.RefusedMax = time.Hour, time.Hour
	})
	e, at := find[Refused](r, 0, nil)
	if e.Why != WhyNotAuthorised || !strings.Contains(e.Hint, "password") || strings.Contains(e.Err.Error(), "wrong") {
		t.Errorf("%+v", e)
	}
	if w, _ := find[Waiting](r, at, nil); w.Why != WaitRefused || w.For < 30*time.Minute {
		t.Errorf("%+v", w)
	}
	r.stop()

	r = start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + m.addr}
		o.User, o.Password = "machine", "right"
	})
	r.empty()
}

// TestLastWill: cut off, the broker says so for us; after an orderly stop, we
// say it ourselves; a backend that comes later reads it, retained.
func TestLastWill(t *testing.T) {
	t.Parallel()
	m := newMosquitto(t, "")
	b := newBackend(t, m.addr)
	p := newProxy(t, m.addr)
	s := newStore(t)
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + p.addr}
		o.Timing.RetryMin, o.Timing.RetryMax = time.Hour, time.Hour
	})
	said := func(want ...string) func() bool {
		return func() bool { return strings.Join(b.statuses, "; ") == strings.Join(want, "; ") }
	}
	const up, will, stop = `up=true why="" retained=false`, `up=false why="" retained=false`, `up=false why="stop" retained=false`
	b.until("online", said(up))
	p.cut()
	b.until("the last will", said(up, will))
	r.stop()

	r = start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + m.addr} })
	b.until("online again", said(up, will, up))
	r.stop()
	b.until("the good-bye, and no last will after it", said(up, will, up, stop))

	out, err := exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", m.addr[strings.LastIndex(m.addr, ":")+1:],
		"-t", "cw/+/w", "-C", "1", "-W", "5", "-F", "%t %r %p").CombinedOutput()
	if err != nil {
		t.Skipf("SKIP: mosquitto_sub: %v %s: apt-get install mosquitto-clients", err, out)
	}
	if got := strings.TrimSpace(string(out)); !strings.HasPrefix(got, "cw/"+device+`/w 1 {"v":1,"up":false,"why":"stop","boot":"`) {
		t.Errorf("a late subscriber reads %q", got)
	}
}

// TestNoRetain: for services that do not know retained messages.
func TestNoRetain(t *testing.T) {
	m := newMosquitto(t, "retain_available false")
	s := newStore(t)
	s.alert("sim_absent")
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + m.addr}
		o.NoRetain = true
	})
	r.empty()
	log, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if err != nil || strings.Contains(string(log), "retain") {
		t.Errorf("mosquitto's log: %s %v", log, err)
	}
}
