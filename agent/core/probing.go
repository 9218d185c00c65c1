package core

import (
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

// When probes run on a line that is in doubt: three rounds within 90 s prove a
// black hole, then rarer and rarer (TS.34 4.2_REQ_002: never endless at one rate).
var doubtRounds = []time.Duration{0, 30 * time.Second, 45 * time.Second, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

// farAway is a due time that never comes.
const farAway = time.Duration(1<<63 - 1)

// probing walks the configured probes, cheapest first, one at a time, and stops
// a round as soon as it is decided.
type probing struct {
	specs   []ProbeSpec
	every   time.Duration
	budget  int
	running bool
	queue   []ProbeSpec
	at      time.Duration // next round
	round   int           // of the present doubt
	doubt   bool
	day     int64 // Unix day, or days of uptime, of spent
	spent   int
	results []diag.ProbeResult // of this round
}

func (p *probing) init(opt Options) {
	p.specs, p.every, p.budget, p.at = opt.Probes, opt.ProbeEvery, opt.ProbeBudget, farAway
}

func (p *probing) due() time.Duration {
	if len(p.specs) == 0 || p.running || len(p.queue) > 0 {
		return farAway
	}
	return p.at
}

// fresh asks for a round now: somebody waits.
func (p *probing) fresh(now time.Duration) {
	if len(p.specs) > 0 && !p.running {
		p.at, p.queue = now, nil
	}
}

// scheduleProbes starts a round when the line is in doubt or a round is due,
// and the next probe of a running round.
func (c *Core) scheduleProbes() {
	p := &c.probes
	if len(p.specs) == 0 || p.running {
		return
	}
	now := c.now.Mono
	if !c.probeable() && !c.wantFresh {
		p.queue, p.doubt, p.round, p.at = nil, false, 0, farAway
		return
	}
	doubt := c.inDoubt()
	switch {
	case doubt && !p.doubt:
		p.round, p.at = 0, now+doubtRounds[0]
	case !doubt && p.doubt:
		p.at = now + p.every
	case !doubt && p.at == farAway && p.every > 0:
		p.at = now + p.every
	}
	p.doubt = doubt
	if len(p.queue) == 0 && now >= p.at {
		p.queue = append([]ProbeSpec(nil), p.specs...)
		p.results = nil
		p.round++
		wait := p.every
		if doubt {
			wait = doubtRounds[min(p.round, len(doubtRounds)-1)]
		}
		p.at = now + c.stretch(wait)
	}
	for len(p.queue) > 0 {
		var spec ProbeSpec
		spec, p.queue = nextProbe(p.queue, c.diag)
		if !c.needed(spec) || !c.afford(spec.Cost) {
			continue
		}
		p.running = true
		c.emit(RunProbe{spec})
		return
	}
}

// probeable: nothing below the session is known to be broken. A data probe on
// an unregistered line costs battery and proves nothing.
func (c *Core) probeable() bool {
	switch c.diag.Layer {
	case diag.LayerPort, diag.LayerModem, diag.LayerSIM, diag.LayerRegistration, diag.LayerSession:
		return c.iface.Present && c.iface.Addr != ""
	}
	return true
}

// inDoubt: the path or the service is not proved. While the broker connection
// stands over the data interface it is the proof, and costs nothing.
func (c *Core) inDoubt() bool {
	switch c.diag.Layer {
	case diag.LayerRadio, diag.LayerRegistration, diag.LayerSession, diag.LayerPath, diag.LayerService:
		return true // probeable: the interface still has its address, so ask
	}
	if c.oneWay.stands(c.now.Mono) || c.known.Unproved() {
		return true
	}
	if c.uplink.OverData && c.uplink.State == "connected" {
		return false
	}
	if c.uplink.OverData && c.uplink.State != "" && c.uplink.State != "off" {
		return true
	}
	return false
}

// needed skips what this round has decided: two foreign hosts that answer make
// HTTP pointless, an own service that answers ends it.
func (c *Core) needed(s ProbeSpec) bool {
	third, own := 0, false
	for _, r := range c.probes.results {
		if r.Target == "third_party" && r.Result == "ok" {
			third++
		}
		own = own || r.Target == "own" && r.Result == "ok"
	}
	if own {
		return false
	}
	return s.Target != "third_party" || third < 1 && !protocol.Is(c.plan().WhitelistOnly) && !(c.probes.doubt && c.white.learned())
}

func (c *Core) afford(cost int) bool {
	p := &c.probes
	if day := c.day(); day != p.day {
		p.day, p.spent = day, 0
	}
	budget := int(float64(p.budget) * meter.GuardFor(c.usage).Share())
	return p.spent+cost <= budget || c.wantFresh && p.spent+cost <= p.budget
}

// day counts days: of the calendar where it is known, else of uptime.
func (c *Core) day() int64 {
	if c.now.Trusted {
		return c.now.Wall.Unix() / 86400
	}
	return int64(c.now.Mono / (24 * time.Hour))
}

func (c *Core) probeDone(e ProbeDone) {
	p := &c.probes
	p.running = false
	p.spent += e.Cost
	p.results = append(p.results, e.Result)
	if e.Result.Result == "ok" {
		c.idle.at = c.now.Mono // the line is proved for a while
	}
	c.meter.OwnBytes(uint64(e.Cost), c.now)
	c.see("probe:"+e.Result.Probe, e.Result)
	if len(p.queue) == 0 {
		c.watchWhitelist()
		c.answerAskers()
	}
}

// linkChanged takes the uplink's own fate as evidence of the own service: it
// was paid for anyway.
func (c *Core) linkChanged(l Link) {
	if l.State != c.uplink.State || l.Reason != c.uplink.Reason {
		c.emit(Log{LevelInfo, "uplink", []any{"state", l.State, "broker", l.Broker, "reason", l.Reason}})
	}
	c.uplink = l
	if !c.uplink.OverData {
		return
	}
	switch {
	case l.State == "connected":
		c.see("probe:broker", diag.ProbeResult{Probe: "broker", Target: "own", Result: "ok", Host: l.Broker})
	case l.Result != "":
		c.see("probe:broker", diag.ProbeResult{Probe: "broker", Target: "own", Result: l.Result, Detail: l.Reason, Host: l.Broker})
	}
}

func (c *Core) delivered(e Delivered) {
	if c.uplink.OverData {
		c.see("probe:broker", diag.ProbeResult{Probe: "broker", Target: "own", Result: "ok", Host: c.uplink.Broker})
	}
}
