// Command testsum runs go test and ends with what it came to: which tests were
// skipped and why, and one line of counts.
//
//	go run ./scripts/testsum [flags and packages of go test] [-- flags and packages of a second run]
//
// Each run's words follow it: a second one, after --, is for other packages or
// flags, and NAME=VALUE in front of the flags is its environment. Output is that of
// go test: a line for each package, and what failing tests said. The exit code is
// the first run's that failed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	s := newSummary(os.Stdout)
	code := 0
	for _, words := range runs(os.Args[1:]) {
		c, err := run(s, words)
		if err != nil {
			fmt.Fprintln(os.Stderr, "testsum:", err)
			c = max(c, 1)
		}
		if code == 0 {
			code = c
		}
	}
	s.print()
	os.Exit(code)
}

// runs cuts the words at each --.
func runs(words []string) (list [][]string) {
	for {
		i := slices.Index(words, "--")
		if i < 0 {
			return append(list, words)
		}
		list, words = append(list, words[:i]), words[i+1:]
	}
}

// run is one go test, whose events go to s; code is its exit code.
func run(s *summary, words []string) (code int, err error) {
	env := os.Environ()
	for len(words) > 0 && strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], "-") {
		env, words = append(env, words[0]), words[1:]
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, words...)...)
	cmd.Env, cmd.Stderr = env, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	readErr := s.read(out)
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), readErr
	}
	return 0, errors.Join(err, readErr)
}

// event is one line of go test -json (go doc cmd/test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

type key struct{ pkg, test string }

// summary gathers what the tests did.
type summary struct {
	w                       io.Writer
	said                    map[key][]string // by tests that have not ended, and by packages
	passed, failed, skipped int
	failing                 []string            // names, in order of their end
	why                     map[string][]string // a skip's reason, and who gave it
	failedIn                map[string]bool     // packages of failed tests
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, said: map[key][]string{}, why: map[string][]string{}, failedIn: map[string]bool{}}
}

// maxEvent is the longest line of JSON that is read: a test's one line of output.
const maxEvent = 16 << 20

func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(s.w, lines.Text()) // go itself speaks: not a test's
			continue
		}
		s.take(e)
	}
	return lines.Err()
}

func (s *summary) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.w, e.Output)
	case "output":
		s.said[k] = append(s.said[k], e.Output)
		if e.Test == "" && isVerdict(e.Output) {
			fmt.Fprint(s.w, e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
		delete(s.said, k)
	}
}

// isVerdict reports whether a package's line is the one that go test prints of it.
func isVerdict(line string) bool {
	for _, begin := range []string{"ok  \t", "FAIL\t", "?   \t"} {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	return false
}

func (s *summary) endTest(e event) {
	name := short(e.Package) + "." + e.Test
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		why := reason(s.said[key{e.Package, e.Test}])
		s.why[why] = append(s.why[why], name)
	case "fail":
		s.failed++
		s.failedIn[e.Package] = true
		s.failing = append(s.failing, name)
		s.tell(key{e.Package, e.Test})
	}
}

// endPackage counts a package that failed though none of its tests did: it did not
// build, it panicked, or time was up.
func (s *summary) endPackage(e event) {
	if e.Action == "fail" && !s.failedIn[e.Package] {
		s.failed++
		s.failing = append(s.failing, short(e.Package)+" (the package)")
		for k := range s.said {
			if k.pkg == e.Package && k.test != "" {
				s.tell(k) // a test that never ended
			}
		}
		s.tell(key{e.Package, ""})
	}
}

func (s *summary) tell(k key) {
	for _, line := range s.said[k] {
		if !strings.HasPrefix(line, "=== ") && !isVerdict(line) {
			fmt.Fprint(s.w, line)
		}
	}
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "cellwarden/") }

// reason is what a test said before it was skipped: "    file.go:12: why".
func reason(said []string) string {
	for _, line := range slices.Backward(said) {
		if t := strings.TrimSpace(line); t == "" || strings.HasPrefix(t, "--- ") || strings.HasPrefix(t, "=== ") {
			continue
		}
		text := strings.TrimSpace(line)
		if at, why, ok := strings.Cut(text, ": "); ok && strings.Contains(at, ".go:") {
			text = why
		}
		for _, word := range []string{"SKIPPED, NOT PROVED: ", "SKIPPED in ", "SKIPPED: ", "SKIP: "} {
			text = strings.TrimPrefix(text, word)
		}
		return text
	}
	return "no reason given"
}

// shownNames is how many names a reason has beside it.
const shownNames = 4

func (s *summary) print() {
	fmt.Fprintln(s.w)
	reasons := make([]string, 0, len(s.why))
	for why := range s.why {
		reasons = append(reasons, why)
	}
	slices.Sort(reasons)
	for _, why := range reasons {
		names, more := s.why[why], ""
		if n := len(names) - shownNames; n > 0 {
			names, more = names[:shownNames], fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(s.w, "skipped, %s: %s%s\n", why, strings.Join(names, ", "), more)
	}
	for _, name := range s.failing {
		fmt.Fprintf(s.w, "failed: %s\n", name)
	}
	fmt.Fprintf(s.w, "%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}
