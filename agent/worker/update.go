package worker

import (
	"cellwarden/agent/core"
	"cellwarden/agent/instant"
	"cellwarden/agent/update"
	"cellwarden/agent/update/install"
	"cellwarden/protocol"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ErrRestart ends Run: the right binary is to be started in place of this one.
var ErrRestart = errors.New("another binary starts now")

// Store is what must work whatever else a binary on trial needs.
const Store = "store"

const (
	// healthEvery is how often a new binary's health is looked at.
	healthEvery = 2 * time.Second
	// lasts is how long a confirmed binary has to run until its start counts as good:
	// longer than modem, broker and first report take, shorter than anything that a
	// machine does once an hour.
	lasts = 5 * time.Minute
	// maxOffers is how many offers may wait.
	maxOffers = 4
)

// UpdateOptions are what the update worker needs of the agent. Its functions are called
// from the worker's goroutine only.
type UpdateOptions struct {
	ConfirmAfter time.Duration // how long a new binary must be well
	Trial        bool          // this process is on trial below the launcher
	Now          func() instant.Instant
	Log          *slog.Logger
	Events       chan<- core.Event
	// Works names what works now: "modem", "broker" and Store.
	Works func(context.Context) []string
	// Line is how things stand for a download.
	Line func(context.Context) update.Line
	// Report puts one message into the outbox, durably.
	Report func(context.Context, protocol.Update) error
}

// Update is the update worker: it carries updates out beside the loop.
type Update struct {
	opt     UpdateOptions
	version string
	runner  *install.Runner
	offers  chan offered
	poke    chan struct{} // an offer waits: what is under way makes room
	state   atomic.Pointer[install.Status]
	ctx     context.Context // of Run
}

// offered is one offer and where its answer goes.
type offered struct {
	args    protocol.UpdateArgs
	command string
	answer  func(error)
}

// NewUpdate opens what is kept of updates. It fills in the Host's Line, Need, Report and
// Spent.
func NewUpdate(h install.Host, o UpdateOptions) *Update {
	u := &Update{opt: o, version: h.Version, offers: make(chan offered, maxOffers), poke: make(chan struct{}, 1)}
	h.Line = func() update.Line { return o.Line(u.ctx) }
	h.Need = func() []string {
		return slices.DeleteFunc(o.Works(u.ctx), func(what string) bool { return what == Store })
	}
	h.Report, h.Spent = u.report, u.spent
	r, damaged := install.Open(h)
	for _, what := range damaged {
		o.Log.Warn("kept state of updates cannot be read", "file", what)
	}
	u.runner = r
	u.publish()
	return u
}

// Run carries updates out until ctx ends. ErrRestart says that the launcher is to
// start the right binary now.
func (u *Update) Run(ctx context.Context) error {
	u.ctx = ctx
	if u.runner.Trial() && u.opt.Trial {
		return u.prove(ctx)
	}
	u.runner.TellResult()
	began, lasted := time.Now(), false
	for {
		step, cancel := context.WithCancel(ctx)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			select {
			case <-u.poke:
				cancel()
			case <-step.Done():
			}
		}()
		wait, ready := u.runner.Step(step)
		cancel()
		<-stopped
		u.publish()
		if ready {
			u.opt.Log.Info("a new binary is to be tried", "version", u.runner.Status().Trial)
			return ErrRestart
		}
		if wait < 0 {
			wait = 24 * time.Hour // for an offer
		}
		if left := lasts - time.Since(began); !lasted && left > 0 {
			wait = min(wait, left)
		} else if !lasted {
			lasted = true
			u.kept(u.runner.Lasted())
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		case o := <-u.offers:
			select {
			case <-u.poke: // it was for this one
			default:
			}
			o.answer(u.runner.Offer(o.args, o.command))
			u.publish()
		}
		t.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// kept complains when the count of starts cannot be kept.
func (u *Update) kept(err error) {
	if err != nil {
		u.opt.Log.Warn("starts of the binary are counted wrongly", "error", err)
	}
}

// prove has the new binary show that it reaches what the old one reached. When it
// does not, the launcher, which waits above this process, ends it.
func (u *Update) prove(ctx context.Context) error {
	began := time.Now()
	t := time.NewTicker(healthEvery)
	defer t.Stop()
	missing := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-u.offers:
			o.answer(u.runner.Offer(o.args, o.command)) // refused: one is on trial
			continue
		case <-t.C:
		}
		now := strings.Join(u.missing(u.runner.Needs()), ", ")
		if now != missing {
			u.opt.Log.Info("on trial", "missing", now)
			missing = now
		}
		if now != "" || time.Since(began) < u.opt.ConfirmAfter {
			continue
		}
		if err := u.runner.Confirmed(); err != nil {
			u.opt.Log.Error("the new binary cannot be confirmed", "error", err)
			continue
		}
		u.opt.Log.Info("the new binary is confirmed", "version", u.version)
		u.runner.TellResult()
		return ErrRestart // now without the launcher above
	}
}

// missing is what of need does not work, the store always among them.
func (u *Update) missing(need []string) []string {
	have := u.opt.Works(u.ctx)
	var out []string
	for _, n := range append([]string{Store}, need...) {
		if !slices.Contains(have, n) {
			out = append(out, n)
		}
	}
	return out
}

// report tells the backend how an update stands.
func (u *Update) report(m protocol.Update) error {
	u.publish()
	u.opt.Log.Info("update", "state", m.State, "version", m.Version, "code", m.Code, "detail", m.Detail)
	return u.opt.Report(u.ctx, m)
}

// spent counts a download as the agent's own traffic.
func (u *Update) spent(n uint64) {
	select {
	case u.opt.Events <- core.Spent{At: core.At{Instant: u.opt.Now()}, Bytes: n}:
	case <-u.ctx.Done():
	}
}

// Status is the last published state of the updates.
func (u *Update) Status() install.Status { return *u.state.Load() }

func (u *Update) publish() {
	s := u.runner.Status()
	u.state.Store(&s)
}

// Offer hands an offer over; answer is called once, from another goroutine.
func (u *Update) Offer(args protocol.UpdateArgs, command string, answer func(error)) {
	select {
	case u.offers <- offered{args, command, answer}:
		select {
		case u.poke <- struct{}{}:
		default:
		}
	default:
		go answer(protocol.Refuse(protocol.UpdateBusy, "%d offers wait", cap(u.offers)))
	}
}

// Stopped notes that the binary ended by a signal or on its own account.
func (u *Update) Stopped() { u.kept(u.runner.Stopped()) }
