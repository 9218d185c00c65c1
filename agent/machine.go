package agent

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/flash"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
	"cellwarden/agent/machine"
	"cellwarden/agent/machine/ddcmp"
	"cellwarden/agent/machine/dex"
	"cellwarden/agent/worker"
	"cellwarden/protocol"

	"golang.org/x/sync/errgroup"
)

// machineQueue is the inbox of what the machine's ports tell: a burst of the payment
// bus. Producers wait when it is full; nothing is dropped.
const machineQueue = 64

// machineState names the kept state of the machine's judgement.
const machineState = "machine"

// room is the machine's judgement with its worker, owned by the loop. m is nil where
// nothing of the machine is read and nothing hands in sales.
type room struct {
	m      *machine.Machine
	worker *worker.Machine
	file   worker.AuditFile
	events chan machine.Event
	opt    config.Machine
	tickAt time.Duration // mono
	unkept bool          // the last state waits for the messages before it
	state  []byte
	told   *protocol.Lost // as the core was told
}

// openRoom makes the room from what was kept. Sales that the machine's own software
// hands in are judged too, so there is one even without ports.
func (l *loop) openRoom(o Options, files *flash.StateDir) {
	cfg := o.Config.Machine
	security, pass := cfg.Codes()
	r := &l.machine
	l.queue.hold, l.queue.now = cfg.SalesWithin.Std(), l.hw.Now
	r.opt, r.events = cfg, make(chan machine.Event, machineQueue)
	r.file = worker.AuditFile{Save: files.Save, Load: files.Load}
	mopt := machine.Options{Offset: l.offset(o.Config), SilentAfter: cfg.SilentAfter.Std(), TubesLow: cfg.TubesLow, LowShare: cfg.LowPercent,
		Fill: cfg.Full(), Items: cfg.Mapping(),
		Online: func() bool { return l.uplink.connected }, Reader: l.hw.OpenAudit != nil, ReadAt: cfg.Times()}
	kept, err := inflate(files.Load(machineState))
	if err != nil {
		files.SetAside(machineState, err)
	}
	m, err := machine.New(mopt, kept)
	if err != nil {
		files.SetAside(machineState, err)
		m, _ = machine.New(mopt, nil) // from nothing it always begins
	}
	r.m = m
	r.worker = worker.NewMachine(l.hw, worker.MachineOptions{Audit: cfg.Audit, Bus: cfg.Bus, ID: dex.ID(cfg.DEXID),
		Codes: ddcmp.Codes{Security: security, Pass: pass}}, r.file, l.log, r.events)
}

// offset is the machine's time of day: the plan's, else the system's.
func (l *loop) offset(cfg config.Config) time.Duration {
	if cfg.Plan.UTCOffset != "" {
		_, s := time.Time{}.In(planZone(cfg.Plan)).Zone()
		return time.Duration(s) * time.Second
	}
	_, s := l.hw.Now().Wall.Local().Zone()
	return time.Duration(s) * time.Second
}

// runMachine starts the workers of the ports that are configured.
func (l *loop) runMachine(ctx context.Context, g *errgroup.Group) {
	if l.hw.OpenAudit != nil {
		g.Go(func() error { return l.machine.worker.RunAudit(ctx) })
	}
	if l.hw.OpenBus != nil {
		g.Go(func() error { return l.machine.worker.RunBus(ctx) })
	}
}

// leftAudit takes in the audit that was kept and whose messages were not: the power
// went between the two, and the machine may have cleared what it says.
func (l *loop) leftAudit() {
	r := &l.machine
	seq, text, err := r.file.Kept()
	switch {
	case err != nil:
		l.log.Error("the kept audit cannot be read", "number", seq, "error", err)
	case len(text) == 0:
	case seq <= r.m.Seq():
		r.m.Remember(text)
	default:
		l.log.Info("an audit that was kept before the stop", "number", seq)
		source := r.opt.Audit
		if source == "off" {
			source = "dex"
		}
		l.machineStep(machine.AuditRead{At: machine.At{Instant: l.hw.Now()}, Seq: seq, Source: source, Text: text})
	}
}

// machineDue tells the machine's judgement the time, when that is due.
func (l *loop) machineDue(now instant.Instant) {
	if r := &l.machine; r.m != nil && now.Mono >= r.tickAt {
		r.tickAt = now.Mono + worker.MachineTick
		l.machineStep(machine.Tick{At: machine.At{Instant: now}})
		l.tellHabit(now)
	}
}

// tellHabit tells the core what an hour away costs, when that changed.
func (l *loop) tellHabit(now instant.Instant) {
	r := &l.machine
	var lost *protocol.Lost
	if v := r.m.LostPerHour(now); v > 0 {
		lost = &protocol.Lost{PerHour: v}
		lost.Decimals, lost.Currency = r.m.Money()
	}
	if lost == nil && r.told == nil || lost != nil && r.told != nil && *lost == *r.told {
		return
	}
	r.told = lost
	l.step(core.MachineHabit{At: l.at(), Lost: lost})
}

// machinePriority says how a message of the machine is kept: what a person acts on as
// an alert, the raw audit as the first that may go when the store is full.
func machinePriority(t protocol.Type) core.Priority {
	switch t {
	case protocol.TypeNotice:
		return core.Alert
	case protocol.TypeAuditRaw:
		return core.Metric
	}
	return core.EventPriority
}

// machineStep gives the machine's judgement one event and carries out what it wants.
func (l *loop) machineStep(ev machine.Event) {
	r := &l.machine
	_, isAudit := ev.(machine.AuditRead)
	for _, e := range r.m.Step(ev) {
		switch {
		case e.Send != nil:
			body, err := protocol.NewBody(e.Send.Body)
			if err != nil {
				l.log.Error("message cannot be encoded", "type", string(e.Send.Type), "error", err)
				continue
			}
			l.store(core.Store{Type: e.Send.Type, Priority: machinePriority(e.Send.Type), Body: body, At: l.at().Instant,
				Now: e.Send.Urgent || e.Send.Type == protocol.TypeSale}) // a sale is seen once: it does not wait for company on its way to the flash
		case e.Persist != nil:
			l.keepMachine(e.Persist, isAudit)
		case e.Poll:
			l.poll()
		case e.AboutToSell:
			l.step(core.AboutToSell{At: l.at()})
		default:
			l.log.Log(context.Background(), slog.LevelInfo, e.Log, e.Attrs...)
		}
	}
}

// keepMachine keeps the state behind the messages that it rests on: were it on the
// flash and they not, a power cut would lose them.
func (l *loop) keepMachine(state []byte, now bool) {
	r := &l.machine
	r.state, r.unkept = state, true
	if now || l.queue.box.Staged() > 0 {
		l.commit()
	}
	l.settleMachine()
}

// settleMachine writes the state that waits, once nothing before it is missing.
func (l *loop) settleMachine() {
	r := &l.machine
	if !r.unkept || l.queue.box.Staged() > 0 || l.queue.lost != nil {
		return
	}
	r.unkept = false
	l.persist(core.Persist{Name: machineState, Data: deflate(r.state)})
}

// poll has the audit port read. The next audit takes the place of the last one on the
// flash: that one's messages must be there first.
func (l *loop) poll() {
	r := &l.machine
	if r.unkept || l.saved[machineState] != nil {
		l.machineStep(machine.ReadFailed{At: machine.At{Instant: l.hw.Now()}, Source: r.opt.Audit, Reason: "not_kept"})
		return
	}
	if !r.worker.Request(r.m.Seq() + 1) { // cannot be: one poll at a time
		l.log.Error("a read of the machine was asked while one waits")
	}
}

// deflate makes a state small: it is written every hour, and most of it are zeros.
func deflate(data []byte) []byte {
	var b bytes.Buffer
	zw, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return data // only for a level that does not exist
	}
	_, _ = zw.Write(data) // into memory: neither fails
	_ = zw.Close()
	return b.Bytes()
}

func inflate(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), flash.MaxStateBytes))
	if err != nil {
		return nil, fmt.Errorf("machine: kept state: %w", err)
	}
	return out, nil
}

// saleEvent is the data of an event "sale" that the machine's software hands in
// (POST /v1/events); any other shape passes as an event of its own and is not judged.
type saleEvent struct {
	Selection string `json:"sel"`
	Price     *int64 `json:"price"` // minor units
	Kind      string `json:"kind"`  // cashless, cash, token, free, test
}

// handedSale judges an event of the machine's software that is a sale.
func (l *loop) handedSale(e protocol.MachineEvent) {
	if e.Name != "sale" || l.machine.m == nil {
		return
	}
	s := saleEvent{Kind: "cashless"}
	if len(e.Data) > 0 && json.Unmarshal(e.Data, &s) != nil {
		s = saleEvent{Kind: "cashless"} // it is a sale all the same
	}
	l.machineStep(machine.Handed{At: machine.At{Instant: l.hw.Now()}, Sale: protocol.Sale{Source: "software", Kind: s.Kind,
		Selection: s.Selection, Price: s.Price}})
}

// readMachine reads the audit port for a command.
func (l *loop) readMachine(id string) {
	err := l.machine.m.MayRead(l.hw.Now())
	r := protocol.Reply{ID: id, OK: err == nil}
	if err != nil {
		r.Error = err.Error()
	} else {
		l.machineStep(machine.ReadNow{At: machine.At{Instant: l.hw.Now()}})
	}
	l.answerCommand(core.Alert, r)
}

// ReadMachine implements localapi.Machinist.
func (b *backend) ReadMachine(ctx context.Context) error {
	l := b.loop
	refused, err := ask(ctx, l, func() error {
		err := l.machine.m.MayRead(l.hw.Now())
		if err == nil {
			l.machineStep(machine.ReadNow{At: machine.At{Instant: l.hw.Now()}})
		}
		return err
	})
	if refused != nil {
		err = &localapi.NotNow{Reason: refused.Error()}
	}
	return err
}

// Filled implements localapi.Machinist.
func (b *backend) Filled(ctx context.Context, selections []string) error {
	l := b.loop
	refused, err := ask(ctx, l, func() error {
		if !l.machine.opt.On() {
			return errors.New("nothing of the machine is read: see [machine] in the config")
		}
		l.machineStep(machine.Filled{At: machine.At{Instant: l.hw.Now()}, Selections: selections})
		return nil
	})
	if refused != nil {
		err = &localapi.NotNow{Reason: refused.Error()}
	}
	return err
}

// machineStatus is the part of the status that tells of the machine, nil where nothing
// of it is read and no sale was handed in.
func (l *loop) machineStatus() *localapi.Machine {
	r := &l.machine
	now := l.hw.Now()
	v := r.m.View(now)
	if !r.opt.On() && v.LastSale.IsZero() {
		return nil
	}
	out := &localapi.Machine{Name: v.Name, Source: v.Source, G85: v.G85, Failures: v.Failures, Bus: v.Bus, TodayCount: v.Today.Count,
		TodayValue: v.Today.Value,
		TodayFrom:  v.Today.From, Usual: v.Usual, LostPerHour: v.LostValue, Quiet: v.Quiet, Decimals: v.Decimals, Currency: v.Currency,
		Notices: []localapi.MachineNotice{}, Stock: []localapi.MachineColumn{}}
	wire := func(t instant.Instant) *protocol.Time {
		if t.IsZero() {
			return nil
		}
		w := core.WireTime(t)
		return &w
	}
	out.LastAudit, out.LastSale = wire(v.Read), wire(v.LastSale)
	for _, n := range v.Notices {
		out.Notices = append(out.Notices, localapi.MachineNotice{Kind: n.Kind, Selection: n.Selection, Code: n.Code, How: n.How,
			Source: n.Source, Detail: n.Detail,
			Since: core.WireTime(n.Since)})
	}
	for _, s := range v.Stock {
		out.Stock = append(out.Stock, localapi.MachineColumn{Selection: s.Selection, Name: s.Name, Level: s.Level, Capacity: s.Capacity,
			Fill: s.Fill, Low: s.Low})
	}
	return out
}
