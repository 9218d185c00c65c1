package agent

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/device"
	"cellwarden/agent/flash/flashtest"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
	"cellwarden/agent/outbox"
)

// Events that are handed in at once become durable at once: one sync of the flash for
// all that wait, while one that comes alone waits for nobody. Time is virtual and passes
// only when all have come.
func TestOneCommitForAllThatWait(t *testing.T) {
	const writers, each = 32, 100
	synctest.Test(t, func(t *testing.T) {
		fs := flashtest.New(1)
		syncs := 0
		fs.Fail = func(op, _ string) error {
			if op == "sync" {
				syncs++
			}
			return nil
		}
		box, _, err := outbox.Open("/o", outbox.Options{FS: fs, Prealloc: true, CapBytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		hw := bareHardware(func() instant.Instant {
			return instant.Instant{Boot: "1f2e3d4c", Mono: time.Minute + time.Since(start), Wall: time.Now(), Trusted: true}
		})
		hw.Timer = device.Timer(hw.Now)
		cfg := config.Default
		cfg.Store.Dir = t.TempDir()
		l, err := newLoop(Options{Config: cfg, Hardware: hw, Log: slog.New(slog.DiscardHandler)}, "m", newQueue("m", box))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.run(ctx) }()
		b := &backend{loop: l}
		put := func() {
			if _, err := b.PutEvent(t.Context(), localapi.Event{Name: "sale"}, true); err != nil {
				t.Error(err)
			}
		}
		put()
		put() // after the store's first segment is there
		before, at := syncs, time.Now()
		put()
		if syncs-before != 1 || time.Since(at) != 0 {
			t.Errorf("a lone event: %d syncs, %s", syncs-before, time.Since(at))
		}
		before = syncs
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range each {
					put()
				}
			})
		}
		all.Wait()
		// The first round may come in parts, and a new segment has a header of its own.
		if n := syncs - before; n > 2*each {
			t.Errorf("%d events by %d at a time: %d syncs, want about %d", writers*each, writers, n, each)
		}
		at = time.Now()
		put() // it waits for the company that the last commit had, once
		put()
		if time.Since(at) > gatherWait {
			t.Errorf("two lone events after the crowd took %s", time.Since(at))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
