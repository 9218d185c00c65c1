package protocol

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxShort is the longest that a Short gets on the air, in bytes: one SMS holds 140
// (TS 23.040 §9.2.3.24), and 160 characters of the 7-bit alphabet, which these are.
const MaxShort = 140

// Short is a verdict that fits one SMS: the last path when no data passes. It is
// readable by people and parsed by a backend:
//
//	CW1 vm-17 arrears likely owner since=11-27T08:14Z rsrp=-97 used=102% wait=12
//
// Fields after the third word may come in any order; those not known are left away,
// and those of later versions are passed over.
type Short struct {
	Device  string
	Class   string // a diagnosis class
	Verdict string // confirmed, likely, undecided, healthy
	Who     string // owner, technician, operator, backend, nobody
	Since   string // month, day, hour and minute, UTC: "11-27T08:14Z"; "" no clock was trusted
	RSRP    *int   // dBm
	Used    *int   // per cent of the plan
	Wait    int    // messages that wait in the outbox
}

const (
	shortMark   = "CW1"
	shortLayout = "01-02T15:04Z"
	shortDevice = 32 // characters of the device's name that are sent
)

// ShortSince is t as Short has it.
func ShortSince(t time.Time) string { return t.UTC().Format(shortLayout) }

// String is the text of the message, at most MaxShort bytes: what is less important is
// left away where it would be longer.
func (s Short) String() string {
	head := strings.Join([]string{shortMark, shortWord(s.Device, shortDevice), shortWord(s.Class, 24), shortWord(s.Verdict, 12), shortWord(s.Who, 12)}, " ")
	fields := []string{}
	if s.Since != "" {
		fields = append(fields, "since="+shortWord(s.Since, len(shortLayout)))
	}
	if s.RSRP != nil {
		fields = append(fields, fmt.Sprintf("rsrp=%d", *s.RSRP))
	}
	if s.Used != nil {
		fields = append(fields, fmt.Sprintf("used=%d%%", *s.Used))
	}
	if s.Wait > 0 {
		fields = append(fields, fmt.Sprintf("wait=%d", s.Wait))
	}
	for _, f := range fields {
		if len(head)+1+len(f) <= MaxShort {
			head += " " + f
		}
	}
	return head
}

// shortWord is s without what would end a word or leave the 7-bit alphabet. "" is "-".
func shortWord(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= most {
			break
		}
		switch {
		case r == ' ', r == '=':
			r = '_'
		case r < '!', r > 'z', strings.ContainsRune("[]\\^`", r):
			r = '?'
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

var errNotShort = errors.New("protocol: not a short verdict: it begins with CW1 and has a device, a class, a verdict and who acts")

// ParseShort reads a Short. Unknown fields are passed over, since later versions add
// some; a known one that cannot be read is an error that names it.
func ParseShort(text string) (Short, error) {
	words := strings.Fields(text)
	if len(words) < 5 || words[0] != shortMark || len(text) > 2*MaxShort {
		return Short{}, errNotShort
	}
	s := Short{Device: dash(words[1]), Class: dash(words[2]), Verdict: dash(words[3]), Who: dash(words[4])}
	for _, w := range words[5:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			continue
		}
		var err error
		var n int
		switch key {
		case "since":
			if _, err = time.Parse(shortLayout, value); err == nil {
				s.Since = value
			}
		case "rsrp":
			if n, err = strconv.Atoi(value); err == nil {
				s.RSRP = &n
			}
		case "used":
			if n, err = strconv.Atoi(strings.TrimSuffix(value, "%")); err == nil {
				s.Used = &n
			}
		case "wait":
			if n, err = strconv.Atoi(value); err == nil && n >= 0 {
				s.Wait = n
			}
		}
		if err != nil {
			return Short{}, fmt.Errorf("protocol: short verdict: %.16q is no %s", value, key)
		}
	}
	return s, nil
}

func dash(s string) string {
	if s == "-" {
		return ""
	}
	return s
}
