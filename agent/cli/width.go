package cli

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

// columnsOf knows how wide a terminal shows a character (UAX #11). Ambiguous ones (… ° ─)
// take one column, whatever the locale says: the same output everywhere.
var columnsOf = &runewidth.Condition{StrictEmojiNeutral: true}

// width is how many columns s takes. Colours (escape to m) take none.
func width(s string) int {
	n, colour := 0, false
	for _, r := range s {
		switch {
		case r == '\x1b':
			colour = true
		case colour:
			colour = r != 'm'
		default:
			n += runeWidth(r)
		}
	}
	return n
}

func runeWidth(r rune) int { return columnsOf.RuneWidth(r) }

// pad fills s with spaces up to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(n-width(s), 0))
}

// clip cuts s to n columns, with an ellipsis where something is lost.
func clip(s string, n int) string {
	return columnsOf.Truncate(s, n, "…")
}

// wrap breaks s into lines of at most n columns: at spaces in Latin text,
// between Han characters elsewhere, and never so that a line starts with a
// closing mark or ends with an opening one.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for _, p := range pieces(s) {
		if width(line)+width(strings.TrimRight(p, " ")) <= n {
			line += p
			continue
		}
		if line != "" {
			lines = append(lines, strings.TrimRight(line, " "))
		}
		line = p
		for width(strings.TrimRight(line, " ")) > n { // one word longer than a line
			head := clipTo(line, n)
			lines, line = append(lines, head), line[len(head):]
		}
	}
	if line = strings.TrimRight(line, " "); line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// clipTo is the longest head of s that fits n columns, at least one rune.
func clipTo(s string, n int) string {
	for i, r := range s {
		if n -= runeWidth(r); n < 0 && i > 0 {
			return s[:i]
		}
	}
	return s
}

const (
	closing = "，。：；！？）”、,.;:!?)"
	opening = "（“("
)

// pieces cuts s where a line may break; each keeps its trailing spaces.
func pieces(s string) []string {
	var out []string
	runes := []rune(s)
	start := 0
	for i := 1; i < len(runes); i++ {
		prev, next := runes[i-1], runes[i]
		space := prev == ' ' && next != ' '
		han := runeWidth(prev) == 2 || runeWidth(next) == 2
		if (space || han && prev != ' ' && next != ' ') &&
			!strings.ContainsRune(closing, next) && !strings.ContainsRune(opening, prev) {
			out = append(out, string(runes[start:i]))
			start = i
		}
	}
	return append(out, string(runes[start:]))
}
