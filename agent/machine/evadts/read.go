package evadts

import (
	"fmt"
	"slices"
)

// segments says how each one is read (EVA-DTS 6.2 appendix A). One that is not
// here is counted and left alone.
var segments = map[string]func(*reader, segment){
	"DXS": func(r *reader, s segment) {
		r.dxs = true
		r.a.Identity.ID, r.a.Identity.Version = word(s.el(1)), word(s.el(3))
	},
	"ST":  func(r *reader, s segment) { r.st = true },
	"SE":  (*reader).end,
	"DXE": func(r *reader, s segment) { r.dxe, r.ended = true, s.line },
	"G85": func(r *reader, s segment) {},
	"ID1": (*reader).id1,
	"ID4": (*reader).currency,
	"ID5": func(r *reader, s segment) { r.a.Identity.Date, r.a.Identity.Time = word(s.el(1)), word(s.el(2)) },
	"CB1": func(r *reader, s segment) { r.a.Identity.Board = unit(s) },
	"CA1": func(r *reader, s segment) { r.a.Identity.Changer = unit(s) },
	"BA1": func(r *reader, s segment) { r.a.Identity.Bill = unit(s) },
	"DA1": func(r *reader, s segment) { r.a.Identity.Cashless = unit(s) },
	"DB1": func(r *reader, s segment) { r.a.Identity.Cashless2 = unit(s) },

	"VA1": (*reader).va1,
	"VA2": func(r *reader, s segment) { r.a.Sales.Test = r.totals(s, false) },
	"VA3": func(r *reader, s segment) { r.a.Sales.Free = r.totals(s, false) },
	"PA1": (*reader).pa1,
	"PA2": (*reader).pa2,
	"PA3": func(r *reader, s segment) { r.of(s, func(x *Selection) { x.Test = r.num(s, 1, false) }) },
	"PA4": func(r *reader, s segment) { r.of(s, func(x *Selection) { x.Free = r.num(s, 1, false) }) },
	"PA5": func(r *reader, s segment) { r.of(s, func(x *Selection) { x.SoldOutTries = r.num(s, 3, false) }) },
	"PA7": (*reader).pa7,
	"PA8": func(r *reader, s segment) {},
	"LA1": (*reader).la1,

	"CA2":  func(r *reader, s segment) { r.a.Cash.Totals = r.totals(s, true) },
	"DA2":  func(r *reader, s segment) { r.device("DA", s) },
	"DB2":  func(r *reader, s segment) { r.device("DB", s) },
	"TA2":  func(r *reader, s segment) { r.device("TA", s) },
	"CA3":  (*reader).ca3,
	"CA4":  func(r *reader, s segment) { r.a.Cash.Out = r.num(s, 3, false) },
	"CA15": func(r *reader, s segment) { r.a.Cash.InTubes = r.num(s, 1, false) },
	"CA17": (*reader).tube,

	"EA1": (*reader).event,
	"EA2": (*reader).event,
	"EA3": func(r *reader, s segment) {
		r.a.Reads.WithReset, r.a.Reads.All, r.a.Reads.Resets = r.num(s, 1, false), r.num(s, 9, false), r.num(s, 10, false)
	},
	"EA4": func(r *reader, s segment) { r.a.Identity.Installed = word(s.el(1)) },
	"EA7": func(r *reader, s segment) { r.a.Reads.Cycles = r.num(s, 2, false) },
}

func (r *reader) end(s segment) {
	r.se, r.ended = true, s.line
	r.a.Stated = r.num(s, 1, false)
}

func (r *reader) id1(s segment) {
	i := &r.a.Identity
	i.ID1 = unescape(clipped(s.id + "*" + s.text))
	i.Serial, i.Model, i.Build = set(s.el(1)), word(s.el(2)), word(s.el(3))
	i.Location, i.User, i.Asset = word(s.el(4)), word(s.el(5)), set(s.el(6))
	if i.Serial == "" && trim(s.el(1)) != "" {
		r.find("serial_unset", s.line, "ID101 is the board's default, no serial number: "+show(s.el(1), 24))
	}
}

// clipped keeps a copied segment short.
func clipped(s string) string { return s[:min(len(s), 200)] }

// set reads a number that boards leave at its default when nobody wrote it:
// zeros, or -1 in 32 bits.
func set(e string) string {
	w := word(e)
	if w == "4294967295" {
		return ""
	}
	for i := range len(w) {
		if w[i] != '0' {
			return w
		}
	}
	return ""
}

func unit(s segment) *Unit {
	u := Unit{word(s.el(1)), word(s.el(2)), word(s.el(3))}
	if u == (Unit{}) {
		return nil
	}
	return &u
}

// maxDecimals is the most that any currency has (three); more is no number of
// decimals but another thing in the wrong place.
const maxDecimals = 4

func (r *reader) currency(s segment) {
	i := &r.a.Identity
	if n := r.num(s, 1, false); n.Known() && n.V() <= maxDecimals {
		i.Decimals = int(n.V())
	} else if n.Known() {
		r.find("decimals", s.line, fmt.Sprintf("ID401 says %d decimals; read as 2", n.V()))
	}
	if i.Currency = word(s.el(3)); i.Currency == "" {
		if n, _, ok := number(s.el(2)); ok && n.V() > 1000 && n.V() < 2000 { // 1xxx: ISO 4217; 0xxx: a telephone code
			i.Currency = fmt.Sprintf("%03d", n.V()-1000)
		}
	}
}

// totals are value, count since initialisation, then since the last reset.
func (r *reader) totals(s segment, must bool) Totals {
	return Totals{r.num(s, 1, must), r.num(s, 2, must), r.num(s, 3, must), r.num(s, 4, must)}
}

func (r *reader) va1(s segment) {
	v := &r.a.Sales
	if v.From != "" {
		r.find("twice", s.line, "VA1 stands twice; the first is used")
		return
	}
	v.Totals, v.Discount, v.From = r.totals(s, true), r.num(s, 5, false), "VA1"
}

func (r *reader) pa1(s segment) {
	x := Selection{Selection: word(s.el(1)), Name: word(s.el(3)), Price: r.num(s, 2, false), Capacity: r.num(s, 4, false),
		Fill: r.num(s, 5, false), Level: r.num(s, 8, false), Minimum: r.num(s, 9, false), Missing: trim(s.el(7)) == "1"}
	if x.Selection == "" { // N&W Kikko: the selection stands where the price belongs
		r.findOnce("selection_in_price", s.line, "PA101 is empty; PA102 is taken for the selection, the price is not known")
		x.Selection, x.Price = word(s.el(2)), Num{}
	}
	if x.Selection == "" {
		r.sel = -1
		r.find("no_selection", s.line, "a selection without a name; what it counts is left out")
		return
	}
	if at, twice := r.selections()[x.Selection]; twice && r.a.Selections[at].From == "" && r.a.Selections[at].Name == "" {
		x.Payments = r.a.Selections[at].Payments // PA7 stood before its PA1
		r.a.Selections[at], r.sel = x, at
		return
	} else if twice {
		r.find("selection_twice", s.line, "selection "+show(x.Selection, 12)+" stands twice; both are kept")
	}
	r.sel = len(r.a.Selections)
	r.selAt[x.Selection] = r.sel
	r.a.Selections = append(r.a.Selections, x)
}

func (r *reader) selections() map[string]int {
	if r.selAt == nil {
		r.selAt = map[string]int{}
	}
	return r.selAt
}

// findOnce notes a deviation that each line of a kind would repeat.
func (r *reader) findOnce(code string, line int, detail string) {
	if !r.a.Deviates(code) {
		r.find(code, line, detail)
	}
}

// of gives the selection that a segment after PA1 belongs to.
func (r *reader) of(s segment, do func(*Selection)) {
	if r.sel < 0 {
		r.find("no_selection", s.line, s.id+" stands without a PA1 before it")
		return
	}
	do(&r.a.Selections[r.sel])
}

// pa2 has count before value, the other way round than VA1.
func (r *reader) pa2(s segment) {
	r.of(s, func(x *Selection) {
		if x.From == "PA2" {
			r.find("twice", s.line, "PA2 stands twice for selection "+show(x.Selection, 12)+"; the first is used")
			return
		}
		x.Totals = Totals{r.num(s, 2, true), r.num(s, 1, true), r.num(s, 4, true), r.num(s, 3, true)}
		x.From = "PA2"
		if x.Count.V() > 0 && x.Price.V() > 0 && x.Value.Known() {
			r.countable++
			if x.Value.V() == x.Count.V()*x.Price.V() {
				r.countByPr++
			}
		}
		sum := &r.a.Sums
		sum.PA201, sum.PA202 = sum.PA201.Add(x.Count), sum.PA202.Add(x.Value)
		sum.PA203, sum.PA204 = sum.PA203.Add(x.CountReset), sum.PA204.Add(x.ValueReset)
	})
}

// pa7 names its selection itself: one line for each kind of payment and price list.
func (r *reader) pa7(s segment) {
	p := Payment{Device: word(s.el(2)), List: word(s.el(3)), Price: r.num(s, 4, false),
		Totals: Totals{r.num(s, 6, true), r.num(s, 5, true), r.num(s, 8, true), r.num(s, 7, true)}}
	name := word(s.el(1))
	at, ok := r.selections()[name]
	if !ok {
		r.findOnce("payment_only", s.line, "PA7 for selection "+show(name, 12)+", which has no PA1")
		at = len(r.a.Selections)
		r.a.Selections, r.selAt[name] = append(r.a.Selections, Selection{Selection: name}), at
	}
	x := &r.a.Selections[at]
	x.Payments = append(x.Payments, p)
	r.a.Sums.PA705, r.a.Sums.PA706 = r.a.Sums.PA705.Add(p.Count), r.a.Sums.PA706.Add(p.Value)
}

// la1 counts since the reset first, and since initialisation after it. Some boards
// use its higher price lists for other counters, so it only stands in.
func (r *reader) la1(s segment) {
	if r.lists == nil {
		r.lists = map[string]Totals{}
	}
	t := Totals{Count: r.num(s, 5, false), CountReset: r.num(s, 4, false)}
	name := word(s.el(2))
	r.lists[name] = r.lists[name].add(t)
}

func (r *reader) device(name string, s segment) {
	d := CashlessDevice{name, r.totals(s, false)}
	if d.Totals == (Totals{}) {
		return
	}
	r.a.Cashless.Devices = append(r.a.Cashless.Devices, d)
	if name != "TA" { // a token is no cashless payment
		r.a.Cashless.Totals = r.a.Cashless.Totals.add(d.Totals)
	}
}

func (r *reader) ca3(s segment) {
	c := &r.a.Cash
	c.InReset, c.BoxReset, c.TubeReset = r.num(s, 1, false), r.num(s, 2, false), r.num(s, 3, false)
	c.In, c.Box, c.Tubes = r.num(s, 5, false), r.num(s, 6, false), r.num(s, 7, false)
	r.bills = [4]Num{r.num(s, 4, false), r.num(s, 8, false), r.num(s, 9, false), r.num(s, 10, false)}
}

func (r *reader) tube(s segment) {
	t := Tube{word(s.el(1)), r.num(s, 2, false), r.num(s, 3, false), trim(s.el(6)) == "1"}
	r.a.Cash.TubeList = append(r.a.Cash.TubeList, t)
	if t.Value.Known() && t.Count.Known() {
		r.a.Sums.CA17 = r.a.Sums.CA17.Add(Of(t.Value.V() * t.Count.V()))
	}
}

func (r *reader) event(s segment) {
	e := Event{Segment: s.id, Code: word(s.el(1)), Line: s.line}
	if e.Code != s.el(1) {
		r.findOnce("padded_code", s.line, "an event code is padded or escaped: "+show(s.el(1), 24))
	}
	if s.id == "EA1" {
		e.Date, e.Time, e.User = word(s.el(2)), word(s.el(3)), word(s.el(6))
	} else {
		e.Reset, e.Count, e.User = r.num(s, 2, false), r.num(s, 3, false), word(s.el(4))
		e.Active = trim(s.el(5)) == "1"
	}
	var known Code
	if known, e.Base, e.Sel = FindCode(e.Code); known.EN != "" {
		e.Name = known.EN
	} else {
		r.findOnce("unknown_code", s.line, "a code that the standard does not have, kept as it is: "+show(e.Code, 24))
	}
	r.a.Events = append(r.a.Events, e)
}

// finish adds up, compares and says what the end of the audit shows.
func (r *reader) finish() {
	a := r.a
	switch {
	case r.known == 0:
		r.broken("no_audit", 1, "no segment of EVA-DTS was found")
		return
	case !r.dxe && !r.se:
		detail := "the audit ends without SE and DXE"
		if r.cut {
			detail += ", in the middle of a line"
		}
		r.find("incomplete", r.lastLine, detail)
	default:
		a.Complete = true
	}
	switch a.G85 {
	case G85Missing:
		r.find("g85_missing", 0, "the audit has no checksum")
	case G85Mismatch:
		r.find("g85_mismatch", r.g85Line, fmt.Sprintf("G85 is %s, the text gives %04X", show(r.g85, 12), r.crcBeforeG85()))
	case G85Swapped, G85NoLastCRLF:
		r.find("g85_"+string(a.G85), r.g85Line, "G85 fits in a form of older boards")
	}
	if r.negative > 1 {
		r.find("negative_counters", 0, fmt.Sprintf("%d counters are below zero and left out", r.negative))
	}
	r.fill()
	r.reconcile()
	a.Selections = slices.Clip(a.Selections)
}

// fill takes the next best source where the usual one is absent.
func (r *reader) fill() {
	a := r.a
	var sum Totals
	from := ""
	for i := range a.Selections {
		x := &a.Selections[i]
		if x.From == "" && len(x.Payments) > 0 {
			for _, p := range x.Payments {
				x.Totals = x.Totals.add(p.Totals)
			}
			x.From = "PA7"
		}
		if t, ok := r.lists[x.Selection]; ok && x.From == "" {
			x.Totals, x.From = t, "LA1"
		}
		if x.From != "" {
			sum, from = sum.add(x.Totals), x.From
		}
	}
	if len(a.Selections) == 0 && len(r.lists) > 0 { // NRI changers: sales only here
		names := make([]string, 0, len(r.lists))
		for name := range r.lists {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			a.Selections = append(a.Selections, Selection{Selection: name, Totals: r.lists[name], From: "LA1"})
			sum, from = sum.add(r.lists[name]), "LA1"
		}
	}
	if a.Sales.From == "" && from != "" {
		a.Sales.Totals, a.Sales.From = sum, from
		r.find("no_va1", 0, "VA1 is absent; the sales are the sum of "+from)
	}
}
