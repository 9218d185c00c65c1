package modemtest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A host reads a port in the background, as any driver does.
type host struct {
	port io.ReadWriter
	got  chan string // chunks as they were read; closed at the end
}

func newHost(port io.ReadWriter) *host {
	h := &host{port: port, got: make(chan string, 4096)}
	go func() {
		defer close(h.got)
		for {
			b := make([]byte, readSize)
			n, err := port.Read(b)
			if n > 0 {
				h.got <- string(b[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	return h
}

// until reads chunks until want was seen, or the time is over, and returns them.
func (h *host) until(t *testing.T, want string, within time.Duration) []string {
	t.Helper()
	timeout := time.After(within)
	var chunks []string
	for !strings.Contains(strings.Join(chunks, ""), want) {
		select {
		case c, open := <-h.got:
			if !open {
				t.Fatalf("the port ended before %q; got %q", want, chunks)
			}
			chunks = append(chunks, c)
		case <-timeout:
			t.Fatalf("no %q within %s; got %q", want, within, chunks)
		}
	}
	return chunks
}

func (h *host) say(t *testing.T, s string) {
	t.Helper()
	if _, err := io.WriteString(h.port, s); err != nil {
		t.Fatal(err)
	}
}

// ended waits for the end of the port, dropping what is still read.
func (h *host) ended(t *testing.T, within time.Duration) {
	t.Helper()
	timeout := time.After(within)
	for {
		select {
		case _, open := <-h.got:
			if !open {
				return
			}
		case <-timeout:
			t.Fatalf("the port did not end within %s", within)
		}
	}
}

func TestPipePlaysTheScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		port := Pipe(ctx, scenario(t, "-- modem --\necho off\n+COPS=? [after 30s] -> +COPS: | OK\n-- script --\n5m sim absent\n"), NewClock(1))
		h := newHost(port)
		h.say(t, "AT+COPS=?\r")
		h.until(t, "OK", time.Minute)
		if took := time.Since(start).Round(time.Millisecond); took != 30*time.Second {
			t.Errorf("the scan took %s, want 30s", took)
		}
		h.until(t, "+CPIN: NOT READY", time.Hour)
		if at := time.Since(start).Round(time.Millisecond); at != 5*time.Minute {
			t.Errorf("the card went at %s, want 5m", at)
		}
		if err := port.Do("urc RING"); err != nil {
			t.Fatal(err)
		}
		h.until(t, "RING", time.Second)
		if err := port.Do("nonsense"); err == nil {
			t.Error("a bad line was taken")
		}
		cancel()
		h.ended(t, time.Second)
	})
}

func TestPipeEndsWhenThePortVanishesAndReopens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		port := Pipe(ctx, scenario(t, "-- modem --\necho off\n-- script --\n10s vanish 5s\n"), NewClock(1))
		h := newHost(port)
		h.ended(t, 11*time.Second)
		if _, err := port.Write([]byte("AT\r")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write to a vanished port: %v", err)
		}
		if _, err := port.Reopen(); !errors.Is(err, ErrGone) {
			t.Errorf("reopened at once: %v", err)
		}
		time.Sleep(6 * time.Second)
		again, err := port.Reopen()
		if err != nil {
			t.Fatal(err)
		}
		h = newHost(again)
		h.say(t, "AT\r")
		h.until(t, "OK", time.Second)
		cancel()
		h.ended(t, time.Second)
		if _, err := again.Reopen(); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("reopened after the end: %v", err)
		}
	})
}

func TestHeldWriteHoldsUpTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		port := Pipe(ctx, scenario(t, "-- modem --\necho off\n-- script --\n0s hold-write 20s\n"), NewClock(1))
		h := newHost(port)
		// More than the buffers of both ends take.
		h.say(t, strings.Repeat(" ", 3*pipeBuffer)+"\rAT\r")
		if took := time.Since(start); took < 20*time.Second {
			t.Errorf("the host wrote on after %s", took)
		}
		h.until(t, "OK", time.Second)
		cancel()
		h.ended(t, time.Second)
	})
}

func TestCompressedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		port := Pipe(ctx, scenario(t, "-- script --\n30d urc MONTH\n"), NewClock(43200))
		h := newHost(port)
		h.until(t, "MONTH", 2*time.Minute)
		if took := time.Since(start).Round(time.Millisecond); took != time.Minute {
			t.Errorf("30 days at 43200 times took %s, want 1m", took)
		}
		cancel()
		h.ended(t, time.Second)
	})
}

func TestTheSameScenarioGivesTheSameBytes(t *testing.T) {
	run := func() string {
		p := NewPlayer(scenario(t, "-- script --\n1s every 3s garbage 20\n2s every 7s sim absent\n4s every 7s sim ready\n"), 9)
		var b strings.Builder
		for s := range 600 {
			p.Write(time.Duration(s)*time.Second, []byte("AT+CEREG=2;+CPIN?\r"))
			b.WriteString(text(p.Advance(time.Duration(s) * time.Second)))
		}
		return b.String()
	}
	if a, b := run(), run(); a != b || !strings.Contains(a, "+CME ERROR: 10") {
		t.Error("two runs differ, or show no fault")
	}
}
