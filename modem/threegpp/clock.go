package threegpp

import (
	"strings"
	"time"
)

// pivotYear: two-digit years from here on are of the last century. Modules
// without a clock begin at 1970 or at the GPS epoch of 1980.
const pivotYear = 70

// parseTime reads "yy/MM/dd,hh:mm:ss±zz" with a year of two or four digits, zz
// in quarters of an hour. Unless utc, the time is local at that offset.
func parseTime(s string, utc bool) (time.Time, bool) {
	date, clock, ok := strings.Cut(s, ",")
	if !ok {
		return time.Time{}, false
	}
	quarters, zone := 0, ""
	if i := strings.IndexAny(clock, "+-"); i >= 0 {
		clock, zone = clock[:i], clock[i:]
		n, err := atoi(zone)
		if err != nil || n < -48 || n > 56 {
			return time.Time{}, false
		}
		quarters = n
	}
	d, ok := threeNumbers(date, "/")
	c, ok2 := threeNumbers(clock, ":")
	if !ok || !ok2 {
		return time.Time{}, false
	}
	return civil(d, c, quarters, utc)
}

func threeNumbers(s, separator string) (v [3]int, ok bool) {
	parts := strings.Split(strings.TrimSpace(s), separator)
	if len(parts) != 3 {
		return v, false
	}
	for i, p := range parts {
		n, err := atoi(strings.TrimSpace(p))
		if err != nil || n < 0 {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

func civil(d, c [3]int, quarters int, utc bool) (time.Time, bool) {
	year := d[0]
	switch {
	case year < pivotYear:
		year += 2000
	case year < 100:
		year += 1900
	}
	if d[1] < 1 || d[1] > 12 || d[2] < 1 || d[2] > 31 || c[0] > 23 || c[1] > 59 || c[2] > 60 || year > 9999 {
		return time.Time{}, false
	}
	zone := time.UTC
	if quarters != 0 {
		zone = time.FixedZone("", quarters*15*60)
	}
	if utc {
		return time.Date(year, time.Month(d[1]), d[2], c[0], c[1], c[2], 0, time.UTC).In(zone), true
	}
	return time.Date(year, time.Month(d[1]), d[2], c[0], c[1], c[2], 0, zone), true
}

// parseCCLK reads +CCLK: "yy/MM/dd,hh:mm:ss±zz", local time (TS 27.007 §8.15).
func parseCCLK(l line) []Fact {
	t, ok := parseTime(unquote(l.body), false)
	if !ok {
		return nil
	}
	return one(NetworkTime{Time: t})
}

// parseNITZ reads openLuat's +NITZ: 24/08/22,07:00:02+32. The time is taken as
// UTC with the offset told beside it, as NITZ itself carries it.
func parseNITZ(l line) []Fact {
	text := strings.Trim(strings.TrimRight(l.body, ", "), `"`)
	if i := strings.Index(text, ","); i >= 0 {
		if j := strings.Index(text[i+1:], ","); j >= 0 { // a daylight-saving field
			text = text[:i+1+j]
		}
	}
	t, ok := parseTime(text, true)
	if !ok {
		return nil
	}
	return one(NetworkTime{Time: t, NITZ: true})
}

// parseQLTS reads Quectel's answer to +QLTS=1: the network's time carried on to
// now, "2026/11/22,06:05:09+32,0", UTC with the offset told beside it; "" when the
// network has told none (EC2x AT manual).
func parseQLTS(l line) []Fact {
	if unquote(l.body) == "" {
		return quiet
	}
	return parseNITZ(l)
}

// parseNWTIME reads Huawei's ^NWTIME: yy/MM/dd,hh:mm:ss±zz,<dst>, local time.
func parseNWTIME(l line) []Fact {
	if len(l.args) < 2 {
		return nil
	}
	t, ok := parseTime(l.str(0)+","+l.str(1), false)
	if !ok {
		return nil
	}
	return one(NetworkTime{Time: t, NITZ: true})
}

// parsePSUTTZ reads SIM800's *PSUTTZ: <y>,<M>,<d>,<h>,<m>,<s>,"±zz",<dst>, UTC.
func parsePSUTTZ(l line) []Fact {
	var v [6]int
	for i := range v {
		n, ok := l.num(i)
		if !ok || n < 0 {
			return nil
		}
		v[i] = n
	}
	quarters, _ := l.num(6)
	t, ok := civil([3]int(v[:3]), [3]int(v[3:]), quarters, true)
	if !ok || quarters < -48 || quarters > 56 {
		return nil
	}
	return one(NetworkTime{Time: t, NITZ: true})
}

// parseCTZE reads +CTZE: <tz>,<dst>[,<time>] (TS 27.007 §8.41), local time.
// Without a time it is only a zone.
func parseCTZE(l line) []Fact {
	stamp := l.str(2)
	if stamp == "" {
		return quiet
	}
	if !strings.Contains(stamp, "+") && !strings.Contains(stamp, "-") {
		stamp += l.str(0)
	}
	t, ok := parseTime(stamp, false)
	if !ok {
		return nil
	}
	return one(NetworkTime{Time: t, NITZ: true})
}
