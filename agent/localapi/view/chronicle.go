package view

import (
	"fmt"
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/journal"
	"cellwarden/agent/text"
)

// bad are the kinds of entries that a reader looks for.
var bad = []string{journal.Fault, journal.Restart}

// Chronicle is the diary in words, in the order that it has. Times are shown in loc;
// one that no clock vouches for has a question mark.
func Chronicle(lang text.Lang, loc *time.Location, entries []journal.Entry) []Event {
	b := builder{lang: lang, loc: loc}
	out := []Event{}
	for _, e := range entries {
		when := time.Unix(e.Unix, 0).In(loc).Format(minuteLayout)
		if e.Guess {
			when += "?"
		}
		said := b.happened(e)
		if e.Count > 1 {
			said = b.bracket(said, b.t("journal.times", fmt.Sprint(e.Count)))
		}
		out = append(out, Event{When: when, Text: said, Bad: slices.Contains(bad, e.Kind)})
	}
	return out
}

func (b *builder) happened(e journal.Entry) string {
	class := func() string { return text.Class(b.lang, diag.Code(e.What)).Title }
	switch e.Kind {
	case journal.Fault:
		return b.bracket(b.t("journal.fault", class()), text.Word(b.lang, "verdict", e.Why))
	case journal.Over:
		return b.bracket(b.t("journal.over", class()), b.join(b.t("ui.lasted")+" "+b.seconds(e.Lasted), text.Word(b.lang, "ended", e.Why)))
	case journal.Step:
		return b.bracket(b.t("journal.step", text.Word(b.lang, "step", e.What)), text.Word(b.lang, "stepresult", e.Why))
	case journal.Deed:
		return b.t("journal.deed", Deed(b.lang, e.What))
	case journal.Message:
		return b.t("journal.message", text.Word(b.lang, "meaning", e.What))
	case journal.Repair, journal.Restart:
		if e.What != "" && text.Has(b.lang, "journal."+e.Kind+"_"+e.What) {
			return b.t("journal." + e.Kind + "_" + e.What)
		}
	}
	if text.Has(b.lang, "journal."+e.Kind) {
		return b.t("journal." + e.Kind)
	}
	return e.Kind
}

// Handover is what another person needs to go on: the verdict, who acts, the first
// step and the key facts. The card is named by the end of its number only.
func (p Page) Handover() string {
	lines := []string{p.Device + "  " + p.At, p.Title + brackets(p.Lang, p.Verdict), p.Line}
	if p.Do != "" && p.Mood != Good {
		lines = append(lines, p.Who+map[text.Lang]string{text.ZH: "：", text.EN: ": "}[p.Lang]+p.Do)
	}
	for i, e := range p.For {
		if i < 2 {
			lines = append(lines, "- "+e.Text)
		}
	}
	for _, r := range p.Rows {
		if r.Key == "modem" || r.Key == "sim" || r.Key == "radio" || r.Key == "network" {
			lines = append(lines, r.Label+" "+r.Value)
		}
	}
	out := ""
	for _, l := range lines {
		out += l + "\n"
	}
	return out
}

func brackets(lang text.Lang, s string) string { return (&builder{lang: lang}).bracket("", s) }
