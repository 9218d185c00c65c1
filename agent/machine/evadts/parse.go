package evadts

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cellwarden/agent/machine/crc16"
)

// segment is one line: its identifier and what follows it, uncut.
type segment struct {
	line int
	id   string
	text string // after the first '*'
}

// el is element n, from 1; "" where there is none.
func (s segment) el(n int) string {
	t := s.text
	for ; n > 1; n-- {
		i := strings.IndexByte(t, '*')
		if i < 0 {
			return ""
		}
		t = t[i+1:]
	}
	if i := strings.IndexByte(t, '*'); i >= 0 {
		t = t[:i]
	}
	return t
}

// reader is one audit on its way in.
type reader struct {
	a     *Audit
	lists map[string]Totals // LA1 by selection, where nothing better is said
	sel   int               // PA2 and what follows belong to it; -1 none
	selAt map[string]int
	began bool // ST or DXS was seen
	ended int  // line of SE or DXE, 0 not yet
	dxe   bool
	dxs   bool
	st    bool
	se    bool
	known int // segments that an audit has

	// the checksum: of the lines from ST on, with CRLF behind each
	crc, before uint16 // now, and without the last CRLF
	atG85       uint16 // what the text before G85 gives
	g85         string
	g85Line     int

	bills     [4]Num // CA304, CA308, CA309, CA310
	negative  int
	lastLine  int
	cut       bool // the last line has no end
	countByPr int  // selections whose value is count times price
	countable int
}

// Parse reads one audit, or each of several in one file. It always gives an
// Audit: what can be read of a damaged one is in it, and Broken names the line.
// Text beyond MaxBytes is not read.
func Parse(raw []byte) *Audit {
	over := len(raw) > MaxBytes
	if over {
		raw = raw[:MaxBytes]
	}
	text := string(raw)
	first := newReader()
	r, line, all := first, 0, 0
	var more []*reader
	for at := 0; at < len(text); {
		s, next := cutLine(text, at)
		line++
		r.cut = next == len(text) && next == at+len(s)
		at = next
		if len(s) > MaxSegment {
			r.broken("segment_too_long", line, fmt.Sprintf("a segment of %d bytes; the limit is %d", len(s), MaxSegment))
			continue
		}
		seg, ok := r.segment(s, line)
		if !ok {
			if trim(s) != "" && s[0] != '<' {
				r.add(s) // whoever printed it has counted it
			}
			continue
		}
		if all++; all > MaxSegments {
			r.broken("too_many_segments", line, fmt.Sprintf("more than %d segments", MaxSegments))
			break
		}
		if r.startsAnew(seg) {
			r.finish()
			first.find("several_audits", line, "a further audit begins; it is read on its own")
			r = newReader()
			more = append(more, r)
		}
		r.take(seg, s)
	}
	if over {
		r.broken("too_long", line, fmt.Sprintf("more than %d bytes", MaxBytes))
	}
	r.lastLine = line
	r.finish()
	for _, m := range more {
		first.a.Further = append(first.a.Further, m.a)
	}
	return first.a
}

func newReader() *reader {
	return &reader{a: &Audit{G85: G85Missing, Identity: Identity{Decimals: 2},
		Selections: []Selection{}, Events: []Event{}, Checks: []Check{}, Findings: []Finding{}}, sel: -1}
}

// cutLine gives the line that begins at and where the next begins. CRLF is the
// standard's end; files that passed an editor have LF, some loggers CR.
func cutLine(text string, at int) (line string, next int) {
	for i := at; i < len(text); i++ {
		switch text[i] {
		case '\n':
			return text[at:i], i + 1
		case '\r':
			if i+1 < len(text) && text[i+1] == '\n' {
				return text[at:i], i + 2
			}
			return text[at:i], i + 1
		}
	}
	return text[at:], len(text)
}

// find notes what deviates. There is a limit, so that noise makes no flood.
func (r *reader) find(code string, line int, detail string) {
	r.note(Finding{code, line, detail, false})
}

// broken notes a line that cannot be an audit's.
func (r *reader) broken(code string, line int, detail string) {
	r.note(Finding{code, line, detail, true})
}

func (r *reader) note(f Finding) {
	if len(r.a.Findings) < MaxFindings || f.Broken && r.a.Broken() == nil {
		r.a.Findings = append(r.a.Findings, f)
	}
}

// segment takes a line apart. Not ok: the line is none of the audit, and the
// finding says so where that is worth knowing.
func (r *reader) segment(s string, line int) (segment, bool) {
	if trim(s) == "" {
		return segment{}, false
	}
	if s[0] == '<' { // a carrier's wrapper: <000|...>
		_, after, closed := strings.Cut(s, ">")
		r.find("wrapper", line, "a carrier's wrapper around the audit")
		if s = trim(after); !closed || s == "" {
			return segment{}, false
		}
	}
	if s[0] == '@' { // @$: the Italian tax data, not EVA-DTS
		r.find("foreign_line", line, "a line of another record, not read: "+show(s, 12))
		return segment{}, false
	}
	id, text, _ := strings.Cut(s, "*")
	if cut, rest, dashed := strings.Cut(s, "-"); dashed && (cut == "ST" || cut == "SE") { // ST-1: seen on a Platinum
		r.find("dash", line, cut+" is written with a dash")
		id, text = cut, rest
	}
	if i := control(s); i >= 0 {
		r.broken("damaged_line", line, fmt.Sprintf("byte %02X, which no audit has: %s", s[i], show(s, 24)))
		return segment{}, false
	}
	if !isID(id) {
		if r.began && r.ended == 0 {
			r.broken("damaged_line", line, "no segment begins like this: "+show(s, 24))
		} else {
			r.find("foreign_line", line, "a line outside of the audit, not read: "+show(s, 24))
		}
		return segment{}, false
	}
	return segment{line, id, text}, true
}

// control is the place of the first byte that text cannot have, or -1. Bytes
// above 7E are letters of some alphabet and pass.
func control(s string) int {
	for i := range len(s) {
		if s[i] < 0x20 && s[i] != '\t' || s[i] == 0x7f {
			return i
		}
	}
	return -1
}

// isID: two or three letters or digits, the first a letter, then up to two digits.
func isID(s string) bool {
	if len(s) < 2 || len(s) > 5 {
		return false
	}
	digits := false
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z' && !digits:
		case c >= '0' && c <= '9' && i > 0:
			digits = true
		default:
			return false
		}
	}
	return true
}

// startsAnew: a second DXS, or ST where the first audit had begun, begins a
// further audit; neither stands twice in one.
func (r *reader) startsAnew(s segment) bool {
	switch s.id {
	case "DXS":
		return r.dxs || r.st
	case "ST":
		return r.st
	}
	return false
}

// take reads one segment into the audit.
func (r *reader) take(s segment, whole string) {
	a := r.a
	a.Segments++
	switch s.id {
	case "DXS": // the checksum begins behind it where there is no ST
		r.crc, r.before = 0, 0
	case "ST":
		r.crc, r.before = 0, 0
		a.Counted = 0
		r.add(whole)
	case "G85":
		if r.g85Line == 0 {
			r.g85, r.g85Line = trim(s.el(1)), s.line
			r.atG85, a.G85 = r.crc, r.judge()
		}
	default:
		r.add(whole)
	}
	if s.id != "DXS" && s.id != "DXE" && !r.se { // SE01 counts from ST to SE
		a.Counted++
	}
	if r.cut && r.ended == 0 && s.id != "SE" && s.id != "DXE" {
		return // 2348 may have been 234850: where the text breaks off no number is whole
	}
	if handle := segments[s.id]; handle != nil {
		r.known++
		if !r.dxs && !r.st && s.id != "DXS" && s.id != "ST" && r.known == 1 {
			r.find("no_start", s.line, "the audit begins with "+s.id+": without DXS and ST")
		}
		r.began = true
		handle(r, s)
	} else if !r.began {
		r.find("before_start", s.line, s.id+" stands before the audit begins")
	}
	if r.ended != 0 && s.id != "DXE" && s.id != "SE" && s.id != "G85" {
		r.find("after_end", s.line, s.id+" stands after the end of the audit")
	}
}

// add carries the checksum over a line and its CRLF.
func (r *reader) add(line string) {
	r.before = crc16.String(r.crc, line)
	r.crc = crc16.String(r.before, "\r\n")
}

// judge compares G85 with the text before it.
func (r *reader) judge() G85 {
	var stated uint16
	if len(r.g85) != 4 {
		return G85Mismatch
	}
	for i := range len(r.g85) {
		d := strings.IndexByte("0123456789abcdef", r.g85[i]|0x20)
		if d < 0 || r.g85[i] < '0' {
			return G85Mismatch
		}
		stated = stated<<4 | uint16(d)
	}
	switch stated {
	case r.crc:
		return G85OK
	case r.crc>>8 | r.crc<<8:
		return G85Swapped
	case r.before:
		return G85NoLastCRLF
	}
	return G85Mismatch
}

// num reads an element that the standard calls a number. must: sales rest on it.
func (r *reader) num(s segment, n int, must bool) Num {
	e := s.el(n)
	v, negative, ok := number(e)
	switch {
	case negative:
		r.negative++
		if r.negative == 1 {
			r.find("negative_counter", s.line, fmt.Sprintf("%s%02d is %s, a counter below zero; such values are left out", s.id, n, trim(e)))
		}
	case !ok && must:
		r.broken("not_a_number", s.line, fmt.Sprintf("%s%02d is no number: %s", s.id, n, show(e, 24)))
	case !ok:
		r.find("not_a_number", s.line, fmt.Sprintf("%s%02d is no number: %s", s.id, n, show(e, 24)))
	}
	return v
}

// word reads an element of text: padding off, escapes and bytes made readable.
func word(e string) string { return trim(unescape(trim(e))) }

// unescape undoes ^2A^. What is not UTF-8 then keeps its bytes as ^DD^: the
// alphabet is not said anywhere.
func unescape(e string) string {
	if strings.IndexByte(e, '^') < 0 && utf8.ValidString(e) {
		return e
	}
	out := make([]byte, 0, len(e))
	for i := 0; i < len(e); i++ {
		if e[i] == '^' && i+3 < len(e) && e[i+3] == '^' {
			hi, lo := strings.IndexByte(hexDigits, e[i+1]|0x20), strings.IndexByte(hexDigits, e[i+2]|0x20)
			if hi >= 0 && lo >= 0 && e[i+1] >= '0' && e[i+2] >= '0' {
				out, i = append(out, byte(hi<<4|lo)), i+3
				continue
			}
		}
		out = append(out, e[i])
	}
	if utf8.Valid(out) && control(string(out)) < 0 {
		return string(out)
	}
	var b strings.Builder
	for _, c := range out {
		if c < 0x20 || c > 0x7e {
			fmt.Fprintf(&b, "^%02X^", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

// show keeps foreign text short and printable.
func show(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%q", s)
}
