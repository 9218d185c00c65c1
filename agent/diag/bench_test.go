package diag

import (
	"fmt"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

func ptr[T any](v T) *T { return &v }

// A watcher folds facts at a moment that moves on.
type watcher struct {
	k  Known
	at instant.Instant
}

func newWatcher(wall string) *watcher {
	t, err := time.Parse(time.RFC3339, wall)
	if err != nil {
		panic(err)
	}
	return &watcher{at: instant.Instant{Boot: "b", Wall: t, Trusted: true}}
}

func (w *watcher) wait(d time.Duration) { w.at = w.at.Add(d) }

func (w *watcher) see(source string, facts ...any) {
	for _, f := range facts {
		w.k.Observe(Observation{At: w.at, Source: source, Fact: f})
	}
}

// fullKnown has every ring full and every field set: the worst that a judgement
// can meet. The trouble is a session that is up and silent, the case in which
// most rules speak.
func fullKnown() *Known {
	w := newWatcher("2026-10-20T12:00:00+08:00")
	w.see("plan", PlanFact{protocol.Plan{QuotaBytes: 100 << 20, CycleDay: 27, UTCOffset: "+08:00", OnExhaust: "stop", Expires: "2027-03-31", IMEIBound: ptr(true), Carrier: "460-01"}})
	w.see("meter", Usage{CycleBytes: 99 << 20, Since: "2026-09-27T00:00:00+08:00"})
	w.see("backend", SIMStatusFact{protocol.SIMStatus{State: "active", AsOf: "2026-10-20T01:00:00+08:00"}},
		NeighboursFact{protocol.Neighbours{SameCarrier: 9, SameCarrierDown: 1, AsOf: "2026-10-20T11:00:00+08:00"}})
	w.see("history", LastGood{At: "2026-10-20T11:00:00+08:00", ICCID: "a", IMEI: "b", APN: "3gnet", PLMN: "46001", RSRP: ptr(-90.0)},
		History{SIMFlips10Min: ptr(0), USBDrops10Min: ptr(0), RSRP: []float64{-90, -91, -92, -90, -91, -93}, Onset: "2026-10-20T11:10:00+08:00"})
	w.see("config", Settings{APN: "3gnet", ICCID: "a", IMEI: "b"})
	for i := range 80 {
		w.wait(7 * time.Second)
		w.see("at:+CPIN?", threegpp.SIM{State: threegpp.SIMReady}, threegpp.Done{Command: "+CPIN?"})
		w.see("at:+CIMI", threegpp.IMSI{Value: "460010000000001"}, threegpp.ICCID{Value: "89860000000000000001"}, threegpp.IMEI{Value: "860000000000013"})
		w.see("at:+QENG", threegpp.ServingCell{State: threegpp.CampIdle, RAT: "lte", PLMN: "46001", TAC: "1A2B", Cell: "0152FD0" + fmt.Sprint(i%2)},
			threegpp.Signal{RAT: "lte", RSRP: ptr(-95 - 12*float64(i%2)), SINR: ptr(8.0), Source: "+QENG"})
		w.see("at:+CEREG?", threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegSearching, Cause: threegpp.RejectCause{Protocol: threegpp.EMM, Number: 15 + i%3}},
			threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegHome, AcT: 7})
		w.see("urc:+CGEV", threegpp.ContextEvent{By: "NW", Event: "PDN DEACT", CID: 1})
		w.see("at:+CGACT", threegpp.Refusal{Command: "+CGACT=1,1", Final: "CME", Code: 133},
			threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.ESM, Number: 33}, Procedure: "session", Source: "+CME ERROR"})
		w.see("at:+CGPADDR", threegpp.ContextState{CID: i % 16, Active: true, Addr: "10.1.1.1"}, threegpp.ContextConfig{CID: i % 16, APN: "3gnet"})
		w.see("at:+QGDCNT", threegpp.ByteCounters{TxBytes: uint64(1000 * i), RxBytes: 5})
		w.see("at:+QPING", threegpp.ModemProbe{Probe: "ping", Result: "timeout"}, threegpp.ModemProbe{Probe: "tcp", OK: i%2 == 0, Result: "refused"})
		for _, p := range []ProbeResult{{Probe: "dns", Target: "carrier", Result: "timeout"}, {Probe: "tcp", Target: "third_party", Result: "timeout", Detail: "7100 ms"}, {Probe: "broker", Target: "own", Result: "timeout"}} {
			w.see("probe:"+p.Probe, p)
		}
		w.see("sms", threegpp.SMS{From: "10010", At: w.at.Wall, Text: "温馨提醒：为避免停机，请及时缴费。"})
		w.see("at:+COPS=?", threegpp.Scan{Networks: []threegpp.ScanEntry{{Stat: 1, PLMN: "46000"}, {Stat: 1, PLMN: "46001"}, {Stat: 3, PLMN: "46011"}}})
		for _, name := range []string{"cell", "band", "rat", "plmn"} {
			w.see("at:lock", threegpp.RadioLock{Lock: name, Detail: "none"})
		}
	}
	w.see("counters", Traffic{TxBytes: 4000}, Interface{Name: "wwan0", Present: true, Up: true, Addr: "10.1.1.1"})
	return &w.k
}

// BenchmarkDiagnose is one full judgement of the worst case. The bar is 1 ms on
// amd64; the core asks on every poll round and every ten seconds.
func BenchmarkDiagnose(b *testing.B) {
	k := fullKnown()
	b.ReportAllocs()
	for b.Loop() {
		if d := Diagnose(k, nil); d.Class == "" {
			b.Fatal("no class")
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	w := watcher{k: *fullKnown()}
	w.at = w.k.Now
	b.ReportAllocs()
	for b.Loop() {
		w.wait(time.Second)
		w.see("at:+CEREG?", threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegHome})
	}
}
