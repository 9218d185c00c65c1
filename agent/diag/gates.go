package diag

import "cellwarden/modem/threegpp"

// gates walks the ladder from the port to the service. The lowest gate that
// failed names the layer that is judged; those above it are masked.
func (k *sight) gates() []Gate {
	state := map[Layer]GateState{
		LayerPort: k.portGate(), LayerModem: k.modemGate(), LayerSIM: k.simGate(), LayerRadio: k.radioGate(),
		LayerRegistration: k.registrationGate(), LayerSession: k.sessionGate(),
	}
	state[LayerPath], state[LayerService] = k.pathGates()
	if state[LayerService] == GatePassed && state[LayerSIM] != GateFailed {
		// The own service answers over the data interface: nothing below it can
		// be broken for data, whatever an older line says.
		for _, l := range []Layer{LayerRadio, LayerRegistration, LayerSession, LayerPath} {
			state[l] = GatePassed
		}
	}
	out := make([]Gate, 0, len(Layers))
	masked := false
	for _, l := range Layers {
		s := state[l]
		if masked {
			s = GateMasked
		}
		masked = masked || s == GateFailed
		out = append(out, Gate{Layer: l, State: s})
	}
	return out
}

func (k *Known) portGate() GateState {
	if k.port.ok {
		switch k.port.value.State {
		case "lost", "absent", "garbage":
			return GateFailed
		case "held", "unreadable":
			return GateUnknown
		}
	}
	switch k.silent() {
	case 2:
		return GateFailed
	case 1:
		if k.answered == 0 || k.everSpoke {
			return GateFailed
		}
		return GateUnknown
	}
	if k.everSpoke {
		return GatePassed
	}
	return GateUnknown
}

func (k *Known) modemGate() GateState {
	if k.radioOff() || k.operator.ok && k.operator.value.Mode == 2 && k.registered() != yes {
		return GateFailed
	}
	if k.usbDrops() || k.internal >= internalFailures {
		return GateFailed
	}
	switch n := k.freshRestarts(); {
	case n >= 2, n == 1 && k.sessionUp.ok && !k.sessionUp.value, n == 1 && k.registered() == no && !k.heardSinceRestart():
		return GateFailed
	}
	if k.alarmed() && (k.registered() != yes || k.bootSeen) {
		return GateFailed // what was registered before the start is over
	}
	if k.everSpoke {
		return GatePassed
	}
	return GateUnknown
}

// heardSinceRestart reports whether a level or cell was read after the last restart.
func (k *Known) heardSinceRestart() bool {
	if len(k.restarts) == 0 {
		return true
	}
	last := k.restarts[len(k.restarts)-1]
	return k.signal.ok && k.signal.at.Mono > last.Mono || k.cell.ok && k.cell.at.Mono > last.Mono
}

func (k *Known) simGate() GateState {
	last, _ := k.simNow()
	if k.flips() >= 3 {
		return GateFailed
	}
	switch last.state {
	case threegpp.SIMReady:
		return GatePassed
	case threegpp.SIMUnknown, threegpp.SIMBusy:
		if k.busyLong() {
			return GateFailed
		}
	case threegpp.SIMRefused:
		return GateFailed
	default:
		return GateFailed
	}
	if k.imsiRefused >= 2 {
		return GateFailed
	}
	for _, r := range k.reg {
		if r.value.Stat == threegpp.RegNordicNoUICC {
			return GateFailed
		}
	}
	if k.imsi.ok || k.iccid.ok || k.registered() == yes || k.csRegistered() {
		return GatePassed
	}
	if k.presence.ok && !k.presence.value.Inserted {
		return GateFailed
	}
	return GateUnknown
}

func (k *sight) radioGate() GateState {
	reg := k.registered()
	if k.drop > 0 && !k.serviceWorks() {
		return GateFailed
	}
	if k.imbalance() > 0 && !k.serviceWorks() && k.pathTrouble() {
		return GateFailed
	}
	g := k.grade()
	if (g == threegpp.GradeUnusable || g == threegpp.GradeVeryWeak) && k.unknownRun == 0 && !k.serviceWorks() && k.pathTrouble() {
		return GateFailed
	}
	if k.interference() && !k.serviceWorks() && (k.pathTrouble() || reg == no) {
		return GateFailed
	}
	if reg == yes {
		return GatePassed
	}
	if p, _ := k.homeInScan(); p == no && !k.abroad() {
		return GateFailed
	}
	if l, ok := k.locks["cell"]; ok && l.value.Locked && k.heard() != yes {
		return GateFailed
	}
	switch k.heard() {
	case yes:
		return GatePassed
	case no:
		return GateFailed
	}
	if k.flapSearch() {
		return GateFailed
	}
	return GateUnknown
}

// pathTrouble: probes get no answer, or only now and then. A wrong answer is one.
func (k *sight) pathTrouble() bool { return k.plane.unanswered > 0 }

// serviceWorks: the own service answered last, and not by chance.
func (k *sight) serviceWorks() bool { return k.plane.lastOK("own") == yes && !k.comesAndGoes() }

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

func (k *Known) registrationGate() GateState {
	switch k.registered() {
	case yes:
		return GatePassed
	case no:
		return GateFailed
	}
	for _, r := range k.rejects {
		if r.rej.Cause.Protocol.MobilityProtocol() && k.within(r.at, rejectWindow) {
			return GateFailed
		}
	}
	if k.validity.ok && !k.validity.value.ValidPS {
		return GateFailed
	}
	return GateUnknown
}

func (k *Known) sessionGate() GateState {
	switch k.sessionIsUp() {
	case yes:
		return GatePassed
	case no:
		return GateFailed
	}
	if k.noAddress() {
		return GateFailed
	}
	if _, ok := k.placeholder(); ok {
		return GateFailed
	}
	for _, e := range k.events {
		if e.ev.Text == "NO CARRIER" && k.within(e.at, eventWindow) {
			return GateFailed
		}
	}
	for _, r := range k.rejects {
		if r.rej.Cause.Protocol.SessionProtocol() && k.within(r.at, eventWindow) && informational(r.rej.Cause) == no {
			return GateFailed
		}
	}
	return GateUnknown
}

// informational causes come with a success: ESM 50 to 52 say which address
// family was granted, 36 and 39 are ordinary closes (causes.yaml, +CNEC trap).
func informational(c threegpp.RejectCause) tri {
	switch c.Number {
	case 36, 39, 49, 50, 51, 52, 56:
		return yes
	}
	return no
}

func (k *sight) pathGates() (path, service GateState) {
	path, service = GateUnknown, GateUnknown
	u := k.plane
	third, own := u.lastOK("third_party"), u.lastOK("own")
	switch {
	case u.redirect != nil, u.portal != nil, u.capped != nil && own != yes, third == yes && own == no && k.slowedPlan():
		return GateFailed, GateMasked
	case u.refusedAsFalse():
		return GatePassed, GateFailed
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
