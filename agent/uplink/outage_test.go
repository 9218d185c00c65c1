package uplink

import (
	"context"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/wayout"
)

// outage runs an uplink in virtual time whose connections are made by dial, with the
// timing of a device, and gives it and its events; f is what happens meanwhile.
func outage(t *testing.T, dial func(context.Context) (net.Conn, error), f func(u *Uplink, events func() []Event)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var events seen[Event]
		way := wayout.Way{DialHook: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
		u := New(Options{Device: device, Brokers: []string{"tcp://192.0.2.7:1883"}, Source: newStore(t), Now: now,
			OnEvent: events.add, Way: func() (wayout.Way, error) { return way, nil }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- u.Run(ctx) }()
		f(u, events.all)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// seen is what one goroutine notes and another one reads.
type seen[T any] struct {
	mu   sync.Mutex
	list []T
}

func (s *seen[T]) add(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, v)
}

func (s *seen[T]) all() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func refuse(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

func hang(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Err: ctx.Err()}
}

func many[E Event](events []Event) (n int) {
	for _, e := range events {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

func durable(events []Event) (n int) {
	for _, e := range events {
		if s, ok := e.(StateChanged); ok && s.Durable {
			n++
		}
	}
	return n
}

// An attempt that fails has its state kept once, and on the flash for the first and the
// fifth of an outage and then hourly; a wait for the allowance, in which nothing was
// tried, costs nothing.
func TestAFailedAttemptIsKeptOnce(t *testing.T) {
	outage(t, refuse, func(_ *Uplink, events func() []Event) {
		time.Sleep(11 * time.Minute) // virtual
		synctest.Wait()
		tried, kept := many[Connecting](events()), many[StateChanged](events())
		if tried < 5 || tried > 12 || kept != tried {
			t.Errorf("%d attempts in 11 minutes, their state kept %d times", tried, kept)
		}
		if n := durable(events()); n != 2 {
			t.Errorf("kept on the flash %d times in 11 minutes, want twice", n)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if tried, kept = many[Connecting](events()), many[StateChanged](events()); kept != tried {
			t.Errorf("%d attempts in a day, their state kept %d times", tried, kept)
		}
		if n := durable(events()); n < 20 || n > 2+25 {
			t.Errorf("kept on the flash %d times in a day, want hourly", n)
		}
	})
}

// Once the owner knows that the path is back, the next attempt comes within a second,
// whatever was waited for, and an attempt that has hung since before is given up.
func TestThePathIsBack(t *testing.T) {
	for name, c := range map[string]struct {
		dial  func(context.Context) (net.Conn, error)
		after time.Duration // of the last attempt's begin, the nudge comes
	}{
		"while it waits":      {refuse, 3 * time.Minute},
		"while it dials":      {hang, 20 * time.Second},
		"while it just dials": {hang, time.Second}, // let it: it may be of after the return
	} {
		t.Run(name, func(t *testing.T) {
			var tries seen[time.Time]
			outage(t, func(ctx context.Context) (net.Conn, error) {
				tries.add(time.Now())
				return c.dial(ctx)
			}, func(u *Uplink, _ func() []Event) {
				for len(tries.all()) < 7 {
					time.Sleep(time.Millisecond)
				}
				dials := tries.all()
				n := len(dials)
				time.Sleep(time.Until(dials[n-1].Add(c.after)))
				synctest.Wait()
				at := time.Now()
				u.Nudge()
				time.Sleep(time.Minute + 50*time.Second)
				synctest.Wait()
				dials = tries.all()
				if c.after < overtaken {
					given := DefaultTiming.Connect - c.after // what the young one still had
					if len(dials) == n || dials[n].Sub(at) < given || dials[n].Sub(at) > given+DefaultTiming.Nudged {
						t.Errorf("attempts %v, want the next when this one has had its time, %s after %s", dials[n:], given, at)
					}
					return
				}
				if len(dials) == n || dials[n].Sub(at) > DefaultTiming.Nudged {
					t.Errorf("attempts %v, want the next within %s of %s", dials[n:], DefaultTiming.Nudged, at)
				}
			})
		})
	}
}
