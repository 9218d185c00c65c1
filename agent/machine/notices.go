package machine

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// The kinds of Notice. They cross the wire; agent/text has their words.
const (
	SilentSeller  = "silent_seller"
	SoldOut       = "sold_out"
	Low           = "low"
	ColumnJam     = "column_jam"
	TubesLow      = "tubes_low"
	CoinFault     = "coin_fault"
	BillFault     = "bill_fault"
	CashlessFault = "cashless_fault"
	CashBoxFull   = "cash_box_full"
	CashBoxOut    = "cash_box_out"
	DoorOpen      = "door_open"
	Temperature   = "temperature"
	BoardChanged  = "board_changed"
	MachineSilent = "machine_silent"
	Unreconciled  = "audit_unreconciled"
	CountsDiffer  = "counts_differ"
)

// Kinds are all of them, in the order in which people want them.
var Kinds = []string{MachineSilent, SilentSeller, ColumnJam, CoinFault, BillFault, CashlessFault, CashBoxOut, CashBoxFull, SoldOut, Low,
	TubesLow, Temperature, DoorOpen, BoardChanged, CountsDiffer, Unreconciled}

// How a notice is known.
const (
	Reported = "reported"
	Derived  = "derived"
	Inferred = "inferred"
)

// Limits of notices.
const (
	maxStanding = 64             // at a time; a machine with more has one fault, not sixty
	maxTold     = 6              // begins of one notice in a day; after that it is left standing
	holdBus     = time.Minute    // a fault of the bus must stand so long: a jam often clears itself
	forgetDay   = 24 * time.Hour // after which begins no longer count
)

// notice is one that stands, or did.
type notice struct {
	Kind   string          `json:"kind"`
	Sel    string          `json:"sel,omitempty"`
	Code   string          `json:"code,omitempty"`
	How    string          `json:"how"`
	Source string          `json:"src"`
	Detail string          `json:"detail"`
	Since  instant.Instant `json:"since"`
	ID     string          `json:"id"`
	Stands bool            `json:"stands"`
	Told   bool            `json:"told"`
	Begins int             `json:"begins"` // in the day of First
	First  instant.Instant `json:"first"`
	Absent int             `json:"absent,omitempty"` // audits in a row that no longer have it
}

// find gives the notice of a kind and selection, nil where there never was one.
func (m *Machine) find(kind, sel string) *notice {
	for i := range m.s.Notices {
		if n := &m.s.Notices[i]; n.Kind == kind && n.Sel == sel {
			return n
		}
	}
	return nil
}

// stand says that something is so. It is told once, when it has stood for hold.
func (m *Machine) stand(n notice, hold time.Duration) {
	old := m.find(n.Kind, n.Sel)
	if old == nil {
		m.s.Notices = slices.DeleteFunc(m.s.Notices, func(n notice) bool { return !n.Stands && m.now.Sub(n.First) > forgetDay })
		if len(m.s.Notices) >= maxStanding {
			return
		}
		m.s.Notices = append(m.s.Notices, notice{Kind: n.Kind, Sel: n.Sel, First: m.now})
		old = &m.s.Notices[len(m.s.Notices)-1]
	}
	old.Absent = 0
	if !old.Stands {
		if m.now.Sub(old.First) > forgetDay {
			old.First, old.Begins = m.now, 0
		}
		n.First, n.Begins = old.First, old.Begins+1
		n.Since, n.Stands, n.ID = m.now, true, m.incident(n)
		*old = n
		m.dirty = true
	}
	m.tellDue(old, hold)
}

// tellDue tells a notice that has stood long enough, unless it comes and goes.
func (m *Machine) tellDue(n *notice, hold time.Duration) {
	if !n.Stands || n.Told || n.Begins > maxTold || m.now.Sub(n.Since) < hold {
		return
	}
	n.Told = true
	m.tell(*n)
}

// clear says that something is over.
func (m *Machine) clear(kind, sel string) {
	n := m.find(kind, sel)
	if n == nil || !n.Stands {
		return
	}
	n.Stands = false
	m.dirty = true
	if n.Told {
		m.tell(*n)
	}
	n.Told = false
}

// once tells something that happened and is over.
func (m *Machine) once(n notice) {
	n.Since, n.ID = m.now, m.incident(n)
	m.tell(n)
}

// incident pairs begin and end.
func (m *Machine) incident(n notice) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%s/%s/%s/%d", n.Kind, n.Sel, n.Code, m.now.Boot, m.now.Mono)
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func (m *Machine) tell(n notice) {
	m.send(protocol.TypeNotice, true, protocol.Notice{Incident: n.ID, Kind: n.Kind, Stands: n.Stands, How: n.How, Selection: n.Sel,
		Code: n.Code, Source: n.Source, Detail: n.Detail, Since: wire(n.Since)})
}

// wire is an instant as the protocol has it.
func wire(t instant.Instant) protocol.Time {
	boot := t.Boot
	if len(boot) > 8 {
		boot = boot[:8]
	}
	return protocol.Time{Wall: t.Wall.UTC().Format("2006-01-02T15:04:05.000Z"), Trusted: t.Trusted, Boot: boot, MonoMS: t.Mono.Milliseconds()}
}
