package machine

import (
	"fmt"
	"maps"
	"slices"

	"cellwarden/agent/instant"
	"cellwarden/agent/machine/evadts"
)

// slotStock is what is known of one column.
type slotStock struct {
	Name     string          `json:"name,omitempty"`
	Price    evadts.Num      `json:"price"`
	Capacity int64           `json:"cap,omitempty"`   // a filled column holds so many; 0 not known
	Minimum  int64           `json:"min,omitempty"`   // the machine's own, 0 none
	Level    evadts.Num      `json:"level"`           // now, where it is known
	Reported evadts.Num      `json:"rep"`             // as the machine said it last
	Moves    bool            `json:"moves,omitempty"` // the machine's level follows its sales: it counts
	Sold     int64           `json:"sold,omitempty"`  // by the bus, since the last audit
	At       instant.Instant `json:"at"`
}

// maxStock bounds the columns of one machine.
const maxStock = 400

// column takes what an audit says of one column. A level counts only where the
// machine moves it: many boards send what somebody once typed in.
func (m *Machine) column(x evadts.Selection, gone int64) {
	if m.s.Stock == nil {
		m.s.Stock = map[string]slotStock{}
	}
	s, have := m.s.Stock[x.Selection]
	if !have && len(m.s.Stock) >= maxStock || x.Missing {
		return
	}
	s.Name, s.Price, s.At = x.Name, x.Price, m.now
	s.Minimum = x.Minimum.V()
	s.Capacity = max(x.Fill.V(), x.Capacity.V())
	if x.Fill.V() > 0 && x.Capacity.V() > 0 {
		s.Capacity = min(x.Fill.V(), x.Capacity.V())
	}
	if f := m.opt.Fill[x.Selection]; f > 0 {
		s.Capacity = f
	}
	before := gone - s.Sold // what the bus has not told already
	s.Sold = 0
	switch {
	case x.Level.Known() && s.Reported.Known() && x.Level != s.Reported:
		s.Moves, s.Level = true, x.Level
	case x.Level.Known() && s.Moves:
		s.Level = x.Level
	case s.Level.Known() && before != 0: // entered by a person, counted down by us
		s.Level = evadts.Of(max(0, s.Level.V()-before))
	}
	s.Reported = x.Level
	m.s.Stock[x.Selection] = s
	m.judgeColumn(x.Selection, s)
}

// vended counts one down, between two audits.
func (m *Machine) vended(sel string, n int64) {
	s, ok := m.s.Stock[sel]
	if !ok || !s.Level.Known() {
		return
	}
	s.Level, s.Sold = evadts.Of(max(0, s.Level.V()-n)), s.Sold+n
	m.s.Stock[sel] = s
	m.judgeColumn(sel, s)
}

// filled says that columns hold what they can.
func (m *Machine) filled(sels []string) {
	if len(sels) == 0 {
		sels = slices.Sorted(maps.Keys(m.s.Stock))
	}
	for _, sel := range sels {
		s, ok := m.s.Stock[sel]
		if !ok || s.Capacity == 0 {
			continue
		}
		s.Level, s.At, s.Sold = evadts.Of(s.Capacity), m.now, 0
		m.s.Stock[sel] = s
		m.judgeColumn(sel, s)
	}
	m.dirty = true
}

// few is at how many a column is low.
func (m *Machine) few(s slotStock) int64 {
	if s.Minimum > 0 {
		return s.Minimum
	}
	return s.Capacity * int64(m.opt.LowShare) / 100
}

// judgeColumn tells what is sold out and low by count. What the machine reports
// itself stands apart, under its code.
func (m *Machine) judgeColumn(sel string, s slotStock) {
	if !s.Level.Known() {
		return
	}
	n, few := s.Level.V(), m.few(s)
	label := sel
	if s.Name != "" {
		label += " " + s.Name
	}
	reported := func(kind string) bool {
		old := m.find(kind, sel)
		return old != nil && old.Stands && old.How == Reported
	}
	switch {
	case n == 0:
		if !reported(SoldOut) {
			m.stand(notice{Kind: SoldOut, Sel: sel, How: Derived, Source: "agent", Detail: "nothing is left in " + label}, 0)
		}
		m.clearOurs(Low, sel)
	case n <= few:
		m.clearOurs(SoldOut, sel)
		if !reported(Low) {
			m.stand(notice{Kind: Low, Sel: sel, How: Derived, Source: "agent", Detail: fmt.Sprintf("%d left in %s", n, label)}, 0)
		}
	default:
		m.clearOurs(SoldOut, sel)
		m.clearOurs(Low, sel)
	}
}

// clearOurs ends a notice that was computed here.
func (m *Machine) clearOurs(kind, sel string) {
	if n := m.find(kind, sel); n != nil && n.How != Reported {
		m.clear(kind, sel)
	}
}

// tube is one of the changer's.
type tube struct{ value, count int64 }

// tubes judges the change: every tube of a coin that is given back.
func (m *Machine) tubes(list []tube, decimals int, source string) {
	low := ""
	for _, t := range list {
		if t.value > 0 && t.count < int64(m.opt.TubesLow) {
			if low != "" {
				low += ", "
			}
			low += fmt.Sprintf("%d of %s", t.count, amount(t.value, decimals))
		}
	}
	if low != "" {
		m.stand(notice{Kind: TubesLow, How: Derived, Source: source, Detail: "few coins to give back: " + low}, 0)
		return
	}
	if n := m.find(TubesLow, ""); n != nil && n.How == Derived {
		m.clear(TubesLow, "")
	}
}

// amount writes minor units.
func amount(v int64, decimals int) string {
	if decimals <= 0 {
		return fmt.Sprint(v)
	}
	s := fmt.Sprintf("%0*d", decimals+1, v)
	return s[:len(s)-decimals] + "." + s[len(s)-decimals:]
}
