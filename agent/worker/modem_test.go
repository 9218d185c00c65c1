package worker

import (
	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/instant"
	"cellwarden/modem"
	"cellwarden/modem/modemtest"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// toldClock is the clock of a board without a battery, judged by the board's own rules.
type toldClock struct {
	start time.Time
	trust board.TimeTrust
	heard []string // the sources
}

func (c *toldClock) now() instant.Instant {
	mono := time.Since(c.start)
	wall, by := c.trust.Judge(time.Unix(0, 0).Add(mono), mono, false)
	return instant.Instant{Boot: "22222222", Mono: mono, Wall: wall, Trusted: by != board.TimeNone}
}

func (c *toldClock) hear(source string, at time.Time) {
	c.heard = append(c.heard, source)
	c.trust.Tell(board.TimeSource(source), at, time.Since(c.start))
}

// TestTheModemTellsTheTime: what the network told a module before the agent began
// is asked for, and what it tells later is heard.
func TestTheModemTellsTheTime(t *testing.T) {
	for name, x := range map[string]struct {
		rules, urc string
		want       string // the sources heard, the first
	}{
		"asked":                               {"+QLTS=1 -> +QLTS: \"2026/11/22,06:05:09+32,0\" | OK", "", "nitz"},
		"told":                                {"+QLTS=1 -> +QLTS: \"\" | OK", "+CTZE: \"+32\",0,\"2026/11/22,14:05:09\"", "nitz"},
		"the module's own clock is no source": {"+QLTS=1 -> ERROR\n+CCLK? -> +CCLK: \"26/11/22,14:05:09+32\" | OK", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sc, err := modemtest.Parse("clock", []byte("A clock.\n-- device --\nprofile quectel-ec2x\nmanufacturer Quectel\nmodel EC20F\nrevision X\ncarrier 460-00\n-- modem --\nsim ready\nreg home\n"+x.rules+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			clock := &toldClock{start: time.Now().Add(-time.Minute)}
			clock.trust.Good(time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)) // five hours ago, before a power cut
			hw := device.Hardware{Now: clock.now, Timer: device.Timer(clock.now), HearTime: clock.hear}
			port := make(chan *modemtest.PipePort, 1)
			hw.OpenModem = func(ctx context.Context) (device.Modem, error) {
				return modem.Open(ctx, modem.Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) {
					p := modemtest.Pipe(t.Context(), sc, modemtest.NewClock(1))
					select {
					case port <- p:
					default:
					}
					return p, nil
				}})
			}
			w := NewModem(hw, slog.New(slog.DiscardHandler), make(chan core.Event, 1024))
			m, err := hw.OpenModem(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if x.urc != "" {
				if err := (<-port).Do("urc " + x.urc); err != nil {
					t.Fatal(err)
				}
				w.heard(t.Context(), <-m.Unsolicited())
			}
			for range 2 { // the second is within the minute
				w.round(t.Context(), m, []string{"signal"})
			}
			if got := strings.Join(clock.heard, " "); got != x.want {
				t.Errorf("heard of %q, want %q", got, x.want)
			}
			if now := clock.now(); now.Trusted != (x.want != "") || now.Trusted && now.Wall.UTC().Format("2006-01-02T15:04") != "2026-11-22T06:05" {
				t.Errorf("the clock shows %s, trusted %v", now.Wall, now.Trusted)
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
		w := NewModem(hw, slog.New(slog.DiscardHandler), events)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { _ = w.Run(ctx); close(done) }()
		time.Sleep(3 * time.Second)
		w.Request(core.Remedy{Step: core.StepResetLine, Port: "absent"})
		time.Sleep(5 * time.Minute)
		stop()
		<-done
		if len(did) < 2 || did[0] != "reset absent" || did[1] != "open" || slices.Contains(did, "dial") {
			t.Errorf("did %v; the dialer is told only when a port is there", did)
		}
		if !w.redial {
			t.Error("the dialer is forgotten")
		}
		close(events)
		var said []string
		for e := range events {
			said = append(said, strings.TrimPrefix(fmt.Sprintf("%T", e), "core."))
		}
		if want := "PortState RemedyBegun RemedyDone PortState"; strings.Join(said, " ") != want {
			t.Errorf("said %v, want %s", said, want)
		}
	})
}
