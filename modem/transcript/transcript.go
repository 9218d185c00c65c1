package transcript

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"cellwarden/modem/threegpp"
)

// Limits. A day of a talkative modem is some hundred kB; a line of a modem is at
// most some hundred bytes, a scan a few kB.
const (
	MaxBytes   = 4 << 20 // what is read of one text; the rest is named as left out
	MaxLine    = 4 << 10 // what is read of one line
	MaxEntries = 50_000
	MaxUnread  = 20 // lines that are listed; all are counted
)

// Entry is one thing that happened, in the order of the text.
type Entry struct {
	Line int // where it begins, counted from 1
	// Cmd is a command that was sent, with its answer; both are empty for the
	// other kinds. Resp is empty where the text shows that no answer came.
	Cmd  string
	Resp []string
	// URC are lines that the modem sent by itself.
	URC []string
	// Facts are told by the host tool Tool.
	Facts []threegpp.Fact
	Tool  string
}

// Unread is a line that looks like a modem's or a tool's and was not understood.
type Unread struct {
	Line int    `json:"line"`
	Text string `json:"text"` // without identities and secrets, cut
	Why  string `json:"why"`  // NoCommand or NoAnswer
}

// Why a line was not understood.
const (
	NoCommand = "no_command" // no command before it, and no message of the modem's own
	NoAnswer  = "no_answer"  // a command, and no answer is shown
)

// What was left out for its size.
const (
	CutBytes   = "bytes"   // all beyond MaxBytes
	CutLine    = "line"    // the rest of lines longer than MaxLine
	CutEntries = "entries" // all beyond MaxEntries
)

// Transcript is what was read of a text.
type Transcript struct {
	Entries     []Entry
	Lines       int // all that are not blank
	Used        int // of these: read
	Passed      int // plain text, tool noise
	Unread      []Unread
	UnreadTotal int
	Forms       []string // the names of the rows of both tables that were met, in order
	Cut         string   // what was left out for its size, "" for nothing
}

// Read reads data. It never fails: what is not understood is counted.
func Read(data []byte) Transcript {
	t := Transcript{}
	if len(data) > MaxBytes {
		data, t.Cut = data[:MaxBytes], CutBytes
	}
	a := assembler{out: &t, host: newHost(), met: map[string]bool{}}
	var hex hexRun
	for n, raw := range strings.Split(decode(data), "\n") {
		if len(raw) > MaxLine {
			raw = strings.ToValidUTF8(raw[:MaxLine], "")
			t.Cut = CutLine
		}
		if strings.TrimSpace(raw) == "" {
			continue
		}
		t.Lines++
		if hex.take(raw, n+1) {
			a.met["hex dump"] = true
			continue
		}
		for _, h := range hex.done() {
			a.pieces(h.line, h.lines, []piece{{text: h.text, dir: h.dir}})
		}
		a.pieces(n+1, 1, unwrap(raw, a.form))
		if len(t.Entries) > MaxEntries {
			t.Cut = CutEntries
			break
		}
	}
	for _, h := range hex.done() {
		a.pieces(h.line, h.lines, []piece{{text: h.text, dir: h.dir}})
	}
	a.finish()
	return t
}

// decode gives data as UTF-8 text with line feeds: from UTF-16 where a mark says
// so, without the NULs and control bytes of a line that was cut or noisy.
func decode(data []byte) string {
	if len(data) >= 2 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff) {
		big := data[0] == 0xfe
		units := make([]uint16, 0, len(data)/2)
		for i := 2; i+1 < len(data); i += 2 {
			lo, hi := data[i], data[i+1]
			if big {
				lo, hi = hi, lo
			}
			units = append(units, uint16(hi)<<8|uint16(lo))
		}
		data = []byte(string(utf16.Decode(units)))
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	s := string(data)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	s = ansi().ReplaceAllString(s, "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return '\n'
		case r == '\n', r == '\t':
			return r
		case r < 0x20, r == 0x7f, r == '□', r == '\ufeff':
			return -1
		case r == '\u00a0', r == '\u3000':
			return ' '
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}
