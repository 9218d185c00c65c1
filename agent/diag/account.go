package diag

import (
	"time"

	"cellwarden/agent/carrier"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

// Bounds of what business news is worth, after which newer facts win.
const (
	platformFresh = 48 * time.Hour // most platforms report up to last midnight; one more day for their own delay
	platformOld   = 5 * 24 * time.Hour
	usedUpPercent = 97.0 // the operator's meter and ours differ by 3 to 8 % of link overhead
	usageLow      = 60.0
)

// accountRules are those of no layer: what the operator, the platform, the plan and
// the neighbours say, and what was changed.
func (k *sight) accountRules(h *hits) {
	k.messageRules(h)
	k.planRules(h)
	k.platformRules(h)
	k.neighbourRules(h)
	k.changeRules(h)
}

// planRules read the local meter against the plan and the calendar. Nothing of
// the calendar counts while the clock cannot be trusted.
func (k *Known) planRules(h *hits) {
	if !k.plan.ok {
		return
	}
	p := k.plan.value.Plan
	if p.OnExhaust == "overage" {
		h.add("overage_plan", "plan")
	}
	if protocol.Is(p.Pool) {
		h.add("pool", "plan")
	}
	k.usageRules(h, p)
	if !k.Now.Trusted {
		return
	}
	k.expiryRules(h, p)
	if on, ok := k.onset(); ok {
		local := on.In(zone(p.UTCOffset))
		if c, ok := meter.Cycle(p, on); ok && on.Sub(c.Start) < 6*time.Hour {
			h.add("cycle_turned", "clock")
		} else if hr := local.Hour(); hr >= 2 && hr < 5 {
			h.add("onset_night", "clock")
		}
	}
}

func (k *Known) onset() (time.Time, bool) { return wall(k.history.value.Onset) }

// resumeLag is how long after the turn of the cycle a stopped line may still be
// down (sim-lifecycle.md §4: "month start is not instant", about three days).
const resumeLag = 72 * time.Hour

// used is the larger of our count and the platform's: the operator's figure is
// the one that stops. ok is false when neither is known.
func (k *Known) used() (bytes uint64, ok bool) {
	bytes = k.usage.value.CycleBytes
	s := k.simStatus.value.Status
	if as, dated := wall(s.UsedAsOf); dated && k.usage.ok {
		if since, ok := wall(k.usage.value.Since); ok && !as.After(since) {
			return bytes, true // the figure of a cycle that has ended
		}
	}
	if k.simStatus.ok && s.UsedBytes > bytes {
		bytes = s.UsedBytes
	}
	return bytes, k.usage.ok || bytes > 0
}

// usedPercent is the use of the plan, -1 when it is not known.
func (k *Known) usedPercent() float64 {
	used, ok := k.used()
	if q := k.plan.value.Plan.QuotaBytes; ok && q > 0 {
		return pct(used, q)
	}
	return -1
}

func (k *Known) usageRules(h *hits, p protocol.Plan) {
	percent := k.usedPercent()
	if percent < 0 || p.OnExhaust == "overage" {
		return
	}
	if since, ok := wall(k.usage.value.Since); ok && k.Now.Trusted {
		// A count of an older cycle says nothing of this one, but a line that was
		// stopped then may not be back yet.
		if c, ok := meter.Cycle(p, k.Now.Wall); ok && since.Before(c.Start.Add(-time.Hour)) {
			if k.usedUpBeforeTurn() {
				h.add("used_up_before_turn", "meter", fnum(percent))
			}
			return
		}
	}
	switch {
	case percent >= usedUpPercent:
		switch p.OnExhaust {
		case "stop":
			h.add("used_up", "meter", fnum(percent))
		case "throttle":
			h.add("used_up_throttle", "meter", fnum(percent))
		default:
			h.add("used_up_unknown", "meter", fnum(percent))
		}
		if k.history.value.RegainedAtCycleStart != nil && *k.history.value.RegainedAtCycleStart {
			h.add("cycle_regained", "history")
		}
	case protocol.Is(p.Pool):
		// own use proves nothing
	case percent < usageLow:
		h.add("usage_low", "meter", fnum(percent))
	case percent < 85:
		h.add("usage_middle", "meter", fnum(percent))
	}
}

// usedUpBeforeTurn: the plan was used up and the line down before the cycle
// turned, which is too short a time ago to expect the line back.
func (k *Known) usedUpBeforeTurn() bool {
	p := k.plan.value.Plan
	since, dated := wall(k.usage.value.Since)
	c, ok := meter.Cycle(p, k.Now.Wall)
	return k.Now.Trusted && dated && ok && since.Before(c.Start.Add(-time.Hour)) && k.usedPercent() >= usedUpPercent &&
		p.OnExhaust != "throttle" && p.OnExhaust != "overage" && k.Now.Wall.Sub(c.Start) < resumeLag && k.downBefore(c.Start)
}

// downBefore reports whether the present trouble is known to be older than t.
func (k *Known) downBefore(t time.Time) bool {
	if on, ok := k.onset(); ok {
		return on.Before(t)
	}
	good, ok := wall(k.lastGood.value.At)
	return ok && good.Before(t)
}

func (k *Known) expiryRules(h *hits, p protocol.Plan) {
	expires := p.Expires
	if s := k.simStatus; s.ok && s.value.Status.ExpiresAt != "" && (expires == "" || s.value.Status.ExpiresAt > expires) {
		expires = s.value.Status.ExpiresAt // a renewal reaches the platform first
	}
	day, ok := wall(expires)
	if !ok {
		return
	}
	local := zone(p.UTCOffset)
	end := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, local).AddDate(0, 0, 1)
	switch {
	case k.Now.Wall.Before(end):
		h.add("not_expired", "plan", expires)
	default:
		if good, ok := wall(k.lastGood.value.At); ok && good.Sub(end) > 36*time.Hour {
			h.add("expired_worked_since", "plan")
			return
		}
		h.add("expired", "plan", expires)
	}
}

// platformAged: what the platform last said is so old that it names a candidate
// and bears no witness.
func (k *Known) platformAged() bool {
	as, dated := wall(k.simStatus.value.Status.AsOf)
	return dated && k.Now.Trusted && k.Now.Wall.Sub(as) > platformOld
}

// platformRules read what the SIM platform last said, with its age. Stale news
// loses against newer facts (sim-lifecycle.md §3: figures lag by a day).
func (k *Known) platformRules(h *hits) {
	if !k.simStatus.ok {
		return
	}
	s := k.simStatus.value.Status
	as, dated := wall(s.AsOf)
	good, worked := wall(k.lastGood.value.At)
	bad := s.State == "suspended" || s.State == "data_cut" || s.State == "pre_cancelled" || s.State == "cancelled" ||
		s.State == "inventory" || s.State == "ready"
	if bad && dated && worked && good.Sub(as) > 30*time.Minute {
		h.add("platform_stale", "backend")
		return
	}
	if !bad {
		if s.State != "active" && s.State != "test" || !dated || !k.Now.Trusted {
			return
		}
		age := k.Now.Wall.Sub(as)
		on, known := k.onset()
		switch {
		case age < 0 || age > platformOld:
		case known && as.Before(on) && on.Sub(as) > time.Hour:
			h.add("platform_active_old", "backend", int(age.Hours()))
		case age <= platformFresh:
			h.add("platform_active", "backend")
		default:
			h.add("platform_active_old", "backend", int(age.Hours()))
		}
		return
	}
	switch s.Reason {
	case "quota", "threshold", "pool":
		h.add("platform_quota", "backend", s.State, s.Reason)
	case "arrears":
		h.add("platform_arrears", "backend", s.State, s.Reason)
	case "manual", "real_name", "region_lock", "violation", "lost":
		h.add("platform_admin", "backend", s.State, s.Reason)
	case "expiry":
		h.add("platform_expired", "backend", s.State, s.Reason)
	case "imei_lock":
		h.add("platform_imei", "backend", s.State, s.Reason)
	default:
		switch s.State {
		case "cancelled", "pre_cancelled":
			h.add("platform_expired", "backend", s.State, firstOf(s.Reason, "none"))
		case "inventory", "ready":
			h.add("platform_inactive", "backend", s.State)
		default:
			h.add("platform_stopped", "backend", s.State)
		}
	}
}

func (k *Known) neighbourRules(h *hits) {
	if !k.neighbours.ok {
		return
	}
	n := k.neighbours.value.Neighbours
	if as, ok := wall(n.AsOf); ok && k.Now.Trusted && k.Now.Wall.Sub(as) > 2*time.Hour {
		return // diagnosis.md §7: fleet facts live minutes; two hours is already generous
	}
	switch {
	case n.SameCarrierDown < 2 && n.SameCarrierDown > 0:
		// One other machine may be down for any reason of its own.
	case n.SamePoolDown >= 3 && n.SameCarrierDown <= n.SamePoolDown && n.SameCarrierDown < n.SameCarrier:
		// Of the operator's machines only those of one pool are down.
	case n.SameCarrierDown < n.SameCarrier && n.SameCarrierDown > 0 && k.toldOverloaded():
		// An overloaded network turns away many: it says itself what ails it.
	case n.SameCarrier >= 3 && 2*n.SameCarrierDown >= n.SameCarrier:
		h.add("neighbours_down", "backend", n.SameCarrierDown, n.SameCarrier)
	case n.SameCarrier >= 3 && 10*n.SameCarrierDown >= 3*n.SameCarrier:
		h.add("neighbours_some_down", "backend", n.SameCarrierDown, n.SameCarrier)
	case n.SameCarrier >= 2 && n.SameCarrierDown == 0:
		h.add("neighbours_fine", "backend", n.SameCarrier)
	}
	if n.SamePoolDown >= 3 {
		h.add("pool_down", "backend", n.SamePoolDown)
	}
}

// toldOverloaded: the newest reject says congestion (cause 22 of the registration)
// or want of resources (cause 26 of the session).
func (k *Known) toldOverloaded() bool {
	if len(k.rejects) == 0 {
		return false
	}
	r := k.rejects[len(k.rejects)-1]
	full := 22
	if r.rej.Cause.Protocol.SessionProtocol() {
		full = 26
	}
	return r.rej.Cause.Number == full && k.within(r.at, rejectWindow)
}

func (k *Known) changeRules(h *hits) {
	bound := k.plan.value.Plan.IMEIBound
	switch k.imeiChanged() {
	case yes:
		if bound != nil && *bound {
			h.add("imei_changed_bound", "config")
		} else if bound == nil {
			h.add("imei_changed", "config")
		}
	case no:
		if word, told := k.lastWord(); !told || word != carrier.StopIMEI {
			h.add("imei_same", "config") // else the operator compares with another device than ours
		}
	}
	if bound != nil && !*bound {
		h.add("imei_unbound", "plan")
	}
	if bound != nil && *bound && k.imeiChanged() == unknown {
		h.add("card_bound", "plan")
	}
	if d := k.farBelow(); d > 0 {
		h.add("far_below_last_good", k.signal.src, fnum(d))
	}
	if k.abroad() {
		h.add("abroad", firstOf(k.imsi.src, k.plan.src))
	}
	if k.iccidChanged() == yes {
		h.add("card_changed", "config")
	}
	switch k.apnChanged() {
	case yes:
		h.add("apn_changed", "config")
	case no:
		h.add("apn_same", "config")
	}
	if on, ok := wall(k.history.value.Onset); ok && k.Now.Trusted {
		if d := k.Now.Wall.Sub(on); d > 36*time.Hour {
			h.add("onset_long_ago", "history", int(d.Hours()/24))
		}
	}
}

func (k *Known) imeiNow() string {
	if k.imei.ok {
		return k.imei.value.Value
	}
	return k.settings.value.IMEI
}

func (k *Known) imeiChanged() tri {
	now, last := k.imeiNow(), k.lastGood.value.IMEI
	if k.settings.value.IMEI != "" && last != "" {
		now = k.settings.value.IMEI // both from the same keeper, so comparable
	}
	if now == "" || last == "" {
		return unknown
	}
	return triOf(now != last)
}

func (k *Known) iccidChanged() tri {
	now, last := k.settings.value.ICCID, k.lastGood.value.ICCID
	if now == "" && k.iccid.ok {
		now = k.iccid.value.Value
	}
	if now == "" || last == "" {
		return unknown
	}
	return triOf(now != last)
}
