// Package core is the agent's judgement: events in, effects out. It holds what
// is known, the meter and the standing fault, decides what to ask next, when a
// fault is told and when it is over. It is pure: no clock, no I/O, no
// goroutine; the shell (package agent) brings events in order and carries the
// effects out.
//
// A fault goes through these states:
//
//	none --judged--> pending --held long enough--> standing --gone for its clear time--> none
//	pending --another class--> pending (anew)
//	standing --another definite class, held--> standing (superseded)
package core

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"cellwarden/agent/clean"
	"cellwarden/agent/diag"
	"cellwarden/agent/goodset"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/record"
	"cellwarden/agent/remedy"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// ProbeSpec is one reachability test that the shell can run. Cost is in bytes
// on the air.
type ProbeSpec struct {
	Probe, Target, Host string
	Cost                int
}

// Options steer a Core. All durations are required; see config for defaults.
type Options struct {
	Device, Version string
	Salt            string        // identities are hashed with it before they are kept or compared
	Poll            time.Duration // between rounds of the cheap queries
	SlowPoll        time.Duration // between rounds of the rest
	LinkPoll        time.Duration // between looks at the data interface
	ReportEvery     time.Duration
	Probes          []ProbeSpec
	ProbeEvery      time.Duration // on a line that looks well
	ProbeBudget     int           // bytes a day
	Plan            protocol.Plan // from config; a pushed one wins
	APN             string        // configured, "" when the dialer keeps it to itself
	Holds           map[diag.Code]time.Duration
	Weights         *diag.Weights
	Allowed         []string            // what a command from the backend may do
	Keys            []ed25519.PublicKey // where given, commands must be signed
	Unsigned        bool                // without keys, commands that change something are obeyed all the same
	Steps           []remedy.Step       // what this machine can do to bring the modem back
	SMS             SMSOptions
	DeleteRead      bool // messages that were understood may be deleted to make room
	HasModem        bool
	ModemAt         string // where the config looks for it: "auto", "/dev/ttyUSB2", "2c7c:0125"
	Meter           meter.Options
	BlockAt         int    // per cent of the quota at which the machine's traffic is stopped, 0 never
	IDs             string // how identities cross the wire: IDsClear, IDsHashed (also ""), IDsNone
	// Inventory has what the shell knows of the device: board, OS, arch, config.
	Inventory protocol.Inventory
}

// Core is the whole state. One owner; not safe for concurrent use.
type Core struct {
	opt   Options
	now   instant.Instant
	start instant.Instant

	known diag.Known
	clock record.Stamper
	ring  record.Ring // what known rests on, for export
	meter *meter.Meter
	diag  diag.Diagnosis

	// polling
	polling   bool
	pollAt    time.Duration // due, by Mono
	slowAt    time.Duration
	linkAt    time.Duration
	reportAt  time.Duration
	aimUntil  time.Duration // the level alone is read, every second
	fullAt    time.Duration // when a whole round is due meanwhile
	askError  bool          // read the error report in the next round
	askAPN    bool          // and the APN
	lostSeen  diag.Loss
	whyAt     time.Duration // when the report was last asked for
	oneWay    oneWay
	heardAt   time.Duration
	idle      watch
	identOK   bool
	modemUp   bool
	modemSeen string // where one answered, of ModemAt's places; "" never
	wantFresh bool   // somebody waits for a fresh judgement

	probes probing

	// the fault's life
	pending  *fault
	standing *fault
	wellAt   instant.Instant // since when the judgement is "well"
	well     bool
	changes  []change // faults told, for the flap guard
	flips    []change // the newest changes of the judged class
	flapped  bool     // a class was not told, since it comes and goes
	last     *fault   // the last one that ended
	white    whitelist
	rounds   int           // since the start
	heard    time.Duration // when the modem last said anything
	sleep    time.Duration // how long it may say nothing, by the network's grant
	lastGood diag.LastGood
	goodAt   time.Duration
	iface    diag.Interface
	traffic  []trafficMark

	// from outside
	simStatus  *protocol.SIMStatus // of the card in use, as is the next
	pushedPlan *protocol.Plan
	notesOf    string            // the card that both are of, "" not known yet
	resting    []notes           // of other cards, the last used first
	settings   protocol.Settings // by command, over the file's
	file       fileSettings
	neighbours *protocol.Neighbours
	replay     protocol.Replay
	askers     []asker // who waits for a diagnosis
	uplink     Link
	usage      meter.Usage
	warnings   []protocol.Warning // of this cycle
	cycleSeen  time.Time
	askCard    bool // another card may be in the slot: read its number with the next round
	// noCardBefore: no card answered at the read before
	noCardBefore bool
	nextCard     string // seen in the slot, its key is set after one more look
	counting     bool   // the meter has looked since the start
	blocked      *bool  // as last ordered, nil not yet
	roundingOf   string // the operator whose rule the meter has

	remedies remedies
	mailbox  mailbox
	telling  telling
	sms      lastPath
	book     goodset.Book // settings with which all worked

	lastTime time.Time      // when the clock was last trusted, as kept
	lost     *protocol.Lost // what an hour without service costs now, nil not known
	soldFor  time.Duration  // when the path was last looked at for a sale
	buying   time.Duration  // when somebody last chose a product

	dirty     bool
	urgent    bool
	ending    bool
	looked    bool // the meter looked since it was last kept in memory
	persistAt time.Duration
	out       []Effect
}

// fault is one class with its life.
type fault struct {
	Class    diag.Code
	Layer    diag.Layer
	Verdict  diag.Verdict
	Since    instant.Instant // when it was first judged
	Raised   bool
	Unstable bool
	Ended    instant.Instant
	EndedBy  string
	Card     string // hash of the card known when it was raised
	Incident string // names it for the backend
	Told     told   // what was last said of it
	toldAt   time.Duration
	Healed   bool // its layer was seen to work since it last failed
}

type asker struct {
	token   string // local request, "" for a command
	command string // command id, "" for a local request
}

type trafficMark struct {
	at     time.Duration
	rx, tx uint64
	name   string
	index  int
}

// New starts a Core from what was kept: the core's own snapshot (nil at the
// first start) and a meter (nil starts a new one). A snapshot that cannot be
// read is an error; the caller keeps the file aside and passes nil.
func New(opt Options, at instant.Instant, snapshot []byte, m *meter.Meter) (*Core, error) {
	c := &Core{opt: opt, now: at, start: at, meter: m}
	if c.meter == nil {
		c.meter = meter.New(opt.Meter)
	}
	var steps remedy.State
	if len(snapshot) > 0 {
		var err error
		if steps, err = c.restore(snapshot); err != nil {
			return nil, err
		}
	}
	c.startRemedies(steps)
	c.probes.init(opt)
	c.useKept()
	c.pollAt, c.slowAt, c.linkAt = at.Mono, at.Mono, at.Mono
	c.reportAt = at.Mono + c.opt.ReportEvery
	if err := c.applyPlan(); err != nil {
		return nil, err
	}
	c.observeStored()
	return c, nil
}

// observeStored tells Known what was remembered.
func (c *Core) observeStored() {
	if c.simStatus != nil {
		c.see("backend", diag.SIMStatusFact{Status: *c.simStatus})
	}
	if c.lastGood != (diag.LastGood{}) {
		c.see("history", c.lastGood)
	}
	c.see("config", diag.Settings{APN: c.opt.APN})
}

// plan is the one in force: pushed wins over configured, field by field where
// the push leaves one open.
func (c *Core) plan() protocol.Plan {
	p := c.opt.Plan
	if c.pushedPlan == nil {
		return p
	}
	var out protocol.Plan // a copy: the flags are pointers, and the config stays as it is
	merged, _ := json.Marshal(p)
	_ = json.Unmarshal(merged, &out)
	over, _ := json.Marshal(c.pushedPlan)
	_ = json.Unmarshal(over, &out) // omitempty: what the push leaves open stays
	return out
}

// tellPlan observes the plan in force, with what was learned of the card.
func (c *Core) tellPlan() {
	p := c.plan()
	if white := protocol.Is(p.WhitelistOnly) || c.white.learned(); white {
		p.WhitelistOnly = &white
	}
	c.see("plan", diag.PlanFact{Plan: p})
}

func (c *Core) applyPlan() error {
	p := c.plan()
	if err := meter.CheckPlan(p); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if err := c.meter.SetPlan("", p, c.now); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	c.tellPlan()
	return nil
}

func (c *Core) simKey() string {
	if id := c.known.Summary().ICCID; id != "" {
		return c.hash(id)
	}
	return ""
}

// hash hides an identity while it can still be compared.
func (c *Core) hash(id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(c.opt.Salt + "/" + id))
	return hex.EncodeToString(sum[:6])
}

// see folds one fact into what is known, and keeps it for the export.
func (c *Core) see(source string, fact any) {
	o := diag.Observation{At: c.clock.Stamp(c.now), Source: source, Fact: fact}
	c.known.Observe(o)
	if err := c.ring.Add(record.Mask(o, c.hash)); err != nil {
		c.emit(Log{LevelError, "not recorded", []any{"error", err.Error()}})
	}
}

// Step takes one event and says what to do. Events come in order of time.
func (c *Core) Step(ev Event) []Effect {
	c.out = nil
	c.now = ev.when()
	judge := true
	switch e := ev.(type) {
	case Started:
		c.emit(Log{LevelInfo, "started", []any{"version", c.opt.Version, "device", c.opt.Device}})
	case Observed:
		e.Fact = clean.Fact(e.Fact)
		if c.sleeps(e.Fact) {
			break
		}
		c.see(e.Source, e.Fact)
		c.noticed(e.Fact)
		if !e.Unsolicited {
			c.noteSetting(e.Fact)
			c.mailbox.see(e.Fact)
		}
		if n, ok := e.Fact.(threegpp.ByteCounters); ok && !e.Unsolicited { // a report may be of one session only
			c.meter.ModemBytes(n.RxBytes, n.TxBytes, c.now)
		}
		judge = e.Unsolicited
	case RoundDone:
		c.polling = false
		c.rounds++
		c.see("clock", struct{}{})
		c.afterRound(e)
	case PortState:
		c.modemUp = e.State == "ok"
		if c.modemUp && c.modemSeen != c.opt.ModemAt {
			c.modemSeen, c.dirty = c.opt.ModemAt, true
		}
		if e.State == "ok" && e.Reopened {
			c.slowAt = c.now.Mono // everything may have changed
		}
		c.polling = c.polling && e.State == "ok"
		state := e.State
		if c.asleep() && (state == "silent" || state == "lost") {
			state = "asleep"
		}
		c.remedies.port = state
		c.portSeen(PortState{At: e.At, State: state, Detail: e.Detail, Profile: e.Profile})
		c.see("port", diag.Port{State: state, Detail: e.Detail, Seen: c.modemSeen != "" && c.modemSeen == c.opt.ModemAt})
	case ProbeDone:
		c.probeDone(e)
	case Links:
		c.links(e)
	case LinkGone:
		c.linkGone(e.Reading)
	case LinkChanged:
		c.linkChanged(e.Link)
	case Delivered:
		c.delivered(e)
	case Received:
		c.command(e.Raw, e.Retained)
	case Handed:
		c.machineEvent(e)
		judge = false
	case AboutToSell:
		c.aboutToSell()
		judge = false
	case MachineHabit:
		c.lost = e.Lost
		judge = false
	case DiagnoseNow:
		c.askers = append(c.askers, asker{token: e.Token})
		c.refresh()
	case Confirmed:
		c.confirmed(e.Class, e.By)
	case Spent:
		if c.uplink.OverData {
			c.meter.OwnBytes(e.Bytes, c.now)
		}
		judge = false
	case SettingsRead:
		c.noteSettings(e.Read)
		judge = false
	case RestoreSettings:
		c.restoreSettings(e)
		judge = false
	case HoldOff:
		c.holdOff(e.For)
		judge = false
	case Repair:
		c.repair(e.On)
	case Aim:
		c.aimUntil = c.now.Mono + min(max(e.For, 0), aimMost)
		c.pollAt = min(c.pollAt, c.now.Mono)
		judge = false
	case Did:
		c.did(e.What)
	case RemedyBegun:
		c.disturb(e.Step)
	case RemedyDone:
		c.remedyDone(e)
	case Stock:
		c.reportWith(e)
		judge = false
	case MessagesDeleted:
		judge = false
	case Stopping:
		c.dirty, c.urgent, c.ending = true, true, true
		judge = false
	case Tick:
	}
	if judge {
		c.judge()
		c.tell()
	}
	c.schedule()
	c.persist()
	return c.out
}

// longestSleep bounds the grant that is believed: a grant may be of days, and a
// modem that hangs must be found in them.
const longestSleep = 6 * time.Hour

// sleeps follows the power saving that the network granted (TS 24.301 §5.3.11):
// between two periodic updates such a modem may hear and say nothing, which is
// then no sign of a fault. It reports whether the fact is that silence.
func (c *Core) sleeps(fact any) bool {
	switch f := fact.(type) {
	case threegpp.Silence:
		return c.asleep()
	case threegpp.Registration:
		switch {
		case f.ActiveTimeS >= 0 && f.PeriodicTAUS > 0:
			c.sleep = min(longestSleep, time.Duration(f.ActiveTimeS+f.PeriodicTAUS)*time.Second)
		case !f.Stat.Registered():
			c.sleep = 0 // a reply in a shorter form takes nothing back
		}
	}
	c.heard = c.now.Mono
	return false
}

func (c *Core) asleep() bool { return c.sleep > 0 && c.now.Mono-c.heard <= c.sleep }

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

// Next is when the core wants a Tick at the latest, by the monotonic clock.
func (c *Core) Next() time.Duration {
	next := c.linkAt
	early := func(t time.Duration) {
		if t < next {
			next = t
		}
	}
	if c.opt.HasModem && !c.polling && c.modemUp {
		early(c.pollAt)
	}
	early(c.reportAt)
	early(c.probes.due())
	if c.pending != nil && !c.pending.Raised {
		if left := c.hold(c.pending, c.diag) - c.elapsed(c.pending.Since); left > 0 {
			early(c.now.Mono + left)
		}
	}
	if c.standing != nil && c.well && c.standing.Healed {
		// What is past due waits for something else than time: the next judgement.
		if at := c.wellAt.Mono + c.clearTime(c.standing.Class); at > c.now.Mono {
			early(at)
		}
	}
	if c.dirty {
		early(c.persistAt)
	}
	if at, ok := c.nextRemedy(); ok {
		early(at)
	}
	if at, ok := c.nextTold(); ok {
		early(at)
	}
	return next
}

// Queries of the rounds, in the order they are asked: +CFUN first, since other
// fields keep old values when the radio is off.
var (
	quickRound = []string{"functionality", "sim", "registration", "radio", "cell", "attach", "contexts", "addresses"}
	slowRound  = []string{"iccid", "imsi", "operator", "apn", "presence", "locks", "sms", "temperature", "backoff", "counters"}
	aimRound   = []string{"radio", "cell"}
	errorRound = []string{"error", "operator"}
)

// Aiming: a person turns the antenna and waits for the figure to follow. It ends by
// itself: a page that was left open must not keep a modem busy.
const (
	aimPoll = time.Second
	aimMost = 2 * time.Minute
)

// fastPoll is the poll while a fault is pending or somebody waits: short enough
// for the shortest hold (15 s for an absent card, three reads).
const fastPoll = 5 * time.Second

// schedule emits what is due.
func (c *Core) schedule() {
	now := c.now.Mono
	if c.opt.HasModem && c.modemUp && !c.polling && now >= c.pollAt {
		var qs []string
		if !c.identOK {
			qs = append(qs, "identify", "imei")
			c.identOK = true
		}
		if now < c.aimUntil && now < c.fullAt {
			c.polling = true
			c.emit(Ask{Queries: append(qs, aimRound...)})
			c.pollAt = now + aimPoll
			return
		}
		c.fullAt = now + c.pollEvery()
		qs = append(qs, quickRound...)
		if c.askError {
			qs = append(qs, errorRound...)
			c.askError, c.whyAt = false, now
		}
		if c.askAPN && now < c.slowAt {
			qs = append(qs, "apn")
		}
		if c.noCard() {
			qs = append(qs, "presence")
		}
		if c.askCard && now < c.slowAt {
			qs = append(qs, "iccid", "imsi")
		}
		c.askCard, c.askAPN = false, false
		if now >= c.slowAt {
			qs = append(qs, slowRound...)
			c.makeRoom()
			c.slowAt = now + c.opt.SlowPoll
		}
		c.polling = true
		c.emit(Ask{Queries: qs})
		c.pollAt = now + c.pollEvery()
		if now < c.aimUntil {
			c.pollAt = now + aimPoll
		}
	}
	if now >= c.linkAt {
		c.linkAt = now + c.opt.LinkPoll
		c.emit(LookAtLinks{})
	}
	if now >= c.reportAt {
		c.reportAt = now + c.rarer(c.opt.ReportEvery)
		c.report()
	}
	c.watchIdle()
	c.scheduleProbes()
	c.mend()
	c.tellBySMS()
}

// noCard: the card was not there at the last read; then the detect pin is asked
// with every round.
func (c *Core) noCard() bool {
	s := c.known.Summary().SIM
	return s == threegpp.SIMAbsent || s == threegpp.SIMRemoved || s == threegpp.SIMNotReady
}

// pollEvery is the time to the next round: quick while something is undecided
// and not yet told, ordinary otherwise.
func (c *Core) pollEvery() time.Duration {
	if c.wantFresh || c.pending != nil && !c.pending.Raised || c.standing != nil && c.well {
		return min(fastPoll, c.opt.Poll)
	}
	return c.opt.Poll
}

// rarer is stretch for what the uplink sends, which may go over Ethernet.
func (c *Core) rarer(d time.Duration) time.Duration {
	if !c.uplink.OverData {
		return d
	}
	return c.stretch(d)
}

// stretch makes own traffic rarer as the quota runs out (meter.Guard).
func (c *Core) stretch(d time.Duration) time.Duration {
	return time.Duration(float64(d) / meter.GuardFor(c.usage).Share())
}

// refresh asks for everything at once.
func (c *Core) refresh() {
	c.wantFresh = true
	c.pollAt, c.slowAt = c.now.Mono, c.now.Mono
	c.probes.fresh(c.now.Mono)
	if !c.opt.HasModem || !c.modemUp {
		c.answerAskers()
	}
}
