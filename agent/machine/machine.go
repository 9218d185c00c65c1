package machine

import (
	"encoding/json"
	"fmt"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/machine/audit"
	"cellwarden/agent/machine/evadts"
	"cellwarden/agent/machine/mdb"
	"cellwarden/protocol"
)

// Options steer a Machine.
type Options struct {
	Offset      time.Duration     // the machine's time of day, from UTC
	SilentAfter time.Duration     // the least without a sale before it is called a silent seller; 0 is 4 h
	TubesLow    int               // coins in a tube that are few; 0 is 8
	LowShare    int               // per cent of its filling at which a column is low, where the machine has no minimum; 0 is 20
	Fill        map[string]int64  // what a filled column holds, where the machine does not say
	Items       map[string]string // the audit's selection of an item of the bus
	Online      func() bool       // nil: always
	Reader      bool              // an audit port is configured
	ReadAt      []time.Duration   // times of day at which it is read, from the machine's midnight
}

// Event is something that happened.
type Event interface{ when() instant.Instant }

// At stamps an event.
type At struct{ Instant instant.Instant }

func (a At) when() instant.Instant { return a.Instant }

type (
	// AuditRead is a whole audit. Seq grows with each that was kept.
	AuditRead struct {
		At
		Seq    uint64
		Source string // dex, ddcmp, file
		Text   []byte
	}
	// ReadFailed is a poll that gave none. Reason is of dex or ddcmp.
	ReadFailed struct {
		At
		Source, Reason string
	}
	// Heard is one thing from the payment bus.
	Heard struct {
		At
		Event mdb.Event
	}
	// Handed is a sale that the machine's own software reports.
	Handed struct {
		At
		Sale protocol.Sale
	}
	// Filled says that columns were filled; none: all.
	Filled struct {
		At
		Selections []string
	}
	// Tick says that time has passed.
	Tick struct{ At }
)

// Effect is something to do: exactly one field is set.
type Effect struct {
	Send        *Message
	Persist     []byte // the state, to be kept behind what was sent before it
	Poll        bool   // read the audit port; the answer is AuditRead or ReadFailed
	AboutToSell bool   // somebody stands there: the path may be looked at
	Log         string // one line
	Attrs       []any
}

// Message is a body for the outbox.
type Message struct {
	Type   protocol.Type
	Body   any
	Urgent bool
}

// Machine is the whole state. One owner; not safe for concurrent use.
type Machine struct {
	opt   Options
	s     state
	now   instant.Instant
	dirty bool            // the state must be kept now
	stale bool            // it may wait for the next hour: what is lost is habit, not sales
	kept  instant.Instant // when it was last kept
	out   []Effect
	ticks instant.Instant // the last Tick
	text  []byte          // of the last audit that was sent: the next one's dictionary
	busUp bool            // the bus is heard now

	started instant.Instant // the first event

	polling bool // the audit port is being read
	pollDue bool // it is to be
}

// state is what is kept.
type state struct {
	V        int                  `json:"v"`
	Seq      uint64               `json:"seq"` // of the last audit taken in
	Book     audit.Book           `json:"book"`
	Profile  Profile              `json:"profile"`
	Notices  []notice             `json:"notices,omitempty"`
	Stock    map[string]slotStock `json:"stock,omitempty"`
	Day      Day                  `json:"day"`
	Bus      busCount             `json:"bus"`
	LastSale instant.Instant      `json:"last_sale"`
	LastRead instant.Instant      `json:"last_read"`
	Failures int                  `json:"failures,omitempty"` // polls in a row
	LastPoll instant.Instant      `json:"last_poll"`
	Served   int64                `json:"served,omitempty"`  // the last time of day that was, Unix seconds of the machine's own clock
	Retries  int                  `json:"retries,omitempty"` // after a poll that gave nothing
	Last     lastAudit            `json:"last"`
	Single   bool                 `json:"single,omitempty"` // single sales are seen: by the bus or the machine's software
	Unit     *unit                `json:"unit,omitempty"`   // of money, as the bus says it
	Codes    []string             `json:"codes,omitempty"`  // event codes of the last audit
}

// lastAudit is what is shown of it.
type lastAudit struct {
	Identity evadts.Identity `json:"identity"`
	G85      evadts.G85      `json:"g85,omitempty"`
	Source   string          `json:"source,omitempty"`
	Window   audit.Delta     `json:"window"`
	Total    audit.Pair      `json:"total"`
	State    string          `json:"state,omitempty"`
	Good     bool            `json:"good,omitempty"` // its selections added up
}

// Day is what one day sold.
type Day struct {
	Date  string `json:"date"` // the machine's own day
	Count int64  `json:"count"`
	Value int64  `json:"value"`
	From  string `json:"from,omitempty"` // mdb, software, audit
}

// busCount is what the bus saw since the last audit.
type busCount struct {
	Since  instant.Instant  `json:"since"`
	Vends  map[string]int64 `json:"vends,omitempty"`  // by kind of payment
	Broken bool             `json:"broken,omitempty"` // it was not heard all the time
	Cash   bool             `json:"cash,omitempty"`   // this machine reports cash sales on the bus
}

const stateVersion = 1

// New starts a Machine from what was kept, nil at the first start. A state that
// cannot be read is an error: the caller keeps it aside and passes nil.
func New(opt Options, kept []byte) (*Machine, error) {
	if opt.SilentAfter == 0 {
		opt.SilentAfter = 4 * time.Hour
	}
	if opt.TubesLow == 0 {
		opt.TubesLow = 8
	}
	if opt.LowShare == 0 {
		opt.LowShare = 20
	}
	m := &Machine{opt: opt, s: state{V: stateVersion}}
	if len(kept) > 0 {
		if err := json.Unmarshal(kept, &m.s); err != nil {
			return nil, fmt.Errorf("machine: kept state: %w", err)
		}
		if m.s.V != stateVersion {
			return nil, fmt.Errorf("machine: kept state has version %d, this agent reads %d", m.s.V, stateVersion)
		}
		m.s.Bus.Broken = true // nobody listened while we were away
	}
	return m, nil
}

// Seq is the number of the last audit that was taken in: kept ones above it are still
// to be handed over.
func (m *Machine) Seq() uint64 { return m.s.Seq }

// Remember gives the text of the last audit that was sent: the next one is packed on it.
func (m *Machine) Remember(text []byte) { m.text = text }

// keepEvery bounds the flash that profile and habit cost; sales and audits are kept
// at once by the outbox, and the state with them.
const keepEvery = time.Hour

// Step takes one event and says what to do. Events come in order.
func (m *Machine) Step(ev Event) []Effect {
	m.out, m.now = nil, ev.when()
	if m.started.IsZero() {
		m.started = m.now
	}
	switch e := ev.(type) {
	case AuditRead:
		m.audit(e)
	case ReadFailed:
		m.failed(e)
	case Heard:
		m.heard(e.Event)
	case Handed:
		m.handed(e.Sale)
	case Filled:
		m.filled(e.Selections)
	case ReadNow:
		if m.MayRead(m.now) == nil {
			m.poll()
		}
	case Tick:
		m.tick()
		m.due()
	}
	m.turnDay()
	if m.dirty || m.stale && (m.kept.IsZero() || m.now.Sub(m.kept) >= keepEvery || m.now.Boot != m.kept.Boot) {
		m.dirty, m.stale, m.kept = false, false, m.now
		data, err := json.Marshal(m.s)
		if err != nil {
			m.log("the machine's state cannot be encoded", "error", err.Error())
		} else {
			m.out = append(m.out, Effect{Persist: data})
		}
	}
	if m.pollDue {
		m.pollDue = false
		m.out = append(m.out, Effect{Poll: true}) // behind what was kept
	}
	return m.out
}

func (m *Machine) send(t protocol.Type, urgent bool, body any) {
	m.out = append(m.out, Effect{Send: &Message{t, body, urgent}})
}

func (m *Machine) log(line string, attrs ...any) {
	m.out = append(m.out, Effect{Log: line, Attrs: attrs})
}

// local is the machine's own time of day.
func (m *Machine) local() time.Time { return m.now.Wall.UTC().Add(m.opt.Offset) }

func (m *Machine) turnDay() {
	if !m.now.Trusted {
		return
	}
	if d := m.local().Format("2006-01-02"); d != m.s.Day.Date {
		m.s.Day = Day{Date: d}
	}
}

// tick judges what only time tells.
func (m *Machine) tick() {
	if !m.ticks.IsZero() {
		d := m.now.Sub(m.ticks)
		watched := m.busUp || m.s.Single && m.s.Day.From == "software"
		if watched && m.online() {
			m.s.Profile.watch(m.now, d, m.opt.Offset)
		}
		m.stale = m.stale || watched
	}
	m.ticks = m.now
	for i := range m.s.Notices {
		n := &m.s.Notices[i]
		hold := time.Duration(0)
		if n.Source == "mdb" {
			hold = holdBus
			if n.Kind == MachineSilent {
				hold = busSilent
			}
		}
		was := n.Told
		if m.tellDue(n, hold); n.Told != was {
			m.dirty = true
		}
	}
	m.silentSeller()
}

func (m *Machine) online() bool { return m.opt.Online == nil || m.opt.Online() }

// silentChance is how unlikely it must be that a machine which is well sold nothing.
const silentChance = 0.001

// silentSeller: no sale for long, although the machine is online and its own habit
// would have had several.
func (m *Machine) silentSeller() {
	if m.s.LastSale.IsZero() || !m.s.Profile.Known() || !m.online() {
		return
	}
	since := m.now.Wall.Sub(m.s.LastSale.Wall)
	if !m.now.Trusted || !m.s.LastSale.Trusted || since < m.opt.SilentAfter {
		return
	}
	expected, _ := m.s.Profile.Expected(m.s.LastSale, m.now, m.opt.Offset)
	if Unlikely(expected) > silentChance {
		return
	}
	m.stand(notice{Kind: SilentSeller, How: Inferred, Source: "agent",
		Detail: fmt.Sprintf("no sale for %.0f h; by its own habit it would have sold %.0f", since.Hours(), expected)}, 0)
}

// soldSome notes that something was sold: the machine is no silent seller.
func (m *Machine) soldSome() {
	m.s.LastSale = m.now
	m.clear(SilentSeller, "")
	m.stale = true
}
