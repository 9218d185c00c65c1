package diag

import (
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"time"
)

// judgeModem: does the module run, with its radio on?
func (k *sight) judgeModem(h *hits) GateState {
	state := GateUnknown
	if k.everSpoke {
		state = GatePassed
	}
	if k.internal >= internalFailures {
		h.add("cme_internal", "at", k.internal)
		state = GateFailed
	} else if k.answered > 0 && k.port0 != GateFailed && k.freshRestarts() == 0 && !k.usbDrops() && !k.alarmed() {
		h.add("modem_answers", "at")
	}
	if k.usbDrops() {
		h.add("usb_drops", "usb", *k.history.value.USBDrops10Min)
		state = GateFailed
	}
	switch n := k.freshRestarts(); {
	case n >= 2:
		h.add("restarts", "urc", n)
		state = GateFailed
	case n == 1 && k.failedAtOnce():
		h.add("restart_then_failed", "urc")
	case n == 1 && k.settled():
		// A restart by itself is an event: what is heard since is judged.
		h.add("restart_over", "urc")
	case n == 1:
		h.add("restart_once", "urc")
		if k.restartMatters() {
			state = GateFailed
		}
	}
	if n := k.recent(k.crashes); n > 0 {
		h.add("crashed", "urc", n)
		if n >= 2 || !k.settled() {
			state = GateFailed
		}
	}
	if k.off.ok {
		h.add("powered_off", k.off.src)
		state = GateFailed
	}
	if k.alarmed() {
		h.add("power_alarm", k.alarm.src, k.alarm.value.Alarm)
		if k.registered() != yes || k.bootSeen || k.alarmIsNews() { // what was registered before the start is over
			state = GateFailed
		}
	}
	if k.switchedOff() {
		h.add("radio_off", k.cfun.src, k.cfun.value.Level)
		state = GateFailed
	} else if k.radioOff() {
		h.add("radio_low_power", k.cell.src)
		state = GateFailed
	}
	if k.operator.ok && k.operator.value.Mode == 2 {
		h.add("deregistered_by_command", k.operator.src)
		if k.registered() != yes {
			state = GateFailed
		}
	}
	return state
}

// askModem is what would decide about the module.
func (k *sight) askModem(q *question) string {
	if q.among[ModemOffOrAirplane] {
		return "decide.radio_on"
	}
	return "decide.power"
}

// settled: since its last restart the module has answered, or spoken of the network.
func (k *Known) settled() bool { return !k.bootSeen || len(k.reg) > 0 || k.cell.ok || k.service.ok }

// restartMatters: nothing of the network was heard since the restart, although the
// module was asked.
func (k *Known) restartMatters() bool { return !k.bootSeen && k.sessionUp.ok && !k.sessionUp.value }

// atOnce is how soon after a start a first activation that fails without any cause
// points to a supply that gives way when the module transmits.
const atOnce = time.Minute

// failedAtOnce: right after its restart the module failed to open a session, and
// neither it nor the network says why.
func (k *Known) failedAtOnce() bool {
	if len(k.restarts) == 0 || len(k.refusals) == 0 || k.sessionCauseKnown() || k.registered() != yes {
		return false
	}
	started, failed := k.restarts[len(k.restarts)-1], k.refusals[0]
	return failed.ref.Code < 0 && failed.ref.Text == "" && failed.at.Mono >= started.Mono && failed.at.Mono-started.Mono <= atOnce
}

// alarmIsNews: nothing was read of the network since the module warned.
func (k *Known) alarmIsNews() bool {
	n := len(k.regReads)
	return n > 0 && k.regReads[n-1].at.Mono < k.alarm.at.Mono
}

// recent counts the instants of the last hour.
func (k *Known) recent(list []instant.Instant) int {
	n := 0
	for _, at := range list {
		if k.within(at, restartWindow) {
			n++
		}
	}
	return n
}

// heardSinceRestart reports whether a level or cell was read after the last restart.
func (k *Known) heardSinceRestart() bool {
	if len(k.restarts) == 0 {
		return true
	}
	last := k.restarts[len(k.restarts)-1]
	return k.signal.ok && k.signal.at.Mono > last.Mono || k.cell.ok && k.cell.at.Mono > last.Mono
}

func (k *Known) freshRestarts() int {
	n := 0
	for _, r := range k.restarts {
		if k.within(r, restartWindow) {
			n++
		}
	}
	return n
}

// switchedOff: a functionality with transmitter, receiver or both off (TS 27.007
// §8.2: 0, 2, 3, 4), or 7, the offline mode of Qualcomm and Huawei.
func (k *Known) switchedOff() bool {
	if !k.cfun.ok {
		return false
	}
	switch k.cfun.value.Level {
	case 0, 2, 3, 4, 7:
		return true
	}
	return false
}

func (k *Known) radioOff() bool {
	if k.switchedOff() {
		return true
	}
	return k.cell.ok && k.cell.value.State == threegpp.CampLowPower && !(k.cfun.ok && k.cfun.value.Level == 1 && k.cfun.at.Mono > k.cell.at.Mono)
}

func (k *Known) usbDrops() bool {
	d := k.history.value.USBDrops10Min
	return d != nil && *d >= 3
}

// internalFailures answers of "phone failure" in a row are not about a question.
const internalFailures = 3

// alarmed: the module warned of its supply or temperature of late.
func (k *Known) alarmed() bool { return k.alarm.ok && k.within(k.alarm.at, eventWindow) }

// restartedOnly: the last thing heard is a restart, so earlier states are void.
func (k *Known) restartedOnly() bool { return k.bootSeen && k.freshRestarts() > 0 }
