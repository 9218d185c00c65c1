package agent

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/board"
	"cellwarden/agent/instant"
	"cellwarden/agent/localapi"
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
	await(t, ready, stop)
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
	clock.hear("sntp/a", time.Now()) // no source is believed alone
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
