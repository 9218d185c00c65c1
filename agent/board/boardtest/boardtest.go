// Package boardtest gives tests a network of their own: namespaces, a veth pair
// with a peer that echoes, and real traffic over it. It needs root and the ip
// command of iproute2; without, tests skip and say so.
package boardtest

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ioTimeout bounds every read and write of the test traffic.
const ioTimeout = 10 * time.Second

var serial atomic.Int64

// Require skips the test, and says why, where namespaces cannot be made.
func Require(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT PROVED: network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("SKIPPED, NOT PROVED: network namespaces need the ip command (apt install iproute2)")
	}
	if out, err := exec.Command("ip", "netns", "list").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOT PROVED: no network namespaces here: %s", strings.TrimSpace(string(out)))
	}
}

// NetNS is a named network namespace.
type NetNS struct {
	Name string
	t    testing.TB
}

// NewNetNS makes a namespace with its loopback up, and deletes it after the test.
func NewNetNS(t testing.TB) *NetNS {
	t.Helper()
	Require(t)
	n := &NetNS{Name: fmt.Sprintf("cw%d-%d", os.Getpid(), serial.Add(1)), t: t}
	n.ip(false, "netns", "add", n.Name)
	t.Cleanup(func() { n.ip(false, "netns", "del", n.Name) })
	n.IP("link", "set", "lo", "up")
	// The kernel's own IPv6 neighbour talk would be traffic that no test made.
	_ = n.Command("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1").Run() // no IPv6: as good
	return n
}

// ip runs the ip command, inside the namespace or beside it.
func (n *NetNS) ip(inside bool, args ...string) {
	n.t.Helper()
	if inside {
		args = append([]string{"-n", n.Name}, args...)
	}
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// IP runs "ip -n NAME args..." and fails the test on an error.
func (n *NetNS) IP(args ...string) {
	n.t.Helper()
	n.ip(true, args...)
}

// Command prepares a program that will run inside the namespace, with /sys
// showing its interfaces.
func (n *NetNS) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Run runs f inside the namespace, on an operating system thread that is thrown
// away after. Sockets that f opens itself belong to the namespace for ever;
// goroutines that f starts run outside of it. /sys still shows the outside.
func (n *NetNS) Run(f func()) {
	n.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := enter(n.Name)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

func enter(name string) error {
	f, err := os.Open("/var/run/netns/" + name)
	if err != nil {
		return fmt.Errorf("boardtest: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("boardtest: enter %s: %w", name, err)
	}
	return nil
}

// Pair is a device's namespace joined to a peer's (the "network") by a veth pair.
// A TCP server in the peer discards what it is sent and answers with as many
// bytes as the first eight ask for.
type Pair struct {
	Device, Peer *NetNS
	Interface    string // in Device
	DeviceAddr   string // 10.77.0.2
	PeerAddr     string // 10.77.0.1
	port         int
	t            testing.TB
}

// NewPair makes both namespaces and the pair, with the interface named name in
// the device's.
func NewPair(t testing.TB, name string) *Pair {
	t.Helper()
	p := &Pair{Device: NewNetNS(t), Peer: NewNetNS(t), Interface: name, DeviceAddr: "10.77.0.2", PeerAddr: "10.77.0.1", t: t}
	p.Create()
	p.serve()
	return p
}

// Create makes the interface (again), as a modem does that re-enumerates: a new
// ifindex, counters at zero.
func (p *Pair) Create() {
	p.t.Helper()
	p.Device.IP("link", "add", p.Interface, "type", "veth", "peer", "name", "up0", "netns", p.Peer.Name)
	p.Peer.IP("addr", "add", p.PeerAddr+"/24", "dev", "up0")
	p.Peer.IP("link", "set", "up0", "up")
	p.Device.IP("addr", "add", p.DeviceAddr+"/24", "dev", p.Interface)
	p.Device.IP("link", "set", p.Interface, "up")
	p.Device.IP("route", "add", "default", "via", p.PeerAddr, "dev", p.Interface)
}

// Delete removes the interface and its peer.
func (p *Pair) Delete() {
	p.t.Helper()
	p.Device.IP("link", "del", p.Interface)
}

// Down and Up switch the link without re-creating it.
func (p *Pair) Down() { p.t.Helper(); p.Device.IP("link", "set", p.Interface, "down") }

// Up undoes Down; the default route, which the kernel dropped, is set again.
func (p *Pair) Up() {
	p.t.Helper()
	p.Device.IP("link", "set", p.Interface, "up")
	p.Device.IP("route", "replace", "default", "via", p.PeerAddr, "dev", p.Interface)
}

func (p *Pair) serve() {
	var ln net.Listener
	var err error
	p.Peer.Run(func() { ln, err = net.Listen("tcp4", "0.0.0.0:0") })
	if err != nil {
		p.t.Fatal(err)
	}
	p.port = ln.Addr().(*net.TCPAddr).Port
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { answer(c) })
		}
	})
	p.t.Cleanup(func() { ln.Close(); wg.Wait() })
}

func answer(c net.Conn) {
	defer c.Close()
	if c.SetDeadline(time.Now().Add(ioTimeout)) != nil {
		return
	}
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	var want int64
	for _, b := range head {
		want = want<<8 | int64(b)
	}
	read := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, c) // until the caller has said all
		close(read)
	}()
	_, _ = io.CopyN(c, zeros{}, want) // the caller counts what it got
	<-read
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Exchange moves real traffic over the interface: up bytes to the peer, down
// bytes back, in one TCP connection, and returns when its last packet has gone: what
// is counted then stays so. The interface carries more than that, by headers and
// acknowledgements.
func (p *Pair) Exchange(up, down int64) {
	p.t.Helper()
	var c net.Conn
	var err error
	p.Device.Run(func() {
		c, err = net.DialTimeout("tcp4", fmt.Sprintf("%s:%d", p.PeerAddr, p.port), ioTimeout)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		p.t.Fatal(err)
	}
	head := make([]byte, 8)
	for i := range head {
		head[i] = byte(down >> (56 - 8*i))
	}
	if _, err := c.Write(head); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.CopyN(c, zeros{}, max(0, up-8)); err != nil {
		p.t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n != down {
		p.t.Fatalf("got %d of %d bytes: %v", n, down, err)
	}
	if err := c.Close(); err != nil {
		p.t.Fatal(err)
	}
	for end := time.Now().Add(ioTimeout); !p.over(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatal("a connection does not end")
		}
	}
}

// over reports whether no connection of the device has a packet to send: one in
// TIME_WAIT has sent the last acknowledgement.
func (p *Pair) over() bool {
	p.t.Helper()
	var table []byte
	var err error
	p.Device.Run(func() { table, err = os.ReadFile("/proc/thread-self/net/tcp") })
	if err != nil {
		p.t.Fatal(err)
	}
	const timeWait, listening = "06", "0A"
	port := fmt.Sprintf(":%04X", p.port)
	for line := range strings.Lines(string(table)) {
		// "0: 0100000A:C350 0200000A:1F90 06 ...": number, local, remote, state
		f := strings.Fields(line)
		if len(f) > 3 && strings.HasSuffix(f[2], port) && f[3] != timeWait && f[3] != listening {
			return false
		}
	}
	return true
}

// Counters is what the kernel shows in the namespace's own /sys, which is the
// ground that other readings are held against. An interface that is not there
// is 0, 0.
func (p *Pair) Counters() (rx, tx uint64) {
	p.t.Helper()
	dir := "/sys/class/net/" + p.Interface + "/statistics/"
	out, err := p.Device.Command("cat", dir+"rx_bytes", dir+"tx_bytes").Output()
	if err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscan(string(out), &rx, &tx); err != nil {
		p.t.Fatal(err)
	}
	return rx, tx
}
