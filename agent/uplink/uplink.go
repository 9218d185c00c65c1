package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/wayout"
	"cellwarden/protocol"
)

// Item is one message that waits.
type Item struct {
	Seq     uint64 // names it in Ack and Release
	Type    protocol.Type
	Payload []byte // one envelope as written by protocol.MarshalEnvelope; not changed by the uplink
	Urgent  bool   // goes at once: passes the window, the linger, the rate and the byte budget
}

// Source is where messages wait. Its methods are called from the goroutine of
// Run and must not block for long.
type Source interface {
	// Take gives the next messages in delivery order, urgent ones first, at most
	// max of them and, past the first, at most maxBytes of payload. They are
	// under way from then on: Take does not give them again before Release.
	Take(max, maxBytes int) []Item
	// Ack says that the broker has them.
	Ack(seqs []uint64)
	// Release says that they were not delivered: Take gives them again, in order.
	Release(seqs []uint64)
	// Wake receives when there may be something new to take.
	Wake() <-chan struct{}
}

// Options is all that an Uplink needs to know. Device, Brokers, Source, Now and
// OnEvent must be given.
type Options struct {
	Device  string
	Prefix  string   // topic prefix; default protocol.DefaultPrefix
	Brokers []string // tcp://host:port or ssl://host:port; tried in turn
	Source  Source
	Now     func() instant.Instant
	// OnEvent is called from the goroutine of Run; it must not block for long.
	OnEvent func(Event)

	ClientID string // default Device
	User     string
	Password string
	// Secret, where given, is asked for the password before each attempt: it may
	// be a file that changes.
	Secret   func() (string, error)
	TLS      TLS
	NoRetain bool // for services that do not know retained messages
	DayBytes int  // what brokers may publish to us in a day; default DefaultDayBytes
	Window   int  // PUBLISHes of the backlog that may await their PUBACK; default 8

	// Way is asked before each attempt for the way out; default any interface.
	Way func() (wayout.Way, error)

	// Admit is asked before each message that is not urgent: may this many bytes
	// go now, by the byte budget of the day? Optional. After a no it is asked
	// again when something urgent was sent or admitRecheck has passed.
	Admit func(t protocol.Type, bytes int) bool

	State  State // as last given by a StateChanged, of whatever run
	Timing Timing
}

// Timing holds the durations and rates; a zero field means its default.
type Timing struct {
	Connect     time.Duration // from dialling to CONNACK
	Write       time.Duration // one packet into the socket
	Ack         time.Duration // longest silence while a PUBACK is awaited
	KeepAlive   time.Duration // longest idle time between pings; the learned value is never above it
	Linger      time.Duration // a message that is not urgent waits so long for company
	Spread      time.Duration // first wait after a start or a lost connection, drawn from 0 to this; negative: none
	Nudged      time.Duration // longest wait after a Nudge
	RetryMin    time.Duration // first backoff after a failure
	RetryMax    time.Duration
	RefusedMin  time.Duration // first backoff after a refusal
	RefusedMax  time.Duration
	Look        time.Duration // between looks at the way to the broker and the bytes that went
	Stable      time.Duration // a connection that lasted so long was a success
	Attempt     time.Duration // one more attempt is allowed for each such span ...
	Attempts    int           // ... and so many may be saved up
	DrainPerSec int           // bytes a second for what is not urgent; negative: no limit
}

// DefaultTiming has the values for a cellular link.
var DefaultTiming = Timing{
	// Three round trips and a slow DNS at NB-IoT latency (TS.34 4.2_REQ_008).
	Connect: 45 * time.Second,
	// A stalled link shows as a full socket; 8 s is several NB-IoT round trips.
	Write: 8 * time.Second,
	// With the check at once, a silent link is found within 15 s while publishing.
	Ack: 12 * time.Second,
	// One ping costs 204 B over TLS: 20 min is below 15 KB a day, and the longest
	// that AWS IoT takes.
	KeepAlive: 20 * time.Minute,
	// Events come in clusters (select, pay, vend): one packet instead of three.
	Linger: 2 * time.Second,
	// When a district's power returns, ten thousand machines start at once
	// (TS.34 4.2_REQ_016: avoid peak concentration).
	Spread: 30 * time.Second,
	// The owner's probes, by which it knows of the path, are spread already; the first
	// event shall be at the backend within 3 s of them.
	Nudged:   time.Second,
	RetryMin: 5 * time.Second,
	// Four an hour when all else is quiet (TS.34 4.1_REQ_002: limited retries).
	RetryMax: 15 * time.Minute,
	// A refusal is not cured by asking again; somebody has to change something.
	RefusedMin: 5 * time.Minute,
	RefusedMax: time.Hour,
	// A cable that is plugged in may wait for two of these.
	Look: time.Minute,
	// Brokers that throw out a doubled client id do so within seconds.
	Stable: time.Minute,
	// 20 an hour, below the 30 to 60 of TS.34 8.2.3_REQ_001/003/005 (F1 to F3).
	Attempt:  3 * time.Minute,
	Attempts: 8,
	// Leaves most of a Cat-1 uplink to the machine's payments; 10,000 events
	// drain in two minutes.
	DrainPerSec: 4096,
}

// withDefaults fills the zero fields of t.
func (t Timing) withDefaults() Timing {
	d := DefaultTiming
	set := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	set(&t.Connect, d.Connect)
	set(&t.Write, d.Write)
	set(&t.Ack, d.Ack)
	set(&t.KeepAlive, d.KeepAlive)
	set(&t.Linger, d.Linger)
	set(&t.Spread, d.Spread)
	set(&t.Nudged, d.Nudged)
	set(&t.RetryMin, d.RetryMin)
	set(&t.RetryMax, d.RetryMax)
	set(&t.RefusedMin, d.RefusedMin)
	set(&t.RefusedMax, d.RefusedMax)
	set(&t.Look, d.Look)
	set(&t.Stable, d.Stable)
	set(&t.Attempt, d.Attempt)
	if t.Attempts == 0 {
		t.Attempts = d.Attempts
	}
	if t.DrainPerSec == 0 {
		t.DrainPerSec = d.DrainPerSec
	}
	return t
}

// Uplink keeps one device connected. Make it with New, start it with Run.
type Uplink struct {
	opt     Options
	t       Timing
	brokers []broker
	turn    int // index of the broker whose turn it is
	state   State
	kept    State     // as last given to the owner
	keptAt  time.Time // durably
	note    string    // of the last attempt, as of wayout.Way.Dial
	day     intake
	skipped int64 // size of the message that was last reported as read past
	cache   *sessionCache
	nudge   chan struct{}
	warned  time.Time // when the expiry of our own certificate was last reported
	draw    func() float64
	dialled func(*counted) // tests weigh the connection with it

	words    atomic.Pointer[[]byte] // last words, as SetWords gave them
	newWords chan struct{}
}

// SetWords gives the last words, as protocol.MarshalLast writes them. They are sent
// with each connection and when they change, and stand at the broker when the device
// is gone. It may be called from any goroutine.
func (u *Uplink) SetWords(words []byte) {
	u.words.Store(&words)
	select {
	case u.newWords <- struct{}{}:
	default:
	}
}

// New prepares an Uplink; Run says whether the options are good.
func New(opt Options) *Uplink {
	if opt.Prefix == "" {
		opt.Prefix = protocol.DefaultPrefix
	}
	if opt.ClientID == "" {
		opt.ClientID = opt.Device
	}
	if opt.Window == 0 {
		opt.Window = defaultWindow
	}
	if opt.DayBytes == 0 {
		opt.DayBytes = DefaultDayBytes
	}
	if opt.Way == nil {
		out := wayout.New(os.DirFS("/"), nil)
		opt.Way = func() (wayout.Way, error) { return out.By(""), nil }
	}
	return &Uplink{
		opt:   opt,
		t:     opt.Timing.withDefaults(),
		state: opt.State,
		kept:  opt.State,
		nudge: make(chan struct{}, 1),
		day:   intake{limit: int64(opt.DayBytes)},
		draw:  rand.Float64,

		dialled:  func(*counted) {},
		newWords: make(chan struct{}, 1),
	}
}

// Nudge cuts a wait short: the owner knows that the path is back. It is safe
// from any goroutine. The next attempt still waits up to Nudged, keeps to the
// budget of attempts, and does not come early after a refusal. An attempt under way
// that has reached nobody for overtaken is broken off for a new one: TCP asks again
// only after 7, 15 and 31 s.
func (u *Uplink) Nudge() {
	select {
	case u.nudge <- struct{}{}:
	default: // one is waiting already
	}
}

// check refuses options that could never connect.
func (u *Uplink) check() error {
	o := u.opt
	if o.Source == nil || o.Now == nil || o.OnEvent == nil {
		return errors.New("uplink: Source, Now and OnEvent must be given")
	}
	if err := protocol.CheckDeviceID(o.Device); err != nil {
		return fmt.Errorf("uplink: %w", err)
	}
	if err := protocol.CheckPrefix(o.Prefix); err != nil {
		return fmt.Errorf("uplink: %w", err)
	}
	if len(o.Brokers) == 0 {
		return errors.New("uplink: no broker; give one, as in ssl://broker.example:8883")
	}
	u.brokers = nil
	for _, s := range o.Brokers {
		b, err := parseBroker(s)
		if err != nil {
			return fmt.Errorf("uplink: %w", err)
		}
		u.brokers = append(u.brokers, b)
	}
	return o.TLS.check()
}

// broker is one place to connect to.
type broker struct {
	name string // scheme://host:port, without user and password
	host string
	port uint16
	tls  bool
}

func parseBroker(s string) (broker, error) {
	p, err := url.Parse(s)
	if err != nil || p.Hostname() == "" {
		return broker{}, errors.New("broker address not understood; give it as tcp://host:1883 or ssl://host:8883")
	}
	b := broker{host: p.Hostname(), port: 1883}
	switch p.Scheme {
	case "tcp", "mqtt":
	case "ssl", "tls", "mqtts":
		b.tls, b.port = true, 8883
	default:
		return broker{}, fmt.Errorf("broker %s: scheme %q is not known; use tcp:// or ssl://", p.Host, p.Scheme)
	}
	if p.User != nil {
		return broker{}, fmt.Errorf("broker %s: put user and password into their own settings, not into the address", p.Host)
	}
	if text := p.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return broker{}, fmt.Errorf("broker %s: port %s is none; give one from 1 to 65535", p.Host, text)
		}
		b.port = uint16(n)
	}
	b.name = p.Scheme + "://" + net.JoinHostPort(b.host, fmt.Sprint(b.port))
	return b, nil
}

// Run connects and stays connected until ctx ends, then says good-bye to the
// broker and returns nil. Everything it started has ended by then. Any other
// return is an error in the options.
func (u *Uplink) Run(ctx context.Context) error {
	if err := u.check(); err != nil {
		return err
	}
	u.cache = newSessionCache(u.opt.TLS.SessionFile)
	wait, why := u.spread(), WaitSpread
	for {
		if err := u.sleep(ctx, wait, why); err != nil {
			return nil
		}
		if hold := u.state.take(u.opt.Now(), u.t); hold > 0 {
			wait, why = hold, WaitBudget
			continue
		}
		u.attempted()
		b := u.brokers[u.turn%len(u.brokers)]
		u.emit(Connecting{Broker: b.name})
		began := time.Now()
		l, err := u.connect(ctx, b)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, errOvertaken) {
				wait, why = u.nudged(), WaitSpread
				continue
			}
			u.turn++
			wait, why = u.failed(b, err)
			continue
		}
		end := u.serve(ctx, l, time.Since(began))
		if ctx.Err() != nil {
			return nil
		}
		wait, why = u.lost(end)
	}
}

// failed reports an attempt that came to nothing and says how long to wait.
func (u *Uplink) failed(b broker, err error) (time.Duration, WaitWhy) {
	f := classify(err, u.certTime())
	if !f.refusal {
		u.emit(Unreachable{Broker: b.name, Why: f.why, Hint: f.hint, Err: err})
		return u.backoff(false), WaitBackoff
	}
	u.emit(Refused{Broker: b.name, Why: f.why, Code: f.code, Hint: f.hint, Err: err})
	// One broker of several may be the one at fault: the others get their turn
	// soon, and only then the wait gets long.
	if u.turn%len(u.brokers) != 0 {
		return u.backoff(false), WaitBackoff
	}
	return u.backoff(true), WaitRefused
}

// lost says how long to wait after a connection ended.
func (u *Uplink) lost(end ending) (time.Duration, WaitWhy) {
	switch {
	case end.why == WhyFlood || end.why == WhyBadPacket:
		u.turn++
		return u.backoff(true), WaitRefused
	case end.why == WhyMoved:
		return u.spread(), WaitSpread
	case end.lasted >= u.t.Stable:
		u.state.Failures, u.state.Refusals = 0, 0
		u.turn = 0 // the list begins with the preferred one
		return u.spread(), WaitSpread
	default:
		u.turn++
		return u.backoff(false), WaitBackoff
	}
}

func (u *Uplink) backoff(refused bool) time.Duration {
	return u.state.backoff(refused, u.t, u.draw())
}

func (u *Uplink) spread() time.Duration {
	if u.t.Spread < 0 {
		return 0
	}
	return time.Duration(u.draw() * float64(u.t.Spread))
}

// nudged is what is still waited once the owner knows that the path is back.
func (u *Uplink) nudged() time.Duration {
	if u.t.Spread < 0 {
		return 0
	}
	return time.Duration(u.draw() * float64(min(u.t.Nudged, u.t.Spread)))
}

// sleep waits, or less after a Nudge. Its error is that of ctx.
func (u *Uplink) sleep(ctx context.Context, d time.Duration, why WaitWhy) error {
	if d > 0 {
		u.emit(Waiting{For: d, Why: why})
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	nudge := u.nudge
	if why == WaitRefused || why == WaitBudget {
		nudge = nil
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-nudge:
			nudge = nil
			if s := u.nudged(); s < d {
				timer.Reset(s)
			}
		}
	}
}

func (u *Uplink) emit(e Event) { u.opt.OnEvent(e) }

const (
	// keepAt is after how many failures in a row the state is kept durably again after
	// the first, and keepEvery how often from then on. A page for each attempt would be
	// 20 KB of flash with the journal of ext4. The first attempt of a process is always
	// kept so: a machine that is started again and again is held to its allowance.
	keepAt    = 4
	keepEvery = time.Hour
)

// attempted keeps the state of an attempt before it is made, with what the last one
// taught: an agent that is started again and again must not knock again and again.
func (u *Uplink) attempted() {
	n := u.state.Failures + u.state.Refusals
	u.keep(n == 0 || n == keepAt || time.Since(u.keptAt) >= keepEvery)
}

// changed has the state kept durably.
func (u *Uplink) changed() { u.keep(true) }

// keep has the state kept where it differs from what was kept last.
func (u *Uplink) keep(durable bool) {
	if u.state == u.kept {
		return
	}
	u.kept = u.state
	if durable {
		u.keptAt = time.Now()
	}
	u.emit(StateChanged{State: u.state, Durable: durable})
}
