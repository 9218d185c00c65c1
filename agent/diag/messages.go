package diag

import (
	"slices"
	"strconv"
	"time"

	"cellwarden/agent/carrier"
)

// message is an operator's message as it was read.
type message struct {
	carrier.Message
	from string
	ref  int
	sent time.Time // of its first piece, by the service centre; zero when not told
}

// observeSMS reads a message, with what came before where it is a piece of a
// longer one: the whole then stands in the place of its pieces.
func (k *Known) observeSMS(p carrier.Part) {
	if slices.Contains(k.pieces, p) {
		return // stored messages are read again with every slow round
	}
	k.pieces = keep(k.pieces, maxSMS, p)
	whole := carrier.Joined(k.pieces)
	m := message{carrier.Read(whole.From, whole.Text, whole.At), p.From, p.Ref, whole.At}
	if whole.Text != p.Text {
		k.sms = slices.DeleteFunc(k.sms, func(old message) bool {
			return old.from == m.from && old.ref == m.ref && !old.sent.Before(m.sent) && !old.sent.After(p.At)
		})
	}
	same := func(old message) bool { return old.Meaning == m.Meaning && old.sent.Equal(m.sent) }
	if m.Meaning != carrier.Nothing && !slices.ContainsFunc(k.sms, same) {
		k.sms = keep(k.sms, maxSMS, m)
	}
}

// messageMaxAge: an operator's word on a stop is believed this long, unless the
// line has worked since.
const messageMaxAge = 45 * 24 * time.Hour

func (k *sight) messageRules(h *hits) {
	if k.barred.ok && k.within(k.barred.at, rejectWindow) {
		h.add("sms_barred", k.barred.src, "CMS "+strconv.Itoa(k.barred.value))
	}
	for _, s := range k.sms {
		if s.Meaning == carrier.Outage && k.duringWork(s) {
			h.add("sms_outage", "sms")
			break
		}
	}
	newest, ok := k.lastWord()
	if !ok {
		return
	}
	switch newest {
	case carrier.StopArrears:
		h.add("sms_stop_arrears", "sms")
	case carrier.StopQuota:
		h.add("sms_stop_quota", "sms")
	case carrier.StopExpired:
		h.add("sms_stop_expired", "sms")
	case carrier.StopAdmin:
		h.add("sms_stop_admin", "sms")
	case carrier.StopIMEI:
		h.add("sms_stop_imei", "sms")
	case carrier.Stop:
		h.add("sms_stop", "sms")
	case carrier.Resumed:
		h.add("sms_resumed", "sms")
	case carrier.Slow:
		if k.registered() != no && (!k.plane.tested["third_party"] || k.plane.ok["third_party"] > 0) {
			h.add("sms_slow", "sms") // it explains a slow line, not a dead one
		}
	}
}

// lastWord is the newest message that says how the line stands, by the service
// centre's time where it has one, else by order of arrival. A warning or an
// advertisement says nothing of that, and work on the network counts by itself.
func (k *Known) lastWord() (carrier.Meaning, bool) {
	var newest carrier.Meaning
	var at time.Time
	for _, s := range k.sms {
		switch s.Meaning {
		case carrier.Advertisement, carrier.Warning, carrier.Outage:
			continue
		}
		if s.sent.IsZero() || !s.sent.Before(at) {
			newest, at = s.Meaning, s.sent
		}
	}
	if u := k.ussd; u.ok && newest == "" {
		newest = carrier.Classify("", u.value.Text)
	}
	switch newest {
	case "", carrier.Nothing, carrier.Advertisement, carrier.Warning, carrier.Outage:
		return "", false
	}
	if !at.IsZero() {
		if k.Now.Trusted && k.Now.Wall.Sub(at) > messageMaxAge {
			return "", false
		}
		if good, ok := wall(k.lastGood.value.At); ok && good.Sub(at) > 15*time.Minute && newest != carrier.Resumed {
			return "", false // it worked after the message: old news
		}
	}
	return newest, true
}

// Work on the network may begin a little early and end late; a fault told
// without hours is believed for half a day.
const (
	workEarly = 15 * time.Minute
	workLate  = 2 * time.Hour
	faultTold = 12 * time.Hour
)

// duringWork reports whether now lies in the hours that s tells.
func (k *Known) duringWork(s message) bool {
	now := k.Now.Wall
	switch {
	case s.sent.IsZero() || !k.Now.Trusted:
		return true
	case s.From.IsZero():
		return now.Sub(s.sent) < faultTold
	}
	return now.After(s.From.Add(-workEarly)) && now.Before(s.To.Add(workLate))
}
