package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"

	"github.com/creack/pty"
)

// alive checks that the agent still does what needs no modem and no network.
func (m *machine) alive() {
	m.t.Helper()
	if !m.put("still.here") {
		m.t.Error("no event is accepted")
	}
}

// answering opens a pty whose other end does what a device would.
func answering(t *testing.T, do func(master *os.File)) (port string) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.Command("stty", "-F", slave.Name(), "raw", "-echo").CombinedOutput(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { do(master) })
	t.Cleanup(func() { slave.Close(); master.Close(); wg.Wait() })
	return slave.Name()
}

// A port behind which there is no modem: the agent says so and what to do, and
// works on.
func TestPortIsNoModem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do      func(master *os.File)
		trouble string
		says    []string // in the log
		shown   []string // in the status
	}{
		"says nothing": {func(f *os.File) { _, _ = io.Copy(io.Discard, f) }, "port_silent", []string{"no modem answers"}, []string{"nothing answers", "check its power"}},
		"echoes":       {func(f *os.File) { _, _ = io.Copy(f, f) }, "port_silent", []string{"no modem answers"}, []string{"nothing answers", "check its power"}},
		"garbage": {func(f *os.File) {
			buf := make([]byte, 256)
			for {
				n, err := f.Read(buf)
				if err != nil {
					return
				}
				for i := range buf[:n] {
					buf[i] = buf[i]*37 | 0x80
				}
				if _, err := f.Write(append(buf[:n:n], 0, 0xff, '\r', '\n')); err != nil {
					return
				}
			}
		}, "not_a_modem", []string{"no AT answers", "wrong port or wrong speed"}, []string{"not a modem", "Set another port"}},
		"a GPS receiver": {func(f *os.File) {
			for {
				if _, err := io.WriteString(f, "$GPGGA,064951.000,2307.1256,N,12016.4438,E,1,8,0.95,39.9,M,17.8,M,,*65\r\n"); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond) // the rate of a receiver, not a synchronisation
			}
		}, "not_a_modem", []string{"no AT answers", "wrong port"}, []string{"not a modem", "Set another port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port := answering(t, tt.do)
			m := newMachine(t, nil, plain(port))
			m.start()
			began := time.Now()
			m.trouble(tt.trouble, patient)
			t.Logf("FIGURE %s: named after %s", name, seconds(time.Since(began)))
			m.logs(append(tt.says, port)...)
			out, _, _ := m.run("status", "--all")
			hasAll(t, "status", out, append(tt.shown, port)...)
			m.alive()
			m.stop() // it holds the port while it tries
			out, errs, code := runAgent(t, nil, "diagnose", "--direct", port)
			if tt.trouble == "not_a_modem" {
				if code != 1 {
					t.Errorf("diagnose --direct: exit %d", code)
				}
				hasAll(t, "diagnose --direct", errs, append(tt.says, port)...)
			} else {
				if code != 3 {
					t.Errorf("diagnose --direct: exit %d", code)
				}
				hasAll(t, "diagnose --direct", out, "no modem was ever met", "set modem.port")
			}
		})
	}
}

func TestPortIsNoPort(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		port string
		says []string
	}{
		"no such file":       {"/dev/ttyUSB77", []string{"no such port", "plugged in"}},
		"an ordinary file":   {file, []string{"not a serial port", "name a tty"}},
		"another device":     {"/dev/null", []string{"not a serial port", "name a tty"}},
		"a modem of USB ids": {"auto", []string{"modem.port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, nil, plain(tt.port))
			m.start()
			tr := m.trouble("port_absent", patient)
			hasAll(t, "the trouble", strings.Join(tr.Args, " "), tt.says...)
			m.logs(tt.says...)
			m.alive()
		})
	}
}

// Another program has the port: it is named, and left alone; when it lets go the
// agent has the modem by itself.
func TestPortHeldByAnother(t *testing.T) {
	t.Parallel()
	modem := newModem(t, "healthy-quectel")
	tty, err := filepath.EvalSymlinks(modem.port)
	if err != nil {
		t.Fatal(err)
	}
	holder := command(nil, "flock", tty, "tail", "-f", "/dev/null")
	holder.SysProcAttr.Setpgid = true
	start(t, holder)
	free := sync.OnceFunc(func() {
		_ = syscall.Kill(-holder.Process.Pid, syscall.SIGKILL) // it and its child
		_ = holder.Wait()
	})
	t.Cleanup(free)
	until(t, "the port locked", patient, func() bool {
		return exec.Command("flock", "-n", tty, "true").Run() != nil
	})
	m := newMachine(t, nil, plain(modem.port))
	m.start()
	tr := m.trouble("port_held", patient)
	hasAll(t, "the trouble", strings.Join(tr.Args, " "), modem.port, "pid")
	out, _, _ := m.run("status", "--all")
	hasAll(t, "status", out, "held by", "Stop that program")
	if d := m.status().Diagnosis; d.Class == diag.ModemFault {
		t.Errorf("a held port is called %s %s", d.Verdict, d.Class)
	}
	_, errs, code := runAgent(t, nil, "diagnose", "--direct", modem.port)
	if code != 1 {
		t.Errorf("diagnose --direct: exit %d", code)
	}
	hasAll(t, "diagnose --direct", errs, "held by")
	m.alive()
	free()
	let := time.Now()
	until(t, "the modem", patient, func() bool { return m.status().Network.Registration == "home" })
	t.Logf("FIGURE held port: in use %s after the other program let go", seconds(time.Since(let)))
	if left := m.troubles(); len(left) != 0 {
		t.Errorf("troubles: %+v", left)
	}
}

// Noise on the line of a good modem changes no verdict.
func TestModemAnswersGarbage(t *testing.T) {
	t.Parallel()
	modem := newModem(t, "healthy-quectel")
	m := newMachine(t, nil, strings.Replace(plain(modem.port), "[modem]\n", "[modem]\npoll = \"1s\"\n", 1))
	m.start()
	until(t, "the modem", patient, func() bool { return m.status().Network.Registration == "home" })
	modem.do("split 3")
	noise := []string{`garbage 1`, `garbage 30`, `garbage 3000`, `urc +CEREG: 77`, `urc +CPIN: NOT A STATE`, `urc OK`, `urc +CSQ: 1234567890123456789012345678901234567890,x`}
	for range 3 {
		for _, line := range noise {
			modem.do(line)
			before := m.status()
			until(t, "an answer after the noise", patient, func() bool {
				s := m.status()
				return s.Modem.LastAnswerS >= 0 && s.UptimeS > before.UptimeS && s.Modem.LastAnswerS <= 1
			})
		}
	}
	modem.do("split off")
	until(t, "all as before", patient, func() bool {
		s := m.status()
		return s.Network.Registration == "home" && s.SIM.State == "ready" && s.Modem.State == "ok" && len(s.Standing) == 0
	})
	m.alive()
}

func TestConfigThatIsNotGood(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.toml")
	bad := filepath.Join(dir, "bad.toml")
	text := "[device]\nid = \"vm-1\"\n[modem]\nprot = \"/dev/ttyUSB2\"\npoll = \"6\"\n[nonsense]\n"
	if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken.toml")
	if err := os.WriteFile(broken, []byte("[device\nid = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file string
		says []string
	}{
		"missing":         {missing, []string{missing, "cellwarden config example"}},
		"an unknown key":  {bad, []string{bad + ":4", "prot", "port"}},
		"a bad value":     {bad, []string{bad + ":5", "modem.poll", "30s"}},
		"unknown table":   {bad, []string{bad + ":6", "nonsense"}},
		"not even a file": {dir, []string{dir}},
		"no TOML":         {broken, []string{broken + ":", "not TOML", "cellwarden config example"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{{"run", "--config", tt.file}, {"config", "check", tt.file}} {
				_, errs, code := runAgent(t, nil, args...)
				if code != 1 {
					t.Errorf("%v: exit %d", args, code)
				}
				hasAll(t, strings.Join(args, " "), errs, tt.says...)
			}
		})
	}
}

// The first start: the state directory is not there yet.
func TestEmptyStateDirectory(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil, plain("none"))
	if _, err := os.Stat(m.state); err == nil {
		t.Fatal("the state directory is there already")
	}
	m.start()
	m.alive()
	info, err := os.Stat(m.state)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state directory: %v %v", info, err)
	}
	// A second agent on the same state would tear the outbox apart.
	_, errs, code := runAgent(t, nil, "run", "--config", m.config)
	if code != 1 || !strings.Contains(errs, "another") {
		t.Errorf("a second agent: exit %d: %s", code, errs)
	}
	m.alive()
}

// smallDisk mounts a tmpfs at the machine's state directory.
func smallDisk(t *testing.T, m *machine, size string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT PROVED: a small disk needs root (mount tmpfs)")
	}
	if err := os.MkdirAll(m.state, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", m.state).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOT PROVED: no tmpfs can be mounted here: %s", out)
	}
	t.Cleanup(func() {
		m.kill()
		if out, err := exec.Command("umount", "-l", m.state).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
}

// fillDisk takes all room that is left, and returns how to give it back.
func fillDisk(t *testing.T, m *machine) (free func()) {
	t.Helper()
	path := filepath.Join(m.state, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := bytes.Repeat([]byte{1}, 4096); ; {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// The state disk runs full: events are refused aloud (nothing is promised that
// cannot be kept), accepted again when there is room, and all that was accepted
// arrives.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	b := newBroker(t, nil, "127.0.0.1", "")
	k := newBackend(b)
	b.stop()
	m := newMachine(t, nil, plain("none")+fmt.Sprintf("[uplink]\nbrokers = [%q]\n", b.url()))
	smallDisk(t, m, "4m")
	m.start()
	var accepted []string
	big := `"` + strings.Repeat("x", 3000) + `"`
	put := func(name string) (int, string) {
		_, errs, code := m.run("event", "put", name, "--data", big)
		if code == 0 {
			accepted = append(accepted, name)
		}
		return code, errs
	}
	if code, errs := put("room.0"); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	free := fillDisk(t, m)
	code, errs := 0, ""
	for i := 0; code == 0 && i < 2000; i++ { // room that the outbox took before is used up first
		code, errs = put(fmt.Sprintf("full.%d", i))
	}
	if code != 4 {
		t.Fatalf("on a full disk: exit %d: %s", code, errs)
	}
	hasAll(t, "event put on a full disk", errs, "not kept", "space", "Try again")
	tr := m.trouble("disk_full", patient)
	hasAll(t, "the trouble", strings.Join(tr.Args, " "), m.state)
	out, _, _ := m.run("status", "--all")
	hasAll(t, "status", out, "disk is full", "Free space")
	t.Logf("FIGURE full disk: %d events were kept before the first was refused", len(accepted))
	free()
	until(t, "an event accepted again", patient, func() bool { c, _ := put(fmt.Sprintf("again.%d", len(accepted))); return c == 0 })
	until(t, "the trouble over", patient, func() bool { return len(m.troubles()) == 0 })
	b.start()
	until(t, "all accepted at the backend", patient, func() bool {
		got := map[string]bool{}
		for _, n := range k.names() {
			got[n] = true
		}
		for _, n := range accepted {
			if !got[n] {
				return false
			}
		}
		return true
	})
}

// A disk that is full when the agent starts: it measures and says so.
func TestFullDiskAtTheStart(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil, plain("none"))
	smallDisk(t, m, "1m")
	free := fillDisk(t, m)
	m.start()
	m.trouble("disk_full", patient)
	if m.put("on.a.full.disk") {
		t.Error("an event is accepted that cannot be kept")
	}
	free()
	until(t, "an event accepted", patient, func() bool { return m.put("with.room") })
	until(t, "the trouble over", patient, func() bool { return len(m.troubles()) == 0 })
}

// A flash that the kernel has set read-only, while the agent runs and at its start.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil, plain("none"))
	smallDisk(t, m, "32m")
	remount := func(how string) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "remount,"+how, m.state).CombinedOutput(); err != nil {
			t.Fatalf("remount %s: %s", how, out)
		}
	}
	m.start()
	m.alive()
	m.kill()
	remount("ro")
	m.start()
	m.trouble("disk_readonly", patient)
	out, _, _ := m.run("status", "--all")
	hasAll(t, "status", out, "read-only", "mount it writable")
	if m.put("on.a.read.only.disk") {
		t.Error("an event is accepted that cannot be kept")
	}
	remount("rw")
	until(t, "an event accepted", patient, func() bool { return m.put("writable.again") })
	until(t, "the trouble over", patient, func() bool { return len(m.troubles()) == 0 })
}

// A broker that does not let the device in: said, and not asked again and again.
func TestBrokerRefuses(t *testing.T) {
	t.Parallel()
	needMosquitto(t)
	if _, err := exec.LookPath("mosquitto_passwd"); err != nil {
		t.Skip("SKIPPED, NOT PROVED: mosquitto_passwd is missing (apt install mosquitto)")
	}
	passwords := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, "machine", "right").CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %s", out)
	}
	b := newBroker(t, nil, "127.0.0.1", "allow_anonymous false\npassword_file "+passwords)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, nil, plain("none")+fmt.Sprintf("[uplink]\nbrokers = [%q]\nusername = \"machine\"\npassword_file = %q\n", b.url(), secret))
	m.start()
	tr := m.trouble("uplink_refused", patient)
	hasAll(t, "the trouble", strings.Join(tr.Args, " "), "password")
	var u localapi.Uplink
	until(t, "the wait", patient, func() bool { u = m.status().Uplink; return u.State == "down" && u.RetryInS > 0 })
	t.Logf("FIGURE refused: the next attempt in %d s", u.RetryInS)
	if u.RetryInS < 120 {
		t.Errorf("the next attempt already in %d s", u.RetryInS)
	}
	out, _, _ := m.run("status", "--all")
	hasAll(t, "status", out, "refuses this device", "password")
	if strings.Contains(m.log.String()+out, "wrong\n") || strings.Contains(m.log.String(), "=wrong") {
		t.Error("the password is in the log")
	}
	m.alive()
	// Mended, and the service restarted, as a technician would: it arrives.
	k := newBackend(b, "-u", "machine", "-P", "right")
	if err := os.WriteFile(secret, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.stop()
	m.start()
	until(t, "the event at the backend", patient, func() bool { return strings.Contains(strings.Join(k.names(), " "), "still.here") })
	until(t, "the trouble over", patient, func() bool { return len(m.troubles()) == 0 })
}

// A power cut in the middle of whatever: every state file is noise, one by one
// and all together. The agent starts, says so, and takes events.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil, plain("none"))
	m.start()
	m.alive()
	m.stop()
	var files []string
	err := filepath.Walk(m.state, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 3 {
		t.Fatalf("state files: %v %v", files, err)
	}
	// Of the outbox's segments, all made alike, the one in use and a free one.
	const inUse, free = "/seg-0000", "/seg-0001"
	all := slices.Clone(files)
	files = slices.DeleteFunc(files, func(f string) bool {
		return strings.Contains(f, "/seg-") && !strings.HasSuffix(f, inUse) && !strings.HasSuffix(f, free)
	})
	noise := bytes.Repeat([]byte("\xa5\x5a\x00noise\xff{\"v\":"), 300)
	spoil := func(list ...string) {
		for _, f := range list {
			if err := os.WriteFile(f, noise, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, f := range append(files, "all") {
		if f == "all" {
			spoil(all...)
		} else {
			spoil(f)
		}
		said := len(m.log.String())
		m.start()
		m.alive()
		// A segment without one readable sector is taken for one that was being made
		// when the power went, and is not spoken of.
		if !strings.Contains(f, "/seg-") {
			until(t, "a word of the damage to "+f, patient, func() bool { return strings.Contains(m.log.String()[said:], "level=WARN") })
		}
		if i%2 == 0 {
			m.kill()
		} else {
			m.stop()
		}
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimPrefix(f, m.state+"/")
	}
	t.Logf("FIGURE damaged state: started with each of %v spoilt, and with all", names)
}
