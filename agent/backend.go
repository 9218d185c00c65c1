package agent

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/meter"
	"cellwarden/modem"
	"cellwarden/protocol"
)

// backend answers the local API by asking the loop.
type backend struct {
	loop     *loop
	tokens   atomic.Uint64
	recorder *modem.Recorder // nil: there is none
}

// maxWatchers bounds diagnoses that run at once: the page, the CLI, a command.
const maxWatchers = 4

func (b *backend) token() string { return strconv.FormatUint(b.tokens.Add(1), 10) }

// Status implements localapi.Backend.
func (b *backend) Status(ctx context.Context) (localapi.Status, error) {
	return ask(ctx, b.loop, b.loop.status)
}

// PutEvent implements localapi.Backend.
func (b *backend) PutEvent(ctx context.Context, e localapi.Event, durable bool) (localapi.Receipt, error) {
	body := protocol.MachineEvent{Name: e.Name, Level: e.Level, Data: e.Data}
	answer := make(chan accepted, 1)
	token := b.token()
	err := tell(ctx, b.loop, func() {
		happened, _ := time.Parse(time.RFC3339, e.At) // checked by the API; zero is now
		b.loop.tokens[token] = answer
		b.loop.step(core.Handed{At: b.loop.at(), Token: token, Event: body, Durable: durable, Happened: happened})
		b.loop.handedSale(body)
	})
	if err != nil {
		return localapi.Receipt{}, err
	}
	select {
	case a := <-answer:
		if a.err != nil {
			return localapi.Receipt{}, &localapi.Unavailable{Reason: a.err.Error(), RetryAfter: commitRetry}
		}
		id := fmt.Sprintf("%s-%d", b.loop.queue.epoch(), a.seq)
		return localapi.Receipt{ID: id, Seq: a.seq, Durable: durable}, nil
	case <-ctx.Done():
		return localapi.Receipt{}, ctx.Err()
	}
}

// Diagnose implements localapi.Backend.
func (b *backend) Diagnose(ctx context.Context, progress func(localapi.Progress)) (d diag.Diagnosis, err error) {
	w := &watcher{progress: make(chan localapi.Progress, 4*len(diag.Layers)), done: make(chan diag.Diagnosis, 1), last: map[diag.Layer]diag.GateState{}}
	token := b.token()
	busy, err := ask(ctx, b.loop, func() bool {
		if len(b.loop.watchers) >= maxWatchers {
			return true
		}
		b.loop.watchers[token] = w
		b.loop.step(core.DiagnoseNow{At: b.loop.at(), Token: token})
		return false
	})
	if err != nil {
		return d, err
	}
	if busy {
		return d, localapi.ErrBusy
	}
	for {
		select {
		case p, ok := <-w.progress:
			if ok {
				progress(p)
				continue
			}
			select {
			case d = <-w.done:
				return d, nil
			default:
				return d, errStopping
			}
		case <-ctx.Done():
			// Nobody reads on: the loop forgets us.
			_ = tell(context.WithoutCancel(ctx), b.loop, func() { delete(b.loop.watchers, token) })
			return d, ctx.Err()
		}
	}
}

// Usage implements localapi.Backend.
func (b *backend) Usage(ctx context.Context) (localapi.Usage, error) {
	u, err := ask(ctx, b.loop, func() *localapi.Usage { return localapi.BuildUsage(b.loop.core.View()) })
	if err == nil && u == nil {
		err = localapi.ErrNoUsage
	}
	if err != nil {
		return localapi.Usage{}, err
	}
	return *u, nil
}

// History implements localapi.Backend.
func (b *backend) History(ctx context.Context, by string, n int) (localapi.History, error) {
	return ask(ctx, b.loop, func() localapi.History {
		m := b.loop.core.Meter()
		var bars []meter.Bar
		format := time.DateOnly
		switch by {
		case "hour":
			bars, format = m.Hours(), time.RFC3339
		case "cycle":
			bars = m.Cycles(b.loop.hw.Now())
		default:
			bars = m.Days()
		}
		return localapi.History{By: by, Rows: append([]localapi.UsageRow{}, localapi.UsageRows(bars, format, n)...)}
	})
}

// Guard implements localapi.Backend.
func (b *backend) Guard(ctx context.Context) (localapi.Guard, error) {
	return ask(ctx, b.loop, func() localapi.Guard {
		v := b.loop.core.View()
		g := localapi.Guard{Level: string(meter.GuardFor(v.Usage)), Percent: v.Usage.Percent}
		g.Blocked = b.loop.block.On()
		if v.Usage.QuotaBytes > v.Usage.UsedBytes {
			g.LeftBytes = v.Usage.QuotaBytes - v.Usage.UsedBytes
		}
		if v.Usage.TimeKnown {
			g.CycleEnd = v.Usage.Cycle.End.Format(time.RFC3339)
		}
		if v.Standing != nil && v.Standing.Class == diag.OverQuota {
			g.Level = "stopped"
		}
		return g
	})
}

// Record implements localapi.Backend: what the judgement rests on as a case that
// explain reads, with the modem's lines beside it.
func (b *backend) Record(ctx context.Context, w io.Writer) error {
	type moment struct {
		core.View
		core.Recording
	}
	now, err := ask(ctx, b.loop, func() moment { return moment{b.loop.core.View(), b.loop.core.Recording()} })
	if err != nil {
		return err
	}
	return writeBundle(w, b.recorder, b.loop.version, now.View, now.Recording)
}

// RecordScenario implements localapi.Player.
func (b *backend) RecordScenario(ctx context.Context, w io.Writer) error {
	if b.recorder == nil {
		return localapi.ErrUnsupported
	}
	v, err := ask(ctx, b.loop, func() core.View { return b.loop.core.View() })
	if err != nil {
		return err
	}
	title := "Recorded by cellwarden " + b.loop.version + ", judged " + string(v.Diagnosis.Class) + " (" + string(v.Diagnosis.Verdict) + ")."
	_, err = w.Write(b.recorder.Scenario(title, modem.Identity{Manufacturer: v.Known.Identity.Manufacturer, Model: v.Known.Identity.Model, Revision: v.Known.Identity.Revision}))
	return err
}

// Confirm implements localapi.Backend.
func (b *backend) Confirm(ctx context.Context, c localapi.Confirmation) error {
	return tell(ctx, b.loop, func() {
		b.loop.step(core.Confirmed{At: b.loop.at(), Class: c.Class, By: c.By})
	})
}
