package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.bug.st/serial"
)

// patience is how long the tests wait for what must come.
const patience = 10 * time.Second

// A running modemsim, as a program that starts it sees it.
type running struct {
	path   string
	stderr *syncBuffer
	stop   func() error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func start(t *testing.T, args ...string) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := running{stderr: &syncBuffer{}}
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, in, r.stderr)
		in.CloseWithError(err)
		done <- err
	}()
	r.stop = func() error {
		cancel()
		return <-done
	}
	first := bufio.NewScanner(out)
	if !first.Scan() {
		t.Fatalf("no path printed: %v", r.stop())
	}
	r.path = first.Text()
	return r
}

// ask opens the port, says one command and returns what came up to the final
// result.
func ask(t *testing.T, path, command string) string {
	t.Helper()
	port, err := serial.Open(path, &serial.Mode{BaudRate: 115200})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := port.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := port.SetReadTimeout(patience); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(port, command+"\r"); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	b := make([]byte, 256)
	for !strings.HasSuffix(got.String(), "OK\r\n") && !strings.Contains(got.String(), "ERROR") {
		n, err := port.Read(b)
		if err != nil || n == 0 {
			t.Fatalf("after %q: %d bytes, %v", got.String(), n, err)
		}
		got.Write(b[:n])
	}
	return got.String()
}

func TestControlChangesWhatTheHostIsTold(t *testing.T) {
	dir := t.TempDir()
	link, sock := filepath.Join(dir, "modem"), filepath.Join(dir, "sock")
	sim := start(t, "-link", link, "-control", sock, "-v", "healthy-quectel")
	if sim.path != link {
		t.Errorf("printed %q, want the link", sim.path)
	}
	if got := ask(t, link, "AT+CPIN?"); !strings.Contains(got, "+CPIN: READY") {
		t.Errorf("healthy: %q", got)
	}
	conn, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(conn)
	for _, tt := range []struct{ say, want string }{{"sim absent", "ok"}, {"sim gone", "error: sim: unknown state"}} {
		if _, err := io.WriteString(conn, tt.say+"\n"); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() || !strings.HasPrefix(answers.Text(), tt.want) {
			t.Errorf("%s: %q", tt.say, answers.Text())
		}
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if got := ask(t, link, "AT+CPIN?"); !strings.Contains(got, "+CME ERROR: 10") {
		t.Errorf("after sim absent: %q", got)
	}
	if err := sim.stop(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"< AT+CPIN?\n", "> +CPIN: READY\n", "> +CPIN: NOT READY\n", "> +CME ERROR: 10\n"} {
		if !strings.Contains(sim.stderr.String(), want) {
			t.Errorf("-v did not print %q:\n%s", want, sim.stderr)
		}
	}
	for _, left := range []string{link, sock} {
		if _, err := os.Lstat(left); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", left, err)
		}
	}
}

func TestSpeedCompressesTheScenario(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.txtar")
	if err := os.WriteFile(file, []byte("-- device --\nmanufacturer Quectel\n-- modem --\n+QPING [after 1h] -> OK\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sim := start(t, "-speed", "36000", file)
	begin := time.Now()
	ask(t, sim.path, "AT+QPING")
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("an hour at 36000 times took %s, want 100ms or more", took)
	}
	if err := sim.stop(); err != nil {
		t.Error(err)
	}
}

func TestRecordedCaseIsPlayed(t *testing.T) {
	sim := start(t, "-case", "testdata/cases.json", "-id", "norco-ec20-no-sim")
	if got := ask(t, sim.path, "AT+CPIN?"); !strings.Contains(got, "+CME ERROR: 10") {
		t.Errorf("got %q", got)
	}
	if err := sim.stop(); err != nil {
		t.Error(err)
	}
}

func TestListSettingsNamesThemAll(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list-settings"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sim ready|absent", "vanish TIME", "[urc-inside LINE]", "(script and control only)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "give one scenario file, or one of black-hole,"},
		{[]string{"nosuch"}, `no built-in scenario "nosuch"; there are black-hole,`},
		{[]string{"./nosuch.txtar"}, "modemtest: stat ./nosuch.txtar: no such file"},
		{[]string{"-speed", "0", "mute"}, "-speed 0: more than 0"},
		{[]string{"-speed", "NaN", "mute"}, "-speed NaN: more than 0"},
		{[]string{"-case", "testdata/cases.json", "-id", "nosuch"}, `testdata/cases.json: no case "nosuch"; there are norco-ec20-no-sim`},
		{[]string{"-case", "testdata/cases.json", "mute"}, "a scenario and -case are both given"},
		{[]string{"-case", "main.go"}, "main.go: not an array of cases"},
		{[]string{"-control", "main.go", "mute"}, "it is not a socket; name another path"},
	} {
		err := run(t.Context(), tt.args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q\n got %v\nwant %s", tt.args, err, tt.want)
		}
	}
}

func TestSocketOfAKilledRunIsReplacedAndAServedOneIsNot(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	sim := start(t, "-control", sock, "mute")
	err = run(t.Context(), []string{"-control", sock, "mute"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "another modemsim serves it") {
		t.Errorf("got %v", err)
	}
	if err := sim.stop(); err != nil {
		t.Error(err)
	}
}
