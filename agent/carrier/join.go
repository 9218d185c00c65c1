package carrier

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Part is one short message as it came: a whole one, or a piece of a long one.
type Part struct {
	From, Text string
	At         time.Time // by the service centre; zero where not told
	// Concatenation (TS 23.040 §9.2.3.24.1): reference, number of pieces, this
	// piece; zero where the header was lost or never was.
	Ref, Parts, Part int
}

// splitWithin: pieces of one message leave the service centre within seconds;
// a minute covers a slow one, and two notices of one sender seldom share it.
const splitWithin = time.Minute

// pieceMark is a number of pieces written out: (1/2), [2/2].
var pieceMark = regexp.MustCompile(`^\s*[(（\[【]\d/\d[)）\]】]|[(（\[【]\d/\d[)）\]】]\s*$`)

// Joined gives the whole message that the last of parts is a piece of, as far as
// the others are among parts: by their header, or, without one, where the piece
// before it came from the same sender within a minute and does not end as a
// text ends. What stands alone comes back as it is. At is the first piece's.
func Joined(parts []Part) Part {
	if len(parts) == 0 {
		return Part{}
	}
	last := parts[len(parts)-1]
	if last.Parts > 1 {
		return byHeader(parts, last)
	}
	whole := last
	whole.Text = pieceMark.ReplaceAllString(last.Text, "")
	for i := len(parts) - 2; i >= 0; i-- {
		p := parts[i]
		if p.From != last.From || p.Parts > 1 {
			continue
		}
		gap := whole.At.Sub(p.At)
		if p.At.IsZero() || whole.At.IsZero() || gap < 0 || gap > splitWithin || ends(p.Text) || pieceOne(whole.Text) {
			break
		}
		whole.Text = pieceMark.ReplaceAllString(p.Text, "") + whole.Text
		whole.At = p.At
	}
	return whole
}

func byHeader(parts []Part, last Part) Part {
	var own []Part
	for _, p := range parts {
		if p.From == last.From && p.Ref == last.Ref && p.Parts == last.Parts &&
			!slices.ContainsFunc(own, func(o Part) bool { return o.Part == p.Part }) {
			own = append(own, p)
		}
	}
	slices.SortFunc(own, func(a, b Part) int { return a.Part - b.Part })
	whole := own[0]
	for i, p := range own[1:] {
		if p.Part != own[i].Part+1 {
			whole.Text += "\n" // a piece is missing: what stands beside the gap does not belong together
		}
		whole.Text += p.Text
	}
	return whole
}

// ends reports whether text ends as a whole message does.
func ends(text string) bool {
	if pieceMark.MatchString(text) {
		return strings.Contains(text, "2/2") || strings.Contains(text, "3/3")
	}
	r, _ := utf8.DecodeLastRuneInString(strings.TrimSpace(text))
	return strings.ContainsRune("。！？.!?】]~)）\"”", r)
}

// signature is the longest that ends a message: a piece that holds no more is
// the end of the one before.
const signature = "【中国移动】"

// pieceOne reports whether text begins as a message of its own.
func pieceOne(text string) bool {
	for _, head := range [...]string{"尊敬的", "您好", "温馨提", "亲", "【中国"} {
		if strings.HasPrefix(text, head) && len(text) > len(signature) {
			return true
		}
	}
	return false
}
