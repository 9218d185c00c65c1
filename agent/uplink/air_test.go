package uplink

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
)

// weigh gives what has gone over the wire, when it has been quiet for longer
// than a delayed acknowledgement (40 ms).
func (r *running) weigh() uint64 {
	r.t.Helper()
	c := r.conn.Load()
	for last := uint64(0); ; {
		c.ask()
		w := c.wire()
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

// TestOnTheAir holds the figures of what is billed: TCP payload plus a header
// of 52 B for each segment that the kernel counted, over TLS 1.3 to mosquitto.
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
	figure := func(what string, have, bar float64) {
		t.Helper()
		t.Logf("%-52s %8.1f B   (bar %.0f)", what, have, bar)
		if have > bar {
			t.Errorf("%s: %.1f B, the bar is %.0f B", what, have, bar)
		}
	}

	r := run(time.Minute)
	find[Connected](r, 0, nil)
	full := r.weigh()
	r.stop()
	all, atConnack := uint64(1<<20), uint64(1<<20)
	for range 3 { // the least: a busy test machine acknowledges more often
		r = run(time.Minute) // the agent was restarted
		if e, _ := find[Connected](r, 0, nil); !e.Resumed {
			t.Fatal("not resumed")
		}
		all = min(all, r.weigh())
		r.mu.Lock()
		atConnack = min(atConnack, r.atConnack+headerV4) // the acknowledgement of the CONNACK
		r.mu.Unlock()
		r.stop()
	}
	r = run(time.Minute)
	find[Connected](r, 0, nil)
	t.Logf("full handshake, subscription and status:             %6d B", full)
	figure("TLS reconnect, resumed after a restart, to CONNACK", float64(atConnack), 1900)
	t.Logf("the same with subscription and online status:       %6d B", all)

	lone := 1e9
	for range 5 {
		before := r.weigh()
		r.store.sized(300)
		r.empty()
		lone = min(lone, float64(r.weigh()-before))
	}
	figure("one lone alert of 300 B", lone, 550)

	before := r.weigh()
	const n = 3200
	for i := range n {
		r.store.event(i)
	}
	r.empty()
	figure(fmt.Sprintf("per event of 280 B in a drain of %d", n), float64(r.weigh()-before)/n, 60)

	r.stop()
	r = run(time.Second)
	find[Connected](r, 0, nil)
	ping := 1e9
	for range 2 {
		before := r.weigh()
		for r.weigh() == before {
		}
		ping = min(ping, float64(r.weigh()-before))
	}
	day := ping * (24 * time.Hour).Seconds() / (DefaultTiming.KeepAlive - pingLead).Seconds()
	t.Logf("one ping and its answer: %.0f B", ping)
	figure("an idle day, from the ping", day, 15_000)
	report := lone - 300 + 400 // a state report of 400 B goes like an alert
	figure("a default day: 24 reports, pings, two reconnects", 24*report+day+2*float64(all), 40_000)
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
