package worker

import (
	"context"

	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/modem/threegpp"
)

// delete takes messages out of the modem's store. That each is still the message that
// was listed is checked by DeleteSMS.
func (w *Modem) delete(ctx context.Context, m device.Modem, messages []threegpp.SMS) {
	gone := 0
	for _, s := range messages {
		answers := m.DeleteSMS(ctx, s)
		if last := answers[len(answers)-1]; last.Accepted() && CommandName(last.Command) == "+CMGD" {
			gone++
		}
	}
	if gone > 0 {
		w.log.Info("old messages deleted to make room", "messages", gone, "why", "modem.sms_delete")
	}
	w.send(ctx, core.MessagesDeleted{At: w.at(), Parts: gone})
}
