package agent

import (
	"context"

	"cellwarden/agent/core"
	"cellwarden/agent/device"
)

// prober runs one probe at a time. The core asks for the next only after it has
// seen the result, so a queue of one never fills.
type prober struct {
	hw     device.Hardware
	specs  chan core.ProbeSpec
	events chan<- core.Event
}

func newProber(hw device.Hardware, events chan<- core.Event) *prober {
	return &prober{hw: hw, specs: make(chan core.ProbeSpec, 1), events: events}
}

func (p *prober) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-p.specs:
			r := p.hw.RunProbe(ctx, s)
			select {
			case p.events <- core.ProbeDone{At: core.At{Instant: p.hw.Now()}, Result: r, Cost: s.Cost}:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
