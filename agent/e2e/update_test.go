package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
	"cellwarden/agent/update"
	"cellwarden/protocol"
)

// An agent that updates itself by command, over mosquitto and a web server that
// cuts its connections: a delta that is confirmed, a release that crashes, a whole
// one with a kill -9 in the download and another in the trial, one that hangs, offers
// that are refused, and a confirmed one that dies early until it is left.
func TestUpdateOverTheAir(t *testing.T) {
	if os.Geteuid() != 0 {
		// On a pseudo terminal the claim of an agent that was killed outlives it, and
		// only root passes it by; a serial port forgets it with its last user.
		t.Skip("SKIPPED, NOT PROVED: kill -9 at any moment on a pseudo terminal needs root")
	}
	t.Parallel()
	b := newBroker(t, nil, "127.0.0.1", "")
	back := newBackend(b)
	modem := newModem(t, "healthy-quectel")
	site := newSite(t)

	dir := t.TempDir()
	first := realBuild(t, dir, "v1.0.0")
	second := realBuild(t, dir, "v1.1.0")
	crashing := otherBuild(t, dir, "v1.2.0", `panic("a release that crashes")`)
	third := realBuild(t, dir, "v1.3.0")
	hanging := otherBuild(t, dir, "v1.4.0", `select {}`)

	config := fmt.Sprintf(`
[device]
id = %q
[modem]
port = %q
[uplink]
unsigned_commands = true
brokers = [%q]
keepalive = "30s"
commands = ["report", "update"]
[probes]
daily_budget_bytes = 0
ntp = []
[update]
root_file = %q
confirm_after = "3s"
confirm_within = "2m"
`, device, modem.port, b.url(), site.root(t, dir))
	m := newMachine(t, nil, config)
	m.bin = first
	m.start()
	m.connected()
	until(t, "the modem read", patient, func() bool { return m.status().Modem.State == "ok" && m.status().Modem.LastAnswerS >= 0 })
	pid := m.cmd.Process.Pid

	offer := func(id, version string, args string) {
		t.Helper()
		commandTo(t, b, id, fmt.Sprintf(`{"url":"http://%s/%s.json"%s}`, site.addr, version, args))
	}
	hears := func(version, state string) (got protocol.Update) {
		t.Helper()
		until(t, version+" "+state, patient, func() bool {
			for _, e := range back.once() {
				if u, ok := body(t, e).(*protocol.Update); ok && u.Version == version && u.State == state {
					got = *u
					return true
				}
			}
			return false
		})
		return got
	}
	runs := func(version string) {
		t.Helper()
		until(t, version+" runs alone", patient, func() bool {
			if m.over() {
				t.Fatal("the agent ended")
			}
			s, err := m.api.Status(t.Context())
			if err != nil || s.Version != version {
				return false
			}
			exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", m.cmd.Process.Pid))
			return err == nil && len(childrenOf(m.cmd.Process.Pid)) == 0 && saysVersion(t, exe, version)
		})
	}

	// A delta against what runs.
	site.publish(t, "v1.1.0", second, first)
	began := time.Now()
	offer("u-1", "v1.1.0", "")
	hears("v1.1.0", "installed")
	if u := hears("v1.1.0", "confirmed"); u.Runs != "v1.1.0" {
		t.Errorf("confirmed while %s runs", u.Runs)
	}
	runs("v1.1.0")
	if m.cmd.Process.Pid != pid {
		t.Errorf("the service manager would have seen another process: %d, was %d", m.cmd.Process.Pid, pid)
	}
	t.Logf("FIGURE from the command to the confirmed delta (%d bytes) %s", site.served.Load(), seconds(time.Since(began)))

	// The confirmed one starts anew as such: a command that meets the old one's end is
	// acknowledged and lost, as at any stop.
	settled := func(version string) {
		t.Helper()
		until(t, version+" starting as the confirmed one", patient, func() bool {
			s, err := m.api.Status(t.Context())
			return err == nil && len(childrenOf(m.cmd.Process.Pid)) == 0 && s.Uplink.State == "connected"
		})
	}
	settled("v1.1.0")

	// A release that crashes comes back by itself.
	site.publish(t, "v1.2.0", crashing)
	offer("u-2", "v1.2.0", "")
	if u := hears("v1.2.0", "rolled_back"); u.Code != protocol.UpdateCrashed || u.Runs != "v1.1.0" {
		t.Errorf("after the crashes: %+v", u)
	}
	runs("v1.1.0")
	m.connected()

	// kill -9 in the download, over a link that breaks; then in the trial.
	site.publish(t, "v1.3.0", third)
	site.cut.Store(700_000)
	site.served.Store(0)
	t.Logf("FIGURE resident at most, before: %s", peak(t, m.cmd.Process.Pid))
	offer("u-3", "v1.3.0", "")
	until(t, "half a download", patient, func() bool {
		s, err := m.api.Status(t.Context())
		return err == nil && s.Update != nil && s.Update.Have > 200_000 && s.Update.Have < s.Update.Size
	})
	have := m.status().Update.Have
	t.Logf("FIGURE resident at most, with a download: %s", peak(t, m.cmd.Process.Pid))
	m.kill()
	m.launch()
	until(t, "the trial", patient, func() bool { return len(childrenOf(m.cmd.Process.Pid)) > 0 })
	m.kill()
	m.launch()
	hears("v1.3.0", "confirmed")
	runs("v1.3.0")
	size := site.size["v1.3.0.gz"]
	if served := site.served.Load(); served > size+size/3 {
		t.Errorf("%d bytes served for a form of %d: it does not resume", served, size)
	}
	t.Logf("FIGURE killed at %d of %d bytes; the server sent %d", have, size, site.served.Load())
	site.cut.Store(0)
	settled("v1.3.0")

	// A release that starts and does nothing.
	site.publish(t, "v1.4.0", hanging)
	m.configure(strings.Replace(config, `"2m"`, `"10s"`, 1)) // the launcher reads it
	offer("u-4", "v1.4.0", "")
	if u := hears("v1.4.0", "rolled_back"); u.Code != protocol.UpdateUnhealthy || u.Runs != "v1.3.0" {
		t.Errorf("after the hang: %+v", u)
	}
	runs("v1.3.0")
	m.connected()

	// Refused: a lower version, another target, a changed byte; and from a stick one
	// that was tried before.
	for i, tt := range []struct{ version, code string }{
		{"v1.1.0", protocol.UpdateVersion}, {"v1.5.0", protocol.UpdateTarget}, {"v1.6.0", protocol.UpdateSignature}} {
		switch tt.code {
		case protocol.UpdateTarget:
			site.target = "mipsle"
			site.publish(t, tt.version, second)
			site.target = runtime.GOARCH
		case protocol.UpdateSignature:
			site.publish(t, tt.version, second)
			site.spoil(t, tt.version)
		}
		offer(fmt.Sprintf("u-r%d", i), tt.version, "")
		until(t, "refusal "+tt.code, patient, func() bool {
			u := m.status().Update
			return u.Refused != nil && u.Refused.Code == tt.code
		})
	}
	if _, errs, code := m.run("update", filepath.Join(site.dir, "v1.4.0.json")); code != 0 {
		t.Errorf("an offer from a stick: exit %d: %s", code, errs)
	}
	until(t, "refused as tried", patient, func() bool {
		u := m.status().Update
		return u.Refused != nil && u.Refused.Code == protocol.UpdateTried
	})
	out, _, _ := m.run("update", "status")
	hasAll(t, "update status", out, "v1.3.0", "slot b", "v1.0.0", "taken back before", "v1.4.0 was taken back")

	// Days later it dies early at each start: the installed binary takes over, and what
	// was confirmed stays the floor.
	deaths := 0
	for m.status().Version == "v1.3.0" && deaths < 12 {
		m.kill()
		m.start()
		deaths++
	}
	if deaths != 8 || m.status().Version != "v1.0.0" {
		t.Errorf("after %d deaths %s runs", deaths, m.status().Version)
	}
	if u := hears("v1.3.0", "rolled_back"); u.Code != protocol.UpdateCrashed || u.Runs != "v1.0.0" {
		t.Errorf("the backend hears %+v", u)
	}
	if u := m.status().Update; u.Floor != "v1.3.0" || u.Failed != "v1.3.0" || u.Slot != "" {
		t.Errorf("update status %+v", u)
	}
	m.stop()
}

// An update of two real ARMv7 builds from a stick, by the builds themselves: launcher,
// trial and the delta's arithmetic run as ARM programs. The kernel starts them under the
// emulator, also those that they start. For make test-targets.
func TestUpdateOnEveryTarget(t *testing.T) {
	if os.Getenv("CELLWARDEN_TARGETS") == "" {
		t.Skip("nightly: make test-targets runs it")
	}
	if err := boardtest.RunARM(t); err != nil {
		t.Skipf("SKIPPED, NOT PROVED: %v (apt install qemu-user-static)", err)
	}
	t.Setenv("QEMU_CPU", "cortex-a7")
	modem := newModem(t, "healthy-quectel")
	site := newSite(t)
	site.target = "armv7"
	dir := t.TempDir()
	first, second := buildOf(t, dir, "v1.0.0", "armv7"), buildOf(t, dir, "v1.1.0", "armv7")
	site.publish(t, "v1.1.0", second, first)
	m := newMachine(t, nil, plain(modem.port)+fmt.Sprintf(`
[update]
root_file = %q
confirm_after = "3s"
confirm_within = "5m"
`, site.root(t, dir)))
	m.bin = first
	m.start()
	read := func(version, slot string) {
		t.Helper()
		until(t, version+" runs alone and reads the modem", 2*patient, func() bool {
			if m.over() {
				t.Fatal("the agent ended")
			}
			s, err := m.api.Status(t.Context())
			return err == nil && s.Version == version && s.Update != nil && s.Update.Slot == slot && s.Update.Trial == "" &&
				s.Modem.State == "ok" && s.Modem.LastAnswerS >= 0
		})
	}
	read("v1.0.0", "")
	began := time.Now()
	if _, errs, code := m.run("update", filepath.Join(site.dir, "v1.1.0.json")); code != 0 {
		t.Fatalf("update: exit %d: %s", code, errs)
	}
	read("v1.1.0", "a")
	t.Logf("FIGURE ARMv7 under qemu-user: from the command to the confirmed delta (%d bytes) %s", site.size["v1.1.0.delta"], seconds(time.Since(began)))
	m.kill()
	m.start()
	read("v1.1.0", "a")
	m.stop()
}

// realBuild is the agent of this tree, which says that it is version.
func realBuild(t *testing.T, dir, version string) string {
	t.Helper()
	return buildOf(t, dir, version, "host")
}

// buildOf is the agent for a target of scripts/build.sh.
func buildOf(t *testing.T, dir, version, target string) string {
	t.Helper()
	out := filepath.Join(dir, version)
	cmd := exec.Command("../../scripts/build.sh", "-o", out, target)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "VERSION="+version)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v: %s", err, said)
	}
	if target != "host" {
		return filepath.Join(out, "cellwarden-"+target)
	}
	return filepath.Join(out, "cellwarden")
}

// otherBuild is a program that says the same and then does what run says.
func otherBuild(t *testing.T, dir, version, run string) string {
	t.Helper()
	src := filepath.Join(dir, version+".go")
	text := fmt.Sprintf("package main\nimport \"os\"\nfunc main() {\nif os.Args[1] == \"version\" { os.Stdout.WriteString(\"cellwarden %s\\n\"); return }\n%s\n}\n", version, run)
	if strings.Contains(run, "select") {
		text = strings.Replace(text, "import \"os\"", "import (\"os\"; \"time\")", 1)
		text = strings.Replace(text, run, "for { time.Sleep(time.Hour) }", 1)
	}
	if err := os.WriteFile(src, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, version+".bin")
	if said, err := exec.Command("go", "build", "-o", out, src).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, said)
	}
	return out
}

func saysVersion(t *testing.T, exe, version string) bool {
	t.Helper()
	said, err := exec.Command(exe, "version").Output()
	return err == nil && strings.Contains(string(said), version)
}

// peak is the most memory that pid ever had resident.
func peak(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}

// childrenOf are the processes that pid has started.
func childrenOf(pid int) []string {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var out []string
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		if err == nil {
			out = append(out, strings.Fields(string(b))...)
		}
	}
	return out
}

// commandTo sends an update command.
func commandTo(t *testing.T, b *broker, id, args string) {
	t.Helper()
	raw, err := protocol.MarshalCommand(protocol.Command{V: protocol.Version, ID: id, Do: "update", Args: json.RawMessage(args),
		Expires: time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	if err != nil {
		t.Fatal(err)
	}
	topic := protocol.Topic{Prefix: protocol.DefaultPrefix, Device: device, Leaf: protocol.LeafCommand}.String()
	if out, err := command(b.ns, "mosquitto_pub", b.args("-q", "1", "-t", topic, "-m", string(raw))...).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

// site is the web server with the releases, and who signs them.
type site struct {
	dir, addr, target string
	cut               atomic.Int64 // bytes after which a connection is cut; 0 never
	served            atomic.Int64
	size              map[string]int64
}

func newSite(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: t.TempDir(), addr: l.Addr().String(), target: runtime.GOARCH, size: map[string]int64{}}
	srv := &http.Server{Handler: http.FileServer(http.Dir(s.dir)), ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(cutListener{l, s}) // ends with Close
	t.Cleanup(func() { srv.Close() })
	return s
}

// cutListener cuts each connection after as many bytes as the site says.
type cutListener struct {
	net.Listener
	s *site
}

func (l cutListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: c, s: l.s, left: l.s.cut.Load()}, nil
}

type cutConn struct {
	net.Conn
	s    *site
	left int64
}

func (c *cutConn) Write(p []byte) (int, error) {
	limited := c.s.cut.Load() > 0
	if limited && c.left <= 0 {
		c.Conn.Close()
		return 0, net.ErrClosed
	}
	if limited && int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Write(p)
	c.left -= int64(n)
	c.s.served.Add(int64(n))
	if limited && err == nil && c.left <= 0 {
		c.Conn.Close()
		return n, net.ErrClosed
	}
	return n, err
}

func releaseKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("e2e release key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (s *site) sign(t *testing.T, payload any) []byte {
	t.Helper()
	raw, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	d := update.Document{Signed: raw}
	d.Sign(releaseKey("an"))
	d.Sign(releaseKey("bo"))
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// root writes the root document that the machine is delivered with.
func (s *site) root(t *testing.T, dir string) string {
	t.Helper()
	r := update.Root{Type: "root", V: 1, Version: 1, Threshold: 2, Expires: time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339)}
	for _, k := range []string{"an", "bo", "chen"} {
		r.Keys = append(r.Keys, update.PublicKey(releaseKey(k).Public().(ed25519.PublicKey)))
	}
	file := filepath.Join(dir, "root.json")
	if err := os.WriteFile(file, s.sign(t, r), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// publish puts a release onto the site, with deltas from olds.
func (s *site) publish(t *testing.T, version, file string, olds ...string) {
	t.Helper()
	neu, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string {
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:])
	}
	m := update.Manifest{Type: "manifest", V: 1, Version: version, Target: s.target, Size: int64(len(neu)), SHA256: sum(neu),
		Expires: time.Now().AddDate(0, 3, 0).UTC().Format(time.RFC3339)}
	add := func(f update.Form, data []byte) {
		f.Size, f.SHA256 = int64(len(data)), sum(data)
		s.size[f.Name] = f.Size
		m.Forms = append(m.Forms, f)
		if err := os.WriteFile(filepath.Join(s.dir, f.Name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(neu); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	add(update.Form{Kind: update.Gzip, Name: version + ".gz"}, packed.Bytes())
	for _, name := range olds {
		old, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var patch bytes.Buffer
		if err := update.WriteDelta(&patch, old, neu); err != nil {
			t.Fatal(err)
		}
		add(update.Form{Kind: update.DeltaForm, From: sum(old), Name: version + ".delta"}, patch.Bytes())
	}
	if err := os.WriteFile(filepath.Join(s.dir, version+".json"), s.sign(t, m), 0o600); err != nil {
		t.Fatal(err)
	}
}

// spoil changes one byte of a manifest's payload after it was signed.
func (s *site) spoil(t *testing.T, version string) {
	t.Helper()
	file := filepath.Join(s.dir, version+".json")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := update.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	d.Signed[len(d.Signed)-1] = ' '
	if raw, err = json.Marshal(d); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
