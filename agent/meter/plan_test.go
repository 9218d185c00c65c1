package meter

import (
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
)

func TestCycle(t *testing.T) {
	tests := []struct {
		name       string
		plan       protocol.Plan
		now        string
		start, end string
		ok         bool
	}{
		{"China Unicom, 27th", protocol.Plan{CycleDay: 27, UTCOffset: "+08:00"}, "2026-03-26T23:59:59+08:00", "2026-02-27T00:00:00+08:00", "2026-03-27T00:00:00+08:00", true},
		{"the very turn", protocol.Plan{CycleDay: 27, UTCOffset: "+08:00"}, "2026-03-27T00:00:00+08:00", "2026-03-27T00:00:00+08:00", "2026-04-27T00:00:00+08:00", true},
		{"a device abroad still turns at Beijing midnight", protocol.Plan{CycleDay: 1}, "2026-03-31T16:00:00Z", "2026-04-01T00:00:00+08:00", "2026-05-01T00:00:00+08:00", true},
		{"one second before", protocol.Plan{CycleDay: 1}, "2026-03-31T15:59:59Z", "2026-03-01T00:00:00+08:00", "2026-04-01T00:00:00+08:00", true},
		{"31st in February", protocol.Plan{CycleDay: 31, UTCOffset: "+00:00"}, "2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z", true},
		{"31st, leap year", protocol.Plan{CycleDay: 31, UTCOffset: "+00:00"}, "2028-02-28T12:00:00Z", "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z", true},
		{"30th after February", protocol.Plan{CycleDay: 30, UTCOffset: "+00:00"}, "2026-03-29T12:00:00Z", "2026-02-28T00:00:00Z", "2026-03-30T00:00:00Z", true},
		{"31st in April", protocol.Plan{CycleDay: 31, UTCOffset: "+00:00"}, "2026-04-30T01:00:00Z", "2026-04-30T00:00:00Z", "2026-05-31T00:00:00Z", true},
		{"over the year", protocol.Plan{CycleDay: 15, UTCOffset: "-03:30"}, "2027-01-03T00:00:00Z", "2026-12-15T00:00:00-03:30", "2027-01-15T00:00:00-03:30", true},
		{"no cycle day: the month, and said so", protocol.Plan{}, "2026-12-31T15:00:00Z", "2026-12-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c, ok := Cycle(tc.plan, at(t, tc.now))
			if ok != tc.ok || !c.Start.Equal(at(t, tc.start)) || !c.End.Equal(at(t, tc.end)) {
				t.Errorf("%v to %v (%v)", c.Start, c.End, ok)
			}
		})
	}
}

// Every instant lies in its cycle, and cycles follow without gap or overlap.
func TestCyclesTile(t *testing.T) {
	for day := 1; day <= 31; day++ {
		p := protocol.Plan{CycleDay: day, UTCOffset: "+05:45"}
		var last BillingCycle
		for now := at(t, "2026-01-01T00:00:00Z"); now.Year() < 2030; now = now.Add(11 * time.Hour) {
			c, _ := Cycle(p, now)
			if now.Before(c.Start) || !now.Before(c.End) {
				t.Fatalf("day %d: %v not in %v", day, now, c)
			}
			if !last.Start.IsZero() && !c.Start.Equal(last.Start) && !c.Start.Equal(last.End) {
				t.Fatalf("day %d: %v then %v", day, last, c)
			}
			last = c
		}
	}
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExpiry(t *testing.T) {
	p := protocol.Plan{Expires: "2026-06-30"}
	tests := []struct {
		name      string
		plan      protocol.Plan
		now       string
		left      int
		expired   bool
		retention int
		ok        bool
	}{
		{"a month ahead", p, "2026-05-31T08:00:00+08:00", 30, false, 90, true},
		{"the last paid day, late", p, "2026-06-30T23:59:59+08:00", 0, false, 90, true},
		{"expired by Beijing time, not yet by UTC", p, "2026-06-30T16:00:00Z", -1, true, 89, true},
		{"the number is gone", p, "2026-12-30T16:00:00Z", -184, true, 0, true},
		{"its own retention", protocol.Plan{Expires: "2026-06-30", RetentionDays: 10}, "2026-07-03T12:00:00+08:00", -3, true, 7, true},
		{"no end known", protocol.Plan{}, "2026-07-03T12:00:00+08:00", 0, false, 0, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			left, expired, kept, ok := Expiry(tc.plan, at(t, tc.now))
			if left != tc.left || expired != tc.expired || kept != tc.retention || ok != tc.ok {
				t.Errorf("%d %v %d %v", left, expired, kept, ok)
			}
		})
	}
}

func TestBadPlansAreRefusedWithTheField(t *testing.T) {
	for want, p := range map[string]protocol.Plan{
		`cycle_day 32: want 1 to 31, or 0 when not known`:                 {CycleDay: 32},
		`utc_offset "8": want an offset such as +08:00`:                   {UTCOffset: "8"},
		`utc_offset "+15:00": want an offset such as +08:00`:              {UTCOffset: "+15:00"},
		`utc_offset "+08:99": want an offset such as +08:00`:              {UTCOffset: "+08:99"},
		`on_exhaust "explode": want stop, overage or throttle`:            {OnExhaust: "explode"},
		`expires "30.6.2027": want a date such as 2027-06-30`:             {Expires: "30.6.2027"},
		`silent_until "2027-02-31": want a date such as 2027-06-30`:       {SilentUntil: "2027-02-31"},
		`retention_days -1: want 0 to 3650`:                               {RetentionDays: -1},
		`threshold 0: want per cent, 1 to 1000`:                           {Thresholds: []int{80, 0}},
		`9 thresholds: at most 8`:                                         {Thresholds: make([]int, 9)},
		`carrier is longer than 32 bytes`:                                 {Carrier: strings.Repeat("4", 33)},
		`on_exhaust "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx": want stop, overa`: {OnExhaust: strings.Repeat("x", 5000)},
	} {
		r := newRig(t, time.Date(2026, 5, 2, 8, 0, 0, 0, beijing))
		r.plan(plan30)
		err := r.m.SetPlan("", p, r.at)
		if err == nil || !strings.HasPrefix(err.Error(), "meter: plan: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", p, err, want)
		}
		if q := r.m.Plan().QuotaBytes; q != 30<<20 {
			t.Errorf("the old plan did not stay: %d", q)
		}
	}
}
