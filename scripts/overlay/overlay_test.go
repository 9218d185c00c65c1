package main

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Every cut fits the Go that runs the tests, so that what is proved here is what
// boards get.
func TestEveryCutFits(t *testing.T) {
	src := filepath.Join(goroot(t), "src")
	markers := map[string]bool{}
	for _, c := range cuts {
		o := overlay{src: src, text: map[string]string{}, replace: map[string]string{}, stubs: "_stubs"}
		if err := o.apply(c); err != nil {
			t.Errorf("%s: %v (this is %s)", c.name, err, runtime.Version())
		}
		if c.why == "" || c.marker == "" || markers[c.marker] {
			t.Errorf("%s: says no reason, or no marker of its own", c.name)
		}
		markers[c.marker] = true
	}
}

// A cut that fits only in part changes nothing at all.
func TestCutFitsWhollyOrNotAtAll(t *testing.T) {
	for name, c := range map[string]cut{
		"second edit": {edits: []edit{
			{"errors/errors.go", "package errors", "package mistakes"},
			{"errors/errors.go", "no such line", ""}}},
		"no such file":    {edits: []edit{{"errors/absent.go", "package", ""}}},
		"no such package": {stub: map[string]string{"crypto/absent": "idna.go"}},
	} {
		o := overlay{src: filepath.Join(goroot(t), "src"), text: map[string]string{}, replace: map[string]string{}, stubs: "_stubs"}
		if err := o.apply(c); err == nil {
			t.Errorf("%s: fits", name)
		}
		if len(o.text)+len(o.replace) > 0 {
			t.Errorf("%s: left %v %v", name, o.text, o.replace)
		}
	}
}

// The curves compute what they compute in Go as it is: keys, signatures and
// shared secrets from fixed numbers, by assembly (as on arm64) and without (as
// on the other boards). P-224 is refused in words.
func TestCurvesComputeTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds a program three times")
	}
	dir := t.TempDir()
	if err := write(dir, "../.."); err != nil {
		t.Fatal(err)
	}
	curves := func(args ...string) (computed, p224 string) {
		bin := filepath.Join(t.TempDir(), "curves")
		build := exec.Command("go", append(append([]string{"build", "-o", bin}, args...), "./testdata/curves")...)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build, err, out)
		}
		out, err := exec.Command(bin).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		computed, p224, _ = strings.Cut(string(out), "P-224: ")
		return computed, p224
	}
	want, _ := curves()
	if n := strings.Count(want, "right true wrong false"); n != 60 {
		t.Fatalf("%d of 60 signatures told right from wrong:\n%s", n, want)
	}
	for _, tags := range []string{"", "purego"} {
		got, p224 := curves("-tags", tags, "-overlay", filepath.Join(dir, "overlay.json"))
		if got != want {
			t.Errorf("tags %q: the cut curves say\n%s\nand the whole ones\n%s", tags, got, want)
		}
		if !strings.Contains(p224, "unsupported elliptic curve") {
			t.Errorf("tags %q: a key of P-224: %s", tags, p224)
		}
	}
}

func goroot(t *testing.T) string {
	t.Helper()
	root, err := goCommand("env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	return root
}
