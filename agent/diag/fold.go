package diag

import (
	"cellwarden/agent/carrier"
	"cellwarden/modem/threegpp"
	"cmp"
	"slices"
	"strconv"
	"strings"
)

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
		k.auth = map[string]string{}
	}
	switch f := o.Fact.(type) {
	case struct{}:
		return // time has passed, and nobody said anything
	case threegpp.Silence:
		k.silentRun++
		if threegpp.PurposeOf(f.Command).Has(threegpp.AnsweredAtOnce) {
			k.silentFast++
		}
		k.silentAt, k.silentCmd = o.At, f.Command
		k.bootSeen = false
		k.unanswered(o, f.Command)
		return
	case threegpp.Restarted:
		// The banners of one boot come together; the first thing a modem ever
		// says is its own start and no fault.
		// The same banner once more is the next boot.
		if !k.isDisturbed(o.At) && !k.off.ok && k.everSpoke && (!k.bootSeen || k.bootText == f.Text) {
			k.restarts = keep(k.restarts, maxRestarts, o.At)
			k.bootText = f.Text
		}
		if f.Crash && !k.isDisturbed(o.At) {
			k.crashes = keep(k.crashes, maxRestarts, o.At)
		}
		if !k.bootSeen {
			k.bootText = f.Text
		}
		k.bootSeen, k.everSpoke = true, true
		k.off = stamped[threegpp.PoweredOff]{}
		k.silentRun, k.silentFast = 0, 0
		k.endFacts(moduleRestarted)
		return
	case Port:
		k.port.set(o, f)
		return
	case Disturbance:
		k.disturb(o, f)
		return
	case Repaired:
		k.repaired()
		return
	case Interface:
		k.observeInterface(o, f)
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
		does := threegpp.PurposeOf(f.Command)
		if does.Has(threegpp.Connects) {
			k.opening = 1
		}
		if does.Has(threegpp.Attaches | threegpp.OpensSession) {
			k.refusals = nil
		}
		if does.Has(threegpp.OpensSession) {
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
		if k.switchedOff() {
			k.endFacts(radioSwitchedOff)
		}
		if f.Level == 1 && f.Set {
			k.disturb(o, Disturbance{"radio cycle"})
		}
	case threegpp.PoweredOff:
		k.off.set(o, f)
		k.endFacts(moduleRestarted)
	case threegpp.PowerSaving:
		k.saving.set(o, f)
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
		k.observeCard(o, f)
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
		if f.Cause.Protocol.SessionProtocol() && informational(f.Cause) == no && !threegpp.ReadBack(f.Source) {
			k.sessionClosed(o)
		}
	case threegpp.Attach:
		k.attach.set(o, f)
	case threegpp.Backoff:
		k.backoff.set(o, f)
	case threegpp.ContextState, threegpp.ContextConfig, threegpp.ContextEvent, threegpp.SubscriptionPCO, threegpp.ByteCounters:
		k.observeSession(o)
	case threegpp.ModemProbe:
		if f.Probe != "ping" && f.Probe != "dns" {
			k.opening = 0
		}
		k.modProbe = keep(k.modProbe, maxProbes, stamped[threegpp.ModemProbe]{o.At, f, true, o.Source})
	case threegpp.SMS:
		k.observeSMS(carrier.Part{From: f.From, Text: f.Text, At: f.At, Ref: f.Ref, Parts: f.Parts, Part: f.Part})
	case threegpp.USSD:
		k.ussd.set(o, f)
	case threegpp.NetworkTime:
		k.modemClock.set(o, f)
	}
}

func (k *Known) alive(o Observation) {
	k.silentRun, k.silentFast, k.internal = 0, 0, 0
	if o.At.Mono > k.off.at.Mono { // its own OK came with the order
		k.off = stamped[threegpp.PoweredOff]{}
	}
	if k.opening > 0 {
		k.opening++
	}
	k.answered++
	k.bootSeen = false
}

// observeSIM keeps what was read of the card. Of a run of equal reads the first
// and the newest are enough, so that the list holds ten minutes of flapping
// however often the card is asked.
func (k *Known) observeSIM(o Observation, f threegpp.SIM) {
	n, same := len(k.sim), 0
	if n > 0 {
		last := k.sim[n-1].state
		switch {
		case f.State == threegpp.SIMRefused && last != threegpp.SIMRefused && last != threegpp.SIMReady && last != threegpp.SIMBusy:
			k.simBare++ // a bare error takes no reasoned word back
			return
		}
	}
	k.simBare = 0
	if f.State == threegpp.SIMNotReady && f.URC && (k.bootSeen || k.isDisturbed(o.At)) {
		f.State = threegpp.SIMBusy // the card is not read yet: noise of every start
	}
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
	if f.Port != "" {
		if f.RSRP != nil && roomFor(k.portLevels, f.Port, maxKeys) {
			k.portLevels[f.Port] = *f.RSRP
			k.portsFrom = o.Source
		}
		return
	}
	if f.RSSI == nil && f.RSRP == nil {
		if f.NotKnown {
			k.unknownRun++
			k.unknownFrom = o.Source
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
	before := k.registered()
	k.reg[f.Domain] = stamped[threegpp.Registration]{o.At, f, true, o.Source}
	if before == yes && k.registered() == no {
		k.endFacts(registrationLost)
	}
	k.regReads = keep(k.regReads, maxRegReads, regRead{o.At, f, o.Source})
	if f.Cause.Known() && !f.Stat.Registered() {
		k.rejects = keep(k.rejects, maxRejects, reject{o.At,
			threegpp.Reject{Cause: f.Cause, Procedure: "attach"},
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
		was := k.contexts[f.CID]
		if f.ByAddress && was.ok && !was.value.ByAddress && !was.value.Active && k.within(was.at, contextApart) {
			return // some firmware shows the last address after the session is lost
		}
		if !f.Active && (was.value.Active || f.CID < 0) {
			k.sessionClosed(o) // it stood, or it is the only one
		}
		k.contexts[f.CID] = stamped[threegpp.ContextState]{o.At, f, true, o.Source}
		if f.Active && threegpp.UsableAddress(f.Addr) {
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
		if f.AuthHash != "" {
			part := strconv.Itoa(f.CID) + f.AuthPart
			if was := k.auth[part]; f.Set && was != "" && was != f.AuthHash {
				k.authOld, k.authNew = was, f.AuthHash
			}
			if roomFor(k.auth, part, maxContexts) {
				k.auth[part] = f.AuthHash
			}
		}
		if f.Set && old.ok {
			if f.AuthHash == "" {
				f.AuthHash = old.value.AuthHash // and the other way round
			}
			if old.value.APN != "" && !strings.EqualFold(old.value.APN, f.APN) {
				k.apnOld = old.value.APN
			}
		}
		k.configs[f.CID] = stamped[threegpp.ContextConfig]{o.At, f, true, o.Source}
	case threegpp.ContextEvent:
		k.events = keep(k.events, maxEvents, ctxEvent{o.At, f, o.Source})
		switch {
		case strings.HasSuffix(f.Event, "PDN ACT") || f.Event == "ACT" && f.By == "ME" || f.Event == "REACT":
			k.sessionOpened(o)
			k.refusals = nil
		case f.Event == "DETACH" || strings.HasSuffix(f.Event, "DEACT"):
			k.sessionClosed(o)
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
	if !threegpp.ReadBack(f.Source) {
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
	does := threegpp.PurposeOf(f.Command)
	if f.Final == "CME" && f.Code == 262 {
		// Not in TS 27.007; a module that says so has been seen to mean a bad
		// contact (field-notes (d) 7).
		k.observeSIM(o, threegpp.SIM{State: threegpp.SIMWrong, Text: "CME 262"})
	}
	switch {
	case f.Final == "CME" && f.Code == notSupported && !does.AsksNetwork():
		// A question that the module does not know: it says nothing of the card.
	case does.Has(threegpp.ReadsIMSI):
		k.imsiRefused++
		k.imsiFrom = o.Source
	case does.Has(threegpp.ReadsICCID):
		k.iccidRefused++
	case f.Final == "CMS" && slices.Contains(barredSMS[:], f.Code):
		k.barred.set(o, f.Code)
	case does.Has(threegpp.Connects):
		k.modProbe = keep(k.modProbe, maxProbes, stamped[threegpp.ModemProbe]{o.At, threegpp.ModemProbe{Probe: "tcp", Result: "error"}, true, o.Source})
	case does.AsksNetwork():
		k.refusals = keep(k.refusals, maxRefusals, refusal{o.At, f, k.apnNow(), o.Source})
		k.sessionClosed(o)
	}
}

// notSupported is "operation not supported" (TS 27.007 §9.2.1).
const notSupported = 4

// barredSMS are the causes of TS 24.011 §8.2.5.4 that speak of the subscriber:
// operator determined barring, call barred, unidentified subscriber, facility
// not subscribed.
var barredSMS = [...]int{8, 10, 28, 50}

// unanswered folds a command that got no answer at all.
func (k *Known) unanswered(o Observation, command string) {
	if threegpp.PurposeOf(command).AsksNetwork() {
		k.sessionUp = stamped[bool]{}
	}
}

// disturb opens the window in which nothing is evidence. A recovery is told when
// it begins and when it ends; that is one window.
func (k *Known) disturb(o Observation, f Disturbance) {
	if !k.isDisturbed(o.At) {
		k.disturbFrom = o.At
	}
	k.disturbed.set(o, f)
}

// roomFor keeps a map from growing by keys that no modem has.
func roomFor[K comparable, V any](m map[K]V, key K, most int) bool {
	_, ok := m[key]
	return ok || len(m) < most
}
