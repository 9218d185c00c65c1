package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// The story is told a line at a time: the date in the story, who speaks, what.
const (
	columns = 79
	column  = 14 + 9 // "20 Mar 08:00  ", "machine  "
)

// who speaks, and in which colour.
type who struct{ name, colour string }

var (
	byMachine = who{"machine", "36"}
	byCarrier = who{"carrier", "35"}
	byModem   = who{"modem", "34"}
	byAgent   = who{"agent", "33"}
	byBackend = who{"backend", "32"}
)

// teller prints the story. It is safe for concurrent use.
type teller struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
}

func (t *teller) paint(code, s string) string {
	if !t.colour || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// say prints what somebody says, wrapped below its own beginning, and items, one
// a line.
func (t *teller) say(at time.Time, w who, words string, items ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := wrap(words, columns-column)
	for _, item := range items {
		for i, l := range wrap(item, columns-column-2) {
			lines = append(lines, [...]string{"- ", "  "}[min(i, 1)]+l)
		}
	}
	fmt.Fprintf(t.out, "%s  %s%s\n", t.paint("2", at.In(beijing).Format("02 Jan 15:04")), t.paint(w.colour, fmt.Sprintf("%-9s", w.name)), lines[0])
	for _, l := range lines[1:] {
		fmt.Fprintf(t.out, "%s%s\n", strings.Repeat(" ", column), l)
	}
}

// head opens an act.
func (t *teller) head(en, zh string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\n%s\n", t.paint("1", "== "+en+"   "+zh))
}

// plain prints text as it is.
func (t *teller) plain(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.out, s) // whoever closed the terminal hears no more
}

// wrap breaks s at blanks into lines of at most n columns.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) > n:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// width is how many columns s takes; Chinese characters take two.
func width(s string) (n int) {
	for _, r := range s {
		n++
		if r >= 0x2E80 {
			n++
		}
	}
	return n
}
