package core

import (
	"cellwarden/agent/carrier"
	"cellwarden/modem/threegpp"
)

// mailbox is the modem's message store as the last slow round listed it. What may be
// deleted is decided before the next one, so that the judgement has long seen a message
// and kept what follows from it.
type mailbox struct {
	used, total int // as +CPMS told; total 0: not known
	listed      []threegpp.SMS
}

// maxListed bounds what is kept of one listing: the largest store of a module here has
// 255 places.
const maxListed = 255

// see keeps what one answer tells of the store.
func (b *mailbox) see(fact any) {
	switch f := fact.(type) {
	case threegpp.SMSStored:
		if f.Index < 0 {
			b.used, b.total = f.Used, f.Total
		}
	case threegpp.SMS:
		if len(b.listed) < maxListed {
			b.listed = append(b.listed, f)
		}
	}
}

// makeRoom deletes what may go where the store was nearly full, and forgets the list:
// the round that follows makes another. It does so only with modem.sms_delete = "read".
func (c *Core) makeRoom() {
	b := c.mailbox
	c.mailbox = mailbox{}
	if !c.opt.DeleteRead || b.total <= 0 {
		return
	}
	if gone := carrier.Spare(b.listed, b.used+carrier.MessageRoom-b.total); len(gone) > 0 {
		c.emit(DeleteMessages{gone})
	}
}
