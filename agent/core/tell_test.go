package core

import (
	"encoding/json"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// box is a core in a test, with what it stored and said.
type box struct {
	t     *testing.T
	c     *Core
	opt   Options
	at    instant.Instant
	out   map[protocol.Type][]json.RawMessage
	words []protocol.Last
	kept  []byte
}

func newBox(t *testing.T, opt Options) *box {
	opt.Device, opt.Salt, opt.Poll, opt.SlowPoll, opt.LinkPoll, opt.ReportEvery = "d", "s", time.Hour, time.Hour, time.Hour, 24*time.Hour
	b := &box{t: t, opt: opt, out: map[protocol.Type][]json.RawMessage{},
		at: instant.Instant{Boot: "1f2e3d4c", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}}
	b.start()
	return b
}

func (b *box) start() {
	c, err := New(b.opt, b.at, b.kept, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.c = c
	b.do(Started{At{b.at}})
}

func (b *box) do(ev Event) {
	for _, e := range b.c.Step(ev) {
		switch e := e.(type) {
		case Store:
			b.out[e.Type] = append(b.out[e.Type], e.Body)
		case LastWords:
			b.words = append(b.words, e.Words)
		case Persist:
			if e.Name == "core" {
				b.kept = e.Data
			}
		}
	}
}

func (b *box) run(d time.Duration) {
	for end := b.at.Mono + d; b.at.Mono < end; {
		b.at = b.at.Add(5 * time.Second)
		b.do(Tick{At{b.at}})
	}
}

func (b *box) port(state, detail string) { b.do(PortState{At: At{b.at}, State: state, Detail: detail}) }

func (b *box) fact(f any) { b.do(Observed{At: At{b.at}, Source: "at", Fact: f}) }

func last[T any](b *box, typ protocol.Type, want int) T {
	b.t.Helper()
	var v T
	if n := len(b.out[typ]); n != want {
		b.t.Fatalf("%d messages of type %s, want %d: %s", n, typ, want, b.out[typ])
	}
	if want > 0 {
		if err := json.Unmarshal(b.out[typ][want-1], &v); err != nil {
			b.t.Fatal(err)
		}
	}
	return v
}

// A port that another program holds is told after three minutes, once, over a restart
// too, and that it is free again with the same id.
func TestABlindAgentSaysSo(t *testing.T) {
	b := newBox(t, Options{HasModem: true, ModemAt: "/dev/ttyUSB2"})
	b.port("held", "ModemManager (pid 12)")
	b.run(blindHold - 10*time.Second)
	last[protocol.Blind](b, protocol.TypeBlind, 0)
	b.run(20 * time.Second)
	first := last[protocol.Blind](b, protocol.TypeBlind, 1)
	if first.Why != protocol.BlindPortHeld || first.Port != "/dev/ttyUSB2" || first.Holder == "" || first.Over {
		t.Errorf("%+v", first)
	}
	if w := b.words[len(b.words)-1]; w.Blind != protocol.BlindPortHeld {
		t.Errorf("last words %+v", w)
	}
	b.run(time.Minute)
	b.start()
	b.port("held", "ModemManager (pid 12)")
	b.run(10 * time.Minute)
	last[protocol.Blind](b, protocol.TypeBlind, 1)
	b.port("ok", "/dev/ttyUSB2")
	if over := last[protocol.Blind](b, protocol.TypeBlind, 2); !over.Over || over.Incident != first.Incident {
		t.Errorf("%+v after %+v", over, first)
	}
	// For a moment it is nothing.
	b.port("held", "gammu")
	b.run(time.Minute)
	b.port("ok", "/dev/ttyUSB2")
	last[protocol.Blind](b, protocol.TypeBlind, 2)
}

// What the device is made of is told when the modem has said what it is, with the
// identities hashed, and again when something changed; a restart within the hour that
// finds the same says nothing.
func TestInventoryAtTheStartAndOnChange(t *testing.T) {
	b := newBox(t, Options{HasModem: true, Version: "1.0.0", Inventory: protocol.Inventory{Board: "am335x", Arch: "arm", OS: "linux", Config: "01020304"}})
	modem := func(firmware string) {
		b.port("ok", "/dev/ttyUSB2")
		b.fact(threegpp.ModemIdentity{Manufacturer: "Quectel", Model: "EC20F", Revision: firmware})
		b.fact(threegpp.IMEI{Value: "861234567890128"})
		b.fact(threegpp.ICCID{Value: "89860012345678901234"})
		b.do(RoundDone{At{b.at}})
	}
	modem("A01")
	inv := last[protocol.Inventory](b, protocol.TypeInventory, 1)
	if inv.Why != "start" || inv.Model != "EC20F" || inv.IDs != "hashed" || len(inv.IMEI) != 12 || inv.Board != "am335x" || inv.Agent != "1.0.0" {
		t.Errorf("%+v", inv)
	}
	b.run(11 * time.Minute)
	b.start()
	modem("A01")
	b.run(5 * time.Minute)
	last[protocol.Inventory](b, protocol.TypeInventory, 1)
	modem("A02")
	inv = last[protocol.Inventory](b, protocol.TypeInventory, 2)
	if inv.Why != "change" || len(inv.Changed) != 1 || inv.Changed[0] != "firmware" {
		t.Errorf("%+v", inv)
	}
	for ids, want := range map[string]string{IDsClear: "861234567890128", IDsNone: ""} {
		b := newBox(t, Options{HasModem: true, IDs: ids})
		b.port("ok", "")
		b.fact(threegpp.ModemIdentity{Model: "EC20F"})
		b.fact(threegpp.IMEI{Value: "861234567890128"})
		b.run(inventoryWait + 10*time.Second)
		if inv := last[protocol.Inventory](b, protocol.TypeInventory, 1); inv.IMEI != want || inv.IDs != ids {
			t.Errorf("%s: %+v", ids, inv)
		}
	}
}

// One fault has one id, from its alert over a restart to its clear; the last words
// hold it meanwhile, and not afterwards.
func TestOneIncidentFromAlertToClear(t *testing.T) {
	b := newBox(t, Options{HasModem: true})
	b.port("ok", "")
	absent := func() {
		b.fact(threegpp.SIM{State: threegpp.SIMAbsent, Text: "CME 10"})
		b.fact(threegpp.Refusal{Command: "+CPIN?", Final: "CME", Code: 10})
		b.do(RoundDone{At{b.at}})
	}
	absent()
	b.run(20 * time.Second)
	absent()
	a := last[protocol.Alert](b, protocol.TypeAlert, 1)
	if a.Class != "sim_absent" || len(a.Incident) != 12 || a.Act.Code != "sim_absent" || len(a.Act.Steps) == 0 || a.Act.Steps[0] != "sim_absent.1" {
		t.Fatalf("%+v", a)
	}
	b.run(10 * time.Second)
	if w := b.words[len(b.words)-1]; w.Fault == nil || w.Fault.Incident != a.Incident || w.Fault.Who != a.Act.Who {
		t.Errorf("last words %+v", w.Fault)
	}
	b.run(11 * time.Minute)
	again, err := New(b.opt, b.at, b.kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f := again.standing; f == nil || again.incident(f) != a.Incident {
		t.Fatal("the incident is another one after a restart")
	}
	b.c.out = nil
	b.c.clear("reseated", "healthy")
	var over protocol.Clear
	for _, e := range b.c.out {
		if s, ok := e.(Store); ok && s.Type == protocol.TypeClear {
			if err := json.Unmarshal(s.Body, &over); err != nil {
				t.Fatal(err)
			}
		}
	}
	if over.Incident != a.Incident {
		t.Errorf("the clear has id %q, the alert %q", over.Incident, a.Incident)
	}
	b.run(10 * time.Second)
	if w := b.words[len(b.words)-1]; w.Fault != nil {
		t.Errorf("last words after the end: %+v", w.Fault)
	}
}
