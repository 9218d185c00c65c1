package diag

import (
	"cmp"
	"slices"
	"strings"
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

// roomFor keeps a map from growing by keys that no modem has.
func roomFor[K comparable, V any](m map[K]V, key K, most int) bool {
	_, ok := m[key]
	return ok || len(m) < most
}

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

// message is an operator's message, read once: its text is not kept.
type message struct {
	sent    time.Time // by the service centre, zero when not told
	meaning carrier.Meaning
}

type ctxEvent struct {
	at instant.Instant
	ev threegpp.ContextEvent
}

// Known is what is known at one instant: observations folded so that a
// judgement can be made. The zero value knows nothing. Fold with Observe.
type Known struct {
	Now instant.Instant // the newest observation's instant

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
	bootSeen    bool // a boot banner and no command since
	cfun        stamped[threegpp.Functionality]
	alarm       stamped[threegpp.PowerState]
	identity    stamped[threegpp.ModemIdentity]
	disturbed   stamped[Disturbance]
	disturbFrom instant.Instant // since when, where it was told more than once in a row
	unparsed    uint64

	// card
	sim          []simRead
	presence     stamped[threegpp.SIMPresence]
	detect       stamped[threegpp.SIMDetect]
	validity     stamped[threegpp.CardValidity]
	iccid        stamped[threegpp.ICCID]
	imsi         stamped[threegpp.IMSI]
	imei         stamped[threegpp.IMEI]
	imsiRefused  int
	iccidRefused int

	// radio
	signal     stamped[threegpp.Signal] // last that told a level
	csq        stamped[threegpp.Signal]
	unknownRun int // readings in a row that said "not known"
	levels     []level
	cell       stamped[threegpp.ServingCell]
	service    stamped[threegpp.ServiceState]
	scans      []stamped[threegpp.Scan]
	locks      map[string]stamped[threegpp.RadioLock]
	portLevels map[string]float64

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
	sessionUp stamped[bool] // last proof either way: an activation that worked, an address, a network stop
	authOld   string        // AuthHash before the last change in this session
	authNew   string
	apnOld    string
	pco       stamped[threegpp.SubscriptionPCO]
	iface     stamped[Interface]

	// user plane
	probes   []probeRead
	modProbe []stamped[threegpp.ModemProbe]
	traffic  stamped[Traffic]
	counters []stamped[threegpp.ByteCounters]

	// messages
	sms    []message
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

func keep[T any](list []T, max int, v T) []T {
	if len(list) >= max {
		copy(list, list[1:])
		list = list[:len(list)-1]
	}
	return append(list, v)
}

// Observe folds one observation. Facts that Known has no use for are ignored.
func (k *Known) Observe(o Observation) {
	k.Now = o.At
	if k.reg == nil {
		k.reg = map[threegpp.Domain]stamped[threegpp.Registration]{}
		k.contexts = map[int]stamped[threegpp.ContextState]{}
		k.configs = map[int]stamped[threegpp.ContextConfig]{}
		k.locks = map[string]stamped[threegpp.RadioLock]{}
		k.portLevels = map[string]float64{}
	}
	switch f := o.Fact.(type) {
	case struct{}:
		return // time has passed, and nobody said anything
	case threegpp.Silence:
		k.silentRun++
		if fastCommand(f.Command) {
			k.silentFast++
		}
		k.silentAt, k.silentCmd = o.At, f.Command
		k.bootSeen = false
		k.unanswered(o, f.Command)
		return
	case threegpp.Restarted:
		// The banners of one boot come together; the first thing a modem ever
		// says is its own start and no fault.
		if k.everSpoke && !k.bootSeen && !k.isDisturbed(o.At) {
			k.restarts = keep(k.restarts, maxRestarts, o.At)
		}
		k.bootSeen, k.everSpoke = true, true
		k.cfun = stamped[threegpp.Functionality]{}
		k.silentRun, k.silentFast = 0, 0
		return
	case Port:
		k.port.set(o, f)
		return
	case Disturbance:
		k.disturb(o, f)
		return
	case Interface:
		if k.iface.ok && k.iface.value.Present != f.Present && f.Present {
			k.sessionUp = stamped[bool]{}
		}
		k.iface.set(o, f)
		return
	}
	if k.observeAgent(o) {
		return
	}
	k.observeModem(o)
}

// observeAgent folds facts that do not come from the modem.
func (k *Known) observeAgent(o Observation) bool {
	switch f := o.Fact.(type) {
	case ProbeResult:
		k.probes = keep(k.probes, maxProbes, probeRead{o.At, f})
		if f.Result == "ok" && f.Target != "carrier" && f.Probe != "ntp" {
			k.end(o, func(threegpp.Protocol) bool { return true }) // packets pass: whatever was refused is over
		}
	case Traffic:
		k.traffic.set(o, f)
	case Usage:
		k.usage.set(o, f)
	case PlanFact:
		k.plan.set(o, f)
	case SIMStatusFact:
		k.simStatus.set(o, f)
		k.simStatus.ok = f != (SIMStatusFact{}) // of a card just put in nothing is known
	case NeighboursFact:
		k.neighbours.set(o, f)
	case LastGood:
		k.lastGood.set(o, f)
	case Settings:
		k.settings.set(o, f)
	case History:
		k.history.set(o, f)
	default:
		return false
	}
	return true
}

// observeModem folds what the modem said. Any line proves that it lives.
func (k *Known) observeModem(o Observation) {
	if f, ok := o.Fact.(threegpp.Unparsed); ok {
		k.unparsed++
		if f.Command == "" {
			return // noise on the line is no sign of life
		}
	}
	k.everSpoke = true
	if strings.HasPrefix(o.Source, "urc:") {
		k.silentRun, k.silentFast = 0, 0 // it lives; what is not answered from here on counts anew
	}
	switch f := o.Fact.(type) {
	case threegpp.Done:
		k.alive(o)
		if activates(f.Command) && !startsDial(f.Command) {
			k.refusals = nil
		}
		if opensSession(f.Command) {
			k.sessionOpened(o)
		}
	case threegpp.Refusal:
		internal := k.internal
		k.alive(o)
		if f.Final == "CME" && f.Code == 0 {
			k.internal = internal + 1
		}
		k.refused(o, f)
	case threegpp.Functionality:
		k.cfun.set(o, f)
		if f.Level == 1 && f.Set {
			k.disturb(o, Disturbance{"radio cycle"})
		}
	case threegpp.PowerState:
		if f.Alarm != "" {
			k.alarm.set(o, f)
		}
	case threegpp.ModemIdentity:
		// +CGMI, +CGMM and +CGMR tell one field each.
		old := k.identity.value
		k.identity.set(o, threegpp.ModemIdentity{Manufacturer: cmp.Or(f.Manufacturer, old.Manufacturer),
			Model: cmp.Or(f.Model, old.Model), Revision: cmp.Or(f.Revision, old.Revision)})
	case threegpp.SIM:
		k.observeSIM(o, f)
	case threegpp.SIMPresence:
		k.presence.set(o, f)
	case threegpp.SIMDetect:
		k.detect.set(o, f)
	case threegpp.CardValidity:
		k.validity.set(o, f)
		if f.NoCard {
			k.observeSIM(o, threegpp.SIM{State: threegpp.SIMAbsent, Text: "no card"})
		}
	case threegpp.ICCID:
		k.iccid.set(o, f)
		k.iccidRefused = 0
	case threegpp.IMSI:
		k.imsi.set(o, f)
		k.imsiRefused = 0
	case threegpp.IMEI:
		k.imei.set(o, f)
	case threegpp.Signal:
		k.observeSignal(o, f)
	case threegpp.ServingCell:
		k.observeCell(o, f)
	case threegpp.ServiceState:
		k.service.set(o, f)
	case threegpp.Scan:
		k.scans = keep(k.scans, maxScans, stamped[threegpp.Scan]{o.At, f, true, o.Source})
	case threegpp.RadioLock:
		if roomFor(k.locks, f.Lock, maxKeys) {
			k.locks[f.Lock] = stamped[threegpp.RadioLock]{o.At, f, true, o.Source}
		}
	case threegpp.Registration:
		k.observeRegistration(o, f)
	case threegpp.Operator:
		k.operator.set(o, f)
	case threegpp.Reject:
		if k.stale(f) {
			return
		}
		k.rejects = keep(k.rejects, maxRejects, reject{o.At, f, firstOf(f.PLMN, k.servingPLMN()), o.Source})
		if f.Cause.Protocol.SessionProtocol() && informational(f.Cause) == no && !readBack(f.Source) {
			k.sessionUp.set(o, false)
		}
	case threegpp.Attach:
		k.attach.set(o, f)
	case threegpp.Backoff:
		k.backoff.set(o, f)
	case threegpp.ContextState, threegpp.ContextConfig, threegpp.ContextEvent, threegpp.SubscriptionPCO, threegpp.ByteCounters:
		k.observeSession(o)
	case threegpp.ModemProbe:
		k.modProbe = keep(k.modProbe, maxProbes, stamped[threegpp.ModemProbe]{o.At, f, true, o.Source})
	case threegpp.SMS:
		// Stored messages are read again with every slow round.
		m := message{f.At, carrier.Classify(f.From, f.Text)}
		if m.meaning != carrier.Nothing && !slices.ContainsFunc(k.sms, func(old message) bool { return old.meaning == m.meaning && old.sent.Equal(m.sent) }) {
			k.sms = keep(k.sms, maxSMS, m)
		}
	case threegpp.USSD:
		k.ussd.set(o, f)
	case threegpp.NetworkTime:
		k.modemClock.set(o, f)
	}
}

func (k *Known) alive(o Observation) {
	k.silentRun, k.silentFast, k.internal = 0, 0, 0
	k.answered++
	k.bootSeen = false
}

// observeSIM keeps what was read of the card. Of a run of equal reads the first
// and the newest are enough, so that the list holds ten minutes of flapping
// however often the card is asked.
func (k *Known) observeSIM(o Observation, f threegpp.SIM) {
	n, same := len(k.sim), 0
	for same < n && k.sim[n-1-same].state == f.State {
		same++
	}
	switch {
	case same > 0 && !f.URC && o.At.Boot == k.sim[n-1].at.Boot && o.At.Mono-k.sim[n-1].at.Mono < readApart:
		return // another command of the same round
	case same >= maxSameReads:
		k.sim = slices.Delete(k.sim, n-maxSameReads+1, n-maxSameReads+2)
	}
	k.sim = keep(k.sim, maxSIMReads, simRead{o.At, f.State, f.Text, f.URC, o.Source})
}

func (k *Known) observeSignal(o Observation, f threegpp.Signal) {
	if f.Source == "+CSQ" {
		k.csq.set(o, f)
	}
	if f.Port != "" {
		if f.RSRP != nil && roomFor(k.portLevels, f.Port, maxKeys) {
			k.portLevels[f.Port] = *f.RSRP
		}
		return
	}
	if f.RSSI == nil && f.RSRP == nil {
		if f.NotKnown {
			k.unknownRun++
		}
		return
	}
	k.unknownRun = 0
	if f.RSRP != nil || !k.signal.ok || k.signal.value.RSRP == nil || f.Source == k.signal.value.Source {
		k.signal.set(o, f)
	}
	if f.RSRP != nil && (f.RAT == "" || strings.HasPrefix(f.RAT, "lte") || f.RAT == "nbiot" || f.RAT == "nr") {
		k.levels = keep(k.levels, maxLevels, level{o.At, *f.RSRP, k.cell.value.Cell})
	}
}

func (k *Known) observeCell(o Observation, f threegpp.ServingCell) {
	// A cell line comes before its level line, so that levels know their cell.
	k.cell.set(o, f)
}

func (k *Known) observeRegistration(o Observation, f threegpp.Registration) {
	if !roomFor(k.reg, f.Domain, maxKeys) {
		return
	}
	if old, ok := k.reg[f.Domain]; ok && !f.Cause.Known() && old.value.Cause.Known() && f.Stat == old.value.Stat &&
		k.within(old.at, rejectWindow) && !f.Stat.Registered() {
		f.Cause = old.value.Cause // a shorter form of the same state takes nothing back
	}
	k.reg[f.Domain] = stamped[threegpp.Registration]{o.At, f, true, o.Source}
	k.regReads = keep(k.regReads, maxRegReads, regRead{o.At, f, o.Source})
	if f.Cause.Known() && !f.Stat.Registered() {
		k.rejects = keep(k.rejects, maxRejects, reject{o.At,
			threegpp.Reject{Cause: f.Cause, Procedure: "attach", Source: "+C" + map[threegpp.Domain]string{
				threegpp.CS: "REG", threegpp.PS: "GREG", threegpp.EPS: "EREG", threegpp.NR: "5GREG"}[f.Domain]},
			k.servingPLMN(), o.Source})
	}
	if f.Stat.Registered() && f.Domain != threegpp.CS {
		// Success ends what mobility rejects said before it.
		k.end(o, threegpp.Protocol.MobilityProtocol)
	}
}

func (k *Known) observeSession(o Observation) {
	switch f := o.Fact.(type) {
	case threegpp.ContextState:
		if !roomFor(k.contexts, f.CID, maxContexts) {
			return
		}
		if was := k.contexts[f.CID]; !f.Active && (was.value.Active || f.CID < 0) {
			k.sessionUp.set(o, false) // it stood, or it is the only one
		}
		k.contexts[f.CID] = stamped[threegpp.ContextState]{o.At, f, true, o.Source}
		if f.Active && usableAddr(f.Addr) {
			k.sessionOpened(o)
		}
	case threegpp.ContextConfig:
		if !roomFor(k.configs, f.CID, maxContexts) {
			return
		}
		old := k.configs[f.CID]
		if f.APN == "" && f.AuthHash != "" {
			f.APN, f.Type = old.value.APN, old.value.Type // credentials alone leave the APN as it is
		}
		if f.Set && old.ok {
			if old.value.AuthHash != "" && f.AuthHash != "" && old.value.AuthHash != f.AuthHash {
				k.authOld, k.authNew = old.value.AuthHash, f.AuthHash
			}
			if f.AuthHash == "" {
				f.AuthHash = old.value.AuthHash // and the other way round
			}
			if old.value.APN != "" && !strings.EqualFold(old.value.APN, f.APN) {
				k.apnOld = old.value.APN
			}
		}
		k.configs[f.CID] = stamped[threegpp.ContextConfig]{o.At, f, true, o.Source}
	case threegpp.ContextEvent:
		k.events = keep(k.events, maxEvents, ctxEvent{o.At, f})
		switch {
		case strings.HasSuffix(f.Event, "PDN ACT") || f.Event == "ACT" && f.By == "ME" || f.Event == "REACT":
			k.sessionOpened(o)
			k.refusals = nil
		case f.Event == "DETACH" || strings.HasSuffix(f.Event, "DEACT"):
			k.sessionUp.set(o, false)
			if f.Event == "DETACH" {
				clear(k.contexts)
			}
		}
	case threegpp.SubscriptionPCO:
		k.pco.set(o, f)
	case threegpp.ByteCounters:
		k.counters = keep(k.counters, maxMilestone, stamped[threegpp.ByteCounters]{o.At, f, true, o.Source})
	}
}

// sessionOpened folds a proof that a session stands: it ends what session
// rejects said before it.
func (k *Known) sessionOpened(o Observation) {
	k.sessionUp.set(o, true)
	k.end(o, threegpp.Protocol.SessionProtocol)
}

// end takes out the rejects of one layer: it works since.
func (k *Known) end(o Observation, layer func(threegpp.Protocol) bool) {
	kept := k.rejects[:0]
	for _, r := range k.rejects {
		if !layer(r.rej.Cause.Protocol) {
			kept = append(kept, r)
			continue
		}
		r.at = o.At
		k.ended = slices.DeleteFunc(k.ended, func(old reject) bool { return old.rej.Cause == r.rej.Cause })
		k.ended = keep(k.ended, maxEnded, r)
	}
	k.rejects = kept
}

// stale reports whether f is the last cause on record, read back after the
// success that ended it, while nothing was refused or closed since: modems keep
// it for ever (field-notes (d) 11).
func (k *Known) stale(f threegpp.Reject) bool {
	if !readBack(f.Source) {
		return false
	}
	i := slices.IndexFunc(k.ended, func(r reject) bool {
		return r.rej.Cause.Number == f.Cause.Number && r.rej.Cause.Protocol.SessionProtocol() == f.Cause.Protocol.SessionProtocol()
	})
	if i < 0 {
		return false
	}
	if f.Cause.Protocol.SessionProtocol() && k.registered() == no {
		return true // a session that closed with the registration was not refused
	}
	since := k.ended[i].at.Mono
	for _, e := range k.events {
		if e.at.Mono > since && (e.ev.Event == "DETACH" || strings.HasSuffix(e.ev.Event, "DEACT")) {
			return false
		}
	}
	for _, r := range k.refusals {
		if r.at.Mono > since {
			return false
		}
	}
	for _, r := range k.regReads {
		if r.at.Mono > since && r.reg.Stat == threegpp.RegDenied && r.reg.Domain != threegpp.CS {
			return false
		}
	}
	return true
}

// refused folds a command that the modem answered with an error.
func (k *Known) refused(o Observation, f threegpp.Refusal) {
	c := commandName(f.Command)
	if f.Final == "CME" && f.Code == 262 {
		// Not in TS 27.007; a module that says so has been seen to mean a bad
		// contact (field-notes (d) 7).
		k.observeSIM(o, threegpp.SIM{State: threegpp.SIMWrong, Text: "CME 262"})
	}
	switch {
	case f.Final == "CME" && f.Code == notSupported && !activates(f.Command):
		// A question that the module does not know: it says nothing of the card.
	case c == "+CIMI":
		k.imsiRefused++
	case c == "+CCID" || c == "+QCCID" || c == "+ICCID" || c == "^ICCID":
		k.iccidRefused++
	case f.Final == "CMS" && slices.Contains(barredSMS[:], f.Code):
		k.barred.set(o, f.Code)
	case connects(c):
		k.modProbe = keep(k.modProbe, maxProbes, stamped[threegpp.ModemProbe]{o.At, threegpp.ModemProbe{Probe: "tcp", Result: "error"}, true, o.Source})
	case activates(f.Command):
		k.refusals = keep(k.refusals, maxRefusals, refusal{o.At, f, k.apnNow(), o.Source})
		k.sessionUp.set(o, false)
	}
}

// connects reports whether the command of that name opens a connection of the
// module's own stack, so that its refusal is a connection that failed.
func connects(name string) bool {
	switch name {
	case "+QIOPEN", "+QSSLOPEN", "+QMTOPEN", "+QHTTPGET", "+QHTTPPOST", "+CIPSTART", "+CIPOPEN", "+CAOPEN", "+CHTTPSOPSE", "+HTTPACTION",
		"+CMQTTCONNECT", "+SMCONN", "+USOCO", "#SD", "#SSLD", "^SISO", "+MIPOPEN", "+MIPSTART", "+KTCPCNX", "+NSOCO":
		return true
	}
	return false
}

// notSupported is "operation not supported" (TS 27.007 §9.2.1).
const notSupported = 4

// barredSMS are the causes of TS 24.011 §8.2.5.4 that speak of the subscriber:
// operator determined barring, call barred, unidentified subscriber, facility
// not subscribed.
var barredSMS = [...]int{8, 10, 28, 50}

// unanswered folds a command that got no answer at all.
func (k *Known) unanswered(o Observation, command string) {
	if activates(command) {
		k.sessionUp = stamped[bool]{}
	}
}

func (k *Known) within(at instant.Instant, d time.Duration) bool {
	return at.Boot == k.Now.Boot && k.Now.Mono-at.Mono <= d
}

// disturb opens the window in which nothing is evidence. A recovery is told when
// it begins and when it ends; that is one window.
func (k *Known) disturb(o Observation, f Disturbance) {
	if !k.isDisturbed(o.At) {
		k.disturbFrom = o.At
	}
	k.disturbed.set(o, f)
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

// commandName is the command without AT, arguments and question mark.
func commandName(command string) string {
	c := strings.ToUpper(strings.TrimSpace(command))
	c = strings.TrimPrefix(c, "AT")
	if i := strings.IndexAny(c, "=?"); i >= 0 {
		c = c[:i]
	}
	return strings.TrimSpace(c)
}

// activates reports whether command asks the network for a session or an
// attach, so that its refusal speaks of the network.
func activates(command string) bool {
	c := strings.ToUpper(strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(command)), "AT"))
	c = strings.ReplaceAll(c, " ", "")
	for _, p := range []string{"+CGACT=1", "+CGATT=1", "+QIACT=", "+CIICR", "+NETOPEN", "D*99", "DT*99", "D*98", "DT99",
		"+CNACT=1", "+CNACT=0,1", "+XIIC=1", "^NDISDUP=1,1", "+GTRNDIS=1", "+MIPCALL=1", "$MYNETACT=", "+UPSDA=0,3",
		"#SGACT=1,1", "+QNETDEVCTL=1", "+CGDATA=", "+COPS=0", "+COPS=1", "$QCRMCALL=1,1", "+SAPBR=1,", "+KCNXUP=", "+ZIPCALL=1"} {
		if strings.HasPrefix(c, p) && !strings.HasSuffix(c, "?") {
			return true
		}
	}
	return false
}

// opensSession reports whether the OK to command means that a session stands.
// To an attach or an operator choice it does not, and commands that only start
// a dial tell the result later.
func opensSession(command string) bool {
	if !activates(command) {
		return false
	}
	switch commandName(command) {
	case "+CGATT", "+COPS":
		return false
	}
	return !startsDial(command)
}

// startsDial reports whether the OK to command only says that a dial has begun.
func startsDial(command string) bool {
	switch commandName(command) {
	case "^NDISDUP", "+NETOPEN", "+XIIC", "+MIPCALL", "$QCRMCALL", "$MYNETACT", "+KCNXUP", "+ZIPCALL":
		return true
	}
	return false
}

// readBack reports whether source answers with the last cause on record, which
// may be older than a success that followed it.
func readBack(source string) bool { return source == "+CEER" || source == "#CEERNET" }

// fastCommand reports whether a live modem answers command at once: not a
// scan, not an activation, not a probe that waits for the network.
func fastCommand(command string) bool {
	c := strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(command)), "AT"), " ", ""))
	if c == "" || c == "E0" || c == "I" {
		return true
	}
	return strings.HasSuffix(c, "?") && !strings.HasSuffix(c, "=?") ||
		c == "+CSQ" || c == "+CESQ" || c == "+CIMI" || c == "+CGSN" || c == "+GSN" || c == "+CGMI" || c == "+CGMM" || c == "+CGMR"
}

// usableAddr applies the rule of causes.yaml pdp_state: empty, all-zero and
// link-local addresses carry nothing; private ranges are normal.
func usableAddr(a string) bool {
	a = strings.Trim(a, `" `)
	if a == "" || strings.HasPrefix(a, "169.254.") {
		return false
	}
	return strings.Trim(a, "0.:") != ""
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}
