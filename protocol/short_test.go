package protocol

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestShortVerdictIsReadByPeopleAndByABackend(t *testing.T) {
	s := Short{Device: "vm-17", Class: "arrears", Verdict: "likely", Who: "owner",
		Since: ShortSince(time.Date(2026, 11, 27, 16, 14, 0, 0, time.FixedZone("", 8*3600))), RSRP: ptr(-97), Used: ptr(102), Wait: 12}
	const want = "CW1 vm-17 arrears likely owner since=11-27T08:14Z rsrp=-97 used=102% wait=12"
	if s.String() != want {
		t.Errorf("said %s\nwant %s", s, want)
	}
	back, err := ParseShort(want + " new=thing")
	if err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("read %+v, %v", back, err)
	}
}

func TestShortVerdictFitsOneMessageWhateverTheNames(t *testing.T) {
	s := Short{Device: strings.Repeat("售货机 =", 40), Class: "suspended_unspecified", Verdict: "undecided", Who: "technician",
		Since: "12-31T23:59Z", RSRP: ptr(-140), Used: ptr(99999), Wait: 1_000_000}
	if got := s.String(); len(got) > MaxShort {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	if _, err := ParseShort(s.String()); err != nil {
		t.Error(err)
	}
}

func TestShortVerdictThatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"": errNotShort.Error(),
		"【中国移动】您的号码已停机": errNotShort.Error(),
		"CW1 a b c":                      errNotShort.Error(),
		"CW1 a b c d rsrp=x":             `protocol: short verdict: "x" is no rsrp`,
		"CW1 a b c d since=99-99T00:00Z": `protocol: short verdict: "99-99T00:00Z" is no since`,
	} {
		if _, err := ParseShort(text); err == nil || err.Error() != want {
			t.Errorf("%q: said %v, want %s", text, err, want)
		}
	}
}

func FuzzShort(f *testing.F) {
	f.Add("CW1 vm-17 arrears likely owner since=11-27T08:14Z rsrp=-97 used=102% wait=12")
	f.Add("CW1 - - - - wait=-1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseShort(text)
		if err != nil {
			return
		}
		out := s.String()
		if len(out) > MaxShort {
			t.Fatalf("%d bytes", len(out))
		}
		again, err := ParseShort(out)
		if err != nil {
			t.Fatalf("%q, from %q: %v", out, text, err)
		}
		if again.String() != out {
			t.Fatalf("%q is read and written as %q", out, again.String())
		}
	})
}
