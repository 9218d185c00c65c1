package update

import (
	"time"

	"cellwarden/protocol"
)

// Policy is what a download may cost where it goes over the plan.
type Policy struct {
	// From and To are minutes of the day in Zone between which it may go; both the
	// same: always.
	From, To int
	Zone     *time.Location
	DayBytes int64 // in a day, on the air
	// UntilPercent of the quota may be used, this update's bytes among them.
	UntilPercent int
}

// Line is how things stand.
type Line struct {
	Now     time.Time
	Trusted bool
	Past    time.Time // when a clock was last trusted, zero never
	// OverData: it goes over the interface that the plan pays for. Else nothing but
	// the line itself bounds it.
	OverData    bool
	Used, Quota uint64 // of the cycle; Quota 0: not known
	Unplaced    bool   // what is used belongs to no cycle yet, for want of a clock
	Spent       int64  // today, by updates
	// Busy: the machine usually sells well at this hour, and in another of the window
	// less. A download takes from the line that payments need.
	Busy bool
}

// Allow says how many bytes may go now; with none the Refusal says what is waited
// for. now waives the hours.
func (p Policy) Allow(l Line, now bool) (int64, *protocol.Refusal) {
	if !l.OverData {
		return MaxBinary, nil
	}
	if !now && p.From != p.To {
		if !l.Trusted {
			return 0, protocol.Refuse(protocol.UpdateClock, "update.window cannot be judged without a trusted clock")
		}
		t := l.Now.In(p.Zone)
		m := t.Hour()*60 + t.Minute()
		in := p.From <= m && m < p.To
		if p.From > p.To { // over midnight
			in = m >= p.From || m < p.To
		}
		if !in {
			return 0, protocol.Refuse(protocol.UpdateOffPeak, "it is %02d:%02d, update.window begins at %02d:%02d", m/60, m%60, p.From/60, p.From%60)
		}
	}
	if !now && l.Busy {
		return 0, protocol.Refuse(protocol.UpdateOffPeak, "the machine usually sells well at this hour")
	}
	left := p.DayBytes - l.Spent
	if left <= 0 {
		return 0, protocol.Refuse(protocol.UpdateDayBytes, "%d of %d bytes of today are used", l.Spent, p.DayBytes)
	}
	if l.Quota > 0 {
		if l.Unplaced {
			return 0, protocol.Refuse(protocol.UpdateClock, "the plan's cycle is not known without a trusted clock")
		}
		until := l.Quota / 100 * uint64(p.UntilPercent) // 1 to 100, by the config's check
		room := int64(min(until-min(until, l.Used), MaxBinary))
		if room <= 0 {
			return 0, protocol.Refuse(protocol.UpdateQuota, "%d of %d bytes of the plan are used; updates stop at %d %%", l.Used, l.Quota, p.UntilPercent)
		}
		left = min(left, room)
	}
	return left, nil
}
