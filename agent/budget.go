package agent

import (
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// budget holds the uplink's own traffic to so many bytes a day (the config's
// uplink.daily_budget_bytes, less as the plan runs out: meter.Guard). All that
// crosses the air counts: handshakes, keepalives and commands too. What may not
// go waits in the outbox until midnight, in this order: what is metered about the
// stream first, then periodic reports, then the machine's events. Alerts and
// answers to commands always pass.
//
// The uplink's goroutine asks and spends, the loop sets the share: hence mu.
type budget struct {
	limit uint64
	save  func(data []byte) error

	mu       sync.Mutex
	day      string // of spent: a date, or "boot N" days after a start without a clock
	spent    uint64
	reserved uint64 // admitted and not yet seen in a Traffic
	kept     uint64 // spent as it was last kept
	share    float64
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

// budgetKeep is the part of the budget after which what was spent is kept again:
// a power cut forgets at most that, and a day costs eight writes.
const budgetKeep = 8

type keptBudget struct {
	Day   string `json:"day"`
	Spent uint64 `json:"spent"`
}

// newBudget goes on with what was kept; unreadable data starts the day anew.
func newBudget(limit uint64, kept []byte, save func([]byte) error) *budget {
	b := &budget{limit: limit, save: save, share: 1, held: map[held]bool{}}
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
	b.spent += n
	b.reserved = 0
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

// guard sets the part of the budget that the plan still allows (meter.Guard).
func (b *budget) guard(share float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.share = share
}

// left is what the machine's events may still take today, and what was spent.
func (b *budget) left(now instant.Instant) (left, spent uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.today(now)
	limit := uint64(float64(b.limit) * b.share)
	return limit - min(limit, b.spent+b.reserved), b.spent
}
