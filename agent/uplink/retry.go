package uplink

import (
	"time"

	"cellwarden/agent/instant"
)

// State is what reconnecting remembers over a restart, so that an agent that is
// restarted again and again does not knock again and again. The owner keeps it.
type State struct {
	Failures int             `json:"failures,omitempty"` // in a row
	Refusals int             `json:"refusals,omitempty"` // in a row
	Spent    float64         `json:"spent,omitempty"`    // attempts of the allowance that are used up
	At       instant.Instant `json:"at"`                 // when Spent was true

	KeepAlive time.Duration `json:"keepalive,omitempty"` // learned; 0: not yet
	// CertDate is when the certificate of the last broker began: no clock of ours
	// can be earlier and right.
	CertDate time.Time `json:"cert_date,omitzero"`

	pingLost bool      // the last connection died of a ping without answer ...
	lostAt   time.Time // ... then
}

// maxDoublings bounds the exponent: 5 s doubled 12 times is past any maximum.
const maxDoublings = 12

// take spends one attempt of the allowance (TS.34 4.2_REQ_012: count attempts
// per period, stop at the limit). It returns 0, or how long until one is there.
func (s *State) take(now instant.Instant, t Timing) time.Duration {
	if s.At.IsZero() {
		s.At = now
	}
	s.Spent = max(0, s.Spent-float64(elapsed(s.At, now))/float64(t.Attempt))
	s.At = now
	if over := s.Spent + 1 - float64(t.Attempts); over > 0 {
		return max(time.Millisecond, time.Duration(over*float64(t.Attempt))) // a rest below 1 ns is no permission
	}
	s.Spent++
	return 0
}

// elapsed is the time between two instants as far as it is known: by the
// monotonic clock within a boot, by trusted wall clocks across boots, else none.
func elapsed(from, to instant.Instant) time.Duration {
	if from.Boot == to.Boot {
		return max(0, to.Sub(from))
	}
	if from.Trusted && to.Trusted {
		return max(0, to.Wall.Sub(from.Wall))
	}
	return 0
}

// backoff counts one more failure and draws the wait before the next attempt:
// doubling, half to one and a half times, so that machines that failed together
// do not return together.
func (s *State) backoff(refused bool, t Timing, draw float64) time.Duration {
	n, d, limit := &s.Failures, t.RetryMin, t.RetryMax
	if refused {
		n, d, limit = &s.Refusals, t.RefusedMin, t.RefusedMax
	}
	d = min(d<<min(*n, maxDoublings), limit)
	*n = min(*n+1, maxDoublings)
	return time.Duration((0.5 + draw) * float64(d))
}

// Bounds of the learned keepalive.
const (
	// keepAliveMin: operators' NATs keep an idle TCP flow for 4 minutes at the
	// least that is met in practice; below it the pings would eat the plan.
	keepAliveMin = 4 * time.Minute
	// promptReturn: a path that is back so soon after a lost ping was not away;
	// something on it forgot the idle flow.
	promptReturn = 2 * time.Minute
	// growAfter: a connection that lived for so many keepalives proves the value.
	growAfter = 12
)

// keepAlive is the value for the next connection.
func (s *State) keepAlive(limit time.Duration) time.Duration {
	if s.KeepAlive == 0 {
		return limit
	}
	return min(max(s.KeepAlive, min(keepAliveMin, limit)), limit)
}

// ended notes how a connection with keepalive ka ended.
func (s *State) ended(ka, lasted time.Duration, pingLost bool, now time.Time) {
	s.pingLost, s.lostAt = pingLost, now
	if s.KeepAlive != 0 && lasted > growAfter*ka {
		s.KeepAlive = s.KeepAlive * 5 / 4
	}
}

// returned learns from a connection: when the path was there at once after a
// ping without answer, the idle flow had been forgotten, and pings must come
// more often. A path that was away for long teaches nothing.
func (s *State) returned(limit time.Duration, now time.Time) {
	if s.pingLost && now.Sub(s.lostAt) < promptReturn {
		s.KeepAlive = max(s.keepAlive(limit)/2, min(keepAliveMin, limit))
	}
	s.pingLost = false
}
