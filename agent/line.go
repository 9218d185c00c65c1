package agent

import (
	"context"
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

// line is the modem worker. It owns the port: opens it, answers Asks, hears
// URCs, and opens it again with growing patience.
type line struct {
	hw     device.Hardware
	asks   chan []string
	cycles chan struct{}
	resets chan string // the port's state; pressed while the port cannot be opened
	events chan<- core.Event

	redial bool // the modem was reset: tell the dialer when it is back

	messages []int         // announced, not read yet
	mailbox  *mailbox      // nil: no message is ever deleted
	timeAt   time.Duration // before that the network's time is not asked for again
}

func newLine(hw device.Hardware, events chan<- core.Event) *line {
	return &line{hw: hw, asks: make(chan []string, 1), cycles: make(chan struct{}, 1), resets: make(chan string, 1), events: events}
}

func (l *line) at() core.At { return core.At{Instant: l.hw.Now()} }

func (l *line) send(ctx context.Context, e core.Event) bool {
	select {
	case l.events <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// run ends with ctx.
func (l *line) run(ctx context.Context) error {
	wait := reopenQuick
	opened := 0
	last := ""
	for ctx.Err() == nil {
		m, err := l.hw.OpenModem(ctx)
		if err != nil {
			state, detail := device.PortTrouble(err)
			if state+detail != last {
				l.send(ctx, core.PortState{At: l.at(), State: state, Detail: detail})
				last = state + detail
			}
			l.idle(ctx, wait)
			wait = min(max(2*wait, reopenMin), reopenMax)
			continue
		}
		opened++
		last = ""
		l.send(ctx, core.PortState{At: l.at(), State: "ok", Detail: m.Port(), Profile: m.Profile().Name, Reopened: opened > 1})
		if l.redial {
			l.redial = false
			_ = l.hw.Redial(ctx) // it logs; the diagnosis sees whether the session comes
		}
		began := l.hw.Now()
		l.serve(ctx, m)
		_ = m.Close()
		if ctx.Err() != nil {
			break
		}
		if l.hw.Now().Sub(began) > reopenMax {
			wait = reopenQuick
		}
		l.idle(ctx, wait)
		wait = min(max(2*wait, reopenMin), reopenMax)
	}
	return nil
}

// idle waits, but answers Asks at once: nobody can be asked now.
func (l *line) idle(ctx context.Context, d time.Duration) {
	// A fifth of jitter keeps a reboot of many boards from one beat.
	c, stop := l.hw.Timer(l.hw.Now().Mono + d + rand.N(d/5+1))
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c:
			return
		case <-l.cycles:
		case state := <-l.resets:
			// What the modem then says of itself is our doing.
			l.send(ctx, core.Cycled{At: l.at()})
			l.redial = l.hw.ResetModem(ctx, state) == nil && l.hw.Redial != nil
			l.send(ctx, core.Cycled{At: l.at()})
		case <-l.asks:
			l.send(ctx, core.RoundDone{At: l.at()})
		}
	}
}

// serve works one open modem until it is lost.
func (l *line) serve(ctx context.Context, m device.Modem) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.Done():
			l.hear(ctx, m)
			l.send(ctx, core.PortState{At: l.at(), State: "lost", Detail: m.Port()})
			return
		case ev, ok := <-m.Unsolicited():
			if !ok {
				l.send(ctx, core.PortState{At: l.at(), State: "lost", Detail: m.Port()})
				return
			}
			l.heard(ctx, ev)
			l.read(ctx, m)
		case <-l.cycles:
			l.cycle(ctx, m)
		case <-l.resets: // it is back by itself
		case queries := <-l.asks:
			l.round(ctx, m, queries)
			l.read(ctx, m)
		}
	}
}

// A radio cycle: off, long enough for the network to notice and the modem to
// forget the invalid-card mark, on again (causes.yaml functionality, caution;
// field-notes (d) 4: wait 10 s).
const (
	radioOffFor  = 10 * time.Second
	radioTimeout = 15 * time.Second // +CFUN may take 15 s by the manuals
)

func (l *line) cycle(ctx context.Context, m device.Modem) {
	l.send(ctx, core.Cycled{At: l.at()})
	m.Do(ctx, "AT+CFUN=0", radioTimeout)
	c, stop := l.hw.Timer(l.hw.Now().Mono + radioOffFor)
	defer stop()
	select {
	case <-c:
	case <-m.Done():
	case <-ctx.Done():
		// Never leave the radio off behind us.
		ctx = context.WithoutCancel(ctx)
	}
	m.Do(ctx, "AT+CFUN=1", radioTimeout)
	l.send(ctx, core.Cycled{At: l.at()})
}

// hear passes on what waits.
func (l *line) hear(ctx context.Context, m device.Modem) {
	for {
		select {
		case ev, ok := <-m.Unsolicited():
			if !ok {
				return
			}
			l.heard(ctx, ev)
		default:
			return
		}
	}
}

func (l *line) heard(ctx context.Context, ev modem.Event) {
	when := core.At{Instant: l.hw.Now()}
	if t, ok := device.NetworkTime(ev.Facts); ok && l.hw.HearTime != nil {
		l.hw.HearTime(string(board.TimeNITZ), t)
	}
	for _, f := range ev.Facts {
		l.send(ctx, core.Observed{At: when, Source: "urc:" + name(ev.Line), Fact: f, Unsolicited: true})
		if m, ok := f.(threegpp.SMSStored); ok && m.Index >= 0 && len(l.messages) < maxMessages {
			l.messages = append(l.messages, m.Index)
		}
	}
}

// maxMessages bounds the announced messages that wait to be read; the slow round
// reads the whole store anyway.
const maxMessages = 16

// read fetches the messages that were announced. It deletes nothing; see mailbox.
func (l *line) read(ctx context.Context, m device.Modem) {
	for len(l.messages) > 0 {
		index := l.messages[0]
		l.messages = l.messages[1:]
		for _, a := range m.ReadSMS(ctx, index) {
			for _, f := range a.Facts {
				l.send(ctx, core.Observed{At: l.at(), Source: "sms", Fact: f, Unsolicited: true})
			}
		}
	}
}

// round asks the queries in order. A port that falls silent ends it early: the
// dialogue has already tried to get back in step.
func (l *line) round(ctx context.Context, m device.Modem, queries []string) {
	defer func() { l.send(ctx, core.RoundDone{At: l.at()}) }()
	for _, q := range queries {
		if modem.Query(q) == modem.SMS {
			l.mailbox.tidy(ctx, m)
		}
		for _, a := range m.Ask(ctx, modem.Query(q)) {
			if modem.Query(q) == modem.SMS {
				l.mailbox.see(a)
			}
			when := core.At{Instant: l.hw.Now()}
			for _, f := range a.Facts {
				l.send(ctx, core.Observed{At: when, Source: "at:" + name(a.Command), Fact: f})
			}
		}
		l.hear(ctx, m)
		select {
		case <-m.Done():
			return
		case <-ctx.Done():
			return
		default:
		}
	}
	l.askTime(ctx, m)
}

// timeAsk is how often the modem is asked for the network's time while nobody
// vouches for the clock: the network tells it when the module attaches, which is
// half a minute after the board's start or an hour.
const timeAsk = time.Minute

// askTime asks for the network's time where a clock waits for it. A module that
// only knows its own clock has nothing to say here.
func (l *line) askTime(ctx context.Context, m device.Modem) {
	now := l.hw.Now()
	if now.Trusted || l.hw.HearTime == nil || now.Mono < l.timeAt || ctx.Err() != nil {
		return
	}
	l.timeAt = now.Mono + timeAsk
	for _, a := range m.Ask(ctx, modem.Clock) {
		if t, ok := device.NetworkTime(a.Facts); ok {
			l.hw.HearTime(string(board.TimeNITZ), t)
		}
	}
}

// name is a line's command, without arguments.
func name(line string) string {
	line = strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(line)), "AT")
	if i := strings.IndexAny(line, "=?:;, \""); i >= 0 {
		line = line[:i]
	}
	if len(line) > 16 {
		line = line[:16]
	}
	return line
}
