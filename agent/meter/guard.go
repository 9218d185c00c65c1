package meter

// Guard is how much of its own traffic the agent may still cause.
type Guard string

// Guard levels. Urgent alerts pass at every one.
const (
	GuardNone   Guard = "none"
	GuardSave   Guard = "save"
	GuardStrict Guard = "strict"
)

// When the levels begin, in per cent of the quota.
const (
	guardSaveFrom   = 90
	guardStrictFrom = 98
)

// Share is what is left of the agent's usual traffic at a level: all of it; a
// quarter (reports and probes four times rarer, the queue drained in batches); a
// twentieth (one report a day, alerts only).
func (g Guard) Share() float64 {
	switch g {
	case GuardSave:
		return 0.25
	case GuardStrict:
		return 0.05
	}
	return 1
}

// GuardFor is the level for a usage. A plan that bills overage is never stopped,
// so beyond its quota the agent saves money and no more; a pool's members cannot
// see its level, so only what this one used counts.
func GuardFor(u Usage) Guard {
	switch {
	case u.QuotaBytes == 0 || u.Percent < guardSaveFrom:
		return GuardNone
	case u.Percent < guardStrictFrom || u.OnExhaust == "overage":
		return GuardSave
	}
	return GuardStrict
}
