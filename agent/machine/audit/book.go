package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/machine/evadts"
)

// MaxSelections bounds what is kept of one machine. The largest have some 200.
const MaxSelections = 400

// Limits on one window. A jump beyond them is a garbled or foreign counter, and a
// new baseline (a commercial operator system drops a read in the same case).
const (
	jumpFactor = 20  // times the machine's own largest window
	jumpFloor  = 500 // vends that always pass: a machine that was not read for a week
)

// A Pair is a count of vends and their value, since initialisation.
type Pair struct {
	Count evadts.Num `json:"c"`
	Value evadts.Num `json:"v"`
}

// Owner says whose counters they are: when it changes they cannot be compared.
type Owner struct {
	Board     string `json:"board,omitempty"` // the control board: DXS id, ID101, CB101 and software
	Installed string `json:"installed,omitempty"`
	Changer   string `json:"changer,omitempty"`
	Cashless  string `json:"cashless,omitempty"`
	Cashless2 string `json:"cashless2,omitempty"`
}

// Book is what must be kept of a machine between two audits. The zero Book is of
// one that was never read. It is written as JSON.
type Book struct {
	Seq     uint64                `json:"seq"` // of the last audit that was taken in
	At      instant.Instant       `json:"at"`  // of that
	Owner   Owner                 `json:"owner"`
	Machine map[string]Pair       `json:"machine,omitempty"` // VA1 sales, VA2 test, VA3 free, CA2, DA2, DB2, TA2
	Sel     map[string]Counters   `json:"sel,omitempty"`
	Reads   evadts.Reads          `json:"reads"`
	Ours    int64                 `json:"ours"`    // reads of our own since EA309 was seen
	Largest int64                 `json:"largest"` // vends of the largest window
	Span    time.Duration         `json:"span"`    // how long that one was, 0 not known
	Reset   map[string]evadts.Num `json:"reset,omitempty"`
}

// Counters are those of one selection.
type Counters struct {
	Pair
	Free    evadts.Num      `json:"f"`
	Test    evadts.Num      `json:"t"`
	Price   evadts.Num      `json:"p"`
	ByPrice bool            `json:"bp,omitempty"` // the value is the count by today's price
	Paid    map[string]Pair `json:"paid,omitempty"`
}

// The names of a Book's machine counters.
const (
	Sales     = "VA1"
	Test      = "VA2"
	Free      = "VA3"
	Cash      = "CA2"
	Cashless  = "DA2"
	Cashless2 = "DB2"
	Token     = "TA2"
)

// Payments are the kinds of payment, by the counter that has them.
var Payments = []struct{ Counter, Device, Kind string }{
	{Cash, "CA", "cash"}, {Cashless, "DA", "cashless"}, {Cashless2, "DB", "cashless2"}, {Token, "TA", "token"},
}

// Load reads a kept Book.
func Load(data []byte) (Book, error) {
	var b Book
	if err := json.Unmarshal(data, &b); err != nil {
		return Book{}, fmt.Errorf("audit: kept counters: %w", err)
	}
	return b, nil
}

// Save writes b to be kept.
func (b *Book) Save() ([]byte, error) { return json.Marshal(b) }

// owner says whose counters an audit has. Software counts: a board that was given
// other software may have begun its counters anew.
func owner(a *evadts.Audit) Owner {
	i := a.Identity
	o := Owner{Board: strings.Join([]string{i.ID, i.Serial, i.Model, i.Build}, "|"), Installed: i.Installed}
	unit := func(u *evadts.Unit) string {
		if u == nil {
			return ""
		}
		return u.Serial + "|" + u.Model + "|" + u.Software
	}
	if i.Board != nil {
		o.Board += "|" + unit(i.Board)
	}
	o.Changer, o.Cashless, o.Cashless2 = unit(i.Changer), unit(i.Cashless), unit(i.Cashless2)
	return o
}

// read takes the counters out of an audit.
func read(a *evadts.Audit) (machine map[string]Pair, sel map[string]Counters) {
	machine = map[string]Pair{}
	put := func(name string, t evadts.Totals) {
		if t.Count.Known() || t.Value.Known() {
			machine[name] = Pair{t.Count, t.Value}
		}
	}
	put(Sales, a.Sales.Totals)
	put(Test, a.Sales.Test)
	put(Free, a.Sales.Free)
	put(Cash, a.Cash.Totals)
	for _, d := range a.Cashless.Devices {
		put(d.Device+"2", d.Totals)
	}
	sel = map[string]Counters{}
	for _, x := range a.Selections {
		if _, twice := sel[x.Selection]; twice || len(sel) >= MaxSelections {
			continue
		}
		c := Counters{Pair: Pair{x.Count, x.Value}, Free: x.Free, Test: x.Test, Price: x.Price}
		c.ByPrice = x.Price.V() > 0 && x.Count.V() > 0 && x.Value.V() == x.Count.V()*x.Price.V()
		for _, p := range x.Payments {
			if c.Paid == nil {
				c.Paid = map[string]Pair{}
			}
			was := c.Paid[p.Device]
			c.Paid[p.Device] = Pair{was.Count.Add(p.Count), was.Value.Add(p.Value)}
		}
		sel[x.Selection] = c
	}
	return machine, sel
}
