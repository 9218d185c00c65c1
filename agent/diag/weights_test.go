package diag

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sourceCalls finds the string literals that are the first argument of calls to
// the function or method name, in the package's own source.
func sourceCalls(t *testing.T, name string) map[string]bool {
	t.Helper()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			called := ""
			switch fun := call.Fun.(type) {
			case *ast.Ident:
				called = fun.Name
			case *ast.SelectorExpr:
				called = fun.Sel.Name
			}
			if called != name {
				return true
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				found[s] = true
			}
			return true
		})
	}
	return found
}

// TestEveryRuleIsEmittedAndWeighed: a row of weights.toml without code behind
// it, or code that emits a rule without a row, is dead and misleads.
func TestEveryRuleIsEmittedAndWeighed(t *testing.T) {
	emitted := sourceCalls(t, "add")
	if len(emitted) < 80 {
		t.Fatalf("found only %d rules in the source", len(emitted))
	}
	for _, id := range slices.Sorted(maps.Keys(emitted)) {
		if _, ok := DefaultWeights.Rule[id]; !ok {
			t.Errorf("rule %q is emitted and has no row in weights.toml", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(DefaultWeights.Rule)) {
		if !emitted[id] {
			t.Errorf("[rule.%s] of weights.toml is emitted nowhere", id)
		}
	}
}

// TestEveryRuleWeighs: a row weighs something for some class, and a member's row
// names a member.
func TestEveryRuleWeighs(t *testing.T) {
	for id, r := range DefaultWeights.Rule {
		if len(r.Weights) == 0 {
			t.Errorf("[rule.%s] weighs nothing", id)
		}
		if r.Member {
			named := 0
			for _, m := range members {
				if r.Weights[string(m)] >= memberForDB {
					named++
				}
			}
			if named == 0 {
				t.Errorf("[rule.%s] is a member's rule and names none with at least %g dB", id, memberForDB)
			}
		}
	}
}

func TestEveryClassHasAPriorAnActorAndALayer(t *testing.T) {
	somewhere := map[Code]bool{}
	for _, classes := range possible {
		for _, c := range classes {
			somewhere[c] = true
		}
	}
	for _, c := range Classes {
		if ClassTable[c].Who == "" {
			t.Errorf("nobody acts on %s", c)
		}
		if c == SuspendedUnspecified || c == Healthy || c == Ambiguous {
			continue
		}
		if DefaultWeights.Priors[string(c)] <= 0 {
			t.Errorf("%s has no prior", c)
		}
		if !somewhere[c] {
			t.Errorf("%s can never be the cause at any layer", c)
		}
	}
}

func TestOperatorsWeights(t *testing.T) {
	const name = "weights-46001.toml"
	for _, tc := range []struct{ name, text, want string }{
		{"no such rule", "[rule.moon]\nsource = \"x\"\nweights = { arrears = 1 }", `weights-46001.toml: [rule.moon] there is no such rule; rules are listed in the built-in weights.toml`},
		{"no source", "[rule.denied]\nweights = { arrears = 1 }", `weights-46001.toml: [rule.denied] source is missing: say who measured it`},
		{"no such class", "[rule.denied]\nsource = \"x\"\nweights = { moon = 1 }", `weights-46001.toml: [rule.denied] "moon" is no diagnosis class`},
		{"too strong", "[rule.denied]\nsource = \"x\"\nweights = { arrears = 16 }", `weights-46001.toml: [rule.denied] arrears = 16 dB is outside ±15`},
		{"not a number", "[rule.denied]\nsource = \"x\"\nweights = { arrears = nan }", `weights-46001.toml: [rule.denied] arrears = NaN dB is outside ±15`},
		{"no such prior", "[priors]\nmoon = 3", `weights-46001.toml: [priors] "moon" is no diagnosis class`},
		{"a misspelt key", "[rule.denied]\nsource = \"x\"\nweight = { arrears = 1 }", `weights-46001.toml: unknown key "rule.denied.weight"; a row has channel, weights, member, echo, source`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseWeights(name, tc.text, DefaultWeights)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
	if _, err := ParseWeights("mine.toml", "[rule.x]\nchannel = \"Q\"", nil); err == nil || err.Error() != "mine.toml: [rule.x] channel is required: one letter of HSRNEUCTFX" {
		t.Errorf("a whole table with a wrong channel: %v", err)
	}
	if _, err := ParseWeights(name, "[rule.denied\n", DefaultWeights); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
		t.Errorf("broken TOML: %v", err)
	}

	over, err := ParseWeights(name, "[priors]\narrears = 40\n[rule.denied]\nsource = \"fleet count of 2026\"\nweights = { arrears = 12 }", DefaultWeights)
	if err != nil {
		t.Fatal(err)
	}
	was, is := DefaultWeights.Rule["denied"], over.Rule["denied"]
	if is.Weights["arrears"] != 12 || len(is.Weights) != 1 || is.Source != "fleet count of 2026" {
		t.Errorf("the row was not replaced: %+v", is)
	}
	if is.Channel != was.Channel || is.Member != was.Member {
		t.Errorf("an override changed more than weights: %+v", is)
	}
	if over.Priors["arrears"] != 40 || over.Priors["over_quota"] != DefaultWeights.Priors["over_quota"] || len(over.Rule) != len(DefaultWeights.Rule) {
		t.Error("what was not named did not stay")
	}
	if was.Weights["suspended"] == 0 || DefaultWeights.Priors["arrears"] == 40 {
		t.Error("the built-in table was changed")
	}
}
