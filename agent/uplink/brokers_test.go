package uplink

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cellwarden/protocol"
)

// daemon is a broker from Debian's packages, in a directory of its own.
type daemon struct {
	t     testing.TB
	what  string
	argv  []string
	env   []string
	addr  string        // MQTT
	start time.Duration // how long it may take until it listens
	after func()        // cleans up behind it
	cmd   *exec.Cmd
	out   bytes.Buffer
}

func (d *daemon) up() {
	d.t.Helper()
	d.cmd = exec.Command(d.argv[0], d.argv[1:]...)
	d.cmd.Env = append(os.Environ(), d.env...)
	d.out.Reset()
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	d.cmd.WaitDelay = patient // a grandchild may hold the pipe
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	began := time.Now()
	for {
		conn, err := net.Dial("tcp", d.addr)
		if err == nil {
			conn.Close()
			d.t.Logf("%s listens after %s", d.what, time.Since(began).Round(100*time.Millisecond))
			return
		}
		if time.Since(began) > d.start {
			d.down()
			d.t.Fatalf("%s did not listen within %s: %v\n%s", d.what, d.start, err, d.out.String())
		}
		<-time.After(50 * time.Millisecond) // nothing tells when it listens
	}
}

// down ends it and its children at once.
func (d *daemon) down() {
	if d.cmd == nil {
		return
	}
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	_ = d.cmd.Wait()
	d.cmd = nil
	if d.after != nil {
		d.after()
	}
}

func natsServer(t testing.TB) *daemon {
	path := installed(t, "nats-server", "/usr/sbin/nats-server")
	dir := t.TempDir()
	d := &daemon{t: t, what: "NATS", addr: freeAddr(t), start: patient}
	conf := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: %q\nserver_name: test\njetstream { store_dir: %q }\nmqtt { listen: %q }\n", freeAddr(t), dir, d.addr)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.argv = []string{path, "-c", conf}
	t.Cleanup(d.down)
	return d
}

// rabbitMQ takes some 10 s to start: it is the reason why its test is skipped in
// a short run.
func rabbitMQ(t testing.TB) *daemon {
	path := installed(t, "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
	if path != "/usr/lib/rabbitmq/bin/rabbitmq-server" {
		path = "/usr/lib/rabbitmq/bin/rabbitmq-server" // the one in PATH wants to become another user
	}
	dir := t.TempDir()
	d := &daemon{t: t, what: "RabbitMQ", addr: freeAddr(t), start: time.Minute}
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	epmd := "ERL_EPMD_PORT=" + port(freeAddr(t))
	d.argv = []string{path}
	d.env = []string{"HOME=" + dir, "RABBITMQ_NODENAME=test" + port(d.addr) + "@localhost", "RABBITMQ_MNESIA_BASE=" + dir + "/mnesia",
		"RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_LOGS=-", "RABBITMQ_PID_FILE=" + dir + "/pid", "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + write("plugins", "[rabbitmq_mqtt].\n"),
		"RABBITMQ_CONFIG_FILE=" + write("r.conf", "listeners.tcp = none\nmqtt.listeners.tcp.1 = "+d.addr+"\nmqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n"),
		"RABBITMQ_DIST_PORT=" + port(freeAddr(t)), epmd, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2"}
	d.after = func() { // Erlang's port mapper, on a port of our own, goes on by itself
		cmd := exec.Command("epmd", "-kill")
		cmd.Env = append(os.Environ(), epmd)
		_ = cmd.Run()
	}
	t.Cleanup(d.down)
	return d
}

func installed(t testing.TB, name, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return path
	}
	found, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIP: %s not installed: apt-get install %s", name, name)
	}
	return found
}

// TestBrokersOfOthers: what the uplink needs of a broker works with NATS and
// RabbitMQ as Debian ships them: QoS 1 up, plain and packed, a command down, the
// online status, and everything again after the broker was killed.
func TestBrokersOfOthers(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(testing.TB) *daemon
		slow bool
	}{{"nats", natsServer, false}, {"rabbitmq", rabbitMQ, true}} {
		t.Run(c.name, func(t *testing.T) {
			if c.slow && testing.Short() {
				t.Skip("SKIP: takes 15 s to start")
			}
			t.Parallel()
			d := c.make(t)
			d.up()
			b := newBackend(t, d.addr)
			s := newStore(t)
			s.alert("sim_absent")
			for i := range 100 {
				s.event(i)
			}
			r := start(t, s, func(o *Options) { o.Brokers = []string{"tcp://" + d.addr} })
			r.empty()
			b.until("an alert and 100 events", func() bool { return len(b.once()) == 101 })
			b.until("online", func() bool { return len(b.statuses) > 0 && strings.HasPrefix(b.statuses[0], "up=true") })
			last := uint64(0)
			b.mu.Lock()
			for _, e := range b.once() {
				if e.Type == protocol.TypeEvent {
					if e.Seq <= last {
						t.Errorf("event %d after %d", e.Seq, last)
					}
					last = e.Seq
				}
			}
			b.mu.Unlock()

			_, from := find[Connected](r, 0, nil)
			down := protocol.Topic{Prefix: protocol.DefaultPrefix, Device: device, Leaf: protocol.LeafCommand}.String()
			token := b.client.Publish(down, 1, false, `{"v":1,"id":"c1"}`)
			if !token.WaitTimeout(patient) || token.Error() != nil {
				t.Fatal(token.Error())
			}
			if e, _ := find[Commanded](r, 0, nil); string(e.Raw) != `{"v":1,"id":"c1"}` || e.Retained {
				t.Errorf("%+v %s", e, e.Raw)
			}

			d.down()
			find[Disconnected](r, from, nil)
			for i := range 50 {
				s.event(100 + i)
			}
			d.up()
			r.empty()
			// The backend's subscription may be younger than what was sent first:
			// what counts is the broker's word for each, and that it works again.
			find[Connected](r, from, nil)
			b.until("the backend back", b.client.IsConnectionOpen)
			token = b.client.Publish(down, 1, false, `{"v":1,"id":"c2"}`)
			if !token.WaitTimeout(patient) || token.Error() != nil {
				t.Fatal(token.Error())
			}
			find(r, 0, func(e Commanded) bool { return bytes.Contains(e.Raw, []byte("c2")) })
		})
	}
}
