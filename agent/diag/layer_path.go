package diag

import (
	"cellwarden/agent/carrier"
	"cellwarden/modem/threegpp"
)

func (k *sight) pathGates() (path, service GateState) {
	path, service = GateUnknown, GateUnknown
	u := k.plane
	third, own := u.lastOK("third_party"), u.ownOK()
	switch {
	case u.redirect != nil, u.portal != nil, u.capped != nil && own != yes, third == yes && own == no && k.slowedPlan():
		return GateFailed, GateMasked
	case u.refusedAsFalse(), own == no && u.loginRefused:
		return GatePassed, GateFailed
	case third == yes && own == no && u.namesDead && !u.answered("own"):
		return GateFailed, GateMasked
	case third == yes && own == no && u.largeStall:
		return GateFailed, GateMasked
	case own == yes && k.comesAndGoes():
		return GateFailed, GateMasked
	case own == yes:
		return GatePassed, GatePassed
	case third == yes && own == no:
		return GatePassed, GateFailed
	case third == yes:
		return GatePassed, GateUnknown
	case own == no && third == unknown && (u.carrierOK || !u.tested["carrier"]):
		return GateUnknown, GateFailed
	case third == no || own == no || u.tested["carrier"] && !u.carrierOK:
		return GateFailed, GateMasked
	}
	pingOK, bad, dns, _ := k.moduleProbes()
	for _, p := range k.modProbe {
		if p.value.Result == "tls_error" && k.within(p.at, probeWindow) {
			return GatePassed, GateFailed
		}
	}
	if _, closed := k.serviceClosed(); closed {
		return GatePassed, GateFailed
	}
	switch {
	case bad != "" && !pingOK && !dns:
		return GateFailed, GateMasked
	case pingOK || dns:
		path = GatePassed
	}
	lostUDP := 0
	for _, p := range k.modProbe {
		if p.value.Probe == "udp" && !p.value.OK {
			lostUDP++
		}
	}
	if _, failed := k.connectFailed(); failed || lostUDP >= 2 {
		service = GateFailed
	}
	if tx, rx, ok := k.countersMoved(); ok && tx > 1000 && rx == 0 && !pingOK {
		path = GateFailed
	}
	if t := k.traffic; t.ok && t.value.TxBytes > 1000 && t.value.RxBytes == 0 && k.within(t.at, probeWindow) {
		path = GateFailed
	}
	return path, service
}

// pathTrouble: probes get no answer, or only now and then. A wrong answer is one.
func (k *sight) pathTrouble() bool { return k.plane.unanswered > 0 || k.pingsLost() }

// serviceWorks: the own service answered last, and not by chance.
func (k *sight) serviceWorks() bool { return k.plane.ownOK() == yes && !k.comesAndGoes() }

// A line on which a third of what is asked is lost, both ways and in turns, does
// not work because its last try did.
const lostShare = 3

// comesAndGoes: answers and losses in turns over a level that explains them.
func (k *sight) comesAndGoes() bool {
	u := k.plane
	ok, bad := 0, 0
	for target, n := range u.ok {
		ok += n
		bad += u.bad[target]
	}
	for target, n := range u.bad {
		if _, counted := u.ok[target]; !counted {
			bad += n
		}
	}
	g := k.grade()
	explained := g == threegpp.GradeUnusable || g == threegpp.GradeVeryWeak || k.interference()
	return explained && k.unknownRun == 0 && k.within(k.signal.at, levelWindow) && u.flips >= 2 && lostShare*bad >= ok+bad
}

// judgePath: do packets pass? It works out the service above it in the same look,
// since the same probes tell of both.
func (k *sight) judgePath(h *hits) GateState {
	k.pathRules(h)
	path, service := k.pathGates()
	k.service0 = service
	return path
}

// judgeService: does the own service answer?
func (k *sight) judgeService(*hits) GateState { return k.service0 }

// askPath is what would decide about the path.
func (k *sight) askPath(q *question) string {
	if q.among[CloudUnreachable] {
		return "decide.second_host"
	}
	if q.stop() {
		return "decide.next_activation"
	}
	return "decide.probes"
}

// askService is what would decide about the service.
func (k *sight) askService(*question) string { return "decide.second_host" }

func (k *sight) pathRules(h *hits) {
	if up := k.sessionIsUp(); (k.registered() == no && up != yes || up == no) && !k.pathProof() {
		return // without a session nothing can pass: that is no news of its own
	}
	if k.hostFails && !k.pathProof() {
		return // what never left this host met no silence
	}
	u := k.plane
	third, own := u.lastOK("third_party"), u.ownOK()
	pingOK, modemBad, dns, times := k.moduleProbes()
	switch {
	case u.capped != nil && own != yes:
		h.add("throttled", "probe:"+u.capped.Probe, u.capped.Detail)
	case u.redirect != nil:
		h.add("portal", "probe:"+u.redirect.Probe, firstOf(u.redirect.Detail, u.redirect.Target))
		h.add("portal_member", "probe:"+u.redirect.Probe)
	case u.portal != nil:
		h.add("portal", "probe:tls", firstOf(u.portal.Detail, "third_party"))
		h.add("portal_member", "probe:tls")
	case u.clock != nil && u.refusedAsFalse():
		h.add("clock_tls", "probe:tls", firstOf(u.clock.Detail, u.clock.Target))
	case own == yes && u.badCert == nil && u.bad["own"] <= u.ok["own"] && !k.comesAndGoes():
		h.add("service_ok", "probe:own")
		if third == yes {
			h.add("path_ok", "probe:third_party")
		}
	case u.flips >= 2 && u.ok["third_party"]+u.ok["carrier"] > 0 && u.bad["third_party"]+u.bad["carrier"] > 0:
		h.add("mixed", "probe")
	case u.badCert != nil:
		h.add("own_bad_cert", "probe:tls")
		if third == yes {
			h.add("own_dead", "probe:own")
		}
	case third == yes && own == no && u.loginRefused:
		h.add("own_login_refused", "probe:broker")
		h.add("path_ok", "probe:third_party")
	case own == no && u.loginRefused:
		h.add("own_login_refused", "probe:broker")
	case third == yes && own == no && u.namesDead && !u.answered("own"):
		h.add("carrier_names_dead", "probe:dns")
	case third == yes && own == no && k.slowedPlan() && !u.answered("own"):
		h.add("slow_or_dead", "probe:own")
	case third == yes && own == no && u.largeStall:
		h.add("large_stall", "probe:tls")
	case third == yes && own == no && u.slowConnects:
		h.add("own_dead_slow", "probe:own")
		h.add("path_ok", "probe:third_party")
	case third == yes && own == no:
		h.add("own_dead", "probe:own")
		h.add("path_ok", "probe:third_party")
	case third == yes:
		h.add("path_ok", "probe:third_party")
	case own == no && third != no && u.answered("own"):
		h.add("own_refused", "probe:own", u.last["own"].Result)
	case own == no && third == unknown && u.carrierOK && u.tested["carrier"]:
		h.add("own_dead_alone", "probe:own")
	case own == no && third == unknown && !u.tested["carrier"] && pingOK:
		h.add("own_dead_ping", "probe:own")
	case own == no && third == unknown && !u.tested["carrier"]:
		h.add("own_dead_alone", "probe:own")
	case third == no && u.tested["carrier"] && u.carrierOK:
		h.add("dns_only", "probe:dns")
	case third == no && own != yes || third == unknown && own != yes && u.tested["carrier"] && !u.carrierOK:
		if u.bad["third_party"]+u.bad["carrier"] >= silentRounds {
			h.add("all_silent_long", "probe", u.bad["third_party"]+u.bad["carrier"]+u.bad["own"])
		} else {
			h.add("all_silent", "probe")
		}
	}
	if t := k.traffic; t.ok && t.value.TxBytes > 1000 && t.value.RxBytes == 0 && k.within(t.at, probeWindow) && own != yes && third != yes {
		h.add("sent_nothing_back", "counters", t.value.TxBytes)
	} else if a, b, ok := k.countersMoved(); ok && a > 1000 && b == 0 && own != yes && third != yes {
		h.add("sent_nothing_back", "at:counters", a)
	}
	if modemBad != "" && !pingOK && !dns {
		if times >= 3 {
			h.add("module_probe_failed_often", "at", modemBad, times)
		} else {
			h.add("module_probe_failed", "at", modemBad)
		}
	}
	k.moduleService(h, pingOK)
}

// slowedPlan: the plan is slowed down when used up, and it is used up; or the
// operator wrote so.
func (k *Known) slowedPlan() bool {
	p := k.plan.value.Plan
	told, _ := k.lastWord()
	return p.OnExhaust == "throttle" && k.usedPercent() >= usedUpPercent || told == carrier.Slow
}

// silentRounds failed probes of others make three rounds: beyond a passing hole.
const silentRounds = 6

// pathProof reports whether a probe was answered recently: then packets do
// pass, whatever the registration line says.
func (k *sight) pathProof() bool {
	u := k.plane
	return u.ok["own"]+u.ok["third_party"] > 0
}

// moduleProbes sums tests run by the module's own IP stack: whether one to an
// ordinary host worked, the name of one that failed and how often, whether DNS
// worked.
func (k *Known) moduleProbes() (ok bool, bad string, dns bool, times int) {
	for _, p := range k.modProbe {
		if !k.within(p.at, probeWindow) {
			continue
		}
		switch p.value.Probe {
		case "ping":
			if p.value.OK {
				ok = true
			} else {
				bad, times = "ping", times+1
			}
		case "dhcp":
			if !p.value.OK {
				bad, times = "DHCP", times+1
			}
		case "dns":
			if p.value.OK {
				dns = true
			} else {
				bad, times = "DNS", times+1
			}
		}
	}
	return ok, bad, dns, times
}

// moduleService reads tests of one service by the module's own stack.
func (k *Known) moduleService(h *hits, pingOK bool) {
	lostUDP := 0
	for _, p := range k.modProbe {
		if !k.within(p.at, probeWindow) {
			continue
		}
		v := p.value
		switch {
		case v.Result == "tls_error":
			h.add("tls_failed", p.src, firstOf(v.Detail, v.Probe))
		case v.Probe == "udp" && !v.OK:
			lostUDP++
		}
	}
	if src, closed := k.serviceClosed(); closed {
		h.add("service_closed", src)
	}
	if r, failed := k.connectFailed(); failed {
		switch {
		case pingOK && (r == "refused" || r == "timeout"):
			h.add("connect_failed_ping", "at", r)
		default:
			h.add("connect_failed", "at", r)
		}
	}
	if lostUDP >= 2 && !pingOK {
		h.add("datagrams_lost", "at")
	}
}

// connectFailed: the newest connection that the module's own stack tried did not
// come about, and how. What failed in TLS or was closed is told by itself.
func (k *Known) connectFailed() (result string, failed bool) {
	for _, p := range k.modProbe {
		switch v := p.value; {
		case !k.within(p.at, probeWindow):
		case v.Probe == "tcp" || v.Probe == "mqtt" || v.Probe == "http":
			result, failed = v.Result, !v.OK && v.Result != "tls_error"
		}
	}
	if _, closed := k.serviceClosed(); closed {
		return "", false
	}
	if k.opening > openingPatience {
		return "no result", true
	}
	return result, failed
}

// openingPatience is after how many further answers a connection whose result has
// not come is taken for one that will not.
const openingPatience = 2

// pingsLost: of the module's own pings of late at least half were lost, two or more.
func (k *Known) pingsLost() bool {
	sent, bad := 0, 0
	for _, p := range k.modProbe {
		if p.value.Probe == "ping" && k.within(p.at, probeWindow) {
			sent++
			if !p.value.OK {
				bad++
			}
		}
	}
	return bad >= 2 && 2*bad >= sent
}

// serviceClosed: the module had a connection and the far end closed it, the
// newest word of its own IP stack.
func (k *Known) serviceClosed() (src string, closed bool) {
	had := false
	for _, p := range k.modProbe {
		if v := p.value; k.within(p.at, probeWindow) && (v.Probe == "tcp" || v.Probe == "mqtt") {
			closed = had && v.Result == "refused"
			had = v.OK || had && !closed
			src = p.src
		}
	}
	return src, closed
}

// countersMoved is the growth of the module's own byte counters over its last two readings.
func (k *Known) countersMoved() (tx, rx uint64, ok bool) {
	if len(k.counters) < 2 {
		return 0, 0, false
	}
	a, b := k.counters[len(k.counters)-2].value, k.counters[len(k.counters)-1].value
	if b.TxBytes < a.TxBytes || b.RxBytes < a.RxBytes {
		return 0, 0, false
	}
	return b.TxBytes - a.TxBytes, b.RxBytes - a.RxBytes, true
}
