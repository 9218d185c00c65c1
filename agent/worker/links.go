package worker

import (
	"context"
	"log/slog"

	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/meter"
)

// WatchLinks brings the kernel's last words on deleted interfaces until ctx ends.
// Without them the agent works on: the polls count, and lose what moved since the
// last one.
func WatchLinks(ctx context.Context, hw device.Hardware, log *slog.Logger, events chan<- core.Event) error {
	err := hw.WatchLinks(ctx, func(r meter.Reading) {
		select {
		case events <- core.LinkGone{At: core.At{Instant: hw.Now()}, Reading: r}:
		case <-ctx.Done():
		}
	})
	if err != nil {
		log.Warn("deleted interfaces are not heard of any more", "error", err)
	}
	return nil
}
