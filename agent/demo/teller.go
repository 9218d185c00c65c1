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
	columns   = 79
	whoColumn = 14 // after "20 Mar 08:00  "
	column    = whoColumn + 9
)

// who speaks, and in which colour.
type who struct{ name, colour string }

var (
	machine  = who{"machine", "36"}
	network_ = who{"network", "35"}
	agent_   = who{"agent", "33"}
	cloud    = who{"backend", "32"}
)

// teller prints the story. It is safe for concurrent use.
type teller struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	last   string // the date of the last line
}

func (t *teller) paint(code, s string) string {
	if !t.colour || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// say prints what somebody says, wrapped below its own beginning.
func (t *teller) say(at time.Time, w who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := wrap(fmt.Sprintf(format, args...), columns-column)
	stamp := at.Format("02 Jan 15:04")
	fmt.Fprintf(t.out, "%s  %s%s\n", t.paint("2", stamp), t.paint(w.colour, fmt.Sprintf("%-9s", w.name)), lines[0])
	for _, l := range lines[1:] {
		fmt.Fprintf(t.out, "%s%s\n", strings.Repeat(" ", column), l)
	}
}

// head opens an act.
func (t *teller) head(en, zh string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.out, "\n%s  %s\n", t.paint("1", "== "+en), t.paint("1", zh))
}

// plain prints text as it is.
func (t *teller) plain(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	io.WriteString(t.out, s)
}

// wrap breaks s at blanks into lines of at most n characters.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) > n:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
