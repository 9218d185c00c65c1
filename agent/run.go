package agent

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/flash"
	"cellwarden/agent/localapi"
	"cellwarden/agent/meter"
	"cellwarden/agent/remedy"
	"cellwarden/agent/uplink"
	"cellwarden/agent/wayout"
	"cellwarden/agent/worker"
	"cellwarden/modem"
	"cellwarden/protocol"

	"golang.org/x/sync/errgroup"
)

// Options are what Run needs beside the config.
type Options struct {
	Config   config.Config
	Version  string
	Board    string // its name among the targets; "" for an unknown one
	Hardware device.Hardware
	Log      *slog.Logger
	// Recorder has the modem's traffic; nil: there is none.
	Recorder *modem.Recorder
	// Ready is called when the agent works: the socket listens, the loop runs.
	Ready func()
	// Timing changes the uplink's pace; the zero value is its default.
	Timing uplink.Timing
}

// slowPoll is how often the rest is asked: what changes rarely and what costs
// the module a file read on the card.
const slowPoll = 10 * time.Minute

// Run runs the agent until ctx ends, and returns when every goroutine has. It
// fails only where it cannot work at all: no state directory, no socket.
func Run(ctx context.Context, o Options) error {
	id, _, err := config.DeviceID(os.DirFS("/"), o.Config.Device.ID)
	if err != nil {
		return err
	}
	if o.Hardware.Way == nil {
		o.Hardware.Way = wayout.New(os.DirFS("/"), o.Config.Probes.DNSServers()).By
	}
	if err := os.MkdirAll(o.Config.Store.Dir, 0o700); err != nil {
		return fmt.Errorf("state directory: %w; create it and give it to the user that the agent runs as, or set store.dir", err)
	}
	// All segments are made now: once in the store's life its size is written as
	// zeros, and from then on an event costs one page. Without, the first round
	// through the segments costs twice as much for events in groups.
	box, found, why, err := o.openBox()
	if err != nil {
		return err
	}
	o.Log.Info("outbox", "found", found.String())
	q := newQueue(id, box)
	if why != nil {
		q.lost, q.tag = why, memoryTag
		o.Log.Error("the outbox cannot be used", "error", why)
	}
	l, err := newLoop(o, id, q)
	if err != nil {
		_ = box.Close()
		return err
	}
	l.openReal = o.openReal
	if why != nil {
		l.boxAt = l.hw.Now().Mono + boxRetry
		l.troubles.file("store", why, l.hw.Now())
	}
	l.begin(found)
	return l.serve(ctx, o, id)
}

// newLoop builds the loop with its core from what was kept.
func newLoop(o Options, id string, q *queue) (*loop, error) {
	cfg := o.Config
	files := flash.OpenStateDir(flash.OS{}, cfg.Store.Dir, runDir(cfg), o.Log)
	salt, err := files.Salt()
	if err != nil {
		return nil, err
	}
	weights, err := LoadWeights(cfg.Diag.WeightsFile)
	if err != nil {
		return nil, err
	}
	keys, err := commandKeys(cfg.Uplink.CommandKeys)
	if err != nil {
		return nil, err
	}
	specs := device.ProbeRound(cfg)
	if err != nil {
		return nil, err
	}
	holds := map[diag.Code]time.Duration{}
	for class, d := range cfg.Diag.Hold {
		holds[diag.Code(class)] = d.Std()
	}
	copt := core.Options{
		Device: id, Version: o.Version, Salt: salt,
		Poll: cfg.Modem.Poll.Std(), SlowPoll: slowPoll, LinkPoll: cfg.Data.Poll.Std(), ReportEvery: cfg.Uplink.ReportEvery.Std(),
		Probes: specs, ProbeEvery: cfg.Probes.Interval.Std(), ProbeBudget: int(cfg.Probes.DailyBudgetBytes),
		Plan: cfg.Plan, Holds: holds, Weights: weights, Allowed: cfg.Uplink.Commands, Keys: keys, Unsigned: cfg.Uplink.Unsigned,
		Steps: allowed(worker.CanTake(o.Hardware), cfg.Recovery), DeleteRead: cfg.Modem.SMSDelete == "read", BlockAt: cfg.Data.BlockPercent(),
		IDs: cfg.Uplink.Identities, Inventory: inventoryOf(o),
		SMS:      core.SMSOptions{To: cfg.SMS.ReportTo, From: cfg.SMS.CommandsFrom, Code: cfg.SMS.Code.Reveal()},
		HasModem: o.Hardware.OpenModem != nil, ModemAt: modemAt(cfg.Modem), Meter: meter.Options{FlushBytes: cfg.Store.MeterFlushBytes},
	}
	events := make(chan core.Event, eventQueue)
	l := &loop{hw: o.Hardware, log: o.Log, version: o.Version, board: o.Board, journal: openJournal(files, salt), name: cfg.Device.Name, recorder: o.Recorder, events: events, calls: make(chan func()), words: make(chan []byte, 1), over: make(chan struct{}), queue: q,
		modem: worker.NewModem(o.Hardware, o.Log, events), port0: cfg.Modem.Port, nudges: make(chan struct{}, 1), probe: worker.NewProbe(o.Hardware, events), saver: files, block: board.NewBlock(files.Run(), cfg.Data.Interfaces),
		budget: newBudget(cfg.Uplink.DailyBudgetBytes, files.Load("budget"), func(b []byte) error { return files.Save("budget", b) }), commitEvery: cfg.Store.CommitEvery.Std(),
		waiting: map[uint64]chan<- error{}, tokens: map[string]chan<- accepted{}, watchers: map[string]*watcher{}, watching: map[chan struct{}]struct{}{},
		saved: map[string]error{}, troubles: troubles{}, uplink: uplinkView{on: len(cfg.Uplink.Brokers) > 0, portState: "absent"}}
	l.journalSum = sha256.Sum256(l.journal.Bytes())
	if l.core, err = startCore(copt, o, files, files.Kept(flash.Meter)); err != nil {
		return nil, err
	}
	l.openRoom(o, files)
	return l, nil
}

// inventoryOf is what the process knows of the device by itself. The config's hash
// leaves secrets out: of them it has only whether they are set.
func inventoryOf(o Options) protocol.Inventory {
	inv := protocol.Inventory{Board: o.Board, OS: runtime.GOOS, Arch: runtime.GOARCH}
	if raw, err := json.Marshal(o.Config); err == nil {
		sum := sha256.Sum256(raw)
		inv.Config = hex.EncodeToString(sum[:4])
	}
	return inv
}

// allowed are the steps of can that the config lets be taken: those that need consent
// only where it names them.
func allowed(can []remedy.Step, r config.Recovery) []remedy.Step {
	if !r.Enabled {
		return nil
	}
	return slices.DeleteFunc(can, func(s remedy.Step) bool {
		return remedy.Builtin.Step[s].Consent && !slices.Contains(r.Allow, string(s)) || slices.Contains(r.Forbid, string(s))
	})
}

// modemAt is where the config looks for the modem, in one word.
func modemAt(m config.Modem) string {
	return strings.TrimRight(m.Port+":"+m.USBVendor+":"+m.USBProduct, ":")
}

// runDir is where the socket lives: a tmpfs on every ordinary board.
func runDir(cfg config.Config) string {
	if cfg.API.Socket == "" {
		return ""
	}
	return filepath.Dir(cfg.API.Socket)
}

// startCore restores core and meter. A kept state that cannot be read is set
// aside and the agent starts anew: it must measure, whatever a power cut did.
func startCore(copt core.Options, o Options, files *flash.StateDir, meters [][]byte) (*core.Core, error) {
	m, err := meter.RestoreNewest(copt.Meter, meters...)
	if err != nil && slices.ContainsFunc(meters, func(b []byte) bool { return len(b) > 0 }) {
		o.Log.Warn("the meter's state cannot be read; it begins anew", "error", err)
	}
	now := o.Hardware.Now()
	kept := files.Load("core")
	c, err := core.New(copt, now, kept, m)
	if err != nil && kept != nil {
		files.SetAside("core", err)
		c, err = core.New(copt, now, nil, m)
	}
	return c, err
}

// serve runs everything and joins it.
func (l *loop) serve(ctx context.Context, o Options, id string) error {
	// All that the loop and its callers share is made before the first of them runs.
	var err error
	if l.updates, err = l.newUpdater(o); err != nil {
		l.log.Error("no updates", "error", err)
	}
	l.overData, l.wayKnown = o.choice().OverData, o.Config.Uplink.Interface != "any" || o.Hardware.OverData != nil
	l.clock = worker.NewClock(l.hw, o.Config.Probes.NTP, l.log, l.events)
	if last := l.core.LastTime(); l.hw.HearTime != nil && !last.IsZero() {
		l.hw.HearTime(string(board.TimeGood), last)
	}
	b := &backend{loop: l, recorder: o.Recorder}
	listeners, err := o.listen(ctx, b)
	if err != nil {
		_ = l.queue.box.Close()
		return err
	}
	// The loop outlives its helpers, so that their last words are heard.
	loopCtx, stopLoop := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoop()
	loopDone := make(chan error, 1)
	go func() { loopDone <- l.run(loopCtx) }()

	g, ctx := errgroup.WithContext(ctx)
	for _, s := range listeners {
		g.Go(func() error { return s(ctx) })
	}
	if l.hw.OpenModem != nil {
		g.Go(func() error { return l.modem.Run(ctx) })
	}
	if l.hw.WatchLinks != nil {
		g.Go(func() error { return worker.WatchLinks(ctx, l.hw, l.log, l.events) })
	}
	g.Go(func() error { return l.probe.Run(ctx) })
	l.runMachine(ctx, g)
	if l.clock != nil {
		g.Go(func() error { return l.clock.Run(ctx) })
	}
	if l.updates != nil {
		g.Go(func() error { return l.updates.Run(ctx) })
	}
	if l.uplink.on {
		up := l.newUplink(o, id)
		g.Go(func() error { return up.Run(ctx) })
		g.Go(func() error {
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-l.nudges:
					up.Nudge()
				case w := <-l.words:
					up.SetWords(w)
				}
			}
		})
	}
	if o.Ready != nil {
		o.Ready()
	}
	err = g.Wait()
	stopLoop()
	if e := <-loopDone; err == nil {
		err = e
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if l.updates != nil && (err == nil || errors.Is(err, worker.ErrRestart)) {
		l.updates.Stopped()
	}
	return err
}

// listen opens the local socket and the page.
func (o Options) listen(ctx context.Context, b *backend) ([]func(context.Context) error, error) {
	var out []func(context.Context) error
	api := o.Config.API
	if api.Socket != "" {
		s, err := localapi.Listen(api.Socket, -1)
		if err != nil {
			return nil, err
		}
		out = append(out, func(ctx context.Context) error { return localapi.Serve(ctx, s, localapi.Handler(b)) })
	}
	if api.HTTP != "" {
		serve, err := o.page(ctx, b)
		if err != nil {
			// The page is a convenience: without it the agent still works.
			o.Log.Error("the page is off", "address", api.HTTP, "error", err)
		} else {
			out = append(out, serve)
		}
	}
	return out, nil
}

// LoadWeights reads an operator's weight table over the built-in one; "" is nil.
func LoadWeights(file string) (*diag.Weights, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("diag.weights_file: %w", err)
	}
	w, err := diag.ParseWeights(file, string(data), diag.DefaultWeights)
	if err != nil {
		return nil, fmt.Errorf("diag.weights_file: %w", err)
	}
	return w, nil
}

func commandKeys(list []string) ([]ed25519.PublicKey, error) {
	var out []ed25519.PublicKey
	for _, s := range list {
		k, err := protocol.ParsePublicKey(s)
		if err != nil {
			return nil, fmt.Errorf("uplink.command_keys: %w", err)
		}
		out = append(out, k)
	}
	return out, nil
}

// uplinkState is what reconnecting remembers. Its file is made now, so that a failed
// attempt costs a page and no new file.
func uplinkState(files *flash.StateDir) (state uplink.State) {
	for _, data := range files.Kept("uplink") {
		var s uplink.State
		if err := json.Unmarshal(data, &s); err == nil {
			state = s
		} else if data != nil {
			files.SetAside("uplink", err)
		}
	}
	if data, err := json.Marshal(state); err == nil {
		_ = files.Save("uplink", data) // the next one tells of a disk that is full
	}
	return state
}

// newUplink builds the MQTT session.
func (l *loop) newUplink(o Options, id string) *uplink.Uplink {
	u := o.Config.Uplink
	files := l.saver
	state := uplinkState(files)
	timing := o.Timing
	if timing.KeepAlive == 0 {
		timing.KeepAlive = u.KeepAlive.Std()
	}
	handle, inTPM := u.TPMHandle()
	if inTPM {
		u.KeyFile = ""
	}
	opt := uplink.Options{Device: id, Prefix: u.TopicPrefix, Brokers: u.Brokers, Source: l.queue, Now: o.Hardware.Now,
		OnEvent: func(e uplink.Event) { l.fromUplink(e, files) }, ClientID: u.ClientID, User: u.Username,
		Way:    o.way,
		Secret: func() (string, error) { p, err := u.BrokerPassword(); return p.Reveal(), err },
		TLS: uplink.TLS{CAFile: u.CAFile, CertFile: u.CertFile, KeyFile: u.KeyFile, KeyHandle: handle, ServerName: u.ServerName, Pins: u.PinSHA256,
			SessionFile: filepath.Join(o.Config.Store.Dir, "tls.sessions")},
		Admit: l.admit, Window: u.Window, State: state, Timing: timing}
	return uplink.New(opt)
}

// choice is which interface the uplink takes.
func (o Options) choice() wayout.Choice {
	return wayout.Choice{Want: o.Config.Uplink.Interface, Patterns: o.Config.Data.Interfaces, Route: o.Hardware.OverData,
		Data: func() (string, error) {
			_, d, err := o.Hardware.Links()
			return d.Name, err
		}}
}

// way is the way out of uplink and updates as it is now.
func (o Options) way() (wayout.Way, error) {
	iface, err := o.choice().Interface()
	if err != nil {
		return wayout.Way{}, err
	}
	return o.Hardware.Way(iface), nil
}
