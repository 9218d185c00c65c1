package core

import (
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/meter"
)

// Signs make the core look again before its time: a denial or a loss whose reason
// is not known, packets that go out while none come in, a line that is another one
// than was last proved.

// whyApart is the time between two questions for the network's reason while none
// is known: the report is local to the modem, and the next failure overwrites it.
const whyApart = 10 * time.Second

// askWhy asks for the reason of a denial or of a lost session as soon as a round
// finds one, and with later rounds while no reason is known. A lost session may
// also have lost its APN, to a firmware that starts from its defaults.
func (c *Core) askWhy() {
	lost := c.known.Lost()
	if lost != c.lostSeen {
		c.lostSeen = lost
		if lost != diag.NothingLost {
			c.pollAt = c.now.Mono // at once, not with the next round
			c.askError, c.askAPN = true, true
		}
		return
	}
	if lost != diag.NothingLost && c.known.LacksCause() && c.now.Mono-c.whyAt >= whyApart {
		c.askError = true
	}
}

// A packet that gets no answer shows within one look at the counters.
type oneWay struct {
	rx, tx uint64        // at the newest answer
	seen   bool          // something ever came in
	since  time.Duration // of the first look that found packets out and none in, 0 none
}

// lasting is how long unanswered packets keep the line in doubt; then probes have
// said what there is to say.
const lasting = 2 * time.Minute

// look takes a reading; it reports whether something came in since the last.
func (w *oneWay) look(now time.Duration, r meter.Reading) bool {
	heard := r.RxBytes > w.rx && w.seen
	switch {
	case r.RxBytes != w.rx || r.TxBytes < w.tx:
		*w = oneWay{rx: r.RxBytes, tx: r.TxBytes, seen: true}
	case r.TxBytes > w.tx && w.since == 0:
		w.since = now
	}
	return heard
}

// heardApart is the time between two rounds that what comes in over a line in doubt
// may start: an answer now and then is what a weak line has.
const heardApart = time.Minute

func (w *oneWay) stands(now time.Duration) bool { return w.since > 0 && now-w.since <= lasting }

// A line that nothing of ours runs over (the broker is on the LAN) is watched by
// itself: what the machine's own traffic proves costs nothing, else one of the
// cheapest probes is sent, for at most so many bytes a day.
const (
	watchEvery  = 15 * time.Minute
	watchBudget = 3000
)

// watch keeps the proof of an idle line fresh.
type watch struct {
	at    time.Duration // of the newest proof or try
	rx    uint64
	day   int64
	spent int
}

// watchIdle sends the cheapest probe where nothing has proved the line of late.
func (c *Core) watchIdle() {
	p, w := &c.probes, &c.idle
	if p.specs == nil || p.running || len(p.queue) > 0 || p.doubt || c.uplink.OverData || !c.probeable() || c.diag.Verdict != diag.AllWell {
		return
	}
	if n := len(c.traffic); n > 0 && c.traffic[n-1].rx != w.rx {
		w.rx, w.at = c.traffic[n-1].rx, c.now.Mono
	}
	if w.at == 0 {
		w.at = c.now.Mono
	}
	if c.now.Mono-w.at < c.stretch(watchEvery) {
		return
	}
	w.at = c.now.Mono
	if day := c.day(); day != w.day {
		w.day, w.spent = day, 0
	}
	cheapest := p.specs[0]
	for _, s := range p.specs {
		if s.Cost < cheapest.Cost && s.Probe != "ntp" {
			cheapest = s
		}
	}
	if float64(w.spent+cheapest.Cost) > watchBudget*meter.GuardFor(c.usage).Share() || !c.afford(cheapest.Cost) {
		return
	}
	w.spent += cheapest.Cost
	p.queue = []ProbeSpec{cheapest}
	p.results = nil
}
