package core

import (
	"strings"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/remedy"
	"cellwarden/modem/threegpp"
)

// A firmware reset wrote another APN. The technician looks at what changed, and has the
// good set put back: the APN is written by the step that has a budget, what is secret
// stays with its owner, and a third try within the hour is refused with the reason.
func TestGoodSettingsAreShownAndPutBack(t *testing.T) {
	at := instant.Instant{Boot: "b", Mono: time.Minute, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}
	c, err := New(Options{Device: "vm-1", Salt: "s", Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: time.Minute, ReportEvery: 24 * time.Hour,
		ProbeEvery: 24 * time.Hour, HasModem: true, Steps: []remedy.Step{stepLastAPN}}, at, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	says := func(facts ...any) {
		for _, f := range facts {
			c.Step(Observed{At: At{at}, Source: "at:+CGDCONT", Fact: f})
		}
	}
	c.Step(PortState{At: At{at}, State: "ok"})
	says(threegpp.ContextConfig{CID: 1, Type: "IP", APN: "cmiot", AuthHash: "aa11"}, threegpp.Operator{Mode: 0})
	c.settingsWork()
	says(threegpp.ContextConfig{CID: 1, Type: "IP", APN: "cmnet", AuthHash: "bb22"}, threegpp.Operator{Mode: 1})
	got := c.View().Settings.Suspects()
	keys := []string{}
	for _, s := range got {
		keys = append(keys, s.Key)
	}
	if want := "modem.apn.1 modem.auth.1 modem.operator_mode"; strings.Join(keys, " ") != want {
		t.Errorf("suspects %v, want %s", keys, want)
	}
	restore := func() (done Restored, order Remedy) {
		for _, e := range c.Step(RestoreSettings{At: At{at}, ID: 1, Token: "t"}) {
			switch e := e.(type) {
			case Restored:
				done = e
			case Remedy:
				order = e
			}
		}
		return done, order
	}
	done, order := restore()
	if order.Step != stepLastAPN || order.APN != "cmiot" || order.CID != "1" || order.PDPType != "IP" || done.Error != "" {
		t.Errorf("ordered %+v, answered %+v", order, done)
	}
	if strings.Join(done.Leave, " ") != "modem.auth.1 modem.operator_mode" {
		t.Errorf("left to their owners: %v", done.Leave)
	}
	if done, order = restore(); order.Step != "" || done.Error == "" {
		t.Errorf("a second order while the first runs: %+v %+v", done, order)
	}
	for range 2 {
		c.Step(RemedyDone{At: At{at}, Step: stepLastAPN, Result: remedy.Done})
		at.Mono, at.Wall = at.Mono+time.Minute, at.Wall.Add(time.Minute)
		restore()
	}
	c.Step(RemedyDone{At: At{at}, Step: stepLastAPN, Result: remedy.Done})
	if done, order = restore(); order.Step != "" || !strings.Contains(done.Error, "limit") {
		t.Errorf("the fourth change within the hour: %+v %+v", done, order)
	}
}
