package diag

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"cellwarden/agent/carrier"
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// A hit is one rule that applies, with the words' arguments and where the fact
// came from.
type hit struct {
	rule, source string
	args         []string
}

type hits []hit

func (h *hits) add(rule, source string, args ...any) {
	s := make([]string, len(args))
	for i, a := range args {
		s[i] = fmt.Sprint(a)
	}
	*h = append(*h, hit{rule, source, s})
}

// collect runs every rule over what is known. The order is that of the layers,
// so that a trace reads from the port upwards.
func (k *sight) collect() hits {
	var h hits
	k.hostRules(&h)
	k.simRules(&h)
	k.radioRules(&h)
	k.registrationRules(&h)
	k.sessionRules(&h)
	k.pathRules(&h)
	k.messageRules(&h)
	k.planRules(&h)
	k.platformRules(&h)
	k.neighbourRules(&h)
	k.changeRules(&h)
	return h
}

// silent says how far the port's silence goes: 0 none, 1 one unanswered
// command at the end, 2 beyond doubt.
func (k *Known) silent() int {
	if k.asleep() {
		return 0
	}
	if k.port.ok && k.port.value.State == "silent" && k.port.at.Mono >= k.silentAt.Mono {
		return 2
	}
	switch {
	case k.silentRun == 0 || !k.within(k.silentAt, silenceWindow):
		return 0
	case k.silentFast >= 2:
		return 2
	case k.silentFast >= 1:
		return 1
	}
	return 0
}

// asleep: the network granted power saving and the periodic update is not yet
// due, so a modem that answers nothing may just sleep (TS 24.008 §4.7.2.8).
func (k *Known) asleep() bool {
	r, ok := k.reg[threegpp.EPS]
	v := r.value
	if !ok || !v.Stat.Registered() || v.ActiveTimeS < 0 || v.PeriodicTAUS <= 0 {
		return false
	}
	return k.within(r.at, time.Duration(v.PeriodicTAUS)*time.Second*11/10)
}

func (k *Known) freshRestarts() int {
	n := 0
	for _, r := range k.restarts {
		if k.within(r, restartWindow) {
			n++
		}
	}
	return n
}

// switchedOff: a functionality with transmitter, receiver or both off (TS 27.007
// §8.2: 0, 2, 3, 4), or 7, the offline mode of Qualcomm and Huawei.
func (k *Known) switchedOff() bool {
	if !k.cfun.ok {
		return false
	}
	switch k.cfun.value.Level {
	case 0, 2, 3, 4, 7:
		return true
	}
	return false
}

func (k *Known) radioOff() bool {
	if k.switchedOff() {
		return true
	}
	return k.cell.ok && k.cell.value.State == threegpp.CampLowPower && !(k.cfun.ok && k.cfun.value.Level == 1 && k.cfun.at.Mono > k.cell.at.Mono)
}

func (k *Known) hostRules(h *hits) {
	switch {
	case k.unseen():
		h.add("port_never_seen", k.port.src, k.port.value.Detail)
	case k.port.ok && (k.port.value.State == "lost" || k.port.value.State == "absent"):
		h.add("port_lost", k.port.src, k.port.value.Detail)
	case k.port.ok && k.port.value.State == "garbage":
		h.add("port_garbage", k.port.src)
	case k.silent() == 2:
		h.add("port_silent", "at", max(k.silentRun, 2))
	case k.silent() == 1:
		h.add("port_silent_once", "at", k.silentCmd)
	case k.internal >= internalFailures:
		h.add("cme_internal", "at", k.internal)
	case k.answered > 0 && k.freshRestarts() == 0 && !k.usbDrops() && !k.alarmed():
		h.add("modem_answers", "at")
	}
	if k.usbDrops() {
		h.add("usb_drops", "usb", *k.history.value.USBDrops10Min)
	}
	switch n := k.freshRestarts(); {
	case n >= 2:
		h.add("restarts", "urc", n)
	case n == 1 && k.sessionUp.ok && !k.sessionUp.value:
		h.add("restart_then_failed", "urc")
	case n == 1:
		h.add("restart_once", "urc")
	}
	if k.alarmed() {
		h.add("power_alarm", k.alarm.src, k.alarm.value.Alarm)
	}
	if k.switchedOff() {
		h.add("radio_off", k.cfun.src, k.cfun.value.Level)
	} else if k.radioOff() {
		h.add("radio_low_power", k.cell.src)
	}
	if k.operator.ok && k.operator.value.Mode == 2 {
		h.add("deregistered_by_command", k.operator.src)
	}
}

func (k *Known) usbDrops() bool {
	d := k.history.value.USBDrops10Min
	return d != nil && *d >= 3
}

// internalFailures answers of "phone failure" in a row are not about a question.
const internalFailures = 3

// alarmed: the module warned of its supply or temperature of late.
func (k *Known) alarmed() bool { return k.alarm.ok && k.within(k.alarm.at, eventWindow) }

func (k *Known) simRules(h *hits) {
	last, n := k.simNow()
	flips := k.flips()
	if flips >= 3 {
		h.add("sim_flips", "at:+CPIN", flips)
	}
	pinEmpty := k.presence.ok && !k.presence.value.Inserted
	pinTrusted := k.presence.ok && k.presence.value.Detect != nil && *k.presence.value.Detect || k.detect.ok && k.detect.value.Enabled
	pinFresh := k.presence.ok && k.presence.at.Mono >= k.lostSince().Mono // an older reading is of another time
	switch last.state {
	case threegpp.SIMReady:
		if flips < 3 {
			h.add("sim_ready", last.src)
		}
		if k.sawLock() {
			h.add("sim_unlocked_again", last.src)
		}
	case threegpp.SIMRemoved:
		h.add("sim_removed", last.src)
	case threegpp.SIMAbsent:
		switch {
		case pinFresh && k.presence.value.Inserted && pinTrusted:
			h.add("sim_pin_contradicts", k.presence.src)
		case pinEmpty && pinFresh && pinTrusted && k.absentByPin():
			h.add("sim_pin_empty", k.presence.src)
		case n >= 3:
			h.add("sim_absent_steady", last.src, n, last.text)
		case k.sawRemoved():
			h.add("sim_removed", last.src)
		default:
			h.add("sim_absent_once", last.src, last.text)
		}
	case threegpp.SIMFailure:
		h.add("sim_failure", last.src, last.text)
	case threegpp.SIMWrong:
		h.add("sim_wrong", last.src, last.text)
	case threegpp.SIMRefused:
		if n >= 3 {
			h.add("sim_read_refused_steadily", last.src, n)
		} else {
			h.add("sim_read_refused", last.src)
		}
	case threegpp.SIMNotReady:
		h.add("sim_not_ready", last.src)
	case threegpp.SIMPIN, threegpp.SIMPUK, threegpp.SIMLock:
		h.add("sim_lock", last.src, last.text)
	case threegpp.SIMBusy:
		if k.busyLong() {
			h.add("sim_busy_long", last.src, n)
		}
	default:
		if pinEmpty {
			h.add("sim_pin_only", k.presence.src)
		}
	}
	if k.imsiRefused >= 2 && last.state != threegpp.SIMAbsent && last.state != threegpp.SIMRemoved && !lockState(last.state) {
		h.add("sim_imsi_unreadable", "at:+CIMI", k.imsiRefused)
	}
	if r, ok := k.reg[threegpp.EPS]; ok && r.value.Stat == threegpp.RegNordicNoUICC && !lost(last.state) {
		h.add("uicc_failure", r.src) // where the card itself was read, that says more
	}
	if k.validity.ok && !k.validity.value.NoCard && !k.validity.value.ValidPS {
		h.add("card_invalid", k.validity.src)
	}
}

// lostSince is when the card was first not there, of the present run of such reads.
func (k *Known) lostSince() instant.Instant {
	var at instant.Instant
	for i := len(k.sim) - 1; i >= 0 && lost(k.sim[i].state); i-- {
		at = k.sim[i].at
	}
	return at
}

// busyReads in a row, of which the first seconds of a start explain one or two.
const busyReads = 4

// busyLong: the card was busy on every read of late, and nothing else.
func (k *Known) busyLong() bool {
	last, n := k.simNow()
	return last.state == threegpp.SIMBusy && n >= busyReads
}

func lockState(s threegpp.SIMState) bool {
	return s == threegpp.SIMPIN || s == threegpp.SIMPUK || s == threegpp.SIMLock
}

func (k *Known) sawLock() bool {
	for _, r := range k.sim {
		if lockState(r.state) {
			return true
		}
	}
	return false
}

func (k *Known) sawRemoved() bool {
	for _, r := range k.sim {
		if r.state == threegpp.SIMRemoved {
			return true
		}
	}
	return false
}

// absentByPin guards against an unwired detect pin: it is believed only when
// the card was once read with the pin saying "in".
func (k *Known) absentByPin() bool { return k.iccid.ok || k.imsi.ok }

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

func (k *sight) radioRules(h *hits) {
	src := "at:" + k.signal.value.Source
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
		h.add("port_imbalance", "at:+QRSRP", fnum(d))
	}
	reg := k.registered()
	if k.unknownRun > 0 && reg != yes {
		h.add("signal_unknown", "at:+CSQ")
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
			h.add("limited", k.service.src)
		case threegpp.CampNoService, threegpp.CampSearching:
			if reg != yes {
				h.add("searching", k.service.src)
			}
		}
	}
	if k.flapSearch() {
		h.add("flapping_search", "urc:+CREG")
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
		case reg != yes:
			h.add("lock_set", l.src, l.value.Detail)
		}
	}
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

func (k *Known) registrationRules(h *hits) {
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
		return
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
		if o := k.operator.value; o.Mode == 1 && k.homePLMN() != "" && k.visited(o.PLMN) == yes {
			h.add("manual_elsewhere", k.operator.src, o.PLMN)
		} else {
			h.add("manual_operator", k.operator.src)
		}
	}
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

// wellHeard reports whether the level is known to be good enough to work with.
func (k *Known) wellHeard() bool {
	switch k.grade() {
	case threegpp.GradeExcellent, threegpp.GradeGood, threegpp.GradeFair:
		return k.unknownRun == 0 && k.within(k.signal.at, levelWindow)
	}
	return false
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
		case 27:
			if c.Protocol == threegpp.FiveGMM {
				h.add("lock_set", r.src, words) // N1 mode not allowed
			}
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
	if k.iface.ok {
		if k.iface.value.Present && usableAddr(k.iface.value.Addr) {
			return yes
		}
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

func (k *Known) sessionRules(h *hits) {
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
	closed, detached := false, false
	for _, e := range k.events {
		if !k.within(e.at, eventWindow) {
			continue
		}
		switch {
		case e.ev.By == "NW" && e.ev.Event == "DETACH":
			detached = true
		case e.ev.By == "NW" && strings.HasSuffix(e.ev.Event, "DEACT"):
			closed = true
		case e.ev.By == "" && strings.HasSuffix(e.ev.Event, "DEACT"):
			closed = true
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
		h.add("session_closed_refused", "urc:+CGEV")
	case plain > 0 && !k.sessionCauseKnown():
		h.add("session_refused_plain", "at")
	case closed && k.registered() == yes:
		h.add("session_closed", "urc:+CGEV")
	case k.noAddress() && !k.sessionCauseKnown():
		h.add("no_address", "at")
	}
	for _, e := range k.events {
		if e.ev.Text == "NO CARRIER" && k.within(e.at, eventWindow) {
			h.add("line_dropped", "urc:NO CARRIER")
			break
		}
	}
}

// noAddress: registered on LTE, where registration comes with a session, and
// the contexts that were read hold neither a session nor an address.
func (k *Known) noAddress() bool {
	r, ok := k.reg[threegpp.EPS]
	if !ok || !r.value.Stat.Registered() || len(k.contexts) == 0 || k.iface.ok && usableAddr(k.iface.value.Addr) {
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
				h.add("session_auth_same", r.src, words)
				su = true
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

func (k *sight) pathRules(h *hits) {
	if up := k.sessionIsUp(); (k.registered() == no && up != yes || up == no) && !k.pathProof() {
		return // without a session nothing can pass: that is no news of its own
	}
	u := k.plane
	third, own := u.lastOK("third_party"), u.lastOK("own")
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
	case third == yes && own == no && k.slowedPlan() && !u.answered("own"):
		h.add("slow_or_dead", "probe:own")
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

// slowedPlan: the plan is slowed down when used up, and it is used up.
func (k *Known) slowedPlan() bool {
	p := k.plan.value.Plan
	return p.OnExhaust == "throttle" && k.usedPercent() >= usedUpPercent
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
	return result, failed
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

// messageMaxAge: an operator's word on a stop is believed this long, unless the
// line has worked since.
const messageMaxAge = 45 * 24 * time.Hour

func (k *Known) messageRules(h *hits) {
	if k.barred.ok && k.within(k.barred.at, rejectWindow) {
		h.add("sms_barred", k.barred.src, "CMS "+strconv.Itoa(k.barred.value))
	}
	// The newest message that says anything decides; by the service centre's
	// time where it has one, else by order of arrival.
	var newest carrier.Meaning
	var at time.Time
	for _, s := range k.sms {
		if s.meaning == carrier.Advertisement {
			continue
		}
		if s.sent.IsZero() || !s.sent.Before(at) {
			newest, at = s.meaning, s.sent
		}
	}
	if u := k.ussd; u.ok && newest == "" {
		newest = carrier.Classify("", u.value.Text)
	}
	if newest == carrier.Nothing || newest == "" {
		return
	}
	if !at.IsZero() {
		if k.Now.Trusted && k.Now.Wall.Sub(at) > messageMaxAge {
			return
		}
		if good, ok := wall(k.lastGood.value.At); ok && good.Sub(at) > 15*time.Minute && newest != carrier.Resumed {
			return // it worked after the message: old news
		}
	}
	switch newest {
	case carrier.StopArrears:
		h.add("sms_stop_arrears", "sms")
	case carrier.StopQuota:
		h.add("sms_stop_quota", "sms")
	case carrier.StopExpired:
		h.add("sms_stop_expired", "sms")
	case carrier.StopAdmin:
		h.add("sms_stop_admin", "sms")
	case carrier.StopIMEI:
		h.add("sms_stop_imei", "sms")
	case carrier.Stop:
		h.add("sms_stop", "sms")
	case carrier.Resumed:
		h.add("sms_resumed", "sms")
	case carrier.Outage:
		h.add("sms_outage", "sms")
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
		h.add("imei_same", "config")
	}
	if bound != nil && !*bound {
		h.add("imei_unbound", "plan")
	}
	if bound != nil && *bound && k.imeiChanged() == unknown {
		h.add("card_bound", "plan")
	}
	if d := k.farBelow(); d > 0 {
		h.add("far_below_last_good", "at:"+k.signal.value.Source, fnum(d))
	}
	if k.abroad() {
		h.add("abroad", "at:+CIMI")
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
