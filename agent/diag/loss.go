package diag

import "cellwarden/modem/threegpp"

// Loss is what a modem that should be on the net has lost.
type Loss string

// Losses.
const (
	NothingLost      Loss = ""
	RegistrationGone Loss = "registration"
	SessionGone      Loss = "session"
)

// Lost says what is lost by the modem's own word; nothing where it has no card to
// work with or its radio is off, which need no reason of the network.
func (k *Known) Lost() Loss {
	if last, _ := k.simNow(); lost(last.state) || lockState(last.state) || k.radioOff() {
		return NothingLost
	}
	switch {
	case k.registered() == no:
		return RegistrationGone
	case k.sessionUp.ok && !k.sessionUp.value:
		return SessionGone
	}
	return NothingLost
}

// LacksCause reports whether the network's reason for what is lost is not known.
func (k *Known) LacksCause() bool {
	for _, r := range k.rejects {
		if !k.within(r.at, eventWindow) {
			continue
		}
		if p := r.rej.Cause.Protocol; p.SessionProtocol() || p.MobilityProtocol() && p != threegpp.MM {
			return false
		}
	}
	return true
}

// Unproved reports whether the line is another one than what was last proved: a
// session, a registration or an interface changed since, and the modem says that
// all stands.
func (k *Known) Unproved() bool {
	if k.lineSince.IsZero() || k.Lost() != NothingLost || k.iface.ok && k.iface.value.down() != "" {
		return false
	}
	for _, p := range k.probes {
		if p.res.Result == "ok" && p.res.Target != "carrier" && p.at.Mono >= k.lineSince.Mono {
			return false
		}
	}
	return true
}

// Repaired is a person's word that the fault is mended: what was counted towards
// it (restarts, a card that came and went, alarms) is of before.
type Repaired struct{}

func (k *Known) repaired() {
	k.restarts, k.crashes, k.internal = nil, nil, 0
	k.alarm = stamped[threegpp.PowerState]{}
	if n := len(k.sim); n > 1 {
		k.sim = k.sim[n-1:]
	}
	k.history = stamped[History]{}
	k.levels = nil
	k.endFacts(interfaceUp)
}
