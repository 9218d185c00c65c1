package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/device"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/modem"
)

// The whole agent on a board with a reset line: the modem has gone, the fault is named
// and raised, and within two minutes the line is pressed; the modem answers to nothing
// more, so the next press comes by the patient schedule, a quarter of an hour after.
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
				pressed = append(pressed, time.Since(began).Round(time.Second))
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
		if len(pressed) != 2 || pressed[0] > 2*time.Minute || pressed[1]-pressed[0] < 12*time.Minute || shown != "false" {
			t.Errorf("pressed at %v; the LED shows %s", pressed, shown)
		}
	})
}
