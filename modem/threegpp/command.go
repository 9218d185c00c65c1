package threegpp

import "strings"

// A subcommand is one command of a command line: "AT+CSQ;+CPIN?" has two.
type subcommand struct {
	name string   // "+CGACT", "D", "I", "&F"; "AT" for the bare attention; "" for text that is no command
	op   string   // "", "?", "=?" or "="
	args []string // after "=", split at commas, quotes kept
	raw  string   // as sent, without AT, name in upper case
}

func (c *subcommand) str(i int) string        { return argStr(c.args, i) }
func (c *subcommand) num(i int) (int, bool)   { return argNum(c.args, i) }
func (c *subcommand) is(name, op string) bool { return c.name == name && c.op == op }
func (c *subcommand) numOr(i, def int) int {
	if n, ok := c.num(i); ok {
		return n
	}
	return def
}

// stripAT takes off "AT" in any case.
func stripAT(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && strings.EqualFold(s[:2], "AT") {
		return s[2:]
	}
	return s
}

// parseCommand cuts a command line into its commands (V.250 §5.2.1). It never
// returns an empty slice.
func parseCommand(command string) []subcommand {
	whole := strings.TrimSpace(command)
	rest := strings.TrimSpace(stripAT(whole))
	if rest == "" {
		if whole == "" {
			return []subcommand{{}}
		}
		return []subcommand{{name: "AT", raw: "AT"}}
	}
	if !isSymbol(rest[0]) && !isLetter(rest[0]) {
		return []subcommand{{raw: whole}} // a note by whoever recorded it
	}
	var out []subcommand
	for rest != "" {
		var one string
		one, rest = cutCommand(rest)
		if one != "" {
			out = append(out, oneCommand(one))
		}
	}
	if len(out) == 0 {
		return []subcommand{{raw: whole}}
	}
	return out
}

func isLetter(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' }

// cutCommand takes the first command off s. An extended command ends at a
// semicolon; basic ones end where the next command begins; a dial string takes
// all that is left.
func cutCommand(s string) (one, rest string) {
	if s[0] == 'D' || s[0] == 'd' {
		return s, ""
	}
	quoted := false
	extended := isSymbol(s[0]) && s[0] != '&'
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';':
			return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:])
		case !extended && isSymbol(c):
			return strings.TrimSpace(s[:i]), s[i:]
		}
	}
	return strings.TrimSpace(s), ""
}

func oneCommand(s string) subcommand {
	if s[0] == 'D' || s[0] == 'd' {
		return subcommand{name: "D", raw: "D" + s[1:], args: []string{s[1:]}}
	}
	i := strings.IndexAny(s, "=?")
	if i < 0 {
		name := strings.ToUpper(s)
		return subcommand{name: name, raw: name}
	}
	c := subcommand{name: strings.ToUpper(strings.TrimSpace(s[:i]))}
	switch after := strings.TrimSpace(s[i+1:]); {
	case s[i] == '?':
		c.op = "?"
	case after == "?":
		c.op = "=?"
	default:
		c.op, c.args = "=", split(after)
		c.raw = c.name + "=" + after
		return c
	}
	c.raw = c.name + c.op
	return c
}

// commandText is the command as facts carry it: without AT, its name in upper
// case, its secrets masked.
func commandText(subs []subcommand) string {
	var b strings.Builder
	for i := range subs {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(Redact(subs[i].raw))
	}
	return b.String()
}
