package modem

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/modem/modemtest"
	"cellwarden/modem/threegpp"
)

// mishap is one thing that goes wrong in the day, and how it ends.
type mishap struct {
	name, begin, end string
	lasts            time.Duration
	// stirs: the modem's own state changes for a while, so that its answers may
	// differ from those of a healthy one. Else not one may.
	stirs bool
}

var mishaps = []mishap{
	{"the module hangs", "mute", "unmute", 2 * time.Minute, false},
	{"the port vanishes", "vanish 20s", "", 20 * time.Second, false},
	{"the port takes no bytes", "hold-write 30s", "", 30 * time.Second, false},
	{"64 KiB of noise", "garbage 65536", "", 0, false},
	{"echo comes on", "echo on", "", 0, false},
	{"the module restarts", "reboot", "", time.Minute, true},
	{"answers in pieces", "split 3", "split off", time.Minute, false},
	{"a late answer", "delay +COPS? 8s once", "", time.Minute, false},
	{"a later answer", "delay +CPIN? 40s once", "", time.Minute, false},
	{"an unsolicited line with the reply's prefix", "+CEREG? [urc-inside +CEREG: 2] -> +CEREG: 3,1,\"4977\",\"B973F53\",7 | OK", "default +CEREG?", time.Minute, false},
	{"an unsolicited line inside a reply", "+CSQ [urc-inside +CGEV: ME PDN ACT 2] -> +CSQ: 26,99 | OK", "default +CSQ", time.Minute, false},
	{"a final result of the vendor's", "+CEER -> COMMAND NOT SUPPORT", "default +CEER", time.Minute, false},
	{"a command that is never answered", "+CGATT? -> silence", "default +CGATT?", 2 * time.Minute, false},
	{"a prompt that never comes", "prompt-never", "prompt-ok", time.Minute, false},
	{"the card is away", "sim absent", "sim ready", 3 * time.Minute, true},
	{"the network refuses", "reg denied cause=7", "reg home", 3 * time.Minute, true},
	{"the session is gone", "session closed reject=33", "session active addr=10.63.118.204", 2 * time.Minute, true},
}

const (
	dayPoll = 30 * time.Second
	// dayRecovery is within what a whole poll must succeed again after the end
	// of a mishap: one timeout, one proof of step, one re-open, one poll.
	dayRecovery = 90 * time.Second
)

// A day of polling, every half a minute, with a modem that fails in every way
// above, one after the other, five times each. Nothing is misread: while only
// the line is at fault, every answer is that of the healthy modem. After each
// mishap a whole poll succeeds within dayRecovery. It takes seconds.
func TestADayWithEveryMishap(t *testing.T) {
	began := time.Now()
	polls, reopens, answers, failed := 0, 0, 0, 0
	var slowest time.Duration
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := modemtest.Pipe(ctx, scenario(t, ec20), modemtest.NewClock(1))
		var m *Modem
		open := func() bool {
			next, err := p.Reopen()
			if err == nil {
				p = next
				m, err = Open(ctx, Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return p, nil }})
			}
			if err == nil {
				_, err = m.Init(ctx)
			}
			return err == nil
		}
		start := time.Now()
		var now mishap
		var ends, due time.Time // of the mishap, and when all must be well again
		next := 0
		for time.Since(start) < 24*time.Hour {
			switch {
			case !ends.IsZero() && !time.Now().Before(ends):
				if now.end != "" {
					if err := p.Do(now.end); err != nil {
						t.Fatal(err)
					}
				}
				due, ends = time.Now().Add(dayRecovery), time.Time{}
			case ends.IsZero() && due.IsZero() && polls%10 == 9:
				now = mishaps[next%len(mishaps)]
				next++
				if err := p.Do(now.begin); err != nil {
					t.Fatalf("%s: %v", now.name, err)
				}
				ends = time.Now().Add(now.lasts)
			}
			polls++
			whole := m != nil || open()
			if whole && now.begin == "prompt-never" && !ends.IsZero() {
				m.SendSMS(ctx, "10001", "x")
			}
			for _, q := range DefaultPoll {
				if !whole {
					break
				}
				for _, a := range m.Ask(ctx, q) {
					answers++
					if a.Err != nil {
						failed++
						whole = false
					} else if !(now.stirs && (!ends.IsZero() || !due.IsZero())) {
						healthyAnswer(t, now.name, a)
					}
				}
				if m.Err() != nil {
					break
				}
			}
			for range len(mEvents(m)) {
				<-m.Unsolicited()
			}
			if m != nil && m.Err() != nil {
				m.Close()
				m = nil
				reopens++
				time.Sleep(time.Second)
				continue
			}
			if whole && !due.IsZero() && ends.IsZero() {
				slowest = max(slowest, time.Since(due.Add(-dayRecovery)))
				due = time.Time{}
			}
			if !due.IsZero() && time.Now().After(due) {
				t.Fatalf("after %v: %s: no whole poll within %v of its end", time.Since(start), now.name, dayRecovery)
			}
			time.Sleep(dayPoll)
		}
		if m != nil {
			m.Close()
		}
		p.Close()
		if next < 3*len(mishaps) {
			t.Errorf("only %d mishaps", next)
		}
	})
	t.Logf("%d polls, %d answers, %d failed, %d re-opens, well again after %v at most; in %v", polls, answers, failed, reopens, slowest, time.Since(began).Round(10*time.Millisecond))
	if reopens == 0 || failed == 0 {
		t.Error("the day was too quiet to prove anything")
	}
}

func mEvents(m *Modem) <-chan Event {
	if m == nil {
		return nil
	}
	return m.Unsolicited()
}

// healthyAnswer refuses a fact that the healthy modem of the scenario does not give.
func healthyAnswer(t *testing.T, during string, a Answer) {
	t.Helper()
	for _, f := range a.Facts {
		wrong := false
		switch f := f.(type) {
		case threegpp.SIM:
			wrong = f.State != threegpp.SIMReady
		case threegpp.Registration:
			wrong = f.Stat != threegpp.RegHome
		case threegpp.Operator:
			wrong = f.PLMN != "46000"
		case threegpp.Attach:
			wrong = !f.Attached
		case threegpp.Functionality:
			wrong = f.Level != 1
		case threegpp.Unparsed:
			wrong = during != "64 KiB of noise" // kept raw is right there
		}
		if wrong {
			t.Errorf("%s: %s was answered %s (%q)", during, a.Command, f, a.Lines)
		}
	}
}

// BenchmarkDay is that day, whole: a bubble of simulated time wants a test, so
// the test runs in a process of its own.
func BenchmarkDay(b *testing.B) {
	for b.Loop() {
		if out, err := exec.Command(os.Args[0], "-test.run=^TestADayWithEveryMishap$").CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
}
