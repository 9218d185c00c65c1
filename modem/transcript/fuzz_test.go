package transcript

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"cellwarden/modem/threegpp"
)

var identity = regexp.MustCompile(`\d{14}`)

// FuzzRead: no text breaks it, every line is accounted for, what is listed is
// bounded and holds no identity.
func FuzzRead(f *testing.F) {
	for _, form := range loadForms(f) {
		f.Add([]byte(form.text))
	}
	f.Add([]byte("\xff\xfeA\x00T\x00\r\x00\n\x00O\x00K\x00"))
	f.Add([]byte("AT\r\r\nOK\r\n\x1b[0m\x00\xff^M^MODE:5"))
	f.Add([]byte("+CME ERROR: 460001234567890\n00000000: 4154 0d0a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := Read(data)
		if x.Used < 0 || x.Used+x.Passed+x.UnreadTotal != x.Lines {
			t.Fatalf("%d read, %d passed over and %d not understood make not %d", x.Used, x.Passed, x.UnreadTotal, x.Lines)
		}
		if len(x.Unread) > MaxUnread || len(x.Entries) > MaxEntries+2 {
			t.Fatalf("%d listed, %d entries", len(x.Unread), len(x.Entries))
		}
		for _, u := range x.Unread {
			if identity.MatchString(u.Text) || !utf8.ValidString(u.Text) || len(u.Text) > 130 || u.Line < 1 {
				t.Fatalf("listed: %+v", u)
			}
		}
		for _, e := range x.Entries {
			threegpp.Reply(e.Cmd, e.Resp)
			for _, line := range append(e.URC, e.Resp...) {
				threegpp.URC(line)
				if strings.ContainsAny(line, "\r\x00") || strings.Contains(line, "\n") && !strings.HasPrefix(line, "+C") {
					t.Fatalf("a line with a line end: %q", line)
				}
			}
		}
	})
}

// TestLimits: what is too large is cut, and said.
func TestLimits(t *testing.T) {
	visit := []byte("AT+CPIN?\n+CPIN: READY\nOK\n")
	long := append(append([]byte{}, visit...), bytes.Repeat([]byte("x"), 3*MaxLine)...)
	if x := Read(long); x.Cut != CutLine || len(x.Entries) != 1 {
		t.Errorf("a long line: cut %q, %d entries", x.Cut, len(x.Entries))
	}
	if x := Read(append(bytes.Repeat([]byte("\n"), MaxBytes), visit...)); x.Cut != CutBytes || x.Used != 0 {
		t.Errorf("a large text: cut %q, %d used", x.Cut, x.Used)
	}
	if x := Read(visit); x.Cut != "" {
		t.Errorf("a small text: cut %q", x.Cut)
	}
}

// TestOtherEncodings: a log saved by a Windows program.
func TestOtherEncodings(t *testing.T) {
	text := "AT+CPIN?\r\n+CPIN: READY\r\nOK\r\n"
	little, big := []byte{0xff, 0xfe}, []byte{0xfe, 0xff}
	for i := range len(text) {
		little = append(little, text[i], 0)
		big = append(big, 0, text[i])
	}
	for name, data := range map[string][]byte{"UTF-16, little end first": little, "UTF-16, big end first": big, "UTF-8 with a mark": []byte("\xef\xbb\xbf" + text)} {
		if got := told(Read(data)); !strings.Contains(got, "SIM ready") {
			t.Errorf("%s: %s", name, got)
		}
	}
}
