// Package worker does what takes time, one goroutine a worker: the modem's port, one
// probe, time servers, the kernel's word on interfaces, updates. A worker takes requests
// and tells events; it decides nothing and knows no loop.
package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/modem"
	"cellwarden/modem/threegpp"
)

// How the port is opened again. A module that re-enumerates is back within
// seconds; one that is gone for long is looked for once a minute.
const (
	reopenMin = time.Second
	reopenMax = time.Minute
	// reopenQuick is the first try after a loss: a module that only hung up the
	// line is back at once, and a mute one must be known within 30 s.
	reopenQuick = 200 * time.Millisecond
)

// Modem is the modem worker. It owns the port: opens it, answers what the core asks of
// it, hears URCs, and opens it again with growing patience.
type Modem struct {
	hw       device.Hardware
	log      *slog.Logger
	requests chan core.Effect
	events   chan<- core.Event

	redial   bool          // the modem was reset: tell the dialer when it is back
	again    bool          // the port is to be opened again at once
	messages []int         // announced, not read yet
	timeAt   time.Duration // before that the network's time is not asked for again
}

// maxRequests is what may wait at the modem: the core asks one round and takes one
// step at a time, and may delete messages before the round.
const maxRequests = 4

// NewModem makes the worker; events is where it tells what it learns.
func NewModem(hw device.Hardware, log *slog.Logger, events chan<- core.Event) *Modem {
	return &Modem{hw: hw, log: log, requests: make(chan core.Effect, maxRequests), events: events}
}

// Request hands over a core.Ask, core.DeleteMessages or core.Remedy. It is false where
// too much waits already.
func (w *Modem) Request(e core.Effect) bool {
	select {
	case w.requests <- e:
		return true
	default:
		return false
	}
}

func (w *Modem) at() core.At { return core.At{Instant: w.hw.Now()} }

func (w *Modem) send(ctx context.Context, e core.Event) bool {
	select {
	case w.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// Run works until ctx ends.
func (w *Modem) Run(ctx context.Context) error {
	wait := reopenQuick
	opened := 0
	last := ""
	for ctx.Err() == nil {
		m, err := w.hw.OpenModem(ctx)
		if err != nil {
			state, detail := device.PortTrouble(err)
			if state+detail != last {
				w.send(ctx, core.PortState{At: w.at(), State: state, Detail: detail})
				last = state + detail
			}
			w.idle(ctx, wait)
			wait = min(max(2*wait, reopenMin), reopenMax)
			continue
		}
		opened++
		last = ""
		w.send(ctx, core.PortState{At: w.at(), State: "ok", Detail: m.Port(), Profile: m.Profile().Name, Reopened: opened > 1})
		if w.redial {
			w.redial = false
			_ = w.hw.Redial(ctx) // it logs; the diagnosis sees whether the session comes
		}
		began := w.hw.Now()
		w.serve(ctx, m)
		_ = m.Close()
		if ctx.Err() != nil {
			break
		}
		if w.hw.Now().Sub(began) > reopenMax || w.again {
			wait = reopenQuick
		}
		w.again = false
		w.idle(ctx, wait)
		wait = min(max(2*wait, reopenMin), reopenMax)
	}
	return nil
}

// idle waits, but answers Asks at once: nobody can be asked now.
func (w *Modem) idle(ctx context.Context, d time.Duration) {
	// A fifth of jitter keeps a reboot of many boards from one beat.
	c, stop := w.hw.Timer(w.hw.Now().Mono + d + rand.N(d/5+1))
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c:
			return
		case r := <-w.requests:
			switch r := r.(type) {
			case core.Ask:
				w.send(ctx, core.RoundDone{At: w.at()})
			case core.DeleteMessages: // they are listed anew once it is back
			case core.Remedy:
				w.remedy(ctx, nil, r)
				if w.again {
					w.again = false
					return
				}
			}
		}
	}
}

// serve works one open modem until it is lost.
func (w *Modem) serve(ctx context.Context, m device.Modem) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.Done():
			w.hear(ctx, m)
			w.send(ctx, core.PortState{At: w.at(), State: "lost", Detail: m.Port()})
			return
		case ev, ok := <-m.Unsolicited():
			if !ok {
				w.send(ctx, core.PortState{At: w.at(), State: "lost", Detail: m.Port()})
				return
			}
			w.heard(ctx, ev)
			w.read(ctx, m)
		case r := <-w.requests:
			switch r := r.(type) {
			case core.Ask:
				w.round(ctx, m, r.Queries)
				w.read(ctx, m)
			case core.DeleteMessages:
				w.delete(ctx, m, r.Messages)
			case core.Remedy:
				w.remedy(ctx, m, r)
			}
		}
	}
}

// hear passes on what waits.
func (w *Modem) hear(ctx context.Context, m device.Modem) {
	for {
		select {
		case ev, ok := <-m.Unsolicited():
			if !ok {
				return
			}
			w.heard(ctx, ev)
		default:
			return
		}
	}
}

func (w *Modem) heard(ctx context.Context, ev modem.Event) {
	when := core.At{Instant: w.hw.Now()}
	if t, ok := device.NetworkTime(ev.Facts); ok && w.hw.HearTime != nil {
		w.hw.HearTime(string(board.TimeNITZ), t)
	}
	for _, f := range ev.Facts {
		w.send(ctx, core.Observed{At: when, Source: "urc:" + CommandName(ev.Line), Fact: f, Unsolicited: true})
		if m, ok := f.(threegpp.SMSStored); ok && m.Index >= 0 && len(w.messages) < maxMessages {
			w.messages = append(w.messages, m.Index)
		}
	}
}

// maxMessages bounds the announced messages that wait to be read; the slow round
// reads the whole store anyway.
const maxMessages = 16

// read fetches the messages that were announced. It deletes nothing.
func (w *Modem) read(ctx context.Context, m device.Modem) {
	for len(w.messages) > 0 {
		index := w.messages[0]
		w.messages = w.messages[1:]
		for _, a := range m.ReadSMS(ctx, index) {
			for _, f := range a.Facts {
				w.send(ctx, core.Observed{At: w.at(), Source: "sms", Fact: f, Unsolicited: true})
			}
		}
	}
}

// round asks the queries in order. A port that falls silent ends it early: the
// dialogue has already tried to get back in step.
func (w *Modem) round(ctx context.Context, m device.Modem, queries []string) {
	defer func() { w.send(ctx, core.RoundDone{At: w.at()}) }()
	for _, q := range queries {
		for _, a := range m.Ask(ctx, modem.Query(q)) {
			when := core.At{Instant: w.hw.Now()}
			for _, f := range a.Facts {
				w.send(ctx, core.Observed{At: when, Source: "at:" + CommandName(a.Command), Fact: f})
			}
		}
		w.hear(ctx, m)
		select {
		case <-m.Done():
			return
		case <-ctx.Done():
			return
		default:
		}
	}
	w.askTime(ctx, m)
}

// timeAsk is how often the modem is asked for the network's time while nobody
// vouches for the clock: the network tells it when the module attaches, which is
// half a minute after the board's start or an hour.
const timeAsk = time.Minute

// askTime asks for the network's time where a clock waits for it. A module that
// only knows its own clock has nothing to say here.
func (w *Modem) askTime(ctx context.Context, m device.Modem) {
	now := w.hw.Now()
	if now.Trusted || w.hw.HearTime == nil || now.Mono < w.timeAt || ctx.Err() != nil {
		return
	}
	w.timeAt = now.Mono + timeAsk
	for _, a := range m.Ask(ctx, modem.Clock) {
		if t, ok := device.NetworkTime(a.Facts); ok {
			w.hw.HearTime(string(board.TimeNITZ), t)
		}
	}
}

// CommandName is a line's command, without arguments.
func CommandName(line string) string {
	line = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(line)), "AT")
	if i := strings.IndexAny(line, "=?:;, \""); i >= 0 {
		line = line[:i]
	}
	if len(line) > 16 {
		line = line[:16]
	}
	return line
}
