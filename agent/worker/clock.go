package worker

import (
	"context"
	"log/slog"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
)

// Asking time servers, while nobody else vouches for the clock.
const (
	// timePatience is left to the others: NITZ comes with the attach, and an NTP
	// client of the board's own with the first address.
	timePatience = time.Minute
	// timeRetry doubles up to timeRetryMax while no server answers.
	timeRetry    = 2 * time.Minute
	timeRetryMax = 2 * time.Hour
	// timeAgain is how often a time that only a server gave is asked anew: a board's
	// crystal runs 2 to 9 s a day, and 30 s are still the right time.
	timeAgain = 24 * time.Hour
	// timeSecond is how soon the next server is asked to bear out what one has said.
	timeSecond = time.Second
	// againApart bounds what a certificate that stays wrong may cost.
	againApart = 10 * time.Minute
	// timeTimeout holds two tries over NB-IoT.
	timeTimeout = 30 * time.Second
	// timeCost is one question and its answer with the headers of IP and UDP, and
	// a lookup of the name.
	timeCost = 2*(48+28) + 200
)

// Clock is the worker that finds the time by asking servers in turn. With the clock trusted from
// elsewhere it costs nothing.
type Clock struct {
	hw      device.Hardware
	servers []string
	log     *slog.Logger
	events  chan<- core.Event
	again   chan struct{}
}

// Again asks at once, whoever vouches for the clock: a certificate failed by its dates
// alone. It does not wait.
func (a *Clock) Again() {
	select {
	case a.again <- struct{}{}:
	default:
	}
}

// Run asks until ctx ends.
func (a *Clock) Run(ctx context.Context) error {
	turn, asked := 0, false // asked: the trust in the clock comes from us
	wait, retry := timePatience, timeRetry
	last := -againApart // when a server was last asked
	alone := 0          // answers in a row that nobody else has borne out
	for {
		c, stop := a.hw.Timer(a.hw.Now().Mono + wait)
		select {
		case <-ctx.Done():
			stop()
			return nil
		case <-c:
		case <-a.again:
			stop()
			if now := a.hw.Now().Mono; now-last < againApart {
				continue
			}
			asked = true // whoever vouches may be wrong: ask all the same
		}
		if a.hw.Now().Trusted && !asked {
			wait = timeAgain // look again: an NTP client may lose its hold
			continue
		}
		last = a.hw.Now().Mono
		server := a.servers[turn%len(a.servers)]
		turn++
		ask, cancel := context.WithTimeout(ctx, timeTimeout)
		at, err := a.hw.AskTime(ask, server)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		select {
		case a.events <- core.Spent{At: core.At{Instant: a.hw.Now()}, Bytes: timeCost}:
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			a.log.Debug("time server", "server", server, "error", err)
			wait, retry = retry, min(2*retry, timeRetryMax)
			continue
		}
		a.hw.HearTime(string(board.TimeSNTP)+"/"+server, at)
		if !a.hw.Now().Trusted { // one server alone is not believed: the next one, once each
			wait = timeSecond
			if alone++; alone >= len(a.servers) {
				alone, wait, retry = 0, retry, min(2*retry, timeRetryMax)
			}
			continue
		}
		if !asked {
			a.log.Info("the time is known", "from", server)
		}
		alone, asked, wait, retry = 0, true, timeAgain, timeRetry
	}
}

// NewClock is nil where there is nobody to ask or to tell.
func NewClock(hw device.Hardware, servers []string, log *slog.Logger, events chan<- core.Event) *Clock {
	if len(servers) == 0 || hw.AskTime == nil || hw.HearTime == nil {
		return nil
	}
	return &Clock{hw: hw, servers: servers, log: log, events: events, again: make(chan struct{}, 1)}
}
