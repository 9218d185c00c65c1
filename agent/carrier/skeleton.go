package carrier

import (
	"strings"
	"unicode"
)

// vocabulary is every character and every Latin word that the lexicon holds. It is
// made anew each time: messages are recorded seldom.
func vocabulary() map[string]bool {
	known := map[string]bool{}
	for _, list := range words {
		for _, w := range list {
			for _, part := range strings.FieldsFunc(w.text, func(r rune) bool { return !isLatin(r) }) {
				known[part] = true
			}
			for _, r := range w.text {
				if han(r) {
					known[string(r)] = true
				}
			}
		}
	}
	return known
}

func isLatin(r rune) bool {
	return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'')
}

// maxFigure is the longest figure that Skeleton keeps: a year, a price, an hour.
const maxFigure = 4

// Skeleton is text with all taken out that the grammar has no word for: names,
// numbers, addresses. What is left is read as the text is, and a piece of a long
// message still joins with the others. It is for recordings, which leave the house.
func Skeleton(text string) string {
	if len(text) > maxSMSText {
		text = text[:maxSMSText]
	}
	known := vocabulary()
	var b strings.Builder
	var word strings.Builder
	flush := func() {
		w := word.String()
		word.Reset()
		digits := strings.Trim(w, "0123456789") == ""
		switch {
		case w == "":
		case digits && len(w) <= maxFigure, !digits && known[w]:
			b.WriteString(w)
		default:
			b.WriteString("·")
		}
	}
	for _, r := range Fold(text) {
		if isLatin(r) {
			word.WriteRune(r)
			continue
		}
		flush()
		if han(r) && !known[string(r)] {
			r = '·'
		}
		b.WriteRune(r)
	}
	flush()
	return b.String()
}

// NeedsText reports whether a recording must keep p's own words, as a Skeleton:
// a piece tells only with the others, and work on the network only with its hours.
// Any other message is told by its Meaning.
func NeedsText(p Part) bool {
	return !personal(p.From) && (p.Parts > 1 || !ends(p.Text) || Classify(p.From, p.Text) == Outage)
}
