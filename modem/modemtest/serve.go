package modemtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A Clock tells the time since the scenario's start.
type Clock interface {
	Now() time.Duration
	After(time.Duration) <-chan time.Time
}

// NewClock makes a Clock that starts now and runs speed times as fast as the
// wall. It follows the fake time of testing/synctest.
func NewClock(speed float64) Clock {
	return &clock{start: time.Now(), speed: speed}
}

type clock struct {
	start time.Time
	speed float64
}

func (c *clock) Now() time.Duration {
	return time.Duration(float64(time.Since(c.start)) * c.speed)
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	// One nanosecond more than the quotient, so that rounding never wakes the
	// caller just before its time.
	return time.After(time.Duration(float64(d)/c.speed) + 1)
}

// A Direction says which way traced bytes went.
type Direction string

// Directions of a trace.
const (
	FromHost Direction = "<"
	ToHost   Direction = ">"
)

// A Runner plays a Player over a stream. Its methods may be called from any
// goroutine.
type Runner struct {
	clock Clock
	wake  chan struct{} // holds one token: look at the Player again

	// Trace, where set before Serve, sees all bytes as they pass.
	Trace func(at time.Duration, dir Direction, b []byte)

	mu     sync.Mutex
	player *Player
}

// NewRunner puts p behind a lock; p must not be used directly any more.
func NewRunner(p *Player, clock Clock) *Runner {
	return &Runner{player: p, clock: clock, wake: make(chan struct{}, 1)}
}

// Do performs one script line now.
func (r *Runner) Do(line string) error {
	r.mu.Lock()
	err := r.player.DoAt(r.clock.Now(), line)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // a token is there already
	}
	return err
}

// A plug is a stream whose port can disappear and come back.
type plug interface {
	Vanish() error
	Return() error
}

// Serve plays p over rw until ctx ends or rw fails. A closed rw is a normal end.
func Serve(ctx context.Context, rw io.ReadWriter, p *Player, clock Clock) error {
	return NewRunner(p, clock).Serve(ctx, rw)
}

// readSize is the most that one read takes: the size of a tty's buffer.
const readSize = 4096

// Serve plays over rw until ctx ends or rw fails. Where rw is an io.Closer it
// is closed at the end, because that alone ends a pending read; of any other rw
// one read may stay pending.
func (r *Runner) Serve(ctx context.Context, rw io.ReadWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	chunks, failed := make(chan []byte), make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			buf := make([]byte, readSize)
			n, err := rw.Read(buf)
			if n > 0 {
				select {
				case chunks <- buf[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				failed <- err
				return
			}
		}
	})
	closer, canClose := rw.(io.Closer)
	stop := context.AfterFunc(ctx, func() {
		if canClose {
			_ = closer.Close() // ends the pending read and write; nothing to save
		}
	})
	defer func() {
		stop()
		cancel()
		if canClose {
			_ = closer.Close() // the end in any case; a second Close does nothing
			reader.Wait()
		}
	}()

	for {
		if err := r.play(rw); err != nil {
			return ended(ctx, err)
		}
		var timer <-chan time.Time
		in := chunks
		r.mu.Lock()
		if next, some := r.player.Next(); some {
			timer = r.clock.After(max(0, next-r.clock.Now()))
		}
		if r.player.Holding() {
			in = nil
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return ended(ctx, err)
		case b := <-in:
			now := r.clock.Now()
			if r.Trace != nil {
				r.Trace(now, FromHost, b)
			}
			r.mu.Lock()
			r.player.Write(now, b)
			r.mu.Unlock()
		case <-timer:
		case <-r.wake:
		}
	}
}

// play does what is due.
func (r *Runner) play(rw io.ReadWriter) error {
	now := r.clock.Now()
	r.mu.Lock()
	outputs := r.player.Advance(now)
	r.mu.Unlock()
	for _, o := range outputs {
		var err error
		pl, canVanish := rw.(plug)
		switch {
		case o.Kind == Bytes:
			if r.Trace != nil {
				r.Trace(now, ToHost, o.Data)
			}
			_, err = rw.Write(o.Data)
		case o.Kind == Vanish && canVanish:
			err = pl.Vanish()
		case o.Kind == Return && canVanish:
			err = pl.Return()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ended tells a normal end from a failure.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return fmt.Errorf("modemtest: serve: %w", err)
}
