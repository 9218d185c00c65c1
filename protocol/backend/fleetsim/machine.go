package fleetsim

import (
	"encoding/json"
	"fmt"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/remedy"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/profile"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

// Keepalive of the machines' connections. A will shows 1.5 of them after the last packet.
const Keepalive = 20 * time.Minute

// maxQueued bounds what a machine keeps while it is offline.
const maxQueued = 2000

// machine is one device: the real core, a simulated modem, and what is true of it.
type machine struct {
	sim      *Sim
	n        int
	dev      string
	site     *site
	carrier  string
	pool     *pool
	salesPH  float64
	bytesDay float64 // what the machine moves a day
	quota    uint64

	core    *core.Core
	player  *modemtest.Player
	profile *profile.Profile
	kept    map[string][]byte
	boot    int
	began   time.Duration
	rx, tx  uint64
	cycleB  float64 // bytes of this cycle, as the carrier counts
	stepAt  time.Duration
	jobs    []job
	ep      string
	seq     uint64
	queue   []protocol.Envelope
	last    *protocol.Last // as it would say now
	told    *protocol.Last // as the backend has them

	// what is true
	powered bool
	causes  map[string]int // by class: how many hold now
	linked  bool
	lost    bool // the modem does not answer
	will    int  // number of the connection
	heard   time.Duration
	card    cardState
}

type job struct {
	at time.Duration
	do func() core.Event
}

type cardState struct {
	state, reason string
	since         time.Duration
}

const scenario = `A machine of the fleet.
-- device --
profile       quectel-ec2x
manufacturer  Quectel
model         EC20F
revision      EC20CEFAGR06A05M4G
carrier       460-00
-- modem --
sim ready
reg home
signal rsrp=%d rsrq=-9 sinr=12
session active addr=10.63.118.204
`

func (s *Sim) newMachine(n int, at *site, carrier string) (*machine, error) {
	sc, err := modemtest.Parse("fleet", fmt.Appendf(nil, scenario, -80-s.rng.IntN(18)))
	if err != nil {
		return nil, err
	}
	sc.Start = s.cfg.From
	p, _ := s.profiles.Get("quectel-ec2x")
	m := &machine{sim: s, n: n, dev: fmt.Sprintf("vm-%04d", n), site: at, carrier: carrier, salesPH: 3 +
		40*s.rng.Float64()*s.rng.Float64(), quota: 30 << 20, player: modemtest.NewPlayer(sc, uint64(n)),
		profile: p, kept: map[string][]byte{}, causes: map[string]int{}, powered: true, ep: fmt.Sprintf("%08x",
			0xc0000000+n), card: cardState{"active", "none", 0}}
	m.bytesDay = float64(m.quota) / 30 * (0.4 + 0.5*s.rng.Float64())
	if s.rng.Float64() < 0.12 { // a camera, a screen that plays films
		m.bytesDay = float64(m.quota) / 30 * (1.1 + s.rng.Float64())
	}
	return m, nil
}

func (m *machine) options() core.Options {
	return core.Options{Device: m.dev, Version: "sim", Salt: "s", Poll: m.sim.cfg.Poll, SlowPoll: time.Hour, LinkPoll: m.sim.cfg.Poll,
		ReportEvery: time.Hour,
		ProbeEvery:  6 * time.Hour, ProbeBudget: 100_000, HasModem: true, ModemAt: "auto", Steps: []remedy.Step{core.StepRadioCycle}, Unsigned: true,
		Allowed: []string{"plan", "sim_status", "neighbours"}, Plan: protocol.Plan{QuotaBytes: m.quota, CycleDay: 1, UTCOffset: "+08:00",
			OnExhaust: "stop", Carrier: "460-00"},
		Probes: []core.ProbeSpec{{Probe: "dns", Target: "carrier", Host: "name", Cost: 200}, {Probe: "tcp", Target: "third_party",
			Host: "a:443", Cost: 300},
			{Probe: "tcp", Target: "own", Host: "own:8883", Cost: 300}}}
}

func (m *machine) instant() instant.Instant {
	now := m.sim.now
	return instant.Instant{Boot: fmt.Sprintf("%08x-b%d", m.n, m.boot), Mono: now - m.began + time.Second,
		Wall: m.sim.cfg.From.Add(now), Trusted: true}
}

// start boots the agent, with what it kept.
func (m *machine) start() error {
	mt := (*meter.Meter)(nil)
	opt := m.options()
	if len(m.kept) > 0 {
		var err error
		if mt, err = meter.RestoreNewest(opt.Meter, m.kept["meter"], m.kept["meter.now"]); err != nil {
			return err
		}
	}
	m.boot++
	m.began, m.rx, m.tx, m.jobs, m.lost = m.sim.now, 0, 0, nil, false
	delete(m.kept, "meter.now")
	c, err := core.New(opt, m.instant(), m.kept["core"], mt)
	if err != nil {
		return err
	}
	m.core = c
	for _, step := range m.profile.Init {
		for _, try := range step.Tries {
			if lines, _, _ := m.player.Ask(m.sim.now, try); len(lines) > 0 && lines[len(lines)-1] == "OK" {
				break
			}
		}
	}
	m.step(core.Started{At: core.At{Instant: m.instant()}})
	m.step(core.PortState{At: core.At{Instant: m.instant()}, State: "ok", Detail: "sim"})
	return nil
}

// do is a word to the simulated modem.
func (m *machine) do(line string) {
	if err := m.player.DoAt(m.sim.now, line); err != nil {
		m.sim.fail(fmt.Errorf("%s: %q: %w", m.dev, line, err))
	}
}

// wake runs all that is due at the machine, and says when it wants to run again.
func (m *machine) wake() time.Duration {
	if !m.powered {
		return never
	}
	for range 1000 {
		now := m.sim.now
		if !m.lost {
			for _, line := range m.player.Unsolicited(now) {
				for _, f := range threegpp.URC(line) {
					m.step(core.Observed{At: core.At{Instant: m.instant()}, Source: "urc:" + line[:min(len(line), 8)], Fact: f,
						Unsolicited: true})
				}
			}
		}
		due := m.jobs
		m.jobs = nil
		for _, j := range due {
			if j.at <= now {
				m.step(j.do())
			} else {
				m.jobs = append(m.jobs, j)
			}
		}
		next := m.began + m.core.Next() - time.Second
		if next <= now {
			m.step(core.Tick{At: core.At{Instant: m.instant()}})
			next = m.began + m.core.Next() - time.Second
		}
		for _, j := range m.jobs {
			next = min(next, j.at)
		}
		if at, ok := m.player.Next(); ok {
			next = min(next, at)
		}
		if next > now {
			return next
		}
	}
	return m.sim.now + time.Second // nothing came of it: time goes on
}

func (m *machine) later(d time.Duration, do func() core.Event) {
	m.jobs = append(m.jobs, job{m.sim.now + d, do})
}

func (m *machine) at() core.At { return core.At{Instant: m.instant()} }

func (m *machine) step(ev core.Event) {
	m.sim.Steps++
	for _, e := range m.core.Step(ev) {
		switch e := e.(type) {
		case core.Ask:
			m.ask(e.Queries)
		case core.RunProbe:
			r := diag.ProbeResult{Probe: e.Spec.Probe, Target: e.Spec.Target, Host: e.Spec.Host, Result: "ok"}
			if !m.service() {
				r.Result = "timeout"
			}
			m.later(time.Second, func() core.Event { return core.ProbeDone{At: m.at(), Result: r, Cost: e.Spec.Cost} })
		case core.LookAtLinks:
			m.later(0, func() core.Event {
				i := diag.Interface{Name: "wwan0", Present: true, Up: true, Addr: "10.0.0.2"}
				return core.Links{At: m.at(), Readings: []meter.Reading{{At: m.instant(), Interface: "wwan0", Index: 2, RxBytes: m.rx,
					TxBytes: m.tx, Bits: 64}}, Data: i}
			})
		case core.TakeStock:
			m.later(0, func() core.Event { return core.Stock{At: m.at(), Waiting: len(m.queue)} })
		case core.Store:
			m.store(e)
		case core.LastWords:
			w := e.Words
			w.Waiting = len(m.queue)
			m.last = &w
			if m.linked {
				m.sim.words(m)
			}
		case core.Persist:
			m.kept[e.Name] = e.Data
		case core.Remedy:
			if e.Step == core.StepRadioCycle {
				m.player.Ask(m.sim.now, "AT+CFUN=0")
				m.player.Ask(m.sim.now, "AT+CFUN=1")
			}
			m.later(10*time.Second, func() core.Event { return core.RemedyDone{At: m.at(), Step: e.Step, Result: remedy.Done} })
		}
	}
}

func (m *machine) store(e core.Store) {
	m.seq++
	env := protocol.Envelope{V: protocol.Version, Device: m.dev, Epoch: m.ep, Seq: m.seq, Type: e.Type, At: core.WireTime(e.At),
		Body: json.RawMessage(e.Body)}
	if len(m.queue) >= maxQueued {
		m.queue = m.queue[1:]
	}
	m.queue = append(m.queue, env)
	m.flush()
}

func (m *machine) flush() {
	if !m.linked {
		return
	}
	m.heard = m.sim.now
	for _, env := range m.queue {
		m.sim.deliver(m, env)
	}
	m.queue = m.queue[:0]
}

func (m *machine) ask(queries []string) {
	if m.lost {
		return
	}
	type answer struct {
		cmd   string
		lines []string
	}
	var answers []answer
	for _, q := range queries {
		for _, cmd := range m.profile.Recipes[profile.Query(q)].Commands {
			lines, _, mute := m.player.Ask(m.sim.now, cmd)
			if mute {
				m.lost = true
				m.later(20*time.Second, func() core.Event { return core.PortState{At: m.at(), State: "lost", Detail: "sim"} })
				m.reopen(21 * time.Second)
				return
			}
			answers = append(answers, answer{cmd, lines})
		}
	}
	m.later(300*time.Millisecond, func() core.Event {
		for _, a := range answers {
			for _, f := range threegpp.Reply(a.cmd, a.lines) {
				m.step(core.Observed{At: m.at(), Source: "at:" + a.cmd, Fact: f})
			}
		}
		return core.RoundDone{At: m.at()}
	})
}

func (m *machine) reopen(after time.Duration) {
	m.later(after, func() core.Event {
		if _, _, mute := m.player.Ask(m.sim.now, "AT"); mute {
			m.reopen(5 * time.Minute)
			return core.PortState{At: m.at(), State: "silent", Detail: "no answer to AT"}
		}
		m.lost = false
		return core.PortState{At: m.at(), State: "ok", Detail: "sim", Reopened: true}
	})
}

// service reports whether packets pass.
func (m *machine) service() bool {
	if !m.powered {
		return false
	}
	for _, n := range m.causes {
		if n > 0 {
			return false
		}
	}
	return true
}

// signs are what the modem shows of a cause while it holds, and what ends it.
var signs = map[string][2][]string{
	"over_quota":           {{"session closed reject=33"}, {"session active addr=10.63.118.204"}},
	"arrears":              {{"session closed", "reg denied cause=8"}, {"reg home", "session active addr=10.63.118.204"}},
	"expired_or_cancelled": {{"session closed", "reg denied cause=8"}, {"reg home", "session active addr=10.63.118.204"}},
	"admin_suspended":      {{"session closed", "reg denied cause=8"}, {"reg home", "session active addr=10.63.118.204"}},
	"imei_lock":            {{"session closed", "reg denied cause=6"}, {"reg home", "session active addr=10.63.118.204"}},
	"carrier_outage":       {{"session closed", "reg searching"}, {"reg home", "session active addr=10.63.118.204"}},
	"weak_signal": {{"signal rsrp=-121 rsrq=-19 sinr=-6", "session closed"}, {"signal rsrp=-92 rsrq=-10 sinr=11",
		"session active addr=10.63.118.204"}},
	"sim_fault":   {{"session closed", "sim failure"}, {"sim ready", "reg home", "session active addr=10.63.118.204"}},
	"modem_fault": {{"mute"}, {"unmute"}},
	"device_dead": {{}, {}},
	"power":       {{}, {}},
}

// begin lets a cause hold; end lets it go. Several may hold at once.
func (m *machine) begin(class string) {
	if m.causes[class]++; m.causes[class] == 1 {
		for _, line := range signs[class][0] {
			m.do(line)
		}
	}
	if class == "power" || class == "device_dead" {
		m.powered = false
	}
	m.sim.linkOf(m)
	m.sim.at(m.sim.now, func() { m.sim.run(m) })
}

func (m *machine) end(class string) {
	if m.causes[class]--; m.causes[class] > 0 {
		return
	}
	for _, line := range signs[class][1] {
		m.do(line)
	}
	for _, other := range classes { // what still holds shows again
		if m.causes[other] > 0 && other != class {
			for _, line := range signs[other][0] {
				m.do(line)
			}
		}
	}
	if (class == "power" || class == "device_dead") && m.causes["power"] <= 0 && m.causes["device_dead"] <= 0 {
		m.powered = true
		if err := m.start(); err != nil {
			m.sim.fail(fmt.Errorf("%s: %w", m.dev, err))
		}
	}
	m.sim.linkOf(m)
	m.sim.at(m.sim.now, func() { m.sim.run(m) })
}

// classes are all causes, first those that would keep a machine silent whatever else holds.
var classes = []string{"power", "device_dead", "carrier_outage", "modem_fault", "sim_fault", "over_quota", "arrears",
	"expired_or_cancelled", "admin_suspended", "imei_lock", "weak_signal"}

// cause is what keeps the machine silent now; "" when nothing does.
func (m *machine) cause() string {
	for _, c := range classes {
		if m.causes[c] > 0 {
			return c
		}
	}
	return ""
}
