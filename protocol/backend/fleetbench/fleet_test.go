// Package fleetbench measures the receiver beside real brokers and databases of
// Debian's packages, and kills them: make bench-fleet. Without CELLWARDEN_BENCH its
// tests are skipped.
package fleetbench

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"

	paho "github.com/eclipse/paho.mqtt.golang"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver named pgx
)

// broker settings: what an operator needs (README.md of protocol/backend).
const mosquittoConf = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 500\npersistence true\n"

const kills = 20

func need(t *testing.T) {
	if os.Getenv("CELLWARDEN_BENCH") == "" {
		t.Skip("a measurement: make bench-fleet")
	}
}

// built is the receiver, built once.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("cellwarden-receiver-%d", os.Getpid()))
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/cellwarden-receiver").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w %s", err, out)
	}
	return path, nil
})

// process is a receiver as a process, to be killed.
type process struct {
	t    testing.TB
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

func start(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{t: t, args: args}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	path, err := built()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(path, p.args...)
	p.cmd.Stderr = &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) kill() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() }

// memory is its resident set in KB.
func (p *process) memory() (kb int) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for _, line := range strings.Split(string(raw), "\n") {
		if strings.HasPrefix(line, "VmRSS:") {
			fmt.Sscan(strings.TrimPrefix(line, "VmRSS:"), &kb)
		}
	}
	return kb
}

func database(t testing.TB, url string) *sql.DB {
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func number(db *sql.DB, q string) int {
	n := -1
	if err := db.QueryRow(q).Scan(&n); err != nil {
		return -1
	}
	return n
}

func within(t testing.TB, limit time.Duration, what string, check func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !check() {
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// load publishes from some devices until it is stopped, each message again until the
// broker has acknowledged it, as devices do.
type load struct {
	url    string
	topic  string
	sent   atomic.Int64 // acknowledged
	again  atomic.Int64
	stopIt chan struct{}
	all    sync.WaitGroup
}

func envelope(dev string, seq uint64, typ protocol.Type, body any) []byte {
	raw, err := protocol.NewBody(body)
	if err != nil {
		panic(err)
	}
	out, err := protocol.MarshalEnvelope(protocol.Envelope{V: 1, Device: dev, Epoch: "00000001", Seq: seq, Type: typ, Body: raw,
		At: protocol.Time{Wall: time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), Trusted: true, Boot: "00000001", MonoMS: int64(seq)}})
	if err != nil {
		panic(err)
	}
	return out
}

func sale() protocol.MachineEvent {
	return protocol.MachineEvent{Name: "sale", Data: json.RawMessage(`{"slot":12,"fen":350,"paid":"wechat"}`)}
}

// subscribed waits until a receiver that was just made takes what is published: what
// was sent before its first subscription is nobody's.
func subscribed(t testing.TB, url string, d *sql.DB) {
	t.Helper()
	c := paho.NewClient(options(url, "warm"))
	if tok := c.Connect(); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	defer c.Disconnect(100)
	seq := uint64(0)
	within(t, 60*time.Second, "the subscription", func() bool {
		seq++
		c.Publish("cw/warm/e", 1, false, envelope("warm", seq, protocol.TypeEvent, sale())).Wait()
		return number(d, "SELECT count(*) FROM event") > 0
	})
}

func begin(url string, devices int, every time.Duration) *load {
	l := &load{url: url, stopIt: make(chan struct{})}
	for i := range devices {
		l.all.Go(func() { l.device(fmt.Sprintf("vm-%05d", i), every) })
	}
	return l
}

func options(url, id string) *paho.ClientOptions {
	o := paho.NewClientOptions().SetClientID(id).SetAutoReconnect(false).SetConnectTimeout(3 * time.Second).SetCleanSession(true)
	user, host, found := strings.Cut(strings.TrimPrefix(url, "mqtt://"), "@")
	if !found {
		host, user = user, ""
	}
	o.AddBroker("tcp://" + host)
	if name, password, ok := strings.Cut(user, ":"); ok {
		o.SetUsername(name).SetPassword(password)
	}
	return o
}

func (l *load) device(name string, every time.Duration) {
	var c paho.Client
	for seq := uint64(1); ; seq++ {
		payload := envelope(name, seq, protocol.TypeEvent, sale())
		for tries := 0; ; tries++ {
			select {
			case <-l.stopIt:
				if c != nil {
					c.Disconnect(0)
				}
				return
			default:
			}
			if c == nil || !c.IsConnectionOpen() {
				c = paho.NewClient(options(l.url, name))
				if tok := c.Connect(); !tok.WaitTimeout(3*time.Second) || tok.Error() != nil {
					c = nil
					time.Sleep(50 * time.Millisecond)
					continue
				}
			}
			if tok := c.Publish("cw/"+name+"/e", 1, false, payload); tok.WaitTimeout(5*time.Second) && tok.Error() == nil {
				break
			}
			l.again.Add(1)
			c.Disconnect(0)
			c = nil
		}
		l.sent.Add(1)
		time.Sleep(every)
	}
}

func (l *load) end() int { close(l.stopIt); l.all.Wait(); return int(l.sent.Load()) }

// tally waits until all that was sent is there, or nothing more comes, and says what
// is missing and what is there twice.
func tally(t testing.TB, db *sql.DB, sent int, patience time.Duration) (lost, doubled int) {
	t.Helper()
	last, at := -1, time.Now()
	for time.Since(at) < patience {
		n := number(db, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'")
		if n >= sent {
			break
		}
		if n != last {
			last, at = n, time.Now()
		}
		time.Sleep(200 * time.Millisecond)
	}
	all := number(db, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'")
	different := number(db, "SELECT count(*) FROM (SELECT DISTINCT device, ep, seq FROM event JOIN device ON id = device WHERE dev <> 'warm') x")
	return max(0, sent-different), all - different
}

func TestKillReceiver(t *testing.T) {
	need(t)
	db, _ := backendtest.Postgres(t, true)
	url, _ := backendtest.Mosquitto(t, mosquittoConf)
	p := start(t, "-db", db, "-broker", url, "-listen", "")
	d := database(t, db)
	subscribed(t, url, d)
	l := begin(url, 20, 10*time.Millisecond)
	within(t, 30*time.Second, "the first", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 0
	})
	for range kills {
		time.Sleep(500 * time.Millisecond)
		p.kill()
		p.start()
	}
	sent := l.end()
	lost, doubled := tally(t, d, sent, 30*time.Second)
	t.Logf("FIGURE kill -9 of the receiver, %d times: %d sent, %d lost, %d doubled", kills, sent, lost, doubled)
	if lost+doubled > 0 {
		t.Error(p.log.String())
	}
}

func TestKillPostgres(t *testing.T) {
	need(t)
	db, pg := backendtest.Postgres(t, true)
	url, _ := backendtest.Mosquitto(t, mosquittoConf)
	p := start(t, "-db", db, "-broker", url, "-listen", "")
	d := database(t, db)
	subscribed(t, url, d)
	l := begin(url, 20, 10*time.Millisecond)
	within(t, 30*time.Second, "the first", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 0
	})
	for range kills {
		time.Sleep(700 * time.Millisecond)
		pg.Kill()
		pg.Start()
	}
	sent := l.end()
	lost, doubled := tally(t, d, sent, 40*time.Second)
	t.Logf("FIGURE kill -9 of PostgreSQL, %d times: %d sent, %d lost, %d doubled", kills, sent, lost, doubled)
	if lost+doubled > 0 {
		t.Error(p.log.String())
	}
}

// proxy is the network between receiver and broker, to be cut.
type proxy struct {
	l     net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t testing.TB, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, to: to}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, c, b)
			p.mu.Unlock()
			go func() { _, _ = io.Copy(b, c); _ = b.Close() }()
			go func() { _, _ = io.Copy(c, b); _ = c.Close() }()
		}
	}()
	return p
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
	p.conns = nil
}

func TestCutNetwork(t *testing.T) {
	need(t)
	db, _ := backendtest.Postgres(t, true)
	url, _ := backendtest.Mosquitto(t, mosquittoConf)
	net := newProxy(t, strings.TrimPrefix(url, "mqtt://"))
	p := start(t, "-db", db, "-broker", "mqtt://"+net.l.Addr().String(), "-listen", "")
	d := database(t, db)
	subscribed(t, url, d)
	l := begin(url, 20, 10*time.Millisecond)
	within(t, 30*time.Second, "the first", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 0
	})
	for range kills {
		time.Sleep(700 * time.Millisecond)
		net.cut()
	}
	sent := l.end()
	lost, doubled := tally(t, d, sent, 40*time.Second)
	t.Logf("FIGURE network cut, %d times: %d sent, %d lost, %d doubled", kills, sent, lost, doubled)
	if lost+doubled > 0 {
		t.Error(p.log.String())
	}
}

// Published as found: mosquitto acknowledges before it stores. While the receiver keeps
// up only what is under way is at stake; what waits for a receiver that is away is lost.
func TestKillMosquitto(t *testing.T) {
	need(t)
	for _, away := range []bool{false, true} {
		db, _ := backendtest.Postgres(t, true)
		url, broker := backendtest.Mosquitto(t, mosquittoConf)
		p := start(t, "-db", db, "-broker", url, "-listen", "")
		d := database(t, db)
		subscribed(t, url, d)
		l := begin(url, 20, 10*time.Millisecond)
		within(t, 30*time.Second, "the first", func() bool {
			return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 0
		})
		what, n := "the receiver keeping up", kills
		if away {
			what, n = "the receiver away for 2 s", 1
			p.kill()
			time.Sleep(2 * time.Second)
		}
		for range n {
			time.Sleep(time.Second)
			broker.Kill()
			broker.Start()
		}
		if away {
			p.start()
		}
		sent := l.end()
		lost, doubled := tally(t, d, sent, 10*time.Second)
		t.Logf("FIGURE kill -9 of mosquitto, %d times, %s: %d sent, %d lost, %d doubled", n, what, sent, lost, doubled)
	}
}

func TestKillRabbitMQ(t *testing.T) {
	need(t)
	db, _ := backendtest.Postgres(t, true)
	rabbit := backendtest.RabbitMQ(t, "")
	p := start(t, "-db", db, "-amqp", rabbit.AMQP, "-listen", "")
	d := database(t, db)
	subscribed(t, rabbit.MQTT, d)
	l := begin(rabbit.MQTT, 20, 10*time.Millisecond)
	within(t, 60*time.Second, "the first", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 0
	})
	n := 3
	if os.Getenv("CELLWARDEN_BENCH") == "full" {
		n = kills
	}
	for range n {
		time.Sleep(2 * time.Second)
		rabbit.Kill()
		rabbit.Start()
	}
	sent := l.end()
	lost, doubled := tally(t, d, sent, 90*time.Second)
	t.Logf("FIGURE kill -9 of RabbitMQ (quorum queue), %d times: %d sent, %d lost, %d doubled", n, sent, lost, doubled)
	if lost+doubled > 0 {
		t.Error(p.log.String())
	}
}

// Envelopes a second, from a broker that has them waiting into PostgreSQL with fsync.
func TestThroughput(t *testing.T) {
	need(t)
	for _, per := range []int{1, 32} {
		db, _ := backendtest.Postgres(t, true)
		url, _ := backendtest.Mosquitto(t, mosquittoConf)
		args := []string{"-db", db, "-broker", url, "-listen", ""}
		p := start(t, args...)
		d := database(t, db)
		c := paho.NewClient(options(url, "load"))
		if tok := c.Connect(); tok.Wait() && tok.Error() != nil {
			t.Fatal(tok.Error())
		}
		seq := make([]uint64, 1000)
		publish := func(i, n int) paho.Token {
			name := fmt.Sprintf("vm-%05d", i)
			var lines [][]byte
			for range n {
				seq[i]++
				lines = append(lines, envelope(name, seq[i], protocol.TypeEvent, sale()))
			}
			payload := lines[0]
			if n > 1 {
				var b protocol.Batcher
				var err error
				if payload, err = b.Encode(lines); err != nil {
					t.Fatal(err)
				}
			}
			return c.Publish("cw/"+name+"/e", 1, false, payload)
		}
		within(t, 30*time.Second, "the first", func() bool {
			publish(0, 1).Wait()
			return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 0
		})
		p.kill()
		before := number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'")
		total := map[int]int{1: 40_000, 32: 320_000}[per]
		var tokens []paho.Token
		for n := 0; n < total; n += per {
			tokens = append(tokens, publish(n/per%1000, per))
			if len(tokens) == 100 {
				for _, tok := range tokens {
					tok.Wait()
				}
				tokens = nil
			}
		}
		for _, tok := range tokens {
			tok.Wait()
		}
		c.Disconnect(100)
		p.start()
		within(t, 60*time.Second, "the start", func() bool {
			return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > before+200
		})
		from, began := number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'"), time.Now()
		last := from
		for still := 0; still < 10; {
			time.Sleep(100 * time.Millisecond)
			n := number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'")
			if n == last {
				still++
			} else {
				still = 0
			}
			last = n
		}
		took := time.Since(began) - time.Second
		t.Logf("FIGURE throughput, %d a message: %d envelopes in %.1f s = %.0f a second; %d KB resident", per, last-from, took.Seconds(), float64(last-from)/took.Seconds(), p.memory())
	}
}

// From the device's PUBLISH of an alert to the customer's server, beside a steady load.
func TestAlertLatency(t *testing.T) {
	need(t)
	db, _ := backendtest.Postgres(t, true)
	url, _ := backendtest.Mosquitto(t, mosquittoConf)
	var mu sync.Mutex
	sentAt := map[string]time.Time{}
	var took []time.Duration
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var c struct {
			Data struct{ Device string } `json:"data"`
		}
		_ = json.NewDecoder(r.Body).Decode(&c)
		mu.Lock()
		defer mu.Unlock()
		if at, ok := sentAt[c.Data.Device]; ok {
			took = append(took, time.Since(at))
			delete(sentAt, c.Data.Device)
		}
	}))
	defer hook.Close()
	start(t, "-db", db, "-broker", url, "-listen", "", "-webhook-allow", "127.0.0.0/8", "-webhook-http")
	d := database(t, db)
	subscribed(t, url, d)
	l := begin(url, 20, 10*time.Millisecond)
	defer l.end()
	within(t, 30*time.Second, "the first", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 0
	})
	if _, err := d.Exec("INSERT INTO endpoint (tenant, url, types) VALUES ('cw', $1, 'alert.raised')", hook.URL); err != nil {
		t.Fatal(err)
	}
	c := paho.NewClient(options(url, "alerts"))
	if tok := c.Connect(); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	defer c.Disconnect(100)
	const alerts = 300
	for i := range alerts {
		name := fmt.Sprintf("al-%05d", i)
		mu.Lock()
		sentAt[name] = time.Now()
		mu.Unlock()
		c.Publish("cw/"+name+"/a", 1, false, envelope(name, 1, protocol.TypeAlert, protocol.Alert{Incident: "i", Class: "sim_absent", Verdict: "confirmed", Act: &protocol.Action{Who: "technician"}})).Wait()
		time.Sleep(50 * time.Millisecond)
	}
	within(t, 30*time.Second, "all alerts", func() bool { mu.Lock(); defer mu.Unlock(); return len(took) == alerts })
	slices.Sort(took)
	t.Logf("FIGURE alert to webhook beside %d messages: median %s, p99 %s, worst %s", l.sent.Load(), took[alerts/2].Round(time.Millisecond), took[alerts*99/100].Round(time.Millisecond), took[alerts-1].Round(time.Millisecond))
	if took[alerts*99/100] > time.Second {
		t.Error("p99 above 1 s")
	}
}

// PostgreSQL stopped for a minute under load.
func TestPostgresAwayForAMinute(t *testing.T) {
	need(t)
	db, pg := backendtest.Postgres(t, true)
	url, _ := backendtest.Mosquitto(t, mosquittoConf)
	p := start(t, "-db", db, "-broker", url, "-listen", "")
	d := database(t, db)
	subscribed(t, url, d)
	l := begin(url, 20, 10*time.Millisecond)
	within(t, 30*time.Second, "the first", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") > 100
	})
	before := p.memory()
	pg.Stop()
	time.Sleep(60 * time.Second)
	during := p.memory()
	pg.Start()
	sent := l.end()
	took := within(t, 60*time.Second, "all", func() bool {
		return number(d, "SELECT count(*) FROM event JOIN device ON id = device WHERE dev <> 'warm'") >= sent
	})
	lost, doubled := tally(t, d, sent, 10*time.Second)
	t.Logf("FIGURE PostgreSQL away for 60 s: %d sent, %d lost, %d doubled, all there %s after; resident %d KB before, %d KB at the end of it", sent, lost, doubled, took.Round(time.Millisecond), before, during)
	if lost+doubled > 0 {
		t.Error(p.log.String())
	}
}
