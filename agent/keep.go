package agent

import (
	"context"

	"cellwarden/agent/core"
	"cellwarden/agent/meter"
)

// settleBlock has the machine's traffic stopped or not, as it shall be. What
// failed is tried again at the next look.
func (l *loop) settleBlock() {
	err := l.block.Settle()
	if err != nil && l.saved["block"] == nil {
		l.log.Error("the machine's traffic is not as the config orders", "error", err)
	}
	l.saved["block"] = err
	l.troubles.file("block", err, l.hw.Now())
}

// watchLinks brings the kernel's last words on deleted interfaces. Without them
// the agent works on: the polls count, and lose what moved since the last one.
func (l *loop) watchLinks(ctx context.Context) error {
	err := l.hw.WatchLinks(ctx, func(r meter.Reading) {
		select {
		case l.events <- core.LinkGone{At: l.at(), Reading: r}:
		case <-ctx.Done():
		}
	})
	if err != nil {
		l.log.Warn("deleted interfaces are not heard of any more", "error", err)
	}
	return nil
}
