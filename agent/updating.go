package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/flash"
	"cellwarden/agent/localapi"
	"cellwarden/agent/meter"
	"cellwarden/agent/update"
	"cellwarden/agent/update/install"
	"cellwarden/agent/update/launch"
	"cellwarden/agent/worker"
	"cellwarden/protocol"
)

const (
	// maxRoot bounds the file of the packaged root.
	maxRoot = 64 << 10
)

func (l *loop) newUpdater(o Options) (*worker.Update, error) {
	cfg := o.Config
	d := launch.Dir(cfg.Store.Dir)
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return nil, err
	}
	from, to, err := cfg.Update.Hours()
	l.updateFrom, l.updateTo = from, to
	if err != nil {
		return nil, err // the config was checked
	}
	h := install.Host{Dir: d, Package: launch.PackageVersion(o.Version), Version: o.Version, Exe: flash.OwnExe, Target: board.Build,
		Policy: update.Policy{From: from, To: to, Zone: planZone(cfg.Plan), DayBytes: int64(cfg.Update.DailyBudgetBytes),
			UntilPercent: cfg.Update.UntilPercent},
		Runs: launch.SaysVersion,
		Dial: func(ctx context.Context, host string, port uint16) (net.Conn, error) {
			way, err := o.way()
			if err != nil {
				return nil, err
			}
			r, err := way.Connect(ctx, "tcp", host, port)
			return r.Conn, err
		}}
	if err := flash.Private(cfg.Store.Dir, d.Path); err != nil && cfg.Update.RootFile != "" {
		l.log.Error("updates are off: what they write could be changed before it starts", "error", err)
	} else if f := cfg.Update.RootFile; f != "" {
		if h.Root, err = readRoot(f); err != nil {
			l.log.Error("updates are off", "error", err)
		}
	}
	return worker.NewUpdate(h, worker.UpdateOptions{ConfirmAfter: cfg.Update.ConfirmAfter.Std(), Trial: launch.OnTrial(),
		Now: l.hw.Now, Log: l.log, Events: l.events, Works: l.works, Line: l.updateLine(o.choice().OverData), Report: l.reportUpdate}), nil
}

// works names what works now of what matters: modem, broker and store.
func (l *loop) works(ctx context.Context) []string {
	out, _ := ask(ctx, l, func() (out []string) {
		if l.uplink.portState == "ok" && l.uplink.answered {
			out = append(out, "modem")
		}
		if l.uplink.connected {
			out = append(out, "broker")
		}
		if !l.commitBad && l.troubles["store"].Key == "" {
			out = append(out, worker.Store)
		}
		return out
	})
	return out
}

// updateLine is how things stand for a download.
func (l *loop) updateLine(overData func(string) bool) func(context.Context) update.Line {
	return func(ctx context.Context) update.Line {
		now := l.hw.Now()
		line := update.Line{Now: now.Wall, Trusted: now.Trusted, OverData: overData("")}
		type known struct {
			meter.Usage
			busy bool
			past time.Time
		}
		g, err := ask(ctx, l, func() known {
			return known{l.core.View().Usage, l.machine.m.Busy(now, l.updateFrom, l.updateTo), l.core.LastTime()}
		})
		if err == nil {
			line.Past = g.past
			line.Used, line.Quota, line.Unplaced, line.Busy = g.UsedBytes, g.QuotaBytes, !g.TimeKnown, g.busy
		}
		return line
	}
}

// reportUpdate puts one message into the outbox, durably.
func (l *loop) reportUpdate(ctx context.Context, m protocol.Update) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return tell(ctx, l, func() {
		l.store(core.Store{Type: protocol.TypeUpdate, Priority: core.EventPriority, Body: body, At: l.at().Instant, Now: true})
	})
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
	l.updates.Offer(c.Args, c.ID, answer)
}

// Update implements localapi.Updater.
func (b *backend) Update(ctx context.Context, a protocol.UpdateArgs) error {
	u := b.loop.updates
	if u == nil {
		return protocol.Refuse(protocol.UpdateOff, "the directory of updates cannot be used")
	}
	done := make(chan error, 1)
	u.Offer(a, "", func(err error) { done <- err })
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
	s := l.updates.Status()
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
