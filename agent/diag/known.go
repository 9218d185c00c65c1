package diag

import (
	"time"

	"cellwarden/agent/carrier"
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// Bounds of what Known remembers. Each is far above what a judgement reads, and
// together they keep Known small on a device that runs for years.
const (
	maxSIMReads  = 32 // six flips, both ways, of runs of maxSameReads
	maxSameReads = 5  // busyReads and the first of the run
	maxRegReads  = 32
	maxRejects   = 16
	maxLevels    = 64 // RSRP readings: about half an hour at a 30 s poll
	maxProbes    = 48 // eight rounds of six
	maxEvents    = 32 // packet-domain events
	maxRefusals  = 16
	maxSMS       = 16
	maxScans     = 4
	maxRestarts  = 16
	maxEnded     = 4
	maxContexts  = 20 // cids run to 16 at most, some stacks count their own
	maxMilestone = 8
	maxKeys      = 8 // domains, antenna ports, locks: there are four of each
)

// Windows after which a fact no longer speaks. diagnosis.md §7 half-lives.
const (
	simFlipWindow   = 10 * time.Minute
	restartWindow   = time.Hour
	eventWindow     = 30 * time.Minute // packet events and session refusals
	probeWindow     = 10 * time.Minute // user-plane results
	rejectWindow    = 24 * time.Hour   // a reject stands until the next success
	failureWindow   = 90 * time.Minute // a failed probe, where probes have become rare (hourly)
	levelWindow     = 30 * time.Minute
	disturbedWindow = 90 * time.Second // after our own reset; TS.34 and diagnosis.md §7
	scanDisturbed   = 180 * time.Second
	silenceWindow   = 5 * time.Minute
)

// An Observation is one fact learned at one instant. Later ones supersede it;
// nothing edits it. Fact is a threegpp.Fact or one of this package's facts.
type Observation struct {
	At     instant.Instant
	Source string // "at:+CPIN?", "urc:+CEREG", "probe:dns", "meter", "backend", "config"
	Fact   any
}

// Port is the state of the AT port as its owner sees it: ok, silent (open, no
// answer after one re-open), garbage (answers that are no AT), lost, held
// (another program has it), absent,
// unreadable (the board keeps us from looking). Seen says that a modem answered at
// the configured place before, in this run or an earlier one.
type Port struct {
	State, Detail string
	Seen          bool `json:",omitempty"`
}

// Interface is the data interface as the kernel shows it.
type Interface struct {
	Name    string
	Present bool
	Up      bool
	Addr    string // "" when it has none
	// What nobody looked at: then Up or Addr says nothing.
	UpUnknown, AddrUnknown bool `json:",omitempty"`
	// NoRoute: the host was looked at, and no route leads over the interface.
	NoRoute bool `json:",omitempty"`
}

// down says in which way the interface carries nothing: "gone", "down",
// "no_address", "no_route"; "" where it may.
func (i Interface) down() string {
	switch {
	case !i.Present:
		return "gone"
	case !i.UpUnknown && !i.Up:
		return "down"
	case !i.AddrUnknown && !threegpp.UsableAddress(i.Addr):
		return "no_address"
	case i.NoRoute:
		return "no_route"
	}
	return ""
}

// Disturbance says that the agent itself did something that disturbs the modem
// (radio cycle, scan, reset): what follows within the window is not evidence.
type Disturbance struct{ What string }

type stamped[T any] struct {
	at    instant.Instant
	value T
	ok    bool
	src   string
}

func (s *stamped[T]) set(o Observation, v T) {
	s.at, s.value, s.ok, s.src = o.At, v, true, o.Source
}

type simRead struct {
	at    instant.Instant
	state threegpp.SIMState
	text  string
	urc   bool
	src   string
}

type level struct {
	at   instant.Instant
	rsrp float64
	cell string
}

type regRead struct {
	at  instant.Instant
	reg threegpp.Registration
	src string
}

type reject struct {
	at   instant.Instant
	rej  threegpp.Reject
	plmn string // who refused, "" when not known
	src  string
}

type refusal struct {
	at  instant.Instant
	ref threegpp.Refusal
	apn string // the APN set when it was refused
	src string
}

type probeRead struct {
	at  instant.Instant
	res ProbeResult
}

type ctxEvent struct {
	at  instant.Instant
	ev  threegpp.ContextEvent
	src string
}

// Known is what is known at one instant: observations folded so that a
// judgement can be made. The zero value knows nothing. Fold with Observe.
type Known struct {
	Now       instant.Instant // the newest observation's instant
	lineSince instant.Instant // when the newest ending happened

	// host and modem
	port        stamped[Port]
	silentRun   int // commands in a row without any answer
	silentFast  int // of these, ones that a live modem answers at once
	silentAt    instant.Instant
	silentCmd   string
	answered    int // commands answered since the last restart
	everSpoke   bool
	internal    int // answers in a row that were "phone failure" (+CME ERROR: 0)
	restarts    []instant.Instant
	crashes     []instant.Instant // restarts that the module itself calls a crash
	bootText    string            // the first banner of the present boot
	off         stamped[threegpp.PoweredOff]
	saving      stamped[threegpp.PowerSaving]
	bootSeen    bool // a boot banner and no command since
	cfun        stamped[threegpp.Functionality]
	alarm       stamped[threegpp.PowerState]
	identity    stamped[threegpp.ModemIdentity]
	disturbed   stamped[Disturbance]
	disturbFrom instant.Instant // since when, where it was told more than once in a row
	unparsed    uint64

	// card
	sim          []simRead
	simBare      int // bare errors since the newest of them
	presence     stamped[threegpp.SIMPresence]
	detect       stamped[threegpp.SIMDetect]
	validity     stamped[threegpp.CardValidity]
	iccid        stamped[threegpp.ICCID]
	imsi         stamped[threegpp.IMSI]
	imei         stamped[threegpp.IMEI]
	imsiRefused  int
	imsiFrom     string // the command that asked in vain
	iccidRefused int

	// radio
	signal      stamped[threegpp.Signal] // last that told a level
	unknownFrom string
	portsFrom   string // where the ports' levels were read
	unknownRun  int    // readings in a row that said "not known"
	levels      []level
	cell        stamped[threegpp.ServingCell]
	service     stamped[threegpp.ServiceState]
	scans       []stamped[threegpp.Scan]
	locks       map[string]stamped[threegpp.RadioLock]
	portLevels  map[string]float64

	// registration
	reg      map[threegpp.Domain]stamped[threegpp.Registration]
	regReads []regRead
	operator stamped[threegpp.Operator]
	rejects  []reject
	ended    []reject // those that a success ended; at is the success
	attach   stamped[threegpp.Attach]
	backoff  stamped[threegpp.Backoff]

	// session
	contexts  map[int]stamped[threegpp.ContextState]
	configs   map[int]stamped[threegpp.ContextConfig]
	events    []ctxEvent
	refusals  []refusal
	sessionUp stamped[bool]     // last proof either way: an activation that worked, an address, a network stop
	auth      map[string]string // hashes of credentials by part, as last written or shown
	authOld   string            // AuthHash before the last change in this session
	authNew   string
	apnOld    string
	pco       stamped[threegpp.SubscriptionPCO]
	iface     stamped[Interface]

	// user plane
	probes   []probeRead
	modProbe []stamped[threegpp.ModemProbe]
	opening  int // commands answered since one opened a connection whose result has not come; 0 none
	traffic  stamped[Traffic]
	counters []stamped[threegpp.ByteCounters]

	// messages
	sms    []message
	pieces []carrier.Part // the last that came: one may be the rest of another
	ussd   stamped[threegpp.USSD]
	barred stamped[int] // the cause with which sending a message was refused

	// business
	plan       stamped[PlanFact]
	usage      stamped[Usage]
	simStatus  stamped[SIMStatusFact]
	neighbours stamped[NeighboursFact]
	lastGood   stamped[LastGood]
	settings   stamped[Settings]
	history    stamped[History]
	modemClock stamped[threegpp.NetworkTime]
}

func (k *Known) within(at instant.Instant, d time.Duration) bool {
	return at.Boot == k.Now.Boot && k.Now.Mono-at.Mono <= d
}

// isDisturbed reports whether what was observed at that instant is our own doing.
func (k *Known) isDisturbed(at instant.Instant) bool {
	if !k.disturbed.ok || k.disturbed.at.Boot != at.Boot || at.Mono < k.disturbFrom.Mono {
		return false
	}
	w := disturbedWindow
	if k.disturbed.value.What == "scan" {
		w = scanDisturbed
	}
	return at.Mono-k.disturbed.at.Mono <= w
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}
