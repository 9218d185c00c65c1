package fleetsim

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"cellwarden/agent/core"
	"cellwarden/modem/profile"
	"cellwarden/protocol"
	"cellwarden/protocol/backend/fleet"
)

const never = time.Duration(math.MaxInt64)

// Config of a fleet.
type Config struct {
	Machines  int
	Seed      uint64
	From      time.Time
	For       time.Duration
	Poll      time.Duration // of the agents
	Districts int
	// Rate multiplies how often things happen: 1 is a quiet month.
	Rate float64
	// Sink gets what reaches the backend; nil: only the judgement sees it.
	Sink func(Arrival)
	// Told gets a line for whatever a person would want to see; nil: none.
	Told func(at time.Time, line string)
}

// An Arrival is one thing that a backend receives.
type Arrival struct {
	At       time.Time
	Device   string
	Site     string
	Carrier  string
	Sales    float64
	Envelope *protocol.Envelope
	Status   *protocol.Status
	Last     *protocol.Last
}

type site struct {
	name, district string
	machines       []*machine
	closes         bool // its power is switched off at night
}

type pool struct{ name string }

// Sim is a fleet that is played.
type Sim struct {
	cfg      Config
	rng      *rand.Rand
	profiles *profile.Set
	now      time.Duration
	events   events
	n        int
	err      error

	machines []*machine
	sites    []*site
	byID     map[int64]*machine
	wakes    map[*machine]time.Duration

	watch *fleet.Watch
	table *fleet.Table
	open  map[*machine]*silence
	hist  map[*machine][]fleet.Closed
	boots map[*machine][]bool

	Steps  int
	Result Result
}

type event struct {
	at time.Duration
	n  int
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

func (s *Sim) at(t time.Duration, do func()) {
	s.n++
	heap.Push(&s.events, event{t, s.n, do})
}

func (s *Sim) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *Sim) tell(format string, args ...any) {
	if s.cfg.Told != nil {
		s.cfg.Told(s.cfg.From.Add(s.now), fmt.Sprintf(format, args...))
	}
}

// New builds a fleet and what will happen to it.
func New(cfg Config) (*Sim, error) {
	if cfg.Machines < 1 || cfg.Machines > 100_000 || cfg.For <= 0 || cfg.Poll <= 0 {
		return nil, fmt.Errorf("fleet: want 1 to 100000 machines, a duration and a poll")
	}
	if cfg.Rate == 0 {
		cfg.Rate = 1
	}
	cfg.Districts = max(cfg.Districts, 1)
	set, err := profile.Builtin()
	if err != nil {
		return nil, err
	}
	table, err := fleet.LoadTable()
	if err != nil {
		return nil, err
	}
	s := &Sim{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 18)), profiles: set, byID: map[int64]*machine{},
		wakes: map[*machine]time.Duration{}, watch: fleet.NewWatch(), table: table,
		open: map[*machine]*silence{}, hist: map[*machine][]fleet.Closed{}, boots: map[*machine][]bool{}}
	carriers := []string{"46000", "46001", "46011"}
	for n := 1; n <= cfg.Machines; {
		at := &site{name: fmt.Sprintf("site-%d", len(s.sites)+1), district: fmt.Sprintf("bj/d%d", len(s.sites)%cfg.Districts),
			closes: s.rng.Float64() < 0.08}
		s.sites = append(s.sites, at)
		main := carriers[s.rng.IntN(3)]
		for k := 1 + s.rng.IntN(4); k > 0 && n <= cfg.Machines; k-- {
			c := main
			if s.rng.Float64() < 0.3 {
				c = carriers[s.rng.IntN(3)]
			}
			m, err := s.newMachine(n, at, c)
			if err != nil {
				return nil, err
			}
			at.machines = append(at.machines, m)
			s.machines = append(s.machines, m)
			s.byID[int64(n)] = m
			s.watch.Know(fleet.Machine{ID: int64(n), Tenant: "cw", Site: at.name, District: at.district, Carrier: c})
			n++
		}
	}
	s.draw()
	return s, nil
}

// Run plays it all.
func (s *Sim) Run() error {
	for _, m := range s.machines {
		if err := m.start(); err != nil {
			return err
		}
		s.linkOf(m)
		s.run(m)
	}
	for s.events.Len() > 0 && s.err == nil {
		e := heap.Pop(&s.events).(event)
		if e.at > s.cfg.For {
			break
		}
		s.now = max(s.now, e.at)
		e.do()
	}
	s.closeAll()
	return s.err
}

// run lets a machine do what is due, and asks for its next turn.
func (s *Sim) run(m *machine) {
	next := m.wake()
	if next == never || next >= s.cfg.For {
		s.wakes[m] = never
		return
	}
	s.wakes[m] = next
	s.at(next, func() {
		if s.wakes[m] == next { // else another turn was asked for meanwhile
			s.run(m)
		}
	})
}

// linkOf brings the machine's connection in line with what is true of it.
func (s *Sim) linkOf(m *machine) {
	up := m.service()
	switch {
	case up && !m.linked:
		m.will++
		n := m.will
		s.at(s.now+time.Duration(5+s.rng.IntN(60))*time.Second, func() {
			if m.will != n || !m.service() {
				return
			}
			m.linked = true
			m.step(core.LinkChanged{At: m.at(), Link: core.Link{State: "connected", Broker: "own:8883", OverData: true}})
			s.heardOf(m)
			m.flush()
			s.words(m)
			s.run(m)
		})
	case !up && m.linked:
		m.linked = false
		m.will++
		n := m.will
		// Its last packet is at most a keepalive old; the broker waits for one and a half.
		heard := s.now - time.Duration(s.rng.Int64N(int64(Keepalive)))
		heard = max(heard, m.heard)
		s.at(heard+Keepalive*3/2, func() {
			if m.will == n {
				s.silent(m, heard)
			}
		})
		if m.powered {
			s.at(s.now+time.Duration(30+s.rng.IntN(300))*time.Second, func() {
				if m.will == n && m.powered {
					m.step(core.LinkChanged{At: m.at(), Link: core.Link{State: "down", Broker: "own:8883", Result: "timeout",
						OverData: true}})
					s.run(m)
				}
			})
		}
	}
}

func (s *Sim) arrive(m *machine, a Arrival) {
	if s.cfg.Sink == nil {
		return
	}
	a.At, a.Device, a.Site, a.Carrier, a.Sales = s.cfg.From.Add(s.now), m.dev, m.site.name, m.carrier, m.salesPH
	s.cfg.Sink(a)
}

func (s *Sim) deliver(m *machine, e protocol.Envelope) {
	s.Result.Messages++
	s.said(m, &e)
	s.arrive(m, Arrival{Envelope: &e})
}

func (s *Sim) words(m *machine) {
	if m.last != nil {
		m.told = m.last
		s.arrive(m, Arrival{Last: m.last})
	}
}
