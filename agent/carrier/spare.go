package carrier

import (
	"sort"

	"cellwarden/modem/threegpp"
)

// MessageRoom is what must be free in the modem's message store: a notice of the
// operator takes up to three parts, and one that finds no room is lost.
const MessageRoom = 3

// wholeMessage is one message of a store: one place, or all the parts of a long one.
type wholeMessage struct {
	parts   []threegpp.SMS
	meaning Meaning // of all its parts together
}

func (l wholeMessage) idle() bool { return l.meaning == Advertisement }

// Spare picks what may be deleted of a store so that need more places are free:
// whole messages that say something to the agent. What says nothing to it may be
// meant for somebody else and stays. Advertisements go first, then the oldest;
// the newest notice stays, the verdict may rest on it.
func Spare(listed []threegpp.SMS, need int) []threegpp.SMS {
	var known []wholeMessage
	for _, l := range wholeMessages(listed) {
		if l.meaning != Nothing && len(l.parts) >= l.parts[0].Parts {
			known = append(known, l)
		}
	}
	sort.SliceStable(known, func(i, j int) bool {
		a, b := known[i], known[j]
		if a.idle() != b.idle() {
			return a.idle()
		}
		return a.parts[0].At.Before(b.parts[0].At)
	})
	if n := len(known); n > 0 && !known[n-1].idle() {
		known = known[:n-1]
	}
	var out []threegpp.SMS
	for _, l := range known {
		if len(out) >= need {
			break
		}
		out = append(out, l.parts...)
	}
	return out
}

// wholeMessages joins the parts of long messages.
func wholeMessages(listed []threegpp.SMS) []wholeMessage {
	var all []wholeMessage
	for _, s := range listed {
		i := len(all)
		if s.Parts > 1 {
			for j := range all {
				if all[j].lacks(s) {
					i = j
					break
				}
			}
		}
		if i == len(all) {
			all = append(all, wholeMessage{meaning: Nothing})
		}
		all[i].parts = append(all[i].parts, s)
		var pieces []Part
		for _, p := range all[i].parts {
			pieces = append(pieces, Part{From: p.From, Text: p.Text, At: p.At, Ref: p.Ref, Parts: p.Parts, Part: p.Part})
		}
		all[i].meaning = Classify(s.From, Joined(pieces).Text)
	}
	return all
}

// lacks reports whether s is a part of l that l does not have yet.
func (l wholeMessage) lacks(s threegpp.SMS) bool {
	for _, p := range l.parts {
		if p.Part == s.Part || p.From != s.From || p.Ref != s.Ref || p.Parts != s.Parts {
			return false
		}
	}
	return true
}
