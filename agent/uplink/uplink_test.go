package uplink

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"cellwarden/protocol"
)

// broker that reads packets and answers as the test says: it is how a broker
// that lies is made. answer gets each packet; what it returns is sent.
func fakeBroker(t testing.TB, answer func(packets.ControlPacket) []byte) string {
	return server(t, func(c net.Conn) {
		for {
			p, err := packets.ReadPacket(c)
			if err != nil {
				return
			}
			if out := answer(p); out != nil {
				if _, err := c.Write(out); err != nil {
					return
				}
			}
		}
	})
}

func puback(id uint16) []byte { return []byte{0x40, 2, byte(id >> 8), byte(id)} }

var connackOK = []byte{0x20, 2, 0, 0}

// TestAckOnlyAfterPuback: the store is told of a delivery when the PUBACK is
// there, and not when the bytes are written.
func TestAckOnlyAfterPuback(t *testing.T) {
	got := make(chan uint16, 16)
	release := make(chan struct{})
	answer := sync.OnceFunc(func() { close(release) })
	addr := fakeBroker(t, func(p packets.ControlPacket) []byte {
		switch p := p.(type) {
		case *packets.ConnectPacket:
			return connackOK
		case *packets.SubscribePacket:
			return []byte{0x90, 3, byte(p.MessageID >> 8), byte(p.MessageID), 1}
		case *packets.PublishPacket:
			if strings.HasSuffix(p.TopicName, "/a") {
				got <- p.MessageID
				<-release
			}
			return puback(p.MessageID)
		}
		return nil
	})
	t.Cleanup(answer)
	s := newStore(t)
	seq := s.alert("sim_absent")
	r := start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + addr} })
	<-got
	if acked := s.ackedSeqs(); len(acked) != 0 {
		t.Fatalf("acknowledged %v before the PUBACK", acked)
	}
	answer()
	e, _ := find(r, 0, func(e Delivered) bool { return true })
	if !slices.Equal(e.Seqs, []uint64{seq}) || !slices.Equal(s.ackedSeqs(), []uint64{seq}) {
		t.Errorf("delivered %v, acknowledged %v, want %d", e.Seqs, s.ackedSeqs(), seq)
	}
}

// TestWindow: no more batches of the backlog than the window says are under way,
// and an alert goes beside them.
func TestWindow(t *testing.T) {
	for _, window := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			t.Parallel()
			batches, alerts := make(chan struct{}, 100), make(chan struct{}, 100)
			addr := fakeBroker(t, func(p packets.ControlPacket) []byte {
				switch p := p.(type) {
				case *packets.ConnectPacket:
					return connackOK
				case *packets.SubscribePacket:
					return []byte{0x90, 3, byte(p.MessageID >> 8), byte(p.MessageID), 1}
				case *packets.PublishPacket:
					switch {
					case strings.HasSuffix(p.TopicName, "/w"):
						return puback(p.MessageID)
					case strings.HasSuffix(p.TopicName, "/a"):
						alerts <- struct{}{}
					default:
						batches <- struct{}{} // and no answer
					}
				}
				return nil
			})
			s := newStore(t)
			for i := range 600 {
				s.event(i)
			}
			start(t, s, func(o *Options) {
				o.Brokers, o.Window, o.Timing.Ack = []string{"tcp://" + addr}, window, patient
			})
			want := window
			if window == 0 {
				want = defaultWindow
			}
			for range want {
				select {
				case <-batches:
				case <-time.After(patient):
					t.Fatal("fewer batches than the window")
				}
			}
			s.alert("sim_absent")
			select {
			case <-alerts: // in order behind whatever went too far
			case <-time.After(patient):
				t.Fatal("the alert waits behind the window")
			}
			if n := len(batches); n > 0 {
				t.Errorf("%d batches beyond the window of %d", n, want)
			}
		})
	}
}

// TestAlertPassesBacklog: with 10,000 events waiting and a drain that is slow
// on purpose, a new alert is there before the backlog is.
func TestAlertPassesBacklog(t *testing.T) {
	addr, _ := embedded(t)
	b := newBackend(t, addr)
	s := newStore(t)
	const backlog = 10_000
	for i := range backlog {
		s.event(i)
	}
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Timing.DrainPerSec = 20_000 // 15 batches a second: the drain would take 20 s
	})
	b.until("the drain to begin", func() bool { return len(b.order) > 100 })
	began := time.Now()
	seq := s.alert("over_quota")
	b.until("the alert", func() bool {
		return slices.ContainsFunc(b.order, func(e protocol.Envelope) bool { return e.Seq == seq })
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	t.Logf("alert after %s, %d of %d events were before it", time.Since(began).Round(time.Millisecond), len(b.order)-1, backlog)
	if len(b.order) > backlog/4 {
		t.Errorf("the alert came after %d of %d events", len(b.order), backlog)
	}
	if n := r.count(func(e Event) bool { d, ok := e.(Delivered); return ok && len(d.Seqs) > protocol.BatchItems }); n > 0 {
		t.Errorf("%d batches above the limit", n)
	}
}

// TestLoneAlertGoesAlone: no linger, no gzip, readable by mosquitto_sub.
func TestLoneAlertGoesAlone(t *testing.T) {
	addr, srv := embedded(t)
	payloads := make(chan []byte, 1)
	if err := srv.Subscribe("cw/+/a", 1, inline(func(p []byte) { payloads <- p })); err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Timing.Linger = time.Hour
	})
	find[Connected](r, 0, nil)
	<-s.idle
	s.event(1)
	s.alert("sim_absent")
	select {
	case p := <-payloads:
		if p[0] != '{' {
			t.Errorf("payload begins with %#x", p[0])
		}
	case <-time.After(patient):
		t.Fatal("no alert; the linger of events held it")
	}
	if waiting, _ := s.left(); waiting != 1 {
		t.Errorf("%d events waiting, want the one that lingers", waiting)
	}
}

// TestEventsTravelTogether: what comes within the linger makes one PUBLISH.
func TestEventsTravelTogether(t *testing.T) {
	addr, srv := embedded(t)
	sizes := make(chan int, 10)
	if err := srv.Subscribe("cw/+/e", 1, inline(func(p []byte) {
		list, err := protocol.DecodePublish("cw/"+device+"/e", p)
		if err != nil {
			t.Error(err)
		}
		sizes <- len(list)
	})); err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Timing.Linger = 300 * time.Millisecond
	})
	find[Connected](r, 0, nil)
	<-s.idle
	s.event(1)
	s.event(2)
	s.event(3)
	r.empty()
	if n := <-sizes; n != 3 {
		t.Errorf("first PUBLISH held %d events, want 3", n)
	}
}

// TestByteBudget: without budget events wait, alerts go.
func TestByteBudget(t *testing.T) {
	addr, _ := embedded(t)
	s := newStore(t)
	event := s.event(1)
	alert := s.alert("over_quota")
	asked := make(chan int, 100)
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Admit = func(_ protocol.Type, n int) bool { asked <- n; return false }
	})
	find(r, 0, func(e Delivered) bool { return slices.Contains(e.Seqs, alert) })
	if n := <-asked; n < 200 {
		t.Errorf("asked for %d bytes: less than the event has", n)
	}
	r.stop()
	if slices.Contains(s.ackedSeqs(), event) {
		t.Error("the event went without budget")
	}
	if waiting, flying := s.left(); waiting != 1 || flying != 0 {
		t.Errorf("%d waiting, %d under way; want 1, 0", waiting, flying)
	}
}

// TestUnsendable: a message without a topic does not stand in the way for ever.
func TestUnsendable(t *testing.T) {
	addr, _ := embedded(t)
	s := newStore(t)
	bad := s.add("weather", true, struct{}{})
	good := s.alert("sim_absent")
	r := start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + addr} })
	e, _ := find[Unsendable](r, 0, nil)
	if e.Seq != bad || !strings.Contains(e.Err.Error(), "weather") {
		t.Errorf("%+v", e)
	}
	find(r, 0, func(e Delivered) bool { return slices.Contains(e.Seqs, good) })
}

// TestCommands: they reach the owner raw, with what the broker knew of them,
// and no faster than the limit.
func TestCommands(t *testing.T) {
	addr, srv := embedded(t)
	topic := "cw/" + device + "/d"
	if err := srv.Publish(topic, []byte("kept"), true, 1); err != nil {
		t.Fatal(err)
	}
	s := newStore(t)
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Timing.Look = 20 * time.Millisecond
	})
	first, at := find[Commanded](r, 0, nil)
	if string(first.Raw) != "kept" || !first.Retained || first.At.IsZero() {
		t.Errorf("%+v", first)
	}
	for range 3 * commandBurst {
		if err := srv.Publish(topic, []byte("now"), false, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := srv.Publish(topic, make([]byte, protocol.MaxCommand+1), false, 1); err != nil {
		t.Fatal(err)
	}
	second, _ := find[Commanded](r, at, nil)
	if string(second.Raw) != "now" || second.Retained {
		t.Errorf("%+v", second)
	}
	dropped := func() (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.events {
			if d, ok := e.(CommandDropped); ok {
				n += d.Count
			}
		}
		return n
	}
	taken := func() int { return r.count(func(e Event) bool { _, ok := e.(Commanded); return ok }) }
	r.until("the flood to be counted", func() bool { return taken()+dropped() >= 3*commandBurst })
	if n := taken(); n > commandBurst {
		t.Errorf("%d commands passed at once, the limit is %d", n, commandBurst)
	}
}

// TestSubscriptionRefused: a broker that refuses the command topic still gets alerts.
func TestSubscriptionRefused(t *testing.T) {
	addr := fakeBroker(t, func(p packets.ControlPacket) []byte {
		switch p := p.(type) {
		case *packets.ConnectPacket:
			return connackOK
		case *packets.SubscribePacket:
			return []byte{0x90, 3, byte(p.MessageID >> 8), byte(p.MessageID), 0x80}
		case *packets.PublishPacket:
			return puback(p.MessageID)
		}
		return nil
	})
	s := newStore(t)
	r := start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + addr} })
	if e, _ := find[Unsubscribed](r, 0, nil); e.Topic != "cw/"+device+"/d" {
		t.Errorf("%+v", e)
	}
	s.alert("sim_absent")
	r.empty()
}

// TestConnackRefusals: each code has its name and a hint, and is not knocked at soon.
func TestConnackRefusals(t *testing.T) {
	for code, want := range map[byte]Why{1: WhyProtocol, 2: WhyClientID, 4: WhyCredentials, 5: WhyNotAuthorised} {
		t.Run(string(want), func(t *testing.T) {
			addr := fakeBroker(t, func(packets.ControlPacket) []byte { return []byte{0x20, 2, 0, code} })
			s := newStore(t)
			r := start(t, s, func(o *Options) {
				o.Brokers = []string{"tcp://" + addr}
				o.Timing.RefusedMin, o.Timing.RefusedMax = time.Hour, time.Hour
			})
			e, at := find[Refused](r, 0, nil)
			if e.Why != want || e.Code != code || e.Hint == "" || !strings.Contains(e.Err.Error(), "refused") {
				t.Errorf("%+v", e)
			}
			w, _ := find[Waiting](r, at, nil)
			if w.Why != WaitRefused || w.For < 30*time.Minute {
				t.Errorf("%+v, want half an hour at least", w)
			}
		})
	}
}

// TestBrokerRotation: the second broker of the list is tried when the first is
// not there, and when the first refuses.
func TestBrokerRotation(t *testing.T) {
	addr, _ := embedded(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	refusing := fakeBroker(t, func(packets.ControlPacket) []byte { return []byte{0x20, 2, 0, 5} })
	s := newStore(t)
	s.alert("sim_absent")
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + closed.Addr().String(), "tcp://" + refusing, "tcp://" + addr}
		o.Timing.RefusedMin = time.Hour
	})
	if e, _ := find[Unreachable](r, 0, nil); e.Why != WhyConnect {
		t.Errorf("%+v", e)
	}
	if e, _ := find[Refused](r, 0, nil); e.Why != WhyNotAuthorised {
		t.Errorf("%+v", e)
	}
	if e, _ := find[Connected](r, 0, nil); e.Broker != "tcp://"+addr {
		t.Errorf("%+v", e)
	}
	r.empty()
}

// TestPreferredBrokerFirst: after a connection that worked the list begins anew.
func TestPreferredBrokerFirst(t *testing.T) {
	addr, _ := embedded(t)
	second := newProxy(t, addr)
	first := freeAddr(t)
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + first, "tcp://" + second.addr}
		o.Timing.Stable = time.Nanosecond
	})
	_, at := find[Connected](r, 0, func(e Connected) bool { return e.Broker == "tcp://"+second.addr })
	second.cut()
	if e, _ := find[Connecting](r, at, nil); e.Broker != "tcp://"+first {
		t.Errorf("tried %s first", e.Broker)
	}
}

// TestBadOptions: Run says at once what is wrong and how to put it right.
func TestBadOptions(t *testing.T) {
	good := Options{Device: device, Brokers: []string{"tcp://localhost"}, Source: newStore(t), Now: now, OnEvent: func(Event) {}}
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no broker", func(o *Options) { o.Brokers = nil }, "no broker; give one"},
		{"scheme", func(o *Options) { o.Brokers = []string{"http://h:1"} }, "use tcp:// or ssl://"},
		{"no scheme", func(o *Options) { o.Brokers = []string{"broker.example"} }, "not understood"},
		{"password in the address", func(o *Options) { o.Brokers = []string{"tcp://u:secret@h"} }, "into their own settings"},
		{"device", func(o *Options) { o.Device = "a/b" }, "device id"},
		{"prefix", func(o *Options) { o.Prefix = "a//b" }, "empty level"},
		{"half a certificate", func(o *Options) { o.TLS.CertFile = "x" }, "file of its key"},
		{"pin", func(o *Options) { o.TLS.Pins = []string{"abc"} }, "44 characters"},
		{"no source", func(o *Options) { o.Source = nil }, "Source"},
	} {
		o := good
		tt.change(&o)
		err := New(o).Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the password is in the error: %v", tt.name, err)
		}
	}
}

// TestSilentLink: a path that swallows everything is noticed while publishing
// within the bound, and by the ping while idle; what was under way comes again.
func TestSilentLink(t *testing.T) {
	t.Parallel()
	addr, _ := embedded(t)
	for _, tt := range []struct {
		name    string
		publish bool
		want    Why
	}{
		{"publishing", true, WhyAckTimeout},
		{"idle", false, WhyPing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProxy(t, addr)
			s := newStore(t)
			r := start(t, s, func(o *Options) {
				o.Brokers = []string{"tcp://" + p.addr}
				o.ClientID = "silent-" + tt.name
				o.Timing.KeepAlive = 2 * time.Second
			})
			s.alert("first")
			r.empty()
			p.silent.Store(true)
			began := time.Now()
			if tt.publish {
				s.alert("second")
			}
			e, _ := find[Disconnected](r, 0, nil)
			took := time.Since(began)
			t.Logf("noticed after %s: %v", took.Round(time.Millisecond), e.Err)
			if e.Why != tt.want {
				t.Errorf("%s after %s; want %s", e.Why, took, tt.want)
			}
			p.silent.Store(false)
			r.empty()
		})
	}
}

// TestCutComesAgain: the connection breaks in the middle of a drain, again and
// again; every event arrives, in order.
func TestCutComesAgain(t *testing.T) {
	t.Parallel()
	addr, _ := embedded(t)
	b := newBackend(t, addr)
	p := newProxy(t, addr)
	s := newStore(t)
	const n = 3000
	for i := range n {
		s.event(i)
	}
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + p.addr}
		o.Timing.DrainPerSec = 60_000 // so that the cuts meet it at work
	})
	for i := 1; i <= 5; i++ {
		b.until("part of the drain", func() bool { return len(b.order) > i*300 })
		p.cut()
		r.until("a new connection", func() bool {
			return r.count(func(e Event) bool { _, ok := e.(Connected); return ok }) > i
		})
	}
	r.empty()
	b.until("all", func() bool { return len(b.once()) == n })
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range b.once() {
		if e.Seq != uint64(i+1) {
			t.Fatalf("place %d has seq %d", i, e.Seq)
		}
	}
	t.Logf("%d events, %d came twice, %d connections", n, len(b.order)-n, p.fresh.Load())
	if p.fresh.Load() < 6 {
		t.Errorf("only %d connections: the cuts did nothing", p.fresh.Load())
	}
}

// TestStopsPromptly: told to stop while the path swallows everything, Run ends.
func TestStopsPromptly(t *testing.T) {
	t.Parallel()
	addr := server(t, func(c net.Conn) { io.Copy(io.Discard, c) }) // no CONNACK ever
	s := newStore(t)
	r := start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + addr} })
	find[Connecting](r, 0, nil)
	r.stop() // it waits for Run to end, and fails when that does not

	good, _ := embedded(t)
	p := newProxy(t, good)
	r = start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + p.addr} })
	find[Connected](r, 0, nil)
	p.silent.Store(true)
	s.alert("sim_absent")
	r.stop()
	if waiting, flying := s.left(); waiting != 1 || flying != 0 {
		t.Errorf("%d waiting, %d under way: the alert was not given back", waiting, flying)
	}
}

// TestPingBound: at the default keepalive a silent link is found within one
// keepalive and 10 s. The client library looks at its clock every 5 s.
func TestPingBound(t *testing.T) {
	const look = 5 * time.Second
	for _, ka := range []time.Duration{time.Minute, 4 * time.Minute, 20 * time.Minute} {
		u := New(Options{Device: device})
		o := u.clientOptions(&link{keepAlive: ka, lost: make(chan error, 1)}, "")
		worst := time.Duration(o.KeepAlive)*time.Second + look + o.PingTimeout + look
		if worst > ka+8*time.Second {
			t.Errorf("keepalive %s: found after %s", ka, worst)
		}
		if o.AutoReconnect || !o.CleanSession || o.ConnectRetry || o.WriteTimeout == 0 {
			t.Errorf("client options %+v", o)
		}
	}
}
