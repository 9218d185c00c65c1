package diag

import (
	"cellwarden/modem/threegpp"
	"time"
)

// judgePort: does the port answer AT?
func (k *sight) judgePort(h *hits) GateState {
	state := k.port.value.State
	switch {
	case k.held():
		return GateUnknown
	case k.unseen():
		h.add("port_never_seen", k.port.src, k.port.value.Detail)
		return GateFailed
	case k.port.ok && (state == "lost" || state == "absent"):
		h.add("port_lost", k.port.src, k.port.value.Detail)
		return GateFailed
	case k.port.ok && state == "garbage":
		h.add("port_garbage", k.port.src)
		return GateFailed
	}
	if k.off.ok && k.port.value.State != "lost" {
		return GateUnknown // it was switched off, and says nothing for that
	}
	if k.silent() > 0 && k.maybeAsleep() {
		h.add("silent_maybe_asleep", "at")
		return GateUnknown
	}
	switch k.silent() {
	case 2:
		h.add("port_silent", "at", max(k.silentRun, 2))
		return GateFailed
	case 1:
		h.add("port_silent_once", "at", k.silentCmd)
		return GateFailed
	}
	if k.everSpoke {
		return GatePassed
	}
	return GateUnknown
}

// askPort is what would decide about the port.
func (k *sight) askPort(*question) string {
	if k.unseen() {
		return "decide.port"
	}
	return "decide.power"
}

// silent says how far the port's silence goes: 0 none, 1 one unanswered
// command at the end, 2 beyond doubt.
func (k *Known) silent() int {
	if k.asleep() {
		return 0
	}
	if k.port.ok && k.port.value.State == "silent" && k.port.at.Mono >= k.silentAt.Mono {
		return 2
	}
	switch {
	case k.silentRun == 0 || !k.within(k.silentAt, silenceWindow):
		return 0
	case k.silentFast >= 2:
		return 2
	case k.silentFast >= 1:
		return 1
	}
	return 0
}

// maybeAsleep: power saving was asked for and the network's grant is not known, so
// that a registered modem that says nothing may sleep or hang.
func (k *Known) maybeAsleep() bool {
	return k.saving.ok && k.saving.value.Asked && k.registered() != no && (!k.port.ok || k.port.value.State == "silent" || k.port.value.State == "ok")
}

// asleep: the network granted power saving and the periodic update is not yet
// due, so a modem that answers nothing may just sleep (TS 24.008 §4.7.2.8).
func (k *Known) asleep() bool {
	r, ok := k.reg[threegpp.EPS]
	v := r.value
	if !ok || !v.Stat.Registered() || v.ActiveTimeS < 0 || v.PeriodicTAUS <= 0 {
		return false
	}
	return k.within(r.at, time.Duration(v.PeriodicTAUS)*time.Second*11/10)
}

// unseen: nothing that is a modem was ever met where the config looks for it. The
// modem may be dead, or on another port than the config says.
func (k *Known) unseen() bool {
	if !k.port.ok || k.port.value.Seen || k.everSpoke {
		return false
	}
	switch k.port.value.State {
	case "absent", "silent", "garbage":
		return true
	}
	return false
}

// held: another program has the port or the board hides it, so the modem's facts
// are old, or there are none.
func (k *Known) held() bool {
	return k.port.ok && (k.port.value.State == "held" || k.port.value.State == "unreadable")
}
