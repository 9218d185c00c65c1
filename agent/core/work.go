package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/carrier"
	"cellwarden/agent/diag"
	"cellwarden/agent/meter"
	"cellwarden/agent/text"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// noticed reacts to facts that change what is asked next.
func (c *Core) noticed(fact any) {
	switch f := fact.(type) {
	case threegpp.Restarted:
		c.slowAt, c.pollAt = c.now.Mono, c.now.Mono
		c.identOK = false
	case threegpp.Refusal, threegpp.Reject:
		c.askError = true // the report is overwritten by the next failure: read it within seconds
	case threegpp.Registration:
		if f.URC {
			c.pollAt = c.now.Mono
			c.askError = c.askError || !f.Stat.Registered()
		}
	case threegpp.ContextEvent:
		c.pollAt = min(c.pollAt, c.now.Mono)
		c.askError = c.askError || strings.HasSuffix(f.Event, "DEACT") || f.Event == "DETACH"
	case threegpp.SIM:
		// Where a card came back it may be another one; until it is read the
		// meter books to the one before.
		c.askCard = c.askCard || f.State == threegpp.SIMReady && (f.URC || c.noCardBefore)
		c.noCardBefore = c.noCard()
		if f.URC {
			c.pollAt = min(c.pollAt, c.now.Mono)
		}
	case threegpp.SMS:
		c.askedBySMS(f)
	case threegpp.ICCID:
		c.card(c.hash(f.Value))
		c.see("config", diag.Settings{APN: c.opt.APN, ICCID: c.hash(f.Value), IMEI: c.hash(c.known.Summary().IMEI)})
	case threegpp.IMEI:
		c.see("config", diag.Settings{APN: c.opt.APN, ICCID: c.hash(c.known.Summary().ICCID), IMEI: c.hash(f.Value)})
	}
}

func (c *Core) afterRound(RoundDone) {
	c.judge()
	c.askWhy()
	if len(c.askers) > 0 && !c.probes.running && len(c.probes.queue) == 0 && c.probes.due() > c.now.Mono {
		c.answerAskers()
	}
	c.newsOfMessage()
}

// maxAskers bounds those who wait for one judgement: each gets the same answer, at
// the plan's cost.
const maxAskers = 8

// answerAskers ends the wait of those who asked for a fresh judgement.
func (c *Core) answerAskers() {
	if !c.wantFresh {
		return
	}
	c.wantFresh = false
	d := diag.Diagnose(&c.known, c.opt.Weights)
	for _, a := range c.askers {
		if a.token != "" {
			c.emit(Answer{a.token, text.English(d)})
		} else {
			c.reply(a.command, nil, Wire(d, c.now, false))
		}
	}
	c.askers = nil
}

// trafficSpan is the "last minute" of diag.Traffic.
const trafficSpan = 60 * time.Second

// cardWait is how long the first look of a start waits for the card to be read:
// a modem answers within seconds, and what an interface that vanishes in this
// time has moved is the price.
const cardWait = 20 * time.Second

// ready reports whether it is known whose bytes a look finds. A board that
// starts may have been given another card while it was off; a meter that knows
// none yet gives all to the first that is read.
func (c *Core) ready() bool {
	return c.counting || !c.opt.HasModem || c.meter.SIM() == "" || c.simKey() != "" || c.now.Mono-c.start.Mono >= cardWait
}

// card takes note of the card in the slot. What moved until now belongs to the
// one before, so that a swap is made after one more look.
func (c *Core) card(key string) {
	switch {
	case key == c.meter.SIM():
		c.nextCard = ""
		c.setCard(key)
	case !c.counting || c.meter.SIM() == "":
		c.setCard(key)
	default:
		c.nextCard = key
		c.linkAt = c.now.Mono
	}
}

func (c *Core) setCard(key string) {
	if key != c.meter.SIM() {
		c.roundingOf = ""
	}
	c.nextCard = ""
	c.meter.SetSIM(key, c.now)
	c.useNotes(key)
	if err := c.meter.SetPlan(key, c.plan(), c.now); err != nil {
		c.emit(Log{LevelError, "plan refused", []any{"error", err.Error()}})
	}
}

// tellRounding gives the meter the rule of the home operator once that is known.
func (c *Core) tellRounding() {
	plmn := c.plan().Carrier
	if plmn == "" {
		plmn = c.known.Summary().HomePLMN
	}
	if plmn == "" || plmn == c.roundingOf {
		return
	}
	c.roundingOf = plmn
	c.meter.SetRounding(roundingOf(plmn))
}

// block stops the machine's traffic where the config orders it, and lets it pass
// at the cycle's turn. The first look says so too: a run before may have ended
// in the middle.
func (c *Core) block() {
	on := c.opt.BlockAt > 0 && c.usage.QuotaBytes > 0 && c.usage.TimeKnown && c.usage.Percent >= float64(c.opt.BlockAt)
	if c.blocked != nil && *c.blocked == on {
		return
	}
	if on || c.blocked != nil {
		c.emit(Log{LevelWarn, "the machine's traffic", []any{"blocked", on, "percent", int(c.usage.Percent)}})
	}
	c.blocked = &on
	c.emit(Block{on})
}

// linkGone counts what an interface had moved when it was deleted, and looks at
// once where it was the line's.
func (c *Core) linkGone(r meter.Reading) {
	if r.Index > 0 && c.counting {
		c.meter.Final(c.now, r)
		c.looked = true
	}
	if r.Index == 0 || !r.Skip || r.Interface == c.iface.Name {
		c.linkAt = c.now.Mono
	}
}

// links counts and looks at the data interface.
func (c *Core) links(e Links) {
	if c.ready() {
		for _, w := range c.meter.Look(c.now, e.Readings) {
			c.warn(w)
		}
		c.looked, c.counting = true, true
		if c.nextCard != "" {
			c.setCard(c.nextCard)
		}
	}
	if e.Data != c.iface {
		c.iface = e.Data
		c.traffic = nil
		c.see("interface", e.Data)
	}
	c.tellRounding()
	c.usage = c.meter.Usage(c.now)
	c.block()
	if c.usage.TimeKnown {
		c.see("meter", diag.Usage{CycleBytes: c.usage.UsedBytes, Since: c.usage.Cycle.Start.Format(time.RFC3339)})
		if !c.usage.Cycle.Start.Equal(c.cycleSeen) {
			if !c.cycleSeen.IsZero() {
				c.warnings = nil
				c.news("cycle_start")
			}
			c.cycleSeen = c.usage.Cycle.Start
		}
	}
	for _, r := range e.Readings {
		if r.Interface == e.Data.Name {
			c.move(r)
		}
	}
}

func (c *Core) move(r meter.Reading) {
	if c.oneWay.look(c.now.Mono, r) && c.probes.doubt && c.now.Mono-c.heardAt >= heardApart {
		c.heardAt = c.now.Mono // something came back: look at once, not when the next round is due
		c.probes.fresh(c.now.Mono)
	}
	if n := len(c.traffic); n > 0 && (c.traffic[n-1].index != r.Index || c.traffic[n-1].rx > r.RxBytes || c.traffic[n-1].tx > r.TxBytes) {
		c.traffic = nil
	}
	c.traffic = append(c.traffic, trafficMark{c.now.Mono, r.RxBytes, r.TxBytes, r.Interface, r.Index})
	for len(c.traffic) > 2 && c.now.Mono-c.traffic[1].at >= trafficSpan {
		c.traffic = c.traffic[1:]
	}
	first := c.traffic[0]
	if c.now.Mono-first.at >= trafficSpan*3/4 {
		c.see("counters", diag.Traffic{TxBytes: r.TxBytes - first.tx, RxBytes: r.RxBytes - first.rx})
	}
}

func (c *Core) warn(w protocol.Warning) {
	c.warnings = append(c.warnings, w)
	const keep = 8 // a cycle has at most three thresholds, a forecast, a burst, three dates
	if len(c.warnings) > keep {
		c.warnings = c.warnings[1:]
	}
	p := EventPriority
	if w.Percent >= 95 {
		p = Alert
	}
	c.emit(Log{LevelWarn, "plan", []any{"kind", w.Kind, "percent", w.Percent, "used", w.UsedBytes, "quota", w.QuotaBytes, "exhausted_on", w.ExhaustedOn, "days", w.Days}})
	c.store(protocol.TypeWarning, p, w, true, "")
	c.dirty = true
}

func (c *Core) machineEvent(e Handed) {
	p := EventPriority
	if e.Event.Level == "alert" {
		p = Alert
	}
	raw, err := protocol.NewBody(e.Event)
	if err != nil {
		c.emit(Log{LevelError, "event cannot be encoded", []any{"name", e.Event.Name, "error", err.Error()}})
		return
	}
	at := c.now
	if !e.Happened.IsZero() {
		at.Wall = e.Happened // the machine knows when it happened
	}
	c.emit(Store{Type: protocol.TypeEvent, Priority: p, Body: raw, At: at, Now: e.Durable, Token: e.Token})
}

func (c *Core) store(t protocol.Type, p Priority, body any, now bool, token string) {
	raw, err := protocol.NewBody(body)
	if err != nil {
		c.emit(Log{LevelError, "message cannot be encoded", []any{"type", string(t), "error", err.Error()}})
		return
	}
	c.emit(Store{Type: t, Priority: p, Body: raw, At: c.now, Now: now, Token: token})
}

// report has the periodic state made: the shell's counts come first.
func (c *Core) report() { c.emit(TakeStock{}) }

// reportWith stores the periodic state.
func (c *Core) reportWith(stock Stock) {
	s := c.known.Summary()
	st := protocol.State{Class: string(c.diag.Class), Verdict: string(c.diag.Verdict), PLMN: s.ServingPLMN,
		UsedBytes: c.usage.UsedBytes, OwnBytes: c.usage.OwnBytes, QuotaBytes: c.usage.QuotaBytes,
		UptimeS: int64((c.now.Mono - c.start.Mono) / time.Second), AgentV: c.opt.Version, Modem: s.Identity.Model}
	if s.Signal != nil {
		st.RSRP, st.SINR, st.RAT = s.Signal.RSRP, s.Signal.SINR, s.Signal.RAT
	}
	st.Waiting, st.Counts = stock.Waiting, stock.Counts
	c.telling.waiting = stock.Waiting
	c.store(protocol.TypeState, State, st, false, "")
}

// harmless are the commands that change nothing: they are obeyed from anybody who may
// publish, within the day's bytes.
var harmless = []string{"diagnose", "report"}

var errUnsigned = errors.New("this device's config has no uplink.command_keys: without a signature only diagnose and report are obeyed")

// command carries out one message from the backend. Every one is answered;
// what a command may do is a list in the config, and nothing reaches a shell.
func (c *Core) command(raw []byte, retained bool) {
	cmd, err := protocol.DecodeCommand(raw)
	if err != nil {
		c.emit(Log{LevelWarn, "command refused", []any{"error", foreign(err.Error())}})
		c.reply(cmd.ID, err, nil)
		return
	}
	if len(c.opt.Keys) > 0 {
		if err := cmd.Verify(c.opt.Device, c.opt.Keys...); err != nil {
			c.refuse(cmd, err)
			return
		}
	}
	if len(c.opt.Keys) == 0 && !c.opt.Unsigned && !slices.Contains(harmless, cmd.Do) {
		c.refuse(cmd, errUnsigned)
		return
	}
	if !slices.Contains(c.opt.Allowed, cmd.Do) {
		c.refuse(cmd, fmt.Errorf("%q is not in uplink.commands of this device's config", cmd.Do))
		return
	}
	if err := c.replay.Accept(cmd, c.now.Wall, c.now.Trusted); err != nil {
		c.refuse(cmd, err)
		return
	}
	c.dirty, c.urgent = true, true
	c.obey(cmd, retained)
}

func (c *Core) refuse(cmd protocol.Command, err error) {
	c.emit(Log{LevelWarn, "command refused", []any{"do", cmd.Do, "error", foreign(err.Error())}})
	c.reply(cmd.ID, err, nil)
}

func (c *Core) obey(cmd protocol.Command, retained bool) {
	switch cmd.Do {
	case "plan":
		var a protocol.PlanArgs
		err := decode(cmd.Args, &a)
		if key := c.ofCard(a.ICCID); err == nil && key != "" {
			err = c.note(key, &a.Plan, nil)
		} else if err == nil {
			old := c.pushedPlan
			c.pushedPlan = &a.Plan
			if err = c.applyPlan(); err != nil {
				c.pushedPlan = old
			}
		}
		c.reply(cmd.ID, err, nil)
	case "sim_status":
		var s protocol.SIMStatus
		if err := decode(cmd.Args, &s); err != nil {
			c.reply(cmd.ID, err, nil)
			return
		}
		if key := c.ofCard(s.ICCID); key != "" && c.notesOf != "" {
			s = foreignStatus(s)
			c.reply(cmd.ID, c.note(key, nil, &s), nil)
			return
		}
		c.tellSIMStatus(s)
		c.reply(cmd.ID, nil, nil)
	case "neighbours":
		var n protocol.Neighbours
		if err := decode(cmd.Args, &n); err != nil {
			c.reply(cmd.ID, err, nil)
			return
		}
		n.AsOf = foreign(n.AsOf)
		if n.AsOf == "" && c.now.Trusted {
			n.AsOf = c.now.Wall.UTC().Format(time.RFC3339)
		}
		c.neighbours = &n
		c.see("backend", diag.NeighboursFact{Neighbours: n})
		c.reply(cmd.ID, nil, nil)
	case "diagnose":
		if len(c.askers) >= maxAskers {
			c.reply(cmd.ID, fmt.Errorf("%d diagnoses are under way: wait for their answers", maxAskers), nil)
			return
		}
		c.askers = append(c.askers, asker{command: cmd.ID})
		c.refresh()
	case "report":
		c.report()
		c.reply(cmd.ID, nil, nil)
	case "confirm":
		var was struct {
			Class string `json:"class"`
		}
		if err := decode(cmd.Args, &was); err != nil {
			c.reply(cmd.ID, err, nil)
			return
		}
		if !slices.Contains(diag.Classes, diag.Code(was.Class)) {
			c.reply(cmd.ID, fmt.Errorf("args.class: %.32q is no diagnosis class", was.Class), nil)
			return
		}
		c.confirmed(diag.Code(was.Class), "backend")
		c.reply(cmd.ID, nil, nil)
	case "bundle":
		c.emit(SendBundle{ID: cmd.ID})
	case "time":
		c.reply(cmd.ID, c.tellTime(cmd, retained), nil)
	case "config":
		c.configure(cmd)
	case "update":
		var a protocol.UpdateArgs
		if err := decode(cmd.Args, &a); err != nil {
			c.reply(cmd.ID, err, nil)
			return
		}
		c.emit(StartUpdate{cmd.ID, a})
	case "audit":
		c.emit(ReadMachine{cmd.ID})
	default:
		c.reply(cmd.ID, fmt.Errorf("%q is not something this version can do", cmd.Do), nil)
	}
}

// tellTime believes a signed time that has just been sent: the session is clean,
// so that only a retained message can be old.
func (c *Core) tellTime(cmd protocol.Command, retained bool) error {
	if len(c.opt.Keys) == 0 {
		return fmt.Errorf("the time is taken from a signed command only; set uplink.command_keys")
	}
	if retained {
		return fmt.Errorf("this time was kept by the broker; send it without retain")
	}
	var is protocol.TimeArgs
	if err := decode(cmd.Args, &is); err != nil {
		return err
	}
	wall, err := time.Parse(time.RFC3339, is.Now)
	if err != nil {
		return fmt.Errorf("args.now: want RFC 3339, such as 2026-11-22T04:21:07Z")
	}
	c.emit(HearTime{wall})
	return nil
}

func decode(args json.RawMessage, to any) error {
	if len(args) == 0 {
		return fmt.Errorf("args are missing")
	}
	if err := json.Unmarshal(args, to); err != nil {
		return fmt.Errorf("args: %w", err)
	}
	return nil
}

// tellSIMStatus takes the platform's word, and lets its figure correct the meter.
func (c *Core) tellSIMStatus(s protocol.SIMStatus) {
	s = foreignStatus(s)
	if c.simStatus != nil && c.simStatus.State != "active" && s.State == "active" {
		c.news("platform_active")
	}
	c.simStatus = &s
	c.see("backend", diag.SIMStatusFact{Status: s})
	c.reconcile("", s)
}

func (c *Core) reconcile(card string, s protocol.SIMStatus) {
	if as, err := time.Parse(time.RFC3339, s.UsedAsOf); err == nil && s.UsedBytes > 0 {
		c.meter.Reconcile(card, s.UsedBytes, as, c.now)
	}
}

func (c *Core) reply(id string, err error, result any) {
	r := protocol.Reply{ID: id, OK: err == nil}
	if err != nil {
		r.Error = foreign(err.Error()) // may quote what was sent
	}
	if result != nil {
		r.Result, _ = json.Marshal(result)
	}
	c.store(protocol.TypeReply, Alert, r, true, "") // somebody waits: it passes the backlog
}

// roundingOf is how the operator of a home network counts; the zero rule, as the
// device counts, where nothing is published.
func roundingOf(plmn string) meter.Rounding {
	list, err := carrier.Load()
	if err != nil {
		return meter.Rounding{} // the files are built in, and tested
	}
	c, _ := carrier.ByPLMN(list, plmn)
	r := c.Rounding
	return meter.Rounding{UnitBytes: r.UnitBytes, Per: r.Per, SessionsPerDay: r.SessionsPerDay, PacketBytes: r.PacketBytes}
}
