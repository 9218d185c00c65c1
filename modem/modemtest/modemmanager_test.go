package modemtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.bug.st/serial"
)

// ModemManager, with its generic plugin, reads from the simulator's terminal
// what the scenario plays, and a refusal when the scenario plays one.
//
// ModemManager takes a port only if the kernel lists it in /sys/class/tty, and a
// pseudo terminal is not there. Its own test interface (--test-enable, on a
// private D-Bus) takes a unix socket in place of a port, so a relay stands
// between the socket and the terminal. All above the port is as in the field:
// its plugin, its queue of commands, its parsers, its states.
func TestModemManagerReadsWhatIsPlayed(t *testing.T) {
	for _, program := range []string{"ModemManager", "mmcli", "gdbus", "dbus-daemon"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: %s is not installed, so ModemManager was not tried (apt-get install modemmanager dbus libglib2.0-bin)", program)
		}
	}
	modem, err := StartPTY(t.Context(), filepath.Join(t.TempDir(), "modem"), NewPlayer(mmScenario(t), 1), NewClock(1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := modem.Close(); err != nil {
			t.Error(err)
		}
	}()
	mm := startModemManager(t, relay(t, modem.Path()))

	mm.until("modem", map[string]string{
		"modem.generic.manufacturer": "Quectel", "modem.generic.model": "EC20F",
		"modem.generic.equipment-identifier": "860000000000009",
	}, "-m", "any", "-K")
	mm.run("-m", "any", "-e")
	mm.until("registration", map[string]string{
		"modem.generic.state": "registered", "modem.3gpp.registration-state": "home", "modem.3gpp.operator-code": "46000",
		"modem.3gpp.packet-service-state": "attached", "modem.generic.access-technologies.value[1]": "lte",
	}, "-m", "any", "-K")
	mm.until("card", map[string]string{"sim.properties.imsi": "460000000000001"}, "-i", "any", "-K")

	if err := modem.Do("sms from=10086 at=2026-01-27T09:00:00+08:00 text=您的流量已用完"); err != nil {
		t.Fatal(err)
	}
	mm.until("message", map[string]string{"sms.content.number": "10086", "sms.content.text": "您的流量已用完", "sms.properties.state": "received"}, "-s", "0", "-K")

	if err := modem.Do("reg denied cause=7"); err != nil {
		t.Fatal(err)
	}
	mm.until("refusal", map[string]string{"modem.3gpp.registration-state": "denied"}, "-m", "any", "-K")
}

func mmScenario(t *testing.T) *Scenario {
	t.Helper()
	sc, err := Builtin("healthy-quectel")
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// relay joins a socket, whose name it returns, with the terminal at path.
func relay(t *testing.T, path string) string {
	t.Helper()
	name := fmt.Sprintf("abstract:cellwarden-test-%d", os.Getpid())
	l, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	port, err := serial.Open(path, &serial.Mode{BaudRate: 115200})
	if err != nil {
		t.Fatal(err)
	}
	// ModemManager closes its port and opens it again between its phases: what
	// the modem says then goes to the newest connection.
	var mu sync.Mutex
	var newest net.Conn
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			newest = c
			mu.Unlock()
			_, _ = io.Copy(port, c) // ends with the connection
			_ = c.Close()
		}
	})
	wait.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := port.Read(buf)
			if err != nil || n == 0 {
				return
			}
			mu.Lock()
			if newest != nil {
				_, _ = newest.Write(buf[:n]) // a closed one hears nothing, as a closed port
			}
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		_ = port.Close()
		mu.Lock()
		if newest != nil {
			_ = newest.Close()
		}
		mu.Unlock()
		wait.Wait()
	})
	return name
}

// modemManager is one that runs on a private bus.
type modemManager struct {
	t   *testing.T
	env []string
	log string
}

func startModemManager(t *testing.T, port string) *modemManager {
	t.Helper()
	dir := t.TempDir()
	bus := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1")
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, bus)
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("no D-Bus: %v", err)
	}
	address = strings.TrimSpace(address)
	mm := &modemManager{t: t, log: filepath.Join(dir, "log"), env: append(os.Environ(), "LC_ALL=C.UTF-8",
		"DBUS_SESSION_BUS_ADDRESS="+address, "DBUS_SYSTEM_BUS_ADDRESS="+address)} // mmcli knows only the system bus
	daemon := exec.Command("ModemManager", "--test-session", "--test-enable", "--test-no-udev",
		"--test-no-suspend-resume", "--test-no-qrtr", "--no-auto-scan", "--log-level=DEBUG", "--log-file="+mm.log)
	daemon.Env = mm.env
	start(t, daemon)
	for deadline := time.Now().Add(mmPatience); ; time.Sleep(100 * time.Millisecond) {
		call := exec.Command("gdbus", "call", "--session", "-d", "org.freedesktop.ModemManager1", "-o", "/org/freedesktop/ModemManager1",
			"-m", "org.freedesktop.ModemManager1.Test.SetProfile", "simulated", "generic", "['"+port+"']")
		call.Env = mm.env
		text, err := call.CombinedOutput()
		if err == nil {
			return mm
		}
		if time.Now().After(deadline) {
			t.Fatalf("ModemManager takes no port: %s", text)
		}
	}
}

// mmPatience is how long ModemManager may take for one step.
const mmPatience = 60 * time.Second

// start runs a program and what it starts itself until the test ends.
func start(t *testing.T, c *exec.Cmd) {
	t.Helper()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL)
		_ = c.Wait()
	})
}

func (mm *modemManager) run(args ...string) string {
	ctx, cancel := context.WithTimeout(mm.t.Context(), mmPatience)
	defer cancel()
	c := exec.CommandContext(ctx, "mmcli", args...)
	c.Env = mm.env
	text, _ := c.CombinedOutput() // what is missing shows in the text
	return string(text)
}

// until waits for all of want in the key: value lines of a question to mmcli.
func (mm *modemManager) until(what string, want map[string]string, args ...string) {
	mm.t.Helper()
	var text string
	for deadline := time.Now().Add(mmPatience); ; time.Sleep(200 * time.Millisecond) {
		text = mm.run(args...)
		got := map[string]string{}
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(line, ":"); ok {
				v = strings.TrimSpace(v)
				if plain, err := strconv.Unquote(`"` + v + `"`); err == nil {
					v = plain // bytes beyond ASCII come as \346
				}
				got[strings.TrimSpace(k)] = v
			}
		}
		missing := 0
		for k, v := range want {
			if got[k] != v {
				missing++
			}
		}
		if missing == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	log, _ := os.ReadFile(mm.log)
	lines := strings.Split(string(log), "\n")
	mm.t.Fatalf("%s: no %v in\n%s\nits log ends\n%s", what, want, text, strings.Join(lines[max(0, len(lines)-60):], "\n"))
}
