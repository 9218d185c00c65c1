package core

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/remedy"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// SMSOptions are the last path: messages when no data passes. All empty: none.
type SMSOptions struct {
	To   string   // who is told of a fault, "+86…"
	From []string // who may ask by message
	Code string   // that such a message must hold
}

const (
	stepSMS remedy.Step = "send_sms"
	// smsAfter is how long a fault stands, with the broker out of reach, before a
	// message is paid for: most faults are over by then.
	smsAfter = 10 * time.Minute
	// smsFresh is how old a request by message may be: stored ones are read again and
	// again.
	smsFresh = 15 * time.Minute
	// smsSeen is how many requests are remembered, so that none counts twice.
	smsSeen = 16
	// smsWrong is how many wrong codes are borne; then nobody is heard for smsDeaf.
	smsWrong = 3
	smsDeaf  = 24 * time.Hour
)

// lastPath is the state of the messages. It is kept.
type lastPath struct {
	Told string   `json:"told,omitempty"` // the fault that was told: class and since
	Seen []string `json:"seen,omitempty"` // hashes of requests that were read
	// Wrong codes in a row.
	Wrong int `json:"wrong,omitempty"`

	deafUntil time.Duration
}

// tellBySMS tells a fault by message, once, where nothing else gets out and the card is
// in service: a SIM whose data is stopped can often still send.
func (c *Core) tellBySMS() {
	f := c.standing
	if f == nil || c.opt.SMS.To == "" || c.uplink.State == "connected" || c.elapsed(f.Since) < smsAfter || !c.able(stepSMS) ||
		c.now.Mono < c.remedies.ownUntil {
		return
	}
	id := string(f.Class) + " " + f.Since.Boot + " " + f.Since.Mono.String()
	r := c.known.Summary().Registration
	if id == c.sms.Told || r == nil || !r.Stat.Registered() {
		return
	}
	if _, ok := c.remedies.engine.Order(c.now.Mono, stepSMS, c.simKey()); !ok {
		return
	}
	c.sms.Told = id
	c.takeSMS(c.opt.SMS.To, string(f.Class))
}

// takeSMS sends the short verdict. It has been paid for.
func (c *Core) takeSMS(to, why string) {
	c.take(remedy.Decision{Step: stepSMS, Class: why, News: byPerson}, Remedy{To: to, Text: c.short().String()})
}

// short is the verdict of now in one message.
func (c *Core) short() protocol.Short {
	d := c.diag
	s := protocol.Short{Device: c.opt.Device, Class: string(d.Class), Verdict: string(d.Verdict), Who: d.Act.Who}
	if f := c.standing; f != nil {
		s.Class, s.Verdict = string(f.Class), string(f.Verdict)
		if f.Since.Trusted {
			s.Since = protocol.ShortSince(f.Since.Wall)
		}
	}
	if g := c.known.Summary().Signal; g != nil && g.RSRP != nil {
		v := int(*g.RSRP)
		s.RSRP = &v
	}
	if c.usage.QuotaBytes > 0 && c.usage.TimeKnown {
		v := int(c.usage.Percent)
		s.Used = &v
	}
	return s
}

// askedBySMS obeys a message of a listed number with the right code:
// "CW <code> report" or "CW <code> radio". Each counts once, and only while it is fresh
// by a clock that is trusted; who guesses codes is not heard for a day.
func (c *Core) askedBySMS(m threegpp.SMS) {
	words := strings.Fields(m.Text)
	if c.opt.SMS.Code == "" || len(words) != 3 || !strings.EqualFold(words[0], "CW") || !c.listed(m.From) {
		return
	}
	sum := sha256.Sum256([]byte(m.From + m.Text + m.At.UTC().String()))
	id := hex.EncodeToString(sum[:6])
	if slices.Contains(c.sms.Seen, id) {
		return
	}
	c.sms.Seen = append(c.sms.Seen, id)
	c.sms.Seen = c.sms.Seen[max(0, len(c.sms.Seen)-smsSeen):]
	c.dirty, c.urgent = true, true
	refuse := func(why string) { c.emit(Log{LevelWarn, "message refused", []any{"why", why}}) }
	age := c.now.Wall.Sub(m.At)
	switch {
	case c.now.Mono < c.sms.deafUntil:
		refuse("too many wrong codes before")
		return
	case !c.now.Trusted || m.At.IsZero() || age > smsFresh || age < -smsFresh:
		refuse("it is old, or nobody knows how old")
		return
	case subtle.ConstantTimeCompare([]byte(words[1]), []byte(c.opt.SMS.Code)) != 1:
		if c.sms.Wrong++; c.sms.Wrong >= smsWrong {
			c.sms.Wrong, c.sms.deafUntil = 0, c.now.Mono+smsDeaf
		}
		refuse("wrong code")
		return
	}
	c.sms.Wrong = 0
	switch strings.ToLower(words[2]) {
	case "report":
		if _, ok := c.remedies.engine.Order(c.now.Mono, stepSMS, c.simKey()); ok {
			c.takeSMS(m.From, "asked by message")
			return
		}
		refuse("the month's messages are used up, or another step is under way")
	case "radio":
		c.emit(Log{LevelInfo, "radio cycle asked by message", nil})
		c.news(remedy.NewsTechnician)
	default:
		refuse("it asks for neither report nor radio")
	}
}

// listed compares numbers by their last digits: networks show them with and without the
// country's code.
func (c *Core) listed(from string) bool {
	return slices.ContainsFunc(c.opt.SMS.From, func(n string) bool {
		a, b := digits(n), digits(from)
		return len(a) >= 8 && len(b) >= 8 && (strings.HasSuffix(a, b) || strings.HasSuffix(b, a))
	})
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
