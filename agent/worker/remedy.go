package worker

import (
	"context"
	"errors"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/remedy"
)

// steps are how a step is carried out; whether and when is the core's decision. Each
// is one entry: what it does with an open modem, and with none (m is nil).
var steps = map[remedy.Step]func(w *Modem, ctx context.Context, m device.Modem, r core.Remedy) error{
	core.StepRadioCycle: (*Modem).radioCycle,
	core.StepResetLine:  (*Modem).resetLine,
}

// Why a step was not carried out.
var (
	errUnknownStep = errors.New("this version cannot take the step")
	errNoPort      = errors.New("the port is not open")
	errIsBack      = errors.New("the modem is back by itself")
)

// remedy takes one step and tells how it ended.
func (w *Modem) remedy(ctx context.Context, m device.Modem, r core.Remedy) {
	err := errUnknownStep
	if take := steps[r.Step]; take != nil {
		err = take(w, ctx, m, r)
	}
	done := core.RemedyDone{At: w.at(), Step: r.Step, Result: remedy.Done}
	if err != nil {
		done.Result, done.Detail = remedy.Failed, err.Error()
	}
	w.send(ctx, done)
}

// A radio cycle: off, long enough for the network to notice and the modem to forget
// the invalid-card mark, on again (causes.yaml functionality, caution; field-notes (d)
// 4: wait 10 s).
const (
	radioOffFor  = 10 * time.Second
	radioTimeout = 15 * time.Second // +CFUN may take 15 s by the manuals
)

func (w *Modem) radioCycle(ctx context.Context, m device.Modem, r core.Remedy) error {
	if m == nil {
		return errNoPort
	}
	w.send(ctx, core.RemedyBegun{At: w.at(), Step: r.Step})
	m.Do(ctx, "AT+CFUN=0", radioTimeout)
	c, stop := w.hw.Timer(w.hw.Now().Mono + radioOffFor)
	defer stop()
	select {
	case <-c:
	case <-m.Done():
	case <-ctx.Done():
		// Never leave the radio off behind us.
		ctx = context.WithoutCancel(ctx)
	}
	m.Do(ctx, "AT+CFUN=1", radioTimeout)
	return nil
}

// resetLine presses the line that resets a modem whose port cannot be opened.
func (w *Modem) resetLine(ctx context.Context, m device.Modem, r core.Remedy) error {
	if m != nil {
		return errIsBack
	}
	w.send(ctx, core.RemedyBegun{At: w.at(), Step: r.Step})
	err := w.hw.ResetModem(ctx, r.Port)
	w.redial = err == nil && w.hw.Redial != nil
	return err
}
