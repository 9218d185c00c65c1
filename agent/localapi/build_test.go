package localapi

import (
	"reflect"
	"testing"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
)

// A board without a clock whose modem another program holds, a minute after its start:
// the picture says who holds it, that nothing was heard, and that the time is not known.
func TestBuildSaysWhatIsKnown(t *testing.T) {
	now := instant.Instant{Boot: "b", Mono: time.Minute, Wall: time.Unix(60, 0)}
	v := core.View{Now: now, Diagnosis: diag.Diagnosis{Class: diag.ModemFault}, Since: now}
	c := Counters{Now: now, Device: "vm-1", Version: "v1", UplinkOn: true, RetryAt: 90 * time.Second,
		Modem: ModemCounters{Port: "/dev/ttyUSB2", State: "held", Detail: "pppd (612)"}}
	s := Build(v, c)
	if s.Modem.HeldBy != "pppd (612)" || s.Modem.LastAnswerS != -1 {
		t.Errorf("modem %+v", s.Modem)
	}
	if s.Uplink.State != "connecting" || s.Uplink.RetryInS != 30 {
		t.Errorf("uplink %+v", s.Uplink)
	}
	if s.Usage != nil {
		t.Errorf("nothing is metered, and the usage is %+v", s.Usage)
	}
	if len(s.Troubles) != 1 || s.Troubles[0].Key != "clock_untrusted" || len(c.Troubles) != 0 {
		t.Errorf("troubles %+v", s.Troubles)
	}
	if again := Build(v, c); !reflect.DeepEqual(s, again) {
		t.Errorf("the same view and counters gave %+v and %+v", s, again)
	}
}
