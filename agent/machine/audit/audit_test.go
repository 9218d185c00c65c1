package audit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"cellwarden/agent/machine/evadts"
)

// shop is a board whose first audit is the baseline.
func shop(t *testing.T) (*board, *Book, func() Report) {
	t.Helper()
	b := &board{serial: "S1", changer: "C1", software: "1", installed: "20250101", money: true, ends: [2]int64{1e6, 1e8},
		sales: pair{100, 15000}, cash: pair{60, 9000}, cashless: pair{40, 6000}, reads: 5,
		cols: []col{{name: "11", price: 150, paid: pair{70, 10500}, cash: pair{40, 6000}, less: pair{30, 4500}},
			{name: "12", price: 150, paid: pair{30, 4500}, cash: pair{20, 3000}, less: pair{10, 1500}}}}
	book, n := &Book{}, 0
	take := func() Report {
		n++
		b.reads++
		return book.Take(uint64(n), moment(n), b.audit())
	}
	if r := take(); r.State != Baseline || r.Why != First || r.Sales.Count.Known() {
		t.Fatalf("the first audit counts nothing: %+v", r)
	}
	return b, book, take
}

func sellCash(b *board, i int) {
	c := &b.cols[i]
	b.grow(&b.sales, 1, c.price)
	b.grow(&b.cash, 1, c.price)
	b.grow(&c.paid, 1, c.price)
	b.grow(&c.cash, 1, c.price)
	b.salesReset++
}

func want(t *testing.T, r Report, state, why string, count, value string, notes ...string) {
	t.Helper()
	if r.State != state || r.Why != why {
		t.Errorf("%s %s, want %s %s", r.State, r.Why, state, why)
	}
	if got := r.Sales.Count.String() + " for " + r.Sales.Value.String(); got != count+" for "+value {
		t.Errorf("sold %s, want %s for %s", got, count, value)
	}
	if !slices.Equal(r.Notes, notes) {
		t.Errorf("notes %v, want %v", r.Notes, notes)
	}
}

// Two audits of an ordinary day: what was sold, of which column, paid how.
func TestOneDay(t *testing.T) {
	b, _, take := shop(t)
	for range 3 {
		sellCash(b, 0)
	}
	sellCash(b, 1)
	b.cols[1].free++
	r := take()
	want(t, r, Window, "", "4", "600")
	if !r.Reconciled || len(r.Selections) != 2 || r.Selections[0].Sold.Count.V() != 3 || r.Selections[0].Paid["cash"].Count.V() != 3 ||
		r.Selections[1].Free.V() != 1 {
		t.Errorf("selections %+v", r.Selections)
	}
	if r.Paid["cash"].Value.V() != 600 || len(r.Paid) != 1 {
		t.Errorf("paid %v", r.Paid)
	}
	if r.From != moment(1) || r.To != moment(2) {
		t.Errorf("window %v to %v", r.From, r.To)
	}
	want(t, take(), Window, "", "0", "0") // read twice within a minute: nothing was sold
}

// The operator's route driver reads the machine with his own device, which clears
// the counters since the last reset. What was sold stays whole.
func TestAnotherReaderAndHisReset(t *testing.T) {
	b, _, take := shop(t)
	sellCash(b, 0)
	take()
	sellCash(b, 0)
	b.reads, b.resets, b.salesReset = b.reads+1, b.resets+1, 0
	sellCash(b, 1)
	r := take()
	want(t, r, Window, "", "2", "300", IntervalReset, OtherReader)
}

func TestBreaks(t *testing.T) {
	for _, c := range []struct {
		name, why string
		do        func(*board)
	}{
		{"the board was exchanged", BoardChanged, func(b *board) { b.serial = "S2" }},
		{"the board got other software", BoardChanged, func(b *board) { b.software = "2" }},
		{"the board says that it was initialised", Reinitialised, func(b *board) { b.installed = "20261122" }},
		{"the book of reads began anew", ReadsBack, func(b *board) { b.reads = 0 }},
		{"the counters were cleared", CounterBack, func(b *board) { b.clear(); sellCash(b, 0) }},
		{"a jump beyond all habit", TooLarge, func(b *board) { b.sales.n += 9000; b.sales.v += 9000 * 150 }},
		{"the count fell, the amount rose", CounterBack, func(b *board) { b.sales.n -= 20; b.sales.v += 900 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _, take := shop(t)
			c.do(b)
			want(t, take(), Baseline, c.why, "-", "-")
			sellCash(b, 1)
			want(t, take(), Window, "", "1", "150") // and from there it counts again
		})
	}
}

// A counter of five digits goes over its end. Its sibling proves it.
func TestRollover(t *testing.T) {
	for _, c := range []struct {
		name         string
		count, value int64 // before
		ends         [2]int64
		n            int
		counts       bool
	}{
		{"count at 65536", 65534, 65534 * 150, [2]int64{65536, 1 << 32}, 5, true},
		{"count at 99999", 99998, 99998 * 150, [2]int64{1e5, 1 << 32}, 3, true},
		{"amount at eight digits", 666_660, 1e8 - 10, [2]int64{1e7, 1e8}, 2, true},
		{"amount at ten million (NRI)", 66_600, 1e7 - 100, [2]int64{1e7, 1e7}, 2, true},
		{"far from any end it is no rollover", 50_000, 50_000 * 150, [2]int64{50_001, 1 << 32}, 3, false},
		{"both at once prove nothing", 65535, 1e7 - 100, [2]int64{65536, 1e7}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _, take := shop(t)
			b.sales, b.ends = pair{c.count, c.value}, c.ends
			b.serial = "S2"
			take()
			for range c.n {
				sellCash(b, 0)
			}
			if r := take(); c.counts {
				want(t, r, Window, "", strconv.Itoa(c.n), strconv.Itoa(150*c.n), Rollover)
			} else {
				want(t, r, Baseline, CounterBack, "-", "-")
			}
		})
	}
}

// Audits that come late or twice are not counted again.
func TestOutOfOrder(t *testing.T) {
	b, book, take := shop(t)
	early := b.audit()
	sellCash(b, 0)
	take()
	sellCash(b, 0)
	for _, seq := range []uint64{1, 2} {
		if r := book.Take(seq, moment(90), early); r.State != Repeated || r.Sales.Count.Known() {
			t.Errorf("audit %d again: %+v", seq, r)
		}
	}
	want(t, take(), Window, "", "1", "150")
}

// Another changer has counters of its own; the board's go on.
func TestDeviceExchanged(t *testing.T) {
	b, _, take := shop(t)
	sellCash(b, 0)
	b.changer, b.cash = "C2", pair{1, 150}
	r := take()
	want(t, r, Window, "", "1", "150", DeviceChanged)
	if len(r.Paid) != 0 {
		t.Errorf("the new changer's counters were compared with the old one's: %v", r.Paid)
	}
	sellCash(b, 0)
	if r := take(); r.Paid["cash"].Count.V() != 1 {
		t.Errorf("paid %v", r.Paid)
	}
}

// One vend, one device: that paid it, though the audit has no PA7.
func TestOneVendNamesItsPayment(t *testing.T) {
	b, book, _ := shop(t)
	sellCash(b, 1)
	a := b.audit()
	for i := range a.Selections {
		a.Selections[i].Payments = nil
	}
	r := book.Take(2, moment(2), a)
	if len(r.Selections) != 1 || r.Selections[0].Paid["cash"].Count.V() != 1 {
		t.Errorf("selections %+v", r.Selections)
	}
}

// A board whose values are count by today's price: a new price is no sale.
func TestPriceRewritesThePast(t *testing.T) {
	b, _, take := shop(t)
	b.byPrice = true
	take()
	b.cols[0].price = 180
	sellCash(b, 0)
	r := take()
	want(t, r, Window, "", "1", "180", Repriced)
	if s := r.Selections[0].Sold; s.Count.V() != 1 || s.Value.Known() {
		t.Errorf("the column's value of the window is not known: %+v", s)
	}
}

// A column that is new, gone and back, or cleared alone.
func TestColumnsComeAndGo(t *testing.T) {
	b, _, take := shop(t)
	b.cols = append(b.cols, col{name: "13", price: 150, paid: pair{44, 6600}})
	sellCash(b, 0)
	r := take()
	want(t, r, Window, "", "1", "150", Mended, Unreconciled)
	if len(r.Selections) != 1 {
		t.Errorf("the new column's past was counted: %+v", r.Selections)
	}
	b.cols[1].hidden = true
	sellCash(b, 1)
	take()
	b.cols[1].hidden = false
	if r := take(); len(r.Selections) != 1 || r.Selections[0].Sold.Count.V() != 1 {
		t.Errorf("the column that is back: %+v", r.Selections)
	}
	b.cols[0].paid = pair{}
	sellCash(b, 0)
	want(t, take(), Window, "", "1", "150", SelectionBack, Unreconciled)
}

// The book survives a restart.
func TestBookIsKept(t *testing.T) {
	b, book, take := shop(t)
	sellCash(b, 0)
	take()
	data, err := book.Save()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Load(data)
	if err != nil {
		t.Fatal(err)
	}
	sellCash(b, 1)
	b.reads++
	want(t, back.Take(9, moment(9), b.audit()), Window, "", "1", "150")
	if _, err := Load([]byte("{")); err == nil {
		t.Error("half a book was read")
	}
}

// histories is how many random lives of a machine are run: 10,000, or as many as
// CELLWARDEN_HISTORIES says.
func histories(t *testing.T) int {
	n := 10_000
	if v := os.Getenv("CELLWARDEN_HISTORIES"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() {
		n /= 20
	}
	return n
}

// Over all that may happen to a machine, no sale is invented and none is negative;
// and while nothing breaks, none is missed.
func TestNoSaleIsInvented(t *testing.T) {
	exact, all := 0, 0
	for seed := range histories(t) {
		e, n, err := history(rand.New(rand.NewPCG(uint64(seed), 19)))
		if err != nil {
			t.Fatalf("history %d: %v", seed, err)
		}
		exact, all = exact+e, all+n
	}
	t.Logf("%d windows, %d of them exact", all, exact)
	if exact < all/2 {
		t.Errorf("only %d of %d windows were exact: the engine gives up too easily", exact, all)
	}
}

// history is one life. It returns how many windows were exact, and how many there were.
func history(rng *rand.Rand) (exact, windows int, err error) {
	b, book := newBoard(rng, "S1"), &Book{}
	real := newTruth()
	broke := true // something happened after which a window may be unknown
	var late []*evadts.Audit
	for n := 1; n <= 12; n++ {
		for range rng.IntN(40) {
			b.sell(rng, &real)
		}
		switch rng.IntN(24) {
		case 0:
			b.clear()
			broke = true
			for range rng.IntN(40) {
				b.sell(rng, &real)
			}
		case 1:
			b = newBoard(rng, fmt.Sprint("S", n))
			broke = true
		case 2:
			b.installed = fmt.Sprint("2026", 1000+n)
			b.clear()
			broke = true
		case 3:
			b.salesReset, b.cashReset, b.resets, b.reads = 0, 0, b.resets+1, b.reads+1
		case 4:
			b.changer += "x"
			b.cash = pair{rng.Int64N(300), rng.Int64N(90000)}
			broke = true
		case 5:
			b.cols[rng.IntN(len(b.cols))].price += 10
		case 6:
			b.cols = append(b.cols, col{name: fmt.Sprint("N", n), price: 150, paid: pair{rng.Int64N(99), rng.Int64N(9999)}})
			broke = true
		case 7:
			i := rng.IntN(len(b.cols))
			b.cols[i].hidden = !b.cols[i].hidden
			broke = true
		case 8:
			c := &b.cols[rng.IntN(len(b.cols))]
			c.paid, c.cash, c.less, c.free, c.test = pair{}, pair{}, pair{}, 0, 0
			broke = true
		case 9: // an old audit comes out of a drawer
			if len(late) > 0 {
				if r := book.Take(uint64(1+rng.IntN(n)), moment(n), late[rng.IntN(len(late))]); n > 1 && r.State == Window && book.Seq != uint64(n) {
					return 0, 0, fmt.Errorf("an old audit made a window: %+v", r)
				} else if r.State != Repeated {
					broke, real = true, newTruth()
				}
			}
		case 10:
			b.software += "x"
			broke = true
		}
		b.reads++
		a := b.audit()
		if rng.IntN(20) == 0 { // cut off behind the first counters
			a.Complete, a.Selections, broke = false, nil, true
		}
		late = append(late, a)
		at := moment(n)
		if rng.IntN(3) == 0 {
			at.Wall = at.Wall.AddDate(rng.IntN(20)-15, 0, 0) // the clock lies
		}
		if rng.IntN(5) == 0 {
			at.Boot, at.Mono = fmt.Sprint("boot", n), 0
		}
		if kept, err := book.Save(); err == nil && rng.IntN(3) == 0 {
			back := Book{}
			if err := json.Unmarshal(kept, &back); err != nil {
				return 0, 0, err
			}
			book = &back
		}
		r := book.Take(uint64(100*n), at, a)
		if err := r.believable(real, b.money); err != nil {
			return 0, 0, fmt.Errorf("audit %d: %w\n%+v\nreal %+v", n, err, r, real)
		}
		if r.State == Window {
			windows++
			same := r.Sales.Count.V() == real.sales.n && (!b.money || r.Sales.Value.V() == real.sales.v)
			if same {
				exact++
			}
			if !same && !broke && r.Sales.Count.V() > 0 {
				return 0, 0, fmt.Errorf("audit %d: nothing broke, yet %v were counted of %d\n%+v", n, r.Sales.Count, real.sales.n, r)
			}
		}
		if r.State != Repeated {
			cols := real.col
			real = newTruth()
			for _, c := range b.cols { // what was left out is counted when it is back
				if c.hidden || len(a.Selections) == 0 {
					real.col[c.name] = cols[c.name]
				}
			}
			broke = false
		}
	}
	return exact, windows, nil
}

// believable holds a Report against the truth: never more, never below zero.
func (r Report) believable(real truth, money bool) error {
	held := func(what string, d Delta, p pair) error {
		if d.Count.V() > p.n || money && d.Value.V() > p.v || !money && d.Value.V() > 0 {
			return fmt.Errorf("%s: %v for %v of %d for %d", what, d.Count, d.Value, p.n, p.v)
		}
		return nil
	}
	if r.State != Window {
		if r.Sales.Count.Known() || len(r.Selections) > 0 || len(r.Paid) > 0 {
			return fmt.Errorf("a %s counts: %+v", r.State, r)
		}
		return nil
	}
	errs := []error{held("sales", r.Sales, real.sales), held("cash", r.Paid["cash"], real.cash), held("cashless", r.Paid["cashless"],
		real.less)}
	if r.Free.V() > real.free || r.Test.V() > real.test {
		errs = append(errs, fmt.Errorf("free %v of %d, test %v of %d", r.Free, real.free, r.Test, real.test))
	}
	for _, s := range r.Selections {
		errs = append(errs, held("column "+s.Selection, s.Sold, real.col[s.Selection]))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
