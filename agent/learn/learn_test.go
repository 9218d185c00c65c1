package learn

import (
	"fmt"
	"maps"
	"math"
	"testing"

	"cellwarden/agent/diag"

	"pgregory.net/rapid"
)

// One confirmed incident moves a prior little, many move it to the bound and
// never beyond.
func TestPriorsMoveWithinTheirBound(t *testing.T) {
	base := diag.DefaultWeights.Priors[string(diag.OverQuota)]
	var b Book
	last := base
	for n := 1; n <= 500; n++ {
		b.Add("46000", diag.OverQuota)
		got := b.Priors(nil, "46000")[string(diag.OverQuota)]
		if n < maxCount && got < last-1e-9 || got > base*math.Pow(10, 0.3)+1e-3 {
			t.Fatalf("after %d the prior is %.3f, was %.3f, base %.3f", n, got, last, base)
		}
		if db := 10 * math.Log10(got/base); n == 1 && db > 0.5 || n == 8 && (db < 1 || db > 2) {
			t.Errorf("after %d the prior moved %.2f dB", n, db)
		}
		last = got
	}
	if db := 10 * math.Log10(last/base); db < 2.3 {
		t.Errorf("500 incidents move it by %.2f dB only", db)
	}
	if p := b.Priors(nil, "46001"); p != nil {
		t.Errorf("another operator learned too: %v", p)
	}
	if n := b["46000"][diag.OverQuota]; n >= maxCount {
		t.Errorf("count %d is not bounded", n)
	}
}

func TestEveryPriorStaysWithin3dB(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b Book
		for range rapid.IntRange(0, 300).Draw(t, "faults") {
			b.Add(fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "operator")), rapid.SampledFrom(diag.Classes).Draw(t, "class"))
		}
		if len(b) > maxCarriers {
			t.Fatalf("%d operators", len(b))
		}
		for carrier := range b {
			for class, p := range b.Priors(nil, carrier) {
				if db := 10 * math.Log10(p/diag.DefaultWeights.Priors[class]); math.Abs(db) > maxDB+0.01 {
					t.Fatalf("%s moved by %.3f dB", class, db)
				}
			}
		}
	})
}

func TestTableChangesNothingOfItsBase(t *testing.T) {
	before := maps.Clone(diag.DefaultWeights.Priors)
	var b Book
	b.Add("46000", diag.Arrears)
	table := Table(nil, b.Priors(nil, "46000"))
	if table == diag.DefaultWeights || table.Priors["arrears"] <= before["arrears"] || len(table.Rule) != len(diag.DefaultWeights.Rule) {
		t.Errorf("arrears %.2f, was %.2f; %d rules", table.Priors["arrears"], before["arrears"], len(table.Rule))
	}
	if !maps.Equal(before, diag.DefaultWeights.Priors) {
		t.Error("the built-in table changed")
	}
	if Table(nil, nil) != nil || Table(diag.DefaultWeights, nil) != diag.DefaultWeights {
		t.Error("without experience it is not the base")
	}
}

func TestGroupAndHealthDoNotCount(t *testing.T) {
	var b Book
	for _, class := range []diag.Code{diag.SuspendedUnspecified, diag.Healthy, diag.Ambiguous, "weather"} {
		if b.Add("46000", class) {
			t.Errorf("%s counts", class)
		}
	}
	b.Add("46000", diag.SIMFault)
	b.Take("46000", diag.SIMFault)
	if len(b) != 0 {
		t.Errorf("left: %v", b)
	}
}

func TestClipBoundsAKeptBook(t *testing.T) {
	b := Book{"46000": {diag.Arrears: 1 << 30, "weather": 3, diag.SIMFault: -1}, "1": {"x": 1}, "2": {diag.SIMFault: 1}, "3": {diag.SIMFault: 2}, "4": {diag.SIMFault: 2}, "5": {diag.SIMFault: 2}}
	b = b.Clip()
	if len(b) != maxCarriers || len(b["46000"]) != 1 || b["46000"][diag.Arrears] != maxCount || b["2"] != nil {
		t.Errorf("clipped to %v", b)
	}
}
