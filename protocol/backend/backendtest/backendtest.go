// Package backendtest starts what the backend's tests and measurements need beside
// Go: a PostgreSQL, a mosquitto and a RabbitMQ of Debian's packages, each in a
// directory of its own that goes with the test. Where one is missing, the test is
// skipped and says so.
package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// find gives the path of a program, also where Debian keeps it out of PATH.
func find(t testing.TB, pkg, name string, places ...string) string {
	t.Helper()
	for _, p := range places {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED, NOT PROVED: %s is missing (apt install %s)", name, pkg)
	}
	return path
}

// Server is a program that a test started and may kill.
type Server struct {
	t    testing.TB
	what string
	make func() *exec.Cmd
	up   func() error
	cmd  *exec.Cmd
	done chan struct{}
	out  *bytes.Buffer
}

// Start begins it again after Kill, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd, s.out, s.done = s.make(), &bytes.Buffer{}, make(chan struct{})
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", s.what, err)
	}
	done := s.done
	cmd := s.cmd
	go func() { _ = cmd.Wait(); close(done) }()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := s.up()
		if err == nil {
			return
		}
		select {
		case <-s.done:
			s.t.Fatalf("%s ended: %v\n%s", s.what, err, s.out)
		case <-time.After(30 * time.Millisecond): // nothing tells when it listens
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s does not answer: %v\n%s", s.what, err, s.out)
		}
	}
}

// Kill ends it as a power cut would, with all its children.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Stop asks it to end in order.
func (s *Server) Stop() { s.signal(syscall.SIGINT) }

// PID is its process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

func (s *Server) signal(sig syscall.Signal) {
	_ = syscall.Kill(-s.cmd.Process.Pid, sig) // its own group; it may have ended already
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		<-s.done
	}
}

// as is the user of that name when we are root, since PostgreSQL refuses to be.
func as(t testing.TB, name string, dirs ...string) *syscall.SysProcAttr {
	t.Helper()
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if os.Getuid() != 0 || name == "" {
		return attr
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("SKIPPED, NOT PROVED: there is no user %s", name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, d := range dirs {
		if err := os.Chown(d, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return attr
}

// tempDir is short, since a socket's path must be, and goes with the test.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Postgres starts a server with a database for the test, and gives its URL. Durable
// keeps fsync on, which only measurements and kills need.
func Postgres(t testing.TB, durable bool) (string, *Server) {
	t.Helper()
	initdb := find(t, "postgresql", "initdb", "/usr/lib/postgresql/*/bin/initdb")
	server := find(t, "postgresql", "postgres", "/usr/lib/postgresql/*/bin/postgres")
	dir := tempDir(t)
	attr := as(t, "postgres", dir)
	data := filepath.Join(dir, "data")
	cmd := exec.Command(initdb, "-N", "-A", "trust", "-U", "cw", "-E", "UTF8", "--no-instructions", "-D", data)
	cmd.Dir, cmd.SysProcAttr, cmd.Env = dir, attr, append(os.Environ(), "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	args := []string{"-D", data, "-k", dir, "-h", "", "-c", "log_min_messages=fatal", "-c", "max_connections=60"}
	if !durable {
		args = append(args, "-F")
	}
	s := &Server{t: t, what: "PostgreSQL", make: func() *exec.Cmd {
		_ = os.Remove(filepath.Join(data, "postmaster.pid")) // of one that was killed
		c := exec.Command(server, args...)
		c.Dir, c.SysProcAttr, c.Env = dir, attr, append(os.Environ(), "LC_ALL=C.UTF-8")
		return c
	}}
	psql := find(t, "postgresql", "psql")
	s.up = func() error {
		return exec.Command(psql, "-X", "-q", "-h", dir, "-U", "cw", "-c", "SELECT 1", "postgres").Run()
	}
	s.Start()
	t.Cleanup(s.Kill)
	return "postgres://cw@/postgres?host=" + dir, s
}

// FreePort is a port of 127.0.0.1 that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	return l.Addr().(*net.TCPAddr).Port
}

func answers(port int) func() error {
	return func() error {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

// Mosquitto starts a broker with these lines in its config, and gives its URL.
func Mosquitto(t testing.TB, config string) (string, *Server) {
	t.Helper()
	program := find(t, "mosquitto", "mosquitto", "/usr/sbin/mosquitto")
	dir, port := tempDir(t), FreePort(t)
	attr := as(t, "")
	path := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\npersistence_location %s/\n%s", port, dir, config)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		as(t, "mosquitto", dir)
	}
	s := &Server{t: t, what: "mosquitto", up: answers(port), make: func() *exec.Cmd {
		c := exec.Command(program, "-c", path)
		c.Dir, c.SysProcAttr = dir, attr
		return c
	}}
	s.Start()
	t.Cleanup(s.Kill)
	return fmt.Sprintf("mqtt://127.0.0.1:%d", port), s
}

// Rabbit is a RabbitMQ that a test started.
type Rabbit struct {
	*Server
	MQTT, AMQP string // URLs, as user guest
	dir        string
	env        []string
	node       string
	t          testing.TB
}

// RabbitMQ starts a node with the plugin for MQTT and these lines in its config. It
// takes some 10 s.
func RabbitMQ(t testing.TB, config string) *Rabbit {
	t.Helper()
	program := find(t, "rabbitmq-server", "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
	dir, mqtt, amqp, dist := tempDir(t), FreePort(t), FreePort(t), FreePort(t)
	for name, text := range map[string]string{
		"rabbitmq.conf": fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nmqtt.listeners.tcp.1 = 127.0.0.1:%d\nloopback_users = none\n%s", amqp, mqtt, config),
		"plugins":       "[rabbitmq_mqtt].",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	attr := as(t, "rabbitmq", dir)
	r := &Rabbit{dir: dir, t: t, node: fmt.Sprintf("cw%d@localhost", amqp), MQTT: fmt.Sprintf("mqtt://guest:guest@127.0.0.1:%d", mqtt),
		AMQP: fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", amqp)}
	r.env = append(os.Environ(), "HOME="+dir, "RABBITMQ_NODENAME="+r.node, "RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "plugins"), "RABBITMQ_MNESIA_BASE="+dir, "RABBITMQ_LOG_BASE="+dir,
		"RABBITMQ_DIST_PORT="+strconv.Itoa(dist), "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none")
	r.Server = &Server{t: t, what: "RabbitMQ", make: func() *exec.Cmd {
		c := exec.Command(program)
		c.Dir, c.SysProcAttr, c.Env = dir, attr, r.env
		return c
	}, up: func() error { return errors.Join(answers(mqtt)(), answers(amqp)()) }}
	r.Start()
	t.Cleanup(r.Kill)
	return r
}

// Ctl runs rabbitmqctl on the node.
func (r *Rabbit) Ctl(args ...string) {
	r.t.Helper()
	program := find(r.t, "rabbitmq-server", "rabbitmqctl", "/usr/lib/rabbitmq/bin/rabbitmqctl")
	c := exec.Command(program, append([]string{"-n", r.node}, args...)...)
	c.Dir, c.Env, c.SysProcAttr = r.dir, r.env, as(r.t, "rabbitmq")
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("rabbitmqctl %v: %v\n%s", args, err, out)
	}
}

// Script runs a shell script of the project that calls rabbitmqctl on the node.
func (r *Rabbit) Script(path string, args ...string) {
	r.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	program := find(r.t, "rabbitmq-server", "rabbitmqctl", "/usr/lib/rabbitmq/bin/rabbitmqctl")
	c := exec.Command("sh", append([]string{"-s", "--"}, args...)...)
	c.Stdin = bytes.NewReader(text)
	c.Dir, c.SysProcAttr = r.dir, as(r.t, "rabbitmq")
	c.Env = append(slices.Clone(r.env), "RABBITMQCTL="+program+" -n "+r.node)
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("%s: %v\n%s", path, err, out)
	}
}
