package modemtest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// patience is how long a test on a real terminal waits for what must come; it
// is no part of what is measured.
const patience = 10 * time.Second

// startPTY plays a scenario on a pty and opens it as the agent does.
func startPTY(t *testing.T, text string) (*PTY, *host) {
	t.Helper()
	link := filepath.Join(t.TempDir(), "modem")
	modem, err := StartPTY(t.Context(), link, NewPlayer(scenario(t, text), 1), NewClock(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := modem.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(link); !os.IsNotExist(err) {
			t.Errorf("the link is left behind: %v", err)
		}
	})
	return modem, openPTY(t, modem)
}

func openPTY(t *testing.T, modem *PTY) *host {
	t.Helper()
	port, err := serial.Open(modem.Path(), &serial.Mode{BaudRate: 115200})
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(port)
	t.Cleanup(func() {
		_ = port.Close() // may have been hung up by the test
		h.ended(t, patience)
	})
	return h
}

func TestPTYAnswersAndEchoes(t *testing.T) {
	modem, h := startPTY(t, "-- modem --\n")
	h.say(t, "AT+CSQ\r")
	if got := strings.Join(h.until(t, "OK\r\n", patience), ""); got != "AT+CSQ\r\r\n+CSQ: 25,99\r\n\r\nOK\r\n" {
		t.Errorf("got %q", got)
	}
	h.say(t, "ATE0\r")
	h.until(t, "OK\r\n", patience)
	if err := modem.Do("echo on"); err != nil {
		t.Fatal(err)
	}
	h.say(t, "AT\r")
	if got := strings.Join(h.until(t, "OK\r\n", patience), ""); got != "AT\r\r\nOK\r\n" {
		t.Errorf("echo switched on: got %q", got)
	}
}

func TestPTYSplitReads(t *testing.T) {
	_, h := startPTY(t, "-- modem --\necho off\nsplit 3\n")
	h.say(t, "AT+CSQ\r")
	chunks := h.until(t, "OK\r\n", patience)
	if strings.Join(chunks, "") != "\r\n+CSQ: 25,99\r\n\r\nOK\r\n" || len(chunks) < 4 {
		t.Errorf("%d reads: %q", len(chunks), chunks)
	}
}

func TestPTYLateAnswerComesAfterItsTime(t *testing.T) {
	_, h := startPTY(t, "-- modem --\necho off\ndelay +CEREG? 300ms once\n")
	start := time.Now()
	h.say(t, "AT+CEREG?\rAT+CSQ\r")
	got := strings.Join(h.until(t, "+CSQ: 25,99\r\n\r\nOK\r\n", patience), "")
	if took := time.Since(start); took < 300*time.Millisecond || !strings.HasPrefix(got, "\r\n+CEREG: 0,1\r\n") {
		t.Errorf("after %s: %q", took, got)
	}
}

func TestPTYVanishesAndComesBackUnderTheSamePath(t *testing.T) {
	modem, h := startPTY(t, "-- modem --\necho off\n")
	h.say(t, "AT\r")
	h.until(t, "OK\r\n", patience)
	if err := modem.Do("vanish 200ms"); err != nil {
		t.Fatal(err)
	}
	h.ended(t, patience)
	var again *host
	for deadline := time.Now().Add(patience); again == nil; {
		if _, err := os.Stat(modem.Path()); err == nil {
			again = openPTY(t, modem)
		} else if time.Now().After(deadline) {
			t.Fatal("the port did not come back")
		}
	}
	again.say(t, "AT\r")
	again.until(t, "OK\r\n", patience)
}

func TestPTYHoldWriteFillsTheTerminal(t *testing.T) {
	modem, h := startPTY(t, "-- modem --\necho off\n")
	if err := modem.Do("hold-write 400ms"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	h.say(t, strings.Repeat(" ", 64<<10)+"\rAT\r")
	h.until(t, "OK\r\n", patience)
	if took := time.Since(start); took < 350*time.Millisecond {
		t.Errorf("written and answered in %s through a held port", took)
	}
}

func TestPTYGarbageArrivesWhole(t *testing.T) {
	modem, h := startPTY(t, "-- modem --\necho off\n")
	if err := modem.Do("garbage 65536"); err != nil {
		t.Fatal(err)
	}
	if err := modem.Do("urc THE END"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.until(t, "\r\nTHE END\r\n", patience), ""); len(got) != 65536+len("\r\nTHE END\r\n") {
		t.Errorf("%d bytes", len(got))
	}
}

// A terminal that echoed would send the modem's words back to it as commands.
func TestPTYIsRawBeforeAnybodyOpensIt(t *testing.T) {
	modem, err := StartPTY(t.Context(), "", NewPlayer(scenario(t, "-- modem --\n"), 1), NewClock(1))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(modem.Path(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	termios, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil || termios.Lflag&(unix.ECHO|unix.ICANON) != 0 {
		t.Errorf("local flags %#x, %v", termios.Lflag, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := modem.Close(); err != nil {
		t.Error(err)
	}
}

// A claimed port whose holder was killed can be opened again on real hardware.
func TestPTYClaimOfAHostDoesNotOutliveIt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT PROVED: only root opens a claimed terminal beside its holder")
	}
	modem, h := startPTY(t, "-- modem --\necho off\n")
	f, err := os.OpenFile(modem.Path(), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetInt(int(f.Fd()), unix.TIOCEXCL, 0); err != nil {
		t.Fatal(err)
	}
	h.say(t, "AT\r")
	h.until(t, "OK\r\n", patience)
	claimed, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGEXCL)
	if err != nil || claimed != 0 {
		t.Errorf("still claimed after a command: %d, %v", claimed, err)
	}
}

func TestPTYLinkNeverReplacesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := StartPTY(t.Context(), path, NewPlayer(scenario(t, "-- modem --\n"), 1), NewClock(1))
	if err == nil || !strings.Contains(err.Error(), "is not a symbolic link; name another path") {
		t.Errorf("got %v", err)
	}
}

func TestControlChannel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "sock"))
	if err != nil {
		t.Fatal(err)
	}
	var done []string
	served := make(chan error)
	go func() {
		served <- ServeControl(ctx, l, func(line string) error {
			if line == "bad" {
				return fmt.Errorf("no such thing")
			}
			done = append(done, line)
			return nil
		})
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(conn)
	for _, tt := range []struct{ say, want string }{
		{"sim absent\n", "ok"}, {"\nbad\n", "error: no such thing"}, {"  urc RING  \n", "ok"},
	} {
		if _, err := conn.Write([]byte(tt.say)); err != nil {
			t.Fatal(err)
		}
		if !in.Scan() || in.Text() != tt.want {
			t.Errorf("%q: got %q, want %q", tt.say, in.Text(), tt.want)
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if in.Scan() {
		t.Errorf("after the end: %q", in.Text())
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if strings.Join(done, ",") != "sim absent,urc RING" {
		t.Errorf("did %q", done)
	}
}

// An independent client, written against real modems, must accept this one.
func TestGammuAcceptsTheModem(t *testing.T) {
	gammu, err := exec.LookPath("gammu")
	if err != nil {
		t.Skip("SKIPPED: gammu is not installed, so no independent client was tried (apt-get install gammu)")
	}
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"identify", []string{"Quectel", "EC20F", "860000000000009"}},
		{"networkinfo", []string{"460 00", "home network", "LAC 4977"}},
		{"getallsms", []string{"10086", "您的流量已用完"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // gammu types slowly: 3 s each
			out := runGammu(t, gammu, tt.name)
			for _, w := range tt.want {
				if !strings.Contains(out, w) {
					t.Errorf("no %q in\n%s", w, out)
				}
			}
		})
	}
}

// runGammu runs one verb of gammu against a healthy modem that holds a message.
func runGammu(t *testing.T, gammu, verb string) string {
	t.Helper()
	sc, err := Builtin("healthy-quectel")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	modem, err := StartPTY(t.Context(), filepath.Join(dir, "modem"), NewPlayer(sc, 1), NewClock(1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := modem.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := modem.Do("sms from=10086 at=2026-01-27T09:00:00+08:00 text=您的流量已用完"); err != nil {
		t.Fatal(err)
	}
	rc := filepath.Join(dir, "gammurc")
	if err := os.WriteFile(rc, []byte("[gammu]\ndevice = "+modem.Path()+"\nconnection = at115200\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, gammu, "-c", rc, verb)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
