package cli

import (
	"strings"
	"unicode"
)

// wide holds the ranges that a terminal shows two columns wide (East Asian
// Width W and F of Unicode's UAX #11), as far as texts and names here use them.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, // Hangul Jamo
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1}, // CJK radicals and punctuation
		{Lo: 0x3041, Hi: 0x4dbf, Stride: 1}, // kana to CJK extension A
		{Lo: 0x4e00, Hi: 0x9fff, Stride: 1}, // CJK
		{Lo: 0xa000, Hi: 0xa4cf, Stride: 1}, // Yi
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1}, // CJK compatibility
		{Lo: 0xfe30, Hi: 0xfe4f, Stride: 1}, // vertical forms
		{Lo: 0xff00, Hi: 0xff60, Stride: 1}, // full-width forms
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, // emoji
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1}, // CJK extensions B and up
	},
}

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

func runeWidth(r rune) int {
	switch {
	case r < 0x20 || unicode.Is(unicode.Mn, r) || r == 0x200b || r == 0xfeff:
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// pad fills s with spaces up to n columns.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(n-width(s), 0))
}

// clip cuts s to n columns, with an ellipsis where something is lost.
func clip(s string, n int) string {
	if width(s) <= n {
		return s
	}
	var b strings.Builder
	room := n - 1
	for _, r := range s {
		if room -= runeWidth(r); room < 0 {
			break
		}
		b.WriteRune(r)
	}
	return b.String() + "…"
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
