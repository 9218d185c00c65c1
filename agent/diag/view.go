package diag

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// tri is a question whose answer may be unknown. Unknown is not no.
type tri int

const (
	unknown tri = iota
	yes
	no
)

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
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

// flips counts how often the card came or went in the last ten minutes.
func (k *Known) flips() int {
	n, last := 0, threegpp.SIMUnknown
	for _, r := range k.sim {
		if !k.within(r.at, simFlipWindow) || k.isDisturbed(r.at) {
			continue
		}
		up := r.state == threegpp.SIMReady
		if !up && !lost(r.state) {
			continue
		}
		if last != threegpp.SIMUnknown && up != (last == threegpp.SIMReady) {
			n++
		}
		last = r.state
	}
	// A lost and a found make one flip for people.
	n = (n + 1) / 2
	if h := k.history.value.SIMFlips10Min; h != nil && *h > n {
		n = *h
	}
	return n
}

func lost(s threegpp.SIMState) bool {
	switch s {
	case threegpp.SIMAbsent, threegpp.SIMRemoved, threegpp.SIMNotReady, threegpp.SIMFailure:
		return true
	}
	return false
}

// simNow is the newest word on the card and how many reads in a row agree that
// it is gone. A boot's first seconds are noise (field-notes (d) 7).
func (k *Known) simNow() (simRead, int) {
	if len(k.sim) == 0 {
		return simRead{}, 0
	}
	last := k.sim[len(k.sim)-1]
	if last.state == threegpp.SIMBusy {
		for i := len(k.sim) - 1; i >= 0; i-- {
			if k.sim[i].state != threegpp.SIMBusy {
				last = k.sim[i]
				break
			}
		}
	}
	n, at := 0, last.at.Mono+2*readApart
	for i := len(k.sim) - 1; i >= 0 && lost(k.sim[i].state) == lost(last.state) && (k.sim[i].state == threegpp.SIMReady) == (last.state == threegpp.SIMReady); i-- {
		if at-k.sim[i].at.Mono >= readApart {
			n, at = n+1, k.sim[i].at.Mono
		}
	}
	return last, n
}

// readApart: what several commands of one round say of the card is one read.
const readApart = time.Second

// freshProbes are the results that still speak, oldest first. Within the window
// all do; an older failure does as long as no success of the same target came
// after it, because in lasting trouble the agent asks ever more rarely. What
// never left the device (not_sent) and the time service (often blocked while
// all else works) prove nothing of the path.
func (k *Known) freshProbes() []ProbeResult {
	lastOK := map[string]instant.Instant{}
	gone := k.lostAt()
	for _, p := range k.probes {
		if p.res.Result == "ok" {
			lastOK[p.res.Target] = p.at
		}
	}
	var out []ProbeResult
	for _, p := range k.probes {
		if p.res.Result == "not_sent" || p.res.Probe == "ntp" {
			continue
		}
		if p.res.Result == "ok" && p.at.Mono < gone.Mono {
			continue // it worked before the line was lost
		}
		ok, had := lastOK[p.res.Target]
		lasting := p.res.Result != "ok" && k.within(p.at, failureWindow) && (!had || p.at.Mono > ok.Mono)
		if k.within(p.at, probeWindow) || lasting {
			out = append(out, p.res)
		}
	}
	return out
}

// lostAt is when the line was last lost by the modem's own word, zero while it
// stands: since when no registration that data rests on was read, or the
// session closed. A probe that was answered after it proves that word wrong; one
// from before proves nothing any more.
func (k *Known) lostAt() instant.Instant {
	var at instant.Instant
	if k.registered() == no {
		packet := k.packetRead()
		for i := len(k.regReads) - 1; i >= 0; i-- {
			r := k.regReads[i]
			if packet && r.reg.Domain == threegpp.CS {
				continue
			}
			if r.reg.Stat.Registered() {
				break
			}
			at = r.at
		}
	}
	if k.sessionUp.ok && !k.sessionUp.value && k.sessionUp.at.Mono > at.Mono {
		at = k.sessionUp.at
	}
	return at
}

// userPlane sums the fresh probes by target.
type userPlane struct {
	ok, bad    map[string]int // by target
	last       map[string]ProbeResult
	flips      int          // changes between ok and not, where they went both ways; one clean loss is none
	redirect   *ProbeResult // the network answered in place of the host
	badCert    *ProbeResult // of the own service
	portal     *ProbeResult // a wrong certificate where the host is somebody else's
	clock      *ProbeResult
	capped     *ProbeResult // the rate stuck to a round cap
	carrierOK  bool         // DNS of the carrier answered last
	unanswered int          // probes that met silence
	tested     map[string]bool
	// slowConnects: of others it is only known that a port opens, and late, of the own
	// service only that what comes after that is silent: a slow line does both.
	slowConnects bool
}

func (k *Known) userPlane() userPlane {
	u := userPlane{ok: map[string]int{}, bad: map[string]int{}, last: map[string]ProbeResult{}, tested: map[string]bool{}}
	state := map[string]string{}
	changes := map[bool]int{} // by what it changed to
	white := k.plan.value.Plan.WhitelistOnly
	fresh := k.freshProbes()
	silent := ownSilentSince(fresh)
	for i, p := range fresh {
		if white && p.Target == "third_party" {
			continue // by design unreachable: says nothing
		}
		if p.Result == "ok" && p.Target != "own" && i < silent {
			continue // the path may have died with the own service
		}
		u.tested[p.Target] = true
		if roundCap(p.Detail) {
			u.capped = &p
		}
		u.last[p.Target] = p
		key := p.Probe + "/" + p.Target
		good := p.Result == "ok"
		switch p.Result {
		case "redirect":
			u.redirect = &p
		case "bad_cert":
			if p.Target == "third_party" {
				u.portal = &p
			} else {
				u.badCert = &p
			}
		case "cert_not_yet_valid":
			u.clock = &p
		}
		if good {
			u.ok[p.Target]++
			switch p.Probe {
			case "broker": // a session with the service is more than a handshake
				if p.Target == "own" {
					u.badCert = nil
				}
				if u.clock != nil && u.clock.Target == p.Target {
					u.clock = nil
				}
			case "http", "tls":
				if u.redirect != nil && u.redirect.Target == p.Target {
					u.redirect = nil
				}
				if u.badCert != nil && u.badCert.Target == p.Target {
					u.badCert = nil
				}
				if p.Target == "third_party" && p.Probe == "tls" {
					u.portal = nil
				}
				if u.clock != nil && u.clock.Target == p.Target {
					u.clock = nil
				}
			}
		} else {
			u.bad[p.Target]++
		}
		if p.Result == "timeout" {
			u.unanswered++
		}
		if s, seen := state[key]; seen && (s == "ok") != good {
			changes[good]++
		}
		state[key] = p.Result
	}
	if changes[true] > 0 && changes[false] > 0 {
		u.flips = changes[true] + changes[false]
	}
	u.slowConnects = state["tls/third_party"] != "ok" && state["http/third_party"] != "ok" && slow(u.last["third_party"]) &&
		u.last["own"].Result == "timeout" && state["tcp/own"] != "timeout"
	for key, r := range state {
		if strings.HasSuffix(key, "/carrier") && r == "ok" {
			u.carrierOK = true
		}
	}
	return u
}

// ownSilentSince is the place of the own service's last answer, where it has
// fallen silent since: what others answered before then does not tell a dead
// service from a dead line. 0 where it answers, or never did. Places, not
// times: a round on a quick line takes less than a clock's step.
func ownSilentSince(fresh []ProbeResult) int {
	ok, last := 0, ProbeResult{}
	for i, p := range fresh {
		if p.Target != "own" {
			continue
		}
		if last = p; p.Result == "ok" {
			ok = i
		}
	}
	if last.Result == "timeout" {
		return ok
	}
	return 0
}

// slowConnect is a time for one TCP connect, in milliseconds, that a line in good
// order does not take.
const slowConnect = 2000

// slow reports whether p took that long, by its count or its words ("3100 ms").
func slow(p ProbeResult) bool {
	if before, _, ok := strings.Cut(p.Detail, " ms"); ok && p.Millis == 0 {
		n, err := strconv.Atoi(before)
		return err == nil && n >= slowConnect
	}
	return p.Millis >= slowConnect
}

// roundCap reports whether the words of a probe tell a rate ("127 kbit/s") that
// sits on one of the steps, in kbit/s, that operators slow a used-up plan down
// to (diagnosis.md §5.3 U).
func roundCap(detail string) bool {
	detail = strings.ToLower(detail)
	for _, unit := range [...]string{"kbit/s", "kbps", "kb/s"} {
		before, _, ok := strings.Cut(detail, unit)
		words := strings.Fields(before)
		if !ok || len(words) == 0 {
			continue
		}
		v, err := strconv.ParseFloat(words[len(words)-1], 64)
		for _, c := range [...]float64{16, 32, 64, 128, 256, 512} {
			if err == nil && math.Abs(v-c) <= 0.06*c {
				return true
			}
		}
	}
	return false
}

// refusedAsFalse reports whether the own service, or all that was asked while it
// did not answer, is still turned down for what its certificate says: that a
// port opens afterwards takes nothing back.
func (u userPlane) refusedAsFalse() bool {
	return u.badCert != nil || u.clock != nil && (u.clock.Target == "own" || u.lastOK("own") != yes)
}

// answered reports whether the target's newest result is an answer, although
// not the wanted one: packets went there and came back.
func (u userPlane) answered(target string) bool {
	switch u.last[target].Result {
	case "refused", "nxdomain":
		return true
	}
	return false
}

// lastOK reports whether the newest result of target over all probes is ok, and
// whether there is one.
func (u userPlane) lastOK(target string) tri {
	p, ok := u.last[target]
	if !ok {
		return unknown
	}
	return triOf(p.Result == "ok")
}

func pct(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func fnum(v float64) string {
	if math.Abs(v-math.Round(v)) < 0.05 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
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

// wall parses an RFC 3339 time or a plain date; ok is false when it is neither.
func wall(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, true
	}
	if t, err := time.Parse("2006-01-02", s); err == nil {
		return t, true
	}
	return time.Time{}, false
}

// zone is the operator's own time zone from "+08:00"; UTC when not given.
func zone(offset string) *time.Location {
	t, err := time.Parse("-07:00", offset)
	if err != nil {
		return time.UTC
	}
	_, s := t.Zone()
	return time.FixedZone(offset, s)
}
