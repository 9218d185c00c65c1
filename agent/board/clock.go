package board

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cellwarden/agent/instant"
)

const bootIDPath = "/proc/sys/kernel/random/boot_id"

// Clock reads both clocks of the board. It is safe for concurrent use.
type Clock struct {
	boot string

	mu    sync.Mutex
	trust TimeTrust
	by    TimeSource
}

// OpenClock reads the boot id once. Without one (no /proc) the instants of two
// boots could not be told apart, so that is an error.
func OpenClock() (*Clock, error) {
	b, err := os.ReadFile(bootIDPath)
	if err != nil {
		return nil, fmt.Errorf("board: boot id: %w (is /proc mounted?)", err)
	}
	return &Clock{boot: strings.TrimSpace(string(b))}, nil
}

// Now is the present instant by both clocks.
func (c *Clock) Now() instant.Instant {
	mono := bootTime()
	system := time.Now().Round(0) // the wall reading alone
	ntp := kernelSynced()
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, by := c.trust.Judge(system, mono, ntp)
	c.by = by
	return instant.Instant{Boot: c.boot, Mono: mono, Wall: wall, Trusted: by != TimeNone}
}

// Tell takes in the time from a source, read just now. It reports whether it was
// accepted.
func (c *Clock) Tell(source TimeSource, wall time.Time) bool {
	mono := bootTime()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trust.Tell(source, wall, mono)
}

// Source is who vouched for the last Now, TimeNone for nobody.
func (c *Clock) Source() TimeSource {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by
}

// bootTime is CLOCK_BOOTTIME: it goes on while the board sleeps. Kernels have it
// since 2.6.39; before, only CLOCK_MONOTONIC.
func bootTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail
	}
	return time.Duration(ts.Nano())
}

// kernelSynced reports whether a time daemon holds the kernel's clock. Setting
// the clock by hand clears it.
func kernelSynced() bool {
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	return err == nil && state != unix.TIME_ERROR && tx.Status&unix.STA_UNSYNC == 0
}
