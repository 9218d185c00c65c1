package transcript

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"cellwarden/modem/threegpp"
)

// told lists in words all that a transcript tells.
func told(t Transcript) string {
	var b strings.Builder
	for _, e := range t.Entries {
		facts := e.Facts
		if e.Cmd != "" {
			facts = threegpp.Reply(e.Cmd, e.Resp)
		}
		for _, line := range e.URC {
			facts = append(facts, threegpp.URC(line)...)
		}
		for _, f := range facts {
			fmt.Fprintln(&b, f)
		}
	}
	return b.String()
}

type form struct {
	name, text string
	want, not  []string
	unread     int
}

func loadForms(t testing.TB) []form {
	t.Helper()
	data, err := os.ReadFile("testdata/forms.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []form
	for _, block := range strings.Split("\n"+string(data), "\n=== ")[1:] {
		head, body, ok := strings.Cut(block, "\n---\n")
		if !ok {
			t.Fatalf("form without ---: %.40q", block)
		}
		lines := strings.Split(head, "\n")
		f := form{name: lines[0], text: body}
		for _, line := range lines[1:] {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "want":
				f.want = strings.Split(value, "; ")
			case "not":
				f.not = strings.Split(value, "; ")
			case "unread":
				f.unread, _ = strconv.Atoi(value)
			default:
				t.Fatalf("%s: %q", f.name, line)
			}
		}
		out = append(out, f)
	}
	return out
}

// TestForms: every form tells what it must, and lists nothing as not understood
// that is.
func TestForms(t *testing.T) {
	for _, f := range loadForms(t) {
		x := Read([]byte(f.text))
		got := told(x)
		for _, w := range f.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q is not among\n%s%+v", f.name, w, got, x)
			}
		}
		for _, w := range f.not {
			if strings.Contains(got, w) {
				t.Errorf("%s: %q is among\n%s", f.name, w, got)
			}
		}
		if x.UnreadTotal != f.unread {
			t.Errorf("%s: %d not understood, want %d: %v", f.name, x.UnreadTotal, f.unread, x.Unread)
		}
		if x.Used+x.Passed+x.UnreadTotal != x.Lines {
			t.Errorf("%s: %d read, %d passed over and %d not understood make not %d", f.name, x.Used, x.Passed, x.UnreadTotal, x.Lines)
		}
	}
}
