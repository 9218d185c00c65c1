package core

import (
	"cellwarden/agent/instant"
	"cellwarden/agent/remedy"
	"fmt"
	"testing"
	"time"
)

// A day of a modem that does not come back, of one that comes and goes, and of one
// that was faulty and is faulty again much later.
func TestResetsArePatient(t *testing.T) {
	const look = 10 * time.Second
	for _, c := range []struct {
		name   string
		faulty func(at time.Duration) bool
		last   time.Duration
		want   string
	}{
		{"dead for a day", func(time.Duration) bool { return true }, 24 * time.Hour, "[5m0s 15m0s 35m0s 1h15m0s 2h35m0s 5h15m0s 10h35m0s 21h15m0s]"},
		{"mute for four minutes", func(at time.Duration) bool { return at < 4*time.Minute }, 24 * time.Hour, "[]"},
		{"back after the first reset", func(at time.Duration) bool { return at <= 5*time.Minute+30*time.Second }, 24 * time.Hour, "[5m0s]"},
		{"flapping: ten minutes faulty, ten minutes well", func(at time.Duration) bool { return at%(20*time.Minute) < 10*time.Minute }, 2 * time.Hour, "[5m0s]"},
		{"again two hours later", func(at time.Duration) bool { return at < 6*time.Minute || at >= 126*time.Minute }, 132 * time.Minute, "[5m0s 2h11m0s]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m climb
			const boot = time.Minute
			var got []time.Duration
			for at := time.Duration(0); at <= c.last; at += look {
				if m.due(rungs[0], boot+at, c.faulty(at)) {
					got = append(got, at)
				}
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("reset at %v, want %s", got, c.want)
			}
		})
	}
}

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
		{"one run", 24 * time.Hour, false, true, 8},
		{"crash loop", 3 * time.Minute, false, true, 8},
		{"reboots", 8 * time.Minute, true, true, 8},
		{"reboots without a clock", 8 * time.Minute, true, false, 1},
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
