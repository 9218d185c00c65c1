// Package modem asks a cellular modem questions and yields facts.
//
// It joins the line (package at), what a family of modems understands (package
// profile) and what its answers mean (package threegpp). A Query becomes the
// commands of the family's profile; each command becomes one Answer, whatever
// came of it: a refusal and a silence are facts, and an error says only that
// the question could not be asked.
//
// It decides nothing: what to ask when, what to conclude and what to do about
// it is the agent's. It never scans, restarts the modem, changes a data session
// or writes the modem's memory; DeleteSMS, of one message that the caller names,
// is the only exception.
//
// # States of a Modem
//
//	open --line lost--> lost        Done is closed; the owner opens a new one
//	open --modem restarts--> open   the next Ask repeats Init first
package modem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cellwarden/modem/at"
	"cellwarden/modem/profile"
	"cellwarden/modem/threegpp"
)

// Query is a question that can be put to any modem; see package profile.
type Query = profile.Query

// The queries.
const (
	Identify      = profile.Identify
	Functionality = profile.Functionality
	SIM           = profile.SIM
	Presence      = profile.Presence
	ICCID         = profile.ICCID
	IMSI          = profile.IMSI
	IMEI          = profile.IMEI
	Registration  = profile.Registration
	Operator      = profile.Operator
	Radio         = profile.Radio
	Cell          = profile.Cell
	Attach        = profile.Attach
	Contexts      = profile.Contexts
	Addresses     = profile.Addresses
	APN           = profile.APN
	Error         = profile.Error
	Backoff       = profile.Backoff
	Locks         = profile.Locks
	Counters      = profile.Counters
	Temperature   = profile.Temperature
	SMS           = profile.SMS
	Slot          = profile.Slot
	PCO           = profile.PCO
	Clock         = profile.Clock

	// Setup marks the answers of Init, Direct those of Do.
	Setup  Query = "setup"
	Direct Query = "direct"
)

// DefaultPoll is one poll of a modem, in order: functionality first, since the
// fields of a modem whose radio is off are stale, then card, registration,
// radio, session, and the modem's own account of the last failure.
var DefaultPoll = []Query{Functionality, SIM, Registration, Operator, Radio, Cell, Attach, Contexts, Addresses, Error}

// Identity is what a modem says of itself.
type Identity = profile.Identity

// Limits.
const (
	// openBound is how long Open waits for a sign of life: shorter than after
	// a fault in mid-run, since the owner tries again.
	openBound = 8 * time.Second
	// searchBound is the same for each of several ports of one modem, of which
	// only one or two answer AT.
	searchBound = 3 * time.Second
	// setupTimeout is for one setting; they are answered at once.
	setupTimeout = 5 * time.Second
	// eventQueue is room for a burst of unsolicited lines while the owner is
	// busy; older ones wait in the line's own queue.
	eventQueue = 32
)

// Errors that a caller branches on, besides those of package at.
var (
	// ErrNoAnswer: nothing that speaks AT is behind the port.
	ErrNoAnswer = errors.New("no modem answers")
	// ErrNotAT is an ErrNoAnswer of a port at which something else talks.
	ErrNotAT = fmt.Errorf("%w: it sends", ErrNoAnswer)
	// ErrNotSupported: the family has no documented way to answer the query.
	ErrNotSupported = errors.New("this family of modems cannot tell")
	// ErrNotFound: no USB device matches.
	ErrNotFound = errors.New("no such modem on USB")
)

// Spec says which modem to open. One of Port, USB and Opener is set.
type Spec struct {
	Port string // "/dev/ttyUSB2"
	Baud int    // 0: 115200; USB modems ignore it
	USB  at.USBMatch
	// SysRoot is where FindPort looks; "" is /sys.
	SysRoot string
	// Opener replaces the serial port, for tests and the demo.
	Opener func(ctx context.Context) (io.ReadWriteCloser, error)
	// Profile forces a family by name; "" finds it by what the modem says.
	Profile string
	// Profiles are those known; nil: the built-in ones.
	Profiles *profile.Set
	// Timeout is for the commands of a query whose profile names none; 0:
	// profile.DefaultTimeout.
	Timeout time.Duration
	// Recorder, when set, is told of all traffic.
	Recorder *Recorder
}

// An Answer is what came of one command. Facts may hold identities; Lines and
// Err never do.
type Answer struct {
	Query   Query
	Command string // redacted
	Facts   []threegpp.Fact
	Lines   []string // redacted, the final result last
	Err     error    // why there is no answer; nil for a refusal
	At      time.Time
	Took    time.Duration
}

// Accepted reports whether the modem ended the answer with success.
func (a Answer) Accepted() bool {
	if a.Err != nil || len(a.Lines) == 0 {
		return false
	}
	f, ok := parseFinal(a.Lines[len(a.Lines)-1])
	return ok && f.OK
}

// An Event is one unsolicited line.
type Event struct {
	At    time.Time // when the line arrived
	Facts []threegpp.Fact
	Line  string // redacted
}

// A Modem is one open modem. Ask, Init and Do may be called from several
// goroutines; commands take turns.
type Modem struct {
	port     string
	timeout  time.Duration // see Spec
	line     *at.Dialogue
	profiles *profile.Set
	family   *shared
	identity Identity
	events   chan Event
	closed   chan struct{}
	once     sync.Once
	pump     sync.WaitGroup
	setUp    atomic.Int64 // restarts seen when Init ran last, plus one; 0: never
}

// shared is the profile as the line's reader sees it.
type shared struct {
	p atomic.Pointer[profile.Profile]
}

// Open opens the port, makes sure that a modem answers, and learns what it is.
// It sends AT, a harmless read and the identification commands, nothing else;
// Init makes the settings.
func Open(ctx context.Context, spec Spec) (*Modem, error) {
	profiles := spec.Profiles
	if profiles == nil {
		var err error
		if profiles, err = profile.Builtin(); err != nil {
			return nil, err
		}
	}
	family := profiles.All()[0]
	if spec.Profile != "" {
		var ok bool
		if family, ok = profiles.Get(spec.Profile); !ok {
			return nil, fmt.Errorf("modem: no profile is named %q", spec.Profile)
		}
	}
	var tried []error
	candidates, err := spec.candidates()
	if err != nil {
		return nil, err
	}
	bound := openBound
	if len(candidates) > 1 {
		bound = searchBound
	}
	for _, c := range candidates {
		m, err := open(ctx, c, bound, family, profiles, spec)
		if err == nil {
			return m, nil
		}
		tried = append(tried, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(tried...)
}

// candidate is one port that may be the modem's.
type candidate struct {
	name string
	open func(ctx context.Context) (io.ReadWriteCloser, error)
}

func (spec Spec) candidates() ([]candidate, error) {
	serial := func(path string) candidate {
		return candidate{path, func(context.Context) (io.ReadWriteCloser, error) { return at.OpenPort(path, spec.Baud) }}
	}
	switch {
	case spec.Opener != nil:
		return []candidate{{"port", spec.Opener}}, nil
	case spec.Port != "":
		return []candidate{serial(spec.Port)}, nil
	case spec.USB == (at.USBMatch{}):
		return nil, errors.New("modem: neither a port nor a USB device is named")
	}
	root := spec.SysRoot
	if root == "" {
		root = "/sys"
	}
	ports, err := at.FindPort(root, spec.USB)
	if err != nil {
		return nil, fmt.Errorf("modem: %w", err)
	}
	if len(ports) == 0 {
		return nil, fmt.Errorf("modem: %v: %w: is it plugged in and powered, and its driver loaded? (lsusb)", spec.USB, ErrNotFound)
	}
	var list []candidate
	for _, p := range ports {
		list = append(list, serial(p.Path))
	}
	return list, nil
}

func open(ctx context.Context, c candidate, bound time.Duration, family *profile.Profile, profiles *profile.Set, spec Spec) (*Modem, error) {
	port, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	m := &Modem{
		port: c.name, timeout: spec.Timeout, profiles: profiles, family: &shared{},
		events: make(chan Event, eventQueue), closed: make(chan struct{}),
	}
	m.family.p.Store(family)
	opt := at.Options{
		IsURC: m.family.isURC, Final: m.family.final,
		Banners: profiles.Banners(), Answers: profiles.Answers(), OpenBound: bound,
	}
	if spec.Recorder != nil {
		opt.Trace = spec.Recorder.trace
	}
	m.line = at.New(port, opt)
	m.pump.Go(m.forward)
	if err := m.meet(ctx, spec.Profile == ""); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// meet makes sure that a modem is there and learns what it is.
func (m *Modem) meet(ctx context.Context, choose bool) error {
	if _, err := m.line.Command(ctx, "AT", setupTimeout); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("modem: %s: %w", m.port, err)
		}
		var why string
		switch c := m.line.Counters(); {
		case errors.Is(err, at.ErrWriteBlocked):
			why = "the port takes no data"
		case c.URCs > 0:
			return fmt.Errorf("modem: %s: %w lines that are no AT answers: wrong port, this is not the AT one", m.port, ErrNotAT)
		case c.NoiseBytes > 0:
			return fmt.Errorf("modem: %s: %w bytes that are no AT answers: wrong port or wrong speed", m.port, ErrNotAT)
		default:
			why = "not the modem's AT port, or the modem is off or hangs"
		}
		return fmt.Errorf("modem: %s: %w: %s", m.port, ErrNoAnswer, why)
	}
	for _, a := range m.Ask(ctx, Identify) {
		if a.Err != nil && (errors.Is(a.Err, at.ErrLost) || errors.Is(a.Err, at.ErrClosed) || ctx.Err() != nil) {
			return fmt.Errorf("modem: %s: %w: it answers AT but not who it is: %w", m.port, ErrNoAnswer, a.Err)
		}
		for _, f := range a.Facts {
			if id, ok := f.(threegpp.ModemIdentity); ok {
				m.learn(id)
			}
		}
	}
	if choose {
		m.family.p.Store(m.profiles.For(m.identity))
	}
	return nil
}

func (m *Modem) learn(id threegpp.ModemIdentity) {
	if id.Manufacturer != "" {
		m.identity.Manufacturer = id.Manufacturer
	}
	if id.Model != "" {
		m.identity.Model = id.Model
	}
	if id.Revision != "" {
		m.identity.Revision = id.Revision
	}
}

// Port is the path of the port that answered.
func (m *Modem) Port() string { return m.port }

// Profile is the family that the modem belongs to; the ground when unknown.
func (m *Modem) Profile() *profile.Profile { return m.family.p.Load() }

// Identity is what the modem said of itself when it was opened.
func (m *Modem) Identity() Identity { return m.identity }

// LineCounters tells how the line has behaved.
func (m *Modem) LineCounters() at.Counters { return m.line.Counters() }

// Done is closed when the line is lost; Err tells why.
func (m *Modem) Done() <-chan struct{} { return m.line.Done() }

// Err is nil while the line lives.
func (m *Modem) Err() error { return m.line.Err() }

// Unsolicited delivers what the modem says unasked, once and in order. It is
// closed after the line was lost and its last line delivered, or by Close.
func (m *Modem) Unsolicited() <-chan Event { return m.events }

// Close gives the port back.
func (m *Modem) Close() error {
	err := m.line.Close()
	m.once.Do(func() { close(m.closed) })
	m.pump.Wait()
	return err
}

func (m *Modem) forward() {
	defer close(m.events)
	for {
		select {
		case <-m.closed:
			return
		case l, ok := <-m.line.Unsolicited():
			if !ok {
				return
			}
			e := Event{At: l.At, Facts: threegpp.URC(l.Text), Line: redactLines(l.Text)}
			select {
			case m.events <- e:
			case <-m.closed:
				return
			}
		}
	}
}

// Init makes the settings of the modem's profile, and of 3GPP where the profile
// has none. A setting that is refused is in the answers and is no error; the
// error is that of a lost line. The settings last until the modem restarts: Ask
// and Do repeat Init then.
func (m *Modem) Init(ctx context.Context) ([]Answer, error) {
	m.setUp.Store(int64(m.line.Counters().Reboots) + 1)
	var answers []Answer
	for _, step := range m.Profile().Init {
		if step.Ask != "" {
			a := m.ask(ctx, Setup, step.Ask, setupTimeout)
			answers = append(answers, a)
			if slices.ContainsFunc(a.Lines, step.Unless.MatchString) {
				continue
			}
		}
		for _, cmd := range step.Tries {
			a := m.ask(ctx, Setup, cmd, setupTimeout)
			answers = append(answers, a)
			if err := m.line.Err(); err != nil {
				return answers, fmt.Errorf("modem: set up: %w", err)
			}
			if ctx.Err() != nil {
				return answers, fmt.Errorf("modem: set up: %w", ctx.Err())
			}
			if a.Accepted() || a.Err != nil {
				break // a modem that is silent to one try is not asked the next
			}
		}
	}
	return answers, nil
}

// restarted reports whether the modem has lost the settings of Init.
func (m *Modem) restarted() bool {
	last := m.setUp.Load()
	return last > 0 && int64(m.line.Counters().Reboots)+1 != last
}

// Ask puts a question and returns one answer for each command that it took, in
// order. Where the modem has restarted since Init, the settings are made again
// first, and their answers come first. There is always at least one answer; one
// with ErrNotSupported where the family has no way to tell.
func (m *Modem) Ask(ctx context.Context, q Query) []Answer {
	answers := m.again(ctx)
	r, ok := m.Profile().Recipes[q]
	if !ok {
		return append(answers, Answer{Query: q, At: time.Now(), Err: fmt.Errorf("modem: %s: %w (profile %s)", q, ErrNotSupported, m.Profile().Name)})
	}
	timeout := r.Timeout
	if timeout == profile.DefaultTimeout && m.timeout > 0 {
		timeout = m.timeout
	}
	for _, cmd := range r.Commands {
		a := m.ask(ctx, q, cmd, timeout)
		answers = append(answers, a)
		if m.line.Err() != nil || ctx.Err() != nil || r.Any && a.Accepted() {
			break
		}
	}
	return answers
}

// Do sends one command as it is given: a setting or a remedy. What it may do is
// the caller's to know.
func (m *Modem) Do(ctx context.Context, cmd string, timeout time.Duration) []Answer {
	return append(m.again(ctx), m.ask(ctx, Direct, cmd, timeout))
}

func (m *Modem) again(ctx context.Context) []Answer {
	if !m.restarted() {
		return nil
	}
	answers, _ := m.Init(ctx) // a lost line shows in the answer that follows
	return answers
}

func (m *Modem) ask(ctx context.Context, q Query, cmd string, timeout time.Duration) Answer {
	start := time.Now()
	lines, err := m.line.Command(ctx, cmd, timeout)
	return answer(q, cmd, lines, err, start)
}

func answer(q Query, cmd string, lines []string, err error, start time.Time) Answer {
	a := Answer{Query: q, Command: threegpp.Redact(cmd), At: time.Now(), Took: time.Since(start)}
	if err != nil {
		a.Err = fmt.Errorf("modem: %w", err)
		if silent(err) {
			a.Facts = []threegpp.Fact{threegpp.Silence{Command: a.Command}}
		}
		return a
	}
	a.Facts = threegpp.Reply(cmd, lines)
	for _, l := range lines {
		a.Lines = append(a.Lines, threegpp.Redact(l))
	}
	return a
}

// silent reports whether err says that the modem did not answer, rather than
// that it was not asked.
func silent(err error) bool {
	return errors.Is(err, at.ErrTimeout) || errors.Is(err, at.ErrLost) || errors.Is(err, at.ErrWriteBlocked)
}

// isURC adds the family's own unsolicited lines to those that threegpp knows.
func (s *shared) isURC(line, command string, seen int) bool {
	name, _, _ := strings.Cut(line, ":")
	for _, u := range s.p.Load().URCs {
		if strings.EqualFold(u, name) && !strings.Contains(strings.ToUpper(command), u) {
			return true
		}
	}
	return threegpp.IsURC(line, command, seen)
}

func (s *shared) final(line string) (success, final bool) {
	if f, ok := parseFinal(line); ok {
		return f.OK, true
	}
	for _, f := range s.p.Load().Finals {
		if strings.EqualFold(f, line) {
			return false, true
		}
	}
	return false, false
}

// parseFinal reads final results, those of a modem that answers in digits too.
func parseFinal(line string) (threegpp.Final, bool) {
	if f, ok := threegpp.ParseFinal(line); ok {
		return f, true
	}
	return threegpp.ParseNumericFinal(line)
}
