package carrier

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
)

//go:embed words-fold.toml
var foldTOML string

var simplified = func() map[rune]rune {
	var file struct{ Pairs string }
	if _, err := toml.Decode(foldTOML, &file); err != nil {
		panic("carrier: words-fold.toml: " + err.Error()) // embedded, and read by every test
	}
	table := map[rune]rune{}
	for _, line := range strings.Fields(file.Pairs) {
		r := []rune(line)
		if len(r)%2 != 0 {
			panic(fmt.Sprintf("carrier: words-fold.toml: %q: not in pairs", line))
		}
		for i := 0; i < len(r); i += 2 {
			table[r[i]] = r[i+1]
		}
	}
	return table
}()

// Fold writes text in one form: lower case, simplified script, ASCII where a
// wide or typographic form was used, one space at most, none beside Chinese.
func Fold(text string) string {
	out := make([]rune, 0, len(text))
	space := false
	for _, r := range text {
		switch {
		case r >= 0xff01 && r <= 0xff5e && !keepsWide(r):
			r -= 0xfee0
		case r == '’' || r == '‘' || r == '`' || r == '´':
			r = '\''
		case r == '“' || r == '”' || r == '「' || r == '」' || r == '『' || r == '』':
			r = '"'
		case r == '–' || r == '—' || r == '−' || r == '~' || r == '～' || r == '〜':
			r = '-'
		case r == 0x200b || r == 0x200c || r == 0x200d || r == 0xfeff || r == 0xad:
			continue
		}
		if r == '\n' || r == '\r' {
			r = '\n'
		} else if unicode.IsSpace(r) {
			space = true
			continue
		}
		if s, ok := simplified[r]; ok {
			r = s
		}
		r = unicode.ToLower(r)
		if space && len(out) > 0 && !(han(r) && han(out[len(out)-1])) && out[len(out)-1] != '\n' {
			out = append(out, ' ')
		}
		space = false
		out = append(out, r)
	}
	return string(out)
}

// keepsWide are the wide marks that part Chinese clauses: a full stop in a
// figure is never wide.
func keepsWide(r rune) bool {
	return strings.ContainsRune("，；！？：", r)
}

func han(r rune) bool { return unicode.Is(unicode.Han, r) }
