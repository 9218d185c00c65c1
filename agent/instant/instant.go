// Package instant holds the one type that carries time through the agent. It
// is pure; package board reads the clocks.
package instant

import (
	"fmt"
	"time"
)

// Instant carries both clocks. Mono orders and measures: it is CLOCK_BOOTTIME,
// so it also counts sleep, and it starts anew with each Boot. Wall is for
// people; it may jump, and is believed only when Trusted.
type Instant struct {
	Boot    string        // kernel boot id; Mono values of different boots do not compare
	Mono    time.Duration // since boot
	Wall    time.Time
	Trusted bool
}

// Sub is the time from u to t by the monotonic clock. Across a boot it is zero:
// nobody knows it.
func (t Instant) Sub(u Instant) time.Duration {
	if t.Boot != u.Boot {
		return 0
	}
	return t.Mono - u.Mono
}

// Add moves both clocks.
func (t Instant) Add(d time.Duration) Instant {
	t.Mono += d
	t.Wall = t.Wall.Add(d)
	return t
}

// IsZero reports whether t was never set.
func (t Instant) IsZero() bool { return t.Boot == "" && t.Mono == 0 && t.Wall.IsZero() }

func (t Instant) String() string {
	mark := "?"
	if t.Trusted {
		mark = ""
	}
	return fmt.Sprintf("%s%s (+%s)", t.Wall.UTC().Format(time.RFC3339), mark, t.Mono.Round(time.Millisecond))
}
