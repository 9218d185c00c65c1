package agent

import (
	"time"

	"cellwarden/agent/diag"
)

// How a modem that is judged faulty is reset by its lines. The first try comes when a
// slow module would have come back by itself; then each waits twice as long, since a
// module that a reset does not help needs a technician, not more resets.
const (
	resetFirst = 5 * time.Minute
	resetMost  = 12 * time.Hour
	// resetForget: after so long without a fault the next one begins anew.
	resetForget = time.Hour
)

// mender says when the modem is to be reset. The zero value has nothing to mend.
type mender struct {
	since time.Duration // of the present fault, mono; 0: none
	good  time.Duration // since when there is none
	wait  time.Duration // before the next reset
	next  time.Duration // mono of it
}

// due takes how things stand now, and says whether now is the time. faulty is a raised
// modem_fault whose port cannot be opened: a module that sleeps by the network's leave,
// or that another program holds, is neither.
func (m *mender) due(now time.Duration, faulty bool) bool {
	if !faulty {
		if m.since != 0 {
			m.since, m.good = 0, now
		}
		return false
	}
	if m.since == 0 {
		m.since = now
		if m.wait == 0 || now-m.good >= resetForget {
			m.wait = resetFirst
		}
		m.next = now + m.wait
	}
	if now < m.next {
		return false
	}
	m.wait = min(2*m.wait, resetMost)
	m.next = now + m.wait
	return true
}

// mend resets the modem when it is time, and shows the state on the board's LED.
func (l *loop) mend(d diag.Diagnosis, standing bool) {
	if l.hw.ShowState != nil {
		l.hw.ShowState(d.Class == diag.Healthy)
	}
	if l.hw.ResetModem == nil {
		return
	}
	state := l.uplink.portState
	faulty := standing && d.Class == diag.ModemFault && (state == "silent" || state == "absent")
	if l.mender.due(l.hw.Now().Mono, faulty) {
		select {
		case l.line.resets <- state:
		default:
		}
	}
}
