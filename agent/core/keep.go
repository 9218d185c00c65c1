package core

import (
	"encoding/json"
	"fmt"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/goodset"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/record"
	"cellwarden/agent/remedy"
	"cellwarden/agent/text"
	"cellwarden/protocol"
)

// keepEvery bounds the flash that the core's snapshot costs: a change that is
// not urgent waits this long for company.
const keepEvery = 10 * time.Minute

// kept is what survives a restart. A damaged or newer one is refused by New.
type kept struct {
	V          int                 `json:"v"`
	Standing   *keptFault          `json:"standing,omitempty"`
	Last       *keptFault          `json:"last,omitempty"`
	LastGood   diag.LastGood       `json:"last_good"`
	SIMStatus  *protocol.SIMStatus `json:"sim_status,omitempty"`
	Plan       *protocol.Plan      `json:"plan,omitempty"`
	Card       string              `json:"card,omitempty"` // whose the two above are
	Resting    []notes             `json:"resting,omitempty"`
	Settings   protocol.Settings   `json:"settings"`
	Replay     protocol.Replay     `json:"replay"`
	LastTime   time.Time           `json:"last_time"` // when a clock was last trusted
	ProbeDay   int64               `json:"probe_day,omitempty"`
	ProbeSpent int                 `json:"probe_spent,omitempty"`
	Warnings   []protocol.Warning  `json:"warnings,omitempty"`
	CycleSeen  time.Time           `json:"cycle_seen"`
	Pending    *keptFault          `json:"pending,omitempty"`
	White      whitelist           `json:"whitelist"`
	Changes    []keptChange        `json:"changes,omitempty"` // the flap guard's: told
	Flips      []keptChange        `json:"flips,omitempty"`   // and judged
	ModemSeen  string              `json:"modem_seen,omitempty"`
	Remedies   remedy.State        `json:"remedies"` // budgets, and how far each ladder is climbed
	SMS        lastPath            `json:"sms"`
	Book       goodset.Book        `json:"settings_book"`
	RepairLeft time.Duration       `json:"repair_left,omitempty"`
	Telling    keptTelling         `json:"telling"`
}

// keptChange is a change with its instant.
type keptChange struct {
	At    instant.Instant `json:"at"`
	Class diag.Code       `json:"class"`
	Layer diag.Layer      `json:"layer,omitempty"`
}

// keepChanges are those that the flap guard still counts.
func (c *Core) keepChanges(list []change) []keptChange {
	var out []keptChange
	for _, x := range list {
		if ago := c.now.Mono - x.at; ago <= flapWindow {
			at := c.now
			at.Mono, at.Wall = x.at, c.now.Wall.Add(-ago)
			out = append(out, keptChange{at, x.class, x.layer})
		}
	}
	return out
}

type keptFault struct {
	Class   diag.Code       `json:"class"`
	Layer   diag.Layer      `json:"layer,omitempty"`
	Verdict diag.Verdict    `json:"verdict"`
	Since   instant.Instant `json:"since"`
	Ended   instant.Instant `json:"ended"`
	EndedBy string          `json:"ended_by,omitempty"`

	Unstable bool   `json:"unstable,omitempty"`
	Card     string `json:"card,omitempty"`
	Incident string `json:"id,omitempty"`
	Told     told   `json:"told"`
}

func keepFault(f *fault) *keptFault {
	if f == nil {
		return nil
	}
	return &keptFault{f.Class, f.Layer, f.Verdict, f.Since, f.Ended, f.EndedBy, f.Unstable, f.Card, f.Incident, f.Told}
}

func (k *keptFault) fault() *fault {
	if k == nil {
		return nil
	}
	return &fault{Class: k.Class, Layer: k.Layer, Verdict: k.Verdict, Since: k.Since, Raised: true, Ended: k.Ended, EndedBy: k.EndedBy,
		Unstable: k.Unstable, Card: k.Card, Incident: k.Incident, Told: k.Told}
}

// restored are kept changes by the clock of this boot, at most so many.
func (c *Core) restored(list []keptChange, most int) []change {
	var out []change
	for _, x := range list[:min(len(list), most)] {
		out = append(out, change{c.now.Mono - c.elapsed(x.At), x.Class, x.Layer})
	}
	return out
}

const keptVersion = 1

func (c *Core) snapshot() []byte {
	if c.now.Trusted {
		c.lastTime = c.now.Wall.UTC().Truncate(time.Second)
	}
	data, err := json.Marshal(kept{V: keptVersion, LastTime: c.lastTime, Standing: keepFault(c.standing), Last: keepFault(c.last), LastGood: c.lastGood,
		SIMStatus: c.simStatus, Plan: c.pushedPlan, Card: c.notesOf, Resting: c.resting, Settings: c.settings, Replay: c.replay,
		ProbeDay: c.probes.day, ProbeSpent: c.probes.spent, Warnings: c.warnings, CycleSeen: c.cycleSeen,
		Pending: keepFault(c.pending), White: c.white, Changes: c.keepChanges(c.changes), Flips: c.keepChanges(c.flips),
		ModemSeen: c.modemSeen, Telling: c.keepTelling(), Remedies: c.remedies.engine.State(), Book: c.book, SMS: c.sms, RepairLeft: max(0, c.remedies.pausedUntil-c.now.Mono)})
	if err != nil {
		c.emit(Log{LevelError, "state cannot be encoded", []any{"error", err.Error()}})
		return nil
	}
	return data
}

// LastTime is when the clock was last trusted, as kept by a run before or this one;
// zero: never.
func (c *Core) LastTime() time.Time { return c.lastTime }

func (c *Core) restore(data []byte) (remedy.State, error) {
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return remedy.State{}, fmt.Errorf("core: kept state: %w", err)
	}
	if k.V != keptVersion {
		return remedy.State{}, fmt.Errorf("core: kept state has version %d, this agent reads %d", k.V, keptVersion)
	}
	c.lastTime = k.LastTime
	c.standing, c.last, c.lastGood = k.Standing.fault(), k.Last.fault(), k.LastGood
	c.notesOf, c.resting = k.Card, k.Resting[:min(len(k.Resting), maxCards)]
	c.simStatus, c.pushedPlan, c.replay = k.SIMStatus, k.Plan, k.Replay
	c.settings, c.modemSeen = k.Settings, k.ModemSeen
	if c.modemSeen == "" && k.LastGood.At != "" {
		c.modemSeen = c.opt.ModemAt // kept by an agent that did not note it: it has worked
	}
	c.probes.day, c.probes.spent = k.ProbeDay, k.ProbeSpent
	c.restoreTelling(k.Telling)
	if k.RepairLeft > 0 {
		c.remedies.pausedUntil = c.now.Mono + min(k.RepairLeft, RepairLife)
	}
	c.warnings, c.cycleSeen = k.Warnings, k.CycleSeen
	c.white, c.book, c.sms = k.White, k.Book, k.SMS
	c.changes, c.flips = c.restored(k.Changes, 2*flapChanges), c.restored(k.Flips, flapChanges+1)
	if c.pending = k.Pending.fault(); c.pending != nil {
		c.pending.Raised = false
	}
	return k.Remedies, nil
}

// persist emits what must survive, under the flash policy.
func (c *Core) persist() {
	if c.dirty && c.persistAt == 0 {
		c.persistAt = c.now.Mono + keepEvery
	}
	if c.dirty && (c.urgent || c.now.Mono >= c.persistAt) {
		if data := c.snapshot(); data != nil {
			c.emit(Persist{"core", data})
		}
		c.dirty, c.urgent, c.persistAt = false, false, 0
	}
	if c.looked {
		c.looked = false
		c.emit(Persist{"meter.now", c.meter.Snapshot()})
	}
	if c.meter.Due(c.now) || c.ending {
		c.emit(Persist{"meter", c.meter.Snapshot()})
		c.meter.Saved(c.now)
	}
}

// View is what the local views need. It shares nothing that changes.
type View struct {
	Now       instant.Instant
	Start     instant.Instant
	Diagnosis diag.Diagnosis
	Since     instant.Instant
	Standing  *Fault
	Pending   *Fault
	Last      *Fault
	Known     diag.Summary
	Usage     meter.Usage
	Plan      protocol.Plan
	Warnings  []protocol.Warning
	SIMStatus *protocol.SIMStatus
	Uplink    Link
	Interface diag.Interface
	LastGood  diag.LastGood
	Settings  goodset.Book // good sets and what is set now; its Suspects are what changed since
	Remedies  RemedyView
	Whitelist bool // only listed hosts answer, as it seems (定向)
}

// Fault is a fault for people.
type Fault struct {
	Class   diag.Code
	Verdict diag.Verdict
	Since   instant.Instant
	Lasted  time.Duration
	EndedBy string
	RaiseIn time.Duration
}

// View reads the state.
func (c *Core) View() View {
	v := View{Now: c.now, Start: c.start, Diagnosis: text.English(c.diag), Known: c.known.Summary(), Usage: c.usage, Plan: c.plan(),
		Warnings: append([]protocol.Warning(nil), c.warnings...), SIMStatus: c.simStatus, Uplink: c.uplink, Interface: c.iface, LastGood: c.lastGood, Since: c.wellAt, Whitelist: c.white.learned(),
		Settings: c.bookView(), Remedies: c.Remedies()}
	if c.standing != nil {
		v.Standing = &Fault{Class: c.standing.Class, Verdict: c.standing.Verdict, Since: c.standing.Since, Lasted: c.now.Sub(c.standing.Since)}
		v.Since = c.standing.Since
	}
	if c.pending != nil {
		left := c.hold(c.pending, c.diag) - c.now.Sub(c.pending.Since)
		v.Pending = &Fault{Class: c.pending.Class, Verdict: c.pending.Verdict, Since: c.pending.Since, RaiseIn: max(0, left)}
		v.Since = c.pending.Since
	}
	if c.last != nil {
		v.Last = &Fault{Class: c.last.Class, Verdict: c.last.Verdict, Since: c.last.Since, Lasted: c.last.Ended.Sub(c.last.Since), EndedBy: c.last.EndedBy}
	}
	return v
}

// Meter gives the views the books; read only.
func (c *Core) Meter() *meter.Meter { return c.meter }

// Recording is what the judgement of this moment rests on, and the judgement.
type Recording struct {
	Entries   []record.Entry
	Dropped   int // entries that were thinned out of a full ring
	Diagnosis diag.Diagnosis
}

// Recording exports the flight recorder. Judged again, its entries give the
// Diagnosis (package explain).
func (c *Core) Recording() Recording {
	return Recording{Entries: c.ring.Export(), Dropped: c.ring.Dropped(), Diagnosis: diag.Diagnose(&c.known, c.opt.Weights)}
}
