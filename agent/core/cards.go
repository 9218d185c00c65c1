package core

import (
	"fmt"
	"slices"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

// maxCards bounds the cards whose plan and status are kept beside those of the
// card in use: as many as the meter has books for.
const maxCards = 4

// notes is what the backend said of one card. A card that rests (a board with
// two, or one taken out) keeps its own until it is used again.
type notes struct {
	Key    string              `json:"key"` // the card's hash
	Plan   *protocol.Plan      `json:"plan,omitempty"`
	Status *protocol.SIMStatus `json:"sim_status,omitempty"`
}

// useNotes puts the notes of the card now in use in force, and lays aside those of
// the one before. What was said while no card was known is of the first that is.
func (c *Core) useNotes(key string) {
	if key == "" || key == c.notesOf {
		return
	}
	first := c.notesOf == ""
	was := notes{c.notesOf, c.pushedPlan, c.simStatus}
	c.notesOf = key
	c.dirty, c.urgent = true, true
	i := slices.IndexFunc(c.resting, func(n notes) bool { return n.Key == key })
	now := notes{Key: key}
	if i >= 0 {
		now = c.resting[i]
		c.resting = slices.Delete(c.resting, i, i+1)
	}
	if first {
		if now.Plan == nil {
			now.Plan = was.Plan
		}
		if now.Status == nil {
			now.Status = was.Status
		}
	} else {
		_, met := c.meter.UsageOf(key, c.now)
		c.tellCard(was.Key, i >= 0 || met)
		if was.Plan != nil || was.Status != nil {
			c.rest(was)
		}
		c.warnings, c.cycleSeen = nil, time.Time{} // were the other card's
	}
	c.pushedPlan, c.simStatus = now.Plan, now.Status
	c.tellPlan()
	status := protocol.SIMStatus{} // nothing is said of this card
	if c.simStatus != nil {
		status = *c.simStatus
	}
	c.see("backend", diag.SIMStatusFact{Status: status})
}

// rest keeps the notes of a card that is not in use; the longest unused give way.
func (c *Core) rest(n notes) {
	c.resting = append([]notes{n}, c.resting...)
	c.resting = c.resting[:min(len(c.resting), maxCards)]
	c.dirty, c.urgent = true, true
}

// ofCard is the card that a command speaks of: "" for the one in use, otherwise
// the key of one that rests.
func (c *Core) ofCard(iccid string) string {
	if key := c.hash(iccid); key != c.notesOf {
		return key
	}
	return ""
}

// note keeps what is said of a card that rests. A status is taken only of a card
// that was here before: the platform speaks of many.
func (c *Core) note(key string, p *protocol.Plan, s *protocol.SIMStatus) error {
	i := slices.IndexFunc(c.resting, func(n notes) bool { return n.Key == key })
	n := notes{Key: key}
	if i >= 0 {
		n = c.resting[i]
	}
	if p != nil {
		if err := meter.CheckPlan(*p); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		n.Plan = p
	}
	if s != nil {
		if _, met := c.meter.UsageOf(key, c.now); !met {
			return fmt.Errorf("this status is of another card than the one in the device")
		}
		n.Status = s
		c.reconcile(key, *s)
	}
	if i >= 0 {
		c.resting = slices.Delete(c.resting, i, i+1)
	}
	c.rest(n)
	return nil
}
