package platform

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"cellwarden/protocol"
)

// The states and reasons are those of protocol.SIMStatus.
var (
	States = []string{"test", "inventory", "ready", "active", "suspended", "data_cut", "pre_cancelled", "cancelled", "unknown"}
	// Reasons stand in the order in which one is taken when a platform names several:
	// what no payment cures first, since a card stopped for two reasons comes back only
	// when both are gone, and the harder one is the one to begin with.
	Reasons = []string{"violation", "lost", "imei_lock", "real_name", "region_lock", "expiry", "arrears", "pool", "quota", "threshold",
		"manual", "unknown", "none"}
)

// A Card is how a platform is asked for one card. At least one is set.
type Card struct {
	ICCID  string // 19 or 20 characters, perhaps with a letter
	MSISDN string // its number, where the platform wants that
}

// A Status is what a platform said of one card. What it did not say is the zero value,
// or nil where zero could be meant.
type Status struct {
	ICCID   string // as the platform wrote it
	State   string // one of States
	Reason  string // one of Reasons; none for a card that works, unknown for one that is stopped for no known reason
	Also    []string
	Derived bool // the reason is ours, from figures, and not the platform's own word

	Since, ResumeAt, ExpiresAt time.Time
	CycleDay                   int
	Plan, Used                 *uint64 // bytes of this cycle
	UsedAsOf                   time.Time
	Pool                       string
	PoolTotal, PoolUsed        *uint64
	Session                    *bool // the network has a data session of this card
	IMEI                       string
	Separated                  *bool  // the card is in another device than the one that it is bound to
	Raw                        string // the platform's own words: field code; field code
	AsOf                       time.Time
}

// SameCard compares on the first 19 characters: the 20th is a check digit that half of
// the platforms leave out.
func SameCard(a, b string) bool {
	return a != "" && b != "" && First19(a) == First19(b)
}

// First19 is the ICCID without its check digit.
func First19(iccid string) string {
	iccid = strings.TrimSpace(iccid)
	return iccid[:min(len(iccid), 19)]
}

// Stopped reports whether data does not pass, as far as the platform says.
func (s Status) Stopped() bool {
	return s.State != "active" && s.State != "test" && s.State != "ready" && s.State != "unknown" && s.State != ""
}

// say takes what another field of the same answer says: of two reasons the harder one
// is kept, and the other beside it.
func (s *Status) say(reason string) {
	if reason == "" || reason == "none" || reason == s.Reason {
		return
	}
	if s.Reason == "" || s.Reason == "none" || s.Reason == "unknown" {
		s.Reason = reason
		return
	}
	if slices.Index(Reasons, reason) < slices.Index(Reasons, s.Reason) {
		reason, s.Reason = s.Reason, reason
	}
	if reason != "unknown" && !slices.Contains(s.Also, reason) {
		s.Also = append(s.Also, reason)
	}
}

func (s *Status) raw(field, code string) {
	if code == "" {
		return
	}
	if s.Raw != "" {
		s.Raw += "; "
	}
	s.Raw += field + " " + clip(code, 80)
}

// settle fills what follows: a card that works has no reason, a stopped one has one,
// be it unknown. A quota or pool is derived only where the figures say so.
func (s *Status) settle() {
	if s.State == "" {
		s.State = "unknown"
	}
	switch {
	case s.State == "active" || s.State == "test" || s.State == "ready":
		s.Reason = "none"
	case s.State == "unknown":
	case s.Reason == "" || s.Reason == "none" || s.Reason == "unknown":
		s.Reason = "unknown"
		switch {
		case s.Separated != nil && *s.Separated:
			s.Reason, s.Derived = "imei_lock", true
		case reached(s.PoolUsed, s.PoolTotal):
			s.Reason, s.Derived = "pool", true
		case s.Pool == "" && reached(s.Used, s.Plan):
			s.Reason, s.Derived = "quota", true
		}
	}
	s.Raw = clip(s.Raw, 300)
}

func reached(used, of *uint64) bool { return used != nil && of != nil && *of > 0 && *used >= *of }

// Message is the Status as a device reads it. Account names who says so. The ICCID goes
// along only where withICCID says: for a card that is not the one in the device.
func (s Status) Message(account string, withICCID bool) protocol.SIMStatus {
	m := protocol.SIMStatus{State: s.State, Reason: s.Reason, AsOf: stamp(s.AsOf), Since: stamp(s.Since), ResumeAt: stamp(s.ResumeAt),
		UsedAsOf: stamp(s.UsedAsOf), ExpiresAt: stamp(s.ExpiresAt), CycleDay: s.CycleDay, Source: account, CarrierRaw: s.Raw}
	if s.Used != nil {
		m.UsedBytes = *s.Used
	}
	if s.Plan != nil {
		m.PlanBytes = *s.Plan
	}
	if m.UsedBytes == 0 {
		m.UsedAsOf = ""
	}
	if withICCID {
		m.ICCID = s.ICCID
	}
	return m
}

// Command is the sim_status command that takes s to a device. It is not yet signed. Life
// is how long it may wait for a device that sleeps, at most protocol.MaxCommandLife.
func (s Status) Command(id, account string, now time.Time, life time.Duration) (protocol.Command, error) {
	args, err := json.Marshal(s.Message(account, false))
	if err != nil {
		return protocol.Command{}, err
	}
	return protocol.Command{V: protocol.Version, ID: id, Expires: now.Add(min(life,
		protocol.MaxCommandLife)).UTC().Format(time.RFC3339), Do: "sim_status", Args: args}, nil
}

// News reports whether b tells a device more than a did: another state or reason, or a
// figure that moved by a twentieth of the plan. What is no news costs no byte.
func News(a, b Status) bool {
	if a.State != b.State || a.Reason != b.Reason || !a.ExpiresAt.Equal(b.ExpiresAt) || !a.ResumeAt.Equal(b.ResumeAt) ||
		a.CycleDay != b.CycleDay {
		return true
	}
	if (a.Plan == nil) != (b.Plan == nil) || (a.Used == nil) != (b.Used == nil) || b.Plan != nil && *a.Plan != *b.Plan {
		return true
	}
	if b.Used == nil {
		return false
	}
	diff := max(*a.Used, *b.Used) - min(*a.Used, *b.Used)
	return b.Plan == nil && diff > 1<<20 || b.Plan != nil && diff*20 > *b.Plan
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func clip(s string, n int) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s), "?")
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
