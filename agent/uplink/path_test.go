package uplink

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
	"cellwarden/protocol"
)

// The tests here measure on a path of their own: two network namespaces joined by
// a veth pair with the MTU of a cellular bearer, mosquitto with TLS behind it, and
// nft in the device's namespace that counts whole IP packets and, told to, drops
// them all. They run minutes: in scripts/bench-uplink.sh, with CELLWARDEN_BENCH=1;
// with CELLWARDEN_BENCH=full also the default keepalive of 20 minutes, in real time.
const benchEnv = "CELLWARDEN_BENCH"

func measured(t *testing.T) {
	t.Helper()
	if os.Getenv(benchEnv) == "" {
		t.Skip("runs minutes; make bench sets " + benchEnv + "=1")
	}
	boardtest.Require(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("SKIPPED, NOT PROVED: needs the nft command (apt install nftables)")
	}
	t.Parallel()
}

// told prints a figure as the script that makes the table reads it.
func told(t *testing.T, what string, value float64) {
	t.Helper()
	t.Logf("FIGURE %s = %.1f", what, value)
}

// path is a device's way to a broker.
type path struct {
	*boardtest.Pair
	t   *testing.T
	far *mosquitto // in the peer's namespace, TLS
	ca  *authority
}

const pathTable = `table inet path {
	counter up {}
	counter down {}
	counter answers {}
	chain o { type filter hook output priority 0; oifname "wwan0" counter name up; }
	chain i {
		type filter hook input priority 0; iifname "wwan0" counter name down
		iifname "wwan0" ip length > 60 counter name answers
	}
}`

func newPath(t *testing.T) *path {
	t.Helper()
	p := &path{Pair: boardtest.NewPair(t, "wwan0"), t: t, ca: newAuthority(t, "cellwarden test CA")}
	// Whole packets of a cellular size are counted, not the kernel's giant ones.
	p.Device.IP("link", "set", "wwan0", "mtu", "1400", "gso_max_segs", "1")
	p.Peer.IP("link", "set", "up0", "mtu", "1400", "gso_max_segs", "1")
	p.nft(pathTable)
	p.far = &mosquitto{t: t, addr: p.PeerAddr + ":8883", command: p.Peer.Command}
	p.far.dial = func(addr string) (c net.Conn, err error) {
		p.Peer.Run(func() { c, err = net.Dial("tcp", addr) })
		return c, err
	}
	cert, key := p.ca.issue("broker", time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	p.far.setUp(fmt.Sprintf("cafile %s\ncertfile %s\nkeyfile %s\nautosave_on_changes false\nautosave_interval 1800", p.ca.file, cert, key))
	return p
}

func (p *path) nft(script string) {
	p.t.Helper()
	cmd := p.Device.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Skipf("SKIPPED, NOT PROVED: nft in a namespace: %v: %s", err, out)
	}
}

// silence makes the path swallow everything from now on, both ways.
func (p *path) silence() time.Time {
	p.t.Helper()
	p.nft("add rule inet path o oifname \"wwan0\" drop\nadd rule inet path i iifname \"wwan0\" drop\n")
	return time.Now()
}

var counters = regexp.MustCompile(`counter (up|down|answers) \{\s*packets (\d+) bytes (\d+)`)

// crossed is what has crossed the path: bytes of IP, and packets down that were
// more than an acknowledgement of TCP.
func (p *path) crossed() (size, answers uint64) {
	p.t.Helper()
	out, err := p.Device.Command("nft", "list", "counters", "table", "inet", "path").CombinedOutput()
	m := counters.FindAllStringSubmatch(string(out), -1)
	if err != nil || len(m) != 3 {
		p.t.Fatalf("nft: %v: %s", err, out)
	}
	for _, c := range m {
		packets, _ := strconv.ParseUint(c[2], 10, 64)
		n, _ := strconv.ParseUint(c[3], 10, 64)
		if c[1] == "answers" {
			answers = packets
		} else {
			size += n
		}
	}
	return size, answers
}

// quiet is crossed when nothing has moved for longer than any delayed acknowledgement.
func (p *path) quiet() uint64 {
	p.t.Helper()
	for last := uint64(0); ; {
		now, _ := p.crossed()
		if now == last {
			return now
		}
		last = now
		<-time.After(250 * time.Millisecond) // no event tells of the last packet
	}
}

// ping is what the next ping and its answer put on the path, when nothing else moves.
func (p *path) ping() float64 {
	p.t.Helper()
	before, first := p.crossed()
	for end := time.Now().Add(patient); ; <-time.After(20 * time.Millisecond) {
		if _, answers := p.crossed(); answers > first {
			return float64(p.quiet() - before)
		}
		if time.Now().After(end) {
			p.t.Fatal("no ping crosses the path")
		}
	}
}

// start runs an uplink with the default timing in the device's namespace.
func (p *path) start(s *store, change func(*Options)) *running {
	p.t.Helper()
	return startIn(p.t, p.Device.Run, s, func(o *Options) {
		o.Brokers = []string{"ssl://" + p.far.addr}
		o.TLS = TLS{CAFile: p.ca.file, ServerName: "localhost"}
		o.Timing = Timing{Spread: -1, Linger: 20 * time.Millisecond, DrainPerSec: -1}
		change(o)
	})
}

// wait is find with the patience of a measurement in real time.
func wait[E Event](r *running, limit time.Duration) E {
	r.t.Helper()
	over := time.After(limit)
	for {
		r.mu.Lock()
		events, news := r.events, r.news
		r.mu.Unlock()
		for _, e := range events {
			if e, ok := e.(E); ok {
				return e
			}
		}
		select {
		case <-news:
		case <-over:
			var zero E
			r.t.Fatalf("no %T within %s; there was %s", zero, limit, r.log())
		}
	}
}

// TestSilentPathPublishing: the default timing, and a path that swallows everything
// from one packet to the next: at rest when a message comes, and in a steady flow.
func TestSilentPathPublishing(t *testing.T) {
	t.Parallel() // with the others that mostly wait
	for _, flow := range []bool{false, true} {
		t.Run(map[bool]string{false: "one message", true: "a message every second"}[flow], func(t *testing.T) {
			measured(t)
			p := newPath(t)
			s := newStore(t)
			r := p.start(s, func(*Options) {})
			s.alert("first")
			r.empty()
			ended := make(chan struct{})
			var wg sync.WaitGroup
			if flow {
				wg.Go(func() {
					every := time.NewTicker(time.Second)
					defer every.Stop()
					for i := 0; ; i++ {
						select {
						case <-every.C:
							s.event(i)
						case <-ended:
							return
						}
					}
				})
				r.until("the flow", func() bool { return len(s.ackedSeqs()) >= 4 })
			}
			began := p.silence()
			if !flow {
				s.alert("second")
			}
			e := wait[Disconnected](r, time.Minute)
			took := time.Since(began)
			close(ended)
			wg.Wait()
			told(t, "silent link found while publishing, s", took.Seconds())
			if e.Why != WhyAckTimeout && e.Why != WhyNetwork || took > 15*time.Second {
				t.Errorf("%s after %s; the bar is 15 s", e.Why, took)
			}
		})
	}
}

// TestSilentPathIdle: nothing to send, and the path falls silent right after the
// last packet, which is the worst moment.
func TestSilentPathIdle(t *testing.T) {
	t.Parallel() // with the others that mostly wait
	for _, ka := range []time.Duration{time.Minute, DefaultTiming.KeepAlive} {
		t.Run(fmt.Sprint("keepalive ", ka), func(t *testing.T) {
			measured(t)
			if ka > time.Minute && os.Getenv(benchEnv) != "full" {
				t.Skip("takes " + ka.String() + "; set " + benchEnv + "=full")
			}
			p := newPath(t)
			r := p.start(newStore(t), func(o *Options) { o.Timing.KeepAlive = ka })
			find[Connected](r, 0, nil)
			p.quiet()
			began := p.silence()
			e := wait[Disconnected](r, ka+30*time.Second)
			took := time.Since(began)
			told(t, fmt.Sprintf("silent link found while idle, keepalive %s, s over the keepalive", ka), (took - ka).Seconds())
			if e.Why != WhyPing || took > ka+10*time.Second {
				t.Errorf("%s after %s; the bar is %s", e.Why, took, ka+10*time.Second)
			}
		})
	}
}

// TestIdleInRealTime: what one default keepalive puts on the air, nobody hurrying.
func TestIdleInRealTime(t *testing.T) {
	measured(t)
	if os.Getenv(benchEnv) != "full" {
		t.Skip("takes 20 minutes; set " + benchEnv + "=full")
	}
	p := newPath(t)
	r := p.start(newStore(t), func(*Options) {})
	find[Connected](r, 0, nil)
	before := p.quiet()
	<-time.After(DefaultTiming.KeepAlive)
	ping := float64(p.quiet() - before)
	told(t, "one keepalive of 20 min in real time, B", ping)
	if ping < 150 || ping > 210 {
		t.Errorf("%.0f B for one ping and its answer, want 204", ping)
	}
}

// pingsADay: a ping goes pingLead before the keepalive is over.
var pingsADay = int((24*time.Hour)/(DefaultTiming.KeepAlive-pingLead)) + 1

// TestADayOnThePath weighs what a device sends in a day over TLS 1.3, without the
// waiting: two reconnects, 24 reports of 400 B, and the pings of the default
// keepalive, of which a few stand for all.
func TestADayOnThePath(t *testing.T) {
	measured(t)
	p := newPath(t)
	file := filepath.Join(t.TempDir(), "tls-sessions")
	connack := make(chan uint64, 1)
	run := func(s *store, ka time.Duration) *running {
		return p.start(s, func(o *Options) {
			o.TLS.SessionFile = file
			o.Timing.KeepAlive = ka
			tell := o.OnEvent
			o.OnEvent = func(e Event) {
				tell(e)
				if c, ok := e.(Connected); ok { // held here, so that nothing else is sent yet
					if c.Resumed {
						connack <- p.quiet()
					}
				}
			}
		})
	}
	r := run(newStore(t), time.Minute)
	wait[Connected](r, patient)
	r.stop()
	before := p.quiet()
	s := newStore(t)
	r = run(s, time.Hour)
	told(t, "TLS reconnect resumed after a restart to CONNACK, B", float64(<-connack-before))
	reconnects := 2 * float64(p.quiet()-before)

	reports := 0.0
	for range 24 {
		before := p.quiet()
		s.add(protocol.TypeState, false, protocol.State{Class: "ok", Verdict: "confirmed", RAT: "lte", PLMN: "460-00", UsedBytes: 12_345_678,
			QuotaBytes: 31_457_280, UptimeS: 86_400, AgentV: "1.0.0", Modem: "EC20F", Counts: map[string]int{"air": 12_345, "unparsed": 3}})
		r.empty()
		reports += float64(p.quiet() - before)
	}
	lone := 1e9
	for range 5 {
		before := p.quiet()
		s.sized(300)
		r.empty()
		lone = min(lone, float64(p.quiet()-before))
	}
	told(t, "one lone alert of 300 B, B", lone)
	before = p.quiet()
	const n = 3200
	for i := range n {
		s.event(i)
	}
	r.empty()
	told(t, "per event in a drain, B", float64(p.quiet()-before)/n)
	r.stop()

	// The median of a few: a busy test machine acknowledges some by themselves.
	run(s, 2*time.Second)
	<-connack
	p.quiet()
	var pings []float64
	for range 8 {
		pings = append(pings, p.ping())
	}
	slices.Sort(pings)
	idle := pings[len(pings)/2] * float64(pingsADay)
	told(t, "pings of a day", float64(pingsADay))
	told(t, "idle day over TLS, B", idle)
	told(t, "two reconnects with all that belongs to them, B", reconnects)
	told(t, "24 reports, B", reports)
	told(t, "default day in all, B", idle+reconnects+reports)
	for what, over := range map[string]bool{"idle day": idle > 15_000, "default day": idle+reconnects+reports > 40_000, "lone alert": lone > 550} {
		if over {
			t.Errorf("%s is over its bar", what)
		}
	}
}

// bridge is the peer: a mosquitto on the device that passes e/# on to the far one.
type bridge struct {
	*mosquitto
	p *path
}

func newBridge(p *path, keepAlive int) *bridge {
	p.t.Helper()
	b := &bridge{&mosquitto{t: p.t, addr: "127.0.0.1:1883", command: p.Device.Command}, p}
	b.dial = func(addr string) (c net.Conn, err error) {
		p.Device.Run(func() { c, err = net.Dial("tcp", addr) })
		return c, err
	}
	b.setUp(fmt.Sprintf("log_type all\nconnection far\naddress %s\nbridge_cafile %s\nbridge_insecure true\ntopic e/# out 1\ncleansession false\nkeepalive_interval %d\nrestart_timeout 1\nautosave_on_changes false\nautosave_interval 1800",
		p.far.addr, p.ca.file, keepAlive))
	return b
}

// publish hands n events of 300 bytes to the bridge, one for each tick where given.
func (b *bridge) publish(n int, gap time.Duration) {
	b.t.Helper()
	cmd := b.p.Device.Command("mosquitto_pub", "-h", "127.0.0.1", "-t", "e/1", "-q", "1", "-l")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	w := bufio.NewWriter(in)
	for i := range n {
		fmt.Fprintf(w, "%08d%s\n", i, strings.Repeat("x", 292))
		if gap > 0 {
			w.Flush()
			<-time.After(gap)
		}
	}
	w.Flush()
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.t.Fatal(err)
	}
}

// says waits until the bridge's log has n lines with the words, and says how long.
func (b *bridge) says(words string, n int, limit time.Duration) (time.Duration, error) {
	began := time.Now()
	for {
		raw, err := os.ReadFile(filepath.Join(b.dir, "log"))
		if err != nil {
			b.t.Fatal(err)
		}
		if bytes.Count(raw, []byte(words)) >= n {
			return time.Since(began), nil
		}
		if time.Since(began) > limit {
			return limit, errors.New("not within " + limit.String())
		}
		<-time.After(100 * time.Millisecond)
	}
}

// TestPeerOnThePath weighs the bridge on the same path, with the same counters.
func TestPeerOnThePath(t *testing.T) {
	measured(t)
	p := newPath(t)
	b := newBridge(p, 5)
	up := func() {
		if _, err := b.says("Received CONNACK on connection", 1, patient); err != nil {
			t.Fatal("the bridge: ", err)
		}
	}
	up()
	p.quiet()
	b.halt()
	before := p.quiet()
	os.Remove(filepath.Join(b.dir, "log"))
	b.start()
	up()
	told(t, "bridge: TLS reconnect after a restart with all that belongs to it, B", float64(p.quiet()-before))

	ping := p.ping()
	for range 2 {
		ping = min(ping, p.ping())
	}
	told(t, "bridge: idle day at its keepalive of 60 s, B", ping*24*60)

	lone := 1e9
	for range 5 {
		before := p.quiet()
		b.publish(1, 0)
		lone = min(lone, float64(p.quiet()-before))
	}
	told(t, "bridge: one lone event of 300 B, B", lone)
	before = p.quiet()
	b.publish(3200, 0)
	told(t, "bridge: per event in a drain, B", float64(p.quiet()-before)/3200)
}

// TestPeerSilentPath: when the bridge notices a path that swallows everything.
func TestPeerSilentPath(t *testing.T) {
	t.Parallel() // with the others that mostly wait
	const limit = 4 * time.Minute
	for _, publishing := range []bool{true, false} {
		t.Run(map[bool]string{true: "publishing", false: "idle"}[publishing], func(t *testing.T) {
			measured(t)
			p := newPath(t)
			b := newBridge(p, 60)
			if _, err := b.says("Received CONNACK on connection", 1, patient); err != nil {
				t.Fatal(err)
			}
			p.quiet()
			p.silence()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			if publishing {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Second):
							b.publish(1, 0)
						}
					}
				})
			}
			took, err := b.says("Connecting bridge (step 1)", 2, limit) // it tries again after a second
			close(stop)
			wg.Wait()
			what := "bridge: silent link found while publishing, s"
			if !publishing {
				what, took = "bridge: silent link found while idle, s over the keepalive", took-time.Minute
			}
			if err != nil {
				t.Logf("%s: %v", what, err)
			}
			told(t, what, took.Seconds())
		})
	}
}

// TestPeerBacklog: memory with a backlog, its drain, and what of 100,000 comes out
// again, counted by a subscriber of the far broker. Mosquitto 2.0 forgets 65,536 of
// what exceeds that number, so its memory is taken with 60,000 and reckoned up.
func TestPeerBacklog(t *testing.T) {
	measured(t)
	p := newPath(t)
	p.far.kill()
	b := newBridge(p, 60)
	rss := func() float64 {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(raw), "VmRSS:")
		kb, _ := strconv.ParseFloat(strings.Fields(rest + " 0")[0], 64)
		return kb
	}
	idle := rss()
	for _, n := range []int{10_000, 60_000, 100_000} {
		b.publish(n, 0)
		if n == 60_000 {
			told(t, "bridge: memory with 100,000 waiting, KB over idle", (rss()-idle)/6*10)
		}
		p.far.start()
		sub := p.Peer.Command("mosquitto_sub", "-h", p.PeerAddr, "-p", "8883", "--cafile", p.ca.file, "--insecure", "-t", "e/#", "-C", strconv.Itoa(n), "-W", "30", "-F", "%U")
		out, err := sub.StdoutPipe()
		if err == nil {
			err = sub.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		var first, last float64
		lines, came := bufio.NewScanner(out), 0
		for lines.Scan() {
			came++
			last, _ = strconv.ParseFloat(lines.Text(), 64)
			if first == 0 {
				first = last
			}
		}
		_ = sub.Wait() // not all came: it says so by its code, and we by the count
		if n < 100_000 {
			told(t, fmt.Sprintf("bridge: drain of %d, events/s", n), float64(came)/(last-first))
		}
		told(t, fmt.Sprintf("bridge: lost of %d waiting", n), float64(n-came))
		p.far.kill()
	}
}
