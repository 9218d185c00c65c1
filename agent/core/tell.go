package core

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/text"
	"cellwarden/protocol"
)

// What a backend needs beside alerts and reports: what the device is made of, which
// card is in it, whether the agent can see the modem, and last words that stand for it when it is gone.

// How identities cross the wire.
const (
	IDsClear  = "clear"
	IDsHashed = "hashed"
	IDsNone   = "none"
)

// Limits of what is told here, so that a device that flaps costs no plan.
const (
	// changeApart is the least time between two messages that say of one fault that
	// it changed; a verdict that becomes confirmed goes at once, which it does once.
	changeApart = 10 * time.Minute
	// inventoryApart is the least time between two inventories that say the same: a
	// device that restarts in a loop sends one an hour.
	inventoryApart = time.Hour
	// inventoryWait is how long a start waits for the modem to say what it is.
	inventoryWait = 2 * time.Minute
	// blindHold is how long the modem must be out of sight: a module needs a minute to
	// restart, and another program may hold the port for a moment.
	blindHold = 3 * time.Minute
	// wordsApart is the least time between last words where nothing stands that was
	// not said; wordsSoon where a fault began, changed or ended.
	wordsApart = time.Hour
	wordsSoon  = 5 * time.Second
	// wordsLevel is the change of RSRP that a reader acts on, and wordsUsed that of
	// usage, in parts of the quota.
	wordsLevel = 6.0
	wordsUsed  = 20
)

// telling is what was told.
type telling struct {
	profile   string
	inventory protocol.Inventory // the last one
	at        instant.Instant    // when; zero never
	started   bool               // one was considered since the start

	blind     *protocol.Blind // that stands, told or not
	blindTold bool
	blindFrom time.Duration

	waiting int // messages in the queue, at the last report

	words   protocol.Last // the last ones
	wordsAt time.Duration
	said    bool
}

// incident names a fault for as long as it lasts, over refinements and restarts.
func (c *Core) incident(f *fault) string {
	if f.Incident == "" {
		f.Incident = c.name("fault", f.Since)
	}
	return f.Incident
}

// name is unique for what began at an instant of this device.
func (c *Core) name(what string, t instant.Instant) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%s/%s/%s/%d/%d", c.opt.Salt, what, t.Boot, t.Mono, t.Wall.UnixMilli())))
	return hex.EncodeToString(sum[:6])
}

// alert words the standing fault for the backend.
func (c *Core) alert(d diag.Diagnosis) protocol.Alert {
	f := c.standing
	a := c.priced(Wire(d, f.Since, f.Unstable))
	a.Incident = c.incident(f)
	f.Told = toldOf(a)
	f.toldAt = c.now.Mono
	return a
}

// told is what was said of a fault that a reader acts on.
type told struct {
	Verdict string `json:"verdict,omitempty"`
	Who     string `json:"who,omitempty"`
	Act     string `json:"act,omitempty"`
	Resumes string `json:"resumes,omitempty"`
}

func toldOf(a protocol.Alert) told {
	return told{a.Verdict, a.Act.Who, a.Act.Code, a.Act.ResumesAt}
}

// tellChanged says once more of the standing fault what became of it.
func (c *Core) tellChanged(d diag.Diagnosis) {
	f := c.standing
	if f.Told == (told{}) || d.Class != f.Class { // told by a version that did not keep it
		return
	}
	now := toldOf(Wire(d, f.Since, f.Unstable))
	if f.Told.Verdict == string(diag.Confirmed) {
		now.Verdict = f.Told.Verdict // what was sure once is not taken back
	}
	sure := now.Verdict == string(diag.Confirmed) && f.Told.Verdict != now.Verdict
	if now == f.Told || !sure && c.now.Mono-f.toldAt < changeApart {
		return
	}
	a := c.alert(d)
	a.Verdict = now.Verdict
	f.Told = now
	c.dirty = true
	c.store(protocol.TypeAlert, Alert, a, true, "")
}

// actCode is what to do as a code: the class, and the variant where the texts have one.
func actCode(d diag.Diagnosis) (code string, steps []string) {
	code = string(d.Class)
	if v := d.Detail.Key[strings.LastIndexByte(d.Detail.Key, '.')+1:]; v != "" && text.Variant(text.EN, d.Class, v) {
		code += "." + v
	}
	for i := range text.Class(text.EN, d.Class, strings.TrimPrefix(strings.TrimPrefix(code, string(d.Class)), ".")).Steps {
		steps = append(steps, fmt.Sprintf("%s.%d", code, i+1))
	}
	return code, steps
}

// id is an identity as the config lets it cross the wire.
func (c *Core) id(value string) string {
	switch c.opt.IDs {
	case IDsClear:
		return value
	case IDsNone:
		return ""
	}
	return c.hash(value)
}

func (c *Core) ids() string {
	if c.opt.IDs == "" {
		return IDsHashed
	}
	return c.opt.IDs
}

// tell says what is due. It runs after each judgement.
func (c *Core) tell() {
	c.tellInventory()
	c.tellBlind()
	c.tellWords()
}

// tellInventory sends what the device is made of, at the start and when it changed.
func (c *Core) tellInventory() {
	t := &c.telling
	s := c.known.Summary()
	ready := !c.opt.HasModem || s.ICCID != "" && s.IMEI != "" && s.Identity.Model != "" || c.now.Mono-c.start.Mono >= inventoryWait
	if !ready {
		return
	}
	now := c.opt.Inventory
	now.IDs, now.Agent, now.Profile = c.ids(), c.opt.Version, t.profile
	now.ICCID, now.IMEI, now.APN, now.Carrier = c.id(s.ICCID), c.id(s.IMEI), s.APN, s.HomePLMN
	now.Maker, now.Model, now.Firmware = s.Identity.Manufacturer, s.Identity.Model, s.Identity.Revision
	if p := c.plan(); !reflect.ValueOf(p).IsZero() {
		if raw, err := json.Marshal(p); err == nil {
			sum := sha256.Sum256(raw)
			now.Plan = hex.EncodeToString(sum[:4])
		}
	}
	keepKnown(&now, t.inventory)
	changed := changedFields(t.inventory, now)
	known := t.at != (instant.Instant{})
	switch {
	case t.started && len(changed) == 0, !t.started && known && len(changed) == 0 && c.elapsed(t.at) < inventoryApart && c.elapsed(t.at) > 0:
		t.started = true
		return
	case t.started:
		now.Why, now.Changed = "change", changed
	default:
		now.Why = "start"
		if known {
			now.Changed = changed
		}
	}
	t.started, t.inventory, t.at = true, now, c.now
	t.inventory.Why, t.inventory.Changed = "", nil
	c.dirty = true
	c.store(protocol.TypeInventory, State, now, false, "")
}

// keepKnown leaves what is not known just now as it was: a modem that restarts is no
// other modem.
func keepKnown(now *protocol.Inventory, was protocol.Inventory) {
	for _, f := range []struct {
		now *string
		was string
	}{{&now.ICCID, was.ICCID}, {&now.IMEI, was.IMEI}, {&now.Maker, was.Maker}, {&now.Model, was.Model}, {&now.Firmware, was.Firmware},
		{&now.Profile, was.Profile}, {&now.APN, was.APN}, {&now.Carrier, was.Carrier}} {
		if *f.now == "" && now.IDs == was.IDs {
			*f.now = f.was
		}
	}
}

// changedFields are the JSON names of what differs, but for Why and Changed.
func changedFields(a, b protocol.Inventory) []string {
	var out []string
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		name, _, _ := strings.Cut(va.Type().Field(i).Tag.Get("json"), ",")
		if name != "why" && name != "changed" && va.Field(i).Interface() != vb.Field(i).Interface() {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// tellCard says that another card is in the slot. It runs when the notes of the card
// before are laid aside.
func (c *Core) tellCard(before string, known bool) {
	s := c.known.Summary()
	from := c.telling.inventory.ICCID
	if c.ids() == IDsHashed {
		from = before
	}
	c.store(protocol.TypeCard, Alert, protocol.CardChanged{IDs: c.ids(), From: from, To: c.id(s.ICCID), Known: known, Carrier: s.HomePLMN}, true, "")
}

// portSeen follows the modem's port for tellBlind.
func (c *Core) portSeen(e PortState) {
	t := &c.telling
	if e.Profile != "" {
		t.profile = e.Profile
	}
	why := ""
	switch {
	case e.State == "held":
		why = protocol.BlindPortHeld
	case e.State != "ok" && c.modemSeen == "":
		why = protocol.BlindNeverMet
	}
	switch {
	case why == "" && t.blind == nil, !c.opt.HasModem:
		return
	case why == "" && e.State != "ok":
		return // it was seen before: a fault of the modem, told as that
	case why == "":
		over := *t.blind
		if t.blindTold {
			over.Over, over.Since = true, t.blind.Since
			c.store(protocol.TypeBlind, Alert, over, true, "")
		}
		t.blind, t.blindTold, c.dirty, c.urgent = nil, false, true, true
	case t.blind == nil:
		t.blind = &protocol.Blind{Incident: c.name("blind", c.now), Why: why, Since: WireTime(c.now), Port: c.opt.ModemAt, Holder: holder(e)}
		t.blindFrom = c.now.Mono
	}
}

// holder is who holds the port, where the shell could tell.
func holder(e PortState) string {
	if e.State != "held" {
		return ""
	}
	return foreign(e.Detail)
}

func (c *Core) tellBlind() {
	t := &c.telling
	if t.blind == nil || t.blindTold || c.now.Mono-t.blindFrom < blindHold {
		return
	}
	t.blindTold = true
	c.dirty, c.urgent = true, true
	c.store(protocol.TypeBlind, Alert, *t.blind, true, "")
}

// LastWords stand, retained, at the broker from now on.
type LastWords struct{ Words protocol.Last }

func (LastWords) effect() {}

// tellWords renews the last words when a reader would act on what changed.
func (c *Core) tellWords() {
	t := &c.telling
	now := c.lastWords()
	since := c.now.Mono - t.wordsAt
	switch {
	case !t.said && c.rounds == 0 && c.now.Mono-c.start.Mono < cardWait && c.opt.HasModem:
		return // nothing is known yet
	case !t.said:
	case !sameFault(now, t.words) && since >= wordsSoon:
	case since >= wordsApart && differ(now, t.words):
	default:
		return
	}
	t.words, t.wordsAt, t.said = now, c.now.Mono, true
	c.emit(LastWords{now})
}

func (c *Core) lastWords() protocol.Last {
	s, p := c.known.Summary(), c.plan()
	l := protocol.Last{At: WireTime(c.now), Class: string(c.diag.Class), Verdict: string(c.diag.Verdict), Used: c.usage.UsedBytes, Quota: c.usage.QuotaBytes,
		OnExhaust: p.OnExhaust, Pool: p.Pool != nil && *p.Pool, Expires: p.Expires, PLMN: s.ServingPLMN, Waiting: c.telling.waiting, Agent: c.opt.Version}
	if s.Signal != nil {
		l.RSRP, l.RAT = s.Signal.RSRP, s.Signal.RAT
	}
	if f := c.standing; f != nil {
		l.Fault = &protocol.Standing{Incident: c.incident(f), Class: string(f.Class), Verdict: string(f.Verdict), Since: WireTime(f.Since), Who: f.Told.Who,
			Act: f.Told.Act, ResumesAt: f.Told.Resumes, Unstable: f.Unstable}
		if f.Told.Verdict != "" {
			l.Fault.Verdict = f.Told.Verdict
		}
	}
	if c.telling.blindTold {
		l.Blind = c.telling.blind.Why
	}
	return l
}

// sameFault: the same fault stands, told alike, and the agent sees as much.
func sameFault(a, b protocol.Last) bool {
	return a.Blind == b.Blind && (a.Fault == nil) == (b.Fault == nil) && (a.Fault == nil || *a.Fault == *b.Fault)
}

// differ: something else changed that a reader acts on.
func differ(a, b protocol.Last) bool {
	level := (a.RSRP == nil) != (b.RSRP == nil) || a.RSRP != nil && max(*a.RSRP-*b.RSRP, *b.RSRP-*a.RSRP) >= wordsLevel
	used := a.Quota > 0 && a.Used*wordsUsed/a.Quota != b.Used*wordsUsed/a.Quota
	plan := a.Quota != b.Quota || a.OnExhaust != b.OnExhaust || a.Pool != b.Pool || a.Expires != b.Expires
	return level || used || plan || a.PLMN != b.PLMN || a.RAT != b.RAT || a.Agent != b.Agent || (a.Waiting > 0) != (b.Waiting > 0)
}

// nextTold is when something here is due, by Mono; false when nothing is.
func (c *Core) nextTold() (time.Duration, bool) {
	t := &c.telling
	next, any := time.Duration(0), false
	due := func(at time.Duration) {
		if at > c.now.Mono && (!any || at < next) {
			next, any = at, true
		}
	}
	if !t.started && c.opt.HasModem {
		due(c.start.Mono + inventoryWait)
	}
	if t.blind != nil && !t.blindTold {
		due(t.blindFrom + blindHold)
	}
	if t.said && !sameFault(c.lastWords(), t.words) {
		due(t.wordsAt + wordsSoon)
	}
	return next, any
}

// keptTelling survives a restart.
type keptTelling struct {
	Inventory protocol.Inventory `json:"inventory"`
	At        instant.Instant    `json:"at"`
	Blind     *protocol.Blind    `json:"blind,omitempty"` // told, and not over
}

func (c *Core) keepTelling() keptTelling {
	k := keptTelling{Inventory: c.telling.inventory, At: c.telling.at}
	if c.telling.blindTold {
		k.Blind = c.telling.blind
	}
	return k
}

func (c *Core) restoreTelling(k keptTelling) {
	c.telling.inventory, c.telling.at, c.telling.blind, c.telling.blindTold = k.Inventory, k.At, k.Blind, k.Blind != nil
}
