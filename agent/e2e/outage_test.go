package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// Events before, during and after an outage of the broker, with a kill -9 of
// the agent in the middle of it: each that the agent said it had arrives, once
// after deduplication, in order.
func TestNothingAcceptedIsLost(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	b := newBroker(t, nil, "127.0.0.1", "")
	k := newBackend(b)
	m := newMachine(t, nil, plain("none")+fmt.Sprintf("[uplink]\nbrokers = [%q]\n", b.url()))
	m.start()
	m.connected()
	var accepted []string
	put := func(phase string, n int) {
		t.Helper()
		for i := range n {
			name := fmt.Sprintf("%s.%02d", phase, i)
			if !m.put(name) {
				t.Errorf("%s is refused", name)
				continue
			}
			accepted = append(accepted, name)
		}
	}
	const each = 20
	put("before", each)
	b.stop()
	put("outage", each)
	m.kill()
	if m.put("while.dead") {
		t.Error("an event is accepted by nobody")
	}
	m.start()
	put("restarted", each)
	m.signal(syscall.SIGKILL) // and once more, without any pause
	m.start()
	put("again", each)
	b.start()
	put("after", each)
	back := time.Now()
	until(t, "every event at the backend", patient, func() bool { return len(k.names()) >= len(accepted) })
	got := k.names()
	if fmt.Sprint(got) != fmt.Sprint(accepted) {
		t.Errorf("arrived\n%v\naccepted\n%v", got, accepted)
	}
	all, _ := k.seen()
	t.Logf("FIGURE outage: %d events accepted, %d arrived once, %d messages came twice, 2 kills, all there %s after the broker was back",
		len(accepted), len(got), len(all)-len(k.once()), seconds(time.Since(back)))
	// The epoch is the store's: a kill must not begin a new one.
	epochs := map[string]bool{}
	for _, e := range k.once() {
		epochs[e.Epoch] = true
	}
	if len(epochs) != 1 {
		t.Errorf("%d epochs", len(epochs))
	}
	until(t, "an empty queue", patient, func() bool { return m.status().Outbox.Waiting == 0 })
}
