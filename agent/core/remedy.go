package core

import (
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/remedy"
)

// Steps that this version takes; the names are those of package remedy's table.
const (
	StepRadioCycle remedy.Step = "radio_cycle"
	StepResetLine  remedy.Step = "reset_line"
)

// A rung is one step that a standing class leads to: the first time after First, then
// each time after twice the wait, up to Most. A class that has been gone for Forget
// begins anew.
type rung struct {
	class               diag.Code
	ports               []string // states of the AT port in which the step can help
	step                remedy.Step
	first, most, forget time.Duration
}

// rungs are tried in their order; one step is under way at a time.
var rungs = []rung{
	// The first try comes when a slow module would have come back by itself; then each
	// waits twice as long, since a module that a reset does not help needs a technician.
	// A module that sleeps by the network's leave, or that another program holds, is in
	// neither of the two states.
	{diag.ModemFault, []string{"silent", "absent"}, StepResetLine, 5 * time.Minute, 12 * time.Hour, time.Hour},
}

// climb is how far one rung's step has been tried. Times are by Mono of this boot.
type climb struct {
	faulty bool
	from   time.Duration // since when the present wait runs
	wait   time.Duration // 0: never needed
	good   time.Duration // since when the class is gone
}

// due takes how things stand now, and says whether now is the time.
func (m *climb) due(r rung, now time.Duration, faulty bool) bool {
	if !faulty {
		if m.faulty {
			m.faulty, m.good = false, now
		}
		return false
	}
	if !m.faulty {
		m.faulty, m.from = true, now
		if m.wait == 0 || now-m.good >= r.forget {
			m.wait = r.first
		}
	}
	if now-m.from < m.wait {
		return false
	}
	m.wait, m.from = min(2*m.wait, r.most), now
	return true
}

// remedies is what the core knows of its own steps.
type remedies struct {
	climbs  map[remedy.Step]climb
	running remedy.Step // "" none
	port    string      // state of the AT port, "" not told yet
}

// mend takes the step whose time has come. It is paid for on the flash before it
// begins, so that neither a kill nor a crash loop buys another try.
func (c *Core) mend() {
	if c.remedies.running != "" || c.remedies.port == "" {
		return
	}
	for _, r := range rungs {
		if !slices.Contains(c.opt.Steps, r.step) {
			continue
		}
		was := c.remedies.climbs[r.step]
		now := was
		due := now.due(r, c.now.Mono, c.isClass(r.class) && slices.Contains(r.ports, c.remedies.port))
		if now != was {
			c.remedies.climbs[r.step], c.dirty = now, true
		}
		if due {
			c.take(Remedy{Step: r.step, Port: c.remedies.port, Why: string(r.class)})
			return
		}
	}
}

// isClass: the class is raised, and still what is judged.
func (c *Core) isClass(class diag.Code) bool {
	return c.standing != nil && c.standing.Class == class && c.diag.Class == class
}

// take keeps that the step is taken, then has it taken.
func (c *Core) take(r Remedy) {
	c.remedies.running = r.Step
	c.dirty, c.urgent = true, true
	c.persist()
	c.emit(Log{LevelWarn, "remedy", []any{"step", string(r.Step), "why", r.Why}})
	c.emit(r)
}

// disturbances are the words by which the judgement knows what we did ourselves.
var disturbances = map[remedy.Step]string{StepRadioCycle: "radio cycle", StepResetLine: "radio cycle"}

// remedyDone ends a step.
func (c *Core) remedyDone(e RemedyDone) {
	c.remedies.running = ""
	if e.Result != remedy.Done {
		c.emit(Log{LevelWarn, "remedy failed", []any{"step", string(e.Step), "detail", e.Detail}})
		return
	}
	c.disturb(e.Step)
}

// disturb: what the modem says now is our doing.
func (c *Core) disturb(s remedy.Step) {
	c.cycledAt = c.now.Mono
	c.see("agent", diag.Disturbance{What: disturbances[s]})
}

// nextRemedy is when a step is due at the latest, by Mono; false when none is.
func (c *Core) nextRemedy() (time.Duration, bool) {
	if c.remedies.running != "" {
		return 0, false
	}
	for _, r := range rungs {
		if m := c.remedies.climbs[r.step]; m.faulty {
			return m.from + m.wait, true
		}
	}
	return 0, false
}

// keptClimb is a climb with its instants.
type keptClimb struct {
	Faulty bool            `json:"faulty,omitempty"`
	From   instant.Instant `json:"from"`
	WaitS  int64           `json:"wait_s"`
	Good   instant.Instant `json:"good"`
}

func (c *Core) keepClimbs() map[remedy.Step]keptClimb {
	out := map[remedy.Step]keptClimb{}
	for step, m := range c.remedies.climbs {
		if m.wait > 0 {
			out[step] = keptClimb{m.faulty, c.ago(c.now.Mono - m.from), int64(m.wait / time.Second), c.ago(c.now.Mono - m.good)}
		}
	}
	return out
}

// ago is the instant so long before now.
func (c *Core) ago(d time.Duration) instant.Instant {
	at := c.now
	at.Mono, at.Wall = at.Mono-d, at.Wall.Add(-d)
	return at
}

// restoreClimbs goes on where the run before ended. Where no clock can tell how long
// ago that was, the wait runs anew, with its full length.
func (c *Core) restoreClimbs(kept map[remedy.Step]keptClimb) {
	c.remedies.climbs = map[remedy.Step]climb{}
	for _, r := range rungs {
		k, ok := kept[r.step]
		if !ok || k.WaitS <= 0 {
			continue
		}
		c.remedies.climbs[r.step] = climb{faulty: k.Faulty, from: c.now.Mono - c.sinceKept(k.From),
			wait: min(max(r.first, time.Duration(k.WaitS)*time.Second), r.most), good: c.now.Mono - c.sinceKept(k.Good)}
	}
}

// sinceKept is the time since a kept instant, 0 where no clock tells.
func (c *Core) sinceKept(t instant.Instant) time.Duration {
	if t.Boot != c.now.Boot && !(t.Trusted && c.now.Trusted) {
		return 0
	}
	return max(0, c.elapsed(t))
}
