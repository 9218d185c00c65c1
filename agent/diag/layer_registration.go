package diag

import (
	"cellwarden/modem/threegpp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// judgeRegistration: has the network taken the modem in for data?
func (k *sight) judgeRegistration(h *hits) GateState {
	before := len(*h)
	reg, src, ok := k.dataReg()
	registered := k.registered()
	if registered == yes {
		how := "camped"
		if ok {
			if reg.Stat == threegpp.RegRoaming || reg.Stat == threegpp.RegRoamNoCSFB {
				how = "roaming"
			} else {
				how = "home"
			}
		} else {
			src = firstOf(k.cell.src, k.service.src, k.operator.src)
		}
		h.add("registered", src, how)
		return GatePassed
	}
	state := GateUnknown
	if registered == no || k.packetRefused() || k.voiceRefused() || k.validity.ok && !k.validity.value.ValidPS {
		state = GateFailed
	}
	abroad := k.abroad() || k.visited(k.servingPLMN()) == yes
	if k.mobilityCauses(h) {
		// A cause says more than the bare state it came with.
	} else if k.packetRead() && k.csRegistered() && (reg.Stat != threegpp.RegSearching || k.heard() == yes) {
		h.add("packet_denied", src)
	} else if ok {
		switch reg.Stat {
		case threegpp.RegDenied, threegpp.RegEmergency, threegpp.RegRLOS:
			switch {
			case k.attachRefused():
				// The session that the attach asks for was refused: the denial is that
				// refusal seen from outside (EMM 19), and no second witness.
			case k.manualElsewhere():
				// It asks a network that is none of the card's, as it was told to.
			case abroad:
				h.add("denied_visited", src)
			case k.onlyUs():
				h.add("denied_unchanged", src)
			default:
				h.add("denied", src)
			}
		case threegpp.RegSearching, threegpp.RegUnknown, threegpp.RegIdle:
			if k.heard() == yes && k.cell.value.State != threegpp.CampLimited {
				h.add("searching_heard", src)
			}
		}
	}
	if k.operator.ok && k.operator.value.Mode == 0 && k.operator.value.Name == "" && k.operator.value.PLMN == "" && !ok {
		h.add("no_operator", k.operator.src)
	}
	if k.operator.ok && (k.operator.value.Mode == 1 || k.operator.value.Mode == 4) && registered == no {
		if k.manualElsewhere() {
			h.add("manual_elsewhere", k.operator.src, k.manualPLMN())
		} else {
			h.add("manual_operator", k.operator.src)
		}
	}
	if state == GateFailed && len(*h) == before && k.heard() != no {
		h.add("not_registered", firstOf(src, k.cell.src, k.service.src, k.operator.src, "at"))
	}
	return state
}

// voiceRefused: the network gave a cause for refusing the voice domain, which is
// all that a module without a packet reading tells.
func (k *Known) voiceRefused() bool {
	for _, r := range k.rejects {
		if r.rej.Cause.Protocol == threegpp.MM && k.within(r.at, rejectWindow) {
			return true
		}
	}
	return false
}

// askRegistration is what would decide about the registration.
func (k *sight) askRegistration(q *question) string {
	switch {
	case q.first == Congestion:
		return "decide.after_backoff"
	case len(k.rejects) == 0:
		return "decide.reject_cause"
	case q.among[CarrierOutage]:
		return "decide.neighbours"
	case q.stop():
		return "decide.platform"
	}
	return "decide.esm_cause"
}

// manualPLMN is the network that somebody chose by hand, "" where it is not known.
func (k *Known) manualPLMN() string {
	if k.operator.value.Mode == 1 && k.operator.value.PLMN != "" {
		return k.operator.value.PLMN
	}
	if l := k.locks["plmn"]; l.value.Locked {
		return l.value.PLMN
	}
	return ""
}

// manualElsewhere: the network chosen by hand is not the card's own.
func (k *Known) manualElsewhere() bool {
	return k.homePLMN() != "" && k.manualPLMN() != "" && k.visited(k.manualPLMN()) == yes
}

// attachRefused: on LTE the attach asks for a session, and that was refused of
// late with a cause of its own (field-notes (d) 2).
func (k *Known) attachRefused() bool {
	for _, r := range k.rejects {
		if r.rej.Cause.Protocol == threegpp.ESM && k.within(r.at, eventWindow) && informational(r.rej.Cause) == no {
			return true
		}
	}
	return false
}

// onlyUs reports whether a refusal that names no cause, or one that proves
// nothing, can be laid on the subscription all the same: what is set is what
// worked last, and machines nearby on this operator work. Without the two, a
// bare denial may as well be an APN, an area, a roaming right or a device.
func (k *Known) onlyUs() bool {
	apn, imei := k.apnChanged(), k.imeiChanged()
	same := (apn == no || imei == no) && apn != yes && imei != yes && k.iccidChanged() != yes
	n := k.neighbours.value.Neighbours
	return same && n.SameCarrier >= 2 && n.SameCarrierDown == 0
}

// mobilityCauses reads the mobility rejects that still stand. The meaning of a
// number is that of its table; 2 in the voice domain while data stands was
// never asked, since a registered modem does not get here. It reports whether a
// cause was found that says anything.
func (k *Known) mobilityCauses(h *hits) bool {
	implicit, before := 0, len(*h)
	// The packet domain's word first: the voice domain's of the same refusal only
	// repeats it.
	ordered := slices.Clone(k.rejects)
	sort.SliceStable(ordered, func(i, j int) bool { return voice(ordered[i]) < voice(ordered[j]) })
	for _, r := range ordered {
		c := r.rej.Cause
		if !c.Protocol.MobilityProtocol() || !k.within(r.at, rejectWindow) {
			continue
		}
		where := k.visited(firstOf(r.plmn, k.servingPLMN())) // who refused may be read a moment later
		if where == unknown && k.abroad() {
			where = yes
		}
		words := causeWords(c)
		switch c.Number {
		case 7, 8:
			if where == yes {
				h.add("cause_plmn_visited", r.src, words)
			} else {
				h.add("cause_refused_subscriber", r.src, words)
			}
		case 2:
			if c.Protocol == threegpp.MM && k.packetRead() {
				break // the voice half only
			}
			h.add("cause_refused_subscriber", r.src, words)
		case 3:
			h.add("cause_illegal", r.src, words)
		case 5, 6:
			h.add("cause_equipment", r.src, words)
		case 11, 14, 35:
			switch where {
			case yes:
				h.add("cause_plmn_visited", r.src, words)
			case no:
				h.add("cause_plmn_home", r.src, words)
			default:
				h.add("cause_plmn", r.src, words)
			}
		case 13:
			if where == yes {
				h.add("cause_plmn_visited", r.src, words)
			} else {
				h.add("cause_area", r.src, words)
			}
		case 12, 15:
			h.add("cause_area", r.src, words)
			if k.onlyUs() {
				h.add("denied_unchanged", r.src)
			}
		case 17, 42, 16:
			h.add("cause_network", r.src, words)
		case 22:
			h.add("cause_congestion", r.src, words)
		case 19:
			if !k.sessionCauseKnown() {
				h.add("cause_esm_failure", r.src, words)
			}
		case 9, 10, 40:
			if implicit++; implicit > 3 {
				h.add("cause_implicit", r.src, words)
			}
		case 25, 76:
			h.add("cause_area", r.src, words) // a closed group's cell, of which the card is no member
		case 27, 31:
			if c.Protocol == threegpp.FiveGMM {
				h.add("lock_set", r.src, words) // N1 mode not allowed, go to the EPC
			} else {
				h.add("cause_other", r.src, words)
			}
		default:
			h.add("cause_other", r.src, words)
		}
	}
	return len(*h) > before
}

func voice(r reject) int {
	if r.rej.Cause.Protocol == threegpp.MM {
		return 1
	}
	return 0
}

func causeWords(c threegpp.RejectCause) string {
	if info, ok := threegpp.LookUp(c); ok {
		return fmt.Sprintf("%s (%s)", c, info.Name)
	}
	return c.String()
}

// dataReg is the registration that data rests on: the best of EPS, 5GS and
// packet domain. ok is false when none was read. +CREG speaks of voice and SMS
// and is used only where no packet domain was read at all (a 2G module).
func (k *Known) dataReg() (threegpp.Registration, string, bool) {
	rank := func(s threegpp.RegStat) int {
		switch {
		case s.Registered():
			return 5
		case s == threegpp.RegDenied, s == threegpp.RegEmergency, s == threegpp.RegRLOS:
			return 4
		case s == threegpp.RegSearching:
			return 3
		case s == threegpp.RegNordicNoUICC:
			return 2
		}
		return 1
	}
	var best stamped[threegpp.Registration]
	for _, d := range []threegpp.Domain{threegpp.NR, threegpp.EPS, threegpp.PS} {
		r, ok := k.reg[d]
		if !ok {
			continue
		}
		if !best.ok || rank(r.value.Stat) > rank(best.value.Stat) {
			best = r
		}
	}
	if best.ok {
		return best.value, best.src, true
	}
	if r, ok := k.reg[threegpp.CS]; ok {
		return r.value, r.src, true
	}
	return threegpp.Registration{}, "", false
}

// packetRead reports whether a packet domain was read, so that +CREG may be ignored.
func (k *Known) packetRead() bool {
	for _, d := range []threegpp.Domain{threegpp.NR, threegpp.EPS, threegpp.PS} {
		if _, ok := k.reg[d]; ok {
			return true
		}
	}
	return false
}

func (k *Known) csRegistered() bool {
	r, ok := k.reg[threegpp.CS]
	return ok && (r.value.Stat.Registered() || r.value.Stat == threegpp.RegSMSHome || r.value.Stat == threegpp.RegSMSRoaming)
}

// registered says whether the network has taken the modem in for data.
func (k *Known) registered() tri {
	if r, _, ok := k.dataReg(); ok {
		if r.Domain == threegpp.CS && r.Stat.Registered() && k.packetRefused() {
			return no
		}
		if r.Stat.Registered() {
			return yes
		}
		if r.Domain == threegpp.CS && (r.Stat == threegpp.RegSMSHome || r.Stat == threegpp.RegSMSRoaming) {
			return unknown // SMS only in the voice domain: normal on LTE data cards
		}
		if r.Domain == threegpp.CS && r.Stat != threegpp.RegIdle && k.camped() == yes {
			return yes
		}
		return no
	}
	switch k.cell.value.State {
	case threegpp.CampIdle, threegpp.CampConnected:
		return yes
	case threegpp.CampLimited, threegpp.CampSearching:
		return no
	}
	if k.service.ok && k.service.value.Service == threegpp.CampOnline {
		return yes
	}
	if k.operator.ok {
		return triOf(k.operator.value.Name != "" || k.operator.value.PLMN != "")
	}
	if k.cell.ok && k.cell.value.State == threegpp.CampOnline {
		return yes
	}
	return unknown
}

// packetRefused: the network gave a cause for refusing packet service and has
// not taken the modem in for it since, though voice may be registered.
func (k *Known) packetRefused() bool {
	for _, r := range k.rejects {
		if p := r.rej.Cause.Protocol; p.MobilityProtocol() && p != threegpp.MM && k.within(r.at, rejectWindow) {
			return true
		}
	}
	return false
}

// camped says whether the modem's own cell picture shows ordinary service.
func (k *Known) camped() tri {
	switch k.cell.value.State {
	case threegpp.CampIdle, threegpp.CampConnected:
		return yes
	case threegpp.CampLimited, threegpp.CampSearching, threegpp.CampNoService, threegpp.CampLowPower:
		return no
	}
	return unknown
}

// servingPLMN is who the modem sits on, "" when not known.
func (k *Known) servingPLMN() string {
	if k.cell.ok && k.cell.value.PLMN != "" {
		return k.cell.value.PLMN
	}
	if k.operator.ok && k.operator.value.PLMN != "" {
		return k.operator.value.PLMN
	}
	return ""
}

// homePLMN is the card's own operator, "" when not known.
func (k *Known) homePLMN() string {
	if k.imsi.ok {
		if p := threegpp.HomePLMN(k.imsi.value.Value); p != "" {
			return p
		}
	}
	if k.plan.ok {
		if p := strings.ReplaceAll(k.plan.value.Plan.Carrier, "-", ""); p != "" {
			return p
		}
	}
	return ""
}

// usualPLMN is where the card works: home, or else the network of the last time
// all was well.
func (k *Known) usualPLMN() string { return firstOf(k.homePLMN(), k.lastGood.value.PLMN) }

// visited says whether plmn is not the card's home. The network that worked
// last counts as good as home.
func (k *Known) visited(plmn string) tri {
	if plmn == "" {
		return unknown
	}
	home, last := k.homePLMN(), k.lastGood.value.PLMN
	if home == "" && last == "" {
		return unknown
	}
	if home != "" && threegpp.SameOperator(home, plmn) || last != "" && threegpp.SameOperator(last, plmn) {
		return no
	}
	return yes
}

// abroad says whether the networks heard or served belong to another country
// than the card.
func (k *Known) abroad() bool {
	home := k.homePLMN()
	if len(home) < 3 {
		return false
	}
	if p := k.servingPLMN(); len(p) >= 3 {
		return p[:3] != home[:3]
	}
	seen := false
	for _, s := range k.scans {
		for _, n := range s.value.Networks {
			if len(n.PLMN) >= 3 {
				if n.PLMN[:3] == home[:3] {
					return false
				}
				seen = true
			}
		}
	}
	return seen
}
