package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/flash"
	"cellwarden/agent/flash/flashtest"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
	"cellwarden/agent/outbox"
	"cellwarden/protocol"
)

// An outbox directory that cannot be used does not stop the agent. It says why, keeps
// what is urgent in memory and gives it to the uplink, and tells the machine that its
// events are not durable. Once the directory is back, what still waits moves there.
func TestAnOutboxThatCannotBeUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		hw := bareHardware(func() instant.Instant {
			return instant.Instant{Boot: "1f2e3d4c", Mono: time.Minute + time.Since(start), Wall: time.Now(), Trusted: true}
		})
		hw.Timer = device.Timer(hw.Now)
		cfg := config.Default
		cfg.Store.Dir = t.TempDir()
		if err := os.WriteFile(filepath.Join(cfg.Store.Dir, "outbox"), []byte("a file"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Config: cfg, Hardware: hw, Log: slog.New(slog.DiscardHandler)}
		box, _, why, err := o.openBox()
		if err != nil || why == nil || !strings.Contains(why.Error(), "kept in memory only") {
			t.Fatalf("%v, %v", why, err)
		}
		q := newQueue("m", box)
		q.lost, q.tag = why, memoryTag
		l, err := newLoop(o, "m", q)
		if err != nil {
			t.Fatal(err)
		}
		disk := flashtest.New(1)
		back := false
		l.openReal = func() (*outbox.Outbox, outbox.Report, error) {
			if !back {
				return nil, outbox.Report{}, errors.New("input/output error")
			}
			return outbox.Open("/o", outbox.Options{FS: disk})
		}
		l.boxAt = hw.Now().Mono + boxRetry
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.run(ctx) }()
		b := &backend{loop: l}
		for i := range 3 {
			_, err := b.PutEvent(ctx, localapi.Event{Name: fmt.Sprint("sale", i)}, true)
			var u *localapi.Unavailable
			if !errors.As(err, &u) || !strings.Contains(u.Reason, "memory only") {
				t.Errorf("a durable event: %v", err)
			}
		}
		if _, err := b.PutEvent(ctx, localapi.Event{Name: "door", Level: "alert"}, false); err != nil {
			t.Error(err)
		}
		time.Sleep(3 * boxRetry) // virtual
		synctest.Wait()
		trouble, err := ask(ctx, l, func() localapi.Trouble { return l.troubles["store"] })
		if err != nil || !strings.Contains(fmt.Sprint(trouble), "input/output error") {
			t.Errorf("the status says %+v, %v", trouble, err)
		}

		// The uplink has the alert under way when the disk comes back.
		flying := q.Take(1, 1<<16)
		if len(flying) != 1 || !flying[0].Urgent {
			t.Fatalf("%+v", flying)
		}
		if err := tell(ctx, l, func() { back = true }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(boxRetry)
		synctest.Wait()
		if _, err := b.PutEvent(ctx, localapi.Event{Name: "sale3"}, true); err != nil {
			t.Errorf("once it is back: %v", err)
		}
		var names []string
		for _, item := range q.Take(100, 1<<16) {
			env, err := protocol.UnmarshalEnvelope(item.Payload)
			if err != nil || env.Type != protocol.TypeEvent {
				continue
			}
			var e protocol.MachineEvent
			if err := json.Unmarshal(env.Body, &e); err != nil {
				t.Fatal(err)
			}
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); !strings.HasPrefix(got, "door sale0 sale1 sale2") || !strings.Contains(got, "sale3") {
			t.Errorf("delivered: %s", got)
		}
		waiting := q.box.Len()
		if q.Ack([]uint64{flying[0].Seq}); q.box.Len() != waiting { // a number of the store that was left
			t.Error("what was under way before acknowledged another message")
		}
		if trouble, err := ask(ctx, l, func() bool { _, bad := l.troubles["store"]; return bad }); trouble || err != nil {
			t.Error("the trouble stays")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		disk.Restart(true)
		again, _, err := outbox.Open("/o", outbox.Options{FS: disk})
		if err != nil || again.Len() < 5 {
			t.Errorf("%v; after a power cut %d wait", err, again.Len())
		}
	})
}

// What is in memory is bounded, and what is urgent stays longest.
func TestMemoryKeepsTheNewestOfWhatIsUrgent(t *testing.T) {
	box, _, err := outbox.Open("/outbox", outbox.Options{FS: flash.NewMemory(), CapBytes: memoryBytes})
	if err != nil {
		t.Fatal(err)
	}
	q := newQueue("m", box)
	for i := range 2000 {
		q.must(t, protocol.TypeEvent, core.EventPriority, trustedNow(), fmt.Sprintf(`{"name":"sale","n":%d,"pad":"%0300d"}`, i, 0))
		if i%100 == 0 {
			q.must(t, protocol.TypeAlert, core.Alert, trustedNow(), fmt.Sprintf(`{"n":%d}`, i))
		}
		if err := q.commit(); err != nil {
			t.Fatal(err)
		}
	}
	st := box.Stats()
	if st.DiskBytes > memoryBytes || st.Waiting[outbox.Alert] != 20 || st.Waiting[outbox.Event] == 0 {
		t.Errorf("%+v", st)
	}
}
