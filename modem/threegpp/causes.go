package threegpp

import (
	_ "embed" // causes.tsv
	"strconv"
	"strings"
)

//go:embed causes.tsv
var causesTSV string // searched in place and never made into a map: a look-up happens a few times a day

// CauseInfo is one row of the cause tables.
type CauseInfo struct {
	Cause RejectCause
	Name  string // the official name
	// NAS holds, for a CME number, the NAS causes that it stands for.
	NAS []RejectCause
}

// newCellFirst to newCellLast all mean "retry upon entry into a new cell" in
// MM and GMM (TS 24.008 §10.5.3.6, §10.5.5.14); the tables hold the first.
const (
	newCellFirst = 48
	newCellLast  = 63
)

// LookUp finds c in the tables. A private cause is in none of them.
func LookUp(c RejectCause) (CauseInfo, bool) {
	n := c.Number
	if (c.Protocol == MM || c.Protocol == GMM) && n > newCellFirst && n <= newCellLast {
		n = newCellFirst
	}
	row, ok := findRow(c.Protocol, n)
	if !ok {
		return CauseInfo{}, false
	}
	info := row.info()
	info.Cause = c
	return info, true
}

// causeRow is one line of the file, still in text.
type causeRow struct{ protocol, code, name, nas string }

func cutRow(s string) (causeRow, bool) {
	var r causeRow
	cells := [...]*string{&r.protocol, &r.code, &r.name, &r.nas}
	for i, cell := range cells {
		var more bool
		*cell, s, more = strings.Cut(s, "\t")
		if more != (i < len(cells)-1) {
			return causeRow{}, false
		}
	}
	return r, !strings.HasPrefix(r.protocol, "#")
}

func findRow(p Protocol, n int) (causeRow, bool) {
	if p == ProtoUnknown {
		return causeRow{}, false
	}
	i := strings.Index(causesTSV, "\n"+string(p)+"\t"+strconv.Itoa(n)+"\t")
	if i < 0 {
		return causeRow{}, false
	}
	text, _, _ := strings.Cut(causesTSV[i+1:], "\n")
	return cutRow(text)
}

// eachRow calls f for every row until it says stop.
func eachRow(f func(causeRow) bool) {
	for rest := causesTSV; rest != ""; {
		var text string
		text, rest, _ = strings.Cut(rest, "\n")
		if row, ok := cutRow(text); ok && !f(row) {
			return
		}
	}
}

func (r causeRow) cause() RejectCause {
	n, _ := atoi(r.code)
	return RejectCause{Protocol: Protocol(r.protocol), Number: n}
}

func (r causeRow) info() CauseInfo {
	return CauseInfo{Cause: r.cause(), Name: r.name, NAS: parseEquivalents(r.nas)}
}

// parseEquivalents reads "esm33,sm33": the protocol's letters, then the number.
// A protocol may begin with a digit (5gmm) but always ends in a letter.
func parseEquivalents(s string) []RejectCause {
	if s == "" {
		return nil
	}
	var out []RejectCause
	for _, one := range strings.Split(s, ",") {
		end := strings.LastIndexByte(one, 'm') + 1
		if n, err := atoi(one[end:]); err == nil && end > 0 {
			out = append(out, RejectCause{Protocol: Protocol(one[:end]), Number: n})
		}
	}
	return out
}

// plainWords lowers s, takes (U)SIM for SIM, drops hyphens and apostrophes and
// turns all other punctuation into single spaces, so that names written by
// different vendors compare equal.
func plainWords(s string) string {
	s = strings.ReplaceAll(strings.ToLower(s), "(u)sim", "sim")
	s = strings.ReplaceAll(s, "usim", "sim")
	var b strings.Builder
	b.Grow(len(s))
	gap := false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == '-' || c == '\'':
			continue
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80:
			if gap && b.Len() > 0 {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteByte(c)
		default:
			gap = true
		}
	}
	return b.String()
}

// hasWords reports whether all of words stands in text at word bounds. Both are
// plainWords.
func hasWords(text, words string) bool {
	for from := 0; words != ""; {
		i := strings.Index(text[from:], words)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(words)
		if (i == 0 || text[i-1] == ' ') && (end == len(text) || text[end] == ' ') {
			return true
		}
		from = i + 1
	}
	return false
}

// categories are the words that say which table a number or name belongs to.
// PDN is the LTE word for a session, PDP that of 2G and 3G.
var categories = map[string]Protocol{
	"emm": EMM, "esm": ESM, "gmm": GMM, "mm": MM, "sm": SM, "5gmm": FiveGMM, "5gsm": FiveGSM,
	"pdn": ESM, "pdp": SM, "attach": EMM,
}

// CausesByText finds the NAS causes that a free text names, as +CEER and
// verbose errors do. A number from 1 to 127 after a category word ("EMM
// reject",19) or after # decides; otherwise the longest official name does, in
// every table that has it. Nil: the text names none.
func CausesByText(text string) []RejectCause {
	plain := plainWords(text)
	if plain == "" {
		return nil
	}
	category, number := categoryAndNumber(plain)
	if category != ProtoUnknown && number > 0 {
		return []RejectCause{{Protocol: category, Number: number}}
	}
	number = hashNumber(text)
	named := longestName(plain)
	if number > 0 {
		// "PLMN not allowed (#11)": the name chooses the table, the number must agree.
		var agree []RejectCause
		for _, c := range named {
			if c.Number == number {
				agree = append(agree, c)
			}
		}
		if len(agree) > 0 {
			return agree
		}
	}
	if category == ProtoUnknown {
		return named
	}
	for _, c := range named {
		if c.Protocol == category {
			return []RejectCause{c}
		}
	}
	return named
}

// categoryAndNumber takes the first category word, and the first number of a
// NAS cause after it (0 when there is none).
func categoryAndNumber(plain string) (p Protocol, number int) {
	for _, word := range strings.Fields(plain) {
		if p == ProtoUnknown {
			p = categories[word]
			continue
		}
		if n, err := atoi(word); err == nil && n >= 1 && n <= 127 {
			return p, n
		}
	}
	return p, 0
}

// hashNumber is the number of "(#11)", 0 when there is none.
func hashNumber(text string) int {
	_, after, ok := strings.Cut(text, "#")
	if !ok {
		return 0
	}
	end := 0
	for end < len(after) && after[end] >= '0' && after[end] <= '9' {
		end++
	}
	n, err := atoi(after[:end])
	if err != nil || n < 1 || n > 127 {
		return 0
	}
	return n
}

func longestName(plain string) []RejectCause {
	var best []RejectCause
	bestLen := 0
	eachRow(func(r causeRow) bool {
		if p := Protocol(r.protocol); p == CME || p == CMS {
			return true
		}
		if len(r.name) < bestLen-4 { // punctuation shortens a name a little, not more
			return true
		}
		name := plainWords(r.name)
		if len(name) < bestLen || !hasWords(plain, name) {
			return true
		}
		if len(name) > bestLen {
			best, bestLen = nil, len(name)
		}
		best = append(best, r.cause())
		return true
	})
	return best
}

// codeByText finds the number of a verbose +CME or +CMS error, -1 when the
// table does not know the words. "(#11)" and the like are not part of a name.
func codeByText(p Protocol, text string) int {
	words, _, _ := strings.Cut(text, "(#")
	plain := plainWords(words)
	code := -1
	eachRow(func(r causeRow) bool {
		if r.protocol == string(p) && plainWords(r.name) == plain {
			code, _ = atoi(r.code)
			return false
		}
		return true
	})
	return code
}
