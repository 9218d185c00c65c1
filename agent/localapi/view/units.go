package view

import (
	"fmt"
	"time"

	"cellwarden/protocol"
)

const (
	minuteLayout = "2006-01-02 15:04"
	dayLayout    = "2006-01-02"
)

// Bytes is n in the units of the operators' own bills: 1 MB is 1024 KB.
func Bytes(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, names := float64(n)/unit, "KMGTPE"
	for f >= 999.95 && len(names) > 1 {
		f, names = f/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %cB", f, names[0])
}

func (b *builder) seconds(s int64) string { return b.span(time.Duration(s) * time.Second) }

// span is a duration in the two largest units that matter.
func (b *builder) span(d time.Duration) string {
	n := func(v time.Duration) string { return fmt.Sprint(int64(v)) }
	day := 24 * time.Hour
	switch {
	case d < time.Minute:
		return b.t("ui.second", n(max(d, 0)/time.Second))
	case d < time.Hour:
		return b.t("ui.minute", n(d/time.Minute))
	case d < day && d%time.Hour < time.Minute:
		return b.t("ui.hour", n(d/time.Hour))
	case d < day:
		return b.t("ui.hour_minute", n(d/time.Hour), n(d%time.Hour/time.Minute))
	case d%day < time.Hour:
		return b.t("ui.day", n(d/day))
	}
	return b.t("ui.day_hour", n(d/day), n(d%day/time.Hour))
}

// clock is a time of the device for people, "" when it has none, with notes in
// brackets behind it.
func (b *builder) clock(t protocol.Time, notes ...string) string {
	w, err := time.Parse(time.RFC3339, t.Wall)
	if err != nil {
		return ""
	}
	s := w.In(b.loc).Format(minuteLayout)
	if !t.Trusted {
		notes = append([]string{b.t("ui.clock_bad")}, notes...)
	}
	return b.bracket(s, b.join(notes...))
}

// at is the time of the page, with a mark when it cannot be trusted.
func (b *builder) at() string {
	t := b.s.At
	mark := "?"
	if t.Trusted {
		mark = ""
	}
	t.Trusted = true
	if s := b.clock(t); s != "" {
		return s + mark
	}
	return ""
}

// zone shows a moment of the operator's calendar in the operator's own offset
// when it carries one, so that midnight reads as midnight.
func (b *builder) zone(t time.Time) *time.Location {
	if _, offset := t.Zone(); offset != 0 {
		return t.Location()
	}
	return b.loc
}

// day is the date part of a date or time, as it was written.
func (b *builder) day(s string) string {
	if len(s) > len(dayLayout) {
		return s[:len(dayLayout)]
	}
	return s
}

// between is how long it was from one time to another, and whether that is
// known: by the monotonic clock within one boot, else by the wall clock where
// both readings can be trusted.
func between(from, to protocol.Time) (time.Duration, bool) {
	if from.Boot != "" && from.Boot == to.Boot {
		return time.Duration(to.MonoMS-from.MonoMS) * time.Millisecond, true
	}
	a, err1 := time.Parse(time.RFC3339, from.Wall)
	z, err2 := time.Parse(time.RFC3339, to.Wall)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	if !from.Trusted || !to.Trusted {
		return 0, true // worth showing, not worth measuring
	}
	return z.Sub(a), true
}
