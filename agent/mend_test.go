package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/modem"
)

// A day of a modem that does not come back, of one that comes and goes, and of one
// that was faulty and is faulty again much later.
func TestMenderIsPatient(t *testing.T) {
	const look = 10 * time.Second
	for _, c := range []struct {
		name   string
		faulty func(at time.Duration) bool
		last   time.Duration
		want   string
	}{
		{"dead for a day", func(time.Duration) bool { return true }, 24 * time.Hour, "[5m0s 15m0s 35m0s 1h15m0s 2h35m0s 5h15m0s 10h35m0s 21h15m0s]"},
		{"mute for four minutes", func(at time.Duration) bool { return at < 4*time.Minute }, 24 * time.Hour, "[]"},
		{"back after the first reset", func(at time.Duration) bool { return at <= 5*time.Minute+30*time.Second }, 24 * time.Hour, "[5m0s]"},
		{"flapping: ten minutes faulty, ten minutes well", func(at time.Duration) bool { return at%(20*time.Minute) < 10*time.Minute }, 2 * time.Hour, "[5m0s]"},
		{"again two hours later", func(at time.Duration) bool { return at < 6*time.Minute || at >= 126*time.Minute }, 132 * time.Minute, "[5m0s 2h11m0s]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m mender
			const boot = time.Minute
			var got []time.Duration
			for at := time.Duration(0); at <= c.last; at += look {
				if m.due(boot+at, c.faulty(at)) {
					got = append(got, at)
				}
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("reset at %v, want %s", got, c.want)
			}
		})
	}
}

// A reset is announced to the core as the agent's own doing, before and after; when the
// port is there again the dialer is told, once.
func TestLineResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var did []string
		pressed := false
		hw := device.Hardware{
			Now: func() instant.Instant { return instant.Instant{Mono: time.Since(began) + time.Minute} },
			Timer: func(mono time.Duration) (<-chan time.Time, func()) {
				timer := time.NewTimer(mono - time.Minute - time.Since(began))
				return timer.C, func() { timer.Stop() }
			},
			OpenModem: func(context.Context) (device.Modem, error) {
				if !pressed {
					return nil, modem.ErrNotFound
				}
				did = append(did, "open")
				return nil, errors.New("enough") // the test ends here
			},
			ResetModem: func(_ context.Context, state string) error {
				did, pressed = append(did, "reset "+state), true
				return nil
			},
			Redial: func(context.Context) error { did = append(did, "dial"); return nil },
		}
		events := make(chan core.Event, 100)
		l := newLine(hw, events)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = l.run(ctx); close(done) }()
		time.Sleep(3 * time.Second)
		l.resets <- "absent"
		time.Sleep(5 * time.Minute)
		stop()
		<-done
		if len(did) < 2 || did[0] != "reset absent" || did[1] != "open" || slices.Contains(did, "dial") {
			t.Errorf("did %v; the dialer is told only when a port is there", did)
		}
		if !l.redial {
			t.Error("the dialer is forgotten")
		}
		close(events)
		var said []string
		for e := range events {
			said = append(said, strings.TrimPrefix(fmt.Sprintf("%T", e), "core."))
		}
		if want := "PortState Cycled Cycled PortState"; strings.Join(said, " ") != want {
			t.Errorf("said %v, want %s", said, want)
		}
	})
}

// The whole agent on a board with a reset line: the modem has gone, the fault is named
// and raised, five minutes later the line is pressed; the modem answers to nothing more,
// so the next press comes ten minutes after.
func TestAgentResetsAModemThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		cfg := config.Default
		cfg.Device.ID = "vm-mend"
		cfg.Store.Dir = t.TempDir()
		cfg.API = config.API{}
		cfg.Probes.DailyBudgetBytes, cfg.Probes.NTP = 0, nil
		now := func() instant.Instant {
			return instant.Instant{Boot: "33333333", Mono: time.Since(began) + time.Minute, Wall: time.Now(), Trusted: true}
		}
		var mu sync.Mutex
		var pressed []time.Duration
		shown := ""
		hw := device.Hardware{
			Now: now, Timer: device.Timer(now),
			OpenModem: func(context.Context) (device.Modem, error) { return nil, modem.ErrNotFound },
			Links:     func() ([]meter.Reading, diag.Interface, error) { return nil, diag.Interface{}, nil },
			ResetModem: func(_ context.Context, state string) error {
				mu.Lock()
				defer mu.Unlock()
				pressed = append(pressed, time.Since(began).Round(time.Minute))
				return nil
			},
			ShowState: func(good bool) {
				mu.Lock()
				defer mu.Unlock()
				shown = fmt.Sprint(good)
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Run(ctx, Options{Config: cfg, Version: "test", Hardware: hw, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		}()
		time.Sleep(20 * time.Minute)
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if want := "[5m0s 15m0s]"; fmt.Sprint(pressed) != want || shown != "false" {
			t.Errorf("pressed at %v, want %s; the LED shows %s", pressed, want, shown)
		}
	})
}
