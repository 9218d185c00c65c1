package fleet

import (
	"fmt"
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)

// town has sites of one machine each: n of carrier A and m of carrier B in one district.
func town(w *Watch, n, m int) {
	for i := range n + m {
		c := "46000"
		if i >= n {
			c = "46001"
		}
		w.Know(Machine{ID: int64(i + 1), Tenant: "t", Site: fmt.Sprint("s", i), District: "bj/haidian", Carrier: c})
	}
}

func silence(w *Watch, at time.Time, ids ...int64) (out []Finding) {
	for i, id := range ids {
		at := at.Add(time.Duration(i) * time.Minute)
		out = append(out, w.Silent(id, at, at.Add(-30*time.Minute))...)
	}
	return out
}

func ids(from, to int) (list []int64) {
	for i := from; i <= to; i++ {
		list = append(list, int64(i))
	}
	return list
}

func kinds(list []Finding) string {
	s := ""
	for _, f := range list {
		s += fmt.Sprintf("%s %s %s %d", f.Kind, f.Scope, f.Verdict, len(f.Members))
		if !f.Ended.IsZero() {
			s += " ended"
		}
		s += "; "
	}
	return s
}

func TestAnOutageIsFoundToldAndEnded(t *testing.T) {
	w := NewWatch()
	town(w, 40, 40)
	got := silence(w, noon, ids(1, 9)...)
	if len(got) == 0 || got[0].Kind != Outage || got[0].Verdict != "confirmed" || got[0].Carrier != "46000" ||
		got[0].Scope != "bj/haidian" {
		t.Fatal(kinds(got))
	}
	if same, down, _ := w.Of(20); same != 39 || down != 9 {
		t.Errorf("neighbours: %d of %d", down, same)
	}
	if w.Explained(3) != "outage" || w.Explained(20) != "" {
		t.Errorf("explained %q %q", w.Explained(3), w.Explained(20))
	}
	var ended []Finding
	for i := range 9 {
		ended = append(ended, w.Back(int64(i+1), noon.Add(2*time.Hour))...)
	}
	if len(ended) != 1 || ended[0].Ended.IsZero() {
		t.Error(kinds(ended))
	}
}

// The same silences of all carriers are no carrier's outage.
func TestWhatTakesAllCarriersIsNoOutage(t *testing.T) {
	w := NewWatch()
	town(w, 40, 40)
	var got []Finding
	for i := range 12 {
		got = append(got, silence(w, noon.Add(time.Duration(i)*time.Minute), int64(i+1), int64(i+41))...)
	}
	if len(got) != 0 {
		t.Error(kinds(got))
	}
}

// Without another carrier in the district nothing is confirmed.
func TestNoContrastNoConfirmation(t *testing.T) {
	w := NewWatch()
	town(w, 40, 0)
	got := silence(w, noon, ids(1, 9)...)
	if len(got) == 0 || got[0].Verdict != "likely" || got[0].DecideBy == "" {
		t.Error(kinds(got))
	}
}

func TestOwnAlertsExplainSilences(t *testing.T) {
	w := NewWatch()
	town(w, 40, 40)
	for i := range 12 {
		at := noon.Add(time.Duration(i) * 30 * time.Second)
		got := w.Silent(int64(i+1), at, at.Add(-30*time.Minute))
		w.Explain(int64(i+1), "alert")
		if len(got) > 0 {
			t.Fatal(kinds(got))
		}
	}
}

// All machines of a site, of two carriers: its power. It does not count towards an outage.
func TestASiteWithoutPower(t *testing.T) {
	w := NewWatch()
	var got []Finding
	for s := range 10 {
		for k := range 3 {
			c := []string{"46000", "46000", "46001"}[k]
			w.Know(Machine{ID: int64(s*3 + k), Tenant: "t", Site: fmt.Sprint("s", s), District: "bj/haidian", Carrier: c})
		}
	}
	for s := range 2 {
		for k := range 3 {
			got = append(got, silence(w, noon.Add(time.Duration(s*3+k)*time.Minute), int64(s*3+k))...)
		}
	}
	if kinds(got) != "site s0 likely 3; site s1 likely 3; " {
		t.Error(kinds(got))
	}
	if w.Explained(0) != "site" {
		t.Error(w.Explained(0))
	}
	// A machine of one carrier alone at its site may be the carrier's fault: no word.
	w.Know(Machine{ID: 99, Tenant: "t", Site: "alone", District: "bj/haidian", Carrier: "46000"})
	if got := silence(w, noon.Add(time.Hour), 99); len(got) != 0 {
		t.Error(kinds(got))
	}
}

// The members of a pool stop together: one finding, and no outage.
func TestAPoolStopsItsMembers(t *testing.T) {
	for _, c := range []struct {
		name  string
		share float64 // < 0: the platform has not said
		want  string
	}{
		{"the platform says it is used up", 1, "pool P confirmed 4"},
		{"the platform has not been asked", -1, "pool P undecided 5"},
		{"the platform says that half is left", 0.5, "outage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewWatch()
			if c.share >= 0 {
				w.PoolUsed("t", "P", c.share)
			}
			for i := range 60 {
				m := Machine{ID: int64(i + 1), Tenant: "t", Site: fmt.Sprint("s", i), District: "bj/haidian", Carrier: "46000"}
				if i < 10 {
					m.Pool = "P"
				}
				if i >= 30 {
					m.Carrier = "46001"
				}
				w.Know(m)
			}
			got := silence(w, noon, ids(1, 9)...)
			if len(got) == 0 {
				t.Fatal("nothing found")
			}
			if c.want == "outage" {
				if got[0].Kind != Outage {
					t.Error(kinds(got))
				}
				return
			}
			if len(got) != 1 || got[0].Kind != Pool || got[0].Class != "over_quota" ||
				kinds(got)[:len(c.want)-1] != c.want[:len(c.want)-1] {
				t.Error(kinds(got))
			}
			if _, _, down := w.Of(10); down != 9 {
				t.Errorf("%d members silent, want 9", down)
			}
		})
	}
}

// Our own broker: no alert of anybody else, while it is young and when all fall at once.
func TestOurOwnSideIsNobodysOutage(t *testing.T) {
	w := NewWatch()
	town(w, 40, 40)
	w.Young(noon)
	if got := silence(w, noon.Add(time.Minute), ids(1, 30)...); len(got) != 0 {
		t.Error("after a restart: " + kinds(got))
	}
	w = NewWatch()
	for i := range 90 {
		w.Know(Machine{ID: int64(i + 1), Tenant: "t", Site: fmt.Sprint("s", i), District: fmt.Sprint("bj/d", i%3),
			Carrier: []string{"46000", "46001"}[i/3%2]})
	}
	var got []Finding
	for i := range 90 {
		got = append(got, w.Silent(int64(i+1), noon.Add(time.Duration(i)*time.Second), noon.Add(-30*time.Minute))...)
	}
	if len(got) != 1 || got[0].Kind != Ours {
		t.Error("all at once: " + kinds(got))
	}
}

// A city's outage is told of the city, once silent sites lie outside of the district that
// was seen first.
func TestTheLargestScopeIsTold(t *testing.T) {
	w := NewWatch()
	for i := range 160 {
		w.Know(Machine{ID: int64(i + 1), Tenant: "t", Site: fmt.Sprint("s", i), District: []string{"gd/sz/nanshan", "gd/sz/futian"}[i%2],
			Carrier: []string{"46000", "46001"}[i/80]})
	}
	var got []Finding
	for i := range 40 { // the even ones first
		id := int64(2*i + 1)
		if i >= 20 {
			id = int64(2*(i-20) + 2)
		}
		got = append(got, w.Silent(id, noon.Add(time.Duration(i)*15*time.Second), noon.Add(-25*time.Minute))...)
	}
	open := ""
	for _, f := range got {
		switch {
		case f.Ended.IsZero() && f.Scope != open:
			open = f.Scope
		case !f.Ended.IsZero() && f.Scope == open:
			open = ""
		}
	}
	if open != "gd/sz" || w.groups[groupKey{"t", "46000", "gd/sz/nanshan"}].outage != nil {
		t.Errorf("told of %q: %s", open, kinds(got))
	}
	if w.Explained(1) != "outage" || w.Explained(40) != "outage" {
		t.Error("a member was forgotten")
	}
}

func TestTails(t *testing.T) {
	// R: pnbinom(4, size=2, mu=0.5, lower=FALSE) and others.
	for _, c := range []struct {
		k          int
		mean, want float64
	}{{1, 0.5, 1 - math.Pow(0.8, 2)}, {2, 0.5, 1 - math.Pow(0.8, 2)*(1+2*0.2)}, {0, 3, 1}, {3, 0, 0}} {
		if got := nbTail(c.k, c.mean, 2); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("P(K >= %d | %v) = %v, want %v", c.k, c.mean, got, c.want)
		}
	}
	if p := nbTail(60, 0.5, 2); p <= 0 || p > 1e-30 {
		t.Errorf("a far tail is %g", p)
	}
	for _, c := range []struct {
		a, n, b, m int
		from, to   float64
	}{{30, 100, 1, 60, 1.5e-6, 1.7e-6}, {8, 20, 1, 30, 0.0015, 0.0017}, {5, 10, 0, 10, 0.0155, 0.0165}, {3, 3, 0, 40, 7.9e-5,
		8.2e-5}, {30, 100, 18, 60, 0.56, 0.58}} {
		if p := fisher(c.a, c.n, c.b, c.m); p < c.from || p > c.to {
			t.Errorf("%d/%d against %d/%d: %g", c.a, c.n, c.b, c.m, p)
		}
	}
}
