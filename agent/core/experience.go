package core

import (
	"maps"
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/learn"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// table is the weight table with the priors that experience with this card's
// operator moved.
func (c *Core) table() *diag.Weights {
	if c.priors == nil {
		return c.opt.Weights
	}
	return c.weights
}

// relearn follows a change of the book or of the card's operator.
func (c *Core) relearn() {
	c.home = c.known.Summary().HomePLMN
	c.priors = c.book.Priors(c.opt.Weights, c.home)
	c.weights = learn.Table(c.opt.Weights, c.priors)
}

// provedBy says what the end of a fault proves it to have been; "" where it
// proves nothing. Only a stop that nobody had named is named by its end: the
// return at the cycle's start means the quota, the return after a top-up
// message means the bill, the platform's word means what was said.
func provedBy(f *fault) diag.Code {
	group := f.Class == diag.SuspendedUnspecified
	switch f.EndedBy {
	case "cycle_start":
		if group {
			return diag.OverQuota
		}
	case "sms_topup":
		if group {
			return diag.Arrears
		}
	case "platform_resumed", "reseated", "card_changed":
	default:
		return ""
	}
	return f.Class
}

// learnFrom tells the backend what a fault turned out to be, and counts it.
func (c *Core) learnFrom(f *fault, was diag.Code, by string, now bool) {
	carrier := c.known.Summary().HomePLMN
	c.store(protocol.TypeLearned, State, protocol.Learned{Carrier: carrier, Said: string(f.Class), Was: string(was), Confirmed: by}, now, "")
	if f.Learned == was {
		return // one fault counts once, however often it is confirmed
	}
	if f.Learned != "" {
		c.book.Take(f.Carrier, f.Learned)
	}
	f.Learned, f.Carrier = "", carrier
	if c.book.Add(carrier, was) {
		f.Learned = was
	}
	c.dirty = true
	c.relearn()
}

// confirmed takes a person's or the backend's word on the standing or last fault.
func (c *Core) confirmed(class diag.Code, by string) {
	f := c.standing
	if f == nil {
		f = c.last
	}
	if f == nil {
		// No fault to count it for: the backend may still want to know.
		c.store(protocol.TypeLearned, State, protocol.Learned{Carrier: c.known.Summary().HomePLMN, Said: string(c.diag.Class), Was: string(class), Confirmed: by}, true, "")
		return
	}
	c.learnFrom(f, class, by, true)
}

// Experience is what was learned.
type Experience struct {
	Home      string             // the card's operator, whose priors are in force
	Priors    map[string]float64 // in per cent, nil where nothing moved
	Base      map[string]float64 // as they are without experience
	Book      learn.Book
	Whitelist bool // third parties never answer although the own service does
}

// Faults counts what was confirmed of the card's operator.
func (e Experience) Faults() int {
	n := 0
	for _, v := range e.Book[e.Home] {
		n += v
	}
	return n
}

// Experience reads what was learned. It shares nothing that changes.
func (c *Core) Experience() Experience {
	base := c.opt.Weights
	if base == nil {
		base = diag.DefaultWeights
	}
	return Experience{Home: c.home, Priors: maps.Clone(c.priors), Base: base.Priors, Book: c.book.Clone(), Whitelist: c.white.learned()}
}

// Forget drops what was learned: the priors are the built-in ones again.
func (c *Core) Forget() {
	c.book, c.white = nil, whitelist{}
	c.relearn()
	c.tellPlan()
	c.dirty, c.urgent = true, true
}

// handsNeed is what it takes at least to open a machine and seat a card: what
// comes back sooner is a contact, and nobody mended it.
const handsNeed = time.Minute

// cardBack says how a card fault ended: the same card, seated anew, or another.
func (c *Core) cardBack(f *fault) string {
	if f.Class != diag.SIMAbsent && f.Class != diag.SIMFault || c.known.Summary().SIM != threegpp.SIMReady ||
		f.Unstable || c.elapsed(f.Since) < handsNeed {
		return "recovered"
	}
	if id := c.hash(c.known.Summary().ICCID); id != "" && f.Card != "" && id != f.Card {
		return "card_changed"
	}
	return "reseated"
}

// Whitelist (定向) cards reach only listed hosts, so that third parties that
// never answer say nothing of the line. Nobody may have told the agent: it is
// learned when the own service answered and every third party asked did not, on
// several days, and forgotten when one answers.
const whitelistDays = 3

type whitelist struct {
	Days int   `json:"days"` // with own ok and all third parties silent
	Last int64 `json:"last"` // the newest such day, in days of Unix or of uptime
}

func (w whitelist) learned() bool { return w.Days >= whitelistDays }

// watchWhitelist reads the results of one round.
func (c *Core) watchWhitelist() {
	was := c.white.learned()
	own, hosts := false, []string{}
	for _, r := range c.probes.results {
		switch {
		case r.Target == "own" && r.Result == "ok":
			own = true
		case r.Target != "third_party" || r.Probe == "ntp" || r.Result == "not_sent":
		case r.Result == "ok":
			if c.white != (whitelist{}) {
				c.white = whitelist{}
				c.dirty = true
			}
			if was {
				c.tellPlan()
			}
			return
		case !slices.Contains(hosts, r.Host):
			hosts = append(hosts, r.Host)
		}
	}
	if day := c.day(); own && len(hosts) >= 2 && (c.white.Days == 0 || day != c.white.Last) {
		c.white.Days, c.white.Last = min(c.white.Days+1, whitelistDays), day
		c.dirty = true
	}
	if c.white.learned() && !was {
		c.emit(Log{LevelInfo, "third parties never answer although the own service does: taken as a whitelist card", nil})
		c.tellPlan()
	}
}
