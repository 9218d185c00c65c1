package meter

// Rounding is what is known of how an operator counts, before its own figures
// tell: package carrier holds it as data. The zero value counts as the device does.
type Rounding struct {
	// UnitBytes is what each span is rounded up to; 0 nothing is rounded.
	UnitBytes uint64
	Per       string // the span: "session", "day" or "cycle"
	// SessionsPerDay is how often a line that is always on is connected anew.
	SessionsPerDay float64
	// PacketBytes is counted for each packet beyond its IP header and content.
	PacketBytes uint64
}

// usualPacket is the mean packet of a machine that reports small messages, with
// its acknowledgements.
const usualPacket = 400

// prior is the rule that the figures then correct: scale, and kB for each day
// with traffic. What is rounded up loses half a unit in the mean.
func (r Rounding) prior() (scale, daily float64) {
	scale = 1 + float64(r.PacketBytes)/usualPacket
	half := float64(r.UnitBytes) / 2 / 1024
	switch r.Per {
	case "session":
		daily = half * r.SessionsPerDay
	case "day":
		daily = half
	}
	return scale, daily
}

// up rounds a cycle's sum.
func (r Rounding) up(n uint64) uint64 {
	if r.Per != "cycle" || r.UnitBytes == 0 || n%r.UnitBytes == 0 {
		return n
	}
	return satAdd(n, r.UnitBytes-n%r.UnitBytes)
}

// SetRounding tells the rule of the operator of the SIM in use. It is not kept:
// the caller has it at each start.
func (m *Meter) SetRounding(r Rounding) {
	b := m.active()
	b.round, b.habitDay = r, 0
	b.fix.scale0, b.fix.daily0 = r.prior()
}
