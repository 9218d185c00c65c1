package core

import (
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/remedy"
	"cellwarden/protocol"
)

// Steps that the core knows by name; the names are those of package remedy's table,
// which has all of them.
const (
	StepRadioCycle remedy.Step = "radio_cycle"
	StepResetLine  remedy.Step = "reset_line"
	StepReread     remedy.Step = "reread"
	stepLastAPN    remedy.Step = "last_good_apn"
)

// Limits of what keeps recovery off.
const (
	// HoldOffMost is the longest that the machine's software may hold recovery off in
	// one go: a payment takes a minute, and a program that crashed must not keep a
	// machine dead.
	HoldOffMost = 10 * time.Minute
	// RepairLife is how long repair mode lasts: a visit.
	RepairLife = time.Hour
)

// Ports in which a step can help. A module that sleeps by the network's leave, or that
// another program holds, is in neither of the two states of a dead one.
var (
	answering = []string{"ok"}
	deadPorts = []string{"silent", "absent", "garbage", "lost"}
)

var portOf = map[remedy.Step][]string{
	"reopen": {"silent", "garbage", "lost"}, "reread": answering, "session_cycle": answering, "last_good_apn": answering, "reattach": answering,
	"reregister": answering, "auto_rat": answering, "radio_on": answering, StepRadioCycle: answering, "card_power": answering, "soft_reset": answering,
	stepSMS: answering, StepResetLine: deadPorts, "usb_power": deadPorts, "power_cut": deadPorts,
}

// remedies is what the core knows of its own steps.
type remedies struct {
	engine *remedy.Engine
	port   string          // state of the AT port, "" not told yet
	class  diag.Code       // judged now, and since when by Mono
	since  time.Duration   //
	last   remedy.Decision // the newest; its At is when to look again
	taken  remedy.Decision // the step under way, or the last one
	began  time.Duration
	judge  bool          // whether taken helped is not told yet
	kept   time.Duration // when a wait was last kept
	lines  []RemedyLine
	sms    bool // the resume message that now stands was told

	heldUntil   time.Duration // the machine's software holds recovery off
	pausedUntil time.Duration // repair mode
	ownUntil    time.Duration // until then what is seen is our own doing
}

// RemedyLine is one step for people: when, what, and how it ended ("" it is under way).
type RemedyLine struct {
	At     instant.Instant
	Class  diag.Code
	Step   remedy.Step
	Rung   int
	Why    string // the news that brought it forward, "" the ladder
	Result string // protocol.StepHelped and so on
}

// maxRemedyLines bounds what the status shows.
const maxRemedyLines = 16

// startRemedies goes on where the run before ended. A step that was under way then has
// been paid for.
func (c *Core) startRemedies(kept remedy.State) {
	c.remedies.engine = remedy.New(remedy.Builtin, c.hash(c.opt.Device), kept, c.now.Mono)
	if step, class := c.remedies.engine.Interrupted(); step != "" {
		c.remedies.engine.Ended(c.now.Mono, remedy.Interrupted)
		c.emit(Log{LevelWarn, "remedy interrupted", []any{"step", string(step), "class", class}})
		c.dirty = true
	}
}

// mend takes the step whose time has come. It is paid for on the flash before it
// begins, so that neither a kill nor a crash loop buys another try.
func (c *Core) mend() {
	r := &c.remedies
	if len(c.opt.Steps) == 0 || c.ending {
		return
	}
	c.tellHelped()
	if r.port == "" && c.opt.HasModem || c.now.Mono < r.ownUntil {
		return
	}
	class, sure := c.mendable()
	if class != r.class {
		r.class, r.since = class, c.now.Mono
	}
	d := r.engine.Look(remedy.Input{Now: c.now.Mono, Class: string(class), Since: r.since, Card: c.simKey(), Sure: sure,
		Passing: c.passes(), Busy: c.busy(), BackOff: c.backOff(), HeldUntil: r.heldUntil, PausedUntil: r.pausedUntil, Able: c.able})
	if d.Step == "" && d.Why != r.last.Why && d.Why == remedy.WhyBudget {
		c.emit(Log{LevelInfo, "remedy waits", []any{"step", string(d.Next), "why", string(d.Why)}})
	}
	r.last = d
	if d.Why == remedy.WhyWaiting && c.now.Mono-r.kept >= keepWaits {
		r.kept, c.dirty = c.now.Mono, true
	}
	if d.Step != "" {
		order := Remedy{}
		if d.Step == stepLastAPN {
			order.APN = c.lastGood.APN
		}
		c.take(d, order)
	}
}

// keepWaits is how often a wait that goes on is kept: so much of it may a power cut take.
const keepWaits = time.Hour

// mendable is the class whose ladder is climbed now, and whether it is sure.
func (c *Core) mendable() (diag.Code, bool) {
	d := c.diag
	switch {
	case d.Verdict == "" || d.Verdict == diag.AllWell:
		return diag.Healthy, true
	case d.Verdict == diag.Undecided && (d.Layer == "" || d.Layer == diag.LayerService):
		return diag.Healthy, true // nothing failed below the service, or little is known
	}
	return d.Class, d.Verdict != diag.Undecided
}

// passes: packets are seen to pass, by probes or by the broker's connection over the
// line, so that no step may cut it.
func (c *Core) passes() bool {
	if c.uplink.State == "connected" && c.uplink.OverData {
		return true
	}
	return slices.ContainsFunc(c.diag.Gates, func(g diag.Gate) bool {
		return (g.Layer == diag.LayerPath || g.Layer == diag.LayerService) && g.State == diag.GatePassed
	})
}

// busy: the machine received something in the last minute, or somebody has just chosen
// a product. A step that takes the line away waits for such a moment to pass, some
// minutes at most: beyond that an outage costs more than the step.
func (c *Core) busy() bool {
	if c.buying > 0 && c.now.Mono-c.buying < buyingFor {
		return true
	}
	n := len(c.traffic)
	return n > 1 && c.now.Mono-c.traffic[n-1].at <= trafficSpan && c.traffic[n-1].rx > c.traffic[0].rx
}

// backOff is until when the network told the module to wait; 0 it did not.
func (c *Core) backOff() time.Duration {
	left := c.known.BackOffLeft(c.now)
	if left <= 0 {
		return 0
	}
	return c.now.Mono + left
}

func (c *Core) able(s remedy.Step) bool {
	if !slices.Contains(c.opt.Steps, s) {
		return false
	}
	if s == stepLastAPN && (c.lastGood.APN == "" || c.lastGood.APN == c.known.Summary().APN) {
		return false
	}
	ports, needs := portOf[s]
	return !needs || slices.Contains(ports, c.remedies.port)
}

// take keeps that the step is taken, then has it taken.
func (c *Core) take(d remedy.Decision, order Remedy) {
	r := &c.remedies
	r.taken, r.began, r.judge = d, c.now.Mono, false
	r.lines = append(r.lines, RemedyLine{At: c.now, Class: diag.Code(d.Class), Step: d.Step, Rung: d.Rung, Why: d.News})
	r.lines = r.lines[max(0, len(r.lines)-maxRemedyLines):]
	c.dirty, c.urgent = true, true
	c.persist()
	why := d.News
	if why == "" {
		why = d.Class
	}
	c.emit(Log{LevelWarn, "remedy", []any{"step", string(d.Step), "class", d.Class, "rung", d.Rung, "why", why}})
	if d.Step == StepReread { // the core's own: the whole round is asked again
		c.slowAt, c.pollAt, c.askError = c.now.Mono, c.now.Mono, true
		c.remedyDone(RemedyDone{Step: d.Step, Result: remedy.Done})
		return
	}
	order.Step, order.Port, order.Why = d.Step, r.port, why
	c.emit(order)
}

// remedyDone ends a step.
func (c *Core) remedyDone(e RemedyDone) {
	r := &c.remedies
	r.engine.Ended(c.now.Mono, e.Result)
	c.dirty = true
	if e.Result != remedy.Done {
		c.emit(Log{LevelWarn, "remedy failed", []any{"step", string(e.Step), "detail", e.Detail}})
		c.tellRemedy(protocol.StepFailed, e.Detail)
		return
	}
	c.disturb(e.Step)
	r.judge = true
}

// disturb: what is seen now is our doing, until the step has settled.
func (c *Core) disturb(s remedy.Step) {
	d := remedy.Builtin.Disturbs(s)
	if d < remedy.DisturbsSession {
		return
	}
	quiet := remedy.Builtin.Settle(s)
	if d >= remedy.DisturbsRadio {
		quiet = max(quiet, selfMade)
		c.see("agent", diag.Disturbance{What: "radio cycle"})
	}
	c.remedies.ownUntil = max(c.remedies.ownUntil, c.now.Mono+quiet)
}

// tellHelped tells whether the last step helped, once its own disturbance is over or
// service is back.
func (c *Core) tellHelped() {
	r := &c.remedies
	if !r.judge {
		return
	}
	well := c.diag.Verdict == diag.AllWell || diag.Code(r.taken.Class) != c.diag.Class && c.passes()
	switch {
	case well:
		c.tellRemedy(protocol.StepHelped, "")
	case c.now.Mono >= r.ownUntil && c.now.Mono-r.began >= remedy.Builtin.Settle(r.taken.Step):
		c.tellRemedy(protocol.StepNoHelp, "")
	}
}

// tellRemedy tells the backend and the technician how a step ended.
func (c *Core) tellRemedy(result, why string) {
	r := &c.remedies
	r.judge = false
	if n := len(r.lines); n > 0 {
		r.lines[n-1].Result = result
	}
	if remedy.Builtin.Disturbs(r.taken.Step) < remedy.DisturbsSession && result != protocol.StepHelped {
		return // asking again costs nothing and is nobody's business
	}
	msg := protocol.Recovery{Class: r.taken.Class, Step: string(r.taken.Step), Rung: r.taken.Rung, Result: result, Why: foreign(why),
		TookMS: (c.now.Mono - r.began).Milliseconds()}
	for _, f := range []*fault{c.standing, c.last} { // it may have ended with the step
		if f != nil && string(f.Class) == msg.Class {
			msg.Incident = c.incident(f)
			break
		}
	}
	c.store(protocol.TypeRecovery, EventPriority, msg, false, "")
}

// nextRemedy is when to look again at the latest, by Mono; false when nothing is due.
func (c *Core) nextRemedy() (time.Duration, bool) {
	r := &c.remedies
	switch at := max(r.last.At, r.ownUntil); {
	case len(c.opt.Steps) == 0 || r.last.At == 0 && !r.judge:
		return 0, false
	case at > c.now.Mono:
		return at, true
	}
	return 0, false
}

// newsLag is how long after good news the line is left to come back by itself: carriers
// open lines up to half an hour after the cycle's turn (diagnosis.md §8). A message or a
// platform's word comes with the opening, a technician waits for nothing.
var newsLag = map[string]time.Duration{"cycle_start": 10 * time.Minute}

// news brings the step forward that a class waits for: a bill paid, a cycle begun.
func (c *Core) news(what string) {
	c.remedies.engine.Tell(c.now.Mono, what, newsLag[what])
	c.dirty = true
}

// newsOfMessage tells once of each message that says the line is open again.
func (c *Core) newsOfMessage() {
	resumed := c.known.Summary().ResumedSMS
	if resumed && !c.remedies.sms {
		c.news("sms_topup")
	}
	c.remedies.sms = resumed
}

// holdOff keeps recovery off while money moves, for as long as the machine's software
// asks, at most HoldOffMost; 0 lets it go on.
func (c *Core) holdOff(d time.Duration) {
	c.remedies.heldUntil = c.now.Mono + min(max(d, 0), HoldOffMost)
}

// repair begins or ends repair mode: no step is taken, all is looked at again at once,
// and a fault that is healed is over at once.
func (c *Core) repair(on bool) {
	c.remedies.pausedUntil = 0
	if on {
		c.remedies.pausedUntil = c.now.Mono + RepairLife
	}
	c.refresh()
	c.dirty, c.urgent = true, true
	c.emit(Log{LevelInfo, "repair mode", []any{"on", on}})
}

// did takes a technician's word: what he did counts as news, and all is looked at again.
func (c *Core) did(what string) {
	c.news(remedy.NewsTechnician)
	c.slowAt, c.askError = c.now.Mono, true
	c.refresh()
	c.emit(Log{LevelInfo, "a technician says", []any{"done", foreign(what)}})
}

// repairing reports whether a technician is at work.
func (c *Core) repairing() bool { return c.now.Mono < c.remedies.pausedUntil }

// RemedyView is what people see of recovery.
type RemedyView struct {
	Why         remedy.Why    // why nothing is done now
	Next        remedy.Step   // what is waited for, "" nothing
	NextIn      time.Duration // 0 not known
	Running     remedy.Step
	PausedLeft  time.Duration // repair mode
	HeldLeft    time.Duration // the machine's software
	Lines       []RemedyLine  // the newest last
	CanDoAtMost []remedy.Step // what this machine can do at all
}

// Remedies is how recovery stands.
func (c *Core) Remedies() RemedyView {
	r := &c.remedies
	v := RemedyView{Why: r.last.Why, Next: r.last.Next, Lines: slices.Clone(r.lines), CanDoAtMost: c.opt.Steps,
		PausedLeft: max(0, r.pausedUntil-c.now.Mono), HeldLeft: max(0, r.heldUntil-c.now.Mono)}
	if r.last.At > c.now.Mono {
		v.NextIn = r.last.At - c.now.Mono
	}
	if r.engine != nil {
		v.Running, _ = r.engine.Interrupted()
	}
	return v
}
