package agent

import (
	"context"
	"log/slog"
	"sort"
	"strconv"

	"cellwarden/agent/carrier"
	"cellwarden/agent/device"
	"cellwarden/agent/instant"
	"cellwarden/modem"
	"cellwarden/modem/threegpp"
)

// messageRoom is what must be free in the modem's message store: a notice of the
// operator takes up to three parts, and one that finds no room is lost.
const messageRoom = 3

// messages says when the store is nearly full. The agent deletes nothing that
// it did not put there unless modem.sms_delete says so, so a person has to.
func (t troubles) messages(s threegpp.SMSStored, at instant.Instant) {
	if s.Index >= 0 || s.Total <= 0 {
		return // a message was announced, or the size is not known
	}
	if s.Used+messageRoom <= s.Total {
		delete(t, "messages")
		return
	}
	t.set("messages", "sms_full", at, strconv.Itoa(s.Used), strconv.Itoa(s.Total))
}

// A mailbox makes room in the message store, where modem.sms_delete is "read".
// It deletes what the round before has listed, so that the judgement has long
// seen it and kept what follows from it. A nil one deletes nothing.
type mailbox struct {
	log         *slog.Logger
	used, total int // as +CPMS told; total 0: not known
	listed      []threegpp.SMS
}

// see keeps what one answer to the query for messages tells.
func (b *mailbox) see(a modem.Answer) {
	if b == nil {
		return
	}
	for _, f := range a.Facts {
		switch f := f.(type) {
		case threegpp.SMSStored:
			if f.Index < 0 {
				b.used, b.total = f.Used, f.Total
			}
		case threegpp.SMS:
			b.listed = append(b.listed, f)
		}
	}
}

// tidy deletes what may go, where the store was nearly full, and forgets the
// list: the next round makes another.
func (b *mailbox) tidy(ctx context.Context, m device.Modem) {
	if b == nil {
		return
	}
	listed, need := b.listed, b.used+messageRoom-b.total
	if b.total <= 0 {
		need = 0
	}
	b.listed, b.used, b.total = nil, 0, 0
	gone := 0
	for _, s := range spare(listed, need) {
		answers := m.DeleteSMS(ctx, s)
		if last := answers[len(answers)-1]; last.Accepted() && name(last.Command) == "+CMGD" {
			gone++
		}
	}
	if gone > 0 {
		b.log.Info("old messages deleted to make room", "messages", gone, "store", need-messageRoom, "why", "modem.sms_delete")
	}
}

// letter is one message of a store: one place, or all the parts of a long one.
type letter struct {
	parts   []threegpp.SMS
	meaning carrier.Meaning // of all its parts together
}

func (l letter) idle() bool { return l.meaning == carrier.Advertisement }

// spare picks what may be deleted of a store so that need more places are free:
// whole messages that say something to the agent. What says nothing to it may be
// meant for somebody else and stays. Advertisements go first, then the oldest;
// the newest notice stays, the verdict may rest on it.
func spare(listed []threegpp.SMS, need int) []threegpp.SMS {
	var known []letter
	for _, l := range letters(listed) {
		if l.meaning != carrier.Nothing && len(l.parts) >= l.parts[0].Parts {
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

// letters joins the parts of long messages.
func letters(listed []threegpp.SMS) []letter {
	var all []letter
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
			all = append(all, letter{meaning: carrier.Nothing})
		}
		all[i].parts = append(all[i].parts, s)
		var pieces []carrier.Part
		for _, p := range all[i].parts {
			pieces = append(pieces, carrier.Part{From: p.From, Text: p.Text, At: p.At, Ref: p.Ref, Parts: p.Parts, Part: p.Part})
		}
		all[i].meaning = carrier.Classify(s.From, carrier.Joined(pieces).Text)
	}
	return all
}

// lacks reports whether s is a part of l that l does not have yet.
func (l letter) lacks(s threegpp.SMS) bool {
	for _, p := range l.parts {
		if p.Part == s.Part || p.From != s.From || p.Ref != s.Ref || p.Parts != s.Parts {
			return false
		}
	}
	return true
}
