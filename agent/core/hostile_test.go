package core

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/remedy"
	"cellwarden/protocol"
)

// foreignCore is a core with everything allowed and nobody's signature wanted: the
// most that a stranger on the broker could have.
func foreignCore(t testing.TB, snapshot []byte) (*Core, error) {
	t.Helper()
	at := instant.Instant{Boot: "1f2e3d4c", Mono: time.Minute, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}
	return New(Options{Device: "vm-1", Version: "v1", Unsigned: true, Salt: strings.Repeat("0", 32), Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: time.Minute,
		ReportEvery: time.Hour, ProbeEvery: time.Hour, HasModem: true, Steps: []remedy.Step{StepRadioCycle}, BlockAt: 100,
		Allowed: []string{"plan", "sim_status", "neighbours", "diagnose", "report", "bundle", "confirm", "time", "config", "update", "audit"}}, at, snapshot, nil)
}

// maxKept is what the snapshot may grow to, whatever is sent: a flash of 4 MB writes it
// some times a day, and flash.MaxStateBytes reads no more than 1 MB back.
const maxKept = 64 << 10

// sound is what must hold after any event: what is to be sent can be sent, what is
// kept is small and can be read back.
func sound(t testing.TB, out []Effect) {
	t.Helper()
	for _, e := range out {
		switch e := e.(type) {
		case Store:
			env := protocol.Envelope{V: 1, Device: "vm-1", Epoch: "0a1b2c3d", Seq: math.MaxUint64, Type: e.Type, At: WireTime(e.At), Body: e.Body}
			if _, err := protocol.MarshalEnvelope(env); err != nil {
				t.Fatalf("a %s that no envelope carries: %v", e.Type, err)
			}
		case Persist:
			if len(e.Data) > maxKept {
				t.Fatalf("%s keeps %d bytes", e.Name, len(e.Data))
			}
			if e.Name == "core" {
				if _, err := foreignCore(t, e.Data); err != nil {
					t.Fatalf("what is kept cannot be read back: %v\n%s", err, e.Data)
				}
			}
		}
	}
}

// play gives c one command and an hour after it.
func (c *Core) hear(t testing.TB, raw []byte, retained bool) (answered int) {
	t.Helper()
	now := c.now
	for i, ev := range []func(At) Event{
		func(at At) Event { return Received{At: at, Raw: raw, Retained: retained} },
		func(at At) Event {
			return Links{At: at, Readings: []meter.Reading{{Interface: "wwan0", Index: 3, RxBytes: 1 << 40, TxBytes: 1 << 20}}, Data: diag.Interface{Name: "wwan0"}}
		},
		func(at At) Event { return Tick{At: at} },
	} {
		at := now
		at.Mono += time.Duration(i) * 30 * time.Minute
		at.Wall = at.Wall.Add(time.Duration(i) * 30 * time.Minute)
		out := c.Step(ev(At{at}))
		sound(t, out)
		for _, e := range out {
			if s, ok := e.(Store); ok && s.Type == protocol.TypeReply && i == 0 {
				answered++
			}
		}
	}
	return answered
}

// Commands that no honest backend sends. None may stop the agent, none may be kept at
// any length, each is answered once, and the numbers stay numbers.
func TestHostileCommands(t *testing.T) {
	const life = `"expires":"2026-11-23T00:00:00Z"`
	plan := func(args string) string { return `{"v":1,"id":"x","do":"plan",` + life + `,"args":` + args + `}` }
	status := func(args string) string {
		return `{"v":1,"id":"x","do":"sim_status",` + life + `,"args":` + args + `}`
	}
	for name, tt := range map[string]struct {
		raw   string
		taken bool
	}{
		"nothing":                       {"", false},
		"a list":                        {"[]", false},
		"a number of a thousand digits": {`{"v":` + strings.Repeat("9", 1000) + `}`, false},
		"nested a thousand deep":        {plan(strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)), false},
		"the same key twice":            {`{"v":1,"id":"x","id":"y","do":"report","do":"bundle",` + life + `}`, true},
		"wrong types":                   {`{"v":"1","id":7,"do":{},"expires":[]}`, false},
		"a newline in the id":           {`{"v":1,"id":"a\nb","do":"report",` + life + `}`, false},
		"a shell in do":                 {`{"v":1,"id":"x","do":"$(reboot)",` + life + `}`, false},
		"expires in the year 9999":      {`{"v":1,"id":"x","do":"report","expires":"9999-12-31T23:59:59Z"}`, false},
		"quota 0":                       {plan(`{"quota_bytes":0}`), true},
		"quota -1":                      {plan(`{"quota_bytes":-1}`), false},
		"quota 2^63":                    {plan(`{"quota_bytes":9223372036854775808}`), true},
		"quota 2^64-1":                  {plan(`{"quota_bytes":18446744073709551615}`), true},
		"quota 2^64":                    {plan(`{"quota_bytes":18446744073709551616}`), false},
		"quota 1e300":                   {plan(`{"quota_bytes":1e300}`), false},
		"thresholds NaN":                {plan(`{"thresholds":[NaN]}`), false},
		"thresholds as words":           {plan(`{"thresholds":["NaN"]}`), false},
		"thresholds below and above":    {plan(`{"thresholds":[0,-5,2147483647]}`), false},
		"a thousand thresholds":         {plan(`{"thresholds":[` + strings.Repeat("80,", 999) + `80]}`), false},
		"cycle day 2^31":                {plan(`{"cycle_day":2147483648}`), false},
		"expires long ago":              {plan(`{"expires":"0001-01-01"}`), true},
		"retention for ever":            {plan(`{"retention_days":9999999}`), false},
		"a carrier of 10 KB":            {plan(`{"carrier":"` + strings.Repeat("4", 10<<10) + `"}`), false},
		"a status of 15 KB":             {status(`{"state":"` + strings.Repeat("a", 7<<10) + `","carrier_raw":"` + strings.Repeat("卡", 2500) + `"}`), true},
		"used 2^64-1 in the year 1":     {status(`{"state":"active","used_bytes":18446744073709551615,"used_as_of":"0001-01-01T00:00:00Z"}`), true},
		"used 2^64-1 in a year 9999":    {status(`{"state":"suspended","used_bytes":18446744073709551615,"used_as_of":"9999-12-31T23:59:59Z","plan_bytes":18446744073709551615,"resume_at":"9999-12-31T23:59:59Z"}`), true},
		"an unknown state":              {status(`{"state":"\u0000<script>"}`), true},
		"minus neighbours":              {`{"v":1,"id":"x","do":"neighbours",` + life + `,"args":{"same_carrier":-5,"same_carrier_down":2147483647,"as_of":"` + strings.Repeat("x", 9000) + `"}}`, true},
		"time without a key":            {`{"v":1,"id":"x","do":"time",` + life + `,"args":{"now":"2026-11-22T04:00:00Z"}}`, false},
		"config without a key":          {`{"v":1,"id":"x","do":"config",` + life + `,"args":{"plan":{"quota_bytes":1}}}`, false},
	} {
		for _, retained := range []bool{false, true} {
			c, err := foreignCore(t, nil)
			if err != nil {
				t.Fatal(err)
			}
			sound(t, c.Step(Started{At: At{c.now}}))
			before := len(c.replay.Seen)
			if n := c.hear(t, []byte(tt.raw), retained); n != 1 && !strings.Contains(tt.raw, `"bundle"`) {
				t.Errorf("%s: %d answers", name, n)
			}
			if taken := len(c.replay.Seen) > before; taken && !tt.taken && !strings.Contains(tt.raw, `"args"`) {
				t.Errorf("%s: obeyed", name)
			}
			if u := c.usage; math.IsNaN(u.Percent) || math.IsInf(u.Percent, 0) || u.Percent < 0 {
				t.Errorf("%s: %v per cent are used", name, u.Percent)
			}
			if tt.taken == false && (c.pushedPlan != nil || c.simStatus != nil) {
				t.Errorf("%s: plan %+v, status %+v", name, c.pushedPlan, c.simStatus)
			}
		}
	}
}

// A year of a hostile backend: a plan, a status and neighbours for another card every
// hour. What is kept and remembered stays small.
func TestAYearOfHostileCommands(t *testing.T) {
	c, err := foreignCore(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Step(Started{At: At{c.now}})
	junk := strings.Repeat("x", 5000)
	for i := range 365 * 24 {
		do, args := "plan", fmt.Sprintf(`{"quota_bytes":%d,"iccid":"8986009988776655%04d"}`, i, i)
		switch i % 3 {
		case 1:
			do, args = "sim_status", fmt.Sprintf(`{"state":"s%d%s","carrier_raw":"%s"}`, i, junk, junk)
		case 2:
			do, args = "diagnose", `{}`
		}
		at := c.now
		at.Mono += time.Hour
		at.Wall = at.Wall.Add(time.Hour)
		raw := fmt.Sprintf(`{"v":1,"id":"c-%d","do":%q,"expires":%q,"args":%s}`, i, do, at.Wall.Add(time.Hour).Format(time.RFC3339), args)
		sound(t, c.Step(Received{At: At{at}, Raw: []byte(raw)}))
	}
	if n := len(c.snapshot()); n > 16<<10 {
		t.Errorf("after a year %d bytes are kept", n)
	}
	if len(c.askers) > maxAskers || len(c.resting) > maxCards || len(c.replay.Seen) > protocol.MaxSeen {
		t.Errorf("%d wait, %d cards, %d ids", len(c.askers), len(c.resting), len(c.replay.Seen))
	}
}

func FuzzCommands(f *testing.F) {
	for _, do := range []string{"plan", "sim_status", "neighbours", "diagnose", "report", "confirm", "update", "config", "time"} {
		f.Add(do, []byte(`{"quota_bytes":31457280,"cycle_day":1,"thresholds":[80],"state":"active","used_bytes":5,"used_as_of":"2026-11-22T04:00:00Z","class":"arrears","same_carrier":3,"url":"http://h/m"}`), true)
	}
	f.Add("plan", []byte(`{"quota_bytes":18446744073709551615,"iccid":"8986"}`), false)
	f.Fuzz(func(t *testing.T, do string, args []byte, retained bool) {
		c, err := foreignCore(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Step(Started{At: At{c.now}})
		raw := fmt.Sprintf(`{"v":1,"id":"x","expires":"2026-11-23T00:00:00Z","do":%q,"args":%s}`, do, args)
		c.hear(t, []byte(raw), retained)
		c.hear(t, args, retained)
		c.View()
	})
}

func FuzzRestore(f *testing.F) {
	c, err := foreignCore(f, nil)
	if err != nil {
		f.Fatal(err)
	}
	c.Step(Started{At: At{c.now}})
	c.hear(f, []byte(`{"v":1,"id":"x","do":"plan","expires":"2026-11-23T00:00:00Z","args":{"quota_bytes":5}}`), false)
	f.Add(c.snapshot())
	f.Add([]byte(`{"v":1,"standing":{"class":"nonsense","layer":"x"},"changes":[{}],"resting":[{"key":"a"}],"plan":{"cycle_day":-1}}`))
	f.Add([]byte(`{"v":1,"replay":{"floor":"9999-12-31T23:59:59Z","seen":null},"settings":{"diag.hold":{"x":"1h"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := foreignCore(t, data)
		if err != nil {
			return
		}
		c.Step(Started{At: At{c.now}})
		c.hear(t, []byte(`{"v":1,"id":"y","do":"report","expires":"2026-11-23T00:00:00Z"}`), false)
		if c.View(); !json.Valid(c.snapshot()) {
			t.Fatal("the snapshot is no JSON")
		}
	})
}

// A device without keys: whoever may publish on the broker can ask how things stand, and
// change nothing.
func TestWithoutKeysOnlyHarmlessCommandsAreObeyed(t *testing.T) {
	at := instant.Instant{Boot: "b", Mono: time.Minute, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}
	c, err := New(Options{Device: "vm-1", Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: time.Minute, ReportEvery: time.Hour, ProbeEvery: time.Hour,
		Allowed: []string{"plan", "sim_status", "neighbours", "diagnose", "report", "bundle", "confirm", "update"}}, at, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, do := range []string{"plan", "sim_status", "neighbours", "bundle", "confirm", "update", "report"} {
		raw := fmt.Sprintf(`{"v":1,"id":"c-%d","do":%q,"expires":"2026-11-22T05:00:00Z","args":{"quota_bytes":5}}`, i, do)
		refused := false
		for _, e := range c.Step(Received{At: At{at}, Raw: []byte(raw)}) {
			if s, ok := e.(Store); ok && s.Type == protocol.TypeReply {
				refused = strings.Contains(string(s.Body), "uplink.command_keys")
			}
		}
		if refused != (do != "report") {
			t.Errorf("%s: refused %v", do, refused)
		}
	}
	if c.pushedPlan != nil {
		t.Error("an unsigned plan is in force")
	}
}
