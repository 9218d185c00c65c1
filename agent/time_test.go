package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
	"cellwarden/modem"
	"cellwarden/modem/modemtest"
	"cellwarden/protocol"
)

// lostClock is the clock of a board without a battery, a minute after its start,
// judged by the board's own rules.
type lostClock struct {
	start time.Time

	mu    sync.Mutex
	trust board.TimeTrust
	heard []string
}

func newLostClock() *lostClock { return &lostClock{start: time.Now().Add(-time.Minute)} }

func (c *lostClock) now() instant.Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := time.Since(c.start)
	wall, by := c.trust.Judge(time.Unix(0, 0).Add(mono), mono, false)
	return instant.Instant{Boot: "22222222-0000-4000-8000-000000000000", Mono: mono, Wall: wall, Trusted: by != board.TimeNone}
}

// hear implements Hardware.HearTime.
func (c *lostClock) hear(source string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, source)
	c.trust.Tell(board.TimeSource(source), at, time.Since(c.start))
}

func (c *lostClock) sources() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.heard, " ")
}

var timeKey = ed25519.NewKeyFromSeed([]byte("cellwarden test key: not secret!"))

// lostAgent runs an agent by that clock, and gives what hands it an event.
func lostAgent(t *testing.T, clock *lostClock, dir, broker string) (put func(name string), stop func()) {
	t.Helper()
	cfg := testConfig(t, broker)
	sock := filepath.Join(shortDir(t), "s")
	cfg.Store.Dir, cfg.API.Socket = dir, sock
	cfg.Uplink.Commands = []string{"time"}
	cfg.Uplink.CommandKeys = []string{base64.StdEncoding.EncodeToString(timeKey.Public().(ed25519.PublicKey))}
	hw := bareHardware(clock.now)
	hw.HearTime = clock.hear
	ready := make(chan struct{})
	stop = runAgent(t, Options{Config: cfg, Hardware: hw, Ready: func() { close(ready) }})
	<-ready
	client := localapi.NewClient(sock)
	return func(name string) {
		t.Helper()
		if _, err := client.PutEvent(t.Context(), localapi.Event{Name: name}, true); err != nil {
			t.Fatal(err)
		}
	}, stop
}

// event waits for the next machine event, which must have this name.
func (c *console) event(name string) (at protocol.Time, wall time.Time) {
	c.t.Helper()
	e := c.next(protocol.TypeEvent)
	var body protocol.MachineEvent
	if err := json.Unmarshal(e.Body, &body); err != nil || body.Name != name {
		c.t.Fatalf("%v %+v, want %q", err, body, name)
	}
	wall, err := time.Parse(time.RFC3339, e.At.Wall)
	if err != nil {
		c.t.Fatal(err)
	}
	return e.At, wall
}

// Recorded in 1970, in this run of the agent and in an earlier one, with the broker
// away; then the modem tells the network's time. The broker gets the true times,
// and reads which were put right.
func TestEventsOf1970ComeWithTheirTrueTime(t *testing.T) {
	t.Parallel()
	clock, dir, began := newLostClock(), t.TempDir(), time.Now()
	put, stop := lostAgent(t, clock, dir, "tcp://127.0.0.1:9")
	put("first-run")
	stop()
	put, stop = lostAgent(t, clock, dir, "tcp://127.0.0.1:9")
	put("second-run")
	clock.hear("nitz", time.Now())
	put("time-known")
	put("and-again") // answered after what belongs to the one before
	stop()

	addr := mosquittoOn(t, "")
	c := newConsole(t, addr)
	lostAgent(t, clock, dir, "tcp://"+addr)
	for _, x := range []struct {
		name  string
		fixed bool
	}{{"first-run", true}, {"second-run", true}, {"time-known", false}, {"and-again", false}} {
		at, wall := c.event(x.name)
		if !at.Trusted || at.Corrected != x.fixed || at.Boot != "22222222" || wall.Before(began.Add(-2*time.Second)) || wall.After(time.Now().Add(2*time.Second)) {
			t.Errorf("%s, recorded between %s and now: %+v", x.name, began.UTC().Format(time.RFC3339), at)
		}
	}
}

// A board that nobody tells the time: the backend sees it in a message and tells
// it by a signed command.
func TestTheBackendTellsTheTime(t *testing.T) {
	t.Parallel()
	clock, addr := newLostClock(), mosquittoOn(t, "")
	c := newConsole(t, addr)
	day := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	is := json.RawMessage(fmt.Sprintf(`{"now":%q}`, time.Now().UTC().Format(time.RFC3339)))
	kept := signed(t, timeKey, "cw-1", protocol.Command{ID: "kept", Expires: day, Do: "time", Args: is})
	if token := c.client.Publish("cw/cw-1/d", 1, true, kept); !token.WaitTimeout(testPatience) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	put, _ := lostAgent(t, clock, t.TempDir(), "tcp://"+addr)
	c.online()
	if r := c.reply(); r.ID != "kept" || r.OK || !strings.Contains(r.Error, "without retain") {
		t.Errorf("a time that the broker kept: %+v", r)
	}
	put("in-1970")
	if at, _ := c.event("in-1970"); at.Trusted || at.Corrected || !strings.HasPrefix(at.Wall, "1970-01-01T00:0") {
		t.Errorf("%+v", at)
	}

	for _, x := range []struct {
		id   string
		args json.RawMessage
		key  ed25519.PrivateKey
		says string // "": obeyed
	}{
		{"unsigned", is, nil, "not signed"},
		{"no-args", nil, timeKey, "args are missing"},
		{"noon", json.RawMessage(`{"now":"noon"}`), timeKey, "RFC 3339"},
		{"good", is, timeKey, ""},
	} {
		c.send(signed(t, x.key, "cw-1", protocol.Command{ID: x.id, Expires: day, Do: "time", Args: x.args}))
		if r := c.reply(); r.ID != x.id || r.OK != (x.says == "") || !strings.Contains(r.Error, x.says) {
			t.Errorf("%s: %+v", x.id, r)
		}
		if want := map[bool]string{true: "cloud", false: ""}[x.says == ""]; clock.sources() != want {
			t.Errorf("%s: the clock heard of %q", x.id, clock.sources())
		}
	}
	put("now")
	if at, wall := c.event("now"); !at.Trusted || at.Corrected || time.Since(wall).Abs() > 10*time.Second {
		t.Errorf("%+v", at)
	}
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
			clock := newLostClock()
			hw := bareHardware(clock.now)
			hw.HearTime = clock.hear
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
			l := newLine(hw, make(chan core.Event, 1024))
			m, err := hw.OpenModem(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if x.urc != "" {
				if err := (<-port).Do("urc " + x.urc); err != nil {
					t.Fatal(err)
				}
				l.heard(t.Context(), <-m.Unsolicited())
			}
			for range 2 { // the second is within the minute
				l.round(t.Context(), m, []string{"signal"})
			}
			if got := clock.sources(); got != x.want {
				t.Errorf("heard of %q, want %q", got, x.want)
			}
			if now := clock.now(); now.Trusted != (x.want != "") || now.Trusted && now.Wall.UTC().Format("2006-01-02T15:04") != "2026-11-22T06:05" {
				t.Errorf("the clock shows %s, trusted %v", now.Wall, now.Trusted)
			}
		})
	}
}
