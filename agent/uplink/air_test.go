package uplink

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
)

// weight is what has gone over a connection: what is billed, by the kernel's count of
// segments, and the payload in it, which no pace changes.
type weight struct{ air, payload uint64 }

func (w weight) less(o weight) weight { return weight{w.air - o.air, w.payload - o.payload} }

func least(a, b weight) weight { return weight{min(a.air, b.air), min(a.payload, b.payload)} }

var heaviest = weight{1 << 40, 1 << 40}

// weigh gives what has gone over the wire, when it has been quiet for longer
// than a delayed acknowledgement (40 ms).
func (r *running) weigh() weight {
	r.t.Helper()
	c := r.conn.Load()
	for last := (weight{}); ; {
		c.ask()
		w := weight{c.wire(), c.sent.Load() + c.received.Load()}
		if w == last {
			return w
		}
		last = w
		<-time.After(120 * time.Millisecond) // no event tells of the last ACK
	}
}

// sized makes an alert whose envelope has n bytes.
func (s *store) sized(n int) {
	a := protocol.Alert{Class: "over_quota", Verdict: "confirmed", DecideBy: "x"}
	seq := s.next + 1
	body, err := protocol.NewBody(a)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := protocol.MarshalEnvelope(protocol.Envelope{V: 1, Device: device, Epoch: "9a0b1c2d", Seq: seq, Type: protocol.TypeAlert, Body: body,
		At: protocol.Time{Wall: "2026-11-22T04:21:07.250Z", Trusted: true, Boot: "1f2e3d4c", MonoMS: 86_400_250 + int64(seq)*1013}})
	if err != nil {
		s.t.Fatal(err)
	}
	a.DecideBy = strings.Repeat("x", n-len(raw)+1)
	s.add(protocol.TypeAlert, true, a)
}

// TestOnTheAir holds the figures of what is billed: TCP payload plus a header of 52 B
// for each segment that the kernel counted, over TLS 1.3 to mosquitto. A busy machine
// acknowledges more often, so the segments are judged by make bench alone, and always
// the payload.
func TestOnTheAir(t *testing.T) {
	t.Parallel()
	m, a := secure(t, "")
	file := filepath.Join(t.TempDir(), "tls-sessions")
	run := func(keepAlive time.Duration) *running {
		return start(t, newStore(t), func(o *Options) {
			o.Brokers = overTLS(m.addr)
			o.TLS = TLS{CAFile: a.file, SessionFile: file}
			o.Timing.KeepAlive = keepAlive
		})
	}
	quiet := os.Getenv(benchEnv) != ""
	figure := func(what string, air, bar, payload, payloadBar float64) {
		t.Helper()
		t.Logf("%-52s %8.1f B on the air (bar %.0f), payload %.1f B (bar %.0f)", what, air, bar, payload, payloadBar)
		if payload > payloadBar || quiet && air > bar {
			t.Errorf("%s: %.1f B on the air, the bar is %.0f B; payload %.1f B, the bar is %.0f B", what, air, bar, payload, payloadBar)
		}
	}

	r := run(time.Minute)
	find[Connected](r, 0, nil)
	full := r.weigh()
	r.stop()
	all, atConnack := heaviest, uint64(1<<20)
	for range 3 {
		r = run(time.Minute) // the agent was restarted
		if e, _ := find[Connected](r, 0, nil); !e.Resumed {
			t.Fatal("not resumed")
		}
		all = least(all, r.weigh())
		r.mu.Lock()
		atConnack = min(atConnack, r.atConnack+headerV4) // the acknowledgement of the CONNACK
		r.mu.Unlock()
		r.stop()
	}
	r = run(time.Minute)
	find[Connected](r, 0, nil)
	t.Logf("full handshake, subscription and status: %d B on the air, payload %d B", full.air, full.payload)
	figure("TLS reconnect, resumed after a restart", float64(atConnack), 1900, float64(all.payload), 1500)

	lone := heaviest
	for range 5 {
		before := r.weigh()
		r.store.sized(300)
		r.empty()
		lone = least(lone, r.weigh().less(before))
	}
	figure("one lone alert of 300 B", float64(lone.air), 550, float64(lone.payload), 400)

	before := r.weigh()
	const n = 3200
	for i := range n {
		r.store.event(i)
	}
	r.empty()
	drain := r.weigh().less(before)
	figure(fmt.Sprintf("per event of 280 B in a drain of %d", n), float64(drain.air)/n, 60, float64(drain.payload)/n, 55)

	r.stop()
	r = run(time.Second)
	find[Connected](r, 0, nil)
	ping := heaviest
	for range 4 { // the least: there may be two in one look
		before := r.weigh()
		now := before
		for now == before {
			now = r.weigh()
		}
		ping = least(ping, now.less(before))
	}
	pings := (24 * time.Hour).Seconds() / (DefaultTiming.KeepAlive - pingLead).Seconds()
	t.Logf("one ping and its answer: %d B on the air, payload %d B", ping.air, ping.payload)
	figure("an idle day, from the ping", float64(ping.air)*pings, 15_000, float64(ping.payload)*pings, 5000)
	const report = 400 - 300 // a state report of 400 B goes like an alert
	figure("a default day: 24 reports, pings, two reconnects",
		24*float64(lone.air+report)+float64(ping.air)*pings+2*float64(all.air), 40_000,
		24*float64(lone.payload+report)+float64(ping.payload)*pings+2*float64(all.payload), 20_000)
}

// TestWireMatchesKernel: what Traffic reports is what went, and no byte twice.
func TestWireMatchesKernel(t *testing.T) {
	addr, _ := embedded(t)
	p := newProxy(t, addr)
	s := newStore(t)
	r := start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + p.addr} })
	for i := range 200 {
		s.event(i)
	}
	r.empty()
	r.stop()
	p.l.Close()
	p.wg.Wait()
	var sum Traffic
	r.mu.Lock()
	for _, e := range r.events {
		if tr, ok := e.(Traffic); ok {
			sum.SentBytes += tr.SentBytes
			sum.ReceivedBytes += tr.ReceivedBytes
			sum.WireBytes += tr.WireBytes
		}
	}
	r.mu.Unlock()
	if int64(sum.SentBytes) != p.up.Load() || int64(sum.ReceivedBytes) != p.down.Load() {
		t.Errorf("reported %d up, %d down; the proxy saw %d, %d", sum.SentBytes, sum.ReceivedBytes, p.up.Load(), p.down.Load())
	}
	payload := sum.SentBytes + sum.ReceivedBytes
	if sum.WireBytes < payload+7*headerV4 || sum.WireBytes > payload+uint64(p.packets.Load()+10)*2*headerV4 {
		t.Errorf("%d B on the wire for %d B of payload in %d packets", sum.WireBytes, payload, p.packets.Load())
	}
}
