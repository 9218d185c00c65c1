package audit

import (
	"maps"
	"slices"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/machine/evadts"
)

// The states of a Report.
const (
	Baseline = "baseline" // nothing is counted: the first audit, or the first after a break
	Window   = "window"   // what was sold between two audits
	Repeated = "repeated" // an audit that is not newer than the last one
)

// Why a baseline was begun.
const (
	First         = "first"
	BoardChanged  = "board_changed"
	Reinitialised = "reinitialised" // EA401 changed
	ReadsBack     = "reads_back"    // the machine's own count of its reads (EA309) fell
	CounterBack   = "counter_back"  // a counter fell, and not over its end
	TooLarge      = "too_large"     // a counter rose beyond all habit
)

// Notes of a Report.
const (
	Rollover      = "rollover"        // a counter went over its end; inferred
	IntervalReset = "interval_reset"  // the counters since the last reset were cleared, by us or by another
	OtherReader   = "other_reader"    // the machine was read by someone else too
	DeviceChanged = "device_changed"  // another changer or reader: its counters begin anew
	Unreconciled  = "unreconciled"    // the selections do not add up to the machine's count
	SelectionBack = "selection_back"  // a selection's counter fell; it begins anew
	ValueAlone    = "value_alone"     // an amount rose without a vend; left out
	Repriced      = "repriced"        // a price changed where values are count by price; left out
	Incomplete    = "incomplete"      // the audit breaks off
	Mismatch      = "g85_mismatch"    // its checksum does not fit
	Mended        = "selection_newly" // a selection appears for the first time; it begins
)

// Delta is what a Pair grew by; what is not known is absent.
type Delta = Pair

// SelectionDelta is what one selection sold.
type SelectionDelta struct {
	Selection string
	Name      string
	Price     evadts.Num
	Level     evadts.Num
	Sold      Delta
	Free      evadts.Num
	Test      evadts.Num
	Paid      map[string]Delta // by kind of payment
}

// Report is what one audit says beside the last one.
type Report struct {
	State      string
	Why        string
	From, To   instant.Instant // of a window
	Sales      Delta
	Free, Test evadts.Num
	Paid       map[string]Delta // by kind of payment
	Selections []SelectionDelta // those that sold something, paid or free
	Total      Pair             // sales since initialisation
	Reconciled bool             // the selections add up to Sales
	Notes      []string
}

func (r *Report) note(n string) {
	if !slices.Contains(r.Notes, n) {
		r.Notes = append(r.Notes, n)
	}
}

// Take compares a with the last audit and makes it the last one. seq orders audits
// by when they were read; the clock does not, for it may lie or have been put back.
func (b *Book) Take(seq uint64, at instant.Instant, a *evadts.Audit) Report {
	machine, sel := read(a)
	r := Report{State: Window, From: b.At, To: at, Total: machine[Sales]}
	if !a.Complete {
		r.note(Incomplete)
	}
	if a.G85 == evadts.G85Mismatch {
		r.note(Mismatch)
	}
	now := owner(a)
	if b.Seq != 0 && seq <= b.Seq {
		r.State = Repeated
		return r
	}
	if why := b.broken(now, a); why != "" {
		return b.begin(r, why, seq, at, a, machine, sel)
	}
	c := compare{r: &r}
	r.Sales = c.pair(b.Machine, machine, Sales)
	if c.fell {
		return b.begin(r, CounterBack, seq, at, a, machine, sel)
	}
	if r.Sales.Count.V() > b.most(at) {
		return b.begin(r, TooLarge, seq, at, a, machine, sel)
	}
	r.Free = c.pair(b.Machine, machine, Free).Count
	r.Test = c.pair(b.Machine, machine, Test).Count
	b.payments(&c, now, machine)
	b.selections(&c, a, sel)
	b.readers(&r, a)
	b.settle(&r, seq, at, a, now, machine, sel)
	return r
}

// broken says why a cannot be compared with the last audit, "" when it can.
func (b *Book) broken(now Owner, a *evadts.Audit) string {
	switch {
	case b.Seq == 0:
		return First
	case now.Board != b.Owner.Board:
		return BoardChanged
	case now.Installed != b.Owner.Installed && now.Installed != "" && b.Owner.Installed != "":
		return Reinitialised
	case a.Reads.All.Known() && b.Reads.All.Known() && a.Reads.All.V() < b.Reads.All.V():
		return ReadsBack
	}
	return ""
}

// begin makes a the baseline: nothing is counted.
func (b *Book) begin(r Report, why string, seq uint64, at instant.Instant, a *evadts.Audit, machine map[string]Pair,
	sel map[string]Counters) Report {
	r = Report{State: Baseline, Why: why, To: at, Total: r.Total, Notes: r.Notes}
	r.Notes = slices.DeleteFunc(r.Notes, func(n string) bool { return n == Rollover })
	*b = Book{Machine: machine, Sel: sel}
	b.stamp(seq, at, a, owner(a))
	return r
}

func (b *Book) stamp(seq uint64, at instant.Instant, a *evadts.Audit, now Owner) {
	b.Seq, b.At, b.Owner, b.Reads, b.Ours = seq, at, now, a.Reads, 1
	b.Reset = map[string]evadts.Num{Sales: a.Sales.CountReset, Cash: a.Cash.CountReset}
}

// most is how many vends a window until at may have. Where the length of both
// windows is known, a longer one may have more.
func (b *Book) most(at instant.Instant) int64 {
	most := max(jumpFloor, jumpFactor*b.Largest)
	if span := at.Sub(b.At); b.Span > 0 && span > b.Span {
		most = max(most, int64(float64(most)*min(float64(span)/float64(b.Span), 100)))
	}
	return most
}

// payments compares the devices' own counters, each with its own owner.
func (b *Book) payments(c *compare, now Owner, machine map[string]Pair) {
	changed := map[string]bool{
		Cash:      now.Changer != b.Owner.Changer,
		Cashless:  now.Cashless != b.Owner.Cashless,
		Cashless2: now.Cashless2 != b.Owner.Cashless2,
	}
	for _, p := range Payments {
		if changed[p.Counter] {
			if _, was := b.Machine[p.Counter]; was {
				c.r.note(DeviceChanged)
			}
			continue
		}
		d := c.part(b.Machine, machine, p.Counter)
		if d.Count.V() > 0 || d.Value.V() > 0 {
			if c.r.Paid == nil {
				c.r.Paid = map[string]Delta{}
			}
			c.r.Paid[p.Kind] = d
		}
	}
}

// selections compares each column, and whether they add up.
func (b *Book) selections(c *compare, a *evadts.Audit, sel map[string]Counters) {
	r := c.r
	sum, known, seen := int64(0), true, map[string]bool{}
	for _, x := range a.Selections {
		now, ok := sel[x.Selection]
		if !ok || seen[x.Selection] {
			continue
		}
		seen[x.Selection] = true
		was, before := b.Sel[x.Selection]
		if !before {
			known = false
			r.note(Mended)
			continue
		}
		d := SelectionDelta{Selection: x.Selection, Name: x.Name, Price: x.Price, Level: x.Level}
		fell := false
		d.Sold, fell = move(was.Pair, now.Pair, c)
		if fell {
			known = false
			r.note(SelectionBack)
			continue
		}
		if now.ByPrice && was.Price != now.Price {
			d.Sold.Value = evadts.Num{}
			r.note(Repriced)
		}
		d.Free, d.Test = grown(was.Free, now.Free), grown(was.Test, now.Test)
		for _, p := range Payments {
			paid, fell := move(was.Paid[p.Device], now.Paid[p.Device], c)
			if !fell && paid.Count.V() > 0 {
				if d.Paid == nil {
					d.Paid = map[string]Delta{}
				}
				d.Paid[p.Kind] = paid
			}
		}
		known = known && d.Sold.Count.Known()
		sum += d.Sold.Count.V()
		if d.Sold.Count.V() > 0 || d.Free.V() > 0 || d.Test.V() > 0 {
			r.Selections = append(r.Selections, d)
		}
	}
	r.Reconciled = known && len(seen) > 0 && r.Sales.Count.Known() && sum == r.Sales.Count.V()
	if len(seen) > 0 && !r.Reconciled {
		r.note(Unreconciled)
	}
	if one := r.Selections; r.Reconciled && r.Sales.Count.V() == 1 && len(one) > 0 && len(r.Paid) == 1 {
		for kind, d := range r.Paid { // one vend, one device counted one: that paid it
			i := slices.IndexFunc(one, func(s SelectionDelta) bool { return s.Sold.Count.V() == 1 })
			if i >= 0 && d.Count.V() == 1 && one[i].Paid == nil {
				one[i].Paid = map[string]Delta{kind: one[i].Sold}
			}
		}
	}
}

// readers tells who else reads, and whether the counters since the last reset fell.
func (b *Book) readers(r *Report, a *evadts.Audit) {
	if a.Reads.All.Known() && b.Reads.All.Known() && a.Reads.All.V()-b.Reads.All.V() > 1 {
		r.note(OtherReader)
	}
	if a.Reads.Resets.Known() && b.Reads.Resets.Known() && a.Reads.Resets.V() > b.Reads.Resets.V() {
		r.note(IntervalReset)
	}
	// EA301 grows on some boards although nothing was cleared: the fields count.
	for name, now := range map[string]evadts.Num{Sales: a.Sales.CountReset, Cash: a.Cash.CountReset} {
		if was := b.Reset[name]; was.Known() && now.Known() && now.V() < was.V() {
			r.note(IntervalReset)
		}
	}
	slices.Sort(r.Notes)
}

// settle makes the audit the last one. What it does not have keeps its old value,
// so that a column that was left out once is counted when it is back.
func (b *Book) settle(r *Report, seq uint64, at instant.Instant, a *evadts.Audit, now Owner, machine map[string]Pair,
	sel map[string]Counters) {
	span := time.Duration(0)
	if at.Boot != "" && at.Boot == b.At.Boot {
		span = at.Mono - b.At.Mono
	}
	if n := r.Sales.Count.V(); n > b.Largest {
		b.Largest, b.Span = n, max(span, 0)
	}
	if b.Machine == nil {
		b.Machine = map[string]Pair{}
	}
	keepOwn := b.Owner
	maps.Copy(b.Machine, machine)
	if b.Sel == nil {
		b.Sel = map[string]Counters{}
	}
	for name, c := range sel {
		if _, have := b.Sel[name]; have || len(b.Sel) < MaxSelections {
			b.Sel[name] = c
		}
	}
	b.stamp(seq, at, a, now)
	if now.Installed == "" {
		b.Owner.Installed = keepOwn.Installed
	}
}

// compare gathers what comparing shows.
type compare struct {
	r    *Report
	fell bool
}

// pair compares a machine counter; fell says that it went back.
func (c *compare) pair(was, now map[string]Pair, name string) Delta {
	d, fell := move(was[name], now[name], c)
	c.fell = c.fell || fell
	return d
}

// part compares a counter whose fall says nothing of the others.
func (c *compare) part(was, now map[string]Pair, name string) Delta {
	d, fell := move(was[name], now[name], c)
	if fell {
		c.r.note(DeviceChanged)
		return Delta{}
	}
	return d
}

// grown is how much a lone counter rose; one that fell is not known.
func grown(was, now evadts.Num) evadts.Num {
	if !was.Known() || !now.Known() || now.V() < was.V() {
		return evadts.Num{}
	}
	return evadts.Of(now.V() - was.V())
}

// ends are where counters begin anew (EVA-DTS 6.2 §5.3.6 names 65535, 99999 and
// 4294967295; NRI changers showed 10^7).
var ends = []int64{65536, 1e5, 1e6, 1e7, 1e8, 1 << 32}

// nearEnd is how far from its end a counter may have been when it went over it, as
// a part of that end.
const nearEnd = 20

// move compares two readings of one pair. fell: it went back, and not over its end.
// A rollover is believed of one of the two only, and only where the other one grew
// in step: a cleared counter takes its sibling with it.
func move(was, now Pair, c *compare) (d Delta, fell bool) {
	if !was.Count.Known() || !now.Count.Known() {
		if was.Count.Known() == now.Count.Known() && was.Value.Known() && now.Value.Known() {
			if now.Value.V() < was.Value.V() {
				return Delta{}, true
			}
			return Delta{Value: evadts.Of(now.Value.V() - was.Value.V())}, false // amounts only
		}
		return Delta{}, false
	}
	count := now.Count.V() - was.Count.V()
	if !was.Value.Known() || !now.Value.Known() {
		if count < 0 {
			return Delta{}, true
		}
		return Delta{Count: evadts.Of(count)}, false
	}
	value := now.Value.V() - was.Value.V()
	switch {
	case count < 0 && value < 0:
		return Delta{}, true
	case count < 0:
		wrapped, ok := over(was.Count.V(), now.Count.V())
		if !ok || !inStep(was, wrapped, value) {
			return Delta{}, true
		}
		count = wrapped
		c.r.note(Rollover)
	case value < 0:
		wrapped, ok := over(was.Value.V(), now.Value.V())
		if !ok || !inStep(was, count, wrapped) {
			return Delta{}, true
		}
		value = wrapped
		c.r.note(Rollover)
	case count == 0 && value > 0:
		c.r.note(ValueAlone)
		return Delta{Count: evadts.Of(0)}, false
	}
	return Delta{evadts.Of(count), evadts.Of(value)}, false
}

// over is how much a counter grew that went over its end, if it can have.
func over(was, now int64) (int64, bool) {
	for _, end := range ends {
		if was < end && was >= end-end/nearEnd && now < end/nearEnd {
			return end - was + now, true
		}
	}
	return 0, false
}

// step is how far the price of a vend in the window may be from the mean price of
// all before. A counter that was cleared and grew again is seldom in step.
const step = 4

// inStep reports whether count and value of the window fit the mean price so far.
func inStep(was Pair, count, value int64) bool {
	if was.Count.V() == 0 || was.Value.V() == 0 || count <= 0 || value <= 0 {
		return false
	}
	mean := float64(was.Value.V()) / float64(was.Count.V())
	price := float64(value) / float64(count)
	return price >= mean/step && price <= mean*step
}
