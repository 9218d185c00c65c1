package core

import (
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/text"
	"cellwarden/protocol"
)

// Flap guard (diagnosis.md §7): a fault that would be the fifth change told in an
// hour is told as unstable, once, as the most severe of those that came again;
// then it stands, whatever comes and goes, until an hour shows no more changes
// than that. New ones wait four times as long meanwhile.
const (
	flapChanges = 4
	flapWindow  = time.Hour
	flapWiden   = 4
)

// change is one fault told or cleared, or one change of the judged class.
type change struct {
	at    time.Duration
	class diag.Code
	layer diag.Layer
}

// hold is how long f must stand.
func (c *Core) hold(f *fault, d diag.Diagnosis) time.Duration {
	t := diag.ClassTable[f.Class].Hold
	if over, ok := c.opt.Holds[f.Class]; ok {
		t = over
	} else if f.Class == diag.SuspendedUnspecified && d.Verdict == diag.Confirmed {
		t = diag.ClassTable[diag.Arrears].Hold // the network gave a cause that means it
	}
	if c.unstable() {
		t *= flapWiden
	}
	return t
}

func (c *Core) clearTime(class diag.Code) time.Duration {
	if c.repairing() {
		return 0
	}
	return diag.ClassTable[class].Clear
}

// elapsed is the time since t, also across a restart of the board where both
// wall clocks can be believed.
func (c *Core) elapsed(t instant.Instant) time.Duration {
	if t.Boot != c.now.Boot && t.Trusted && c.now.Trusted {
		return max(0, c.now.Wall.Sub(t.Wall))
	}
	return c.now.Sub(t)
}

// told counts the changes told in the last hour.
func (c *Core) told() int { return recent(c.changes, c.now.Mono) }

func recent(list []change, now time.Duration) int {
	n := 0
	for _, x := range list {
		if now-x.at <= flapWindow {
			n++
		}
	}
	return n
}

// unstable: faults come and go too often to be told one by one.
func (c *Core) unstable() bool {
	return c.told() > flapChanges || c.standing != nil && c.standing.Unstable && recent(c.flips, c.now.Mono) > flapChanges
}

// recurrent reports whether class was told before in this hour.
func (c *Core) recurrent(class diag.Code) bool {
	return slices.ContainsFunc(c.changes, func(x change) bool {
		return x.class == class && c.now.Mono-x.at <= flapWindow
	})
}

// severest reports whether no class that came again lies below layer: the
// lowest broken layer explains those above it.
func (c *Core) severest(layer diag.Layer) bool {
	for _, x := range c.changes {
		if x.class != diag.Healthy && c.now.Mono-x.at <= flapWindow && slices.Index(diag.Layers, x.layer) < slices.Index(diag.Layers, layer) {
			return false
		}
	}
	return true
}

func (c *Core) noteTold(class diag.Code, layer diag.Layer) {
	c.changes = append(c.changes, change{c.now.Mono, class, layer})
	if len(c.changes) > 2*flapChanges {
		c.changes = c.changes[1:]
	}
}

// noteFlip remembers when the judged class changed, as often as the guard counts.
func (c *Core) noteFlip(class diag.Code, layer diag.Layer) {
	if n := len(c.flips); n > 0 && c.flips[n-1].class == class {
		return
	}
	c.flips = append(c.flips, change{c.now.Mono, class, layer})
	if len(c.flips) > flapChanges+1 {
		c.flips = c.flips[1:]
	}
}

// selfMade is how long after a radio cycle of our own a fault is not evidence
// (diagnosis.md §7): the registration comes back within it.
const selfMade = 90 * time.Second

func (c *Core) disturbed() bool { return c.now.Mono < c.remedies.ownUntil }

// judge diagnoses and moves the fault through its life.
func (c *Core) judge() {
	d := diag.Diagnose(&c.known, c.opt.Weights)
	c.diag = d
	switch {
	case d.Verdict == diag.AllWell:
		c.noteFlip(diag.Healthy, "")
		c.pending = nil
		if !c.well {
			c.well, c.wellAt = true, c.now
		}
		c.fine()
		if c.standing != nil && c.proved(c.standing) {
			c.standing.Healed = true // seen to work since it last failed, however long the guard still waits
		}
		if c.standing != nil && c.standing.Healed && !(c.standing.Unstable && c.unstable()) && c.now.Mono-c.wellAt.Mono >= c.clearTime(c.standing.Class) {
			c.clear(c.endedBy(), diag.Healthy)
		}
	case d.Layer == "" && d.Verdict == diag.Undecided:
		// Nothing failed, little is known: no fault, and no proof of health. Just
		// after a start that takes nothing back.
		if c.rounds > 0 {
			c.pending = nil
		}
		c.well = false
	case c.disturbed():
		c.well = false
	default:
		c.well = false
		if c.standing != nil {
			c.standing.Healed = false
		}
		if d.Class != diag.Ambiguous {
			c.noteFlip(d.Class, d.Layer)
		}
		c.faulty(d)
	}
}

// proved: the layer that was broken is seen to work. Evidence that has only
// grown old ends no fault.
func (c *Core) proved(f *fault) bool {
	for _, g := range c.diag.Gates {
		if g.Layer == f.Layer {
			return g.State == diag.GatePassed
		}
	}
	return true
}

func (c *Core) faulty(d diag.Diagnosis) {
	class := d.Class
	if c.standing != nil {
		if diag.SameFamily(c.standing.Class, class) && class != c.standing.Class && !vaguer(class, c.standing.Class) {
			c.refine(d)
			return
		}
		if class == diag.Ambiguous || diag.SameFamily(c.standing.Class, class) {
			if class == c.standing.Class {
				c.standing.Verdict = d.Verdict
				c.tellUnstable(d)
				c.tellChanged(d)
			}
			c.pending = nil
			return // undecided takes nothing back
		}
	}
	if c.standing != nil && c.standing.Unstable && c.unstable() && slices.ContainsFunc(c.changes, func(x change) bool { return x.class == class }) {
		c.pending = nil
		return // it was told that these come and go
	}
	if f := c.standing; f != nil && f.Verdict == diag.Confirmed && d.Verdict != diag.Confirmed && !c.proved(f) && higher(d.Layer, f.Layer) {
		c.pending = nil
		return // what stands has evidence of its own, and nothing shows that it is over
	}
	if c.pending == nil || !diag.SameFamily(c.pending.Class, class) {
		c.pending = &fault{Class: class, Verdict: d.Verdict, Since: c.now}
		c.dirty = true
	}
	c.pending.Class, c.pending.Verdict, c.pending.Layer = class, d.Verdict, d.Layer
	if c.elapsed(c.pending.Since) >= c.hold(c.pending, d) {
		if c.told() >= flapChanges && c.recurrent(class) && !c.severest(d.Layer) {
			c.flapped = true
			return // the most severe of them speaks for all
		}
		if c.standing != nil {
			c.clear("superseded", class)
		}
		c.raise(d)
	}
}

// higher reports whether layer a lies above b, so that a fault of b explains it.
func higher(a, b diag.Layer) bool { return slices.Index(diag.Layers, a) > slices.Index(diag.Layers, b) }

// tellUnstable says once more of the standing fault that it comes and goes with
// others, which are not told any more.
func (c *Core) tellUnstable(d diag.Diagnosis) {
	if !c.flapped || c.standing.Unstable || c.told() < flapChanges {
		return
	}
	c.flapped, c.standing.Unstable = false, true
	c.noteTold(d.Class, d.Layer)
	c.dirty, c.urgent = true, true
	c.emit(Log{LevelWarn, "fault unstable", []any{"class", string(d.Class)}})
	c.store(protocol.TypeAlert, Alert, c.alert(d), true, "")
}

// vaguer: the group after a member was named takes nothing back.
func vaguer(now, before diag.Code) bool { return now == diag.SuspendedUnspecified && before != now }

func (c *Core) refine(d diag.Diagnosis) {
	since, incident := c.standing.Since, c.incident(c.standing)
	c.clear("refined", d.Class)
	c.pending = &fault{Class: d.Class, Verdict: d.Verdict, Layer: d.Layer, Since: since, Incident: incident}
	c.raise(d)
}

func (c *Core) raise(d diag.Diagnosis) {
	f := c.pending
	c.pending = nil
	f.Raised = true
	c.noteTold(f.Class, f.Layer)
	f.Unstable = c.told() > flapChanges
	c.flapped = false
	f.Card = c.lastGood.ICCID
	c.standing = f
	c.dirty, c.urgent = true, true
	c.emit(Log{LevelWarn, "fault", []any{"class", string(f.Class), "verdict", string(f.Verdict), "since", f.Since.String()}})
	c.store(protocol.TypeAlert, Alert, c.alert(d), true, "")
}

// maxWireEvidence keeps an alert small: what does not fit is in the device's status.
const maxWireEvidence = 4

// Wire words a diagnosis for the backend.
func Wire(d diag.Diagnosis, since instant.Instant, unstable bool) protocol.Alert {
	a := protocol.Alert{Class: string(d.Class), Verdict: string(d.Verdict), Since: WireTime(since), Unstable: unstable,
		DecideBy: text.Render(text.EN, d.DecideBy),
		Act:      &protocol.Action{Who: d.Act.Who, What: text.Render(text.EN, d.Act.What), ResumesAt: d.Act.ResumesAt}}
	a.Act.Code, a.Act.Steps = actCode(d)
	if d.Verdict == diag.Confirmed {
		a.DecideBy = ""
	}
	for i, x := range d.Candidates {
		if i < 3 {
			a.Candidates = append(a.Candidates, protocol.Candidate{Class: string(x.Class), P: x.P})
		}
	}
	for i, e := range d.Evidence {
		if i < maxWireEvidence {
			a.Evidence = append(a.Evidence, protocol.Evidence{For: string(e.For), Fact: text.Render(text.EN, e.Fact), Source: e.Source, WeightDB: e.WeightDB})
		}
	}
	return a
}

// WireTime is an instant as it crosses the wire.
func WireTime(t instant.Instant) protocol.Time {
	boot := t.Boot
	if len(boot) > 8 {
		boot = boot[:8]
	}
	return protocol.Time{Wall: t.Wall.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Trusted: t.Trusted, Boot: boot, MonoMS: t.Mono.Milliseconds()}
}

// endedBy says what ended the standing fault, as far as the facts tell.
func (c *Core) endedBy() string {
	if !slices.Contains(diag.StopGroup, c.standing.Class) {
		return c.cardBack(c.standing)
	}
	if c.known.Summary().ResumedSMS {
		return "sms_topup"
	}
	if s := c.simStatus; s != nil && s.State == "active" {
		if as, err := time.Parse(time.RFC3339, s.AsOf); err == nil && c.standing.Since.Trusted && as.After(c.standing.Since.Wall) {
			return "platform_resumed"
		}
	}
	if cyc, ok := meter.Cycle(c.plan(), c.now.Wall); ok && c.now.Trusted && c.now.Wall.Sub(cyc.Start) < resumeLag && c.standing.Since.Wall.Before(cyc.Start) {
		return "cycle_start"
	}
	return "recovered"
}

// resumeLag is how long after the cycle's turn a return is put down to it:
// carriers' data lag up to three days (sim-lifecycle.md §4).
const resumeLag = 72 * time.Hour

func (c *Core) clear(by string, next diag.Code) {
	f := c.standing
	f.Ended, f.EndedBy = c.now, by
	lasted := f.Ended.Sub(f.Since)
	if f.Since.Boot != f.Ended.Boot && f.Since.Trusted && f.Ended.Trusted {
		lasted = f.Ended.Wall.Sub(f.Since.Wall)
	}
	msg := protocol.Clear{Incident: c.incident(f), Class: string(f.Class), Since: WireTime(f.Since), LastedMS: lasted.Milliseconds(), EndedBy: by}
	if next != diag.Healthy {
		msg.FollowsTo = string(next)
	}
	c.last, c.standing = f, nil
	if next == diag.Healthy {
		c.noteTold(next, "")
	}
	c.dirty, c.urgent = true, true
	c.emit(Log{LevelInfo, "fault over", []any{"class", string(f.Class), "lasted", lasted.Round(time.Second).String(), "by", by}})
	c.store(protocol.TypeClear, Alert, msg, true, "")
	if was := provedBy(f); was != "" {
		c.tellLearned(f.Class, was, by, false)
	}
}

// goodHold is how long all must be well before the settings count as good.
const goodHold = 60 * time.Second

// fine keeps the fingerprint of a line that works: proved by the own service,
// not by registration alone.
func (c *Core) fine() {
	if c.diag.Candidates[0].P < 0.95 || c.now.Mono-c.wellAt.Mono < goodHold {
		return
	}
	s := c.known.Summary()
	g := diag.LastGood{ICCID: c.hash(s.ICCID), IMEI: c.hash(s.IMEI), APN: s.APN, PLMN: s.ServingPLMN}
	if s.Signal != nil && s.Signal.RSRP != nil {
		v := *s.Signal.RSRP
		g.RSRP = &v
	}
	if c.now.Trusted {
		g.At = c.now.Wall.UTC().Format(time.RFC3339)
	}
	changed := g.ICCID != c.lastGood.ICCID || g.IMEI != c.lastGood.IMEI || g.APN != c.lastGood.APN || g.PLMN != c.lastGood.PLMN
	// The level and the time move at every poll; they are kept with whatever
	// else makes the snapshot worth a write, and at least every six hours.
	const keepEvery = 6 * time.Hour
	if changed || c.goodAt == 0 || c.now.Mono-c.goodAt > keepEvery {
		c.goodAt = c.now.Mono
		c.dirty = true
	}
	c.lastGood = g
	c.see("history", g)
	c.settingsWork()
}
