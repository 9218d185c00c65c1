package diag

import (
	"cellwarden/modem/threegpp"
	"strings"
	"time"
)

// informational causes come with a success: ESM 50 to 52 say which address
// family was granted, 36 and 39 are ordinary closes (causes.yaml, +CNEC trap).
func informational(c threegpp.RejectCause) tri {
	switch c.Number {
	case 36, 39, 49, 50, 51, 52, 56:
		return yes
	}
	return no
}

func (k *Known) sessionCauseKnown() bool {
	for _, r := range k.rejects {
		if r.rej.Cause.Protocol.SessionProtocol() && k.within(r.at, rejectWindow) {
			return true
		}
	}
	return false
}

// sessionIsUp says whether a data session stands, by its newest proof.
func (k *Known) sessionIsUp() tri {
	if k.sessionUp.ok {
		return triOf(k.sessionUp.value)
	}
	if k.iface.ok && k.iface.value.Present && !k.iface.value.AddrUnknown && k.iface.value.down() == "" {
		return yes
	}
	any, active := false, false
	for _, c := range k.contexts {
		any = true
		active = active || c.value.Active
	}
	if any && active {
		return yes
	}
	return unknown
}

// judgeSession: does a data session stand, with an address?
func (k *sight) judgeSession(h *hits) GateState {
	if k.hostRules(h) {
		k.hostFails = true
		return GateFailed
	}
	before := len(*h)
	k.sessionRules(h)
	switch k.sessionIsUp() {
	case yes:
		return GatePassed
	case no:
		if len(*h) == before && k.registered() != no {
			h.add("session_down", k.sessionUp.src)
		}
		return GateFailed
	}
	_, template := k.placeholder()
	if template || k.noAddress() || k.lineDropped() != "" || k.sessionRefused() {
		return GateFailed
	}
	return GateUnknown
}

// hostRules judge the host's end of the session: the data interface that a dialer
// brings up. It reports whether that is what fails: where the network refused or
// closed the session, an interface without address only follows.
func (k *sight) hostRules(h *hits) bool {
	if !k.iface.ok || k.registered() == no {
		return false
	}
	i, state := k.iface.value, k.iface.value.down()
	name := firstOf(i.Name, "?")
	session := k.modemSession()
	switch {
	case state == "":
		h.add("iface_works", k.iface.src, name)
		return false
	case session == no || k.sessionRefused() || k.plainRefusals() > 0:
		return false
	case session == yes && state == "down":
		h.add("iface_down", k.iface.src, name)
	case session == yes && state == "gone":
		h.add("iface_gone", k.iface.src, name)
	case session == yes && state == "no_address":
		h.add("iface_no_address", k.iface.src, name)
	case state == "no_route" && !k.pathProof():
		h.add("iface_no_route", k.iface.src, name)
	case state != "no_route" && k.registered() == yes:
		h.add("iface_down_ready", k.iface.src, name)
	default:
		return false
	}
	return true
}

// modemSession says whether a session stands by the modem's word alone.
func (k *Known) modemSession() tri {
	if k.sessionUp.ok {
		return triOf(k.sessionUp.value)
	}
	for _, c := range k.contexts {
		if c.value.Active {
			return yes
		}
	}
	return unknown
}

// sessionRefused: the network refused a session of late, with a cause that means it.
func (k *Known) sessionRefused() bool {
	for _, r := range k.rejects {
		if r.rej.Cause.Protocol.SessionProtocol() && k.within(r.at, eventWindow) && informational(r.rej.Cause) == no {
			return true
		}
	}
	return false
}

// lineDropped is where a dialled line was seen to drop of late, "" where it was not.
func (k *Known) lineDropped() string {
	for _, e := range k.events {
		if e.ev.Text == "NO CARRIER" && k.within(e.at, eventWindow) {
			return e.src
		}
	}
	return ""
}

// askSession is what would decide about the session.
func (k *sight) askSession(q *question) string {
	switch {
	case q.first == Congestion:
		return "decide.after_backoff"
	case q.first == AuthConfig:
		return "decide.credentials"
	case q.among[APNConfig] && !k.sessionCauseKnown():
		return "decide.esm_cause"
	case q.among[APNConfig]:
		return "decide.apn"
	case k.sessionCauseKnown():
		return "decide.platform"
	}
	return "decide.next_activation"
}

func (k *sight) sessionRules(h *hits) {
	k.subscriptionPCO(h)
	if c, ok := k.placeholder(); ok && k.registered() != yes && k.sessionIsUp() != yes {
		h.add("apn_placeholder", c.src, c.value.APN)
	}
	if k.backoff.ok && k.backoff.value.Seconds > 0 && k.within(k.backoff.at, eventWindow) {
		h.add("backoff_running", k.backoff.src, k.backoff.value.Seconds)
	}
	up := k.sessionIsUp()
	if up == yes {
		h.add("session_up", firstOf(k.sessionUp.src, k.iface.src, "at"))
		return
	}
	closed, detached, closedBy := false, false, ""
	for _, e := range k.events {
		if !k.within(e.at, eventWindow) {
			continue
		}
		switch {
		case e.ev.By == "NW" && e.ev.Event == "DETACH":
			detached = true
		case e.ev.By == "NW" && strings.HasSuffix(e.ev.Event, "DEACT"):
			closed, closedBy = true, e.src
		case e.ev.By == "" && strings.HasSuffix(e.ev.Event, "DEACT"):
			closed, closedBy = true, e.src
		}
	}
	if r, src, ok := k.dataReg(); ok && detached && r.Stat == threegpp.RegDenied {
		h.add("detached_then_denied", src)
	}
	if k.registered() == no && !k.sessionCauseKnown() {
		return // not registered: no session is a consequence
	}
	if last, _ := k.simNow(); lost(last.state) || lockState(last.state) {
		return
	}
	suType := k.sessionCauses(h)
	plain := k.plainRefusals()
	switch {
	case closed && suType:
		h.add("session_closed_refused", closedBy)
	case plain > 0 && !k.sessionCauseKnown():
		h.add("session_refused_plain", "at")
	case closed && k.registered() == yes:
		h.add("session_closed", closedBy)
	case k.noAddress() && !k.sessionCauseKnown():
		h.add("no_address", "at")
	}
	if src := k.lineDropped(); src != "" {
		h.add("line_dropped", src)
	}
}

// noAddress: registered on LTE, where registration comes with a session, and
// the contexts that were read hold neither a session nor an address.
func (k *Known) noAddress() bool {
	r, ok := k.reg[threegpp.EPS]
	if !ok || !r.value.Stat.Registered() || len(k.contexts) == 0 || k.iface.ok && threegpp.UsableAddress(k.iface.value.Addr) {
		return false
	}
	for _, c := range k.contexts {
		if c.value.Active || c.at.Mono < r.at.Mono-contextApart {
			return false
		}
	}
	return true
}

// contextApart: a context read this long before the registration is of another time.
const contextApart = time.Minute

func (k *Known) plainRefusals() int {
	n := 0
	for _, r := range k.refusals {
		if k.within(r.at, eventWindow) {
			n++
		}
	}
	return n
}

// sessionCauses reads the session rejects that still stand; it reports whether
// one of them is the kind that a stopped subscription gets.
func (k *Known) sessionCauses(h *hits) bool {
	su := false
	changed, auth := k.apnChanged(), k.authChanged()
	for _, r := range k.rejects {
		c := r.rej.Cause
		if !c.Protocol.SessionProtocol() || !k.within(r.at, rejectWindow) || k.sessionUp.ok && k.sessionUp.value && k.sessionUp.at.Mono >= r.at.Mono {
			continue
		}
		words := causeWords(c)
		switch c.Number {
		case 8:
			h.add("session_barred", r.src, words)
			su = true
		case 33, 32:
			switch changed {
			case yes:
				h.add("session_not_subscribed_new_apn", r.src, words)
			case no:
				h.add("session_not_subscribed", r.src, words)
				su = true
			default:
				h.add("session_not_subscribed_unknown", r.src, words)
				su = true
			}
		case 27:
			switch changed {
			case yes:
				h.add("session_apn_changed", r.src, words)
			case no:
				h.add("session_apn_same", r.src, words)
			default:
				h.add("session_apn", r.src, words)
			}
		case 29:
			switch {
			case auth == yes:
				h.add("session_auth_changed", r.src, words)
			case changed == no && auth == no || changed == no && k.lastGood.ok && k.authOld == "":
				h.add("session_auth_same", r.src, words) // a password as well as a stop, so no sign of one
			default:
				h.add("session_auth", r.src, words)
			}
		case 30:
			h.add("session_gateway", r.src, words)
		case 31, 111, 95, 96, 97, 98, 99:
			h.add("session_unspecified", r.src, words)
		case 26:
			h.add("session_resources", r.src, words)
		case 34, 38:
			h.add("session_out_of_order", r.src, words)
		case 28, 50, 51, 52, 57, 58, 61, 66, 59, 60:
			h.add("session_pdn_type", r.src, words)
		}
	}
	return su
}

func (k *Known) subscriptionPCO(h *hits) {
	if !k.pco.ok {
		return
	}
	switch k.pco.value.State {
	case "out_of_data":
		h.add("pco_out_of_data", k.pco.src)
	case "unprovisioned":
		h.add("pco_unprovisioned", k.pco.src)
	}
}

// apnMarks are what people put between the words of a placeholder.
var apnMarks = strings.NewReplacer("-", "", "_", "", ".", "", " ", "", "<", "", ">", "")

// placeholder is the first context whose APN is nobody's.
func (k *Known) placeholder() (found stamped[threegpp.ContextConfig], ok bool) {
	first := 0
	for cid, c := range k.configs {
		if placeholderAPN(c.value.APN) && (!ok || cid < first) {
			found, first, ok = c, cid, true
		}
	}
	return found, ok
}

// placeholderAPN knows names that only a template has.
func placeholderAPN(apn string) bool {
	a := strings.ToLower(apnMarks.Replace(apn))
	switch a {
	case "yourapn", "myapn", "apn", "apnname", "apnhere", "insertapn", "changeme", "setapn", "enterapn", "internetapn", "yourapnhere", "apnexample", "exampleapn", "testapn", "none", "xxx", "xxxx":
		return true
	}
	return false
}

func (k *Known) apnNow() string {
	if k.settings.ok && k.settings.value.APN != "" {
		return k.settings.value.APN
	}
	if c, ok := k.configs[1]; ok {
		return c.value.APN
	}
	return ""
}

// apnChanged compares the APN with the one that worked last.
func (k *Known) apnChanged() tri {
	if k.apnOld != "" {
		return yes
	}
	now, last := k.apnNow(), k.lastGood.value.APN
	if k.iccidChanged() == yes {
		return unknown // another card may want another name
	}
	if c := k.configs[1]; now == "" && c.ok && last != "" {
		return yes // it was read, and is blank
	}
	if now == "" || last == "" {
		return unknown
	}
	return triOf(!strings.EqualFold(now, last))
}

func (k *Known) authChanged() tri {
	if k.authOld != "" && k.authOld != k.authNew {
		return yes
	}
	return unknown
}
