package core

import (
	"fmt"
	"os"
	"testing"
	"time"

	"cellwarden/modem/modemtest"
	"cellwarden/protocol"
)

// What the agent itself sends in a day of a healthy line: reports and probes, with
// the plan half used, at 92 % and at 99 %. Over Ethernet the reports do not shrink.
func TestReportsAndProbesShrinkWithThePlan(t *testing.T) {
	data, err := os.ReadFile(scenarioDir + "/healthy.txtar")
	if err != nil {
		t.Fatal(err)
	}
	day := func(t *testing.T, uplink string, used uint64) (reports, probes int) {
		sc, err := modemtest.Parse("day", data)
		if err != nil {
			t.Fatal(err)
		}
		sc.Device["uplink"], sc.Device["poll"] = uplink, "1m"
		w := newWorld(t, sc)
		w.opt.Plan = protocol.Plan{QuotaBytes: 30_000_000, CycleDay: 1}
		w.script = []worldEvent{{time.Second, "uplink connected"}, {2 * time.Minute, fmt.Sprintf("move %d 0", used)}, {25 * time.Hour, "end"}}
		// A round is three probes; one was due before the plan was near its end.
		w.count = func(e Effect) {
			if w.now < time.Hour {
				return // at the start all is asked once
			}
			switch e := e.(type) {
			case Store:
				if e.Type == protocol.TypeState {
					reports++
				}
			case RunProbe:
				probes++
			}
		}
		w.play()
		return reports, probes
	}
	for _, tc := range []struct {
		name            string
		uplink          string
		percent         uint64
		reports, probes [2]int // at least, at most
	}{
		{"half used", "data", 50, [2]int{23, 25}, [2]int{8, 30}},
		{"92 %", "data", 92, [2]int{5, 7}, [2]int{2, 8}},
		{"99 %", "data", 99, [2]int{1, 2}, [2]int{0, 3}},
		{"99 %, reports over Ethernet", "lan", 99, [2]int{23, 25}, [2]int{0, 3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reports, probes := day(t, tc.uplink, 300_000*tc.percent)
			t.Logf("%s: %d reports, %d probes in a day", tc.name, reports, probes)
			if reports < tc.reports[0] || reports > tc.reports[1] || probes < tc.probes[0] || probes > tc.probes[1] {
				t.Errorf("want %v reports, %v probes", tc.reports, tc.probes)
			}
		})
	}
}
