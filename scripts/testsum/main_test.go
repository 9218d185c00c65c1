package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Packages of a module of their own: one passes and skips, one fails, one panics, one
// does not build. The count is of tests and subtests; the exit code is go test's.
func TestCountsWhatGoTestDid(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26.0\n",
		"good/a_test.go": `package good
import "testing"
func TestOne(t *testing.T) { t.Run("sub", func(t *testing.T) {}) }
func TestAway(t *testing.T) { t.Skip("SKIPPED, NOT PROVED: no modem here: plug one in") }
func TestSilent(t *testing.T) { t.SkipNow() }
`,
		"bad/a_test.go":    "package bad\nimport \"testing\"\nfunc TestTwo(t *testing.T) { t.Error(\"two is not one\") }\nfunc TestThree(t *testing.T) {}\n",
		"panics/a_test.go": "package panics\nimport \"testing\"\nfunc TestMain(m *testing.M) { panic(\"before any test\") }\n",
		"broken/a_test.go": "package broken\nfunc TestFour(t *testing.T) {}\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, row := range []struct {
		words string
		code  int
		last  string
		says  []string
	}{
		{"GOWORK=off ./good", 0, "2 passed, 0 failed, 2 skipped",
			[]string{"skipped, no modem here: plug one in: example.org/m/good.TestAway\n", "skipped, no reason given: example.org/m/good.TestSilent\n"}},
		{"-vet=off ./good -- -vet=off ./bad", 1, "3 passed, 1 failed, 2 skipped",
			[]string{"two is not one", "failed: example.org/m/bad.TestTwo\n", "ok  \texample.org/m/good", "FAIL\texample.org/m/bad"}},
		{"./panics", 1, "0 passed, 1 failed, 0 skipped", []string{"before any test", "failed: example.org/m/panics (the package)\n"}},
		{"./broken", 1, "0 passed, 1 failed, 0 skipped", []string{"undefined: testing"}},
		{"./good ./nowhere", 1, "2 passed, 1 failed, 2 skipped", []string{"nowhere"}},
	} {
		var out bytes.Buffer
		s, code := newSummary(&out), 0
		for _, words := range runs(strings.Fields(row.words)) {
			c, err := run(s, words)
			if err != nil {
				t.Fatal(err)
			}
			code = max(code, c)
		}
		s.print()
		if code != row.code || !strings.HasSuffix(out.String(), "\n"+row.last+"\n") {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", row.words, code, row.code, row.last, &out)
		}
		for _, say := range row.says {
			if !strings.Contains(out.String(), say) {
				t.Errorf("%s: no %q in:\n%s", row.words, say, &out)
			}
		}
	}
}
