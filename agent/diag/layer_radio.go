package diag

import (
	"cellwarden/modem/threegpp"
	"math"
)

// stepDrop looks for a fall of at least 15 dB on one cell that stays
// (causes.yaml antenna_heuristics step_drop), in the live levels and in the
// history the agent keeps.
func (k *Known) stepDrop() float64 {
	best := 0.0
	series := func(v []float64) {
		for i := 1; i < len(v); i++ {
			if v[i-1]-v[i] < 8 {
				continue // no edge here; a step has at least half its height in one reading
			}
			before, after := median(v[max(0, i-4):i]), median(v[i:])
			low := true
			for _, x := range v[i:] {
				low = low && before-x >= 12
			}
			if low && before-after >= 15 && before-after > best && len(v[i:]) >= 2 {
				best = before - after
			}
		}
	}
	var same []float64
	for i, l := range k.levels {
		if i > 0 && l.cell != k.levels[i-1].cell {
			same = same[:0]
		}
		same = append(same, l.rsrp)
	}
	series(same)
	series(k.history.value.RSRP)
	return best
}

// farBelow is how far the level lies under that of the last good time, 0 where
// that is less than 20 dB or not known. It may be another cell, and nobody saw
// it fall: less than a step.
func (k *Known) farBelow() float64 {
	lg, now := k.lastGood.value.RSRP, k.signal.value.RSRP
	if lg == nil || now == nil || !k.within(k.signal.at, levelWindow) || *lg-*now < 20 {
		return 0
	}
	return *lg - *now
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := append([]float64(nil), v...)
	for i := 1; i < len(s); i++ {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s[len(s)/2]
}

// interference: a good level with a bad quality, where quality is known in dB.
func (k *Known) interference() bool {
	s := k.signal.value
	return k.signal.ok && s.RSRP != nil && *s.RSRP >= -100 && (s.SINR != nil && *s.SINR <= -3 || s.RSRQ != nil && *s.RSRQ <= -18)
}

// judgeRadio: is a usable cell heard? Each fact that fails the layer is said where
// it is found.
func (k *sight) judgeRadio(h *hits) GateState {
	src := firstOf(k.signal.src, k.history.src)
	g := k.grade()
	fresh := k.signal.ok && k.within(k.signal.at, levelWindow) && k.unknownRun == 0
	switch {
	case !fresh || k.drop > 0 || k.imbalance() > 0: // of these the low level is a consequence
	case k.interference():
		h.add("interference", src, levelWords(k.signal.value))
	case k.wellHeard():
		if k.cell.value.State != threegpp.CampNoService && k.cell.value.State != threegpp.CampSearching {
			h.add("signal_good", src, string(g), levelWords(k.signal.value))
		}
	case k.cell.value.State == threegpp.CampLimited && g != threegpp.GradeUnusable:
		// Strong enough to camp on: the level is not what keeps it out.
	case g == threegpp.GradeWeak:
		h.add("signal_weak", src, levelWords(k.signal.value))
	case g == threegpp.GradeVeryWeak || g == threegpp.GradeUnusable:
		h.add("signal_unusable", src, levelWords(k.signal.value))
	}
	if d := k.drop; d > 0 {
		h.add("step_drop", src, fnum(d))
	} else if hist := k.history.value.RSRP; len(hist) >= 3 && median(hist) <= -115 {
		h.add("long_weak", "history")
	}
	if d := k.imbalance(); d > 0 {
		h.add("port_imbalance", k.portsFrom, fnum(d))
	}
	reg := k.registered()
	if k.unknownRun > 0 && reg != yes {
		h.add("signal_unknown", k.unknownFrom)
	}
	switch k.cell.value.State {
	case threegpp.CampLimited:
		if k.visited(k.cell.value.PLMN) == yes {
			h.add("limited_elsewhere", k.cell.src)
		} else {
			h.add("limited", k.cell.src)
		}
	case threegpp.CampSearching, threegpp.CampNoService:
		if reg != yes {
			h.add("searching", k.cell.src)
		}
	}
	if k.service.ok && k.cell.value.State == threegpp.CampUnknown {
		switch k.service.value.Service {
		case threegpp.CampLimited:
			if k.visited(k.servingPLMN()) == yes {
				h.add("limited_elsewhere", k.service.src)
			} else {
				h.add("limited", k.service.src)
			}
		case threegpp.CampNoService, threegpp.CampSearching:
			if reg != yes {
				h.add("searching", k.service.src)
			}
		}
	}
	if k.flapSearch() {
		h.add("flapping_search", k.regReads[len(k.regReads)-1].src)
	}
	if len(k.scans) > 0 {
		present, forbidden := k.homeInScan()
		scan := k.scans[len(k.scans)-1]
		switch {
		case len(scan.value.Networks) == 0:
			h.add("scan_empty", scan.src)
		case present == yes && !forbidden:
			h.add("home_heard", scan.src)
		case allForbidden(scan.value.Networks) && k.abroad():
			h.add("scan_all_forbidden", scan.src)
		case present == no && !k.abroad():
			h.add("home_not_heard", scan.src)
		}
	}
	for _, name := range []string{"cell", "band", "rat", "plmn"} {
		l, ok := k.locks[name]
		if !ok || !l.value.Locked {
			continue
		}
		finds := k.heard()
		switch {
		case name == "cell" && reg != yes && finds != yes:
			h.add("locked_and_searching", l.src, l.value.Detail)
		case (name == "rat" || name == "band") && reg == no && finds == no && len(k.scans) == 0:
			h.add("locked_and_deaf", l.src, l.value.Detail)
		case reg != yes:
			h.add("lock_set", l.src, l.value.Detail)
		}
	}
	return k.radioState(g, reg)
}

// radioState says how the layer stands, by the same measures that the rules above
// name. A level or an imbalance alone fails nothing while packets pass.
func (k *sight) radioState(g threegpp.SignalGrade, reg tri) GateState {
	works, trouble := k.serviceWorks(), k.pathTrouble()
	bad := (g == threegpp.GradeUnusable || g == threegpp.GradeVeryWeak) && k.unknownRun == 0
	switch {
	case !works && (k.drop > 0 || trouble && (k.imbalance() > 0 || bad)),
		!works && k.interference() && (trouble || reg == no):
		return GateFailed
	case reg == yes:
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

// askRadio is what would decide about the radio.
func (k *sight) askRadio(q *question) string {
	if q.among[NoCoverage] && q.among[AntennaFault] || q.among[WeakSignal] {
		return "decide.antenna_or_cell"
	}
	return "decide.scan"
}

// imbalance is by how much the antenna ports differ, 0 below the 12 dB of
// causes.yaml port_imbalance.
func (k *Known) imbalance() float64 {
	a, ok := k.portLevels["main"]
	b, ok2 := k.portLevels["diversity"]
	if d := math.Abs(a - b); ok && ok2 && d >= 12 {
		return d
	}
	return 0
}

func allForbidden(nets []threegpp.ScanEntry) bool {
	for _, n := range nets {
		if n.Stat != 3 {
			return false
		}
	}
	return len(nets) > 0
}

// flapSearch sees a registration that goes searching, gives up and starts
// again, with nothing heard in between (field-notes: 2/0/2/0).
func (k *Known) flapSearch() bool {
	n, last := 0, threegpp.RegUnknownStat
	for _, r := range k.regReads {
		s := r.reg.Stat
		if s != threegpp.RegSearching && s != threegpp.RegIdle {
			return false
		}
		if last != threegpp.RegUnknownStat && s != last {
			n++
		}
		last = s
	}
	return n >= 3
}

// wellHeard reports whether the level is known to be good enough to work with.
func (k *Known) wellHeard() bool {
	switch k.grade() {
	case threegpp.GradeExcellent, threegpp.GradeGood, threegpp.GradeFair:
		return k.unknownRun == 0 && k.within(k.signal.at, levelWindow)
	}
	return false
}

// grade is the signal's grade, "" when no level is known.
func (k *Known) grade() threegpp.SignalGrade {
	if !k.signal.ok {
		return ""
	}
	return threegpp.Grade(k.signal.value)
}

// heard says whether any usable cell is heard. A +CSQ beside NO SERVICE may be stale.
func (k *Known) heard() tri {
	switch k.cell.value.State {
	case threegpp.CampLimited, threegpp.CampIdle, threegpp.CampConnected, threegpp.CampOnline:
		return yes
	case threegpp.CampSearching:
		return no
	case threegpp.CampNoService:
		if !k.scanHeard() {
			return no
		}
	}
	if r, _, ok := k.dataReg(); ok && (r.Stat == threegpp.RegDenied || r.Stat == threegpp.RegEmergency || r.Stat.Registered()) {
		return yes
	}
	if k.csRegistered() {
		return yes
	}
	for _, r := range k.rejects {
		if r.rej.Cause.Protocol.MobilityProtocol() && k.within(r.at, eventWindow) {
			return yes
		}
	}
	if k.service.ok {
		switch k.service.value.Service {
		case threegpp.CampLimited, threegpp.CampOnline:
			return yes
		case threegpp.CampNoService, threegpp.CampSearching:
			return no
		}
	}
	if g := k.grade(); g != "" && g != threegpp.GradeUnknown && k.unknownRun == 0 && k.within(k.signal.at, levelWindow) {
		if g == threegpp.GradeUnusable {
			return no
		}
		return yes
	}
	if k.unknownRun > 0 {
		return no
	}
	return unknown
}

func (k *Known) scanHeard() bool {
	for _, s := range k.scans {
		if len(s.value.Networks) > 0 {
			return true
		}
	}
	return false
}

// homeInScan says whether the newest scan lists the card's operator, and
// whether it lists it as forbidden.
func (k *Known) homeInScan() (present tri, forbidden bool) {
	if len(k.scans) == 0 {
		return unknown, false
	}
	home := k.usualPLMN()
	nets := k.scans[len(k.scans)-1].value.Networks
	if len(nets) == 0 {
		return no, false
	}
	if home == "" {
		return unknown, false
	}
	for _, n := range nets {
		if threegpp.SameOperator(home, n.PLMN) {
			return yes, n.Stat == 3
		}
	}
	return no, false
}

// levelWords names the level that the grade rests on.
func levelWords(s threegpp.Signal) string {
	switch {
	case s.RSRP != nil:
		w := "RSRP " + fnum(*s.RSRP) + " dBm"
		if s.SINR != nil {
			w += ", SINR " + fnum(*s.SINR) + " dB"
		}
		return w
	case s.RSSI != nil:
		return "RSSI " + fnum(*s.RSSI) + " dBm"
	}
	return "?"
}
