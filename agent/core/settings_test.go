package core

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// commanded is a core that obeys signed config commands.
type commanded struct {
	t   *testing.T
	c   *Core
	key ed25519.PrivateKey
	now instant.Instant
	n   int
}

func settingsOptions(key ed25519.PrivateKey) Options {
	return Options{Device: "cw-1", Salt: "s", Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: time.Minute, ReportEvery: time.Hour,
		ProbeEvery: 6 * time.Hour, Probes: []ProbeSpec{{Probe: "tcp", Target: "own", Host: "h:1", Cost: 300}}, ProbeBudget: 40_000,
		Holds: map[diag.Code]time.Duration{diag.WeakSignal: time.Minute}, Allowed: []string{"config", "plan"},
		Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}}
}

func newCommanded(t *testing.T, snapshot []byte) *commanded {
	key := ed25519.NewKeyFromSeed([]byte("cellwarden test key: not secret!"))
	now := instant.Instant{Boot: "1f2e3d4c", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}
	c, err := New(settingsOptions(key), now, snapshot, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &commanded{t: t, c: c, key: key, now: now}
}

// do sends one command and returns its answer and the snapshot that was kept.
func (x *commanded) do(do, args string) (r protocol.Reply, kept []byte) {
	x.t.Helper()
	x.n++
	x.now.Mono += time.Second
	x.now.Wall = x.now.Wall.Add(time.Second)
	cmd, err := protocol.SignCommand(x.key, "cw-1", protocol.Command{V: 1, ID: fmt.Sprint("c-", x.n), Expires: "2026-11-22T05:00:00Z", Do: do, Args: json.RawMessage(args)})
	if err != nil {
		x.t.Fatal(err)
	}
	raw, err := protocol.MarshalCommand(cmd)
	if err != nil {
		x.t.Fatal(err)
	}
	answers := 0
	for _, e := range x.c.Step(Received{At: At{x.now}, Raw: raw}) {
		switch e := e.(type) {
		case Store:
			if e.Type == protocol.TypeReply {
				answers++
				if e.Priority != Alert || json.Unmarshal(e.Body, &r) != nil || r.ID != cmd.ID {
					x.t.Fatalf("%+v %s", e, e.Body)
				}
			}
		case Persist:
			if e.Name == "core" {
				kept = e.Data
			}
		}
	}
	if answers != 1 {
		x.t.Fatalf("%d answers to %s %s", answers, do, args)
	}
	return r, kept
}

func (x *commanded) state() string {
	return fmt.Sprintf("report %s, probes %s, weak_signal %s, over_quota %s, quota %d", x.c.opt.ReportEvery, x.c.probes.every,
		x.c.hold(&fault{Class: diag.WeakSignal}, diag.Diagnosis{}), x.c.hold(&fault{Class: diag.OverQuota}, diag.Diagnosis{}), x.c.plan().QuotaBytes)
}

func TestConfigCommand(t *testing.T) {
	const file = "report 1h0m0s, probes 6h0m0s, weak_signal 1m0s, over_quota 1m0s, quota 0"
	x := newCommanded(t, nil)
	if got := x.state(); got != file {
		t.Fatal(got)
	}
	for _, c := range []struct{ args, state string }{
		{`{"uplink.report_every":"30m"}`, "report 30m0s, probes 6h0m0s, weak_signal 1m0s, over_quota 1m0s, quota 0"},
		{`{"probes.interval":"2h","diag.hold":{"weak_signal":"5m"}}`, "report 30m0s, probes 2h0m0s, weak_signal 5m0s, over_quota 1m0s, quota 0"},
		{`{"diag.hold":{"over_quota":"0s"},"plan":{"quota_bytes":1000000}}`, "report 30m0s, probes 2h0m0s, weak_signal 5m0s, over_quota 0s, quota 1000000"},
	} {
		r, kept := x.do("config", c.args)
		if !r.OK || x.state() != c.state || kept == nil {
			t.Fatalf("%s: %+v, %s", c.args, r, x.state())
		}
		if again := newCommanded(t, kept); again.state() != c.state {
			t.Errorf("after a restart: %s, want %s", again.state(), c.state)
		}
	}
	if next := x.c.Next(); next > x.c.reportAt || x.c.reportAt != x.now.Mono+30*time.Minute {
		t.Errorf("the next report comes at %s, now is %s", x.c.reportAt, x.now.Mono)
	}
	r, kept := x.do("config", `{"reset":true,"uplink.report_every":"2h"}`)
	const reset = "report 2h0m0s, probes 6h0m0s, weak_signal 1m0s, over_quota 1m0s, quota 0"
	if again := newCommanded(t, kept); !r.OK || x.state() != reset || again.state() != reset {
		t.Errorf("after a reset: %+v %s %s", r, x.state(), again.state())
	}
	if string(r.Result) != `{"uplink.report_every":"2h"}` {
		t.Errorf("the answer does not say what is in force: %s", r.Result)
	}
}

// All or nothing, and only what is on the list.
func TestConfigCommandRefused(t *testing.T) {
	x := newCommanded(t, nil)
	before := x.state()
	for _, c := range []struct{ args, says string }{
		{`{"uplink.report_every":"1s"}`, "is not between 1m0s and 168h0m0s"},
		{`{"uplink.report_every":"2h","probes.interval":"1000h"}`, "is not between"},
		{`{"uplink.report_every":30}`, "args:"},
		{`{"uplink.report_every":"often"}`, "is not a duration"},
		{`{"uplink.brokers":["tcp://evil:1883"]}`, "unknown field"},
		{`{"uplink.command_keys":[]}`, "unknown field"},
		{`{"diag.hold":{"no_such":"5m"}}`, "is not a class"},
		{`{"diag.hold":{"weak_signal":"25h"}}`, "is not between"},
		{`{"diag.hold":{"weak_signal":""}}`, "is empty"},
		{`{"plan":{"cycle_day":40}}`, "cycle"},
		{`{"uplink.report_every":"2h","plan":{"utc_offset":"never"}}`, "offset"},
		{``, "args are missing"},
	} {
		if r, _ := x.do("config", c.args); r.OK || !strings.Contains(r.Error, c.says) || x.state() != before {
			t.Errorf("%s: %+v, %s", c.args, r, x.state())
		}
	}
	x.c.opt.Keys, x.c.opt.Unsigned = nil, true // the owner says that nobody else reaches the broker
	if r, _ := x.do("config", `{"uplink.report_every":"2h"}`); r.OK || !strings.Contains(r.Error, "must be signed") || x.state() != before {
		t.Errorf("without keys: %+v", r)
	}
	if r, _ := x.do("plan", `{"quota_bytes":5}`); !r.OK {
		t.Errorf("a plan needs no key where the owner says so: %+v", r)
	}
}

// A newer version's settings, or a narrower bound, do not keep the agent down.
func TestKeptSettingsThatAreRefusedNow(t *testing.T) {
	x := newCommanded(t, nil)
	_, kept := x.do("config", `{"uplink.report_every":"2h"}`)
	old := strings.Replace(string(kept), `"uplink.report_every":"2h"`, `"uplink.report_every":"1s"`, 1)
	if old == string(kept) {
		t.Fatalf("%s", kept)
	}
	if again := newCommanded(t, []byte(old)); again.c.opt.ReportEvery != time.Hour {
		t.Error(again.state())
	}
}

// A card that has left the pool: the backend says so, and what the config says is put
// aside, also after a restart. What the push leaves open stays as configured.
func TestAPushedPlanClearsAFlag(t *testing.T) {
	yes := true
	configured := func(x *commanded) {
		x.c.opt.Plan = protocol.Plan{Pool: &yes, WhitelistOnly: &yes, QuotaBytes: 30 << 20}
	}
	x := newCommanded(t, nil)
	configured(x)
	r, kept := x.do("plan", `{"pool":false,"cycle_day":5}`)
	if !r.OK {
		t.Fatal(r.Error)
	}
	again := newCommanded(t, kept)
	configured(again)
	for name, c := range map[string]*Core{"now": x.c, "after a restart": again.c} {
		p := c.plan()
		if protocol.Is(p.Pool) || !protocol.Is(p.WhitelistOnly) || p.QuotaBytes != 30<<20 || p.CycleDay != 5 {
			t.Errorf("%s: pool %v, whitelist_only %v, %+v", name, protocol.Is(p.Pool), protocol.Is(p.WhitelistOnly), p)
		}
	}
	if !yes {
		t.Error("the push has written into the config")
	}
}
