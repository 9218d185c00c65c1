package diag

import (
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"time"
)

// judgeSIM: is the card ready?
func (k *sight) judgeSIM(h *hits) GateState {
	state := GateUnknown
	if k.imsi.ok || k.iccid.ok || k.registered() == yes || k.csRegistered() {
		state = GatePassed
	}
	last, n := k.simNow()
	flips := k.flips()
	if flips >= 3 {
		h.add("sim_flips", firstOf(last.src, k.history.src), flips)
	}
	pinEmpty := k.presence.ok && !k.presence.value.Inserted
	pinTrusted := k.presence.ok && k.presence.value.Detect != nil && *k.presence.value.Detect || k.detect.ok && k.detect.value.Enabled
	pinFresh := k.presence.ok && k.presence.at.Mono >= k.lostSince().Mono // an older reading is of another time
	switch last.state {
	case threegpp.SIMReady:
		state = GatePassed
		if flips < 3 {
			h.add("sim_ready", last.src)
		}
		if k.sawLock() {
			h.add("sim_unlocked_again", last.src)
		}
	case threegpp.SIMRemoved:
		h.add("sim_removed", last.src)
		state = GateFailed
	case threegpp.SIMAbsent:
		state = GateFailed
		switch {
		case pinFresh && k.presence.value.Inserted && pinTrusted:
			h.add("sim_pin_contradicts", k.presence.src)
		case pinEmpty && pinFresh && pinTrusted && k.absentByPin():
			h.add("sim_pin_empty", k.presence.src)
		case n >= 3:
			h.add("sim_absent_steady", last.src, n, last.text)
		case k.sawRemoved():
			h.add("sim_removed", last.src)
		default:
			h.add("sim_absent_once", last.src, last.text)
		}
	case threegpp.SIMFailure:
		h.add("sim_failure", last.src, last.text)
		state = GateFailed
	case threegpp.SIMWrong:
		h.add("sim_wrong", last.src, last.text)
		state = GateFailed
	case threegpp.SIMRefused:
		if n >= 3 {
			h.add("sim_read_refused_steadily", last.src, n)
		} else {
			h.add("sim_read_refused", last.src)
		}
		state = GateFailed
	case threegpp.SIMNotReady:
		h.add("sim_not_ready", last.src)
		if pinEmpty && pinFresh && k.sawReady() {
			h.add("sim_gone_by_pin", k.presence.src)
		}
		state = GateFailed
	case threegpp.SIMPIN, threegpp.SIMPUK, threegpp.SIMLock:
		h.add("sim_lock", last.src, last.text)
		state = GateFailed
	case threegpp.SIMBusy:
		if k.busyLong() {
			h.add("sim_busy_long", last.src, n)
			state = GateFailed
		}
	default:
		if pinEmpty {
			h.add("sim_pin_only", k.presence.src)
			if state == GateUnknown {
				state = GateFailed
			}
		}
	}
	if flips >= 3 {
		state = GateFailed
	}
	if k.imsiRefused >= 2 && last.state != threegpp.SIMAbsent && last.state != threegpp.SIMRemoved && !lockState(last.state) {
		h.add("sim_imsi_unreadable", k.imsiFrom, k.imsiRefused)
		if last.state != threegpp.SIMReady {
			state = GateFailed
		}
	}
	if r, ok := k.reg[threegpp.EPS]; ok && r.value.Stat == threegpp.RegNordicNoUICC && (!lost(last.state) || k.simBare > 0) {
		h.add("uicc_failure", r.src) // where the card itself was read, that says more
		if last.state != threegpp.SIMReady {
			state = GateFailed
		}
	}
	if k.validity.ok && !k.validity.value.NoCard && !k.validity.value.ValidPS {
		h.add("card_invalid", k.validity.src)
	}
	return state
}

// askSIM is what would decide about the card.
func (k *sight) askSIM(*question) string { return "decide.reseat" }

// lostSince is when the card was first not there, of the present run of such reads.
func (k *Known) lostSince() instant.Instant {
	var at instant.Instant
	for i := len(k.sim) - 1; i >= 0 && lost(k.sim[i].state); i-- {
		at = k.sim[i].at
	}
	return at
}

// busyReads in a row, of which the first seconds of a start explain one or two.
const busyReads = 4

// busyLong: the card was busy on every read of late, and nothing else.
func (k *Known) busyLong() bool {
	last, n := k.simNow()
	return last.state == threegpp.SIMBusy && n >= busyReads
}

func lockState(s threegpp.SIMState) bool {
	return s == threegpp.SIMPIN || s == threegpp.SIMPUK || s == threegpp.SIMLock
}

func (k *Known) sawLock() bool {
	for _, r := range k.sim {
		if lockState(r.state) {
			return true
		}
	}
	return false
}

func (k *Known) sawReady() bool {
	for _, r := range k.sim {
		if r.state == threegpp.SIMReady {
			return true
		}
	}
	return false
}

func (k *Known) sawRemoved() bool {
	for _, r := range k.sim {
		if r.state == threegpp.SIMRemoved {
			return true
		}
	}
	return false
}

// absentByPin guards against an unwired detect pin: it is believed only when
// the card was once read with the pin saying "in".
func (k *Known) absentByPin() bool { return k.iccid.ok || k.imsi.ok }

// flips counts how often the card came or went in the last ten minutes.
func (k *Known) flips() int {
	n, last := 0, threegpp.SIMUnknown
	for _, r := range k.sim {
		if !k.within(r.at, simFlipWindow) || k.isDisturbed(r.at) {
			continue
		}
		up := r.state == threegpp.SIMReady
		if !up && !lost(r.state) {
			continue
		}
		if last != threegpp.SIMUnknown && up != (last == threegpp.SIMReady) {
			n++
		}
		last = r.state
	}
	// A lost and a found make one flip for people.
	n = (n + 1) / 2
	if h := k.history.value.SIMFlips10Min; h != nil && *h > n {
		n = *h
	}
	return n
}

func lost(s threegpp.SIMState) bool {
	switch s {
	case threegpp.SIMAbsent, threegpp.SIMRemoved, threegpp.SIMNotReady, threegpp.SIMFailure:
		return true
	}
	return false
}

// simNow is the newest word on the card and how many reads in a row agree that
// it is gone. A boot's first seconds are noise (field-notes (d) 7).
func (k *Known) simNow() (simRead, int) {
	if len(k.sim) == 0 {
		return simRead{}, 0
	}
	last := k.sim[len(k.sim)-1]
	if last.state == threegpp.SIMBusy {
		for i := len(k.sim) - 1; i >= 0; i-- {
			if k.sim[i].state != threegpp.SIMBusy {
				last = k.sim[i]
				break
			}
		}
	}
	n, at := 0, last.at.Mono+2*readApart
	for i := len(k.sim) - 1; i >= 0 && lost(k.sim[i].state) == lost(last.state) && (k.sim[i].state == threegpp.SIMReady) == (last.state == threegpp.SIMReady); i-- {
		if at-k.sim[i].at.Mono >= readApart {
			n, at = n+1, k.sim[i].at.Mono
		}
	}
	return last, n
}

// readApart: what several commands of one round say of the card is one read.
const readApart = time.Second
