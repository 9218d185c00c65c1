package cli

import (
	"fmt"
	"io"
	"math"
	"strings"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

// The page fits a technician's serial console.
const (
	columns = 80
	rows    = 24
	barSize = 20 // columns of the usage bar
	gap     = 2  // columns between label and text
)

// look is how a page is drawn.
type look struct {
	ascii bool // no ✓, no ellipsis: the terminal may not show them
	color bool
	all   bool // everything, however long
}

// block is one labelled part of the page. Items are whole: a step of two lines
// is shown or left out, never cut in two.
type block struct {
	label string
	items [][]string
	keep  int // items that stay while others are still to be shortened
	rank  int // what goes first when the page is too long: the highest; 0 stays
}

// printPage lays p out. Without l.all it is at most rows lines of at most columns.
func printPage(w io.Writer, p view.Page, l look) error {
	head := heading(p, l)
	blocks := body(p, l)
	short := false
	if !l.all {
		short = fit(blocks, rows-1-len(head))
	}
	lines := append(head, layout(blocks, labelWidth(blocks))...)
	if short {
		lines = append(lines, text.T(p.Lang, "ui.more"))
	}
	out := strings.ReplaceAll(strings.Join(lines, "\n"), "\u00a0", " ") + "\n"
	if l.ascii {
		out = strings.NewReplacer("✓", "+", "✗", "x", "…", "...", "±", "+/-", "“", `"`, "”", `"`).Replace(out)
	}
	_, err := io.WriteString(w, out)
	return err
}

// heading is the verdict, before all else.
func heading(p view.Page, l look) []string {
	mark := map[string]string{view.Good: "✓", view.Fault: "✗", view.Unsure: "?"}[p.Mood]
	title := mark + " " + p.Title
	if p.Mood == view.Fault {
		title += bracket(p.Lang, p.Verdict)
	}
	right := strings.TrimSpace(p.Device + "  " + p.At)
	if room := columns - 2 - width(title); right != "" && room > 0 {
		right = clip(right, room)
		title += strings.Repeat(" ", columns-width(title)-width(right)) + paint(l, "2", right)
	}
	head := strings.Replace(title, mark+" "+p.Title, paint(l, map[string]string{view.Good: "1;32", view.Fault: "1;31", view.Unsure: "1;33"}[p.Mood], mark+" "+p.Title), 1)
	lines := []string{head}
	for _, s := range []string{p.Line, p.Detail} {
		if s == "" {
			continue
		}
		for _, line := range wrap(s, columns-2) {
			lines = append(lines, "  "+line)
		}
	}
	return lines
}

func body(p view.Page, l look) []*block {
	lang := p.Lang
	t := func(key string) string { return text.T(lang, "ui."+key) }
	var out []*block
	lw := 0
	add := func(rank, keep int, label string, items ...string) {
		b := &block{label: label, keep: keep, rank: rank}
		for _, s := range items {
			if s != "" {
				b.items = append(b.items, []string{s})
			}
		}
		if len(b.items) > 0 {
			out = append(out, b)
			lw = max(lw, width(label))
		}
	}
	if p.Mood != view.Good {
		add(0, 1, t("who"), sentence(lang, p.Who, p.Do))
		add(1, 1, t("returns"), then(lang, p.ResumesAt, p.Returns))
		add(4, 1, t("since"), p.Since)
	}
	var candidates []string
	for _, c := range p.Candidates {
		candidates = append(candidates, c.Title+" "+c.Percent)
	}
	add(1, 1, t("candidates"), strings.Join(candidates, map[text.Lang]string{text.ZH: "；", text.EN: "; "}[lang]))
	add(0, 1, t("ladder"), ladder(p, l)...)
	if p.Mood != view.Good || l.all {
		var steps []string
		for i, s := range p.Steps {
			steps = append(steps, fmt.Sprintf("%d. %s", i+1, s))
		}
		add(2, 2, t("steps"), steps...)
		add(1, 1, t("for"), proofs(lang, p.For)...)
		add(7, 1, t("against"), proofs(lang, p.Against)...)
	}
	add(6, 1, t("unknown"), p.Unknown...)
	add(3, 1, t("decide"), p.Decide)
	for _, tr := range p.Troubles {
		add(1, 1, t("troubles"), sentence(lang, tr.Text, tr.Hint))
	}
	add(1, 1, t("warnings"), p.Warnings...)
	if u := p.Usage; u != nil {
		add(3, 1, t("usage"), strings.TrimSpace(bar(u.Percent)+" "+u.Text), u.Notes)
	}
	for _, r := range p.Rows {
		rank := map[string]int{"standing": 3, "pending": 3, "uplink": 3, "outbox": 4, "version": 9, "last_fault": 8, "platform": 4}[r.Key]
		if rank == 0 {
			rank = 5
		}
		if r.Bad {
			rank = min(rank, 4)
		}
		add(rank, 1, r.Label, r.Value)
	}
	if l.all {
		var probes []string
		for _, r := range p.Probes {
			probes = append(probes, sentence(lang, r.Label, r.Value))
		}
		add(9, 1, t("probes"), probes...)
	}
	for _, b := range out {
		for i, item := range b.items {
			b.items[i] = indented(item[0], columns-lw-gap)
		}
	}
	return out
}

// indented wraps a step's second line below its text, not below its number.
func indented(s string, n int) []string {
	in := 0
	if i := strings.Index(s, ". "); i == 1 || i == 2 {
		in = i + 2
	}
	lines := wrap(s, n-in)
	if first := wrap(s, n); len(first) == 1 {
		return first
	}
	for i := 1; i < len(lines); i++ {
		lines[i] = strings.Repeat(" ", in) + lines[i]
	}
	return lines
}

func proofs(lang text.Lang, all []view.Proof) []string {
	var out []string
	for _, e := range all {
		out = append(out, fmt.Sprintf("%s [%s%s%s]", e.Text, e.Source, separator(lang), e.Strength))
	}
	return out
}

// ladder is all layers in one line, or one a line with what decided each.
func ladder(p view.Page, l look) []string {
	marks := map[diag.GateState]string{
		diag.GatePassed: paint(l, "32", "✓"), diag.GateFailed: paint(l, "1;31", "✗"), diag.GateUnknown: "?", diag.GateMasked: "-",
	}
	var line, facts []string
	wide := 0
	for _, r := range p.Ladder {
		wide = max(wide, width(r.Name))
	}
	for _, r := range p.Ladder {
		// One unit each: a line never breaks inside a layer.
		line = append(line, marks[r.State]+strings.ReplaceAll(r.Name, " ", "\u00a0"))
		said := r.Word
		if r.Fact != "" {
			said = r.Fact
		}
		full := marks[r.State] + " " + pad(r.Name, wide) + "  " + said
		if l.all {
			facts = append(facts, full)
		} else if r.State == diag.GateFailed && r.Fact != "" {
			facts = append(facts, sentence(p.Lang, marks[r.State]+" "+r.Name, r.Fact))
		}
	}
	if l.all {
		return facts
	}
	return append([]string{strings.Join(line, " ")}, facts...)
}

func bar(percent float64) string {
	if percent < 0 {
		return ""
	}
	n := int(math.Floor(min(percent, 100) / 100 * barSize))
	return "[" + strings.Repeat("#", n) + strings.Repeat(".", barSize-n) + "]"
}

// fit leaves out items until the blocks take no more than n lines: first from
// the least important block down to what it keeps, then whole blocks.
// It reports whether anything was left out.
func fit(blocks []*block, n int) bool {
	short := false
	size := func() (sum int) {
		for _, b := range blocks {
			for _, item := range b.items {
				sum += len(item)
			}
		}
		if short {
			sum++ // the line that says so
		}
		return sum
	}
	for _, least := range []bool{false, true} {
		for rank := 9; rank > 0; rank-- {
			for i := len(blocks) - 1; i >= 0; i-- {
				b := blocks[i]
				keep := b.keep
				if least {
					keep = 0
				}
				for b.rank == rank && len(b.items) > keep && size() > n {
					b.items = b.items[:len(b.items)-1]
					short = true
				}
			}
		}
	}
	return short
}

func labelWidth(blocks []*block) int {
	n := 0
	for _, b := range blocks {
		n = max(n, width(b.label))
	}
	return n + gap
}

func layout(blocks []*block, lw int) []string {
	var lines []string
	last := ""
	for _, b := range blocks {
		for _, item := range b.items {
			for _, s := range item {
				label := b.label
				if label == last {
					label = ""
				}
				last = b.label
				lines = append(lines, pad(label, lw)+s)
			}
		}
	}
	return lines
}

func separator(lang text.Lang) string {
	if lang == text.ZH {
		return "，"
	}
	return ", "
}

// sentence joins a head and what follows from it: "机主：充值……".
func sentence(lang text.Lang, head, rest string) string {
	switch {
	case head == "" || rest == "":
		return head + rest
	case lang == text.ZH:
		return strings.TrimRight(head, "。") + "：" + rest
	}
	return strings.TrimRight(head, ".") + ": " + rest
}

// then puts one sentence after another: "2026-12-01 00:00。会：……".
func then(lang text.Lang, first, second string) string {
	switch {
	case first == "" || second == "":
		return first + second
	case lang == text.ZH:
		return first + "。" + second
	}
	return first + ". " + second
}

func bracket(lang text.Lang, s string) string {
	if lang == text.ZH {
		return "（" + s + "）"
	}
	return " (" + s + ")"
}

func paint(l look, code, s string) string {
	if !l.color || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
