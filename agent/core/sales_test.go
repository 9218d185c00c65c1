package core

import (
	"encoding/json"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// Somebody chooses a product: the path is looked at before he pays, but not for every
// customer, and not where the broker's own connection proves it.
func TestThePathIsLookedAtForASale(t *testing.T) {
	at := instant.Instant{Boot: "b", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}
	c, err := New(Options{Device: "d", Poll: time.Hour, SlowPoll: time.Hour, LinkPoll: time.Hour, ReportEvery: 24 * time.Hour,
		Probes: []ProbeSpec{{Probe: "tcp", Target: "own", Host: "h:1", Cost: 500}}, ProbeEvery: 6 * time.Hour, ProbeBudget: 40_000}, at, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	step := func(ev func(At) Event) (probes int) {
		for _, e := range c.Step(ev(At{at})) {
			if _, ok := e.(RunProbe); ok {
				probes++
			}
		}
		return probes
	}
	sell := func(a At) Event { return AboutToSell{a} }
	done := func(a At) Event {
		return ProbeDone{At: a, Result: diag.ProbeResult{Probe: "tcp", Target: "own", Result: "ok"}, Cost: 500}
	}
	step(func(a At) Event { return Started{a} })
	step(func(a At) Event {
		return Links{At: a, Data: diag.Interface{Name: "wwan0", Present: true, Up: true, Addr: "10.0.0.2"}}
	})
	if step(sell) != 1 {
		t.Error("the path was not looked at for the first customer")
	}
	step(done)
	at = at.Add(time.Minute)
	if step(sell) != 0 {
		t.Error("it was looked at again a minute later")
	}
	at = at.Add(sellCheck)
	if step(sell) != 1 {
		t.Error("it was not looked at ten minutes later")
	}
	step(done)
	step(func(a At) Event { return LinkChanged{a, Link{State: "connected", OverData: true}} })
	at = at.Add(time.Hour)
	if step(sell) != 0 {
		t.Error("it was looked at although the broker's connection proves it")
	}
}

// An alert says what an hour costs, as the machine's habit last told.
func TestAlertsSayWhatAnHourCosts(t *testing.T) {
	at := instant.Instant{Boot: "b", Mono: time.Hour}
	c, err := New(Options{Device: "d", Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: time.Hour, ReportEvery: 24 * time.Hour, HasModem: true}, at, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Step(Started{At{at}})
	c.Step(MachineHabit{At{at}, &protocol.Lost{PerHour: 1250, Decimals: 2, Currency: "EUR"}})
	for range 100 {
		at = at.Add(5 * time.Second)
		for _, e := range c.Step(PortState{At: At{at}, State: "silent"}) {
			if s, ok := e.(Store); ok && s.Type == protocol.TypeAlert {
				var a protocol.Alert
				if err := json.Unmarshal(s.Body, &a); err != nil {
					t.Fatal(err)
				}
				if a.Lost == nil || a.Lost.PerHour != 1250 {
					t.Errorf("the alert says %+v", a.Lost)
				}
				return
			}
		}
	}
	t.Error("no alert was raised")
}

// While somebody buys, a step that takes the line away waits; two minutes later it does
// not wait for him any more.
func TestRecoveryWaitsForABuyer(t *testing.T) {
	at := instant.Instant{Boot: "b", Mono: time.Hour}
	c, err := New(Options{Device: "d", Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: time.Hour, ReportEvery: 24 * time.Hour}, at, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Step(Started{At{at}})
	if c.busy() {
		t.Error("busy, though nobody is there")
	}
	c.Step(AboutToSell{At{at}})
	if !c.busy() {
		t.Error("somebody has just chosen, and it is not busy")
	}
	at = at.Add(buyingFor)
	c.Step(Tick{At{at}})
	if c.busy() {
		t.Error("still busy after the purchase")
	}
}
