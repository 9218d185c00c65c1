package device

import (
	"context"
	"errors"
	"log/slog"

	"cellwarden/agent/board"
	"cellwarden/agent/config"
	"cellwarden/agent/remedy"
	boards "cellwarden/firmware-targets"
)

// AttachBoardControls gives the hardware the hands that the board's file describes: reset lines,
// dialer commands, an LED.
func AttachBoardControls(hw *Hardware, b config.Board, log *slog.Logger) {
	if b.Target == nil {
		return
	}
	t := b.Target.Known()
	if t.LED.Name != "" {
		hw.ShowState = showOn(board.OpenLED("/sys", t.LED.Name), log)
	}
	if t.Dialer.Dial != "" {
		hw.Redial = func(context.Context) error {
			err := errors.Join(board.RunCommand(t.Dialer.HangUp), board.RunCommand(t.Dialer.Dial))
			log.Info("dialled anew", "error", err)
			return err
		}
	}
	if t.GPIO.SlotSwitch != nil {
		hw.Hands = map[remedy.Step]func(context.Context, string) error{
			"sim_switch": func(context.Context, string) error { return board.Press(*t.GPIO.SlotSwitch) }}
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
