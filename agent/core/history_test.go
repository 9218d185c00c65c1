package core

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/modem/modemtest"
	"cellwarden/protocol"
)

// trouble is one thing that the simulator can break and mend again: script lines
// for the modem, world lines for the rest, and the names that are right for it.
type trouble struct {
	name         string
	breaks, cure []string // of the modem
	world, heal  []string // of the world
	right        []diag.Code
	green        time.Duration // how long "all well" may still be said; 0: a minute
}

const (
	deadNet  = "net third_party=timeout own=timeout carrier=timeout"
	livesNet = "net third_party=ok own=ok carrier=ok"
)

var stops = []diag.Code{diag.SuspendedUnspecified, diag.Arrears, diag.OverQuota, diag.AdminSuspended, diag.ExpiredOrCancelled}

var troubles = []trouble{
	{name: "card out", breaks: []string{"sim absent", "reg idle", "session closed"}, cure: []string{"sim ready", "reg home", "session active addr=10.1.1.ADDR"},
		world: []string{"addr none", deadNet}, heal: []string{"addr 10.1.1.ADDR", livesNet}, right: []diag.Code{diag.SIMAbsent, diag.SIMFault}},
	{name: "denied 8", breaks: []string{"reg denied cause=8", "session closed"}, cure: []string{"reg home", "session active addr=10.1.1.ADDR"},
		world: []string{"addr none", deadNet}, heal: []string{"addr 10.1.1.ADDR", livesNet}, right: stops},
	{name: "denied 7", breaks: []string{"reg denied cause=7", "session closed"}, cure: []string{"reg home", "session active addr=10.1.1.ADDR"},
		world: []string{"addr none", deadNet}, heal: []string{"addr 10.1.1.ADDR", livesNet}, right: stops},
	{name: "session 33", breaks: []string{"session closed reject=33"}, cure: []string{"session active addr=10.1.1.ADDR"},
		world: []string{"addr none", deadNet}, heal: []string{"addr 10.1.1.ADDR", livesNet}, right: append([]diag.Code{diag.APNConfig}, stops...)},
	{name: "searching", breaks: []string{"signal none", "reg searching", "session closed"}, cure: []string{"signal rsrp=-88 rsrq=-9 sinr=14", "reg home", "session active addr=10.1.1.ADDR"},
		world: []string{"addr none", deadNet}, heal: []string{"addr 10.1.1.ADDR", livesNet},
		right: []diag.Code{diag.NoCoverage, diag.AntennaFault, diag.RATBandConfig, diag.CarrierOutage}},
	{name: "black hole", world: []string{deadNet, "move 0 400"}, heal: []string{livesNet, "move 4000 4000"}, right: []diag.Code{diag.DataBlackHole, diag.CarrierOutage}},
	{name: "cloud down", world: []string{"net own=timeout third_party=ok carrier=ok"}, heal: []string{livesNet}, right: []diag.Code{diag.CloudUnreachable}},
	{name: "login refused", world: []string{"uplink down unauthorized"}, right: []diag.Code{diag.CloudUnreachable}},
	{name: "interface down", world: []string{"iface down", deadNet}, heal: []string{"iface up", livesNet}, right: []diag.Code{diag.DialerDown}},
	{name: "airplane", breaks: []string{"radio airplane", "reg idle", "session closed"}, cure: []string{"radio on", "reg home", "session active addr=10.1.1.ADDR"},
		world: []string{"addr none", deadNet}, heal: []string{"addr 10.1.1.ADDR", livesNet}, right: []diag.Code{diag.ModemOffOrAirplane}},
	{name: "mute", breaks: []string{"mute"}, cure: []string{"unmute"}, world: []string{deadNet}, heal: []string{livesNet},
		right: []diag.Code{diag.ModemFault, diag.DataBlackHole, diag.CarrierOutage}},
	{name: "restart", breaks: []string{"reboot"}, cure: []string{"session active addr=10.1.1.ADDR"}, world: []string{"addr none", deadNet}, heal: []string{"addr 10.1.1.ADDR", livesNet},
		right: []diag.Code{diag.ModemFault, diag.DialerDown, diag.ModemOffOrAirplane, diag.SIMFault}},
}

var histories = flag.Int("histories", 6, "random histories of TestRandomHistories")

// settle is how long after a change nothing is held against the agent: a poll, a
// round of probes, a dialer.
const settle = 60 * time.Second

// TestRandomHistories breaks and mends the line at random. The agent never says
// "all well" for more than a minute over a line that passes no packets, never
// confirms a fault on one that does, names only what stands, shows one state on
// every screen, and has a clear for every alert.
func TestRandomHistories(t *testing.T) {
	for seed := range *histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playHistory(t, uint64(seed)) })
	}
}

type spell struct {
	from, to time.Duration
	trouble
}

func playHistory(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	span := func(from, to time.Duration) time.Duration {
		return (from + time.Duration(rng.Int64N(int64(to-from)))).Round(time.Second)
	}
	lan := rng.IntN(4) == 0
	var script, world []string
	var spells []spell
	world = append(world, "1s uplink connected")
	at := span(2*time.Minute, 10*time.Minute)
	for i := range 2 + rng.IntN(5) {
		x := troubles[rng.IntN(len(troubles))]
		if lan && (x.name == "login refused" || x.name == "cloud down") {
			continue // not of this line
		}
		to := at + span(2*time.Minute, 25*time.Minute)
		addr := strings.NewReplacer("ADDR", fmt.Sprint(10+i))
		for _, l := range x.breaks {
			script = append(script, fmt.Sprintf("%v %s", at, l))
		}
		for _, l := range x.world {
			if strings.HasPrefix(l, "move") {
				l += fmt.Sprintf(" every 5s until %v", min(to-time.Second, at+2*time.Minute))
				world = append(world, fmt.Sprintf("%v %s", at+time.Second, l))
				continue
			}
			world = append(world, fmt.Sprintf("%v %s", at, l))
		}
		if !lan && x.name != "login refused" {
			world = append(world, fmt.Sprintf("%v uplink down timeout", at+span(time.Second, 30*time.Second)))
		}
		for _, l := range x.cure {
			script = append(script, fmt.Sprintf("%v %s", to, addr.Replace(l)))
		}
		for _, l := range x.heal {
			world = append(world, fmt.Sprintf("%v %s", to, addr.Replace(l)))
		}
		world = append(world, fmt.Sprintf("%v uplink connected", to+span(2*time.Second, 20*time.Second)))
		spells = append(spells, spell{at, to, x})
		at = to + span(3*time.Minute, 40*time.Minute)
	}
	end := at + 80*time.Minute
	world = append(world, fmt.Sprintf("%v end", end))
	over := map[bool]string{true: "lan", false: "data"}[lan]
	text := "A random history.\n-- device --\nprofile quectel-ec2x\nmanufacturer Quectel\nmodel EC20F\ncarrier 460-00\nclock 2026-05-11T09:00:00+08:00\nuplink " + over +
		"\n-- modem --\nsignal rsrp=-88 rsrq=-9 sinr=14\nsession active addr=10.1.1.1\n-- script --\n" + strings.Join(script, "\n") +
		"\n-- world --\n" + strings.Join(world, "\n") + "\n"
	sc, err := modemtest.Parse("history", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, sc)
	var told []string
	w.count = func(e Effect) {
		if s, ok := e.(Store); ok && (s.Type == protocol.TypeAlert || s.Type == protocol.TypeClear) {
			told = append(told, string(s.Type))
		}
	}
	var greenSince time.Duration = -1
	w.after = func() { judgeHistory(t, w, spells, lan, &greenSince) }
	w.play()
	alerts, clears := 0, 0
	for _, s := range told {
		if s == string(protocol.TypeAlert) {
			alerts++
		} else {
			clears++
		}
	}
	if v := w.core.View(); v.Standing != nil || alerts < clears {
		t.Errorf("at the end, 80 minutes after the last cure, %+v stands (judged %s %s %s); %d alerts, %d clears", v.Standing, v.Diagnosis.Class, v.Diagnosis.Verdict, v.Diagnosis.Layer, alerts, clears)
	}
	if t.Failed() {
		t.Logf("%s\n%s", text, strings.Join(w.seen, "\n"))
	}
}

func judgeHistory(t *testing.T, w *world, spells []spell, lan bool, greenSince *time.Duration) {
	if t.Failed() {
		return
	}
	v := w.core.View()
	d := v.Diagnosis
	stamp := w.now.Round(time.Second)
	var standing *spell
	changed := time.Duration(0)
	for i := range spells {
		s := &spells[i]
		if s.from <= w.now {
			changed = s.from
			if s.to <= w.now {
				changed = s.to
			} else {
				standing = s
			}
		}
	}
	green := d.Verdict == diag.AllWell
	limit := settle
	if standing != nil && lan && standing.name == "black hole" {
		limit = settle + 15*time.Second // one look at the counters, one round of probes
	}
	switch {
	case standing == nil || !green:
		*greenSince = -1
	case *greenSince < 0:
		*greenSince = max(w.now, standing.from)
	case w.now-*greenSince > limit:
		t.Errorf("at %v: all well for %v while %q stands since %v", stamp, w.now-*greenSince, standing.name, standing.from)
	}
	if w.now-changed < settle {
		return
	}
	if d.Verdict == diag.Confirmed && standing == nil {
		t.Errorf("at %v: %s confirmed on a line that works since %v: %+v\n%+v", stamp, d.Class, changed, d.Evidence, v.Known.Probes)
	}
	if standing != nil && (d.Verdict == diag.Confirmed || d.Verdict == diag.Likely) && !slices.Contains(standing.right, d.Class) {
		t.Errorf("at %v: %s (%s) while %q stands since %v", stamp, d.Class, d.Verdict, standing.name, standing.from)
	}
	oneState(t, v)
}

// oneState: headline, layers, alerts and details of one view cannot differ.
func oneState(t *testing.T, v View) {
	d := v.Diagnosis
	failed := diag.Layer("")
	for _, g := range d.Gates {
		if g.State == diag.GateFailed {
			failed = g.Layer
		}
	}
	switch {
	case d.Verdict == diag.AllWell && failed != "":
		t.Errorf("all well, and layer %s fails", failed)
	case d.Verdict == diag.AllWell && d.Class != diag.Healthy:
		t.Errorf("all well, and the class is %s", d.Class)
	case d.Verdict != diag.AllWell && d.Class == diag.Healthy:
		t.Errorf("%s, and the class is healthy", d.Verdict)
	case failed != "" && d.Layer != failed:
		t.Errorf("layer %s fails, %s is said to", failed, d.Layer)
	case d.Verdict == diag.AllWell && v.Known.SessionUp != nil && !*v.Known.SessionUp && d.Candidates[0].P < 0.95:
		t.Errorf("all well, unproved, and the session is inactive")
	}
}
