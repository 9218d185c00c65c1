package core

import (
	"os"
	"testing"
	"time"

	"cellwarden/modem/modemtest"
	"cellwarden/modem/threegpp"
)

// maxSnapshot bounds what the core keeps on the flash, in bytes.
const maxSnapshot = 8 << 10

func yearWorld(t testing.TB, script string) *world {
	t.Helper()
	sc, err := modemtest.Parse("year", []byte("A year.\n-- device --\nprofile quectel-ec2x\ncarrier 460-00\nclock 2026-01-01T00:00:00+08:00\nuplink data\npoll 2h\n"+
		"-- modem --\nsignal rsrp=-88 rsrq=-9 sinr=14\nsession active addr=10.63.118.204\n"+script))
	if err != nil {
		t.Fatal(err)
	}
	tt, ok := t.(*testing.T)
	if !ok {
		tt = &testing.T{}
	}
	return newWorld(tt, sc)
}

// A year with a fault every day and a confirmation each time leaves rings and
// snapshot within their bounds.
func TestNothingGrowsOverAYear(t *testing.T) {
	w := yearWorld(t, "-- script --\n10h every 24h until 8740h sim absent\n14h every 24h until 8744h sim ready\n14h every 24h until 8744h reg home\n"+
		"14h every 24h until 8744h session active addr=10.63.118.205\n-- world --\n1s uplink connected\n15h confirm sim_fault technician every 24h until 8745h\n8760h end\n")
	largest, ring := 0, 0
	w.after = func() {
		largest, ring = max(largest, len(w.kept["core"])), max(ring, w.core.ring.Bytes())
	}
	w.play()
	c := w.core
	if largest == 0 || largest > maxSnapshot || ring > 256<<10 || len(c.changes) > 2*flapChanges || len(c.flips) > flapChanges+1 || len(c.traffic) > 16 || len(c.warnings) > 8 {
		t.Errorf("snapshot %d, ring %d, changes %d, flips %d, traffic %d, warnings %d", largest, ring, len(c.changes), len(c.flips), len(c.traffic), len(c.warnings))
	}
	if n := len(w.seen); n < 700 {
		t.Errorf("only %d messages: the year did not happen", n)
	}
	t.Logf("after %v: snapshot at most %d bytes, ring %d of %d, %d entries thinned out", w.now, largest, ring, 256<<10, c.ring.Dropped())
}

// One observation with its judgement, on a full recorder.
func BenchmarkStep(b *testing.B) {
	data, err := os.ReadFile(scenarioDir + "/healthy.txtar")
	if err != nil {
		b.Fatal(err)
	}
	sc, err := modemtest.Parse("healthy", data)
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld(&testing.T{}, sc)
	w.play()
	b.ReportAllocs()
	for b.Loop() {
		w.now += time.Second
		w.core.Step(Observed{At: At{w.instant()}, Source: "urc:+CEREG", Fact: threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegHome, URC: true, ActiveTimeS: -1, PeriodicTAUS: -1}, Unsolicited: true})
	}
}
