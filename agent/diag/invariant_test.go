package diag

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// A tape turns bytes into choices, so that one generator serves the fuzzer and
// seeded chance. At its end every choice is the first.
type tape struct {
	b []byte
	i int
}

func (t *tape) n(max int) int {
	if t.i >= len(t.b) {
		return 0
	}
	v := int(t.b[t.i])
	t.i++
	return v % max
}

func (t *tape) of(list ...string) string { return list[t.n(len(list))] }
func (t *tape) yes() bool                { return t.n(2) == 1 }
func (t *tape) ended() bool              { return t.i >= len(t.b) }
func (t *tape) dB(from, span int) *float64 {
	if v := t.n(span + 1); v > 0 {
		return ptr(float64(from + v))
	}
	return nil
}

func (t *tape) wall() string {
	return t.of("", "2026-10-20T12:00:00+08:00", "2026-10-01T00:00:00+08:00", "2026-09-27T00:10:00+08:00", "2026-10-31T23:59:59-05:00", "no time", "1970-01-01T00:00:00Z", "2026-10-19")
}

func (t *tape) plmn() string { return t.of("", "46000", "46001", "46011", "20404", "311480", "9") }

func (t *tape) cause() threegpp.RejectCause {
	p := []threegpp.Protocol{threegpp.EMM, threegpp.ESM, threegpp.GMM, threegpp.MM, threegpp.SM, threegpp.FiveGMM, threegpp.FiveGSM, threegpp.PrivateCause, threegpp.ProtoUnknown}[t.n(9)]
	return threegpp.RejectCause{Protocol: p, Number: t.n(130)}
}

// fact draws one of all the facts that the agent can observe.
func (t *tape) fact() any {
	switch t.n(40) {
	case 0:
		return threegpp.Done{Command: t.command()}
	case 1:
		return threegpp.Refusal{Command: t.command(), Final: t.of("ERROR", "CME", "CMS", "NO CARRIER"), Code: t.n(256) - 1}
	case 2:
		return threegpp.Silence{Command: t.command()}
	case 3:
		return threegpp.Restarted{Text: "RDY"}
	case 4:
		return Port{State: t.of("ok", "silent", "garbage", "lost", "held", "absent", "?")}
	case 5:
		return Disturbance{What: t.of("radio cycle", "scan", "reset")}
	case 6:
		return Interface{Name: "wwan0", Present: t.yes(), Up: t.yes(), Addr: t.of("", "10.0.0.1", "169.254.1.1", "::"), UpUnknown: t.n(4) == 0, NoRoute: t.n(4) == 0}
	case 7:
		return threegpp.Functionality{Level: t.n(8), Set: t.yes()}
	case 8:
		return threegpp.PowerState{Alarm: t.of("", "overheated", "undervoltage")}
	case 9, 10:
		states := []threegpp.SIMState{threegpp.SIMReady, threegpp.SIMPIN, threegpp.SIMPUK, threegpp.SIMLock, threegpp.SIMAbsent, threegpp.SIMRemoved,
			threegpp.SIMNotReady, threegpp.SIMFailure, threegpp.SIMBusy, threegpp.SIMWrong, threegpp.SIMRefused, threegpp.SIMUnknown}
		return threegpp.SIM{State: states[t.n(len(states))], Text: "x", URC: t.yes()}
	case 11:
		return threegpp.SIMPresence{Inserted: t.yes()}
	case 12:
		return threegpp.SIMDetect{Enabled: t.yes()}
	case 13:
		return threegpp.CardValidity{ValidCS: t.yes(), ValidPS: t.yes(), NoCard: t.yes()}
	case 14:
		return []any{threegpp.ICCID{Value: t.of("89860000000000000001", "89860000000000000002")}, threegpp.IMSI{Value: t.of("460000000000001", "204040000000001", "9")},
			threegpp.IMEI{Value: t.of("860000000000013", "860000000000021")}}[t.n(3)]
	case 15, 16:
		return threegpp.Signal{RAT: t.of("", "gsm", "umts", "lte", "nbiot", "nr"), RSSI: t.dB(-113, 60), RSRP: t.dB(-140, 90), RSRQ: t.dB(-25, 25), SINR: t.dB(-20, 50),
			NotKnown: t.yes(), Port: t.of("", "main", "diversity"), Source: t.of("+CSQ", "+QENG", "+CESQ")}
	case 17:
		states := []threegpp.CampState{threegpp.CampUnknown, threegpp.CampSearching, threegpp.CampLimited, threegpp.CampIdle, threegpp.CampConnected, threegpp.CampNoService, threegpp.CampLowPower, threegpp.CampOnline}
		return threegpp.ServingCell{State: states[t.n(len(states))], PLMN: t.plmn(), Cell: t.of("", "A", "B")}
	case 18:
		states := []threegpp.CampState{threegpp.CampNoService, threegpp.CampLimited, threegpp.CampOnline, threegpp.CampSearching}
		return threegpp.ServiceState{Service: states[t.n(len(states))]}
	case 19, 20, 21:
		domains := []threegpp.Domain{threegpp.CS, threegpp.PS, threegpp.EPS, threegpp.NR}
		return threegpp.Registration{Domain: domains[t.n(4)], Stat: threegpp.RegStat([]int{0, 1, 2, 3, 4, 5, 6, 8, 11, 90, -1, 12}[t.n(12)]),
			AcT: t.n(12), Cause: t.cause(), ActiveTimeS: t.n(3) - 1, PeriodicTAUS: t.n(200) - 1}
	case 22:
		return threegpp.Operator{Mode: t.n(5), Name: t.of("", "CMCC"), PLMN: t.plmn()}
	case 23:
		var nets []threegpp.ScanEntry
		for range t.n(4) {
			nets = append(nets, threegpp.ScanEntry{Stat: t.n(4), PLMN: t.plmn()})
		}
		return threegpp.Scan{Networks: nets}
	case 24:
		return threegpp.RadioLock{Lock: t.of("cell", "band", "rat", "plmn", "other"), Locked: t.yes(), Detail: "d"}
	case 25:
		return threegpp.Attach{Attached: t.yes()}
	case 26:
		return threegpp.ContextState{CID: t.n(20) - 1, Active: t.yes(), Addr: t.of("", "10.0.0.1", "0.0.0.0")}
	case 27:
		return threegpp.ContextConfig{CID: t.n(20), APN: t.of("", "cmiot", "YourAPN"), Set: t.yes(), AuthHash: t.of("", "a", "b")}
	case 28:
		return threegpp.ContextEvent{By: t.of("NW", "ME", ""), Event: t.of("DETACH", "PDN ACT", "PDN DEACT", "DEACT", "ACT", "REACT", "MODIFY"), CID: t.n(3), Text: t.of("", "NO CARRIER")}
	case 29, 30:
		return threegpp.Reject{Cause: t.cause(), Procedure: "attach", Source: t.of("+CEER", "+CNEC_EMM", "+CME ERROR", "^REJINFO"), PLMN: t.plmn()}
	case 31:
		return []any{threegpp.Backoff{Seconds: t.n(200)}, threegpp.SubscriptionPCO{State: t.of("out_of_data", "unprovisioned", "provisioned")},
			threegpp.ByteCounters{TxBytes: uint64(t.n(200)) * 100, RxBytes: uint64(t.n(200)) * 100}, threegpp.NetworkTime{}}[t.n(4)]
	case 32:
		return threegpp.ModemProbe{Probe: t.of("ping", "dns", "tcp", "udp", "http", "tls", "mqtt"), OK: t.yes(), Result: t.of("ok", "timeout", "refused", "tls_error", "error")}
	case 33:
		return []any{threegpp.SMS{From: t.of("10086", "13800000000"), Text: t.of("您的号码因欠费已停机", "流量已用尽，已关闭上网功能", "为避免停机请充值", "已复机", "机卡分离已停机", "网络割接", "退订回T")},
			threegpp.USSD{Text: "已停机"}}[t.n(2)]
	case 34, 35:
		return ProbeResult{Probe: t.of("dns", "tcp", "http", "tls", "ntp", "broker"), Target: t.of("carrier", "third_party", "own"),
			Result: t.of("ok", "timeout", "refused", "redirect", "bad_cert", "nxdomain", "cert_not_yet_valid", "not_sent"), Detail: t.of("", "127 kbit/s", "302")}
	case 36:
		return []any{Traffic{TxBytes: uint64(t.n(200)) * 50, RxBytes: uint64(t.n(3))}, Usage{CycleBytes: uint64(t.n(250)) << 20, Since: t.wall()},
			NeighboursFact{protocol.Neighbours{SameCarrier: t.n(12), SameCarrierDown: t.n(12), SamePoolDown: t.n(6), AsOf: t.wall()}}}[t.n(3)]
	case 37:
		p := protocol.Plan{QuotaBytes: uint64(t.n(3)) * 100 << 20, CycleDay: t.n(33), UTCOffset: t.of("", "+08:00", "bad"), OnExhaust: t.of("", "stop", "overage", "throttle"),
			Pool: ptr(t.yes()), Expires: t.of("", "2026-10-19", "2027-01-01", "bad"), WhitelistOnly: ptr(t.yes()), Carrier: t.of("", "460-00")}
		if t.yes() {
			p.IMEIBound = ptr(t.yes())
		}
		return PlanFact{p}
	case 38:
		return SIMStatusFact{protocol.SIMStatus{State: t.of("active", "suspended", "data_cut", "cancelled", "inventory", "test", "unknown", ""),
			Reason: t.of("", "none", "quota", "pool", "arrears", "expiry", "manual", "imei_lock", "unknown"), AsOf: t.wall(), UsedBytes: uint64(t.n(200)) << 20, ExpiresAt: t.wall(), ResumeAt: t.wall()}}
	}
	return []any{LastGood{At: t.wall(), ICCID: t.of("", "a"), IMEI: t.of("", "b"), APN: t.of("", "cmiot"), PLMN: t.plmn(), RSRP: t.dB(-120, 60)},
		Settings{APN: t.of("", "cmiot", "x"), ICCID: t.of("", "a", "c"), IMEI: t.of("", "b", "c")},
		History{SIMFlips10Min: ptr(t.n(6)), USBDrops10Min: ptr(t.n(5)), RSRP: []float64{-90, -91, float64(-90 - t.n(40)), -122}, Onset: t.wall()},
		threegpp.Unparsed{Line: "?", Command: t.of("", "AT")}, nil}[t.n(5)]
}

func (t *tape) command() string {
	return t.of("AT", "+CPIN?", "+CIMI", "+CCID", "+CSQ", "+CGACT=1,1", "+CGATT=1", "D*99#", "+QIACT=1", "+CMGS=\"x\"", "+COPS=?", "^NDISDUP=1,1", "+CFUN=1")
}

// play folds a tape into Known and judges now and then; every judgement must
// keep the promises below.
func (t *tape) play(check func(*Known)) {
	k := &Known{}
	at := instant.Instant{Boot: "a", Trusted: t.yes()}
	if w, ok := wall(t.wall()); ok {
		at.Wall = w
	}
	for step := 0; !t.ended(); step++ {
		at = at.Add([]time.Duration{0, time.Second, 10 * time.Second, time.Minute, time.Hour}[t.n(5)])
		if t.n(50) == 49 {
			at.Boot += "b"
			at.Mono = 0
		}
		k.Observe(Observation{At: at, Source: t.of("at:+CPIN?", "urc:+CEREG", "probe:dns"), Fact: t.fact()})
		if step%8 == 7 {
			check(k)
		}
	}
	check(k)
}

// promises that every judgement keeps, whatever was observed.
func promises(t *testing.T, k *Known) {
	t.Helper()
	d := Diagnose(k, nil)
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf(format, args...)
		t.Logf("%s (%s) margin %.1f %v", d.Class, d.Verdict, d.MarginDB, d.Candidates)
	}
	if !slices.Contains(Classes, d.Class) {
		fail("%q is no class", d.Class)
	}
	switch d.Verdict {
	case Undecided:
		if d.Class != Ambiguous {
			fail("undecided, yet it says %s", d.Class)
		}
	case AllWell:
		if d.Class != Healthy || d.Layer != "" {
			fail("healthy, yet %s at layer %q", d.Class, d.Layer)
		}
	case Likely, Confirmed:
		if d.Class == Ambiguous || d.Class == Healthy {
			fail("%s of %s", d.Verdict, d.Class)
		}
		if d.MarginDB < likelyMargin-0.01 && !slices.Contains(members, d.Class) && d.Class != SuspendedUnspecified {
			fail("%s with a margin of %.1f dB", d.Verdict, d.MarginDB)
		}
		if d.Verdict == Confirmed && d.MarginDB < confirmedGap-0.01 {
			fail("confirmed with a margin of %.1f dB", d.MarginDB)
		}
		if len(d.Evidence) == 0 {
			fail("a verdict without evidence for it")
		}
	default:
		fail("%q is no verdict", d.Verdict)
	}
	sum := 0.0
	for i, c := range d.Candidates {
		if c.P < 0 || c.P > 1 {
			fail("p of %s is %g", c.Class, c.P)
		}
		if i > 0 && c.P > d.Candidates[i-1].P {
			fail("candidates are not in order")
		}
		if c.Class != SuspendedUnspecified { // the group is its members once more
			sum += c.P
		}
	}
	// Each p is rounded to a hundredth.
	if sum > 1.01+0.005*float64(len(d.Candidates)) {
		fail("probabilities sum to %.3f", sum)
	}
	if len(d.Candidates) > maxCandidates || len(d.Evidence) > maxEvidence || len(d.Against) > maxEvidence {
		fail("lists are longer than their bounds")
	}
	if d.Class == SuspendedUnspecified && d.Verdict != Confirmed {
		for _, c := range d.Candidates {
			if slices.Contains(members, c.Class) && c.P >= confirmedP {
				fail("the group is named although %s has p %.2f", c.Class, c.P)
			}
		}
	}
	broken := false
	for _, g := range d.Gates {
		if broken && g.State != GateMasked {
			fail("gate %s is %s above a failed one", g.Layer, g.State)
		}
		broken = broken || g.State == GateFailed
	}
	if len(d.Gates) != len(Layers) {
		fail("%d gates", len(d.Gates))
	}
	for _, e := range append(slices.Clone(d.Evidence), d.Against...) {
		if e.Fact.Key == "" || e.Source == "" || DefaultWeights.Rule[e.Rule].Channel != e.Channel {
			fail("evidence without words, source or row: %+v", e)
		}
	}
	if d.Act.Who == "" || d.Verdict == Undecided && d.DecideBy.Key == "" {
		fail("nobody acts, or nothing would decide")
	}
	agree(k, d.Layer, fail)
	if again := Diagnose(k, nil); !reflect.DeepEqual(d, again) {
		fail("judged twice, answered twice: %+v", again)
	}
	k.Summary()
}

// agree: a layer that is said to fail has a rule that accuses somebody who can fail
// it. Gates and rules once judged apart, and differed.
func agree(k *Known, failed Layer, fail func(string, ...any)) {
	gates, found := k.look().climb()
	if lowestFailed(gates) == "" || failed != lowestFailed(gates) {
		return
	}
	for _, h := range found {
		for _, c := range possible[failed] {
			if v, ok := (weighed{h, DefaultWeights.Rule[h.rule]}).effect(c); ok && v >= 1 {
				return
			}
		}
	}
	fail("layer %s fails and no rule says why", failed)
}

func FuzzObserve(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		f.Add(randomTape(rng, 200))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tp := tape{b: b}
		tp.play(func(k *Known) { promises(t, k) })
	})
}

func randomTape(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.UintN(256))
	}
	return b
}

// TestPromisesHoldForChance is the fuzzer's property over seeded histories.
func TestPromisesHoldForChance(t *testing.T) {
	rng := rand.New(rand.NewPCG(2026, 11))
	n := 0
	said := map[Code]int{}
	for range 400 {
		tp := tape{b: randomTape(rng, 600)}
		tp.play(func(k *Known) {
			promises(t, k)
			n++
			said[Diagnose(k, nil).Class]++
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("%d judgements: %v", n, said)
	if len(said) < 12 {
		t.Errorf("only %d classes met: the histories are too tame", len(said))
	}
}
