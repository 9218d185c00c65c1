package diag

import (
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// probed is what a list of "target result" at whole seconds leads to, on a line
// that the modem calls good.
func probed(results ...ProbeResult) (*Known, Diagnosis) {
	var k Known
	// A round on a quick line takes less than the clock's step: all at one time.
	at := func(s int) instant.Instant { return instant.Instant{Mono: time.Duration(s) * time.Second, Boot: "b"} }
	k.Observe(Observation{At: at(1), Source: "at:+CPIN", Fact: threegpp.SIM{State: threegpp.SIMReady}})
	k.Observe(Observation{At: at(1), Source: "at:+CEREG", Fact: threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegHome}})
	for i, r := range results {
		k.Observe(Observation{At: at(2 + i/4), Source: "probe:" + r.Probe, Fact: r})
	}
	return &k, Diagnose(&k, nil)
}

var (
	otherOK   = ProbeResult{Probe: "tcp", Target: "third_party", Result: "ok"}
	otherDead = ProbeResult{Probe: "tcp", Target: "third_party", Result: "timeout"}
	ownOK     = ProbeResult{Probe: "broker", Target: "own", Result: "ok"}
	ownDead   = ProbeResult{Probe: "broker", Target: "own", Result: "timeout"}
	nameOK    = ProbeResult{Probe: "dns", Target: "carrier", Result: "ok"}
	nameDead  = ProbeResult{Probe: "dns", Target: "carrier", Result: "timeout"}
)

// What others answered while the own service still answered says nothing of the
// path after it fell silent: the path may have died with it.
func TestAnswersFromBeforeTheSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		seen      []ProbeResult
		confirmed bool
	}{
		"others before the own service's last answer": {[]ProbeResult{nameOK, otherOK, ownOK, ownDead}, false},
		"others after it": {[]ProbeResult{ownOK, nameOK, otherOK, ownDead}, true},
		"others again":    {[]ProbeResult{otherOK, ownOK, ownDead, nameOK, otherOK, ownDead}, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, d := probed(tt.seen...)
			if got := d.Class == CloudUnreachable && d.Verdict == Confirmed; got != tt.confirmed {
				t.Errorf("%s %s, evidence %+v", d.Verdict, d.Class, d.Evidence)
			}
		})
	}
}

// A line that worked and then died is no line that passes and fails in turn.
func TestOneCleanLossIsNotMixed(t *testing.T) {
	lost := []ProbeResult{nameOK, otherOK, ownOK}
	for range 3 {
		lost = append(lost, nameDead, otherDead, otherDead, ownDead)
	}
	if k, d := probed(lost...); k.userPlane().flips != 0 || d.Candidates[0].Class != DataBlackHole {
		t.Errorf("%d flips, %+v", k.userPlane().flips, d.Candidates)
	}
	var inTurn []ProbeResult
	for range 3 {
		inTurn = append(inTurn, nameOK, otherDead, ownDead, nameDead, otherOK, ownDead)
	}
	if k, _ := probed(inTurn...); k.userPlane().flips < 2 {
		t.Errorf("%d flips of a line that comes and goes", k.userPlane().flips)
	}
}

// A command that the module does not know says nothing of the card
// (TS 27.007 §9.2.1: 4, operation not supported).
func TestNotSupportedIsNoCardFault(t *testing.T) {
	for code, fault := range map[int]bool{4: false, 13: true} {
		var k Known
		at := func(s int) instant.Instant { return instant.Instant{Mono: time.Duration(s) * time.Second, Boot: "b"} }
		k.Observe(Observation{At: at(1), Source: "at:+CEREG", Fact: threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegSearching}})
		for i := range 3 {
			k.Observe(Observation{At: at(2 + 5*i), Source: "at:+CIMI", Fact: threegpp.Refusal{Command: "+CIMI", Final: "CME", Code: code}})
		}
		if d := Diagnose(&k, nil); (d.Layer == LayerSIM) != fault {
			t.Errorf("+CME ERROR: %d: %s %s at %s", code, d.Verdict, d.Class, d.Layer)
		}
	}
}
