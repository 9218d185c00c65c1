package view

import (
	"slices"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
)

// Recovery says what the agent does by itself, and what it did.
type Recovery struct {
	Line   string  `json:"line"`
	Paused bool    `json:"paused"` // repair mode
	Lines  []Event `json:"lines"`  // the newest first
}

// Event is one thing that happened.
type Event struct {
	When string `json:"when"`
	Text string `json:"text"`
	Bad  bool   `json:"bad,omitempty"`
}

// maxRecoveryLines is what the page and the console show of the steps taken.
const maxRecoveryLines = 5

func (b *builder) recovery() *Recovery {
	r := b.s.Recovery
	if r == nil {
		return nil
	}
	out := &Recovery{Paused: r.PausedS > 0, Lines: []Event{}}
	next := ""
	if r.Next != "" {
		next = b.t("recovery.next", text.Word(b.lang, "step", r.Next))
		if r.NextInS > 0 {
			next = b.t("recovery.next_in", text.Word(b.lang, "step", r.Next), b.seconds(r.NextInS))
		}
	}
	switch {
	case r.PausedS > 0:
		out.Line = b.t("recovery.paused", b.seconds(r.PausedS))
	case r.HeldS > 0:
		out.Line = b.t("recovery.held", b.seconds(r.HeldS))
	case r.Running != "":
		out.Line = b.t("recovery.running", text.Word(b.lang, "step", r.Running))
	case !r.Able:
		out.Line = b.t("recovery.unable")
	case r.Why == "waiting":
		out.Line = next
	case r.Why != "":
		out.Line = b.join(text.Word(b.lang, "recovery", r.Why), next)
	default:
		out.Line = b.t("recovery.nothing")
	}
	for _, l := range slices.Backward(r.Lines) {
		if len(out.Lines) == maxRecoveryLines {
			break
		}
		when := l.At.Wall
		if t, err := time.Parse(time.RFC3339, when); err == nil {
			when = t.In(b.loc).Format(minuteLayout)
		}
		said := text.Word(b.lang, "step", l.Step)
		if l.Result != "" {
			said = b.bracket(said, text.Word(b.lang, "stepresult", l.Result))
		}
		out.Lines = append(out.Lines, Event{When: when, Text: text.Class(b.lang, l.Class).Title + map[text.Lang]string{text.ZH: "：", text.EN: ": "}[b.lang] + said})
	}
	return out
}

// Deed is what a technician did, in words.
func Deed(lang text.Lang, what string) string {
	if slices.Contains(localapi.Deeds, what) {
		return text.T(lang, "deed."+what)
	}
	return what
}
