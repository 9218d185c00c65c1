package fleet

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
)

func table(t *testing.T) *Table {
	t.Helper()
	tb, err := LoadTable()
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func words(used, quota uint64, rsrp float64) *protocol.Last {
	return &protocol.Last{Class: "healthy", Verdict: "healthy", Used: used, Quota: quota, OnExhaust: "stop", RSRP: &rsrp}
}

func TestLastWords(t *testing.T) {
	tb := table(t)
	no, yes := false, true
	s := func(f func(*Silence)) Silence {
		x := Silence{Now: noon, Since: noon.Add(-30 * time.Minute), Last: words(10, 100, -90), Neighbours: 40}
		f(&x)
		return x
	}
	for _, c := range []struct {
		name         string
		s            Silence
		class        string
		certain, ask bool
	}{
		{"nothing is known", Silence{Now: noon, Since: noon}, "ambiguous", false, true},
		{"data used up, before the platform is asked", s(func(x *Silence) { x.Last = words(99, 100, -90) }), "over_quota", true, true},
		{"the same, and the platform says so", s(func(x *Silence) {
			x.Last = words(99, 100, -90)
			x.Platform = &PlatformWord{State: "data_cut", Reason: "quota", AsOf: noon, Used: 1}
		}), "over_quota", true, false},
		{"the platform says arrears", s(func(x *Silence) {
			x.Platform = &PlatformWord{State: "suspended", Reason: "arrears", AsOf: noon, Used: -1}
		}), "arrears", true, false},
		{"stopped for no known reason", s(func(x *Silence) {
			x.Platform = &PlatformWord{State: "suspended", Reason: "unknown", AsOf: noon, Used: -1}
		}), "suspended_unspecified", true, false},
		{"the whole site", s(func(x *Silence) { x.SiteDark = true }), "power", true, false},
		{"at closing hour", s(func(x *Silence) { x.ClosingHour = true; x.Returns, x.Booted = 3, 3 }), "power", true, false},
		{"told to stop", s(func(x *Silence) { x.Ordered = true }), "stop", true, true},
		{"an outage", s(func(x *Silence) { x.Outage, x.Down = true, 20 }), "carrier_outage", true, false},
		{"weak and falling, flapping", s(func(x *Silence) {
			x.Last = words(10, 100, -121)
			x.Last.Fault = &protocol.Standing{Class: "weak_signal", Unstable: true}
			x.Last.Waiting, x.RSRPFell, x.SiteLit = 40, 8, true
		}), "weak_signal", true, false},
		{"good signal, paid, others of the site heard: which of the machine's faults is open", s(func(x *Silence) {
			x.SiteLit, x.SameCarrierLit = true, true
			x.Platform = &PlatformWord{State: "active", Reason: "none", AsOf: noon, Used: 0.1, Session: &no}
		}), "ambiguous", false, false},
		{"the network still has its session", s(func(x *Silence) {
			x.Platform = &PlatformWord{State: "active", Reason: "none", AsOf: noon, Used: 0.1, Session: &yes}
		}), "ambiguous", false, false},
		{"our own side", s(func(x *Silence) { x.Ours = true }), "ours", true, false},
	} {
		got := tb.Judge(c.s)
		if got.Class != c.class || got.P >= Certain != c.certain || got.Ask != c.ask {
			t.Errorf("%s: %s %.2f of %s %.2f, ask %v, by %q; want %s", c.name, got.Class, got.P, got.Group, got.GroupP, got.Ask,
				got.DecideBy, c.class)
		}
		if got.P < 0.95 && got.DecideBy == "" {
			t.Errorf("%s: %.2f and nothing that would decide", c.name, got.P)
		}
		if got.P >= Certain && len(got.Evidence) == 0 {
			t.Errorf("%s: said without evidence", c.name)
		}
	}
}

// Old news of the platform weigh half.
func TestThePlatformsWordAges(t *testing.T) {
	tb := table(t)
	fresh := Silence{Now: noon, Since: noon, Last: words(10, 100, -90), Platform: &PlatformWord{State: "suspended", Reason: "arrears",
		AsOf: noon, Used: -1}}
	old := fresh
	old.Platform = &PlatformWord{State: "suspended", Reason: "arrears", AsOf: noon.Add(-25 * time.Hour), Used: -1}
	a, b := tb.Judge(fresh), tb.Judge(old)
	if a.Class != "arrears" || a.P <= b.P || !b.Ask {
		t.Errorf("fresh %.2f, old %.2f, ask %v", a.P, b.P, b.Ask)
	}
}

// played draws a silence of a known cause. The chances are those of the field as we
// imagine it, and not the table's: meters that lag, platforms that say nothing, habits
// that are none.
func played(r *rand.Rand, platform bool) (Silence, string) {
	chance := func(p float64) bool { return r.Float64() < p }
	causes := []struct {
		class string
		n     float64
	}{{"power", 38}, {"carrier_outage", 8}, {"weak_signal", 15}, {"over_quota", 12}, {"arrears", 6}, {"expired_or_cancelled",
		2}, {"admin_suspended", 2},
		{"imei_lock", 1}, {"sim_fault", 4}, {"modem_fault", 7}, {"device_dead", 4}, {"stop", 1}}
	x, class := r.Float64()*100, ""
	for _, c := range causes {
		if x -= c.n; x < 0 {
			class = c.class
			break
		}
	}
	rsrp := -95 + 9*r.NormFloat64()
	used := uint64(100 * r.Float64() * 0.96)
	s := Silence{Now: noon.Add(10 * time.Minute), Since: noon, Last: words(used, 100, rsrp), Neighbours: 5 + r.IntN(60), Returns: 3}
	s.Last.Waiting = r.IntN(3)
	s.Last.Expires = "2027-04-30"
	s.Booted = map[bool]int{true: 3, false: r.IntN(3)}[chance(0.35)]
	alone := chance(0.35)
	s.SiteLit, s.SameCarrierLit = !alone, !alone && chance(0.5)
	s.Down = r.IntN(2)
	w := &PlatformWord{State: "active", Reason: "none", AsOf: noon.Add(5 * time.Minute), Used: float64(used) / 100}
	session := false
	w.Session = &session
	stop := func(state, reason string) {
		w.State, w.Reason = state, reason
		if chance(0.2) {
			w.Reason = "unknown"
		}
		if chance(0.1) { // the platform is behind
			w.State, w.Reason = "active", "none"
		}
	}
	switch class {
	case "power":
		if chance(0.4) && !alone {
			s.SiteDark, s.SiteLit, s.SameCarrierLit = true, false, false
		}
		s.ClosingHour = chance(0.45)
		if chance(0.6) {
			s.Booted = 3
		}
	case "carrier_outage":
		s.Outage = chance(0.85)
		s.Down = s.Neighbours / 2
		s.SameCarrierLit = s.SameCarrierLit && chance(0.2)
	case "weak_signal":
		rsrp = -116 + 5*r.NormFloat64()
		s.Last.RSRP = &rsrp
		if chance(0.6) {
			s.Last.Fault = &protocol.Standing{Class: "weak_signal", Unstable: chance(0.6)}
		}
		if chance(0.5) {
			s.RSRPFell = 4 + 6*r.Float64()
		}
		s.Last.Waiting = r.IntN(60)
	case "over_quota":
		s.Last.Used = 96 + uint64(r.IntN(5))
		if chance(0.15) { // the meter was not told of another device's use
			s.Last.Used = 60
		}
		w.Used = 1
		stop("data_cut", "quota")
	case "arrears":
		stop("suspended", "arrears")
	case "expired_or_cancelled":
		if chance(0.7) {
			s.Last.Expires = "2026-11-20"
		}
		stop("suspended", "expiry")
	case "admin_suspended":
		stop("suspended", "manual")
	case "imei_lock":
		stop("suspended", "imei_lock")
	case "stop":
		s.Ordered = chance(0.9)
	case "device_dead", "modem_fault":
		if chance(0.25) {
			session = true
		}
		if class == "modem_fault" && chance(0.3) {
			s.Last.Fault = &protocol.Standing{Class: "modem_fault"}
		}
	case "sim_fault":
		if chance(0.5) {
			s.Last.Fault = &protocol.Standing{Class: "sim_fault", Unstable: chance(0.5)}
		}
	}
	if platform {
		s.Platform = w
	}
	return s, class
}

// The bar: said with 0.8 and more, right in 80 % and more. With the platform's word more
// is said, and as well.
func TestLastWordsOverPlayedSilences(t *testing.T) {
	tb := table(t)
	const n = 20_000
	said := map[bool]int{}
	for _, platform := range []bool{false, true} {
		r := rand.New(rand.NewPCG(7, 18))
		by := map[string][3]int{}
		right, sure := 0, 0
		for range n {
			s, class := played(r, platform)
			got := tb.Judge(s)
			row := by[class]
			row[0]++
			if got.P >= Certain {
				sure++
				row[1]++
				if got.Class == class || got.Class == "suspended_unspecified" && tb.Group[class] == "subscription" {
					right++
					row[2]++
				}
			}
			by[class] = row
		}
		said[platform] = sure
		t.Logf("with the platform's word %v: said with 0.8 and more %d of %d, right %.1f %%", platform, sure, n,
			100*float64(right)/float64(sure))
		for _, c := range strings.Fields("power carrier_outage weak_signal over_quota arrears expired_or_cancelled admin_suspended imei_lock sim_fault modem_fault device_dead stop") {
			t.Logf("  %-22s %5d  said %5d  right %5d", c, by[c][0], by[c][1], by[c][2])
		}
		if float64(right) < 0.8*float64(sure) || sure < n/5 {
			t.Errorf("of %d said %d are right", sure, right)
		}
	}
	if said[true] < said[false]*5/4 {
		t.Errorf("the platform's word adds little: %d against %d", said[true], said[false])
	}
}

// Where only the group is known no cause is named with confidence: a stopped card without
// the platform's word, a machine's own faults that look alike from here.
func TestOnlyTheGroupIsKnown(t *testing.T) {
	tb := table(t)
	r := rand.New(rand.NewPCG(8, 18))
	asked := 0
	for i := range 5000 {
		s := Silence{Now: noon, Since: noon, Last: words(uint64(r.IntN(79)), 100, -95+5*r.NormFloat64()), Neighbours: 20 + r.IntN(20),
			SiteLit: true, SameCarrierLit: r.IntN(2) == 0}
		off := false
		if i%2 == 0 { // the card is well and the machine is not
			s.Platform = &PlatformWord{State: "active", Reason: "none", AsOf: noon, Used: 0.3, Session: &off}
		}
		got := tb.Judge(s)
		if got.P >= Certain {
			t.Fatalf("said %s with %.2f", got.Class, got.P)
		}
		if got.DecideBy == "" {
			t.Fatal("nothing that would decide")
		}
		if got.Ask {
			asked++
		}
	}
	if asked < 2000 {
		t.Errorf("the platform is asked in %d of 2500", asked)
	}
}

func TestReliability(t *testing.T) {
	var list []Closed
	for i := range 100 {
		c := Closed{At: noon.AddDate(0, 0, 7*(i%2)), Said: "power", P: 0.9, Truth: "power"}
		if i%10 == 0 {
			c.Truth = "over_quota"
		}
		if i%25 == 7 {
			c.Truth = ""
		}
		list = append(list, c)
	}
	weeks := Reliability(list)
	if len(weeks) != 2 || !weeks[0].Monday.Equal(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)) || weeks[1].N+weeks[1].Open != 50 {
		t.Fatalf("%+v", weeks)
	}
	b := weeks[1].Bins[3]
	if b.Low != 0.9 || b.High != 0.95 || b.N != 48 || b.Right != 38 || !b.Enough() {
		t.Errorf("%+v", b)
	}
}

// A fleet whose silent machines with a dark site were mostly out of data would move that
// weight, and only as a proposal.
func TestFitProposes(t *testing.T) {
	tb := table(t)
	before := tb.Row["site_dark"].DB["power"]
	var list []Closed
	for range 400 {
		s := Silence{Now: noon, Since: noon, Last: words(50, 100, -90), SiteDark: true}
		list = append(list, Closed{At: noon, Features: s.Features(), Truth: "over_quota"})
	}
	got := fmt.Sprint(tb.Fit(list))
	if !strings.Contains(got, "site_dark over_quota: -15.0 -> ") || !strings.Contains(got, "site_dark power: +20.0 -> ") {
		t.Error(got)
	}
	if tb.Row["site_dark"].DB["power"] != before {
		t.Error("a weight moved by itself")
	}
	if tb.Fit(list[:10]) != nil {
		t.Error("ten silences are too few")
	}
}

func TestTruth(t *testing.T) {
	for _, c := range []struct {
		own, platform  string
		booted, update bool
		class, by      string
	}{{"over_quota", "", true, false, "over_quota", "alert"}, {"", "arrears", false, false, "arrears", "platform"}, {"healthy", "",
		true, false, "power", "boot"},
		{"ambiguous", "", false, false, "", ""}, {"", "", true, true, "stop", "update"}} {
		if class, by := Truth(c.own, c.platform, c.booted, c.update); class != c.class || by != c.by {
			t.Errorf("%+v: %s by %s", c, class, by)
		}
	}
}
