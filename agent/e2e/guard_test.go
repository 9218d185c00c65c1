package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/protocol"
)

// Near the end of the quota the agent's own traffic shrinks to a twentieth: of
// thirty events of the machine only what fits passes, the machine is told, an
// alert passes at once, and a bigger plan lets all through.
func TestOwnTrafficShrinksNearTheQuota(t *testing.T) {
	t.Parallel()
	s := newStand(t, settings{more: testPace + `
[plan]
quota_bytes = 1000000
cycle_day = 1
on_exhaust = "stop"
`})
	s.agent.start()
	s.agent.connected()
	level := func(want string) localapi.Guard {
		t.Helper()
		var g localapi.Guard
		until(t, "guard level "+want, patient, func() bool {
			var err error
			g, err = s.agent.api.Guard(t.Context())
			return err == nil && g.Level == want
		})
		return g
	}
	level("none")
	s.net.Exchange(1000, 915_000)
	level("save")
	s.net.Exchange(1000, 60_000)
	if g := level("strict"); g.LeftBytes == 0 || g.LeftBytes > 40_000 || g.Percent < 98 {
		t.Errorf("the machine is told %+v", g)
	}
	const n, size = 40, 500 // bytes of noise in an event; a twentieth of the day's budget is 10,000
	for i := range n {
		noise := make([]byte, size)
		_, _ = rand.Read(noise) // does not fail
		if _, errs, code := s.agent.run("event", "put", fmt.Sprintf("sale.%02d", i), "--data", fmt.Sprintf(`{"x":"%x"}`, noise)); code != 0 {
			t.Fatalf("event %d refused: %s", i, errs)
		}
	}
	s.modem.do("sim absent")
	_, took := s.backend.alert(diag.SIMAbsent, patient)
	through := len(s.backend.names())
	if through > n/2 {
		t.Errorf("%d of %d events passed", through, n)
	}
	s.modem.do("sim ready")
	s.broker.pushPlan(protocol.Plan{QuotaBytes: 50_000_000, CycleDay: 1, OnExhaust: "stop"})
	level("none")
	back := until(t, "all events", 2*patient, func() bool { return len(s.backend.names()) == n })
	t.Logf("FIGURE guard: at 98 %% of the quota %d of %d events passed, the alert after %s; all %s after a bigger plan", through, n, seconds(took), seconds(back))
}

// pushPlan is the backend's command.
func (b *broker) pushPlan(p protocol.Plan) {
	b.t.Helper()
	args, err := json.Marshal(p)
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := protocol.MarshalCommand(protocol.Command{V: protocol.Version, ID: "plan", Do: "plan", Args: args,
		Expires: time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	if err != nil {
		b.t.Fatal(err)
	}
	topic := protocol.Topic{Prefix: protocol.DefaultPrefix, Device: device, Leaf: protocol.LeafCommand}.String()
	if out, err := command(b.ns, "mosquitto_pub", b.args("-q", "1", "-t", topic, "-m", string(raw))...).CombinedOutput(); err != nil {
		b.t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}
