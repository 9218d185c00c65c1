package explain

import (
	"fmt"
	"strings"
	"testing"

	"cellwarden/agent/diag"
)

// TestScoreTable prints what `make score` shows: by class, right of all in each
// file, and the lines that score.py ends with.
func TestScoreTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| class | recorded | composed | own | dialects | adverse |\n|---|---|---|---|---|---|\n")
	var scores []score
	for _, file := range allFiles {
		scores = append(scores, scoreOf(load(t, file)))
	}
	all := 0
	for _, class := range diag.Classes {
		cells, any := "", false
		for _, s := range scores {
			n := 0
			for _, v := range s.table[class] {
				n += v
			}
			switch {
			case n == 0:
				cells += " |"
			case s.table[class]["wrong"] > 0:
				cells += fmt.Sprintf(" %d of %d, %d wrong |", s.table[class]["right"], n, s.table[class]["wrong"])
			default:
				cells += fmt.Sprintf(" %d of %d |", s.table[class]["right"], n)
			}
			any, all = any || n > 0, all+n
		}
		if any {
			fmt.Fprintf(&b, "| %s |%s\n", class, cells)
		}
	}
	row := func(name string, cell func(score) string) {
		b.WriteString("| " + name + " |")
		for _, s := range scores {
			b.WriteString(" " + cell(s) + " |")
		}
		b.WriteString("\n")
	}
	row("score", func(s score) string { return fmt.Sprintf("%.1f %%", s.percent()) })
	row("decisive", func(s score) string { return fmt.Sprintf("%.1f %%", s.decisive()) })
	row("wrong, of them confidently", func(s score) string { return fmt.Sprintf("%d, %d", s.wrong, s.confident) })
	t.Log(b.String())
	if all < 400 {
		t.Errorf("only %d cases", all)
	}
}
