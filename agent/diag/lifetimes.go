package diag

import (
	"slices"
	"strings"

	"cellwarden/modem/threegpp"
)

// A subject is what a fact speaks of. A fact is not kept longer than its subject
// stays what it was.
type subject string

const (
	ofModule       subject = "module"
	ofCard         subject = "card"
	ofRadio        subject = "radio"
	ofRegistration subject = "registration"
	ofSession      subject = "session"
	ofInterface    subject = "interface" // the host's data interface and what ran over it
)

// An ending is what makes facts old at once, whatever their age.
type ending string

const (
	moduleRestarted  ending = "module restarted"
	radioSwitchedOff ending = "radio switched off"
	cardChanged      ending = "another card"
	registrationLost ending = "registration lost"
	sessionLost      ending = "session lost"
	sessionNew       ending = "a new session" // where none stood, or with another address
	interfaceDown    ending = "interface down, gone or without address"
	interfaceUp      ending = "interface up again"
)

// anew are the endings after which the whole line is another one.
var anew = []ending{moduleRestarted, radioSwitchedOff, cardChanged}

// A lifetime says of one kind of fact what it speaks of and what ends it. Facts
// not listed are ended by newer ones of their kind and by the windows of known.go
// alone: what is known of the module itself (its restarts, alarms, locks) and of
// the business (plan, platform, neighbours).
type lifetime struct {
	fact  string
	of    subject
	ended []ending
	drop  func(*Known)
}

var lifetimes = []lifetime{
	{"functionality", ofModule, []ending{moduleRestarted}, func(k *Known) { k.cfun = stamped[threegpp.Functionality]{} }},

	{"iccid, imsi", ofCard, []ending{cardChanged}, func(k *Known) {
		k.imsi, k.imsiRefused, k.iccidRefused = stamped[threegpp.IMSI]{}, 0, 0
	}},
	{"what the network marks the card as", ofCard, anew, func(k *Known) { k.validity = stamped[threegpp.CardValidity]{} }},
	// A refusal stands over a restart: the network refused the card, not the start.
	{"rejects", ofCard, []ending{cardChanged}, func(k *Known) { k.rejects, k.ended = nil, nil }},
	{"messages, USSD, barred messages", ofCard, []ending{cardChanged}, func(k *Known) {
		k.sms, k.ussd, k.barred = nil, stamped[threegpp.USSD]{}, stamped[int]{}
	}},
	{"changed APN and credentials", ofCard, []ending{cardChanged}, func(k *Known) { k.apnOld, k.authOld, k.authNew = "", "", "" }},

	{"signal, levels", ofRadio, anew[:2], func(k *Known) {
		k.signal, k.unknownRun, k.levels = stamped[threegpp.Signal]{}, 0, nil
		clear(k.portLevels)
	}},
	{"serving cell, service state", ofRadio, anew, func(k *Known) {
		k.cell, k.service = stamped[threegpp.ServingCell]{}, stamped[threegpp.ServiceState]{}
	}},

	{"registration", ofRegistration, anew, func(k *Known) {
		clear(k.reg)
		k.regReads = nil
	}},
	{"operator, attach, imposed back-off", ofRegistration, anew, func(k *Known) {
		k.operator.value.Name, k.operator.value.PLMN = "", "" // how it is chosen is a setting, and stays
		k.attach, k.backoff = stamped[threegpp.Attach]{}, stamped[threegpp.Backoff]{}
	}},

	{"contexts", ofSession, anew, func(k *Known) { clear(k.contexts) }},
	{"addresses", ofSession, []ending{sessionLost}, func(k *Known) {
		for cid, c := range k.contexts {
			c.value.Active, c.value.Addr = false, ""
			k.contexts[cid] = c
		}
	}},
	{"that a session stands", ofSession, anew, func(k *Known) { k.sessionUp = stamped[bool]{} }},
	{"how a session ended or was refused", ofSession, append([]ending{sessionNew}, anew...), func(k *Known) { k.refusals, k.events = nil, nil }},
	{"subscription state of the session", ofSession, append([]ending{sessionNew}, anew...), func(k *Known) { k.pco = stamped[threegpp.SubscriptionPCO]{} }},

	// What was proved was proved of one session over one interface; what failed
	// before the next one says nothing of it.
	{"probes that were answered", ofInterface, append([]ending{registrationLost, sessionLost, sessionNew, interfaceDown, interfaceUp}, anew...), func(k *Known) {
		k.probes = slices.DeleteFunc(k.probes, func(p probeRead) bool { return p.res.Result == "ok" })
	}},
	{"probes that failed", ofInterface, append([]ending{sessionNew, interfaceUp}, anew...), func(k *Known) { k.probes = nil }},
	{"traffic", ofInterface, append([]ending{sessionLost, sessionNew, interfaceDown, interfaceUp}, anew...), func(k *Known) {
		k.traffic, k.counters = stamped[Traffic]{}, nil
	}},
	{"the module's own tests", ofSession, append([]ending{sessionNew}, anew...), func(k *Known) { k.modProbe = nil }},
}

// end drops every fact that by ends.
func (k *Known) endFacts(by ending) {
	for _, l := range lifetimes {
		if slices.Contains(l.ended, by) {
			l.drop(k)
		}
	}
	k.lineSince = k.Now
}

// sessionOpened folds a proof that a session stands. One where none stood is a new
// one; either ends what session rejects said before it.
func (k *Known) sessionOpened(o Observation) {
	if k.sessionUp.ok && !k.sessionUp.value {
		contexts := k.contexts
		k.endFacts(sessionNew)
		k.contexts = contexts
	}
	k.sessionUp.set(o, true)
	k.end(o, threegpp.Protocol.SessionProtocol)
}

// sessionClosed folds a word that the session is gone or was refused.
func (k *Known) sessionClosed(o Observation) {
	if k.sessionIsUp() == yes {
		k.endFacts(sessionLost)
	}
	k.sessionUp.set(o, false)
}

// observeInterface folds a look at the data interface.
func (k *Known) observeInterface(o Observation, f Interface) {
	was := k.iface
	k.iface.set(o, f)
	switch {
	case f.down() != "" && f.down() != "no_route":
		if !was.ok || was.value.down() == "" {
			k.endFacts(interfaceDown)
		}
	case was.ok && was.value.down() != "":
		k.endFacts(interfaceUp)
	case was.ok && was.value.Addr != "" && f.Addr != "" && was.value.Addr != f.Addr:
		k.endFacts(sessionNew) // another address is another session
	}
	if was.ok && !was.value.Present && f.Present {
		k.sessionUp = stamped[bool]{}
	}
}

// observeCard folds the card's number; another one ends what belongs to the card.
func (k *Known) observeCard(o Observation, f threegpp.ICCID) {
	if old := strings.TrimRight(k.iccid.value.Value, "F"); k.iccid.ok && old != strings.TrimRight(f.Value, "F") {
		k.endFacts(cardChanged)
	}
	k.iccid.set(o, f)
	k.iccidRefused = 0
}
