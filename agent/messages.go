package agent

import (
	"strconv"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// messageRoom is what must be free in the modem's message store: a notice of the
// operator takes up to three parts, and one that finds no room is lost.
const messageRoom = 3

// messages says when the store is nearly full. The agent deletes nothing that
// it did not put there, so a person has to.
func (t troubles) messages(s threegpp.SMSStored, at instant.Instant) {
	if s.Index >= 0 || s.Total <= 0 {
		return // a message was announced, or the size is not known
	}
	if s.Used+messageRoom <= s.Total {
		delete(t, "messages")
		return
	}
	t.set("messages", "sms_full", at, strconv.Itoa(s.Used), strconv.Itoa(s.Total))
}
