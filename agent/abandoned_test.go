package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"

	"cellwarden/agent/config"
	"cellwarden/agent/localapi"
	"cellwarden/agent/outbox"
)

// A caller of the local API that goes away while the loop still works on its question:
// the loop's late answer must not touch what the caller has by then. Only the race
// detector can see it.
func TestAbandonedQuestionsShareNothing(t *testing.T) {
	questions := map[string]func(context.Context, *backend) error{
		"status": func(ctx context.Context, b *backend) error { _, err := b.Status(ctx); return err },
		"diagnose": func(ctx context.Context, b *backend) error {
			_, err := b.Diagnose(ctx, func(localapi.Progress) {})
			return err
		},
		"usage":   func(ctx context.Context, b *backend) error { _, err := b.Usage(ctx); return err },
		"history": func(ctx context.Context, b *backend) error { _, err := b.History(ctx, "day", 3); return err },
		"guard":   func(ctx context.Context, b *backend) error { _, err := b.Guard(ctx); return err },
		"record":  func(ctx context.Context, b *backend) error { return b.Record(ctx, io.Discard) },
		"event": func(ctx context.Context, b *backend) error {
			_, err := b.PutEvent(ctx, localapi.Event{Name: "sale"}, false)
			return err
		},
		"confirm": func(ctx context.Context, b *backend) error {
			return b.Confirm(ctx, localapi.Confirmation{Class: "arrears", By: "technician"})
		},
		"updateline": func(ctx context.Context, b *backend) error {
			b.loop.updateLine(func(string) bool { return true })(ctx)
			b.loop.works(ctx)
			return ctx.Err()
		},
	}
	for name, question := range questions {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default
			cfg.Store.Dir = t.TempDir()
			box, _, err := outbox.Open(t.TempDir(), outbox.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer box.Close()
			l, err := newLoop(Options{Config: cfg, Hardware: bareHardware(trustedNow), Log: slog.New(slog.DiscardHandler)}, "m", newQueue("m", box))
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			served := make(chan struct{})
			go func() {
				defer close(served)
				answer := <-l.calls
				leave() // which of the two is first from here on is open
				answer()
				close(l.over)
			}()
			call := question(ctx, &backend{loop: l})
			<-served
			if call != nil && !slices.ContainsFunc([]error{context.Canceled, errStopping, localapi.ErrNoUsage}, func(e error) bool { return errors.Is(call, e) }) {
				t.Errorf("the caller got %v", call)
			}
		})
	}
}
