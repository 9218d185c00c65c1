package meter

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cellwarden/protocol"
)

const (
	// DefaultUTCOffset is the operator's when the plan names none: the cut-over of
	// the Chinese carriers is 00:00 Beijing time. Plans elsewhere name theirs.
	DefaultUTCOffset = "+08:00"
	defaultOffset    = 8 * secondsPerHour
	// DefaultRetentionDays is how long a number is kept after its plan ended when
	// the plan does not say: Chinese carriers delete it three months later.
	DefaultRetentionDays = 90

	dateLayout    = "2006-01-02"
	maxThresholds = 8    // of one plan
	maxThreshold  = 1000 // per cent
	maxPlanField  = 32   // bytes of any text in a plan, so that a snapshot stays bounded
	maxOffset     = 14 * secondsPerHour
	maxRetention  = 3650
	maxPrice      = 1_000_000 // of one MB, in any currency
)

// currency is a code of ISO 4217.
var currency = regexp.MustCompile(`^[A-Z]{3}$`)

var defaultThresholds = []int{80, 95, 100}

var errKey = errors.New("meter: the sim key is too long")

// A BillingCycle lasts from Start, which is in it, to End, which is not.
type BillingCycle struct{ Start, End time.Time }

// Cycle is the billing cycle that now lies in, in the operator's time. A cycle
// day of 29 to 31 is the last day in shorter months. Without a cycle day in the
// plan it is the calendar month and ok is false.
func Cycle(p protocol.Plan, now time.Time) (c BillingCycle, ok bool) {
	loc := zone(offsetOf(p))
	day := p.CycleDay
	if day < 1 || day > 31 {
		day = 1
	}
	local := now.In(loc)
	y, mo, d := local.Date()
	if d < clampDay(y, mo, day) {
		mo--
	}
	return BillingCycle{Start: anchorDate(y, mo, day, loc), End: anchorDate(y, mo+1, day, loc)}, p.CycleDay >= 1 && p.CycleDay <= 31
}

// anchorDate is the first instant of a cycle that begins in that month. Months
// outside 1..12 are of the neighbouring years.
func anchorDate(y int, mo time.Month, day int, loc *time.Location) time.Time {
	first := time.Date(y, mo, 1, 0, 0, 0, 0, loc)
	y, mo, _ = first.Date()
	return time.Date(y, mo, clampDay(y, mo, day), 0, 0, 0, 0, loc)
}

func clampDay(y int, mo time.Month, day int) int {
	last := time.Date(y, mo+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return min(day, last)
}

// cycle is Cycle in local days.
func (b *book) cycle(unix int64) daySpan {
	c, _ := Cycle(b.plan, time.Unix(unix, 0))
	return daySpan{start: b.dayOf(c.Start.Unix()), end: b.dayOf(c.End.Unix())}
}

// Expiry says how long the plan is still paid. On its last paid day daysLeft is
// 0; later it is negative and expired is true. retentionLeft is how many days
// the number is still kept, all of it before expiry, 0 when it is over. ok is
// false when the plan names no end.
func Expiry(p protocol.Plan, now time.Time) (daysLeft int, expired bool, retentionLeft int, ok bool) {
	loc := zone(offsetOf(p))
	last, err := time.ParseInLocation(dateLayout, p.Expires, loc)
	if err != nil {
		return 0, false, 0, false
	}
	retention := p.RetentionDays
	if retention == 0 {
		retention = DefaultRetentionDays
	}
	daysLeft = localDay(last) - localDay(now.In(loc))
	if daysLeft >= 0 {
		return daysLeft, false, retention, true
	}
	return daysLeft, true, max(0, retention+daysLeft), true
}

func localDay(t time.Time) int {
	_, off := t.Zone()
	return int(floorDiv(t.Unix()+int64(off), secondsPerDay))
}

// CheckPlan says what is wrong with a plan, in words for whoever wrote it.
func CheckPlan(p protocol.Plan) error {
	if p.CycleDay < 0 || p.CycleDay > 31 {
		return fmt.Errorf("meter: plan: cycle_day %d: want 1 to 31, or 0 when not known", p.CycleDay)
	}
	if p.UTCOffset != "" {
		if _, err := parseOffset(p.UTCOffset); err != nil {
			return err
		}
	}
	switch p.OnExhaust {
	case "", "stop", "overage", "throttle":
	default:
		return fmt.Errorf("meter: plan: on_exhaust %q: want stop, overage or throttle", clip(p.OnExhaust, maxPlanField))
	}
	for _, f := range []struct{ name, date string }{{"expires", p.Expires}, {"silent_until", p.SilentUntil}} {
		if f.date == "" {
			continue
		}
		if _, err := time.Parse(dateLayout, f.date); err != nil {
			return fmt.Errorf("meter: plan: %s %q: want a date such as 2027-06-30", f.name, clip(f.date, maxPlanField))
		}
	}
	if p.RetentionDays < 0 || p.RetentionDays > maxRetention {
		return fmt.Errorf("meter: plan: retention_days %d: want 0 to %d", p.RetentionDays, maxRetention)
	}
	if len(p.Thresholds) > maxThresholds {
		return fmt.Errorf("meter: plan: %d thresholds: at most %d", len(p.Thresholds), maxThresholds)
	}
	for _, t := range p.Thresholds {
		if t < 1 || t > maxThreshold {
			return fmt.Errorf("meter: plan: threshold %d: want per cent, 1 to %d", t, maxThreshold)
		}
	}
	if len(p.Carrier) > maxPlanField {
		return fmt.Errorf("meter: plan: carrier is longer than %d bytes", maxPlanField)
	}
	if !(p.OveragePerMB >= 0 && p.OveragePerMB <= maxPrice) { // NaN too
		return fmt.Errorf("meter: plan: overage_per_mb %g: want 0 to %d", p.OveragePerMB, maxPrice)
	}
	if p.Currency != "" && !currency.MatchString(p.Currency) {
		return fmt.Errorf("meter: plan: currency %q: want three letters such as CNY", clip(p.Currency, maxPlanField))
	}
	return nil
}

// offsetOf is the plan's UTC offset in seconds.
func offsetOf(p protocol.Plan) int {
	if off, err := parseOffset(p.UTCOffset); err == nil {
		return off
	}
	return defaultOffset
}

// parseOffset reads "+08:00" or "-03:30" into seconds east.
func parseOffset(s string) (int, error) {
	bad := fmt.Errorf("meter: plan: utc_offset %q: want an offset such as +08:00", clip(s, maxPlanField))
	if len(s) != 6 || s[3] != ':' || !strings.ContainsRune("+-", rune(s[0])) {
		return 0, bad
	}
	for _, i := range []int{1, 2, 4, 5} {
		if s[i] < '0' || s[i] > '9' {
			return 0, bad
		}
	}
	h, mi := int(s[1]-'0')*10+int(s[2]-'0'), int(s[4]-'0')*10+int(s[5]-'0')
	off := h*secondsPerHour + mi*60
	if mi > 59 || off > maxOffset {
		return 0, bad
	}
	if s[0] == '-' {
		off = -off
	}
	return off, nil
}

func zone(off int) *time.Location {
	sign, o := '+', off
	if off < 0 {
		sign, o = '-', -off
	}
	return time.FixedZone(fmt.Sprintf("UTC%c%02d:%02d", sign, o/secondsPerHour, o%secondsPerHour/60), off)
}

// thresholds of the plan, rising, each once.
func thresholds(p protocol.Plan) []int {
	if len(p.Thresholds) == 0 {
		return defaultThresholds
	}
	t := slices.Clone(p.Thresholds)
	slices.Sort(t)
	return slices.Compact(t)
}

// planBytes is the plan as it is kept; two plans are equal when these are.
func planBytes(p protocol.Plan) []byte {
	b, err := json.Marshal(p)
	if err != nil {
		return nil // a Plan holds nothing that JSON cannot
	}
	return b
}

func planEqual(a, b protocol.Plan) bool { return string(planBytes(a)) == string(planBytes(b)) }
