package machine

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"cellwarden/agent/instant"
)

// View is what people see of the machine. It shares nothing that changes.
type View struct {
	Name      string // model and serial, as the machine says them
	Read      instant.Instant
	Source    string
	G85       string
	State     string // of the last audit: baseline, window
	Failures  int    // polls in a row that gave nothing
	Window    [2]int64
	Total     [2]int64
	Today     Day
	Usual     float64 // vends that a day like this has had by now, below 0 not known
	Decimals  int
	Currency  string
	LastSale  instant.Instant
	Bus       bool // the payment bus is heard
	Notices   []NoticeView
	Stock     []StockView
	PerHour   float64 // vends that this hour usually has
	LostValue int64   // minor units that an hour away costs, 0 not known
	Quiet     bool    // hardly anything is sold at this hour
}

// NoticeView is one notice that stands.
type NoticeView struct {
	Kind, Selection, Code, How, Source, Detail string
	Since                                      instant.Instant
}

// StockView is one column. Fill is how many to bring; Level is -1 where it is not
// known.
type StockView struct {
	Selection, Name       string
	Level, Capacity, Fill int64
	Low                   bool
}

// View reads the state at a moment.
func (m *Machine) View(at instant.Instant) View {
	i := m.s.Last.Identity
	v := View{Read: m.s.LastRead, Source: m.s.Last.Source, G85: string(m.s.Last.G85), State: m.s.Last.State, Failures: m.s.Failures,
		Window: [2]int64{m.s.Last.Window.Count.V(), m.s.Last.Window.Value.V()}, Total: [2]int64{m.s.Last.Total.Count.V(),
			m.s.Last.Total.Value.V()},
		Today: m.s.Day, Usual: -1, LastSale: m.s.LastSale, Bus: m.busUp}
	v.Decimals, v.Currency = m.Money()
	v.Name = i.Model
	if i.Serial != "" {
		v.Name += " " + i.Serial
	} else if i.ID != "" {
		v.Name += " " + i.ID
	}
	if m.s.Profile.Known() && at.Trusted {
		local := at.Wall.UTC().Add(m.opt.Offset)
		midnight := at
		midnight.Wall = at.Wall.Add(-local.Sub(local.Truncate(24 * 3600e9)))
		v.Usual, _ = m.s.Profile.Expected(midnight, at, m.opt.Offset)
		v.PerHour, _ = m.s.Profile.Rate(at, m.opt.Offset)
	}
	v.LostValue, v.Quiet = m.LostPerHour(at), m.Quiet(at)
	for _, kind := range Kinds {
		for _, n := range m.s.Notices {
			if n.Kind == kind && n.Stands && n.Told {
				v.Notices = append(v.Notices, NoticeView{n.Kind, n.Sel, n.Code, n.How, n.Source, n.Detail, n.Since})
			}
		}
	}
	for _, sel := range slices.SortedFunc(maps.Keys(m.s.Stock), bySelection) {
		s := m.s.Stock[sel]
		x := StockView{Selection: sel, Name: s.Name, Level: -1, Capacity: s.Capacity}
		if s.Level.Known() {
			x.Level = s.Level.V()
			x.Fill = max(0, s.Capacity-x.Level)
			x.Low = x.Level <= m.few(s)
		}
		v.Stock = append(v.Stock, x)
	}
	return v
}

// bySelection sorts 2 before 11, and numbers before names.
func bySelection(a, b string) int {
	x, errA := strconv.Atoi(a)
	y, errB := strconv.Atoi(b)
	switch {
	case errA == nil && errB == nil && x != y:
		return x - y
	case errA == nil && errB != nil:
		return -1
	case errA != nil && errB == nil:
		return 1
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// PickList is what to bring: every column whose level is known and not full.
func (v View) PickList() (list []StockView) {
	for _, s := range v.Stock {
		if s.Fill > 0 {
			list = append(list, s)
		}
	}
	return list
}

// LostPerHour is what an hour without service costs at a moment, in minor units, by
// the machine's own habit. 0: not known.
func (m *Machine) LostPerHour(at instant.Instant) int64 {
	if !m.s.Profile.Known() {
		return 0
	}
	_, value := m.s.Profile.Rate(at, m.opt.Offset)
	return int64(math.Round(value))
}

// Quiet reports whether the machine hardly sells at a moment.
func (m *Machine) Quiet(at instant.Instant) bool { return m.s.Profile.Quiet(at, m.opt.Offset) }

// unit is what money is counted in.
type unit struct {
	Decimals int    `json:"d"`
	Currency string `json:"c,omitempty"`
}

// Money is what amounts are counted in: decimals of the minor unit, and the currency as
// far as the machine says it. The audit tells, else the bus; most currencies have two.
func (m *Machine) Money() (decimals int, currency string) {
	switch {
	case !m.s.LastRead.IsZero():
		return m.s.Last.Identity.Decimals, m.s.Last.Identity.Currency
	case m.s.Unit != nil:
		return m.s.Unit.Decimals, m.s.Unit.Currency
	}
	return 2, ""
}

// Busy reports whether the machine usually sells well at a moment. between, in minutes
// of its day, is when what wants to know may happen: where every hour of it is as good,
// waiting helps nobody, and none is called busy.
func (m *Machine) Busy(at instant.Instant, from, to int) bool {
	if !m.s.Profile.Busy(at, m.opt.Offset) {
		return false
	}
	const day = 24 * 60
	for i, span := 0, (to-from-1+day)%day+1; i < span; i += 60 {
		other := at
		local := at.Wall.UTC().Add(m.opt.Offset)
		other.Wall = at.Wall.Add(time.Duration(from+i-local.Hour()*60-local.Minute()) * time.Minute)
		if !m.s.Profile.Busy(other, m.opt.Offset) {
			return true
		}
	}
	return false
}
