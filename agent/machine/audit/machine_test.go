package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/machine/evadts"
)

// board is a machine that a test runs: it sells, is read, reset, exchanged. It
// knows the truth that an audit may hide.
type board struct {
	serial, changer, software, installed string
	ends                                 [2]int64 // where counts and amounts begin anew
	sales, cash, cashless, test, free    pair
	salesReset, cashReset                int64
	cols                                 []col
	byPrice                              bool
	reads, resets                        int64
	money                                bool // it counts amounts at all
}

type pair struct{ n, v int64 }

type col struct {
	name       string
	price      int64
	paid       pair
	cash, less pair
	free, test int64
	hidden     bool // the audit leaves it out just now
}

// truth is what really was sold, by what a Report may claim.
type truth struct {
	sales, cash, less pair
	col               map[string]pair
	free, test        int64
}

func newTruth() truth { return truth{col: map[string]pair{}} }

func newBoard(rng *rand.Rand, serial string) *board {
	b := &board{serial: serial, changer: "CHG1", software: "1.0", installed: "20250101", money: rng.IntN(8) > 0, byPrice: rng.IntN(6) == 0}
	b.ends = [2]int64{ends[rng.IntN(len(ends))], []int64{1e6, 1e7, 1e8, 1 << 32}[rng.IntN(4)]}
	start := rng.Int64N(5000)
	if rng.IntN(3) == 0 { // near an end
		start = b.ends[0] - 1 - rng.Int64N(60)
	}
	mean := int64(100 + rng.IntN(200))
	b.sales = pair{start, start * mean % b.ends[1]}
	if rng.IntN(5) == 0 {
		b.sales.v = b.ends[1] - 1 - rng.Int64N(2000)
		b.sales.n = b.sales.v / mean % b.ends[0]
	}
	b.cash, b.cashless = pair{b.sales.n / 2, b.sales.v / 2}, pair{b.sales.n - b.sales.n/2, b.sales.v - b.sales.v/2}
	for i := range 1 + rng.IntN(6) {
		b.cols = append(b.cols, col{name: fmt.Sprint(10 + i), price: mean - 50 + rng.Int64N(100)})
	}
	return b
}

func (b *board) grow(p *pair, n, v int64) {
	p.n = (p.n + n) % b.ends[0]
	p.v = (p.v + v) % b.ends[1]
}

// sell sells one, and notes the truth.
func (b *board) sell(rng *rand.Rand, t *truth) {
	c := &b.cols[rng.IntN(len(b.cols))]
	switch rng.IntN(12) {
	case 0:
		c.free++
		b.free.n = (b.free.n + 1) % b.ends[0]
		t.free++
		return
	case 1:
		c.test++
		b.test.n = (b.test.n + 1) % b.ends[0]
		t.test++
		return
	}
	b.grow(&b.sales, 1, c.price)
	b.grow(&c.paid, 1, c.price)
	b.salesReset++
	t.sales.n, t.sales.v = t.sales.n+1, t.sales.v+c.price
	was := t.col[c.name]
	t.col[c.name] = pair{was.n + 1, was.v + c.price}
	if rng.IntN(2) == 0 {
		b.grow(&b.cash, 1, c.price)
		b.grow(&c.cash, 1, c.price)
		b.cashReset++
		t.cash.n, t.cash.v = t.cash.n+1, t.cash.v+c.price
	} else {
		b.grow(&b.cashless, 1, c.price)
		b.grow(&c.less, 1, c.price)
		t.less.n, t.less.v = t.less.n+1, t.less.v+c.price
	}
}

// clear makes all counters zero, as a board with an empty memory.
func (b *board) clear() {
	b.sales, b.cash, b.cashless, b.test, b.free = pair{}, pair{}, pair{}, pair{}, pair{}
	b.salesReset, b.cashReset = 0, 0
	for i := range b.cols {
		b.cols[i].paid, b.cols[i].cash, b.cols[i].less, b.cols[i].free, b.cols[i].test = pair{}, pair{}, pair{}, 0, 0
	}
}

// audit is what the board says now.
func (b *board) audit() *evadts.Audit {
	of := func(p pair, n, v int64) evadts.Totals {
		t := evadts.Totals{Value: evadts.Of(p.v), Count: evadts.Of(p.n), CountReset: evadts.Of(n), ValueReset: evadts.Of(v)}
		if !b.money {
			t.Value, t.ValueReset = evadts.Of(0), evadts.Of(0)
		}
		return t
	}
	a := &evadts.Audit{G85: evadts.G85OK, Complete: true}
	a.Identity = evadts.Identity{ID: "CWT" + b.serial, Serial: b.serial, Build: b.software, Installed: b.installed,
		Changer: &evadts.Unit{Serial: b.changer}}
	a.Sales.Totals, a.Sales.From = of(b.sales, b.salesReset, 0), "VA1"
	a.Sales.Test, a.Sales.Free = of(b.test, 0, 0), of(b.free, 0, 0)
	a.Cash.Totals = of(b.cash, b.cashReset, 0)
	a.Cashless.Devices = []evadts.CashlessDevice{{Device: "DA", Totals: of(b.cashless, 0, 0)}}
	a.Reads = evadts.Reads{All: evadts.Of(b.reads), Resets: evadts.Of(b.resets)}
	for _, c := range b.cols {
		if c.hidden {
			continue
		}
		paid := c.paid
		if b.byPrice {
			paid.v = paid.n * c.price
		}
		a.Selections = append(a.Selections, evadts.Selection{Selection: c.name, Price: evadts.Of(c.price), Totals: of(paid, 0, 0), From: "PA2",
			Free: evadts.Of(c.free), Test: evadts.Of(c.test),
			Payments: []evadts.Payment{{Device: "CA", Totals: of(c.cash, 0, 0)}, {Device: "DA", Totals: of(c.less, 0, 0)}}})
	}
	return a
}

func (b *board) copy() *board {
	c := *b
	c.cols = slices.Clone(b.cols)
	return &c
}

func moment(n int) instant.Instant {
	return instant.Instant{Boot: "1f2e3d4c", Mono: time.Duration(n) * time.Hour, Wall: time.Unix(1764547200+int64(n)*3600, 0)}
}
