package machine

import (
	"fmt"
	"time"

	"cellwarden/agent/instant"
)

// When a machine is read. A read takes seconds in which it may not sell, and in its
// AUTO state it clears what was counted since the last one.
const (
	// MinGap is the least between two polls, whoever asks for them.
	MinGap = 15 * time.Minute
	// retryPoll is how long after a poll that gave nothing the next is tried: after
	// six calls and their pause a machine that is silent stays so for a while.
	retryPoll = time.Hour
	// maxRetries after a failed poll of the schedule; then the next time of day is
	// awaited.
	maxRetries = 2
	// lateBy is how long after its time a poll is made up for: the device was off.
	lateBy = 6 * time.Hour
	// blindEvery is the pace without a clock that is trusted.
	blindEvery = 12 * time.Hour
)

// ReadNow asks for a poll outside of the schedule: a command, a person.
type ReadNow struct{ At }

// MayRead says why the machine cannot be read now, nil when it can.
func (m *Machine) MayRead(now instant.Instant) error {
	switch {
	case !m.opt.Reader:
		return fmt.Errorf("no audit port is configured: set machine.audit")
	case m.polling:
		return fmt.Errorf("the machine is being read just now")
	}
	if left := MinGap - m.since(now, m.s.LastPoll); left > 0 {
		return fmt.Errorf("the machine was read less than %v ago: try again in %v", MinGap, left.Round(time.Minute))
	}
	return nil
}

// since is how long ago a kept instant was. Across a boot only trusted clocks tell;
// without them it counts from this boot, which is the shorter.
func (m *Machine) since(now, then instant.Instant) time.Duration {
	switch {
	case then.IsZero():
		return farAway
	case then.Boot == now.Boot:
		return now.Mono - then.Mono
	case then.Trusted && now.Trusted && now.Wall.After(then.Wall):
		return now.Wall.Sub(then.Wall)
	}
	return now.Mono
}

const farAway = time.Duration(1<<63 - 1)

// poll starts one. That it was tried is kept before it begins, so that a device which
// starts again and again does not ask again and again.
func (m *Machine) poll() {
	m.polling = true
	m.s.LastPoll = m.now
	m.dirty = true
	m.pollDue = true
}

// due looks whether a poll of the schedule is.
func (m *Machine) due() {
	if m.MayRead(m.now) != nil {
		return
	}
	if m.s.Retries > 0 && m.since(m.now, m.s.LastPoll) >= retryPoll {
		m.poll()
		return
	}
	if !m.now.Trusted {
		last := m.s.LastPoll
		if last.IsZero() {
			last = m.started
		}
		if m.since(m.now, last) >= blindEvery {
			m.poll()
		}
		return
	}
	local := m.local()
	midnight := local.Truncate(24 * time.Hour)
	for _, at := range m.opt.ReadAt {
		for _, day := range []time.Time{midnight, midnight.Add(-24 * time.Hour)} {
			slot := day.Add(at)
			late := local.Sub(slot)
			if late < 0 || late > lateBy {
				continue
			}
			if slot.Unix() > m.s.Served {
				m.s.Served = slot.Unix()
				m.poll()
				return
			}
		}
	}
}

// polled notes how a poll ended.
func (m *Machine) polled(ok bool) {
	m.polling = false
	if ok || m.s.Retries >= maxRetries {
		m.s.Retries = 0
		return
	}
	m.s.Retries++
}
