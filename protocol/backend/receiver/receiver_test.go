package receiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"
	"cellwarden/protocol/backend/store"
	"cellwarden/protocol/backend/webhook"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const secret = "whsec_Y2VsbHdhcmRlbi1kZW1vLXdlYmhvb2st"

// open is mosquitto without passwords, with room for what waits.
const open = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 500\n"

// within waits until check is true; nothing tells.
func within(t *testing.T, limit time.Duration, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, limit)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// running starts a receiver and gives what stops it.
func running(t *testing.T, cfg Config) (*Receiver, func()) {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	cfg.Allow, cfg.Plain = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := New(ctx, cfg)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the receiver ended: %v", err)
		}
	}
	t.Cleanup(stop)
	within(t, 20*time.Second, "the broker", func() bool { return up(r) })
	return r, stop
}

func up(r *Receiver) bool { ok, _ := r.Up(); return ok }

// testWriter keeps the log with the test, also after it ended.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if os.Getenv("VERBOSE") != "" {
		fmt.Fprint(os.Stderr, string(p))
	}
	return len(p), nil
}

// device is a client that publishes as a device does.
type device struct {
	t      testing.TB
	id     string
	seq    uint64
	client paho.Client
}

func connect(t testing.TB, url, id string, with func(*paho.ClientOptions)) *device {
	t.Helper()
	o := paho.NewClientOptions().AddBroker(strings.Replace(url, "mqtt://", "tcp://", 1)).SetClientID(id).SetAutoReconnect(false).SetConnectTimeout(5 * time.Second)
	if with != nil {
		with(o)
	}
	c := paho.NewClient(o)
	if tok := c.Connect(); tok.Wait() && tok.Error() != nil {
		t.Fatalf("%s: %v", id, tok.Error())
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return &device{t: t, id: id, client: c}
}

func (d *device) raw(leaf string, retained bool, payload []byte) {
	d.t.Helper()
	if tok := d.client.Publish("cw/"+d.id+"/"+leaf, 1, retained, payload); tok.Wait() && tok.Error() != nil {
		d.t.Fatal(tok.Error())
	}
}

func (d *device) envelope(typ protocol.Type, body any) []byte {
	d.t.Helper()
	raw, err := protocol.NewBody(body)
	if err != nil {
		d.t.Fatal(err)
	}
	d.seq++
	out, err := protocol.MarshalEnvelope(protocol.Envelope{V: 1, Device: d.id, Epoch: "9a0b1c2d", Seq: d.seq, Type: typ, Body: raw,
		At: protocol.Time{Wall: time.Now().UTC().Format(time.RFC3339Nano), Trusted: true, Boot: "1f2e3d4c", MonoMS: int64(d.seq)}})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

func (d *device) send(typ protocol.Type, body any) {
	leaf, err := protocol.LeafFor(typ)
	if err != nil {
		d.t.Fatal(err)
	}
	d.raw(string(leaf), false, d.envelope(typ, body))
}

func count(t testing.TB, s *store.Store, q string) int {
	t.Helper()
	n := 0
	if err := s.DB.QueryRow(q).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A fault goes from the device to the operator's server: signed, once, with what to
// do; then its change and its end.
func TestAFaultReachesTheWebhook(t *testing.T) {
	url, _ := backendtest.Mosquitto(t, open)
	type got struct {
		store.CloudEvent
		Body struct{ Alert store.Alert }
	}
	events := make(chan got, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var ts int64
		fmt.Sscan(req.Header.Get("webhook-timestamp"), &ts)
		want, err := webhook.Sign(req.Header.Get("webhook-id"), ts, body, secret)
		if err != nil || req.Header.Get("webhook-signature") != want {
			t.Errorf("signature %q, want %q", req.Header.Get("webhook-signature"), want)
		}
		var g got
		if err := json.Unmarshal(body, &g.CloudEvent); err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal(g.Data, &g.Body); err != nil || g.ID != req.Header.Get("webhook-id") {
			t.Errorf("%v, id %s", err, g.ID)
		}
		events <- g
	}))
	defer hook.Close()
	r, _ := running(t, Config{Database: "sqlite:" + t.TempDir() + "/cw.db", Broker: url, Share: "cw"})
	if _, err := AddEndpoint(t.Context(), r.Store(), "cw", "", hook.URL, secret, "alert.*", true); err != nil {
		t.Fatal(err)
	}
	d := connect(t, url, "cw-1", nil)
	since := protocol.Time{Wall: "2026-11-22T04:20:22.000Z", Trusted: true, Boot: "1f2e3d4c", MonoMS: 5}
	alert := protocol.Alert{Incident: "abc", Class: "over_quota", Verdict: "likely", Since: since, Act: &protocol.Action{Who: "owner", Code: "over_quota.pool"}}
	expect := func(want string) {
		t.Helper()
		select {
		case g := <-events:
			if g.Type != want || g.Body.Alert.Class != "over_quota" || g.Body.Alert.Dev != "cw-1" {
				t.Errorf("event %s of %+v, want %s", g.Type, g.Body.Alert, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no %s", want)
		}
	}
	d.send(protocol.TypeAlert, alert)
	expect("alert.raised")
	alert.Verdict = "confirmed"
	d.send(protocol.TypeAlert, alert)
	expect("alert.changed")
	d.send(protocol.TypeClear, protocol.Clear{Incident: "abc", Class: "over_quota", Since: since, EndedBy: "cycle_start"})
	expect("alert.cleared")
}

// A receiver that starts later knows the fleet from what is retained: who is there, who
// is not, and which fault stands.
func TestWhatStoodBeforeItStarted(t *testing.T) {
	url, _ := backendtest.Mosquitto(t, open)
	d := connect(t, url, "cw-1", nil)
	d.raw("w", true, protocol.MarshalStatus(protocol.Status{Boot: "1f2e3d4c", MonoMS: 5}))
	last, err := os.ReadFile("../../testdata/golden/last.json")
	if err != nil {
		t.Fatal(err)
	}
	d.raw("l", true, bytes.TrimSpace(last))
	r, _ := running(t, Config{Database: "sqlite:" + t.TempDir() + "/cw.db", Broker: url, Share: "cw"})
	var list []*store.Alert
	within(t, 20*time.Second, "the alert", func() bool {
		list, err = r.Store().Alerts(t.Context(), "cw", false, 0, 10)
		return err == nil && len(list) == 1
	})
	if a := list[0]; a.Class != "over_quota" || a.Who != "owner" || a.Incident != "3f9c01d2a7e4" {
		t.Errorf("%+v", a)
	}
	within(t, 20*time.Second, "the status", func() bool {
		devices, err := r.Store().Devices(t.Context(), "cw", "", 10)
		return err == nil && len(devices) == 1 && devices[0].Up != nil && !*devices[0].Up
	})
}

// What no device sends: refused, counted, kept to look at, and harmless for the rest.
func TestHostileInput(t *testing.T) {
	url, _ := backendtest.Mosquitto(t, open)
	for name, db := range map[string]string{"sqlite": "sqlite:" + t.TempDir() + "/cw.db", "postgres": ""} {
		t.Run(name, func(t *testing.T) {
			if db == "" {
				db, _ = backendtest.Postgres(t, false)
			}
			r, _ := running(t, Config{Database: db, Broker: url, Share: "cw" + name, ClientID: name})
			d := connect(t, url, "evil-"+name, nil)
			d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "first"})
			within(t, 20*time.Second, "the first", func() bool { return count(t, r.Store(), "SELECT count(*) FROM event") == 1 })

			nasty := []string{`'; DROP TABLE device; --`, `<script>alert(1)</script>`, "\u0000", `\u0000`, "\U0010ffff", strings.Repeat("A", 1800), "{{.}}", "../../etc/passwd"}
			good := 1
			for _, text := range nasty {
				d.send(protocol.TypeEvent, protocol.MachineEvent{Name: text, Level: text, Data: json.RawMessage(`{"x":` + quoted(text) + `}`)})
				d.send(protocol.TypeState, protocol.State{Class: text, Verdict: text, RAT: text, PLMN: text, AgentV: text, Modem: text, Counts: map[string]int{text: 1}})
				short := text[:min(len(text), 900)]
				since := protocol.Time{Wall: short, Boot: short, MonoMS: -1 << 62}
				d.send(protocol.TypeAlert, protocol.Alert{Incident: short, Class: short, Verdict: short, Since: since, Act: &protocol.Action{Who: short, What: short, Code: short, ResumesAt: short}})
				d.send(protocol.TypeBlind, protocol.Blind{Incident: short, Why: short, Since: since, Port: short, Holder: short})
				d.send(protocol.TypeReply, protocol.Reply{ID: short, Error: short})
				d.send(protocol.TypeInventory, protocol.Inventory{Why: short, ICCID: short})
				good += 5 // the state is not an event
			}
			huge := 1e300
			d.send(protocol.TypeState, protocol.State{RSRP: &huge, UsedBytes: 1<<64 - 1, QuotaBytes: 1<<64 - 1, Waiting: -1 << 62, UptimeS: 1<<63 - 1})
			var bomb bytes.Buffer
			zw := gzip.NewWriter(&bomb)
			_, _ = zw.Write(bytes.Repeat([]byte(" "), 50<<20))
			_ = zw.Close()
			other := connect(t, url, "forger-"+name, nil)
			for _, payload := range [][]byte{bomb.Bytes(), []byte("{"), []byte(""), []byte("null"), []byte(`{"v":1}`), []byte(`{"v":2,"dev":"x"}`), {0x1f, 0x8b}, []byte("\xff\xfe"),
				[]byte(strings.Repeat(`{"a":`, 2000)), bytes.Repeat([]byte("x"), 65<<10), d.envelope(protocol.TypeEvent, protocol.MachineEvent{Name: "forged"})} {
				other.raw("e", false, payload)
				other.raw("w", false, payload)
				other.raw("l", false, payload)
			}
			// 10 MB: the broker keeps it from us.
			other.raw("e", false, bytes.Repeat([]byte("y"), 10<<20))
			// Epoch after epoch, and numbers beyond all.
			for i := range 60 {
				raw := []byte(fmt.Sprintf(`{"v":1,"dev":"forger-%s","ep":"%08x","seq":%d,"type":"event","at":{"wall":"","ok":false,"mono":0},"body":{"name":"e"}}`, name, i, 1+i%3*(1<<60)))
				other.raw("e", false, raw)
			}
			d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "last"})
			within(t, 60*time.Second, "the last good one", func() bool {
				return count(t, r.Store(), "SELECT count(*) FROM event WHERE CAST(body AS text) LIKE '%\"last\"%'") == 1
			})
			dev := count(t, r.Store(), "SELECT id FROM device WHERE dev = 'evil-"+name+"'")
			if n := count(t, r.Store(), fmt.Sprintf("SELECT count(*) FROM event WHERE device = %d", dev)); n != good+1 {
				t.Errorf("%d events of the device with odd texts, want %d", n, good+1)
			}
			if n := count(t, r.Store(), "SELECT count(*) FROM stream"); n > 1+store.DefaultLimits.EpochBurst {
				t.Errorf("%d epochs", n)
			}
			for _, reason := range []string{"forged", "unreadable", "epochs", "too_large", "refused"} {
				if count(t, r.Store(), "SELECT count(*) FROM rejected WHERE reason = '"+reason+"'") == 0 {
					t.Errorf("nothing was rejected as %s", reason)
				}
			}
			if n := count(t, r.Store(), "SELECT count(*) FROM rejected WHERE length(head) > 1024"); n > 0 {
				t.Errorf("%d rejected rows hold more than 1 KB", n)
			}
			// The page shows it all as text.
			res, err := http.Get("http://" + r.Addr() + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close() //nolint:errcheck // only read
			html, err := io.ReadAll(res.Body)
			if err != nil || bytes.Contains(html, []byte("<script>")) {
				t.Errorf("%v; the page has a script of the device's", err)
			}
		})
	}
}

func quoted(s string) string { raw, _ := json.Marshal(s); return string(raw) }

// PostgreSQL goes away under load: nothing is acknowledged meanwhile, the connection to
// the broker stays, and afterwards all is there once.
func TestDatabaseAway(t *testing.T) {
	db, pg := backendtest.Postgres(t, true)
	url, _ := backendtest.Mosquitto(t, open)
	r, _ := running(t, Config{Database: db, Broker: url, Share: "cw"})
	d := connect(t, url, "cw-1", nil)
	for range 100 {
		d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "sale"})
	}
	within(t, 20*time.Second, "the first hundred", func() bool { return count(t, r.Store(), "SELECT count(*) FROM event") == 100 })
	pg.Kill()
	for range 2000 {
		d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "sale"})
	}
	within(t, 20*time.Second, "a try that failed", func() bool { return r.stats.Retries.Load() >= 3 })
	res, err := http.Get("http://" + r.Addr() + "/healthz")
	if err != nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("healthz %v, %v", res.Status, err)
	}
	_ = res.Body.Close()
	if !up(r) {
		t.Error("the connection to the broker ended")
	}
	pg.Start()
	within(t, 60*time.Second, "all of them", func() bool {
		n := 0
		return r.Store().DB.QueryRow("SELECT count(*) FROM event").Scan(&n) == nil && n == 2100
	})
	if n := count(t, r.Store(), "SELECT count(DISTINCT seq) FROM event"); n != 2100 {
		t.Errorf("%d different", n)
	}
}

// Two receivers share the work; one dies with its share and comes back to it.
func TestTwoReceivers(t *testing.T) {
	db, _ := backendtest.Postgres(t, false)
	url, _ := backendtest.Mosquitto(t, open)
	a, _ := running(t, Config{Database: db, Broker: url, Share: "cw", ClientID: "cw-receiver-1"})
	b, stop := running(t, Config{Database: db, Broker: url, Share: "cw", ClientID: "cw-receiver-2"})
	d := connect(t, url, "cw-1", nil)
	// The subscriptions of both are made when both have taken something.
	within(t, 20*time.Second, "both at work", func() bool {
		d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "sale"})
		return a.stats.New.Load() > 0 && b.stats.New.Load() > 0
	})
	if a.holder.Load() == b.holder.Load() {
		t.Error("not exactly one holds the retained topics")
	}
	stop()
	for range 200 {
		d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "sale"})
	}
	if _, err := New(t.Context(), Config{Database: db, Broker: url, AMQP: "x"}); err == nil {
		t.Error("two brokers are taken")
	}
	running(t, Config{Database: db, Broker: url, Share: "cw", ClientID: "cw-receiver-2"})
	within(t, 30*time.Second, "the share of the one that was away", func() bool {
		return count(t, a.Store(), "SELECT count(*) FROM event") == int(d.seq)
	})
	within(t, 20*time.Second, "one that holds the retained topics", func() bool { return true })
}
