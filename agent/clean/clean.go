// Package clean keeps texts that somebody else wrote from acting on whoever reads
// them. A modem's name, an operator's message or a platform's reason may hold what a
// terminal obeys (escape sequences), what turns the reading direction round, or what
// nobody sees. It is pure.
package clean

import (
	"io"
	"reflect"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mark stands where a control character was, so that its place is seen.
const Mark = '\uFFFD'

// Text is s without what acts instead of being read: C0 and C1 control characters and
// DEL become Mark (tab and newline stay), characters that turn or join the direction
// of writing, or have no width, go. Bytes that are no UTF-8 become Mark.
func Text(s string) string {
	if harmless(s) {
		return s
	}
	return strings.Map(one, strings.ToValidUTF8(s, string(Mark)))
}

// Line is Text on one line: tab and newline become a space.
func Line(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, Text(s))
}

func harmless(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || one(r) != r {
			return false
		}
	}
	return true
}

// one is what r becomes; -1 drops it.
func one(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return r
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return Mark
	case hidden(r):
		return -1
	}
	return r
}

// hidden reports whether r is not seen: format characters (Cf: bidi controls, zero
// width, the byte order mark, soft hyphen), the line and paragraph separators, and
// what fills without ink.
func hidden(r rune) bool {
	return unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0'
}

// Writer passes on what is written to it, cleaned like Text. A character that is split
// between two writes is held back until it is whole.
type Writer struct {
	to     io.Writer
	rest   []byte
	styles bool
}

// NewWriter cleans what goes to a person through to.
func NewWriter(to io.Writer) *Writer { return &Writer{to: to} }

// NewTerminal is NewWriter for a terminal: what our own words are styled with passes,
// which is colour and weight, the start of the line, and the rest of the line wiped.
func NewTerminal(to io.Writer) *Writer { return &Writer{to: to, styles: true} }

// style is what NewTerminal lets pass.
var style = regexp.MustCompile("\x1b\\[[0-9;]{0,8}[mK]|\r")

func (w *Writer) clean(s string) string {
	if !w.styles {
		return Text(s)
	}
	var b strings.Builder
	at := 0
	for _, m := range style.FindAllStringIndex(s, -1) {
		b.WriteString(Text(s[at:m[0]]))
		b.WriteString(s[m[0]:m[1]])
		at = m[1]
	}
	b.WriteString(Text(s[at:]))
	return b.String()
}

// Write takes all of p, or fails as the writer below does.
func (w *Writer) Write(p []byte) (int, error) {
	b := p
	if len(w.rest) > 0 {
		b = append(w.rest, p...)
		w.rest = nil
	}
	if n := halfRune(b); n > 0 {
		w.rest = append([]byte(nil), b[len(b)-n:]...)
		b = b[:len(b)-n]
	}
	if len(b) > 0 {
		if _, err := io.WriteString(w.to, w.clean(string(b))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Flush writes what is held back: a character that never became whole, as Mark.
func (w *Writer) Flush() error {
	if len(w.rest) == 0 {
		return nil
	}
	w.rest = nil
	_, err := io.WriteString(w.to, string(Mark))
	return err
}

// halfRune is how many bytes at the end of b begin a character that goes on.
func halfRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// Fact is v with every string in it cleaned by Text: in fields, slices, arrays and
// behind pointers, which are copied where something changes. What is not exported and
// maps stay as they are.
func Fact(v any) any {
	if v == nil {
		return nil
	}
	in := reflect.ValueOf(v)
	if !dirty(in) {
		return v
	}
	out := reflect.New(in.Type()).Elem()
	out.Set(in)
	scrub(out)
	return out.Interface()
}

func dirty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return !harmless(v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && dirty(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k == reflect.Uint8 || k == reflect.Float64 {
			return false
		}
		for i := range v.Len() {
			if dirty(v.Index(i)) {
				return true
			}
		}
	case reflect.Pointer:
		return !v.IsNil() && dirty(v.Elem())
	}
	return false
}

func scrub(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(Text(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scrub(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.IsNil() || !dirty(v) {
			return
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			scrub(c.Index(i))
		}
		v.Set(c)
	case reflect.Array:
		for i := range v.Len() {
			scrub(v.Index(i))
		}
	case reflect.Pointer:
		if v.IsNil() || !dirty(v.Elem()) {
			return
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(v.Elem())
		scrub(c.Elem())
		v.Set(c)
	}
}
