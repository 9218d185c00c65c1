package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/instant"
)

// fakeBoard is a board whose system clock began in 1970 and whose time runs as
// the test's bubble does.
type fakeBoard struct {
	start time.Time
	trust board.TimeTrust
	asked []time.Duration
}

func (b *fakeBoard) now() instant.Instant {
	mono := time.Since(b.start)
	wall, by := b.trust.Judge(time.Unix(0, 0).Add(mono), mono, false)
	return instant.Instant{Boot: "22222222", Mono: mono, Wall: wall, Trusted: by != board.TimeNone}
}

func (b *fakeBoard) asker(answer func(n int) (time.Time, error)) (*Clock, func() uint64) {
	hw := device.Hardware{Now: b.now, Timer: device.Timer(b.now),
		AskTime: func(_ context.Context, server string) (time.Time, error) {
			b.asked = append(b.asked, time.Since(b.start))
			if want := []string{"a", "b"}[(len(b.asked)-1)%2]; server != want {
				return time.Time{}, errors.New("out of turn")
			}
			return answer(len(b.asked))
		},
		HearTime: func(source string, at time.Time) {
			b.trust.Tell(board.TimeSource(source), at, time.Since(b.start))
		}}
	events := make(chan core.Event, 4096)
	clock := NewClock(hw, []string{"a", "b"}, slog.New(slog.DiscardHandler), events)
	return clock, func() (bytes uint64) {
		for len(events) > 0 {
			bytes += (<-events).(core.Spent).Bytes
		}
		return bytes
	}
}

func runFor(t *testing.T, a *Clock, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := a.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestTimeServersAreAskedWhileNobodyVouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBoard{start: time.Now()}
		right := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		a, spent := b.asker(func(n int) (time.Time, error) {
			if n < 4 {
				return time.Time{}, errors.New("no answer")
			}
			return right.Add(time.Since(b.start)), nil
		})
		runFor(t, a, 40*time.Hour)
		// 1 min for the others, then doubling, then another server that bears the first
		// one out, then daily.
		want := []time.Duration{time.Minute, 3 * time.Minute, 7 * time.Minute, 15 * time.Minute, 15*time.Minute + time.Second,
			15*time.Minute + time.Second + 24*time.Hour}
		if !slices.Equal(b.asked, want) {
			t.Errorf("asked at %v, want %v", b.asked, want)
		}
		if got := spent(); got != uint64(len(want)*timeCost) {
			t.Errorf("%d B for %d questions", got, len(b.asked))
		}
		if now := b.now(); !now.Trusted || !now.Wall.Equal(right.Add(40*time.Hour)) {
			t.Errorf("%+v", now)
		}
	})
}

func TestTimeServersAreLeftAloneWhenTheTimeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBoard{start: time.Now()}
		b.trust.Tell(board.TimeCloud, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), 0)
		a, _ := b.asker(func(int) (time.Time, error) { return time.Time{}, errors.New("no answer") })
		runFor(t, a, 30*24*time.Hour)
		if len(b.asked) > 0 {
			t.Errorf("asked at %v", b.asked)
		}
	})
}

// A month without any server: the questions stay cheap.
func TestSilentTimeServersCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBoard{start: time.Now()}
		a, spent := b.asker(func(int) (time.Time, error) { return time.Time{}, errors.New("no answer") })
		runFor(t, a, 30*24*time.Hour)
		if perDay := spent() / 30; perDay > 5_000 {
			t.Errorf("%d B a day", perDay)
		}
	})
}

// One server that answers with 2035: nobody bears it out, and it costs little.
func TestOneFalseServerIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBoard{start: time.Now()}
		right := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		a, spent := b.asker(func(n int) (time.Time, error) {
			if n%2 == 1 {
				return right.AddDate(9, 0, 0).Add(time.Since(b.start)), nil
			}
			return right.Add(time.Since(b.start)), nil
		})
		runFor(t, a, 24*time.Hour)
		if now := b.now(); now.Trusted {
			t.Errorf("believed %v", now.Wall)
		}
		if got := spent(); got > 12_000 {
			t.Errorf("%d B in a day", got)
		}
	})
}

// A certificate fails by its dates alone: the time is asked at once, and not again for
// ten minutes, however often it fails.
func TestTimeIsAskedAtOnceWhenACertificateFailsByItsDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBoard{start: time.Now()}
		b.trust.Tell(board.TimeCloud, time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC), 0)
		a, _ := b.asker(func(int) (time.Time, error) { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), nil })
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
		defer cancel()
		ended := make(chan struct{})
		defer func() { <-ended }()
		go func() {
			defer close(ended)
			for ctx.Err() == nil {
				a.Again()
				time.Sleep(time.Minute) // of the bubble's clock
			}
		}()
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(b.asked) != 2 {
			t.Errorf("asked at %v, want twice in fifteen minutes", b.asked)
		}
	})
}
