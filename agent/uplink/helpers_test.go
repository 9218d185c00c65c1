package uplink

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	mochipackets "github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	device  = "cw-000123"
	patient = 10 * time.Second // how long a test waits for what must come
)

// store is a Source in memory that keeps the contract to the letter and fails
// the test when the uplink breaks it.
type store struct {
	t    testing.TB
	wake chan struct{}
	idle chan struct{} // receives when Take had nothing

	mu     sync.Mutex
	next   uint64
	items  []Item // in delivery order: urgent first, then by Seq
	flying map[uint64]Item
	acked  []uint64
}

func newStore(t testing.TB) *store {
	return &store{t: t, wake: make(chan struct{}, 1), idle: make(chan struct{}, 1), flying: map[uint64]Item{}}
}

func (s *store) add(typ protocol.Type, urgent bool, body any) uint64 {
	s.mu.Lock()
	s.next++
	seq := s.next
	raw, err := protocol.NewBody(body)
	if err != nil {
		s.t.Error(err)
	}
	payload, err := protocol.MarshalEnvelope(protocol.Envelope{
		V: 1, Device: device, Epoch: "9a0b1c2d", Seq: seq, Type: typ, Body: raw,
		At: protocol.Time{Wall: "2026-11-22T04:21:07.250Z", Trusted: true, Boot: "1f2e3d4c", MonoMS: 86_400_250 + int64(seq)*1013},
	})
	if err != nil {
		s.t.Error(err)
	}
	s.insert(Item{Seq: seq, Type: typ, Payload: payload, Urgent: urgent})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return seq
}

func (s *store) insert(it Item) {
	at, _ := slices.BinarySearchFunc(s.items, it, func(a, b Item) int {
		if a.Urgent != b.Urgent {
			if a.Urgent {
				return -1
			}
			return 1
		}
		return int(int64(a.Seq) - int64(b.Seq))
	})
	s.items = slices.Insert(s.items, at, it)
}

// event adds a machine event as in the field: about 280 bytes in its envelope.
func (s *store) event(n int) uint64 {
	data := fmt.Sprintf(`{"slot":%d,"fen":%d,"paid":"wechat","temp":%d.%d,"stock":%d,"door":false,"order":"20261122%06d"}`,
		n%40, 100+n*7%900, n%5+3, n%10, 9-n%9, n*7919%1000000)
	return s.add(protocol.TypeEvent, false, protocol.MachineEvent{Name: "sale", Data: json.RawMessage(data)})
}

func (s *store) alert(class string) uint64 {
	return s.add(protocol.TypeAlert, true, protocol.Alert{Class: class, Verdict: "confirmed"})
}

func (s *store) Take(max, maxBytes int) []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) == 0 {
		select {
		case s.idle <- struct{}{}:
		default:
		}
	}
	n, size := 0, 0
	for n < len(s.items) && n < max {
		if size += len(s.items[n].Payload); n > 0 && size > maxBytes {
			break
		}
		n++
	}
	out := slices.Clone(s.items[:n])
	for _, it := range out {
		s.flying[it.Seq] = it
	}
	s.items = s.items[n:]
	return out
}

func (s *store) Ack(seqs []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range seqs {
		if _, ok := s.flying[seq]; !ok {
			s.t.Errorf("acknowledged %d, which was not under way", seq)
		}
		delete(s.flying, seq)
		s.acked = append(s.acked, seq)
	}
}

func (s *store) Release(seqs []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range seqs {
		it, ok := s.flying[seq]
		if !ok {
			s.t.Errorf("released %d, which was not under way", seq)
			continue
		}
		delete(s.flying, seq)
		s.insert(it)
	}
}

func (s *store) Wake() <-chan struct{} { return s.wake }

// left counts what is neither acknowledged nor under way, and what is under way.
func (s *store) left() (waiting, flying int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items), len(s.flying)
}

func (s *store) ackedSeqs() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acked)
}

// quick is the timing for tests over the loopback.
var quick = Timing{
	Connect: 5 * time.Second, Write: 2 * time.Second, Ack: 2 * time.Second, KeepAlive: time.Minute,
	Linger: 20 * time.Millisecond, Spread: -1, RetryMin: 20 * time.Millisecond, RetryMax: 100 * time.Millisecond,
	RefusedMin: 300 * time.Millisecond, RefusedMax: time.Second, Stable: time.Minute,
	Attempt: time.Millisecond, Attempts: 1000, DrainPerSec: -1,
}

// running is an Uplink at work and what it said.
type running struct {
	t      testing.TB
	store  *store
	up     *Uplink
	cancel context.CancelFunc
	done   chan error
	conn   atomic.Pointer[counted] // the newest

	mu     sync.Mutex
	events []Event
	news   chan struct{} // closed and renewed at each event

	atConnack uint64 // what the newest connection had cost at its CONNACK
}

func now() instant.Instant {
	return instant.Instant{Boot: "test", Mono: time.Since(started), Wall: time.Now(), Trusted: true}
}

var started = time.Now()

// start runs an uplink on store until the test ends.
func start(t testing.TB, s *store, change func(*Options)) *running {
	t.Helper()
	return startIn(t, func(f func()) { f() }, s, change)
}

// startIn is start with the goroutine of Run where in puts it.
func startIn(t testing.TB, in func(func()), s *store, change func(*Options)) *running {
	t.Helper()
	r := &running{t: t, store: s, done: make(chan error, 1), news: make(chan struct{})}
	opt := Options{Device: device, Source: s, Now: now, OnEvent: r.on, Timing: quick}
	change(&opt)
	r.up = New(opt)
	r.up.dialled = func(c *counted) { r.conn.Store(c) }
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go in(func() { r.done <- r.up.Run(ctx) })
	t.Cleanup(func() { r.stop() })
	return r
}

func (r *running) on(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := e.(Connected); ok {
		c := r.conn.Load()
		c.ask()
		r.atConnack = c.wire()
	}
	r.events = append(r.events, e)
	close(r.news)
	r.news = make(chan struct{})
}

// stop ends Run and waits for it.
func (r *running) stop() {
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run: %v", err)
		}
		r.done <- nil
	case <-time.After(patient):
		r.t.Error("Run did not end")
	}
}

// find waits for an event of type E that fits, at place from or later, and says
// where the next search begins.
func find[E Event](r *running, from int, fits func(E) bool) (E, int) {
	r.t.Helper()
	limit := time.After(patient)
	for {
		r.mu.Lock()
		events, news := r.events, r.news
		r.mu.Unlock()
		for i := from; i < len(events); i++ {
			if e, ok := events[i].(E); ok && (fits == nil || fits(e)) {
				return e, i + 1
			}
		}
		select {
		case <-news:
		case <-limit:
			var zero E
			r.t.Fatalf("no %T came; there was %s", zero, r.log())
		}
	}
}

func (r *running) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	for _, e := range r.events {
		switch e.(type) {
		case Delivered, Traffic, StateChanged:
		default:
			fmt.Fprintf(&b, "\n\t%T%+v", e, e)
		}
	}
	return b.String()
}

func (r *running) count(is func(Event) bool) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if is(e) {
			n++
		}
	}
	return n
}

// until waits for ok to become true, looking again at each event.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	limit := time.After(3 * patient)
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-news:
		case <-limit:
			r.t.Fatalf("waited for %s; events:%s", what, r.log())
		}
	}
}

// empty waits until everything in the store is delivered.
func (r *running) empty() {
	r.t.Helper()
	r.until("an empty store", func() bool { w, f := r.store.left(); return w == 0 && f == 0 })
}

// backend is a subscriber that decodes what devices send, as a backend would.
type backend struct {
	t      testing.TB
	client mqtt.Client

	mu       sync.Mutex
	order    []protocol.Envelope // as they came, repetitions included
	statuses []string
	news     chan struct{}
}

func newBackend(t testing.TB, addr string) *backend {
	t.Helper()
	b := &backend{t: t, news: make(chan struct{})}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("backend").SetCleanSession(false).
		SetConnectRetry(true).SetConnectRetryInterval(50 * time.Millisecond).SetMaxReconnectInterval(50 * time.Millisecond).
		SetOrderMatters(true).SetWriteTimeout(time.Second)
	o.SetOnConnectHandler(func(c mqtt.Client) { c.Subscribe("cw/#", 1, b.receive) })
	o.SetDefaultPublishHandler(b.receive)
	b.client = mqtt.NewClient(o)
	token := b.client.Connect()
	if !token.WaitTimeout(patient) || token.Error() != nil {
		t.Fatalf("backend: %v", token.Error())
	}
	sub := b.client.Subscribe("cw/#", 1, b.receive)
	if !sub.WaitTimeout(patient) || sub.Error() != nil {
		t.Fatalf("backend: subscribe: %v", sub.Error())
	}
	t.Cleanup(func() { b.client.Disconnect(250) })
	return b
}

func (b *backend) receive(_ mqtt.Client, m mqtt.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { close(b.news); b.news = make(chan struct{}) }()
	list, err := protocol.DecodePublish(m.Topic(), m.Payload())
	if errors.Is(err, protocol.ErrNoEnvelope) {
		if s, err := protocol.DecodeStatus(m.Payload()); err == nil {
			b.statuses = append(b.statuses, fmt.Sprintf("up=%v why=%q retained=%v", s.Up, s.Why, m.Retained()))
		}
		return
	}
	if err != nil {
		b.t.Errorf("backend: %s: %v", m.Topic(), err)
		return
	}
	b.order = append(b.order, list...)
}

// until waits for ok, called with the lock held, to become true.
func (b *backend) until(what string, ok func() bool) {
	b.t.Helper()
	limit := time.After(2 * patient)
	for {
		b.mu.Lock()
		good, news := ok(), b.news
		b.mu.Unlock()
		if good {
			return
		}
		select {
		case <-news:
		case <-limit:
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("backend waited for %s; has %d messages, statuses %v", what, len(b.order), b.statuses)
		}
	}
}

// once gives the messages without repetitions, in order of first arrival.
func (b *backend) once() []protocol.Envelope {
	seen := map[uint64]bool{}
	var out []protocol.Envelope
	for _, e := range b.order {
		if !seen[e.Seq] {
			seen[e.Seq] = true
			out = append(out, e)
		}
	}
	return out
}

// allow lets everybody in, and do everything.
type allow struct{ mochi.HookBase }

func (*allow) ID() string { return "allow" }
func (*allow) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (*allow) OnConnectAuthenticate(*mochi.Client, mochipackets.Packet) bool { return true }
func (*allow) OnACLCheck(*mochi.Client, string, bool) bool                   { return true }

// embedded starts a mochi broker and gives its address.
func embedded(t testing.TB) (string, *mochi.Server) {
	t.Helper()
	s := mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := s.AddHook(new(allow), nil); err != nil {
		t.Fatal(err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0"})
	if err := s.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return l.Address(), s
}

// mosquitto is the real broker in a directory of its own.
type mosquitto struct {
	t    testing.TB
	dir  string
	addr string
	cmd  *exec.Cmd

	command func(name string, args ...string) *exec.Cmd
	dial    func(addr string) (net.Conn, error)
}

// newMosquitto starts mosquitto with extra lines in its config.
func newMosquitto(t testing.TB, extra string) *mosquitto {
	t.Helper()
	if _, err := mosquittoPath(); err != nil {
		t.Skip("SKIP: mosquitto not installed: apt-get install mosquitto")
	}
	m := &mosquitto{t: t, addr: freeAddr(t), command: mortal, dial: func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }}
	m.setUp(extra)
	return m
}

// mortal is a command that ends with this process. (Where threads end on the way,
// as in boardtest's Run, the kernel would take their end for ours.)
func mortal(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// setUp writes the config and starts the broker at m.addr.
func (m *mosquitto) setUp(extra string) {
	t := m.t
	t.Helper()
	m.dir = t.TempDir()
	host, port, _ := net.SplitHostPort(m.addr)
	conf := fmt.Sprintf("listener %s %s\nallow_anonymous true\npersistence true\npersistence_location %s/\nautosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\nuser root\n%s\n", port, host, m.dir, extra)
	if err := os.WriteFile(filepath.Join(m.dir, "m.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	t.Cleanup(m.kill)
}

// freeAddr finds a port below the range from which the kernel gives ports to
// others, so that it is still free when the broker takes it, also again.
func freeAddr(t testing.TB) string {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+mrand.IntN(12_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port from 20000 to 32000")
	return ""
}

func mosquittoPath() (string, error) {
	if p, err := exec.LookPath("mosquitto"); err == nil {
		return p, nil
	}
	const debian = "/usr/sbin/mosquitto"
	_, err := os.Stat(debian)
	return debian, err
}

func (m *mosquitto) start() {
	m.t.Helper()
	path, _ := mosquittoPath()
	m.cmd = m.command(path, "-c", filepath.Join(m.dir, "m.conf"))
	log, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.cmd.Stderr = log
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	for end := time.Now().Add(patient); ; {
		conn, err := m.dial(m.addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(end) {
			out, _ := os.ReadFile(filepath.Join(m.dir, "log"))
			m.t.Fatalf("mosquitto did not start: %v\n%s", err, out)
		}
		<-time.After(10 * time.Millisecond) // nothing tells when it listens
	}
}

// halt ends it in order: it writes its store first.
func (m *mosquitto) halt() {
	if m.cmd != nil {
		m.cmd.Process.Signal(syscall.SIGTERM)
		m.cmd.Wait()
		m.cmd = nil
	}
}

func (m *mosquitto) kill() {
	if m.cmd != nil {
		m.cmd.Process.Kill()
		m.cmd.Wait()
		m.cmd = nil
	}
}

// proxy stands between the uplink and a broker: it counts, goes silent, cuts.
type proxy struct {
	addr     string
	l        net.Listener
	to       string
	silent   atomic.Bool
	up, down atomic.Int64
	packets  atomic.Int64 // writes seen, both ways: segments on an idle loopback
	fresh    atomic.Int64 // connections

	mu    sync.Mutex
	conns []net.Conn
	wg    sync.WaitGroup
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), l: l, to: to}
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			p.fresh.Add(1)
			b, err := net.Dial("tcp", p.to)
			if err != nil {
				a.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, a, b)
			p.mu.Unlock()
			p.wg.Add(2)
			go p.copy(b, a, &p.up)
			go p.copy(a, b, &p.down)
		}
	}()
	t.Cleanup(func() { l.Close(); p.cut(); p.wg.Wait() })
	return p
}

func (p *proxy) copy(to, from net.Conn, count *atomic.Int64) {
	defer p.wg.Done()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			count.Add(int64(n))
			p.packets.Add(1)
			if !p.silent.Load() {
				if _, err := to.Write(buf[:n]); err != nil {
					from.Close()
					return
				}
			}
		}
		if err != nil {
			if !p.silent.Load() {
				to.Close()
			}
			return
		}
	}
}

// cut breaks all connections without a good-bye of MQTT.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) bytes() int64 { return p.up.Load() + p.down.Load() }

// authority is a CA of our own.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = filepath.Join(a.dir, "ca.pem")
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue makes a certificate for localhost and gives its file and its key's.
func (a *authority) issue(name string, from, to time.Time) (certFile, keyFile string) {
	a.t.Helper()
	key := newKey(a.t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	writePEM(a.t, certFile, "CERTIFICATE", der)
	writePEM(a.t, keyFile, "PRIVATE KEY", raw)
	return certFile, keyFile
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsServer accepts TLS connections and hands each to serve.
func tlsServer(t testing.TB, cfg *tls.Config, serve func(net.Conn)) string {
	t.Helper()
	return server(t, func(c net.Conn) { serve(tls.Server(c, cfg)) })
}

// server accepts connections until the test ends and hands each to serve.
func server(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.Close()
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// inline adapts a function to the embedded broker's own subscriptions.
func inline(f func(payload []byte)) mochi.InlineSubFn {
	return func(_ *mochi.Client, _ mochipackets.Subscription, p mochipackets.Packet) { f(bytes.Clone(p.Payload)) }
}
