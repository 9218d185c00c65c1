package threegpp

import (
	"math"
	"strconv"
	"strings"
)

// A line is one answer or unsolicited line, cut into its parts once.
type line struct {
	cmd  *subcommand // what it answers; nil when unsolicited
	text string      // all of it, trimmed
	name string      // "+CREG" in upper case; "" when the line has no prefix
	body string      // what follows the colon, trimmed
	args []string    // body split at commas outside quotes and brackets, quotes kept
}

// maxPrefix bounds what is taken for a prefix; "+CMQTTCONNLOST" is the kind of
// length that occurs, free text with a colon far along is not a prefix.
const maxPrefix = 24

// newLine cuts text. A prefix starts with a letter or one of +^#%$!*& and ends
// at the first colon; several modems leave out the space after it.
func newLine(cmd *subcommand, text string) line {
	l := line{cmd: cmd, text: strings.TrimSpace(text)}
	i := strings.IndexByte(l.text, ':')
	if i <= 0 || i > maxPrefix || !isPrefix(l.text[:i]) {
		l.body = l.text
	} else {
		l.name = strings.ToUpper(strings.TrimSpace(l.text[:i]))
		l.body = strings.TrimSpace(l.text[i+1:])
	}
	l.args = split(l.body)
	return l
}

func isPrefix(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case i == 0 && isSymbol(c):
		case i > 0 && (c >= '0' && c <= '9' || c == '_' || c == ' ' || c == '-'):
		default:
			return false
		}
	}
	return true
}

// isSymbol reports whether c begins an extended command or answer.
func isSymbol(c byte) bool { return strings.IndexByte("+^#%$!*&", c) >= 0 }

// split cuts s at commas outside quotes and brackets, and trims each part.
func split(s string) []string {
	if s == "" {
		return nil
	}
	out := make([]string, 0, 8)
	depth, quoted, from := 0, false, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ',' && depth == 0:
			out = append(out, strings.TrimSpace(s[from:i]))
			from = i + 1
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// unquote takes off one pair of quotes, or a lone one of a cut-off line.
func unquote(s string) string {
	s = strings.TrimPrefix(s, `"`)
	return strings.TrimSuffix(s, `"`)
}

// str is argument i without quotes, "" when it was not sent.
func (l line) str(i int) string { return argStr(l.args, i) }

// num is argument i as a number; ok is false when it is absent or none.
func (l line) num(i int) (n int, ok bool) { return argNum(l.args, i) }

// numOr is argument i as a number, or def.
func (l line) numOr(i, def int) int {
	if n, ok := l.num(i); ok {
		return n
	}
	return def
}

// maxCounter bounds byte counters: no module moves eight terabytes in its life,
// a larger number is something else.
const maxCounter = 1 << 43

// counter is argument i as a byte counter in base 10 or 16. Module counters pass
// 2 GB, which an int of a small board does not hold.
func (l line) counter(i, base int) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(l.str(i), "0x"), base, 64)
	return n, err == nil && n < maxCounter
}

// real is argument i as a measurement, nil when it is absent or no number.
func (l line) real(i int) *float64 {
	f, err := strconv.ParseFloat(l.str(i), 64)
	if err != nil || f != f || f > 1e9 || f < -1e9 {
		return nil
	}
	return &f
}

// isQuoted reports whether argument i was sent as a string.
func (l line) isQuoted(i int) bool {
	return i >= 0 && i < len(l.args) && strings.HasPrefix(l.args[i], `"`)
}

func argStr(args []string, i int) string {
	if i < 0 || i >= len(args) {
		return ""
	}
	return strings.TrimSpace(unquote(args[i]))
}

func argNum(args []string, i int) (int, bool) {
	n, err := atoi(argStr(args, i))
	return n, err == nil
}

// atoi reads a whole number of at most 32 bits, which is what an int of the boards
// holds: no field needs more but byte counters (see counter), and a longer run of
// digits is an identity.
func atoi(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err
}

// hexNum reads a hexadecimal field with or without 0x.
func hexNum(s string) (uint64, bool) {
	s = strings.TrimPrefix(strings.ToLower(s), "0x")
	n, err := strconv.ParseUint(s, 16, 64)
	return n, err == nil
}

// value keeps two decimals: more is noise of the arithmetic, no reading has it.
func value(f float64) *float64 {
	f = math.Round(f*100) / 100
	return &f
}

// within is p when it lies in [lo, hi], else nil: outside it is a placeholder
// or another scale.
func within(p *float64, lo, hi float64) *float64 {
	if p == nil || *p < lo || *p > hi {
		return nil
	}
	return p
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func hexOnly(s string) bool {
	for i := range len(s) {
		if !isHex(s[i]) {
			return false
		}
	}
	return s != ""
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
