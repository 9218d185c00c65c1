package at

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// markers are harmless reads, answered from the modem's memory with a name of
// their own (TS 27.007 §9.1, §8.2, §5.5, TS 27.005 §3.2.3). Each proof takes
// the next one, so the late answer to a marker is not taken for another's.
var markers = []string{"+CMEE?", "+CFUN?", "+CSCS?", "+CMGF?"}

// asked counts markers over all lines: the next line to the same modem may
// still receive what the last one asked.
var asked atomic.Uint32

func nextMarker() string { return markers[asked.Add(1)%uint32(len(markers))] }

func isMarkerName(name string) bool {
	for _, m := range markers {
		if m == name+"?" {
			return true
		}
	}
	return false
}

// prove brings a line that is in doubt back in step, or gives it up. It holds
// the turn. A line in step costs nothing.
func (d *Dialogue) prove(ctx context.Context) error {
	d.mu.Lock()
	doubt, fresh, lost, limit := d.doubt, d.fresh, d.lost, d.bound
	if doubt && !fresh {
		d.count.Resyncs++
	}
	d.mu.Unlock()
	if lost != nil || !doubt {
		return lost
	}
	bound, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := d.stepIn(bound)
	switch {
	case err == nil:
		d.mu.Lock()
		defer d.mu.Unlock()
		d.doubt, d.fresh, d.late, d.bound = false, false, nil, ResyncBound
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case bound.Err() != nil:
		d.fail(fmt.Errorf("%w: no clean answer to AT within %v", ErrLost, limit))
		return d.Err()
	}
	return err
}

// stepIn asks until the line is in step; it ends early only with bound or when
// the line is lost.
func (d *Dialogue) stepIn(bound context.Context) error {
	skipped := 0 // markers in a row that got no answer though the AT after them did
	wasMute := false
	escaped := false
	for {
		if err := d.waitQuiet(bound); err != nil {
			return err
		}
		if err := d.leaveText(bound); err != nil {
			return err
		}
		before := d.Counters().Late
		lines, err := d.probe(bound, "AT")
		if stops(bound, err) {
			return err
		}
		if err != nil || len(lines) != 1 || d.Counters().Late != before {
			skipped, wasMute = 0, false
			if errors.Is(err, ErrTimeout) && !escaped {
				// It may wait for the text of a message that a program before
				// us was killed in; that modem takes AT for the text.
				escaped = true
				d.mu.Lock()
				d.inSMS = true
				d.mu.Unlock()
			}
			continue
		}
		if !wasMute {
			skipped = 0
		} else if skipped++; skipped == skipsMax && !d.knowsMarkers() {
			// A modem that answers AT and passes over every marker is odd but
			// alive, and it has shown that it owes no answer.
			return nil
		}
		state, err := d.mark(bound)
		switch {
		case err != nil:
			return err
		case state == marked:
			return nil
		}
		wasMute = state == mute
	}
}

// skipsMax is how many markers a modem may pass over before it is believed
// that it knows none.
const skipsMax = 2

// knowsMarkers reports whether the modem has ever answered a marker.
func (d *Dialogue) knowsMarkers() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.marks
}

func (d *Dialogue) probe(ctx context.Context, cmd string) ([]string, error) {
	return d.exchange(ctx, &exchange{cmd: cmd, timeout: proveTimeout, probe: true})
}

type markState int

const (
	marked markState = iota // its own answer came
	mute                    // no answer came
	stale                   // an answer came that was not its own
)

// mark asks a marker and tells whose answer came.
func (d *Dialogue) mark(ctx context.Context) (markState, error) {
	d.mu.Lock()
	marker := nextMarker()
	if d.late != nil && d.late.cmd == "AT"+marker {
		marker = nextMarker()
	}
	before := d.count.Late
	d.mu.Unlock()
	lines, err := d.probe(ctx, "AT"+marker)
	switch {
	case stops(ctx, err):
		return stale, err
	case errors.Is(err, ErrTimeout):
		return mute, nil
	case err != nil:
		return stale, nil
	}
	last := len(lines) - 1
	for _, line := range lines[:last] {
		if linePrefix(line) == strings.TrimSuffix(marker, "?") && isOK(lines[last]) {
			return marked, nil
		}
	}
	if last > 0 || isOK(lines[0]) {
		return stale, nil
	}
	// Refused. An older command may have been refused just now as well, so
	// only a line that then stays silent counts.
	if err := d.waitQuiet(ctx); err != nil {
		return stale, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count.Late != before {
		return stale, nil
	}
	return marked, nil
}

// isOK knows the success of V1 and of V0.
func isOK(line string) bool { return line == "OK" || line == "0" }

// stops reports whether proving must stop at err.
func stops(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, ErrLost) || errors.Is(err, ErrClosed) || errors.Is(err, ErrWriteBlocked))
}

// leaveText takes the modem out of a message text that it may be waiting for:
// it would take the next commands for the message.
func (d *Dialogue) leaveText(ctx context.Context) error {
	d.mu.Lock()
	in := d.inSMS
	d.inSMS = false
	d.mu.Unlock()
	if !in {
		return nil
	}
	d.eng.Escape()
	if err := d.Err(); err != nil {
		return err
	}
	return d.pause(ctx, quietTime)
}

// waitQuiet waits until nothing has arrived for quietTime, or quietMax in all.
func (d *Dialogue) waitQuiet(ctx context.Context) error {
	limit := time.Now().Add(quietMax)
	for {
		d.mu.Lock()
		quiet := d.lastByte.Add(quietTime)
		d.mu.Unlock()
		now := time.Now()
		if !now.Before(quiet) || now.After(limit) {
			return nil
		}
		if err := d.pause(ctx, quiet.Sub(now)); err != nil {
			return err
		}
	}
}

func (d *Dialogue) pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.done:
		return d.Err()
	}
}
