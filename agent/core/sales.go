package core

import (
	"time"

	"cellwarden/protocol"
)

// sellCheck is the least between two looks at the path for a sale, and how young a
// proof of it must be to need none: a busy machine sells every minute, and a probe
// costs 0.5 to 3 KB.
const sellCheck = 10 * time.Minute

// buyingFor is how long a purchase takes, from the choice to the product.
const buyingFor = 2 * time.Minute

// aboutToSell has the path looked at while somebody chooses: a dead one is then known
// before the payment, and not by it. Where the broker connection over the data interface
// proves the path, and where the line is in doubt anyway, there is nothing to add; the
// day's budget for probes holds as ever.
func (c *Core) aboutToSell() {
	now := c.now.Mono
	c.buying = now
	if c.inDoubt() || c.uplink.OverData && c.uplink.State == "connected" || c.soldFor > 0 && now-c.soldFor < sellCheck {
		return
	}
	c.soldFor = now
	c.probes.fresh(now)
}

// priced puts what an hour without service costs into an alert, where the machine's own
// habit tells.
func (c *Core) priced(a protocol.Alert) protocol.Alert {
	a.Lost = c.lost
	return a
}
