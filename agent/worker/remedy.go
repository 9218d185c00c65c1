package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/remedy"
	"cellwarden/modem"
	"cellwarden/modem/threegpp"
)

// steps are how a step is carried out; whether and when is the core's decision. Each
// is one entry: what it does with an open modem, and with none (m is nil). What is not
// here is done by the hardware's Hands.
var steps = map[remedy.Step]func(w *Modem, ctx context.Context, m device.Modem, r core.Remedy) error{
	core.StepRadioCycle: (*Modem).radioCycle,
	core.StepResetLine:  (*Modem).resetLine,
	"reopen":            (*Modem).reopen,
	"redial":            (*Modem).redialNow,
	"send_sms":          (*Modem).sendSMS,
	"session_cycle":     (*Modem).sessionCycle,
	"last_good_apn":     (*Modem).lastAPN,
	"reregister":        commands(scanTimeout, "AT+COPS=0"),
	"reattach":          commands(attachTimeout, "AT+CGATT=0", "AT+CGATT=1"),
	"radio_on":          commands(radioTimeout, "AT+CFUN=1"),
	"soft_reset":        commands(radioTimeout, "AT+CFUN=1,1"),
}

// Why a step was not carried out.
var (
	errUnknownStep = errors.New("this version cannot take the step")
	errNoPort      = errors.New("the port is not open")
	errIsBack      = errors.New("the modem is back by itself")
	errRefused     = errors.New("the modem refuses")
	errNoSession   = errors.New("no session is defined")
	errNoDialer    = errors.New("the board names no dialer command")
)

// How long a module may take, by the manuals' figures.
const (
	scanTimeout   = 120 * time.Second // +COPS: up to 180 s; the search goes on behind the answer
	attachTimeout = 75 * time.Second  // +CGATT: 75 to 140 s
	dialTimeout   = 60 * time.Second  // +CGACT: 40 to 150 s
)

// CanTake lists the steps that this hardware can take at all.
func CanTake(hw device.Hardware) (out []remedy.Step) {
	if hw.OpenModem != nil {
		out = append(out, core.StepReread)
		for step := range steps {
			switch step {
			case core.StepResetLine, "redial":
			default:
				out = append(out, step)
			}
		}
	}
	if hw.ResetModem != nil {
		out = append(out, core.StepResetLine)
	}
	if hw.Redial != nil {
		out = append(out, "redial")
	}
	for step := range hw.Hands {
		out = append(out, step)
	}
	slices.Sort(out)
	return out
}

// commands is a step of plain commands, one after the other.
func commands(timeout time.Duration, cmds ...string) func(*Modem, context.Context, device.Modem, core.Remedy) error {
	return func(w *Modem, ctx context.Context, m device.Modem, r core.Remedy) error {
		if m == nil {
			return errNoPort
		}
		w.send(ctx, core.RemedyBegun{At: w.at(), Step: r.Step})
		return w.do(ctx, m, timeout, cmds...)
	}
}

// do sends commands in order, to the end: what the first one took away the last one
// brings back. The last one's refusal counts.
func (w *Modem) do(ctx context.Context, m device.Modem, timeout time.Duration, cmds ...string) error {
	ctx = context.WithoutCancel(ctx) // never leave off half-way
	var err error
	for _, cmd := range cmds {
		err = nil
		for _, a := range m.Do(ctx, cmd, timeout) {
			if !a.Accepted() {
				err = fmt.Errorf("%s: %w", CommandName(cmd), cmp.Or(a.Err, errRefused))
			}
		}
	}
	return err
}

// remedy takes one step and tells how it ended.
func (w *Modem) remedy(ctx context.Context, m device.Modem, r core.Remedy) {
	err := errUnknownStep
	if take := steps[r.Step]; take != nil {
		err = take(w, ctx, m, r)
	} else if hand := w.hw.Hands[r.Step]; hand != nil {
		w.send(ctx, core.RemedyBegun{At: w.at(), Step: r.Step})
		err = hand(ctx, r.Port)
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
	if err := w.do(ctx, m, radioTimeout, "AT+CFUN=1"); err != nil || w.hw.Redial == nil {
		return err
	}
	// The session went with the radio: the dialer is told once the network can be back.
	back, stopBack := w.hw.Timer(w.hw.Now().Mono + radioOffFor)
	defer stopBack()
	select {
	case <-back:
	case <-m.Done():
	case <-ctx.Done():
		return nil
	}
	return w.hw.Redial(ctx)
}

// reopen closes the port; the worker opens it again at once.
func (w *Modem) reopen(ctx context.Context, m device.Modem, _ core.Remedy) error {
	w.again = true
	if m != nil {
		return m.Close()
	}
	return nil
}

func (w *Modem) sendSMS(ctx context.Context, m device.Modem, r core.Remedy) error {
	if m == nil {
		return errNoPort
	}
	for _, a := range m.SendSMS(ctx, r.To, r.Text) {
		if !a.Accepted() {
			return cmp.Or(a.Err, errRefused)
		}
	}
	return nil
}

// redialNow tells the board's dialer to begin anew.
func (w *Modem) redialNow(ctx context.Context, _ device.Modem, r core.Remedy) error {
	if w.hw.Redial == nil {
		return errNoDialer
	}
	w.send(ctx, core.RemedyBegun{At: w.at(), Step: r.Step})
	return w.hw.Redial(ctx)
}

// session finds the context that carries the data: the first that is active, else the
// first that is defined.
func (w *Modem) session(ctx context.Context, m device.Modem) (cid int, kind string, err error) {
	cid = -1
	for _, q := range []modem.Query{modem.Contexts, modem.APN} {
		for _, a := range m.Ask(ctx, q) {
			for _, f := range a.Facts {
				switch f := f.(type) {
				case threegpp.ContextState:
					if f.Active && cid < 0 {
						cid = f.CID
					}
				case threegpp.ContextConfig:
					if cid < 0 {
						cid = f.CID
					}
					if f.CID == cid {
						kind = f.Type
					}
				}
			}
		}
	}
	if cid < 0 {
		return 0, "", errNoSession
	}
	return cid, cmp.Or(kind, "IP"), nil
}

func (w *Modem) sessionCycle(ctx context.Context, m device.Modem, r core.Remedy) error {
	if m == nil {
		return errNoPort
	}
	cid, _, err := w.session(ctx, m)
	if err != nil {
		return err
	}
	w.send(ctx, core.RemedyBegun{At: w.at(), Step: r.Step})
	return w.do(ctx, m, dialTimeout, fmt.Sprintf("AT+CGACT=0,%d", cid), fmt.Sprintf("AT+CGACT=1,%d", cid))
}

// lastAPN writes the APN that last worked, and asks for the session with it.
func (w *Modem) lastAPN(ctx context.Context, m device.Modem, r core.Remedy) error {
	if m == nil {
		return errNoPort
	}
	if r.APN == "" || strings.ContainsAny(r.APN, "\"\r\n;") {
		return errNoSession
	}
	cid, kind, err := w.session(ctx, m)
	if n, bad := strconv.Atoi(r.CID); bad == nil {
		cid, kind, err = n, r.PDPType, nil
	}
	if err != nil {
		return err
	}
	w.send(ctx, core.RemedyBegun{At: w.at(), Step: r.Step})
	if err := w.do(ctx, m, radioTimeout, fmt.Sprintf("AT+CGDCONT=%d,%q,%q", cid, kind, r.APN)); err != nil {
		return err
	}
	if w.hw.Redial != nil {
		return w.hw.Redial(ctx)
	}
	return w.do(ctx, m, dialTimeout, fmt.Sprintf("AT+CGACT=0,%d", cid), fmt.Sprintf("AT+CGACT=1,%d", cid))
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
