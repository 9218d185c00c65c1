package e2e

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cellwarden/agent"
	"cellwarden/agent/board"
	"cellwarden/agent/config"
	host "cellwarden/agent/device"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
	"cellwarden/protocol"
)

// timeServer answers SNTP (RFC 4330 §5) once it is allowed to.
func timeServer(t *testing.T) (addr string, answer *atomic.Bool) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answer = &atomic.Bool{}
	const since1900 = 2208988800
	stamp := func(b []byte) {
		now := time.Now()
		binary.BigEndian.PutUint32(b, uint32(now.Unix()+since1900))
		binary.BigEndian.PutUint32(b[4:], uint32(uint64(now.Nanosecond())<<32/1e9))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if n < 48 || !answer.Load() {
				continue
			}
			out := make([]byte, 48)
			out[0], out[1] = 4<<3|4, 1 // version 4, server; stratum 1
			copy(out[12:], "GPS\x00")
			copy(out[24:32], buf[40:48])
			stamp(out[16:])
			stamp(out[32:])
			stamp(out[40:])
			_, _ = c.WriteTo(out, from) // a lost answer is the network's right
		}
	})
	t.Cleanup(func() { c.Close(); wg.Wait() })
	return c.LocalAddr().String(), answer
}

// A board whose clock begins in 1970: the agent says that it does not believe
// it, works on, and when a time server answers what it recorded before gets its
// true time. The clock cannot be set for one process, so this runs the agent's
// own Run in this process, on a board whose system clock is wrong.
func TestClockIn1970(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	b := newBroker(t, nil, "127.0.0.1", "")
	k := newBackend(b)
	b.stop()
	server, answer := timeServer(t)
	second, answer2 := timeServer(t)

	dir := t.TempDir()
	cfg := config.Default
	cfg.Device.ID = device
	cfg.Modem.Port = "none"
	cfg.Data.Interfaces = []string{"none0"}
	cfg.Probes.DailyBudgetBytes = 0
	cfg.Probes.NTP = []string{server, second}
	cfg.Uplink.Brokers = []string{b.url()}
	cfg.Store.Dir = filepath.Join(dir, "state")
	cfg.API = config.API{Socket: filepath.Join(dir, "api.sock")}
	hw, done, err := host.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var mu sync.Mutex
	var trust board.TimeTrust
	real := hw.Now
	hw.Now = func() instant.Instant {
		now := real()
		mu.Lock()
		defer mu.Unlock()
		wall, by := trust.Judge(time.Unix(0, 0).Add(now.Mono), now.Mono, false)
		return instant.Instant{Boot: now.Boot, Mono: now.Mono, Wall: wall, Trusted: by != board.TimeNone}
	}
	hw.HearTime = func(source string, at time.Time) {
		mono := real().Mono
		mu.Lock()
		defer mu.Unlock()
		trust.Tell(board.TimeSource(source), at, mono)
	}
	var log lines
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- agent.Run(ctx, agent.Options{Config: cfg, Version: "test", Hardware: hw, Ready: func() { close(ready) },
			Log: slog.New(slog.NewTextHandler(&log, nil))})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the agent's log:\n%s", log.String())
		}
	}()
	<-ready
	api := localapi.NewClient(cfg.API.Socket)
	put := func(name string) {
		t.Helper()
		if _, err := api.PutEvent(t.Context(), localapi.Event{Name: name}, true); err != nil {
			t.Fatal(err)
		}
	}
	put("in.1970")
	st, err := api.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.At.Trusted || st.At.Wall[:4] != "1970" {
		t.Errorf("the board's clock is %+v", st.At)
	}
	untrusted := false
	for _, tr := range st.Troubles {
		untrusted = untrusted || tr.Key == "clock_untrusted"
	}
	if !untrusted {
		t.Errorf("the status does not say that the clock is not trusted: %+v", st.Troubles)
	}
	answer.Store(true)
	answer2.Store(true) // one alone is not believed
	took := until(t, "the true time", patient, func() bool {
		st, err := api.Status(t.Context())
		return err == nil && st.At.Trusted && len(st.Troubles) == 0
	})
	t.Logf("FIGURE 1970: the true time %s after a time server answers", seconds(took))
	put("in.2026")
	b.start()
	until(t, "both events at the backend", patient, func() bool { return len(k.names()) == 2 })
	for _, e := range k.once() {
		m, ok := body(t, e).(*protocol.MachineEvent)
		if !ok {
			continue
		}
		at, err := time.Parse(time.RFC3339, e.At.Wall)
		if err != nil || time.Since(at).Abs() > 10*time.Minute {
			t.Errorf("%s is stamped %s", m.Name, e.At.Wall)
		}
		if fixed := m.Name == "in.1970"; e.At.Corrected != fixed {
			t.Errorf("%s: %+v", m.Name, e.At)
		}
	}
}
