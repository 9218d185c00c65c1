package uplink

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
)

// TestLongRetainedMessage: a retained message that is far too long comes with every
// connect, costs its bytes, is told of once, and the session stays.
func TestLongRetainedMessage(t *testing.T) {
	addr, broker := embedded(t)
	p := newProxy(t, addr)
	topic := protocol.Topic{Prefix: protocol.DefaultPrefix, Device: device, Leaf: protocol.LeafCommand}.String()
	if err := broker.Publish(topic, make([]byte, 70_000), true, 1); err != nil {
		t.Fatal(err)
	}
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + p.addr}
		o.Timing.Look = 20 * time.Millisecond
	})
	e, at := find[MessageTooLong](r, 0, nil)
	if e.Bytes < 70_000 || e.Limit != MaxPacket {
		t.Errorf("%+v", e)
	}
	if err := broker.Publish(topic, []byte("{}"), false, 1); err != nil {
		t.Fatal(err)
	}
	_, at = find[Commanded](r, at, nil)
	p.cut()
	_, at = find[Connected](r, at, nil)
	find(r, at, func(tr Traffic) bool { return tr.ReceivedBytes > 70_000 })
	r.stop()
	if n := r.count(func(e Event) bool { _, ok := e.(MessageTooLong); return ok }); n != 1 {
		t.Errorf("said %d times", n)
	}
	if n := r.count(func(e Event) bool { d, ok := e.(Disconnected); return ok && d.Why != WhyStopped }); n != 1 {
		t.Errorf("%d connections were lost, one was cut", n)
	}
}

// TestMoreThanADayMayBring: a broker that publishes to us without end is left, and taken
// again for the messages that go up; commands wait for another day.
func TestMoreThanADayMayBring(t *testing.T) {
	addr, broker := embedded(t)
	topic := protocol.Topic{Prefix: protocol.DefaultPrefix, Device: device, Leaf: protocol.LeafCommand}.String()
	s := newStore(t)
	r := start(t, s, func(o *Options) {
		o.Brokers, o.DayBytes = []string{"tcp://" + addr}, 10_000
		o.Timing.RefusedMin, o.Timing.RefusedMax = 20*time.Millisecond, 20*time.Millisecond
	})
	_, at := find[Connected](r, 0, nil)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // somebody's script in a loop
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = broker.Publish(topic, bytes.Repeat([]byte("x"), 1000), false, 1)
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
	gone, at := find[Disconnected](r, at, nil)
	if gone.Why != WhyFlood || !strings.Contains(gone.Err.Error(), "10000 bytes within a day") {
		t.Errorf("%s: %v", gone.Why, gone.Err)
	}
	_, at = find[Connected](r, at, nil)
	find[DayUsedUp](r, at, nil)
	s.alert("sim_absent")
	r.empty()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events[at:] {
		switch e := e.(type) {
		case Commanded, Disconnected:
			t.Errorf("after the day was used up: %+v", e)
		}
	}
}
