package diag

import (
	"testing"
	"time"

	"cellwarden/modem/threegpp"
)

// A modem reads the last cause back for ever (field-notes (d) 11: stale fields).
// What a success ended is evidence again only after something new was refused.
func TestACauseThatASuccessEndedIsNotReadBackAsNew(t *testing.T) {
	w := newWatcher("2026-05-11T09:00:00+08:00")
	home := threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegHome}
	ceer := threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.ESM, Number: 33}, Procedure: "session", Source: "+CEER"}
	up := threegpp.ContextState{CID: 1, Active: true, Addr: "10.63.118.204"}
	closed := threegpp.ContextEvent{By: "NW", Event: "PDN DEACT", CID: 1}
	w.wait(10 * time.Second)
	w.see("at:+CEREG?", home, up)
	w.wait(10 * time.Second)
	w.see("urc:+CGEV", closed)
	w.wait(10 * time.Second)
	w.see("at:+CEER", ceer)
	if d := Diagnose(&w.k, nil); d.Layer != LayerSession || !hasRule(d.Evidence, "session_not_subscribed_unknown") {
		t.Fatalf("refused: %s of %s, %+v", d.Class, d.Layer, d.Evidence)
	}
	w.wait(10 * time.Second)
	w.see("at:+CGPADDR", up)
	w.wait(10 * time.Second)
	w.see("at:+CEER", ceer)
	if d := Diagnose(&w.k, nil); d.Layer == LayerSession {
		t.Errorf("works again, the cause read back: %s of %s", d.Class, d.Layer)
	}
	w.wait(10 * time.Second)
	w.see("at:+CEREG?", threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegSearching}, threegpp.Signal{BER: -1, Source: "+CSQ", NotKnown: true})
	w.wait(10 * time.Second)
	w.see("at:+CEER", ceer)
	w.see("urc:+CGEV", closed) // the session falls with the registration
	w.see("at:+CEER", ceer)
	if d := Diagnose(&w.k, nil); hasRule(d.Evidence, "session_not_subscribed_unknown") {
		t.Errorf("searching: the old cause speaks: %s (%s) %+v", d.Class, d.Verdict, d.Evidence)
	}
	w.wait(10 * time.Second)
	w.see("at:+CEREG?", home)
	w.wait(10 * time.Second)
	w.see("urc:+CGEV", closed)
	w.wait(10 * time.Second)
	w.see("at:+CEER", ceer)
	if d := Diagnose(&w.k, nil); !hasRule(d.Evidence, "session_not_subscribed_unknown") {
		t.Errorf("refused once more: %s of %s, %+v", d.Class, d.Layer, d.Evidence)
	}
}
