package evadts

import "fmt"

// The names of the checks.
const (
	CheckPA2Count = "VA102=sum(PA201)"
	CheckPA2Value = "VA101=sum(PA202)"
	CheckPA7Count = "VA102=sum(PA705)"
	CheckPayments = "VA101=CA201+DA201+DB201+TA201"
	CheckCash     = "CA305=CA306+CA307+bills"
	CheckTubes    = "CA1501=sum(CA1702*CA1703)"
	CheckSegments = "SE01=segments"
)

// crcBeforeG85 is what the text up to G85 gives, for the finding. Later lines have
// moved crc on, so it is kept from the moment of judging.
func (r *reader) crcBeforeG85() uint16 { return r.atG85 }

// check notes one reconciliation; sides that are not known are not compared.
func (r *reader) check(name string, left, right Num, code, detail string) {
	if !left.Known() || !right.Known() {
		return
	}
	ok := left == right
	r.a.Checks = append(r.a.Checks, Check{name, left, right, ok})
	if !ok {
		r.find(code, 0, fmt.Sprintf(detail, left.V(), right.V()))
	}
}

// reconcile compares what the machine says twice. Each is a measure of quality:
// nothing is rejected by it.
func (r *reader) reconcile() {
	a := r.a
	if a.Sales.From == "VA1" {
		r.check(CheckPA2Count, a.Sales.Count, a.Sums.PA201, "unreconciled_count", "the machine counts %d vends, its selections %d")
		r.check(CheckPA2Value, a.Sales.Value, a.Sums.PA202, "unreconciled_value", "the machine sold for %d, its selections for %d")
		if !a.Sums.PA201.Known() {
			r.check(CheckPA7Count, a.Sales.Count, a.Sums.PA705, "unreconciled_count", "the machine counts %d vends, its payments %d")
		}
		paid := a.Cash.Value
		for _, d := range a.Cashless.Devices {
			paid = paid.Add(d.Value)
		}
		r.check(CheckPayments, a.Sales.Value, paid, "unreconciled_payments", "the machine sold for %d, its payment devices for %d")
	}
	if s := a.Sums; s.PA201.Known() && s.PA203.V() > s.PA201.V() {
		r.find("interval_above_total", 0, fmt.Sprintf("PA203 adds up to %d, PA201 to %d: swapped, or the counter since initialisation was cleared",
			s.PA203.V(), s.PA201.V()))
	}
	if r.countable > 1 && r.countByPr == r.countable {
		r.find("value_by_price", 0, "each PA202 is PA201 times the price of today: a change of price rewrites the past")
	}
	r.cash()
	r.check(CheckTubes, a.Cash.InTubes, a.Sums.CA17, "tubes_differ",
		"CA15 says %d in the tubes, CA17 adds up to %d: counts of different moments")
	if a.Complete {
		r.check(CheckSegments, a.Stated, Of(int64(a.Counted)), "se_differs", "SE01 says %d segments, there are %d")
	}
}

// cash finds out in what unit the bills stand: Europe sends minor units, North
// America whole ones (CA304, CA308). What adds up to CA305 tells it.
func (r *reader) cash() {
	c := &r.a.Cash
	whole := int64(1)
	for range r.a.Identity.Decimals {
		whole *= 10
	}
	scaled := func(n Num, by int64) Num {
		if !n.Known() || n.V() > 1<<40 {
			return Num{}
		}
		return Of(n.V() * by)
	}
	r304, r308, r309, r310 := r.bills[0], r.bills[1], r.bills[2], r.bills[3]
	c.Bills, c.BillReset = r310.Or(r308), r309.Or(r304)
	if !c.In.Known() || !c.Box.Known() || !c.Tubes.Known() {
		return
	}
	coins := c.Box.V() + c.Tubes.V()
	for _, try := range []struct {
		all, reset Num
		note       string
	}{
		{r310, r309.Or(r304), ""},
		{r308, r304, ""},
		{scaled(r308, whole), scaled(r304, whole), "CA308 stands in whole units of the currency"},
		{Of(0), Of(0), ""},
	} {
		if !try.all.Known() || coins+try.all.V() != c.In.V() {
			continue
		}
		if c.Bills, c.BillReset = try.all, try.reset; try.note != "" {
			r.find("bills_in_whole_units", 0, try.note)
		}
		break
	}
	r.check(CheckCash, c.In, Of(coins+c.Bills.V()), "unreconciled_cash", "CA305 says %d of cash, its parts add up to %d")
}
