package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/uplink"
	"cellwarden/modem"
	"cellwarden/modem/modemtest"
	"cellwarden/protocol"
)

// testPatience is how long a test waits for what must come.
const testPatience = 15 * time.Second

// mosquittoOn starts mosquitto with a listener and more lines, and gives its
// address. It ends with the test.
func mosquittoOn(t testing.TB, extra string) string {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // Debian keeps it out of an ordinary user's PATH
		if _, err := os.Stat(path); err != nil {
			t.Skip("SKIP: mosquitto not installed: apt-get install mosquitto")
		}
	}
	addr := lowPort(t)
	_, port, _ := net.SplitHostPort(addr)
	conf := filepath.Join(t.TempDir(), "m.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nuser root\n%s\n", port, extra)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, "-c", conf)
	cmd.Stderr = &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for end := time.Now().Add(testPatience); ; {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return addr
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("mosquitto did not start: %v\n%s", err, out.String())
		}
		<-time.After(10 * time.Millisecond) // nothing tells when it listens
	}
}

// lowPort finds a port below the range from which the kernel gives ports to
// others.
func lowPort(t testing.TB) string {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no free port from 20000 to 32000")
	return ""
}

// quickUplink is the timing for tests over the loopback.
var quickUplink = uplink.Timing{Spread: -1, Linger: 10 * time.Millisecond, RetryMin: 50 * time.Millisecond, RetryMax: 200 * time.Millisecond,
	RefusedMin: 50 * time.Millisecond, RefusedMax: 200 * time.Millisecond,
	Attempt: time.Millisecond, Attempts: 1000}

// testConfig is the default over a broker, with nothing that leaves the test.
func testConfig(t testing.TB, brokers ...string) config.Config {
	cfg := config.Default
	cfg.Device.ID = "cw-1"
	cfg.Modem.Port = "none"
	cfg.Store.Dir = t.TempDir()
	cfg.Store.OutboxBytes = 1 << 20
	cfg.API = config.API{}
	cfg.Uplink.Brokers, cfg.Uplink.Unsigned = brokers, true
	cfg.Probes = config.Probes{Interval: config.Duration(time.Hour)}
	return cfg
}

// bareHardware is a board without modem and data interface.
func bareHardware(now func() instant.Instant) device.Hardware {
	return device.Hardware{Now: now, Timer: device.Timer(now),
		Links:    func() ([]meter.Reading, diag.Interface, error) { return nil, diag.Interface{}, nil },
		RunProbe: func(context.Context, core.ProbeSpec) diag.ProbeResult { return diag.ProbeResult{} }}
}

var testStart = time.Now()

func trustedNow() instant.Instant {
	return instant.Instant{Boot: "1f2e3d4c-0000-4000-8000-000000000000", Mono: time.Hour + time.Since(testStart), Wall: time.Now(), Trusted: true}
}

// runAgent runs the whole agent until the test or stop ends it.
func runAgent(t testing.TB, o Options) (stop func()) {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	o.Version, o.Timing = "test", quickUplink
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(testPatience):
			t.Error("Run did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

// await waits until an agent is ready. One that ends instead says why.
func await(t testing.TB, ready <-chan struct{}, stop func()) {
	t.Helper()
	select {
	case <-ready:
	case <-time.After(testPatience):
		stop()
		t.Fatal("the agent did not get ready")
	}
}

// console is a backend: it sends commands and hears everything.
type console struct {
	t      testing.TB
	client mqtt.Client
	got    chan protocol.Envelope
	later  []protocol.Envelope
	parts  int // of the newest bundle
	up     chan bool
}

func newConsole(t testing.TB, addr string) *console {
	t.Helper()
	c := &console{t: t, got: make(chan protocol.Envelope, 4096), up: make(chan bool, 64)}
	o := mqtt.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("console").SetOrderMatters(true)
	c.client = mqtt.NewClient(o)
	wait := func(what string, token mqtt.Token) {
		t.Helper()
		if !token.WaitTimeout(testPatience) || token.Error() != nil {
			t.Fatalf("console: %s: %v", what, token.Error())
		}
	}
	wait("connect", c.client.Connect())
	t.Cleanup(func() { c.client.Disconnect(100) })
	wait("subscribe", c.client.Subscribe("cw/#", 1, func(_ mqtt.Client, m mqtt.Message) {
		if strings.HasSuffix(m.Topic(), "/w") {
			if s, err := protocol.DecodeStatus(m.Payload()); err == nil {
				c.up <- s.Up
			}
			return
		}
		if strings.HasSuffix(m.Topic(), "/d") || strings.HasSuffix(m.Topic(), "/l") {
			return
		}
		list, err := protocol.DecodePublish(m.Topic(), m.Payload())
		if err != nil {
			t.Errorf("console: %s: %v", m.Topic(), err)
		}
		for _, e := range list {
			c.got <- e
		}
	}))
	return c
}

// online waits for the device's own word that it is there.
func (c *console) online() {
	c.t.Helper()
	limit := time.After(testPatience)
	for {
		select {
		case up := <-c.up:
			if up {
				return
			}
		case <-limit:
			c.t.Fatal("the device did not come online")
		}
	}
}

func (c *console) send(raw []byte) {
	c.t.Helper()
	token := c.client.Publish("cw/cw-1/d", 1, false, raw)
	if !token.WaitTimeout(testPatience) || token.Error() != nil {
		c.t.Fatal(token.Error())
	}
}

// next waits for a message of a type; others wait for their turn.
func (c *console) next(typ protocol.Type) protocol.Envelope {
	c.t.Helper()
	for i, e := range c.later {
		if e.Type == typ {
			c.later = slices.Delete(c.later, i, i+1)
			return e
		}
	}
	limit := time.After(testPatience)
	for {
		select {
		case e := <-c.got:
			if e.Type == typ {
				return e
			}
			c.later = append(c.later, e)
		case <-limit:
			c.t.Fatalf("no %s came", typ)
		}
	}
}

func (c *console) reply() (r protocol.Reply) {
	c.t.Helper()
	if err := json.Unmarshal(c.next(protocol.TypeReply).Body, &r); err != nil {
		c.t.Fatal(err)
	}
	return r
}

func signed(t testing.TB, key ed25519.PrivateKey, device string, c protocol.Command) []byte {
	t.Helper()
	c.V = 1
	if key != nil {
		var err error
		if c, err = protocol.SignCommand(key, device, c); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := protocol.MarshalCommand(c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestCommandsOverMosquitto: each command that arrives is answered on the reply
// topic, and only a good one is obeyed.
func TestCommandsOverMosquitto(t *testing.T) {
	t.Parallel()
	addr := mosquittoOn(t, "")
	key := ed25519.NewKeyFromSeed([]byte("cellwarden test key: not secret!"))
	other := ed25519.NewKeyFromSeed([]byte("another test key, not secret!!!!"))
	cfg := testConfig(t, "tcp://"+addr)
	cfg.Uplink.Commands = []string{"plan", "report", "bundle", "config", "sim_status"}
	cfg.Uplink.CommandKeys = []string{base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))}
	c := newConsole(t, addr)
	opt := Options{Config: cfg, Hardware: bareHardware(trustedNow), Recorder: modem.NewRecorder()}
	stop := runAgent(t, opt)
	c.online()

	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	past := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	far := time.Now().Add(60 * 24 * time.Hour).UTC().Format(time.RFC3339)
	plan := json.RawMessage(`{"quota_bytes":31457280,"cycle_day":1,"utc_offset":"+08:00"}`)
	good := signed(t, key, "cw-1", protocol.Command{ID: "good", Expires: soon, Do: "plan", Args: plan})
	bent := bytes.Replace(signed(t, key, "cw-1", protocol.Command{ID: "bent", Expires: soon, Do: "plan", Args: plan}), []byte("31457280"), []byte("99999999"), 1)
	for _, x := range []struct {
		name, id string
		raw      []byte
		ok       bool
		says     string
	}{
		{"valid", "good", good, true, ""},
		{"replayed", "good", good, false, "seen before"},
		{"expired", "old", signed(t, key, "cw-1", protocol.Command{ID: "old", Expires: past, Do: "report"}), false, "expired"},
		{"too far ahead", "far", signed(t, key, "cw-1", protocol.Command{ID: "far", Expires: far, Do: "report"}), false, "31 days"},
		{"unsigned", "bare", signed(t, nil, "", protocol.Command{ID: "bare", Expires: soon, Do: "report"}), false, "not signed"},
		{"a wrong key", "wrong", signed(t, other, "cw-1", protocol.Command{ID: "wrong", Expires: soon, Do: "report"}), false, "no known key"},
		{"for another device", "cw-2", signed(t, key, "cw-2", protocol.Command{ID: "cw-2", Expires: soon, Do: "report"}), false, "no known key"},
		{"changed on the way", "bent", bent, false, "no known key"},
		{"not allowed", "deny", signed(t, key, "cw-1", protocol.Command{ID: "deny", Expires: soon, Do: "diagnose"}), false, "not in uplink.commands"},
		{"a shell", "sh", signed(t, key, "cw-1", protocol.Command{ID: "sh", Expires: soon, Do: "exec", Args: json.RawMessage(`{"cmd":"id"}`)}), false, "not in uplink.commands"},
	} {
		c.send(x.raw)
		if r := c.reply(); r.ID != x.id || r.OK != x.ok || !strings.Contains(r.Error, x.says) {
			t.Errorf("%s: %+v", x.name, r)
		}
	}
	// The uplink takes ten at once; nonsense is answered too, without an id. The
	// next token of its allowance comes after six seconds: a new connection has ten.
	stop()
	runAgent(t, opt)
	c.online()

	c.send([]byte(`{"v":1,"id":`))
	if r := c.reply(); r.ID != "" || r.OK || r.Error == "" {
		t.Errorf("nonsense: %+v", r)
	}
	c.send(good)
	if r := c.reply(); r.ID != "good" || r.OK || !strings.Contains(r.Error, "seen before") {
		t.Errorf("replayed after a restart: %+v", r)
	}
	c.send(signed(t, key, "cw-1", protocol.Command{ID: "r1", Expires: soon, Do: "report"}))
	var st protocol.State
	if err := json.Unmarshal(c.next(protocol.TypeState).Body, &st); err != nil || st.QuotaBytes != 31457280 {
		t.Errorf("the report does not show the pushed plan, kept over the restart: %v %+v", err, st)
	}
	if st.Counts["air"] < 1000 {
		t.Errorf("the report counts %v", st.Counts)
	}
	if r := c.reply(); r.ID != "r1" || !r.OK {
		t.Errorf("report: %+v", r)
	}
	c.send(signed(t, key, "cw-1", protocol.Command{ID: "conf", Expires: soon, Do: "config", Args: json.RawMessage(`{"uplink.report_every":"2h"}`)}))
	if r := c.reply(); r.ID != "conf" || !r.OK || string(r.Result) != `{"uplink.report_every":"2h"}` {
		t.Errorf("config: %+v", r)
	}
	c.send(signed(t, key, "cw-1", protocol.Command{ID: "rec", Expires: soon, Do: "bundle"}))
	if text := c.bundle("rec"); !json.Valid(text) || !bytes.Contains(text, []byte(`"recording"`)) {
		t.Errorf("bundle: %.200s", text)
	}
}

// TestABundleInSeveralParts: a full recorder takes several messages; joined in
// order they are one recording with every line. One that the day's bytes cannot
// bear is refused with the figure.
func TestABundleInSeveralParts(t *testing.T) {
	t.Parallel()
	rec := modem.NewRecorder()
	sc, err := modemtest.Builtin("healthy-quectel")
	if err != nil {
		t.Fatal(err)
	}
	m, err := modem.Open(t.Context(), modem.Spec{Recorder: rec, Opener: func(ctx context.Context) (io.ReadWriteCloser, error) {
		return modemtest.Pipe(t.Context(), sc, modemtest.NewClock(1)), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	const lines = 600
	for range lines { // words that do not compress
		word := make([]byte, 80)
		for i := range word {
			word[i] = 'A' + byte(rng.IntN(26))
		}
		m.Do(t.Context(), "AT+"+string(word), testPatience)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	addr := mosquittoOn(t, "")
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, x := range []struct {
		name   string
		budget uint64
		says   string
	}{
		{"within the day's bytes", 400_000, ""},
		{"beyond them", 20_000, "are left of uplink.daily_budget_bytes"},
	} {
		t.Run(x.name, func(t *testing.T) {
			cfg := testConfig(t, "tcp://"+addr)
			cfg.Uplink.Commands = []string{"bundle"}
			cfg.Uplink.DailyBudgetBytes = x.budget
			c := newConsole(t, addr)
			runAgent(t, Options{Config: cfg, Hardware: bareHardware(trustedNow), Recorder: rec})
			c.online()
			c.send(signed(t, nil, "", protocol.Command{ID: "rec", Expires: soon, Do: "bundle"}))
			if x.says != "" {
				if r := c.reply(); r.ID != "rec" || r.OK || !strings.Contains(r.Error, x.says) {
					t.Errorf("%+v", r)
				}
				return
			}
			var got []struct{ Lines []string }
			if err := json.Unmarshal(c.bundle("rec"), &got); err != nil || len(got) != 1 {
				t.Fatalf("%d recordings, %v", len(got), err)
			}
			want, _ := rec.Records()
			if len(want) < 2*lines || len(got[0].Lines) != len(want) {
				t.Errorf("%d lines came, %d were recorded", len(got[0].Lines), len(want))
			}
			if c.parts < 3 {
				t.Errorf("it took %d parts; the test needs a longer recording", c.parts)
			}
		})
	}
}

// bundle puts the parts of a bundle together.
func (c *console) bundle(id string) []byte {
	c.t.Helper()
	var gz []byte
	defer func() { c.t.Logf("a bundle of %d parts, %d bytes packed", c.parts, len(gz)) }()
	for n := 1; ; n++ {
		r := c.reply()
		var part protocol.BundlePart
		if r.ID != id || !r.OK || json.Unmarshal(r.Result, &part) != nil || part.Part != n {
			c.t.Fatalf("part %d: %+v", n, r)
		}
		gz = append(gz, part.GZ...)
		c.parts = part.Parts
		if part.Part == part.Parts {
			break
		}
	}
	z, err := gzip.NewReader(bytes.NewReader(gz))
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}
