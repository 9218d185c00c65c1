package core

import (
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
)

// TestAModemThatIsNotThere holds how sure the agent may be, by what this install
// has seen: only a modem that was there and is gone is a confirmed fault.
func TestAModemThatIsNotThere(t *testing.T) {
	at := func(s int) At {
		return At{instant.Instant{Boot: "b", Mono: time.Duration(s) * time.Second}}
	}
	start := func(modemAt string, kept []byte) *Core {
		c, err := New(Options{ModemAt: modemAt, HasModem: true, Salt: "s"}, at(0).Instant, kept, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Step(Started{at(0)})
		return c
	}
	answered := start("auto", nil)
	answered.Step(PortState{At: at(1), State: "ok", Detail: "/dev/ttyUSB2"})
	seen := answered.snapshot()
	for _, tt := range []struct {
		name, modemAt string
		kept          []byte
		state         string
		class         diag.Code
		verdict       diag.Verdict
		decide        string
	}{
		{"first install, nothing on USB", "auto", nil, "absent", diag.ModemFault, diag.Likely, "decide.port"},
		{"first install, nothing answers at the port", "/dev/ttyS1", nil, "silent", diag.ModemFault, diag.Likely, "decide.port"},
		{"first install, a scale on the port", "/dev/ttyS1", nil, "garbage", diag.ModemFault, diag.Likely, "decide.port"},
		{"seen before the restart and gone", "auto", seen, "absent", diag.ModemFault, diag.Confirmed, ""},
		{"seen elsewhere, the config was changed since", "/dev/ttyS1", seen, "absent", diag.ModemFault, diag.Likely, "decide.port"},
		{"kept by an older agent, it had worked", "auto", []byte(`{"v":1,"last_good":{"At":"2026-05-11T09:00:00+08:00"}}`), "absent", diag.ModemFault, diag.Confirmed, ""},
		{"first install, /sys cannot be read", "auto", nil, "unreadable", diag.Ambiguous, diag.Undecided, "decide.board"},
		{"seen before, and /sys cannot be read now", "auto", seen, "unreadable", diag.Ambiguous, diag.Undecided, "decide.board"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := start(tt.modemAt, tt.kept)
			c.Step(PortState{At: at(2), State: tt.state, Detail: "why"})
			c.Step(RoundDone{at(15)})
			if d := c.diag; d.Class != tt.class || d.Verdict != tt.verdict || d.DecideBy.Key != tt.decide {
				t.Errorf("said %s (%s), to decide %q; want %s (%s), %q", d.Class, d.Verdict, d.DecideBy.Key, tt.class, tt.verdict, tt.decide)
			}
		})
	}
}
