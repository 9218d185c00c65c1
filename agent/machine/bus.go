package machine

import (
	"fmt"
	"strconv"
	"time"

	"cellwarden/agent/machine/mdb"
	"cellwarden/protocol"
)

// busSilent is how long the bus must be silent before a person hears of it: a board
// that starts anew is back in a minute (a commercial system alarms after 6 minutes).
const busSilent = 6 * time.Minute

// mdbFaults gives the notice of a fault of the bus.
var mdbFaults = map[string]string{
	"coin_sensor": CoinFault, "coin_unplugged": CoinFault, "tube_jam": CoinFault, "coin_rom": CoinFault, "coin_jam": CoinFault,
	"coin_removal": CoinFault, "cassette_removed": CoinFault,
	"bill_motor": BillFault, "bill_sensor": BillFault, "bill_rom": BillFault, "bill_jam": BillFault, "bill_removal": BillFault,
	"cash_box_out": CashBoxOut, "cashless_fault": CashlessFault,
}

// heard takes one thing from the payment bus.
func (m *Machine) heard(e mdb.Event) {
	if e.Kind != mdb.Silent && !m.busUp {
		m.busUp = true
		m.clear(MachineSilent, "bus")
		for _, n := range m.s.Notices { // what still stands the bus says again
			if n.Source == "mdb" && n.How == Reported && n.Stands {
				m.clear(n.Kind, n.Sel)
			}
		}
		if m.s.Bus.Since.IsZero() {
			m.s.Bus.Since = m.now
		}
	}
	switch e.Kind {
	case mdb.Wanted:
		m.out = append(m.out, Effect{AboutToSell: true})
	case mdb.Sale:
		m.sale(e)
	case mdb.Silent:
		m.busUp, m.s.Bus.Broken = false, true
		m.stand(notice{Kind: MachineSilent, Sel: "bus", How: Derived, Source: "mdb",
			Detail: "nothing is heard on the payment bus, though the tap has power"}, busSilent)
	case mdb.Fault:
		if kind := mdbFaults[e.Code]; kind != "" {
			m.stand(notice{Kind: kind, How: Reported, Source: "mdb", Code: e.Code, Detail: "the payment bus reports " + e.Code}, holdBus)
		}
	case mdb.FaultOver:
		if kind := mdbFaults[e.Code]; kind != "" {
			m.clear(kind, "")
		}
	case mdb.Failed:
		sel := m.selection(e.Item)
		m.once(notice{Kind: ColumnJam, Sel: sel, How: Reported, Source: "mdb", Code: "vend_failed", Detail: "a vend was paid and not delivered"})
	case mdb.Stacker:
		if e.Full {
			m.stand(notice{Kind: CashBoxFull, Sel: "bill", How: Reported, Source: "mdb", Detail: fmt.Sprintf("the stacker is full: %d bills",
				e.Count)}, 0)
		} else {
			m.clear(CashBoxFull, "bill")
		}
	case mdb.Tubes:
		var tubes []tube
		for _, t := range e.Tubes {
			tubes = append(tubes, tube{t.Value, int64(t.Count)})
		}
		m.tubes(tubes, e.Decimals, "mdb")
	}
}

// selection names the bus's item as the audit does, where a mapping says so: the
// numbers of the two need not be the same, and equal ones mean nothing.
func (m *Machine) selection(item int) string {
	if item < 0 {
		return ""
	}
	return strconv.Itoa(item)
}

// sale publishes one vend of the bus.
func (m *Machine) sale(e mdb.Event) {
	s := protocol.Sale{Source: "mdb", Kind: e.Pay, Selection: m.selection(e.Item), Currency: e.Currency, How: Reported}
	if e.Inferred {
		s.How = Inferred
	}
	if e.Price >= 0 {
		s.Price, s.Decimals = ptr(e.Price), ptr(e.Decimals)
		m.s.Unit = &unit{e.Decimals, e.Currency}
	} else if e.Raw >= 0 {
		s.Raw = ptr(e.Raw)
	}
	m.send(protocol.TypeSale, false, s)
	if m.s.Bus.Vends == nil {
		m.s.Bus.Vends = map[string]int64{}
	}
	m.s.Bus.Vends[e.Pay]++
	m.s.Bus.Cash = m.s.Bus.Cash || e.Pay == "cash"
	m.count(s, "mdb")
}

// handed takes a sale of the machine's own software. It is on its way already as an
// event: here it only counts.
func (m *Machine) handed(s protocol.Sale) { m.count(s, "software") }

// count notes one sale in the day and in the habit. Where two sources see single
// sales, the first of the day counts.
func (m *Machine) count(s protocol.Sale, from string) {
	m.s.Single = true
	m.turnDay()
	if d := &m.s.Day; d.From == "" || d.From == from || d.From == "audit" {
		if d.From != from {
			d.Count, d.Value, d.From = 0, 0, from
		}
		value := int64(0)
		if s.Price != nil {
			value = *s.Price
		}
		if s.Kind != "test" && s.Kind != "free" {
			d.Count++
			d.Value += value
			m.s.Profile.sold(m.now, 1, value, m.opt.Offset)
		}
		if sel := m.opt.Items[s.Selection]; sel != "" {
			m.vended(sel, 1)
		}
	}
	m.soldSome()
}

func ptr[T any](v T) *T { return &v }
