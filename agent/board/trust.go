package board

import (
	"slices"
	"strings"
	"time"
)

// TimeSource is who vouches for the wall clock.
type TimeSource string

// Time sources, the most trusted first: a signed message from the cloud, the
// network's NITZ, NTP as the kernel reports it, and a time server that was asked
// once. A source may name its witness after a slash ("sntp/ntp.example.net"): two
// servers are two witnesses. The date of the broker's certificate is a lower bound: it
// lifts a clock of 1970, and vouches for nothing; its end is an upper one.
const (
	TimeCloud TimeSource = "cloud"
	TimeNITZ  TimeSource = "nitz"
	TimeNTP   TimeSource = "ntp"
	TimeSNTP  TimeSource = "sntp"
	TimeTLS   TimeSource = "tls"
	TimeUntil TimeSource = "tls_until"
	TimeGood  TimeSource = "good" // the last time that was trusted in a run before: TimeTrust.Good
	TimeNone  TimeSource = ""
)

var timeRank = map[TimeSource]int{TimeCloud: 3, TimeNITZ: 2, TimeSNTP: 1}

const (
	// timeTolerance is how far the system clock may lie from what a source said.
	// NITZ has seconds and comes late; a message may wait on the way.
	timeTolerance = 30 * time.Second
	// bootDrift is how fast CLOCK_BOOTTIME may run away from true time, as a
	// divisor: 100 ppm, twice a cheap crystal's tolerance. 8.6 s a day.
	bootDrift = 10_000
	// aloneMost is how far one source alone may move the time against what is known
	// otherwise: one answer of the year 2035 makes every certificate expire.
	aloneMost = 24 * time.Hour
	// nitzAgain is after how long what the network says counts as a second witness of
	// itself: a rogue cell stands for minutes, a network for years.
	nitzAgain = 6 * time.Hour
	// maxClaims bounds what is remembered of those that were not believed alone.
	maxClaims = 8
)

// NotBefore is the earliest time that any clock can be right about: this program
// did not exist before.
var NotBefore = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// notAfter is the latest time that is believed: beyond it a source is broken or lies,
// and the years to come have no place in messages (RFC 3339 ends with 9999).
var notAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// told is one statement of a source: at mono it was wall.
type told struct {
	source TimeSource
	mono   time.Duration
	wall   time.Time
}

func (t told) at(mono time.Duration) time.Time { return t.wall.Add(mono - t.mono) }

func (t told) tolerance(mono time.Duration) time.Duration {
	return timeTolerance + (mono-t.mono)/bootDrift
}

// claim is a statement that nobody has borne out yet.
type claim struct {
	told
	witness string
}

// TimeTrust decides whether the wall clock is believed. It lives for one boot
// and holds no clock itself. The zero value trusts NTP alone.
//
//	nobody vouches            -> the system clock, not trusted
//	NTP holds the kernel      -> the system clock, trusted
//	a certificate's date      -> the system clock or that date and the monotonic
//	                             time since, whichever is later; not trusted
//	a time server has told    -> the system clock where NTP holds the kernel,
//	                             otherwise as below
//	cloud or NITZ has told    -> the system clock when it agrees, otherwise what
//	                             was told and the monotonic time since; trusted
//
// The cloud's word is signed. NITZ or a time server is believed where it moves the time
// by a day at most (against the system clock, the last good time or what was believed
// before), lies within the life of the broker's certificate, or has a second witness.
//
// A system clock that is set by hand (or jumps) ends the kernel's synchronised
// state, so NTP stops vouching by itself.
type TimeTrust struct {
	told  told
	floor told      // no earlier than this; the zero value bounds nothing
	until time.Time // the broker's certificate ends then; zero: none was seen
	good  time.Time // the last time that was trusted before this boot; zero: not known
	found []claim
}

// Good tells the last time that was trusted, in a run before. It is a witness of what
// lies within a day after it, and of nothing else.
func (t *TimeTrust) Good(last time.Time) {
	if !last.Before(NotBefore) && !last.After(notAfter) {
		t.good = last
	}
}

// Tell takes in what a source says the time was at mono. It reports whether it is
// believed: a time before NotBefore or after notAfter never is, nor what contradicts a
// better source, nor yet what stands alone far from all that is known.
func (t *TimeTrust) Tell(source TimeSource, wall time.Time, mono time.Duration) bool {
	if wall.Before(NotBefore) || wall.After(notAfter) {
		return false
	}
	kind, witness, _ := strings.Cut(string(source), "/")
	source = TimeSource(kind)
	switch source {
	case TimeTLS:
		if wall.After(t.floor.at(mono)) {
			t.floor = told{source: source, mono: mono, wall: wall}
		}
		return true
	case TimeGood:
		t.Good(wall)
		return true
	case TimeUntil:
		if wall.After(t.until) {
			t.until = wall
		}
		return true
	}
	if timeRank[source] == 0 {
		return false
	}
	if t.told.source != TimeNone && timeRank[source] < timeRank[t.told.source] {
		return within(t.told.at(mono), wall, t.told.tolerance(mono))
	}
	now := claim{told{source: source, mono: mono, wall: wall}, kind + "/" + witness}
	if source != TimeCloud && !t.near(now.told) && !t.borneOut(now) {
		t.remember(now)
		return false
	}
	t.told, t.found = now.told, nil
	return true
}

// near reports whether a statement moves the time by little, or lies within the life of
// the broker's certificate.
func (t *TimeTrust) near(x told) bool {
	if t.told.source != TimeNone && within(t.told.at(x.mono), x.wall, aloneMost) {
		return true
	}
	if !t.good.IsZero() && !x.wall.Before(t.good.Add(-timeTolerance)) && x.wall.Sub(t.good) <= aloneMost {
		return true
	}
	return t.floor.source != TimeNone && !t.until.IsZero() && !x.wall.Before(t.floor.wall) && x.wall.Before(t.until)
}

// borneOut reports whether another witness has said the same.
func (t *TimeTrust) borneOut(x claim) bool {
	return slices.ContainsFunc(t.found, func(c claim) bool {
		apart := c.witness != x.witness || x.source == TimeNITZ && x.mono-c.mono >= nitzAgain
		return apart && within(c.at(x.mono), x.wall, 2*c.tolerance(x.mono))
	})
}

func (t *TimeTrust) remember(x claim) {
	for i, c := range t.found {
		if c.witness == x.witness {
			if !within(c.at(x.mono), x.wall, c.tolerance(x.mono)) {
				t.found[i] = x // it says something else now
			}
			return
		}
	}
	if len(t.found) == maxClaims {
		t.found = t.found[1:]
	}
	t.found = append(t.found, x)
}

// Judge gives the wall time to use when the system clock shows system at mono
// and the kernel says whether NTP holds it, and who vouches for it. The system clock,
// which a battery keeps, is a witness too of what lies within a day of it.
func (t *TimeTrust) Judge(system time.Time, mono time.Duration, ntp bool) (wall time.Time, source TimeSource) {
	if t.told.source == TimeNone && !system.Before(NotBefore) {
		for _, c := range t.found {
			if within(c.at(mono), system, aloneMost) {
				t.told, t.found = c.told, nil
				break
			}
		}
	}
	if t.told.source != TimeNone && !(t.told.source == TimeSNTP && ntp) {
		if within(t.told.at(mono), system, t.told.tolerance(mono)) {
			return system, t.told.source
		}
		return t.told.at(mono), t.told.source
	}
	if ntp && !system.Before(NotBefore) {
		return system, TimeNTP
	}
	if at := t.floor.at(mono); t.floor.source != TimeNone && system.Before(at) {
		return at, TimeNone
	}
	return system, TimeNone
}

func within(a, b time.Time, d time.Duration) bool {
	return a.Sub(b) <= d && b.Sub(a) <= d
}
