package explain

import (
	"fmt"
	"strings"
	"testing"
)

// rendered writes a case's exchange down as a program would.
func rendered(c Case, wrap func(n int, sent bool, text string) string) string {
	var b strings.Builder
	n := 0
	put := func(sent bool, text string) {
		for _, line := range strings.Split(text, "\n") {
			b.WriteString(wrap(n, sent, line) + "\n")
			n++
		}
	}
	for _, e := range c.Exchange {
		if e.Cmd != nil {
			put(true, *e.Cmd)
			for _, line := range e.Resp {
				put(false, line)
			}
			if len(e.Resp) == 0 {
				b.WriteString("(timeout)\n")
			}
		}
		for _, line := range e.URC {
			put(false, line)
		}
	}
	return b.String()
}

// TestTextTellsWhatTheCaseTells: a transcript written down by three programs is
// judged as the case is. Some forms lose something: who sent a line that both
// could have sent, or that a message came by itself.
func TestTextTellsWhatTheCaseTells(t *testing.T) {
	wraps := map[string]func(n int, sent bool, text string) string{
		"a terminal": func(n int, sent bool, s string) string { return s },
		"arrows and line ends": func(n int, sent bool, s string) string {
			if sent {
				return fmt.Sprintf("[10:%02d:%02d.123] >>> %s<CR>", n/60%60, n%60, s)
			}
			return fmt.Sprintf("[10:%02d:%02d.123] <<< <CR><LF>%s<CR><LF>", n/60%60, n%60, s)
		},
		"syslog": func(n int, sent bool, s string) string {
			return fmt.Sprintf("Aug 12 10:%02d:%02d pos4 atd[17]: %s", n/60%60, n%60, s)
		},
	}
	for name, wrap := range wraps {
		n, same := 0, 0
		for _, l := range append(load(t, "corpus/transcripts-open.json"), load(t, "corpus/transcripts2-open.json")...) {
			if l.Context != nil {
				continue
			}
			want := Judge(l.Case, nil)
			cases, err := Read("case", strings.NewReader(rendered(l.Case, wrap)))
			if err != nil {
				t.Fatal(err)
			}
			got := Judge(cases[0], nil)
			n++
			if got.Class == want.Class && got.Verdict == want.Verdict {
				same++
				continue
			}
			t.Logf("%s: %s: the case says %s (%s), the text %s (%s)", name, l.ID, want.Class, want.Verdict, got.Class, got.Verdict)
			l.Case = cases[0]
			if l.result(got) == "wrong" {
				t.Errorf("%s: %s is %s, the text says %s (%s)", name, l.ID, l.Class, got.Class, got.Verdict)
			}
		}
		t.Logf("%s: %d of %d the same", name, same, n)
		if same*100 < n*93 {
			t.Errorf("%s: only %d of %d are judged as the case", name, same, n)
		}
	}
}
