package agent

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/config"
	"cellwarden/agent/diag"
	boards "cellwarden/firmware-targets"
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

// lend gives the hardware the hands that the board's file describes: reset lines,
// dialer commands, an LED.
func lend(hw *Hardware, b config.Board, log *slog.Logger) {
	if b.Target == nil {
		return
	}
	t := b.Target.Known()
	if t.LED.Name != "" {
		hw.ShowState = showOn(board.OpenLED("/sys", t.LED.Name), log)
	}
	if t.GPIO.Reset == nil && t.GPIO.PowerKey == nil {
		return
	}
	hw.ResetModem = func(_ context.Context, state string) error {
		line := resetLine(t.GPIO, state)
		if line == nil {
			return errNoLine
		}
		hung := board.RunCommand(t.Dialer.HangUp)
		err := board.Press(*line)
		log.Warn("modem reset by its line", "port", state, "chip", line.Chip, "line", line.Line, "error", errors.Join(hung, err))
		return err
	}
	if t.Dialer.Dial != "" {
		hw.Redial = func(context.Context) error {
			err := board.RunCommand(t.Dialer.Dial)
			log.Info("dialled anew after the reset", "error", err)
			return err
		}
	}
}

var errNoLine = errors.New("no line helps a modem in this state")

// resetLine is the line to press: the reset, or for a modem that is not there at all
// the power key, which may only be off. A module that is on and mute would be switched
// off by it.
func resetLine(g boards.GPIO, state string) *boards.Line {
	if g.Reset == nil && state == "absent" {
		return g.PowerKey
	}
	return g.Reset
}

// showOn writes the LED when the state changes, and tells once that it cannot.
func showOn(led board.LED, log *slog.Logger) func(good bool) {
	var shown, last, told bool
	return func(good bool) {
		if shown && good == last {
			return
		}
		shown, last = true, good
		if err := led.Show(good); err != nil && !told {
			told = true
			log.Warn("the LED cannot be set", "error", err)
		}
	}
}
