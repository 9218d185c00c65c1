package transcript

import (
	"encoding/hex"
	"strings"
)

var (
	// hexOffset is the offset of xxd, hexdump and the like.
	hexOffset = lazy(`^(?:0x)?[0-9A-Fa-f]{4,8}[: ] ?(?: |\||$)?`)
	hexBytes  = lazy(`^(?:(?:0x)?[0-9A-Fa-f]{2}(?:[0-9A-Fa-f]{2})?[ ,;-]*){3,40}`)
	hexStart  = lazy(`^(?:0x)?0{4,8}[: ]`) // offset zero: another dump begins
	hexASCII  = lazy(`^\s*\|?.{0,20}\|?\s*$`)
)

// maxHex bounds one run of a dump.
const maxHex = 64 << 10

// hexRun gathers the lines of a hex dump until something else comes.
type hexRun struct {
	runs []hexText
	open *hexOpen
}

type hexText struct {
	text        string
	dir         dir
	line, lines int
}

type hexOpen struct {
	data        []byte
	dir         dir
	line, lines int
}

// take reports whether raw is a line of a dump, and keeps it.
func (h *hexRun) take(raw string, line int) bool {
	p := piece{text: strings.TrimSpace(raw)}
	for range 3 {
		if hexLine(p.text) != nil || !peel(&p, func(string) {}) {
			break
		}
	}
	data := hexLine(p.text)
	if data == nil {
		return false
	}
	if hexStart().MatchString(p.text) {
		h.close()
	}
	if h.open != nil && p.dir != unknown && h.open.dir != p.dir || h.open != nil && len(h.open.data) > maxHex {
		h.close()
	}
	if h.open == nil {
		h.open = &hexOpen{dir: p.dir, line: line}
	}
	h.open.data = append(h.open.data, data...)
	h.open.lines++
	return true
}

// hexLine decodes one line of a dump; nil where it is none, or where its bytes
// are no text.
func hexLine(s string) []byte {
	body := s
	if m := hexOffset().FindString(s); m != "" && len(s) > len(m) && hexBytes().MatchString(s[len(m):]) && (strings.ContainsAny(m, ":") || len(strings.TrimSpace(m)) >= 7) {
		body = s[len(m):]
	}
	m := hexBytes().FindString(body)
	if m == "" {
		return nil
	}
	// xxd and hexdump part the text by two blanks: what follows is no byte.
	if i := strings.Index(m, "  "); i > 0 && !strings.HasPrefix(strings.TrimSpace(body[i:]), "|") && len(strings.Fields(m[:i])) != 8 {
		m = m[:i]
	}
	if rest := body[len(m):]; rest != "" && !hexASCII().MatchString(rest) {
		return nil
	}
	clean := strings.NewReplacer("0x", "", " ", "", ",", "", ";", "", "-", "").Replace(m)
	if len(clean)%2 != 0 || len(clean) < 6 {
		return nil
	}
	data, err := hex.DecodeString(clean)
	if err != nil {
		return nil
	}
	text := 0
	for _, c := range data {
		if c >= 0x20 && c < 0x7f || c == '\r' || c == '\n' {
			text++
		}
	}
	if text*10 < len(data)*9 || strings.IndexByte(strings.Trim(m, " "), ' ') < 0 && len(data) < 8 {
		return nil
	}
	return data
}

func (h *hexRun) close() {
	if h.open == nil {
		return
	}
	o := h.open
	h.open = nil
	for _, line := range strings.FieldsFunc(decode(o.data), func(r rune) bool { return r == '\n' }) {
		h.runs = append(h.runs, hexText{line, o.dir, o.line, o.lines})
		o.lines = 0
	}
}

// done gives the text lines of the dump that has ended.
func (h *hexRun) done() []hexText {
	h.close()
	out := h.runs
	h.runs = nil
	return out
}
