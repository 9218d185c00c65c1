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

// How long a fault must stand before anyone hears of it, and how long all must
// be well before it counts as over (diagnosis.md §7). A stopped subscription
// that the network did not name a cause for waits ten minutes: a core that
// restarts refuses everybody for some minutes.
type times struct{ enter, clear time.Duration }

var lifeTimes = map[diag.Code]times{
	diag.SIMAbsent:            {15 * time.Second, 10 * time.Second},
	diag.SIMFault:             {10 * time.Second, 30 * time.Minute}, // its three flips took their time already
	diag.SIMLocked:            {10 * time.Second, 10 * time.Second},
	diag.WeakSignal:           {60 * time.Second, 60 * time.Second},
	diag.NoCoverage:           {120 * time.Second, 60 * time.Second},
	diag.AntennaFault:         {120 * time.Second, 120 * time.Second},
	diag.CarrierOutage:        {180 * time.Second, 5 * time.Minute},
	diag.Congestion:           {60 * time.Second, 2 * time.Minute},
	diag.APNConfig:            {60 * time.Second, 30 * time.Second},
	diag.AuthConfig:           {60 * time.Second, 30 * time.Second},
	diag.RATBandConfig:        {120 * time.Second, 60 * time.Second},
	diag.IMEILock:             {120 * time.Second, 60 * time.Second},
	diag.RoamingBarred:        {120 * time.Second, 60 * time.Second},
	diag.ModemOffOrAirplane:   {30 * time.Second, 10 * time.Second},
	diag.ModemFault:           {10 * time.Second, 60 * time.Second},
	diag.DataBlackHole:        {60 * time.Second, 60 * time.Second}, // and three probe rounds before
	diag.CloudUnreachable:     {60 * time.Second, 30 * time.Second},
	diag.Arrears:              {60 * time.Second, 60 * time.Second},
	diag.OverQuota:            {60 * time.Second, 60 * time.Second},
	diag.AdminSuspended:       {60 * time.Second, 60 * time.Second},
	diag.ExpiredOrCancelled:   {60 * time.Second, 60 * time.Second},
	diag.SuspendedUnspecified: {10 * time.Minute, 60 * time.Second},
	diag.Ambiguous:            {3 * time.Minute, 30 * time.Second},
}

// Flap guard (diagnosis.md §7): more class changes than this in an hour mark
// the fault unstable and make new ones wait four times as long.
const (
	flapChanges = 4
	flapWindow  = time.Hour
	flapWiden   = 4
)

// stopGroup are the classes of one stopped subscription: going from one to
// another refines the verdict, it is not a new fault.
var stopGroup = []diag.Code{diag.Arrears, diag.OverQuota, diag.AdminSuspended, diag.ExpiredOrCancelled, diag.SuspendedUnspecified}

func sameFamily(a, b diag.Code) bool {
	return a == b || slices.Contains(stopGroup, a) && slices.Contains(stopGroup, b)
}

// hold is how long f must stand.
func (c *Core) hold(f *fault, d diag.Diagnosis) time.Duration {
	t := lifeTimes[f.Class].enter
	if over, ok := c.opt.Holds[f.Class]; ok {
		t = over
	} else if f.Class == diag.SuspendedUnspecified && d.Verdict == diag.Confirmed {
		t = lifeTimes[diag.Arrears].enter // the network gave a cause that means it
	}
	if c.unstable() {
		t *= flapWiden
	}
	return t
}

func (c *Core) clearTime(class diag.Code) time.Duration { return lifeTimes[class].clear }

func (c *Core) unstable() bool {
	n := 0
	for _, at := range c.changes {
		if c.now.Mono-at <= flapWindow {
			n++
		}
	}
	return n > flapChanges
}

// judge diagnoses and moves the fault through its life.
func (c *Core) judge() {
	d := diag.Diagnose(&c.known, c.opt.Weights)
	c.diag = d
	switch {
	case d.Verdict == diag.AllWell:
		c.pending = nil
		if !c.well {
			c.well, c.wellAt = true, c.now
		}
		c.fine()
		if c.standing != nil && c.proved(c.standing) && c.now.Mono-c.wellAt.Mono >= c.clearTime(c.standing.Class) {
			c.clear(c.endedBy(), diag.Healthy)
		}
	case d.Layer == "" && d.Verdict == diag.Undecided:
		// Nothing failed, little is known: no fault, and no proof of health.
		c.pending, c.well = nil, false
	default:
		c.well = false
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
		if sameFamily(c.standing.Class, class) && class != c.standing.Class && !vaguer(class, c.standing.Class) {
			c.refine(d)
			return
		}
		if class == diag.Ambiguous || sameFamily(c.standing.Class, class) {
			if class == c.standing.Class {
				c.standing.Verdict = d.Verdict
			}
			c.pending = nil
			return // undecided takes nothing back
		}
	}
	if c.pending == nil || !sameFamily(c.pending.Class, class) {
		c.pending = &fault{Class: class, Verdict: d.Verdict, Since: c.now}
	}
	c.pending.Class, c.pending.Verdict, c.pending.Layer = class, d.Verdict, d.Layer
	if c.now.Mono-c.pending.Since.Mono >= c.hold(c.pending, d) {
		if c.standing != nil {
			c.clear("superseded", class)
		}
		c.raise(d)
	}
}

// vaguer: the group after a member was named takes nothing back.
func vaguer(now, before diag.Code) bool { return now == diag.SuspendedUnspecified && before != now }

func (c *Core) refine(d diag.Diagnosis) {
	since := c.standing.Since
	c.clear("refined", d.Class)
	c.pending = &fault{Class: d.Class, Verdict: d.Verdict, Layer: d.Layer, Since: since}
	c.raise(d)
}

func (c *Core) raise(d diag.Diagnosis) {
	f := c.pending
	c.pending = nil
	f.Raised = true
	c.changes = append(c.changes, c.now.Mono)
	if len(c.changes) > 2*flapChanges {
		c.changes = c.changes[1:]
	}
	f.Unstable = c.unstable()
	c.standing = f
	c.dirty, c.urgent = true, true
	c.emit(Log{LevelWarn, "fault", []any{"class", string(f.Class), "verdict", string(f.Verdict), "since", f.Since.String()}})
	c.store(protocol.TypeAlert, Alert, Wire(d, f.Since, f.Unstable), true, "")
}

// maxWireEvidence keeps an alert small: what does not fit is in the device's status.
const maxWireEvidence = 4

// Wire words a diagnosis for the backend.
func Wire(d diag.Diagnosis, since instant.Instant, unstable bool) protocol.Alert {
	a := protocol.Alert{Class: string(d.Class), Verdict: string(d.Verdict), Since: WireTime(since), Unstable: unstable,
		DecideBy: text.Render(text.EN, d.DecideBy),
		Act:      &protocol.Action{Who: d.Act.Who, What: text.Render(text.EN, d.Act.What), ResumesAt: d.Act.ResumesAt}}
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
	if !slices.Contains(stopGroup, c.standing.Class) {
		return "recovered"
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
	msg := protocol.Clear{Class: string(f.Class), Since: WireTime(f.Since), LastedMS: lasted.Milliseconds(), EndedBy: by}
	if next != diag.Healthy {
		msg.FollowsTo = string(next)
	}
	c.last, c.standing = f, nil
	c.dirty, c.urgent = true, true
	c.emit(Log{LevelInfo, "fault over", []any{"class", string(f.Class), "lasted", lasted.Round(time.Second).String(), "by", by}})
	c.store(protocol.TypeClear, Alert, msg, true, "")
	if by == "cycle_start" || by == "sms_topup" || by == "platform_resumed" {
		was := map[string]diag.Code{"cycle_start": diag.OverQuota, "sms_topup": diag.Arrears, "platform_resumed": f.Class}[by]
		c.store(protocol.TypeLearned, State, protocol.Learned{Carrier: c.known.Summary().HomePLMN, Said: string(f.Class), Was: string(was), Confirmed: by}, false, "")
	}
}

func (c *Core) confirmed(class, by string) {
	said := c.diag.Class
	if c.standing != nil {
		said = c.standing.Class
	} else if c.last != nil {
		said = c.last.Class
	}
	c.store(protocol.TypeLearned, State, protocol.Learned{Carrier: c.known.Summary().HomePLMN, Said: string(said), Was: class, Confirmed: by}, true, "")
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
}
