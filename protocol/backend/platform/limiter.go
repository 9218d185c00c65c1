package platform

import (
	"context"
	"sync"
	"time"
)

// limiter keeps an account's calls apart. It knows no burst: platforms count in windows
// of their own, and calls that stand an equal time apart are inside any of them.
type limiter struct {
	mu    sync.Mutex
	base  time.Duration // between two calls, by the contract
	gap   time.Duration // now: longer after the platform said too often
	next  time.Time
	good  int
	n     int
	slots chan struct{}
}

// An account that was told "too often" asks half as often, down to a thirty-second of
// its rate; after 50 good answers it is twice as quick again, never quicker than base.
const (
	slowest   = 32
	goodAgain = 50
)

func newLimiter(calls int, per time.Duration, atOnce int) *limiter {
	gap := (per + time.Duration(calls) - 1) / time.Duration(calls)
	return &limiter{base: gap, gap: gap, slots: make(chan struct{}, max(atOnce, 1))}
}

// take waits for this call's turn and for a free slot; done gives the slot back.
func (l *limiter) take(ctx context.Context) (done func(), err error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	now := time.Now()
	at := l.next
	if at.Before(now) {
		at = now
	}
	l.next = at.Add(l.gap)
	l.n++
	l.mu.Unlock()
	if d := at.Sub(now); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			<-l.slots
			return nil, ctx.Err()
		}
	}
	return func() { <-l.slots }, nil
}

func (l *limiter) slower(after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.good = 0
	l.gap = min(l.gap*2, l.base*slowest)
	if t := time.Now().Add(max(after, l.gap)); t.After(l.next) {
		l.next = t
	}
}

func (l *limiter) fine() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.good++; l.good >= goodAgain && l.gap > l.base {
		l.good, l.gap = 0, max(l.gap/2, l.base)
	}
}

func (l *limiter) taken() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *limiter) interval() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gap
}
