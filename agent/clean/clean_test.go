package clean

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWhatActsOnATerminalIsTakenOut(t *testing.T) {
	for in, want := range map[string]string{
		"EC20\x1b]0;pwned\x07":  "EC20\uFFFD]0;pwned\uFFFD",
		"A\u009b2J":             "A\uFFFD2J",
		"CMCC\u202egnp.exe":     "CMCCgnp.exe",
		"zero\u200bwidth\ufeff": "zerowidth",
		"two\nlines\tand a tab": "two\nlines\tand a tab",
		"\xff\xfe":              "\uFFFD",
		"中国移动 4G":               "中国移动 4G",
		"back\rspace\b":         "back\uFFFDspace\uFFFD",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := Line("a\nb\tc"); got != "a b c" {
		t.Errorf("one line: %q", got)
	}
}

func TestCharacterThatIsSplitBetweenTwoWritesStaysWhole(t *testing.T) {
	var b strings.Builder
	w := NewWriter(&b)
	for _, c := range []byte("停机\x1b[2J\u202e!") {
		if _, err := w.Write([]byte{c}); err != nil {
			t.Fatal(err)
		}
	}
	if b.String() != "停机\uFFFD[2J!" {
		t.Errorf("wrote %q", b.String())
	}
	w.Write([]byte{0xe5, 0x81})
	w.Flush()
	if !strings.HasSuffix(b.String(), "!\uFFFD") {
		t.Errorf("a character that never became whole: %q", b.String())
	}
}

func TestTerminalKeepsOurOwnStylesAndNothingElse(t *testing.T) {
	var b strings.Builder
	w := NewTerminal(&b)
	w.Write([]byte("\r\x1b[K\x1b[1;31m停机\x1b[0m \x1b[2J\x1b]0;x\a"))
	if want := "\r\x1b[K\x1b[1;31m停机\x1b[0m \uFFFD[2J\uFFFD]0;x\uFFFD"; b.String() != want {
		t.Errorf("wrote %q", b.String())
	}
}

func TestStringsOfAFactAreCleanedAndTheFactItselfStays(t *testing.T) {
	type inner struct{ Name string }
	type fact struct {
		Name string
		List []inner
		More *inner
		N    int
		own  string
	}
	in := fact{"a\x1b", []inner{{"b\u202e"}}, &inner{"c\r"}, 7, "d\x1b"}
	got := Fact(in).(fact)
	want := fact{"a\uFFFD", []inner{{"b"}}, &inner{"c\uFFFD"}, 7, "d\x1b"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if in.List[0].Name != "b\u202e" || in.More.Name != "c\r" {
		t.Error("the fact that was given has changed")
	}
	plain := fact{Name: "plain"}
	if !reflect.DeepEqual(Fact(plain), any(plain)) {
		t.Error("a plain fact has changed")
	}
}

func FuzzNothingComesThrough(f *testing.F) {
	f.Add("EC20\x1b]0;x\x07\u009b\u202e\xff", 3)
	f.Fuzz(func(t *testing.T, s string, cut int) {
		var b strings.Builder
		w := NewWriter(&b)
		if cut < 0 || cut > len(s) {
			cut = 0
		}
		w.Write([]byte(s[:cut]))
		w.Write([]byte(s[cut:]))
		w.Flush()
		for _, got := range []string{Text(s), b.String()} {
			if !utf8.ValidString(got) {
				t.Fatalf("%q is no UTF-8", got)
			}
			for _, r := range got {
				if r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r < 0xa0 || hidden(r)) {
					t.Fatalf("%U came through of %q", r, s)
				}
			}
		}
	})
}
