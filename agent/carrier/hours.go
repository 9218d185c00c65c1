package carrier

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	// 0:00-6:00, 01:00至05:00, 0点至4点, 1时-5时, 1am and 6am
	hourSpan = regexp.MustCompile(`(\d{1,2})(?::(\d{2})|[点时])?\s?([ap]m)?\s?(?:-|至|到|to|and|until)\s?(?:次日|翌日|\d{1,2}[日号])?\s?(\d{1,2})(?::(\d{2})|[点时])?\s?([ap]m)?`)
	dayZH    = regexp.MustCompile(`(\d{1,2})月(\d{1,2})[日号]`)
	daySlash = regexp.MustCompile(`\b(\d{1,2})/(\d{1,2})\b`)
	dayEN    = regexp.MustCompile(`(\d{1,2})(?:st|nd|rd|th)? (jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)`)
)

var months = map[string]time.Month{"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}

// hours finds when work is done, from folded text: a day and two hours. Without
// a day it is the next such span after sent. Both are zero where the text, or
// the time when it was sent, does not tell.
func hours(text string, sent time.Time) (from, to time.Time) {
	if sent.IsZero() {
		return from, to
	}
	var h []string
	for _, m := range hourSpan.FindAllStringSubmatch(text, -1) {
		if m[2] != "" || m[5] != "" || m[3] != "" || m[6] != "" || strings.ContainsAny(m[0], "点时") {
			h = m
			break
		}
	}
	if h == nil {
		return from, to
	}
	begin, ok1 := minutes(h[1], h[2], h[3])
	end, ok2 := minutes(h[4], h[5], h[6])
	if !ok1 || !ok2 {
		return from, to
	}
	y, mon, day := sent.Date()
	told := true
	if m := dayZH.FindStringSubmatch(text); m != nil {
		mon, day = time.Month(number(m[1])), number(m[2])
	} else if m := daySlash.FindStringSubmatch(text); m != nil {
		mon, day = time.Month(number(m[1])), number(m[2])
	} else if m := dayEN.FindStringSubmatch(text); m != nil {
		mon, day = months[m[2]], number(m[1])
	} else {
		told = false
	}
	if mon < 1 || mon > 12 || day < 1 || day > 31 {
		return from, to
	}
	midnight := time.Date(y, mon, day, 0, 0, 0, 0, sent.Location())
	if midnight.Before(sent.AddDate(0, -6, 0)) {
		midnight = midnight.AddDate(1, 0, 0) // written in December of January
	}
	from = midnight.Add(time.Duration(begin) * time.Minute)
	to = midnight.Add(time.Duration(end) * time.Minute)
	if !to.After(from) {
		to = to.AddDate(0, 0, 1)
	}
	if !told && to.Before(sent) {
		from, to = from.AddDate(0, 0, 1), to.AddDate(0, 0, 1)
	}
	return from, to
}

func minutes(hour, minute, half string) (int, bool) {
	h, m := number(hour), number(minute)
	switch {
	case half == "pm" && h < 12:
		h += 12
	case half == "am" && h == 12:
		h = 0
	}
	return h*60 + m, h <= 24 && m < 60
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the pattern holds figures only
	return n
}
