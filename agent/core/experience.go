package core

import (
	"cmp"
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

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

// tellLearned tells the backend what a fault turned out to be.
func (c *Core) tellLearned(said, was diag.Code, by string, now bool) {
	c.store(protocol.TypeLearned, State, protocol.Learned{Carrier: c.known.Summary().HomePLMN, Said: string(said), Was: string(was), Confirmed: by}, now, "")
}

// confirmed takes a person's or the backend's word on the standing or last fault.
func (c *Core) confirmed(class diag.Code, by string) {
	said := c.diag.Class // the backend may want to know even where no fault was told
	if f := cmp.Or(c.standing, c.last); f != nil {
		said = f.Class
	}
	c.tellLearned(said, class, by, true)
	if class != diag.Healthy {
		return
	}
	// Somebody repaired it and says so: what is known of the fault is over.
	c.see("hand", diag.Repaired{})
	if c.standing != nil {
		c.clear("confirmed", diag.Healthy)
	}
	c.pending = nil
	c.refresh()
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
