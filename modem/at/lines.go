package at

import (
	"strings"
	"unicode/utf8"
)

// lineMax is the longest line that is kept, in bytes. +CEER may carry 2041
// characters (TS 27.007 §6.10), which is the longest that any answer needs.
const lineMax = 4096

// An assembler cuts a byte stream into lines. Lines end with CR or LF or both,
// NULs and control bytes are dropped, and a line that outgrows lineMax is
// thrown away up to its end: that is where the stream is in step again.
type assembler struct {
	buf     []byte
	dropped int  // control and invalid bytes dropped from the line in buf
	skip    bool // the line outgrew lineMax

	noise int // bytes thrown away so far
	long  int // lines thrown away for their length so far
}

// push takes one byte and returns a complete line. A line of noise is counted
// and not returned; neither is an empty one.
func (a *assembler) push(b byte) (line string, ok bool) {
	switch {
	case b == '\r' || b == '\n':
		return a.end()
	case a.skip:
		a.noise++
	case b == 0x1b: // what leaveText sends, echoed by a port without a modem: says nothing
	case b < 0x20 && b != '\t' || b == 0x7f:
		a.dropped++
	case len(a.buf) == lineMax:
		a.noise += lineMax + 1
		a.buf, a.skip = a.buf[:0], true
	default:
		a.buf = append(a.buf, b)
	}
	return "", false
}

// atStart reports whether the next byte begins a line.
func (a *assembler) atStart() bool { return len(a.buf) == 0 && !a.skip }

func (a *assembler) end() (string, bool) {
	raw, dropped, skip := a.buf, a.dropped, a.skip
	a.buf, a.dropped, a.skip = a.buf[:0], 0, false
	a.noise += dropped
	if skip {
		a.long++
		return "", false
	}
	if len(raw) == 0 {
		return "", false
	}
	line := string(raw)
	if !utf8.ValidString(line) {
		line = trimInvalid(line)
		dropped += len(raw) - len(line)
		a.noise += len(raw) - len(line)
	}
	line = strings.TrimSpace(line)
	if line == "" {
		return "", false
	}
	// Stray bytes around a line are common (a NUL before OK after a baud
	// change); a line that is mostly stray bytes is noise.
	broken := !utf8.ValidString(line)
	if linePrefix(line) == "" && (broken || dropped > len(line)+strayMax) {
		a.noise += len(line)
		return "", false
	}
	if len(line) <= 2 && !shortLine(line) {
		a.noise += len(line)
		return "", false
	}
	if broken {
		line = strings.ToValidUTF8(line, "\uFFFD")
	}
	return line, true
}

// shortLine reports whether a line of one or two bytes can be a modem's: "OK",
// an echoed "AT", a prompt, or a number.
func shortLine(s string) bool {
	return s == "OK" || s == ">" || strings.EqualFold(s, "AT") || strings.Trim(s, "0123456789") == ""
}

// strayMax is how many stray bytes a short line may come with ("\x00\x00\xffOK").
const strayMax = 16

// trimInvalid cuts bytes that are not UTF-8 from both ends of s.
func trimInvalid(s string) string {
	for s != "" {
		if r, n := utf8.DecodeRuneInString(s); r != utf8.RuneError || n > 1 {
			break
		}
		s = s[1:]
	}
	for s != "" {
		if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n > 1 {
			break
		}
		s = s[:len(s)-1]
	}
	return s
}

// signs are the characters that lead the name of a command and of its answer.
const signs = "+^#%*$!&_@"

// linePrefix returns the name that leads an information line, "+CSQ" of
// "+CSQ: 20,99", or "" when the line leads with none.
func linePrefix(line string) string {
	if len(line) < 2 || strings.IndexByte(signs, line[0]) < 0 {
		return ""
	}
	i := 1
	for i < len(line) && isNameByte(line[i]) {
		i++
	}
	if i == 1 || i == len(line) || line[i] != ':' {
		return ""
	}
	return line[:i]
}

// commandNames returns the names that an AT command line asks for, "+CSQ" and
// "+CPIN" of "AT+CSQ;+CPIN?". Basic commands (ATI, ATE0) have none.
func commandNames(cmd string) []string {
	var names []string
	for _, part := range splitCommands(body(cmd)) {
		if len(part) < 2 || strings.IndexByte(signs, part[0]) < 0 {
			continue
		}
		i := 1
		for i < len(part) && isNameByte(part[i]) {
			i++
		}
		if i > 1 {
			names = append(names, strings.ToUpper(part[:i]))
		}
	}
	return names
}

// splitCommands cuts a command line at each ';' that is not in quotes.
func splitCommands(s string) []string {
	var parts []string
	quoted, from := false, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ';':
			if !quoted {
				parts = append(parts, s[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, s[from:])
}

func isNameByte(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '_'
}

// body is a command line without its leading AT.
func body(cmd string) string {
	if len(cmd) >= 2 && strings.EqualFold(cmd[:2], "AT") {
		return cmd[2:]
	}
	return cmd
}

// related reports whether an answer named got can belong to a command named
// want: the same name, or one within the other, since +QCCID and +CICCID are
// answered as +CCID or +ICCID by some firmware.
func related(want, got string) bool {
	want, got = want[1:], strings.ToUpper(got[1:])
	if want == got {
		return true
	}
	const minName = 4 // "CSQ" within "QCSQ" would be a coincidence
	return len(want) >= minName && len(got) >= minName && (strings.Contains(want, got) || strings.Contains(got, want))
}

// oneLineReads are read commands that 3GPP answers with exactly one line before
// OK: an OK alone is another command's.
var oneLineReads = map[string]bool{
	"+CSQ": true, "+CESQ": true, "+CPIN?": true, "+CFUN?": true, "+COPS?": true, "+CGATT?": true,
	"+CREG?": true, "+CGREG?": true, "+CEREG?": true, "+CMEE?": true,
}
