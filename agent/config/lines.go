package config

import "strings"

// lineIndex tells on which line a key of a TOML text stands. The TOML library
// keeps that to itself. It needs only be right for text that the library has
// read without complaint; keys inside an inline table stand at the table's line.
type lineIndex map[string]int

// of is the line of the dotted path, or of the nearest table around it; 0 when
// neither is in the file. An item of a list, "key[2]", stands where the key does.
func (x lineIndex) of(path string) int {
	path = withoutIndex(path)
	for path != "" {
		if n, ok := x[path]; ok {
			return n
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
	return 0
}

func indexLines(text string) lineIndex {
	s := scanner{text: text, line: 1}
	x := lineIndex{}
	table := ""
	for {
		s.skip(" \t\r\n")
		if s.done() {
			return x
		}
		start := s.line
		switch s.peek() {
		case '#':
			s.toLineEnd()
		case '[':
			s.skip("[")
			table = s.key()
			note(x, table, start)
			s.toLineEnd()
		default:
			path := s.key()
			if table != "" {
				path = table + "." + path
			}
			note(x, path, start)
			s.value()
		}
	}
}

func note(x lineIndex, path string, line int) {
	if _, have := x[path]; !have {
		x[path] = line
	}
}

type scanner struct {
	text string
	pos  int
	line int
}

func (s *scanner) done() bool { return s.pos >= len(s.text) }
func (s *scanner) peek() byte { return s.text[s.pos] }

func (s *scanner) next() byte {
	c := s.text[s.pos]
	s.pos++
	if c == '\n' {
		s.line++
	}
	return c
}

func (s *scanner) skip(set string) {
	for !s.done() && strings.IndexByte(set, s.peek()) >= 0 {
		s.next()
	}
}

func (s *scanner) toLineEnd() {
	for !s.done() && s.next() != '\n' {
	}
}

// key reads a dotted key up to "=" or "]", without quotes and spaces.
func (s *scanner) key() string {
	var b strings.Builder
	for !s.done() {
		switch c := s.peek(); c {
		case '=', ']', '\n':
			if c == '=' {
				s.next()
			}
			return b.String()
		case '"', '\'':
			start := s.pos + 1
			s.quoted()
			b.WriteString(s.text[start:max(start, s.pos-1)])
		case ' ', '\t', '\r':
			s.next()
		default:
			b.WriteByte(s.next())
		}
	}
	return b.String()
}

// value passes over one value: to the end of the line, or of the brackets and
// long strings that begin on it.
func (s *scanner) value() {
	depth := 0
	for !s.done() {
		switch s.peek() {
		case '"', '\'':
			s.quoted()
		case '[', '{':
			depth++
			s.next()
		case ']', '}':
			depth--
			s.next()
		case '#':
			for !s.done() && s.peek() != '\n' {
				s.next()
			}
		case '\n':
			s.next()
			if depth <= 0 {
				return
			}
		default:
			s.next()
		}
	}
}

// quoted passes over a string of any of the four kinds.
func (s *scanner) quoted() {
	q := s.text[s.pos : s.pos+1]
	escapes := q == `"`
	if strings.HasPrefix(s.text[s.pos:], q+q+q) {
		q += q + q
	}
	for range len(q) {
		s.next()
	}
	for !s.done() {
		switch {
		case strings.HasPrefix(s.text[s.pos:], q):
			for range len(q) {
				s.next()
			}
			// A long string may end in one or two quotes of its own.
			for len(q) == 3 && !s.done() && s.peek() == q[0] {
				s.next()
			}
			return
		case escapes && s.peek() == '\\':
			s.next()
			if !s.done() {
				s.next()
			}
		default:
			s.next()
		}
	}
}

// maxNesting is how many dots and braces a config may have outside of its
// texts. The TOML library takes a minute and more for 64 kB of "a.a.a.a…" or
// "{a={a={a=…"; the example has none but in section names.
const maxNesting = 200

// nestedTooOften is the line on which the text has had more than maxNesting
// dots and braces, 0 if it never has.
func nestedTooOften(text string) int {
	s := scanner{text: text, line: 1}
	seen := 0
	for !s.done() {
		switch s.peek() {
		case '"', '\'':
			s.quoted()
			continue
		case '#':
			s.toLineEnd()
			continue
		case '.', '{':
			if seen++; seen > maxNesting {
				return s.line
			}
		}
		s.next()
	}
	return 0
}
