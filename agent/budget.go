package agent

import (
	"encoding/json"
	"math"
	"strconv"
	"sync"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

// budget holds the uplink's own traffic to so many bytes a day: those of the config
// (uplink.daily_budget_bytes), or without them a share of what is left of the plan, so
// that a machine's sales of a week are at the backend within the hour and the plan still
// lasts; less as it runs out (meter.Guard). All that crosses the air counts: handshakes,
// keepalives and commands too. What may not go waits in the outbox until midnight, in
// this order: what is metered about the stream first, then periodic reports, then the
// machine's events. Alerts and answers to commands always pass. Over Ethernet or Wi-Fi
// nothing is held and nothing counts.
//
// The uplink's goroutine asks and spends, the loop tells of the plan: hence mu.
type budget struct {
	fixed uint64 // of the config; 0: by the plan
	save  func(data []byte) error

	mu       sync.Mutex
	day      string // of spent: a date, or "boot N" days after a start without a clock
	spent    uint64
	reserved uint64        // admitted and not yet seen in a Traffic
	kept     uint64        // spent as it was last kept
	limit    uint64        // of a day now, before share
	share    float64       // of it that the plan's last tenth leaves
	free     bool          // the way is not the data line's
	held     map[held]bool // what was held back today
}

// held is a class of messages that stops at its own part of the budget.
type held string

// The classes, the first to stop first.
const (
	heldMetrics held = "metrics"
	heldReports held = "reports"
	heldEvents  held = "events"
)

// stopAt is the part of the day's budget from which on a class waits.
var stopAt = map[held]float64{heldMetrics: 0.5, heldReports: 0.75, heldEvents: 1}

func classOf(t protocol.Type) held {
	switch t {
	case protocol.TypeGap:
		return heldMetrics
	case protocol.TypeState, protocol.TypeLearned:
		return heldReports
	}
	return heldEvents
}

const (
	// planShare: a day may take a tenth of what is left of the plan. On a fresh 30 MB
	// that is 3 MB: 20,000 waiting sales are 1 MB packed. Taken day after day it leaves
	// half of the plan after a week, and never ends it.
	planShare = 10
	// planFloor: a day may always take so much of the whole plan, 200 KB of 30 MB: five
	// ordinary days.
	planFloor = 150
	// unknownPlan is a day's budget where nobody told the plan: a thirtieth of the
	// smallest that is sold for such machines, 30 MB a month.
	unknownPlan = 1 << 20
)

// dayOf is what a day may take of a plan.
func dayOf(u meter.Usage) uint64 {
	if u.QuotaBytes == 0 {
		return unknownPlan
	}
	left := u.QuotaBytes - min(u.QuotaBytes, u.UsedBytes)
	return max(left/planShare, u.QuotaBytes/planFloor)
}

// budgetKeep is the part of the budget after which what was spent is kept again:
// a power cut forgets at most that, and a day costs eight writes.
const budgetKeep = 8

type keptBudget struct {
	Day   string `json:"day"`
	Spent uint64 `json:"spent"`
}

// newBudget goes on with what was kept; unreadable data starts the day anew.
// fixed is the day's budget of the config, 0 for one by the plan.
func newBudget(fixed uint64, kept []byte, save func([]byte) error) *budget {
	b := &budget{fixed: fixed, limit: fixed, save: save, share: 1, held: map[held]bool{}}
	if fixed == 0 {
		b.limit = unknownPlan
	}
	var k keptBudget
	if json.Unmarshal(kept, &k) == nil {
		b.day, b.spent, b.kept = k.Day, k.Spent, k.Spent
	}
	return b
}

// today begins a new day when there is one. A day counted from a boot is the same
// day as the date that becomes known in it, and a kept one of another boot with
// the same name counts on: rather too little is sent than too much.
func (b *budget) today(now instant.Instant) {
	day := now.Wall.UTC().Format(time.DateOnly)
	if !now.Trusted {
		day = "boot " + strconv.Itoa(int(now.Mono/(24*time.Hour)))
	}
	if day == b.day {
		return
	}
	if known := len(b.day) == len(time.DateOnly) && b.day[4] == '-'; known && !now.Trusted && now.Mono < 24*time.Hour {
		return // the clock was lost in a power cut; the day may be the same
	} else if !known && b.day != "" && now.Trusted && now.Mono < 24*time.Hour {
		b.day = day
		return
	}
	b.day, b.spent, b.reserved, b.kept = day, 0, 0, 0
	clear(b.held)
}

// admit implements uplink.Options.Admit. news is the class that is held back for
// the first time today, else "".
func (b *budget) admit(t protocol.Type, bytes int, now instant.Instant) (ok bool, news held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.today(now)
	class := classOf(t)
	if b.free {
		return true, ""
	}
	if float64(b.spent+b.reserved)+float64(bytes) <= float64(b.limit)*b.share*stopAt[class] {
		b.reserved += uint64(bytes)
		return true, ""
	}
	if !b.held[class] {
		b.held[class] = true
		news = class
	}
	return false, news
}

// spend notes what has crossed the air since the last time.
func (b *budget) spend(n uint64, now instant.Instant) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.today(now)
	b.reserved = 0
	if b.free {
		return nil
	}
	b.spent += n
	if b.spent-b.kept < b.limit/budgetKeep {
		return nil
	}
	return b.keep()
}

func (b *budget) keep() error {
	data, err := json.Marshal(keptBudget{b.day, b.spent})
	if err == nil {
		err = b.save(data)
	}
	b.kept = b.spent // also after a failure: the next try comes with the next eighth
	return err
}

// close keeps the rest.
func (b *budget) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent == b.kept {
		return nil
	}
	return b.keep()
}

// plan sets the day's budget by what is used of the plan.
func (b *budget) plan(u meter.Usage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fixed == 0 {
		b.limit = dayOf(u)
	}
	b.share = meter.GuardFor(u).Share()
}

// over says whether the way out is the data line's; until that is known it is.
func (b *budget) over(data bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = !data
}

// left is what the machine's events may still take today, and what was spent.
func (b *budget) left(now instant.Instant) (left, spent uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.today(now)
	if b.free {
		return math.MaxInt64, b.spent
	}
	limit := uint64(float64(b.limit) * b.share)
	return limit - min(limit, b.spent+b.reserved), b.spent
}
