package core

import (
	"cellwarden/agent/instant"
	"cellwarden/agent/remedy"
	"fmt"
	"testing"
	"time"
)

// dead is a core on a board with a reset line whose modem does not open.
func dead(t *testing.T, at instant.Instant, kept []byte) *Core {
	t.Helper()
	c, err := New(Options{Device: "vm-1", Salt: "s", Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: 10 * time.Second, ReportEvery: 24 * time.Hour,
		ProbeEvery: 24 * time.Hour, HasModem: true, Steps: []remedy.Step{StepResetLine}}, at, kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Step(Started{At{at}})
	return c
}

// A board whose agent dies and starts anew every three minutes, and one that a
// watchdog reboots every eight, with a trusted clock and without: no restart buys a
// reset that the wait does not allow.
func TestRestartsBuyNoReset(t *testing.T) {
	for _, x := range []struct {
		name    string
		every   time.Duration // between restarts
		reboot  bool
		trusted bool
		most    int // resets in a day
	}{
		{"one run", 24 * time.Hour, false, true, 6},
		{"crash loop", 3 * time.Minute, false, true, 6},
		{"reboots", 8 * time.Minute, true, true, 6},
		{"reboots without a clock", 8 * time.Minute, true, false, 6},
	} {
		t.Run(x.name, func(t *testing.T) {
			at := instant.Instant{Boot: "boot-0", Mono: time.Minute, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: x.trusted}
			var kept []byte
			resets, began := 0, at.Wall
			for boot := 0; at.Wall.Sub(began) < 24*time.Hour; boot++ {
				if x.reboot {
					at.Boot, at.Mono = fmt.Sprint("boot-", boot), time.Minute
				}
				c := dead(t, at, kept)
				answer := func(effects []Effect) {
					for _, e := range effects {
						switch e := e.(type) {
						case Persist:
							if e.Name == "core" {
								kept = e.Data
							}
						case Remedy:
							resets++
							c.Step(RemedyDone{At: At{at}, Step: e.Step, Result: remedy.Done})
						}
					}
				}
				answer(c.Step(PortState{At: At{at}, State: "absent"}))
				for end := at.Wall.Add(x.every); at.Wall.Before(end); {
					at.Mono, at.Wall = at.Mono+10*time.Second, at.Wall.Add(10*time.Second)
					answer(c.Step(Tick{At{at}}))
				}
				if x.reboot {
					answer(c.Step(Stopping{At{at}}))
				}
			}
			if resets == 0 || resets > x.most {
				t.Errorf("%d resets in a day, want 1 to %d", resets, x.most)
			}
		})
	}
}
