package modem

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/modem/at"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/threegpp"

	"golang.org/x/sys/unix"
)

// patience is how long a test on a real terminal waits for what must come.
const patience = 20 * time.Second

// terminal plays a scenario on a real pty, as modemsim does.
func terminal(t testing.TB, text string) *modemtest.PTY {
	t.Helper()
	pty, err := modemtest.StartPTY(context.Background(), filepath.Join(t.TempDir(), "modem"), modemtest.NewPlayer(scenario(t, text), 1), modemtest.NewClock(1))
	if err != nil {
		t.Skipf("no pty here: %v", err)
	}
	t.Cleanup(func() { _ = pty.Close() })
	return pty
}

func openTerminal(t testing.TB, pty *modemtest.PTY) *Modem {
	t.Helper()
	m, err := Open(context.Background(), Spec{Port: pty.Path()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Init(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// The whole package over the simulator's real terminal: what a poll tells, a
// message by its URC and by polling, a long one in parts, one of our own, a
// restart, a port that is pulled and comes back under another name.
func TestOverARealTerminal(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pty := terminal(t, ec20+"split 7\necho on\n+CUSD=1,\"*100#\",15 -> OK\n")
	m := openTerminal(t, pty)
	if got := m.Profile().Name; got != "quectel-ec2x" {
		t.Errorf("profile %s", got)
	}
	var all []Answer
	for _, q := range DefaultPoll {
		all = append(all, m.Ask(ctx, q)...)
	}
	if sim, reg := facts[threegpp.SIM](all), facts[threegpp.Registration](all); len(sim) != 1 || sim[0].State != threegpp.SIMReady || len(reg) != 3 || reg[0].Stat != threegpp.RegHome {
		t.Errorf("sim %v, registration %v", sim, reg)
	}
	if u := facts[threegpp.Unparsed](all); len(u) != 0 {
		t.Errorf("unparsed %v", u)
	}

	do := func(line string) {
		t.Helper()
		if err := pty.Do(line); err != nil {
			t.Fatal(err)
		}
	}
	do("sms from=10086 at=2026-01-27T09:00:00+08:00 text=您的流量已用完")
	index := heard(t, m, func(f threegpp.Fact) (int, bool) {
		s, ok := f.(threegpp.SMSStored)
		return s.Index, ok
	})
	if got := facts[threegpp.SMS](m.ReadSMS(ctx, index)); len(got) != 1 || got[0].Text != "您的流量已用完" || got[0].From != "10086" {
		t.Errorf("message %+v", got)
	}
	do("sms from=10086 text=" + strings.Repeat("尊敬的客户，您的套餐将于月底到期。", 8))
	var parts int
	for deadline := time.Now().Add(patience); parts != 4 && time.Now().Before(deadline); {
		parts = len(facts[threegpp.SMS](m.Ask(ctx, SMS)))
	}
	if parts != 4 {
		t.Errorf("%d parts are stored, want 4", parts)
	}
	if again := facts[threegpp.SMS](m.Ask(ctx, SMS)); len(again) != 4 {
		t.Errorf("%d messages after reading: reading deleted some", len(again))
	}
	if a := m.SendSMS(ctx, "10086", "cxll"); len(a) != 1 || !a[0].Accepted() {
		t.Errorf("our own message: %+v", a)
	}
	if a := m.USSD(ctx, "*100#"); !a[len(a)-1].Accepted() {
		t.Errorf("USSD: %+v", a)
	}
	do(`urc +CUSD: 0,"4F59989D0035002E0030003051430030",72`)
	if text := heard(t, m, func(f threegpp.Fact) (string, bool) {
		u, ok := f.(threegpp.USSD)
		return u.Text, ok
	}); text != "余额5.00元0" {
		t.Errorf("USSD text %q", text)
	}

	do("vanish 300ms")
	select {
	case <-m.Done():
	case <-time.After(patience):
		t.Fatal("the pulled port was not noticed")
	}
	if err := m.Err(); !errors.Is(err, at.ErrLost) {
		t.Errorf("pulled: %v", err)
	}
	_ = m.Close()
	var again *Modem
	var err error
	for deadline := time.Now().Add(patience); again == nil && time.Now().Before(deadline); {
		again, err = Open(ctx, Spec{Port: pty.Path()})
	}
	if again == nil {
		t.Fatalf("it did not come back: %v", err)
	}
	defer again.Close()
	if got := facts[threegpp.SIM](again.Ask(ctx, SIM)); len(got) != 1 || got[0].State != threegpp.SIMReady {
		t.Errorf("after the re-plug: %v", got)
	}
}

// heard waits for an event with a fact that want takes.
func heard[T any](t *testing.T, m *Modem, want func(threegpp.Fact) (T, bool)) (v T) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case e, ok := <-m.Unsolicited():
			if !ok {
				t.Fatal("the line is lost")
			}
			for _, f := range e.Facts {
				if v, ok := want(f); ok {
					return v
				}
			}
		case <-limit:
			t.Fatal("no such event")
		}
	}
}

// wakeups is how often the threads of this process have given up the processor
// of their own accord, which is how often something woke them.
func wakeups(t testing.TB) int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Skip("no /proc here")
	}
	n := 0
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that ended
		}
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				k, _ := strconv.Atoi(strings.TrimSpace(v))
				n += k
			}
		}
	}
	return n
}

// An open modem on a terminal that is asked nothing wakes nobody: reader and
// writer sleep in the kernel. What remains is the runtime's own. A loaded host
// disturbs some seconds and a fault of ours all of them, so one quiet second
// decides; that no timer runs is TestIdleModemHasNoTimer's.
func TestIdleModemSleeps(t *testing.T) {
	const window, most = time.Second, 30
	m := openTerminal(t, terminal(t, ec20))
	if a := m.Ask(t.Context(), SIM); len(a) == 0 || a[len(a)-1].Err != nil {
		t.Fatalf("%+v", a)
	}
	var counts []int
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		before := wakeups(t)
		time.Sleep(window)
		n := wakeups(t) - before
		if counts = append(counts, n); n <= most {
			t.Logf("%d wake-ups in %v", n, window)
			return
		}
	}
	t.Errorf("wake-ups in each %v of silence: %v, want %d at most in one of them", window, counts, most)
}

// scheduled is how often any goroutine has begun to run.
func scheduled() (n uint64) {
	s := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(s)
	for _, c := range s[0].Value.Float64Histogram().Counts {
		n += c
	}
	return n
}

// A virtual day in which the modem says nothing and is asked nothing: no
// goroutine runs, so no timer does. Of one of a minute the runtime, which counts a
// part of the runs, shows 360. The
// time is the bubble's own, so that the host's load does not matter.
func TestIdleModemHasNoTimer(t *testing.T) {
	const day, most = 24 * time.Hour, 50 // the runtime's own: it may collect garbage
	play(t, scenario(t, ec20), func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		if a := m.Ask(t.Context(), SIM); len(a) == 0 || a[len(a)-1].Err != nil {
			t.Fatalf("%+v", a)
		}
		synctest.Wait()
		before := scheduled()
		time.Sleep(day)
		n := scheduled() - before
		t.Logf("goroutines ran %d times in %v", n, day)
		if n > most {
			t.Errorf("goroutines ran %d times in %v of silence, want %d at most", n, day, most)
		}
		if a := m.Ask(t.Context(), SIM); len(facts[threegpp.SIM](a)) != 1 {
			t.Errorf("the next question: %+v", a)
		}
	})
}

// BenchmarkPollOverTerminal is one full poll over a real terminal, the
// simulator in the same process: what it costs in CPU and how often it wakes.
func BenchmarkPollOverTerminal(b *testing.B) {
	m := openTerminal(b, terminal(b, ec20))
	cpu := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	commands, woken, used := m.LineCounters().Commands, wakeups(b), cpu()
	for b.Loop() {
		for _, q := range DefaultPoll {
			for _, a := range m.Ask(b.Context(), q) {
				if a.Err != nil {
					b.Fatal(fmt.Errorf("%s: %w", a.Command, a.Err))
				}
			}
		}
	}
	b.ReportMetric(float64(m.LineCounters().Commands-commands)/float64(b.N), "commands/op")
	b.ReportMetric(float64(wakeups(b)-woken)/float64(b.N), "wakeups/op")
	b.ReportMetric(float64((cpu()-used).Microseconds())/float64(b.N), "cpu-us/op")
}
