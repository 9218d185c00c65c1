package board

import (
	"time"
)

// TimeSource is who vouches for the wall clock.
type TimeSource string

// Time sources, the most trusted first: a signed message from the cloud, the
// network's NITZ, NTP as the kernel reports it, and a time server that was asked
// once. The date of the broker's certificate is a lower bound: it lifts a clock
// of 1970, and vouches for nothing.
const (
	TimeCloud TimeSource = "cloud"
	TimeNITZ  TimeSource = "nitz"
	TimeNTP   TimeSource = "ntp"
	TimeSNTP  TimeSource = "sntp"
	TimeTLS   TimeSource = "tls"
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
// A system clock that is set by hand (or jumps) ends the kernel's synchronised
// state, so NTP stops vouching by itself.
type TimeTrust struct {
	told  told
	floor told // no earlier than this; the zero value bounds nothing
}

// Tell takes in what a source says the time was at mono. It reports whether it
// was accepted: a time before NotBefore or after notAfter never is, nor what contradicts a better
// source.
func (t *TimeTrust) Tell(source TimeSource, wall time.Time, mono time.Duration) bool {
	if wall.Before(NotBefore) || wall.After(notAfter) {
		return false
	}
	if source == TimeTLS {
		if wall.After(t.floor.at(mono)) {
			t.floor = told{source: source, mono: mono, wall: wall}
		}
		return true
	}
	if timeRank[source] == 0 {
		return false
	}
	if t.told.source != TimeNone && timeRank[source] < timeRank[t.told.source] {
		return within(t.told.at(mono), wall, t.told.tolerance(mono))
	}
	t.told = told{source: source, mono: mono, wall: wall}
	return true
}

// Judge gives the wall time to use when the system clock shows system at mono
// and the kernel says whether NTP holds it, and who vouches for it.
func (t *TimeTrust) Judge(system time.Time, mono time.Duration, ntp bool) (wall time.Time, source TimeSource) {
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
