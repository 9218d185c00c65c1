package diag

import (
	"time"

	"cellwarden/agent/meter"
	"cellwarden/protocol"
)

func phrase(key string) Text { return Text{Key: key} }

func (k *Known) act(d *Diagnosis) {
	d.Act.Who = ClassTable[d.Class].Who
	d.Act.What = Text{Key: "class." + string(d.Class) + ".what"}
	if d.Class == OverQuota {
		p := k.plan.value.Plan
		switch {
		case k.simStatus.value.Status.ResumeAt != "":
			d.Act.ResumesAt = k.simStatus.value.Status.ResumeAt
		case k.Now.Trusted && p.CycleDay > 0:
			if c, ok := meter.Cycle(p, k.Now.Wall); ok {
				back := c.End
				if k.usedUpBeforeTurn() {
					back = c.Start.Add(resumeLag) // the cycle has turned, the restart lags: at the latest then
				}
				d.Act.ResumesAt = back.Format(time.RFC3339)
			}
		}
		switch {
		case protocol.Is(p.Pool):
			d.Detail = phrase("detail.pool")
		case p.OnExhaust == "throttle":
			d.Detail = phrase("detail.throttled")
		}
	}
	if d.Class == SIMFault && k.flips() >= 3 {
		d.Detail = phrase("detail.intermittent")
	}
	if d.Class == ModemFault && k.freshRestarts() >= 2 {
		d.Detail = phrase("detail.restarts")
	}
	if d.Class == ModemFault && k.unseen() {
		d.Detail = phrase("detail.unseen")
	}
}
