package transcript

import (
	"strings"

	"cellwarden/modem/threegpp"
)

var (
	// command is an AT command line (V.250 §5.2.1), in any case; not a word that
	// begins with these two letters.
	command = lazy(`(?i)^AT ?(?:[+^#%$!*&@\\_] ?[A-Z][A-Z0-9_+/-]* ?(?:[=?].*|;.*|[&+].*|\d+)?|[IZEHAOVQXLMPSFWC]\d{0,3}(?:[=?&;+EVQXSD].*)?|D[\dTP*#].*|)$`)
	// prefixed is a line with a modem's prefix.
	prefixed = lazy(`^(?:[+^#%$!*][A-Za-z][A-Za-z0-9_-]{1,23}|[+^#%$!*][A-Z][A-Z0-9_ ]{1,23}) ?: ?|^\+CM[ES] ERROR|^\^[A-Z]{3,12}:|^\+PDP: |^\$QC\w+:`)
	// inside finds where a second answer begins in a line that lost its line ends.
	inside = lazy(`(?:^|[^A-Za-z0-9"=;+^#%$!*&?])([+^#%$!*][A-Z][A-Z0-9_]{1,20}: ?|\+CM[ES] ERROR)|([+^#%$!*][A-Z][A-Z0-9_]{2,20}: )|(\+CM[ES] ERROR)`)
	// tail is a final result glued to the end of an answer.
	tail = lazy(`^(.*(?:READY|[^A-Za-z+ ]))\s*(OK|ERROR)$`)
	// tailWord is the same after a blank.
	tailWord = lazy(`^(.*\S)\s+(OK|ERROR|NO CARRIER)$`)
	// glued is a command with its answer on the same line.
	glued = lazy(`(?i)^(AT(?:[+^#%$!*&][A-Z][A-Z0-9_]*(?:=\?|\?|=[^ ]*)?|[IZEV]\d?)?) *(?:[:=]>|-+>|→|:|\||,|returns?|gives|->)? +(.*)$`)
)

// isCommand reports whether s is a command line.
func isCommand(s string) bool { return command().MatchString(s) && len(s) < 600 }

// IsCommand reports whether s is an AT command line, in whatever a log put around it.
func IsCommand(s string) bool {
	for _, line := range Plain(s) {
		if isCommand(line) {
			return true
		}
	}
	return false
}

// isModem reports whether s is what a modem says: a final result, a line with a
// prefix, or one that threegpp knows.
func isModem(s string) bool {
	if _, ok := threegpp.ParseFinal(s); ok {
		return true
	}
	if prefixed().MatchString(s) {
		return true
	}
	return knownURC(s)
}

func knownURC(s string) bool {
	if len(s) > 200 {
		return false
	}
	for _, f := range threegpp.URC(s) {
		if _, no := f.(threegpp.Unparsed); no {
			return false
		}
		return true
	}
	return false
}

// plainModem reports whether s is the modem's own line as it stands, with
// nothing around it.
func plainModem(s string) bool {
	if s[0] == '[' || s[0] == '<' || s[0] == '>' || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	if _, ok := threegpp.ParseFinal(s); ok {
		return true
	}
	return isCommand(s) || prefixed().MatchString(s)
}

// parts cuts a line that holds several: a command with its answer, answers that
// ran together, a final at the end.
func parts(s string) []string {
	if _, ok := threegpp.ParseFinal(s); ok {
		return []string{s}
	}
	if m := glued().FindStringSubmatch(s); m != nil && !isCommand(s) {
		if rest := strings.TrimSpace(m[2]); isModem(strings.Split(rest, " OK")[0]) || isFinalWord(rest) || prefixed().MatchString(rest) {
			return append([]string{m[1]}, parts(rest)...)
		}
	}
	if isCommand(s) && !strings.Contains(s, ": ") {
		return []string{s}
	}
	var out []string
	if m := tail().FindStringSubmatch(s); m != nil && prefixed().MatchString(m[1]) && !strings.HasSuffix(m[1], ":") && !strings.HasSuffix(m[1], `"`+m[2]) {
		return append(parts(strings.TrimSpace(m[1])), m[2])
	}
	if m := tailWord().FindStringSubmatch(s); m != nil && (prefixed().MatchString(m[1]) || isCommand(m[1])) && !strings.HasPrefix(s, "+CM") {
		return append(parts(m[1]), m[2])
	}
	rest := s
	for len(rest) > 1 && (prefixed().MatchString(rest) || isCommand(strings.SplitN(rest, "+C", 2)[0])) {
		m := inside().FindStringSubmatchIndex(rest[1:])
		if m == nil {
			break
		}
		at := m[2]
		for i := 4; at < 0 && i < len(m); i += 2 {
			at = m[i]
		}
		at++
		if at <= 1 || strings.Count(rest[:at], `"`)%2 == 1 {
			break
		}
		out = append(out, strings.TrimSpace(rest[:at]))
		rest = rest[at:]
	}
	rest = strings.TrimSpace(rest)
	if out != nil && rest != s {
		return append(out, parts(rest)...)
	}
	return append(out, rest)
}

func isFinalWord(s string) bool {
	_, ok := threegpp.ParseFinal(s)
	return ok
}
