package worker

import (
	"context"

	"cellwarden/agent/core"
	"cellwarden/agent/device"
)

// Probe is the probe worker. It runs one probe at a time. The core asks for the next only after it has
// seen the result, so a queue of one never fills.
type Probe struct {
	hw     device.Hardware
	specs  chan core.ProbeSpec
	events chan<- core.Event
}

func NewProbe(hw device.Hardware, events chan<- core.Event) *Probe {
	return &Probe{hw: hw, specs: make(chan core.ProbeSpec, 1), events: events}
}

// Run works until ctx ends.
func (p *Probe) Run(ctx context.Context) error {
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

// Request hands over one probe. It is false where one waits already.
func (p *Probe) Request(s core.ProbeSpec) bool {
	select {
	case p.specs <- s:
		return true
	default:
		return false
	}
}
