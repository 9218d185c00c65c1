package diag

import (
	"math"
	"testing"
)

// An operator's table may hold anything: refused with its place, or every number in it
// is one, and a judgement by it adds up.
func FuzzWeights(f *testing.F) {
	for _, s := range []string{
		"[priors]\narrears = 40\n[rule.denied]\nsource = \"fleet\"\nweights = { arrears = 12 }",
		"[priors]\narrears = nan\n", "[priors]\narrears = inf\n", "[priors]\narrears = -1e308\nover_quota = 1e308",
		"[rule.denied]\nsource = \"x\"\nweights = { arrears = nan }", "[rule.denied]\nsource = \"x\"\nweights = { arrears = -inf }",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWeights("mine.toml", text, DefaultWeights)
		if err != nil {
			return
		}
		for _, c := range Diagnose(&Known{}, w).Candidates {
			if math.IsNaN(c.P) || c.P < 0 || c.P > 1 {
				t.Errorf("p of %s is %v by\n%s", c.Class, c.P, text)
			}
		}
		for class, p := range w.Priors {
			if math.IsNaN(p) || math.IsInf(p, 0) || p < 0 {
				t.Errorf("prior of %s is %v", class, p)
			}
		}
		for id, r := range w.Rule {
			for class, v := range r.Weights {
				if x := float64(v); math.IsNaN(x) || math.IsInf(x, 0) {
					t.Errorf("weight of %s for %s is %v", id, class, v)
				}
			}
		}
	})
}
