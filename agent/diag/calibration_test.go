package diag

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// A fault is one simulated incident: facts as a device would meet them, with
// what is missing, stale or coincidental in the field. The chances below are
// engineering estimates in the sense of diagnosis.md §1 and field-notes.md, made
// without looking at the weights.
type fault struct {
	*watcher
	rng   *rand.Rand
	truth Code
	onset time.Time
}

func (f *fault) chance(percent int) bool { return f.rng.IntN(100) < percent }

// pick draws an index by weight.
func (f *fault) pick(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := f.rng.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return 0
}

func (f *fault) at(t time.Time) string { return t.Format(time.RFC3339) }

func incident(rng *rand.Rand, truth Code) *Known {
	f := &fault{watcher: newWatcher("2026-10-20T12:00:00+08:00"), rng: rng, truth: truth}
	f.onset = f.watcher.at.Wall.Add(-time.Duration(5+rng.IntN(600)) * time.Minute)
	f.watcher.at.Trusted = f.chance(92)
	stopped := slices.Contains(members, truth)
	f.business(stopped)
	if stopped {
		f.stop()
	} else {
		map[Code]func(){SIMAbsent: f.simAbsent, SIMFault: f.simFault, SIMLocked: f.simLocked, WeakSignal: f.weak, NoCoverage: f.noCoverage,
			AntennaFault: f.antenna, CarrierOutage: f.outage, Congestion: f.congestion, APNConfig: f.apn, AuthConfig: f.auth, RATBandConfig: f.ratBand,
			IMEILock: f.imei, RoamingBarred: f.roaming, ModemOffOrAirplane: f.off, ModemFault: f.modem, DialerDown: f.dialer, DataBlackHole: f.hole, CloudUnreachable: f.cloud}[truth]()
	}
	return &f.k
}

// business is what is known besides the modem, whatever is wrong.
func (f *fault) business(stopped bool) {
	now := f.watcher.at.Wall
	expires := "2027-06-30"
	if f.truth == ExpiredOrCancelled && f.chance(85) {
		expires = f.onset.Add(-20 * time.Hour).Format("2006-01-02")
	} else if f.chance(2) {
		expires = now.Add(-72 * time.Hour).Format("2006-01-02") // an old record
	}
	if f.chance(70) {
		p := protocol.Plan{QuotaBytes: 100 << 20, CycleDay: 1, UTCOffset: "+08:00", OnExhaust: "stop", Expires: expires, Carrier: "460-00"}
		if f.chance(15) && f.truth != OverQuota {
			p.OnExhaust = "overage"
		}
		p.Pool = ptr(f.chance(10))
		if f.chance(50) {
			p.IMEIBound = ptr(f.truth == IMEILock || f.chance(30))
		}
		f.see("plan", PlanFact{p})
		percent := f.rng.IntN(95) // evenly through the month, and by chance near the end
		if f.chance(4) {
			percent = 97 + f.rng.IntN(10)
		}
		if f.truth == OverQuota && (!protocol.Is(p.Pool) || f.chance(20)) && f.chance(95) {
			percent = 97 + f.rng.IntN(8)
		}
		f.see("meter", Usage{CycleBytes: uint64(percent) << 20, Since: "2026-10-01T00:00:00+08:00"})
	}
	if f.chance(85) {
		imei, apn := "one", "cmiot"
		if f.truth == IMEILock && f.chance(90) || f.chance(2) {
			imei = "two"
		}
		if f.truth == APNConfig && f.chance(75) || f.chance(2) {
			apn = "other"
		}
		level := -88.0
		if f.truth == WeakSignal && f.chance(75) {
			level = -111 // it was never good there
		}
		f.see("history", LastGood{At: f.at(f.onset.Add(-2 * time.Minute)), IMEI: "one", APN: "cmiot", PLMN: "46000", RSRP: ptr(level)})
		f.see("config", Settings{IMEI: imei, APN: apn})
		f.see("history", History{Onset: f.at(f.onset)})
	}
	if f.chance(40) {
		f.platform(stopped)
	}
	if f.chance(40) {
		n := protocol.Neighbours{SameCarrier: 3 + f.rng.IntN(10)}
		if f.truth == CarrierOutage && f.chance(90) {
			n.SameCarrierDown = n.SameCarrier - f.rng.IntN(3)
		} else if f.chance(15) {
			n.SameCarrierDown = 1
		}
		f.see("backend", NeighboursFact{n})
	}
	sms := func(text string) { f.see("sms", threegpp.SMS{From: "10086", At: f.onset, Text: text}) }
	switch {
	case f.truth == Arrears && f.chance(25):
		sms("您的号码因欠费已停机，请及时缴费。")
	case f.truth == OverQuota && f.chance(15):
		sms("您的流量已用尽，上网功能已关闭。")
	case f.truth == AdminSuspended && f.chance(10):
		sms("您的号码因未实名登记已被停机。")
	case f.chance(8):
		sms("为避免停机影响使用，请您及时缴费。")
	case f.chance(8):
		sms("充值50元送10GB流量，退订回复T。")
	}
	f.wait(time.Second)
}

// platform is the backend's word: often of last midnight, sometimes right.
func (f *fault) platform(stopped bool) {
	reason := map[Code]string{Arrears: "arrears", OverQuota: "quota", AdminSuspended: "manual", ExpiredOrCancelled: "expiry"}[f.truth]
	s := protocol.SIMStatus{State: "active", Reason: "none", AsOf: f.at(f.watcher.at.Wall.Truncate(24 * time.Hour).Add(-8 * time.Hour))}
	switch {
	case stopped && f.chance(60):
		s = protocol.SIMStatus{State: "suspended", Reason: reason, AsOf: f.at(f.onset.Add(3 * time.Minute))}
	case stopped && f.chance(40):
		s = protocol.SIMStatus{State: "suspended", Reason: "unknown", AsOf: f.at(f.onset.Add(3 * time.Minute))}
	case f.truth == IMEILock && f.chance(40):
		s = protocol.SIMStatus{State: "suspended", Reason: "imei_lock", AsOf: f.at(f.onset.Add(3 * time.Minute))}
	case f.chance(50):
		s.AsOf = f.at(f.watcher.at.Wall.Add(-10 * time.Minute)) // asked just now
	}
	f.see("backend", SIMStatusFact{s})
}

// ---- what the modem shows

func (f *fault) ready() {
	f.wait(time.Second)
	if f.chance(90) {
		f.see("at:+CPIN?", threegpp.SIM{State: threegpp.SIMReady}, threegpp.Done{Command: "+CPIN?"})
	}
	if f.chance(60) {
		f.see("at:+CIMI", threegpp.IMSI{Value: "460000000000001"}, threegpp.Done{Command: "+CIMI"})
	}
}

func (f *fault) level(rsrp float64, sinr float64) {
	f.wait(time.Second)
	f.see("at:+QENG", threegpp.Signal{RAT: "lte", RSRP: ptr(rsrp), SINR: ptr(sinr), Source: "+QENG"})
}

func (f *fault) goodLevel() {
	if f.chance(80) {
		f.level(-80-float64(f.rng.IntN(20)), 8+float64(f.rng.IntN(12)))
	}
}

func (f *fault) deaf() {
	for range 2 + f.rng.IntN(3) {
		f.wait(5 * time.Second)
		f.see("at:+CSQ", threegpp.Signal{BER: -1, NotKnown: true, Source: "+CSQ"}, threegpp.Done{Command: "+CSQ"})
	}
}

func (f *fault) reg(stat threegpp.RegStat, cause int) {
	f.wait(time.Second)
	r := threegpp.Registration{Domain: threegpp.EPS, Stat: stat, AcT: 7, ActiveTimeS: -1, PeriodicTAUS: -1}
	if cause > 0 && f.chance(60) {
		r.Cause = threegpp.RejectCause{Protocol: threegpp.EMM, Number: cause}
	}
	f.see("at:+CEREG?", r, threegpp.Done{Command: "+CEREG?"})
}

func (f *fault) refused(cause int) {
	f.wait(time.Second)
	if f.chance(50) {
		f.see("urc:+CGEV", threegpp.ContextEvent{By: "NW", Event: "PDN DEACT", CID: 1})
	}
	for range 1 + f.rng.IntN(2) {
		f.see("at:+CGACT", threegpp.Refusal{Command: "+CGACT=1,1", Final: "CME", Code: -1})
		if f.chance(75) {
			f.see("at:+CGACT", threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.ESM, Number: cause}, Procedure: "session", Source: "+CME ERROR"})
		}
	}
}

func (f *fault) session() {
	f.wait(time.Second)
	f.see("at:+CGPADDR", threegpp.ContextState{CID: 1, Active: true, Addr: "10.0.0.9"}, threegpp.Done{Command: "+CGPADDR=1"})
}

// probes sees results like "dns carrier ok", each lost with a small chance.
func (f *fault) probes(list ...string) {
	for _, p := range list {
		w := strings.Fields(p)
		f.wait(3 * time.Second)
		if f.chance(93) {
			f.see("probe:"+w[0], ProbeResult{Probe: w[0], Target: w[1], Result: w[2]})
		}
	}
}

func (f *fault) silence(rounds int) {
	for range rounds {
		f.probes("dns carrier timeout", "tcp third_party timeout", "broker own timeout")
	}
	if f.chance(60) {
		f.see("counters", Traffic{TxBytes: 2000})
	}
}

// ---- the faults

// stop is one of the four shapes of a stopped line (field-notes.md (a)), or a portal.
func (f *fault) stop() {
	f.ready()
	f.goodLevel()
	portal := 0
	if f.truth == OverQuota || f.truth == Arrears {
		portal = 10
	}
	switch f.pick(40, 8, 35, 10, portal) {
	case 0:
		cause := []int{7, 8, 15, 3, 14, 11, 17, 2}[f.pick(42, 22, 10, 5, 8, 5, 3, 5)]
		if f.chance(30) {
			f.see("urc:+CGEV", threegpp.ContextEvent{By: "NW", Event: "DETACH", CID: -1})
		}
		if f.chance(30) {
			f.see("at:+QENG", threegpp.ServingCell{State: threegpp.CampLimited, PLMN: "46000"})
		}
		f.reg(threegpp.RegDenied, cause)
	case 1:
		f.see("at:+CREG?", threegpp.Registration{Domain: threegpp.CS, Stat: threegpp.RegHome})
		f.reg(threegpp.RegIdle, 7)
	case 2:
		f.reg(threegpp.RegHome, 0)
		f.refused([]int{33, 8, 29, 27, 31, 38, 26}[f.pick(50, 22, 10, 7, 5, 3, 3)])
	case 3:
		f.reg(threegpp.RegHome, 0)
		f.session()
		f.silence(1 + f.rng.IntN(3))
	case 4:
		f.reg(threegpp.RegHome, 0)
		f.session()
		f.probes("dns carrier ok", "http third_party redirect", "tls own bad_cert", "broker own timeout")
	}
}

func (f *fault) simAbsent() {
	for range 1 + f.rng.IntN(4) {
		f.wait(5 * time.Second)
		f.see("at:+CPIN?", threegpp.SIM{State: threegpp.SIMAbsent, Text: "CME 10"}, threegpp.Refusal{Command: "+CPIN?", Final: "CME", Code: 10})
	}
	f.reg(threegpp.RegIdle, 0)
}

func (f *fault) simFault() {
	switch f.pick(35, 40, 15, 10) {
	case 0:
		for range 2 + f.rng.IntN(2) {
			f.wait(5 * time.Second)
			f.see("at:+CPIN?", threegpp.SIM{State: threegpp.SIMFailure, Text: "CME 13"})
		}
	case 1:
		for range 3 + f.rng.IntN(3) {
			f.wait(20 * time.Second)
			f.see("at:+CPIN?", threegpp.SIM{State: threegpp.SIMAbsent, Text: "CME 10"})
			f.wait(20 * time.Second)
			f.see("urc:+CPIN", threegpp.SIM{State: threegpp.SIMReady, URC: true})
		}
	case 2:
		for range 3 {
			f.wait(5 * time.Second)
			f.see("at:+CIMI", threegpp.Refusal{Command: "+CIMI", Final: "ERROR", Code: -1})
		}
	case 3: // a dead card that looks like none
		for range 2 {
			f.wait(5 * time.Second)
			f.see("at:+CPIN?", threegpp.SIM{State: threegpp.SIMAbsent, Text: "CME 10"})
		}
	}
}

func (f *fault) simLocked() {
	f.see("at:+CPIN?", threegpp.SIM{State: []threegpp.SIMState{threegpp.SIMPIN, threegpp.SIMPUK, threegpp.SIMLock}[f.pick(70, 20, 10)]})
	f.reg(threegpp.RegIdle, 0)
}

func (f *fault) weak() {
	f.ready()
	for range 3 {
		f.level(-118-float64(f.rng.IntN(9)), -4+float64(f.rng.IntN(5)))
	}
	f.reg([]threegpp.RegStat{threegpp.RegHome, threegpp.RegSearching}[f.pick(80, 20)], 0)
	f.probes("dns carrier timeout", "tcp third_party ok", "broker own timeout", "dns carrier ok", "tcp third_party timeout", "broker own timeout")
}

func (f *fault) noCoverage() {
	f.ready()
	f.deaf()
	f.reg(threegpp.RegSearching, 0)
	if f.chance(40) {
		nets := []threegpp.ScanEntry{{Stat: 3, PLMN: "46001"}, {Stat: 3, PLMN: "46011"}}
		f.see("at:+COPS=?", threegpp.Scan{Networks: nets[:f.rng.IntN(3)]})
	}
}

func (f *fault) antenna() {
	f.ready()
	if f.chance(60) {
		f.see("history", History{RSRP: []float64{-86, -87, -86, -86, -117, -118, -117}, Onset: f.at(f.onset)})
		f.level(-117, 1)
		f.level(-118, 0)
	}
	if f.chance(50) {
		f.deaf()
		f.reg(threegpp.RegSearching, 0)
		return
	}
	f.level(-119, -1)
	f.reg(threegpp.RegHome, 0)
	f.probes("dns carrier timeout", "broker own timeout", "dns carrier ok")
}

func (f *fault) outage() {
	f.ready()
	f.goodLevel()
	switch f.pick(35, 20, 30, 15) {
	case 0:
		f.reg(threegpp.RegSearching, []int{17, 42, 15, 111}[f.pick(70, 12, 10, 8)])
	case 1:
		f.reg(threegpp.RegHome, 0)
		f.refused([]int{38, 34, 26, 31, 33}[f.pick(50, 20, 12, 15, 3)])
	case 2:
		f.reg(threegpp.RegHome, 0)
		f.session()
		f.silence(1 + f.rng.IntN(3))
	case 3:
		f.deaf()
		f.reg(threegpp.RegSearching, 0)
	}
}

func (f *fault) congestion() {
	f.ready()
	f.goodLevel()
	if f.chance(60) {
		f.reg(threegpp.RegSearching, 22)
		f.reg(threegpp.RegSearching, 22)
		return
	}
	f.reg(threegpp.RegHome, 0)
	f.refused(26)
	if f.chance(50) {
		f.see("at:+QNWCFG", threegpp.Backoff{Seconds: 700})
	}
}

func (f *fault) apn() {
	f.ready()
	f.goodLevel()
	switch f.pick(70, 15, 15) {
	case 0:
		f.reg(threegpp.RegHome, 0)
		f.refused([]int{27, 33, 28, 50}[f.pick(60, 25, 8, 7)])
	case 1:
		f.reg(threegpp.RegDenied, 19)
		if f.chance(60) {
			f.see("urc:+CNEC_ESM", threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.ESM, Number: 27}, Source: "+CNEC_ESM"})
		}
	case 2:
		f.reg(threegpp.RegDenied, 15)
	}
}

func (f *fault) auth() {
	f.ready()
	f.goodLevel()
	f.reg(threegpp.RegHome, 0)
	if f.chance(50) {
		f.see("at:+CGAUTH", threegpp.ContextConfig{CID: 1, Set: true, AuthHash: "a"})
		f.see("at:+CGAUTH", threegpp.ContextConfig{CID: 1, Set: true, AuthHash: "b"})
	}
	f.refused(29)
}

func (f *fault) ratBand() {
	f.ready()
	f.deaf()
	f.reg(threegpp.RegSearching, 0)
	if f.chance(80) {
		lock := []string{"cell", "band", "rat"}[f.pick(40, 25, 35)]
		f.see("at:lock", threegpp.RadioLock{Lock: lock, Locked: true, Detail: "set"})
	}
}

func (f *fault) imei() {
	f.ready()
	f.goodLevel()
	switch f.pick(25, 55, 20) {
	case 0:
		f.reg(threegpp.RegDenied, 6)
	case 1:
		f.reg(threegpp.RegHome, 0)
		f.session()
		f.silence(1 + f.rng.IntN(3))
	case 2:
		f.reg(threegpp.RegHome, 0)
		f.refused([]int{33, 29}[f.pick(60, 40)])
	}
}

func (f *fault) roaming() {
	f.see("at:+CIMI", threegpp.IMSI{Value: "460000000000001"})
	f.see("at:+CPIN?", threegpp.SIM{State: threegpp.SIMReady}, threegpp.Done{Command: "+CPIN?"})
	f.goodLevel()
	if f.chance(70) {
		f.see("at:+QENG", threegpp.ServingCell{State: threegpp.CampLimited, PLMN: "45201"})
	}
	f.reg(threegpp.RegDenied, []int{11, 13, 14, 15, 12}[f.pick(45, 20, 20, 10, 5)])
	if f.chance(40) {
		f.see("at:+COPS=?", threegpp.Scan{Networks: []threegpp.ScanEntry{{Stat: 3, PLMN: "45201"}, {Stat: 3, PLMN: "45204"}}})
	}
}

func (f *fault) off() {
	f.see("at:+CFUN?", threegpp.Functionality{Level: []int{4, 0, 7}[f.pick(70, 20, 10)]}, threegpp.Done{Command: "+CFUN?"})
	f.reg(threegpp.RegIdle, 0)
}

func (f *fault) modem() {
	switch f.pick(50, 30, 20) {
	case 0:
		f.ready()
		for range 2 + f.rng.IntN(3) {
			f.wait(5 * time.Second)
			f.see("at", threegpp.Silence{Command: "AT"})
		}
	case 1:
		f.ready()
		f.reg(threegpp.RegHome, 0)
		for range 2 + f.rng.IntN(2) {
			f.wait(time.Minute)
			f.see("urc:RDY", threegpp.Restarted{Text: "RDY"})
			f.wait(10 * time.Second)
			f.ready()
		}
		f.reg(threegpp.RegSearching, 0)
	case 2:
		f.see("history", History{USBDrops10Min: ptr(3 + f.rng.IntN(3))})
		f.ready()
		f.probes("broker own timeout")
	}
}

func (f *fault) dialer() {
	f.ready()
	f.goodLevel()
	f.reg(threegpp.RegHome, 0)
	if f.chance(70) {
		f.session()
	}
	f.see("host", Interface{Name: "wwan0", Present: f.chance(70), Up: f.chance(40)})
	if f.chance(50) {
		f.probes("broker own not_sent", "dns carrier not_sent")
	}
}

func (f *fault) hole() {
	f.ready()
	f.goodLevel()
	f.reg(threegpp.RegHome, 0)
	f.session()
	f.silence(2 + f.rng.IntN(3))
}

func (f *fault) cloud() {
	f.ready()
	f.goodLevel()
	f.reg(threegpp.RegHome, 0)
	f.session()
	last := []string{"broker own refused", "broker own timeout", "tls own bad_cert", "tls own cert_not_yet_valid", "dns own nxdomain"}[f.pick(30, 45, 10, 10, 5)]
	f.probes("dns carrier ok", "tcp third_party ok", "tls third_party ok", last, last)
}

// promise sums what was said of one class.
type promise struct {
	n, right int
	sum      float64
}

func (m *promise) add(p float64, right bool) {
	m.n++
	m.sum += p
	if right {
		m.right++
	}
}

// reliability counts how often what was said with p was right.
type reliability struct {
	n, right [5]int
}

var buckets = [...]string{"0.50-0.60", "0.60-0.70", "0.70-0.80", "0.80-0.90", "0.90-1.00"}

func (r *reliability) add(p float64, right bool) {
	if p < 0.5 {
		return
	}
	i := min(int((p-0.5)*10+1e-9), 4)
	r.n[i]++
	if right {
		r.right[i]++
	}
}

func (r *reliability) rate(i int) float64 { return 100 * float64(r.right[i]) / float64(max(r.n[i], 1)) }

func (r *reliability) String() string {
	var b strings.Builder
	for i, name := range buckets {
		fmt.Fprintf(&b, "\n  p %s  %5d said, right %5.1f %%", name, r.n[i], r.rate(i))
	}
	return b.String()
}

// leading is the answer that a diagnosis puts first, with its p: what it names,
// else its first candidate. The group counts as one.
func leading(d Diagnosis) (Code, float64) {
	if len(d.Candidates) == 0 {
		return "", 0
	}
	for _, c := range d.Candidates {
		if c.Class == d.Class {
			return c.Class, c.P
		}
	}
	if d.Class == SuspendedUnspecified {
		sum := 0.0
		for _, c := range d.Candidates {
			if slices.Contains(members, c.Class) {
				sum += c.P
			}
		}
		return d.Class, sum
	}
	return d.Candidates[0].Class, d.Candidates[0].P
}

func hits1(said, truth Code) bool {
	return said == truth || said == SuspendedUnspecified && slices.Contains(members, truth)
}

// TestWhatIsSaidWithNineTenthsIsRightNineTimesInTen draws incidents by the
// priors of the table and holds what is said against what was wrong.
func TestWhatIsSaidWithNineTenthsIsRightNineTimesInTen(t *testing.T) {
	rng := rand.New(rand.NewPCG(2026, 11))
	var classes []Code
	var shares []int
	for _, c := range Classes {
		if p := DefaultWeights.Priors[string(c)]; p > 0 {
			classes, shares = append(classes, c), append(shares, int(10*p))
		}
	}
	f := &fault{rng: rng}
	var all reliability
	verdicts := map[Verdict]int{}
	wrong := map[string]int{}
	const n = 6000
	definite, definiteRight, confirmedWrong := 0, 0, 0
	perClass := map[Code]*[3]int{} // right, undecided, wrong
	said2 := map[Code]*promise{}
	for range n {
		truth := classes[f.pick(shares...)]
		d := Diagnose(incident(rng, truth), nil)
		said, p := leading(d)
		all.add(p, hits1(said, truth))
		verdicts[d.Verdict]++
		if d.Verdict != Undecided {
			if said2[d.Class] == nil {
				said2[d.Class] = &promise{}
			}
			said2[d.Class].add(p, hits1(said, truth))
		}
		row := perClass[truth]
		if row == nil {
			row = new([3]int)
			perClass[truth] = row
		}
		switch {
		case d.Verdict == Undecided:
			row[1]++
			continue
		case hits1(d.Class, truth):
			row[0]++
			definiteRight++
		default:
			row[2]++
			wrong[fmt.Sprintf("%s said %s", truth, d.Class)]++
			if d.Verdict == Confirmed {
				confirmedWrong++
			}
		}
		definite++
	}
	t.Logf("%d incidents; said %v; definite answers right %.1f %%, %d confirmed and wrong%s", n, verdicts, 100*float64(definiteRight)/float64(definite), confirmedWrong, &all)
	for _, c := range classes {
		if r := perClass[c]; r != nil {
			t.Logf("%-22s right %4d  undecided %4d  wrong %4d", c, r[0], r[1], r[2])
		}
	}
	for _, c := range Classes {
		m := said2[c]
		if m == nil {
			continue
		}
		t.Logf("said %-22s %5d times, with p %.2f in the mean, right %5.1f %%", c, m.n, m.sum/float64(m.n), 100*float64(m.right)/float64(m.n))
		// Three standard errors below what was said is more than chance.
		mean, share := m.sum/float64(m.n), float64(m.right)/float64(m.n)
		if m.n >= 20 && share < mean-0.02-3*math.Sqrt(mean*(1-mean)/float64(m.n)) {
			t.Errorf("%s is said with p %.2f in the mean and right in %.2f of %d", c, mean, share, m.n)
		}
	}
	for _, c := range classes {
		r := perClass[c]
		if r == nil {
			continue
		}
		// An outage that swallows packets is a black hole to who has no neighbours to ask.
		if all := r[0] + r[1] + r[2]; all >= 50 && (r[0] == 0 || 100*r[2] > 20*all) {
			t.Errorf("of %d incidents of %s %d were named and %d called something else", all, c, r[0], r[2])
		}
	}
	for what, k := range wrong {
		if k >= 8 {
			t.Logf("%4d times %s", k, what)
		}
	}
	if r := all.rate(4); all.n[4] < 500 || r < 85 {
		t.Errorf("what is said with 0.9 and more is right in %.1f %% of %d", r, all.n[4])
	}
	if confirmedWrong*1000 > verdicts[Confirmed] {
		t.Errorf("%d of %d confirmed verdicts were wrong", confirmedWrong, verdicts[Confirmed])
	}
	if verdicts[AllWell]*200 > n {
		t.Errorf("%d faults were called healthy", verdicts[AllWell])
	}
}
