package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cellwarden/agent/machine/audit"
	"cellwarden/agent/machine/evadts"
	"cellwarden/protocol"
)

// Limits on what one audit makes others read.
const (
	maxHappened = 10 // events that are over, told from one audit
	maxCodes    = 200
	maxSoldBy   = 60 // selections in one message; the raw audit has them all
	// absentAudits: an event that is missing in so many audits, a day apart at least,
	// is taken to be over. One audit without it is no proof of repair.
	absentAudits = 2
)

// audit takes a whole audit in.
func (m *Machine) audit(e AuditRead) {
	a := evadts.Parse(e.Text)
	if a.Segments == 0 {
		m.failed(ReadFailed{e.At, e.Source, "no_audit"})
		m.s.Seq = max(m.s.Seq, e.Seq)
		return
	}
	first := m.s.Book.Seq == 0
	r := m.s.Book.Take(e.Seq, m.now, a)
	m.s.Seq = max(m.s.Seq, e.Seq)
	m.dirty = true
	if r.State == audit.Repeated {
		m.polled(true)
		return
	}
	m.s.Failures, m.s.LastRead = 0, m.now
	m.polled(true)
	m.clear(MachineSilent, "port")
	ref := protocol.AuditRef(e.Text)
	m.send(protocol.TypeAudit, false, m.report(e, a, r, ref))
	m.raw(e.Text)
	m.s.Last = lastAudit{a.Identity, a.G85, e.Source, r.Sales, r.Total, r.State, r.Reconciled}
	switch {
	case r.State == audit.Baseline && !first:
		m.s.Stock = nil
		m.stand(notice{Kind: BoardChanged, How: Derived, Source: e.Source, Code: r.Why, Detail: boardWords[r.Why]}, 0)
	case r.State == audit.Window:
		m.clear(BoardChanged, "")
		m.compare(r)
		m.habit(r)
	}
	m.s.Bus = busCount{Since: m.now, Cash: m.s.Bus.Cash, Broken: !m.busUp}
	m.quality(e, a, r)
	gone := map[string]int64{}
	for _, s := range r.Selections {
		gone[s.Selection] = s.Sold.Count.V() + s.Free.V() + s.Test.V()
	}
	for _, x := range a.Selections {
		m.column(x, gone[x.Selection])
	}
	var tubes []tube
	for _, t := range a.Cash.TubeList {
		if t.Count.Known() {
			tubes = append(tubes, tube{t.Value.V(), t.Count.V()})
		}
	}
	if len(tubes) > 0 && !m.busUp { // the bus is nearer to the coins
		m.tubes(tubes, a.Identity.Decimals, e.Source)
	}
	m.events(e.Source, a, first)
}

// boardWords say why counting began anew.
var boardWords = map[string]string{
	audit.BoardChanged:  "another control board, or other software on it: counting begins anew",
	audit.Reinitialised: "the machine was initialised: counting begins anew",
	audit.ReadsBack:     "the machine's book of reads began anew, and so does counting",
	audit.CounterBack:   "a counter fell: counting begins anew",
	audit.TooLarge:      "a counter rose beyond all habit: counting begins anew",
}

func num(n evadts.Num) *int64 {
	if !n.Known() {
		return nil
	}
	return ptr(n.V())
}

func sold(d audit.Delta) protocol.Sold {
	return protocol.Sold{Count: num(d.Count), Value: num(d.Value)}
}

// report is the message of an audit.
func (m *Machine) report(e AuditRead, a *evadts.Audit, r audit.Report, ref string) protocol.MachineAudit {
	out := protocol.MachineAudit{State: r.State, Why: r.Why, Source: e.Source, Sales: sold(r.Sales), Free: num(r.Free), Test: num(r.Test),
		Total: sold(r.Total), Decimals: a.Identity.Decimals, Currency: a.Identity.Currency, G85: string(a.G85), Reconciled: r.Reconciled,
		Notes: r.Notes, Ref: ref}
	if a.Cash.InTubes.Known() {
		out.Tubes = num(a.Cash.InTubes)
	}
	if r.State == audit.Window {
		out.From = ptr(wire(r.From))
	}
	for kind, d := range r.Paid {
		if out.Paid == nil {
			out.Paid = map[string]protocol.Sold{}
		}
		out.Paid[kind] = sold(d)
	}
	for _, s := range r.Selections[:min(len(r.Selections), maxSoldBy)] {
		by := protocol.SoldBy{Selection: s.Selection, Name: s.Name, Price: num(s.Price), Level: num(s.Level), Sold: sold(s.Sold)}
		if s.Free.V() > 0 {
			by.Free = num(s.Free)
		}
		if s.Test.V() > 0 {
			by.Test = num(s.Test)
		}
		for kind, d := range s.Paid {
			if by.Paid == nil {
				by.Paid = map[string]int64{}
			}
			by.Paid[kind] = d.Count.V()
		}
		out.Selections = append(out.Selections, by)
	}
	if len(r.Selections) > maxSoldBy {
		out.Notes = append(slices.Clone(out.Notes), "selections_cut")
	}
	return out
}

// raw sends the audit itself, on the one before.
func (m *Machine) raw(text []byte) {
	parts, err := protocol.PackAudit(text, m.text)
	if err != nil {
		m.log("the audit cannot be packed", "error", err.Error())
		return
	}
	for _, p := range parts {
		m.send(protocol.TypeAuditRaw, false, p)
	}
	m.text = slices.Clone(text)
}

// compare holds the audit's window against what the bus saw in it. They are never
// added to one another.
func (m *Machine) compare(r audit.Report) {
	b := m.s.Bus
	if b.Broken || b.Since.IsZero() || len(b.Vends) == 0 && !m.busUp {
		return
	}
	said := ""
	for _, kind := range []string{"cashless", "cash"} {
		d, ok := r.Paid[kind]
		if kind == "cash" && !b.Cash || !ok && b.Vends[kind] == 0 || ok && !d.Count.Known() {
			continue
		}
		if n := d.Count.V(); n != b.Vends[kind] {
			if said != "" {
				said += "; "
			}
			said += fmt.Sprintf("%s: %d by the audit, %d on the bus", kind, n, b.Vends[kind])
		}
	}
	if said == "" {
		m.clear(CountsDiffer, "")
		return
	}
	m.stand(notice{Kind: CountsDiffer, How: Derived, Source: "agent", Detail: said}, 0)
}

// habit notes a window's sales where nothing sees single ones.
func (m *Machine) habit(r audit.Report) {
	n, v := r.Sales.Count.V(), r.Sales.Value.V()
	if !m.s.Single {
		m.s.Profile.spread(r.From, r.To, n, v, m.opt.Offset)
		if a, ok := hourOf(r.From); ok {
			if z, ok := hourOf(r.To); ok && z >= a && z-a <= 4*hoursOfWeek {
				for h := a; h <= z; h++ {
					m.s.Profile.Hours[slot(h, m.opt.Offset)] += float32(r.To.Wall.Sub(r.From.Wall).Hours()) / float32(z-a+1)
				}
			}
		}
		m.turnDay()
		if d := &m.s.Day; m.s.Day.From != "mdb" && m.s.Day.From != "software" {
			d.Count, d.Value, d.From = d.Count+n, d.Value+v, "audit"
		}
	}
	if n > 0 && !m.s.Single {
		m.soldSome()
	}
}

// quality tells where an audit no longer adds up as it used to.
func (m *Machine) quality(e AuditRead, a *evadts.Audit, r audit.Report) {
	bad := ""
	switch {
	case a.G85 == evadts.G85Mismatch:
		bad = "the audit's checksum does not fit its text"
	case r.State == audit.Window && slices.Contains(r.Notes, audit.Unreconciled) && m.s.Last.Good:
		bad = "the selections no longer add up to the machine's own count"
	}
	if bad != "" {
		m.stand(notice{Kind: Unreconciled, How: Derived, Source: e.Source, Detail: bad}, 0)
	} else if r.State == audit.Window {
		m.clear(Unreconciled, "")
	}
}

// failed counts polls that gave nothing. The second in a row is told: one may fall
// into a moment in which the machine starts.
func (m *Machine) failed(e ReadFailed) {
	m.polled(false)
	m.s.Failures++
	m.dirty = true
	m.log("the machine was not read", "source", e.Source, "reason", e.Reason, "in_a_row", m.s.Failures)
	if m.s.Failures >= 2 {
		m.stand(notice{Kind: MachineSilent, Sel: "port", How: Derived, Source: e.Source, Code: eilFor(e.Reason),
			Detail: "the machine's audit port gave nothing, twice in a row: " + e.Reason}, 0)
	}
}

// eilFor is the standard's own code for it: EIL, the board does not answer; EIM, the
// port is not connected.
func eilFor(reason string) string {
	if reason == "disappeared" || reason == "no_port" {
		return "EIM"
	}
	return "EIL"
}

// events takes the machine's own: what stands, what ended, what happened and is over.
func (m *Machine) events(source string, a *evadts.Audit, first bool) {
	told, active, codes := 0, map[[2]string]bool{}, []string{}
	ended := map[string]bool{}
	for _, e := range a.Events {
		c, base, of := evadts.FindCode(e.Code)
		key := e.Segment + e.Code + e.Date + e.Time
		if len(codes) < maxCodes {
			codes = append(codes, key)
		}
		if c.Kind == "" {
			continue
		}
		n := notice{Kind: c.Kind, Sel: of, How: Reported, Source: source, Code: e.Code, Detail: c.EN}
		switch {
		case c.Ends:
			ended[c.Kind] = true
		case e.Active:
			active[[2]string{c.Kind, of}] = true
			m.stand(n, 0)
		case e.Segment == "EA1" && !first && base != "" && !slices.Contains(m.s.Codes, key) && told < maxHappened && !hasActive(a, e.Code):
			if old := m.find(n.Kind, n.Sel); old != nil && old.Stands {
				continue // it is ended below
			}
			told++
			m.once(n)
		}
	}
	m.s.Codes = codes
	for i := range m.s.Notices {
		n := &m.s.Notices[i]
		if !n.Stands || n.How != Reported || n.Source == "mdb" || active[[2]string{n.Kind, n.Sel}] {
			continue
		}
		over := ended[n.Kind] && n.Kind == DoorOpen
		for _, e := range a.Events { // the machine still knows it, and says that it does not stand
			over = over || e.Segment == "EA2" && !e.Active && strings.EqualFold(e.Code, n.Code)
		}
		n.Absent++
		if over || n.Absent >= absentAudits && m.now.Sub(n.Since) > 24*time.Hour {
			m.clear(n.Kind, n.Sel)
		}
	}
}

// hasActive reports whether the same audit says that the code stands.
func hasActive(a *evadts.Audit, code string) bool {
	for _, e := range a.Events {
		if e.Active && strings.EqualFold(e.Code, code) {
			return true
		}
	}
	return false
}
