package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/flash"
	"cellwarden/agent/localapi"
	"cellwarden/agent/meter"
	"cellwarden/agent/probe"
	"cellwarden/agent/update"
	"cellwarden/agent/update/install"
	"cellwarden/agent/update/launch"
	"cellwarden/protocol"
)

// errRestart ends Run: the right binary is to be started in place of this one.
var errRestart = errors.New("another binary starts now")

const (
	// healthEvery is how often a new binary's health is looked at.
	healthEvery = 2 * time.Second
	// maxRoot bounds the file of the packaged root.
	maxRoot = 64 << 10
	// lasts is how long a confirmed binary has to run until its start counts as good:
	// longer than modem, broker and first report take, shorter than anything that a
	// machine does once an hour.
	lasts = 5 * time.Minute
)

// updater carries updates out beside the loop.
type updater struct {
	loop   *loop
	runner *install.Runner
	offers chan offered
	poke   chan struct{} // an offer waits: what is under way makes room
	state  atomic.Pointer[install.Status]

	after time.Duration // update.confirm_after
	ctx   context.Context
}

// offered is one offer and where its answer goes.
type offered struct {
	args    protocol.UpdateArgs
	command string
	answer  func(error)
}

func (l *loop) newUpdater(o Options) (*updater, error) {
	cfg := o.Config
	d := launch.Dir(cfg.Store.Dir)
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return nil, err
	}
	from, to, err := cfg.Update.Hours()
	if err != nil {
		return nil, err // the config was checked
	}
	u := &updater{loop: l, offers: make(chan offered, 4), poke: make(chan struct{}, 1),
		after: cfg.Update.ConfirmAfter.Std()}
	h := install.Host{Dir: d, Package: launch.PackageVersion(o.Version), Version: o.Version, Exe: flash.OwnExe, Target: board.Build,
		Policy: update.Policy{From: from, To: to, Zone: planZone(cfg.Plan), DayBytes: int64(cfg.Update.DailyBudgetBytes), UntilPercent: cfg.Update.UntilPercent},
		Line:   u.line(o.overData()), Need: u.works, Runs: launch.SaysVersion, Report: u.report, Spent: u.spent,
		Dial: func(ctx context.Context, host string, port uint16) (net.Conn, error) {
			iface, err := o.boundTo()
			if err != nil {
				return nil, err
			}
			return dialFor(cfg, iface).Connect(ctx, host, port)
		}}
	if err := flash.Private(cfg.Store.Dir, d.Path); err != nil && cfg.Update.RootFile != "" {
		l.log.Error("updates are off: what they write could be changed before it starts", "error", err)
	} else if f := cfg.Update.RootFile; f != "" {
		if h.Root, err = readRoot(f); err != nil {
			l.log.Error("updates are off", "error", err)
		}
	}
	r, damaged := install.Open(h)
	for _, what := range damaged {
		l.log.Warn("kept state of updates cannot be read", "file", what)
	}
	u.runner = r
	u.publish()
	return u, nil
}

func readRoot(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("update.root_file: %w", err)
	}
	if info.Size() > maxRoot {
		return nil, fmt.Errorf("update.root_file: %d bytes, a root has at most %d", info.Size(), maxRoot)
	}
	return os.ReadFile(file)
}

// planZone is the operator's time zone, by which the window is meant.
func planZone(p protocol.Plan) *time.Location {
	offset := p.UTCOffset
	if offset == "" {
		offset = meter.DefaultUTCOffset
	}
	t, err := time.Parse("-07:00", offset)
	if err != nil {
		return time.UTC // the config was checked
	}
	return t.Location()
}

// dialFor is the way that downloads take: the uplink's.
func dialFor(cfg config.Config, iface string) probe.Env {
	e := probe.Env{Interface: iface, Mark: board.OwnMark}
	root := os.DirFS("/")
	if servers := ownServers(cfg.Probes, root); servers != nil {
		e.Resolver = servers()
	} else if iface != "" {
		e.Resolver = probe.SystemResolvers(root)
	}
	if len(e.Resolver) == 0 {
		e.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	return e
}

// run carries updates out until ctx ends. errRestart says that the launcher is to
// start the right binary now.
func (u *updater) run(ctx context.Context) error {
	u.ctx = ctx
	if u.runner.Trial() && launch.OnTrial() {
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
			u.loop.log.Info("a new binary is to be tried", "version", u.runner.Status().Trial)
			return errRestart
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
func (u *updater) kept(err error) {
	if err != nil {
		u.loop.log.Warn("starts of the binary are counted wrongly", "error", err)
	}
}

// prove has the new binary show that it reaches what the old one reached. When it
// does not, the launcher, which waits above this process, ends it.
func (u *updater) prove(ctx context.Context) error {
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
			u.loop.log.Info("on trial", "missing", now)
			missing = now
		}
		if now != "" || time.Since(began) < u.after {
			continue
		}
		if err := u.runner.Confirmed(); err != nil {
			u.loop.log.Error("the new binary cannot be confirmed", "error", err)
			continue
		}
		u.loop.log.Info("the new binary is confirmed", "version", u.loop.version)
		u.runner.TellResult()
		return errRestart // now without the launcher above
	}
}

// works names what works now of what matters: modem and broker.
func (u *updater) works() []string {
	out, _ := ask(u.ctx, u.loop, func() (out []string) {
		if u.loop.uplink.portState == "ok" && u.loop.uplink.answered {
			out = append(out, "modem")
		}
		if u.loop.uplink.connected {
			out = append(out, "broker")
		}
		return out
	})
	return out
}

// missing is what of need does not work, the store always among them.
func (u *updater) missing(need []string) []string {
	have := u.works()
	store, err := ask(u.ctx, u.loop, func() bool { return !u.loop.commitBad && u.loop.troubles["store"].Key == "" })
	if err == nil && store {
		have = append(have, "store")
	}
	var out []string
	for _, n := range append([]string{"store"}, need...) {
		if !slices.Contains(have, n) {
			out = append(out, n)
		}
	}
	return out
}

// line is how things stand for a download.
func (u *updater) line(overData func(string) bool) func() update.Line {
	return func() update.Line {
		now := u.loop.hw.Now()
		l := update.Line{Now: now.Wall, Trusted: now.Trusted, OverData: overData("")}
		if g, err := ask(u.ctx, u.loop, func() meter.Usage { return u.loop.core.View().Usage }); err == nil {
			l.Used, l.Quota, l.Unplaced = g.UsedBytes, g.QuotaBytes, !g.TimeKnown
		}
		return l
	}
}

// report puts one message into the outbox, durably.
func (u *updater) report(m protocol.Update) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	u.publish()
	u.loop.log.Info("update", "state", m.State, "version", m.Version, "code", m.Code, "detail", m.Detail)
	return tell(u.ctx, u.loop, func() {
		u.loop.store(core.Store{Type: protocol.TypeUpdate, Priority: core.EventPriority, Body: body, At: u.loop.at().Instant, Now: true})
	})
}

// spent counts a download as the agent's own traffic.
func (u *updater) spent(n uint64) {
	select {
	case u.loop.events <- core.Spent{At: u.loop.at(), Bytes: n}:
	case <-u.ctx.Done():
	}
}

func (u *updater) publish() {
	s := u.runner.Status()
	u.state.Store(&s)
}

// offer hands an offer over; answer is called once, from another goroutine.
func (u *updater) offer(o offered) {
	select {
	case u.offers <- o:
		select {
		case u.poke <- struct{}{}:
		default:
		}
	default:
		go o.answer(protocol.Refuse(protocol.UpdateBusy, "%d offers wait", cap(u.offers)))
	}
}

// startUpdate carries an update command out.
func (l *loop) startUpdate(c core.StartUpdate) {
	if filepath.IsAbs(c.Args.URL) {
		// From afar no file of the device is named.
		l.answerCommand(core.Alert, protocol.Reply{ID: c.ID, Error: protocol.Refuse(protocol.UpdateServer, "args.url wants http:// or https://").Error()})
		return
	}
	answer := func(err error) {
		l.post(func() {
			r := protocol.Reply{ID: c.ID, OK: err == nil}
			if err != nil {
				r.Error = err.Error()
			}
			l.answerCommand(core.Alert, r)
		})
	}
	if l.updates == nil {
		go answer(protocol.Refuse(protocol.UpdateOff, "the directory of updates cannot be used"))
		return
	}
	l.updates.offer(offered{c.Args, c.ID, answer})
}

// Update implements localapi.Updater.
func (b *backend) Update(ctx context.Context, a protocol.UpdateArgs) error {
	u := b.loop.updates
	if u == nil {
		return protocol.Refuse(protocol.UpdateOff, "the directory of updates cannot be used")
	}
	done := make(chan error, 1)
	u.offer(offered{a, "", func(err error) { done <- err }})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// updateStatus is the part of the status that tells of updates; nil where there
// never was one and none are wanted.
func (l *loop) updateStatus() *localapi.Update {
	if l.updates == nil {
		return nil
	}
	s := l.updates.state.Load()
	if s.Off != "" && s.Current == "" && s.Trial == "" {
		return nil
	}
	out := &localapi.Update{Slot: s.Current, Package: launch.PackageVersion(l.version), Root: s.Root, Floor: s.Floor, Trial: s.Trial, Offered: s.Offered,
		Source: s.Source, Form: s.Form, Have: s.Have, Size: s.Size, Wait: s.Wait, Failed: s.Failed}
	if s.Refused != nil {
		out.Refused = &localapi.UpdateRefused{Version: s.Refused.Version, At: s.Refused.At, Refusal: s.Refused.Refusal}
	}
	return out
}
