package agent

import (
	"errors"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

var budgetNoon = instant.Instant{Boot: "1f2e3d4c-0000", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Trusted: true}

func after(t instant.Instant, d time.Duration) instant.Instant {
	t.Mono += d
	t.Wall = t.Wall.Add(d)
	return t
}

func TestBudgetShrinksInOrder(t *testing.T) {
	types := []protocol.Type{protocol.TypeGap, protocol.TypeState, protocol.TypeLearned, protocol.TypeEvent, protocol.TypeWarning}
	for _, c := range []struct {
		name  string
		spent uint64
		used  float64 // percent of the plan
		pass  []bool
	}{
		{"a fresh day", 0, 1, []bool{true, true, true, true, true}},
		{"half is gone: metrics wait", 5_000, 1, []bool{false, true, true, true, true}},
		{"three quarters: reports too", 7_500, 1, []bool{false, false, false, true, true}},
		{"all: events too", 10_000, 1, []bool{false, false, false, false, false}},
		{"the plan is at 90 %: a quarter of all", 1_300, 90, []bool{false, true, true, true, true}},
		{"the plan is at 98 %: a twentieth", 400, 98, []bool{false, false, false, true, true}},
		{"the plan is at 98 % and that is gone", 500, 98, []bool{false, false, false, false, false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, typ := range types {
				b := newBudget(10_000, nil, func([]byte) error { return nil })
				if err := b.spend(c.spent, budgetNoon); err != nil {
					t.Fatal(err)
				}
				b.plan(meter.Usage{QuotaBytes: 30_000_000, UsedBytes: uint64(c.used * 300_000), Percent: c.used})
				if ok, _ := b.admit(typ, 100, budgetNoon); ok != c.pass[i] {
					t.Errorf("%s: %v", typ, ok)
				}
			}
		})
	}
}

// Without a figure in the config the plan decides. A machine that comes back after a week
// with 20,000 sales, packed by 32, has them at the backend the same hour when its plan has
// room; what is metered about the stream waits behind them.
func TestBudgetByThePlan(t *testing.T) {
	const batch = 32*54 + 220 // packed sales, and what a message costs beside
	for _, c := range []struct {
		name        string
		quota, used uint64
		sales       int // that go today
	}{
		{"a fresh plan", 30_000_000, 0, 20_000},
		{"half of it is used", 30_000_000, 15_000_000, 20_000},
		{"five sixths", 30_000_000, 25_000_000, 8_000},
		{"nine tenths: savings begin", 30_000_000, 27_000_000, 1_200},
		{"none is known", 0, 0, 16_000},
	} {
		b := newBudget(0, nil, func([]byte) error { return nil })
		u := meter.Usage{QuotaBytes: c.quota, UsedBytes: c.used}
		if c.quota > 0 {
			u.Percent = float64(c.used) * 100 / float64(c.quota)
		}
		b.plan(u)
		sent := 0
		for sent < 20_000 {
			if ok, _ := b.admit(protocol.TypeEvent, batch, budgetNoon); !ok {
				break
			}
			sent += 32
		}
		if sent < c.sales || sent > c.sales+c.sales/4 {
			t.Errorf("%s: %d sales went, want about %d", c.name, sent, c.sales)
		}
		if left := int64(c.quota) - int64(c.used); c.quota > 0 && int64(sent/32*batch) > left/planShare+200_000 {
			t.Errorf("%s: %d bytes of %d", c.name, sent/32*batch, left)
		}
		b.over(false)
		if ok, _ := b.admit(protocol.TypeGap, batch, budgetNoon); !ok {
			t.Errorf("%s: held back on Ethernet", c.name)
		}
		if _, spent := b.left(budgetNoon); b.spend(5_000, budgetNoon) != nil || spent != 0 {
			t.Errorf("%s: Ethernet counts", c.name)
		}
	}
}

func TestBudgetOfManyMessagesBetweenTwoReports(t *testing.T) {
	b := newBudget(10_000, nil, func([]byte) error { return nil })
	n := 0
	for ok := true; ok; n++ {
		ok, _ = b.admit(protocol.TypeEvent, 1000, budgetNoon)
	}
	if n != 11 {
		t.Errorf("%d messages of 1000 B were let into 10,000 B before any was metered", n-1)
	}
	if ok, news := b.admit(protocol.TypeEvent, 1000, budgetNoon); ok || news != "" {
		t.Errorf("%v, told twice: %q", ok, news)
	}
	if _, news := b.admit(protocol.TypeState, 1, budgetNoon); news != heldReports {
		t.Errorf("told %q", news)
	}
	if ok, _ := b.admit(protocol.TypeEvent, 1000, after(budgetNoon, 12*time.Hour)); !ok {
		t.Error("held back past midnight")
	}
}

func TestBudgetIsKept(t *testing.T) {
	var file []byte
	writes := 0
	save := func(d []byte) error { file = d; writes++; return nil }
	b := newBudget(8_000, nil, save)
	for range 80 { // one keepalive after the other
		if err := b.spend(100, budgetNoon); err != nil {
			t.Fatal(err)
		}
	}
	if writes != budgetKeep {
		t.Errorf("%d writes for a day's budget", writes)
	}
	// kill -9 and a start; then a power cut that takes the clock too.
	for name, now := range map[string]instant.Instant{
		"restart":                    after(budgetNoon, time.Minute),
		"power cut, clock not known": {Boot: "22222222", Mono: time.Minute, Wall: time.Unix(60, 0)},
	} {
		if left, spent := newBudget(8_000, file, save).left(now); left != 0 || spent != 8_000 {
			t.Errorf("%s: %d left, %d spent", name, left, spent)
		}
	}
	if left, _ := newBudget(8_000, file, save).left(after(budgetNoon, 24*time.Hour)); left != 8_000 {
		t.Errorf("the next day: %d left", left)
	}
	if left, _ := newBudget(8_000, []byte(`{"day`), save).left(budgetNoon); left != 8_000 {
		t.Errorf("damaged file: %d left", left)
	}
}

func TestBudgetWithoutAClock(t *testing.T) {
	b := newBudget(8_000, nil, func([]byte) error { return errors.New("disk full") })
	early := instant.Instant{Boot: "22222222", Mono: time.Minute, Wall: time.Unix(60, 0)}
	if err := b.spend(3_000, early); err == nil {
		t.Error("the failure to keep it was not told")
	}
	if _, spent := b.left(after(budgetNoon, 0)); spent != 3_000 {
		t.Errorf("the clock became known in the first day: %d spent", spent)
	}
	b = newBudget(8_000, nil, func([]byte) error { return nil })
	_ = b.spend(3_000, early)
	if _, spent := b.left(after(early, 25*time.Hour)); spent != 0 {
		t.Errorf("a day later, still without a clock: %d spent", spent)
	}
}
