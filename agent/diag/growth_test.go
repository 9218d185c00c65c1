package diag

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"testing"
	"time"

	"cellwarden/modem/threegpp"
)

// sizes lists the length of every slice and map of Known.
func sizes(k *Known) map[string]int {
	out := map[string]int{}
	v := reflect.ValueOf(k).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Slice, reflect.Map:
			out[v.Type().Field(i).Name] = f.Len()
		}
	}
	return out
}

// TestKnownDoesNotGrowOverAYear: a poll every five minutes for a year, with cells,
// contexts, locks and states that are always new where a modem could send new
// ones, leaves Known at the bounds it reached in the first month.
func TestKnownDoesNotGrowOverAYear(t *testing.T) {
	w := newWatcher("2026-01-01T00:00:00+08:00")
	poll := func(i int) {
		w.wait(5 * time.Minute)
		n := func(max int) int { return (i * 7919) % max }
		w.see("at:+CPIN?", threegpp.SIM{State: []threegpp.SIMState{threegpp.SIMReady, threegpp.SIMAbsent}[n(2)]}, threegpp.Done{Command: "+CPIN?"})
		w.see("at:+QENG", threegpp.ServingCell{State: threegpp.CampState(fmt.Sprint(n(3000))), PLMN: "46000", Cell: fmt.Sprint(i)},
			threegpp.Signal{RAT: "lte", RSRP: ptr(-90.0 - float64(n(40))), Source: "+QENG"},
			threegpp.Signal{RAT: "lte", RSRP: ptr(-90.0), Port: fmt.Sprint("port", n(3000)), Source: "+QRSRP"})
		w.see("at:+CEREG?", threegpp.Registration{Domain: threegpp.Domain(fmt.Sprint("d", n(3000))), Stat: threegpp.RegStat(n(90))},
			threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegSearching, Cause: threegpp.RejectCause{Protocol: threegpp.EMM, Number: n(120)}})
		w.see("at", threegpp.ContextState{CID: i, Active: n(2) == 0, Addr: "10.0.0.1"}, threegpp.ContextConfig{CID: i, APN: "x", Set: true},
			threegpp.ContextEvent{By: "NW", Event: "DETACH"}, threegpp.Refusal{Command: "+CGACT=1,1", Final: "ERROR", Code: -1},
			threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.ESM, Number: 33}}, threegpp.ByteCounters{TxBytes: uint64(i)},
			threegpp.ModemProbe{Probe: "ping"}, threegpp.RadioLock{Lock: fmt.Sprint("lock", n(3000))}, threegpp.Restarted{Text: "RDY"},
			threegpp.Scan{}, threegpp.SMS{From: "10086", Text: "您的号码已停机"}, ProbeResult{Probe: "dns", Target: "own", Result: "timeout", Host: fmt.Sprint(i)})
	}
	const day = 24 * 12
	for i := range 30 * day {
		poll(i)
	}
	early := sizes(&w.k)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 335 * day {
		poll(30*day + i)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	late := sizes(&w.k)
	for name, n := range late {
		if n > early[name] || n > 64 {
			t.Errorf("%s holds %d, after a month %d", name, n, early[name])
		}
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	shown, _ := json.Marshal(late)
	t.Logf("after a year: %s", shown)
	promises(t, &w.k)
}

// TestJudgementIsCheap holds the bar of 1 ms for the worst case on amd64.
func TestJudgementIsCheap(t *testing.T) {
	if os.Getenv("CELLWARDEN_BENCH") == "" {
		t.Skip("judges a pace, on a quiet machine: make bench sets CELLWARDEN_BENCH=1")
	}
	k := fullKnown()
	best := time.Hour
	for range 50 { // the best of many: other tests share the machine
		start := time.Now()
		Diagnose(k, nil)
		best = min(best, time.Since(start))
	}
	t.Logf("a worst-case judgement took %s", best)
	if best > time.Millisecond {
		t.Errorf("a judgement took %s, at most 1 ms is allowed", best)
	}
}
