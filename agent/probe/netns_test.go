package probe

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/wayout"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// The test network: the board has two ways to the server 203.0.113.9, the
// modem wwan9 and, preferred by the routes, the cable eth9.
const serverAddr = "203.0.113.9"

// board is two network namespaces, one for the board and one for the world.
type board struct {
	t            *testing.T
	board, world string
}

func (b *board) sh(args ...string) {
	b.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		b.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// in runs f on a thread that lives in the namespace ns and dies with it.
func (b *board) in(ns string, f func()) {
	b.t.Helper()
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not serve others
		fd, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			f()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		b.t.Fatal(err)
	}
}

// filter lays an nft rule over what the world gets from the modem, or the
// board sends.
func (b *board) filter(ns, hook, rule string) (remove func()) {
	b.t.Helper()
	b.sh("ip", "netns", "exec", ns, "nft", fmt.Sprintf(
		"add table inet cw; add chain inet cw c { type filter hook %s priority 0 ; }; add rule inet cw c %s", hook, rule))
	return func() { b.sh("ip", "netns", "exec", ns, "nft", "delete table inet cw") }
}

func newBoard(t *testing.T) *board {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: needs root for network namespaces; run as root to prove binding and packet filters")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: no %s here; install iproute2 and nftables", tool)
		}
	}
	pid := strconv.Itoa(os.Getpid())
	b := &board{t: t, board: "cwprobe-b" + pid, world: "cwprobe-w" + pid}
	for _, ns := range []string{b.board, b.world} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: no network namespaces here: %v %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	}
	for i, dev := range []string{"wwan9", "eth9"} {
		// Fixed neighbours and no IPv6: ARP and neighbour discovery, which a modem
		// has not, must not be counted.
		here, there := fmt.Sprintf("02:00:00:00:0%d:01", i), fmt.Sprintf("02:00:00:00:0%d:02", i)
		b.sh("ip", "-n", b.board, "link", "add", dev, "address", here, "type", "veth",
			"peer", "name", "to-"+dev, "address", there, "netns", b.world)
		b.sh("ip", "-n", b.board, "link", "set", dev, "addrgenmode", "none")
		b.sh("ip", "-n", b.world, "link", "set", "to-"+dev, "addrgenmode", "none")
		b.sh("ip", "-n", b.board, "addr", "add", fmt.Sprintf("198.51.%d.1/24", 100+i), "dev", dev)
		b.sh("ip", "-n", b.world, "addr", "add", fmt.Sprintf("198.51.%d.2/24", 100+i), "dev", "to-"+dev)
		b.sh("ip", "-n", b.board, "link", "set", dev, "up")
		b.sh("ip", "-n", b.world, "link", "set", "to-"+dev, "up")
		b.sh("ip", "-n", b.board, "neigh", "add", fmt.Sprintf("198.51.%d.2", 100+i), "lladdr", there, "dev", dev)
		b.sh("ip", "-n", b.world, "neigh", "add", fmt.Sprintf("198.51.%d.1", 100+i), "lladdr", here, "dev", "to-"+dev)
		b.sh("ip", "-n", b.board, "route", "add", "default", "via", fmt.Sprintf("198.51.%d.2", 100+i),
			"dev", dev, "metric", strconv.Itoa(20-10*i))
	}
	b.sh("ip", "-n", b.world, "link", "set", "lo", "up")
	b.sh("ip", "-n", b.world, "addr", "add", serverAddr+"/32", "dev", "lo")
	return b
}

// serve opens DNS, NTP, HTTP and a bare TCP port in the world.
func (b *board) serve() {
	b.t.Helper()
	b.in(b.world, func() {
		datagrams := func(port string, answer func([]byte) []byte) {
			c, err := net.ListenPacket("udp", serverAddr+":"+port)
			if err != nil {
				b.t.Error(err)
				return
			}
			b.t.Cleanup(func() { c.Close() })
			go func() {
				buf := make([]byte, 600)
				for {
					n, from, err := c.ReadFrom(buf)
					if err != nil {
						return
					}
					_, _ = c.WriteTo(answer(buf[:n]), from)
				}
			}()
		}
		datagrams("53", func(req []byte) []byte {
			var q dnsmessage.Message
			if q.Unpack(req) != nil {
				return nil
			}
			return pack(q, dnsmessage.RCodeSuccess, recordA(q.Questions[0].Name.String(), 60, serverAddr))
		})
		datagrams("123", func(req []byte) []byte { return ntpAnswer(req, time.Now()) })
		streams := func(port string, f func(net.Conn)) {
			l, err := net.Listen("tcp", serverAddr+":"+port)
			if err != nil {
				b.t.Error(err)
				return
			}
			b.t.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() { f(c); c.Close() }()
				}
			}()
		}
		streams("443", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
		streams("80", func(c net.Conn) {
			if _, err := c.Read(make([]byte, 600)); err == nil {
				_, _ = c.Write([]byte("HTTP/1.1 204 No Content\r\nDate: Sun, 22 Nov 2026 04:00:00 GMT\r\nServer: Tengine\r\nConnection: close\r\n\r\n"))
			}
		})
	})
}

// onAir is what wwan9 has carried, without the 14 bytes of Ethernet that a
// veth counts and a modem has not. It runs in the board's namespace.
func onAir(t *testing.T) int {
	f, err := os.Open("/proc/thread-self/net/dev")
	if err != nil {
		t.Error(err)
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, counters, ok := strings.Cut(lines.Text(), ":")
		if !ok || strings.TrimSpace(name) != "wwan9" {
			continue
		}
		n := func(i int) int { v, _ := strconv.Atoi(strings.Fields(counters)[i]); return v }
		return n(0) + n(8) - 14*(n(1)+n(9))
	}
	t.Error("no wwan9")
	return 0
}

func TestOverTheKernel(t *testing.T) {
	b := newBoard(t)
	b.serve()
	env := Env{Way: wayout.Way{Interface: "wwan9", Servers: []netip.AddrPort{netip.MustParseAddrPort(serverAddr + ":53")}}}
	specs := []Spec{
		{Probe: DNS, Target: Carrier, Host: "connect.rom.miui.com"},
		{Probe: TCP, Target: ThirdParty, Host: serverAddr + ":443"},
		{Probe: NTP, Target: ThirdParty, Host: serverAddr},
		{Probe: HTTP, Target: ThirdParty, Host: "http://" + serverAddr + "/generate_204"},
	}
	run := func(t *testing.T, env Env, result, detail string, specs ...Spec) {
		t.Helper()
		b.in(b.board, func() {
			for _, s := range specs {
				s.Timeout = 500 * time.Millisecond
				if got := Run(t.Context(), env, s); got.Result != result || !strings.Contains(got.Detail, detail) {
					t.Errorf("%s: got %q %q, want %q %q", s.Probe, got.Result, got.Detail, result, detail)
				}
			}
		})
	}
	run(t, env, OK, "", specs...)

	t.Run("bytes on air stay within the estimate", func(t *testing.T) {
		b.in(b.board, func() {
			for _, s := range specs {
				before := onAir(t)
				got := Run(t.Context(), env, s)
				// The other side's last packets may still be on the way.
				used := onAir(t) - before
				for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
					time.Sleep(20 * time.Millisecond) // a pause between looks, not a wait for an event
					now := onAir(t) - before
					if now == used && now > 0 {
						break
					}
					used = now
				}
				t.Logf("%s: %d bytes, estimate %d", s.Probe, used, Cost(s))
				if got.Result != OK || used == 0 || used > Cost(s) {
					t.Errorf("%s: %+v, %d bytes on air, estimate %d", s.Probe, got, used, Cost(s))
				}
			}
		})
	})
	t.Run("dropped packets are a timeout, not a refusal", func(t *testing.T) {
		defer b.filter(b.world, "input", `iifname "to-wwan9" ip daddr `+serverAddr+" drop")()
		run(t, env, Timeout, "", specs...)
	})
	t.Run("answers dropped on the way back too", func(t *testing.T) {
		defer b.filter(b.world, "output", `oifname "to-wwan9" drop`)()
		run(t, env, Timeout, "", specs...)
	})
	t.Run("a cable beside the dead modem does not help", func(t *testing.T) {
		defer b.filter(b.world, "input", `iifname "to-wwan9" ip daddr `+serverAddr+" drop")()
		cable := env
		cable.Way.Interface = ""
		run(t, cable, OK, "", specs...)
		run(t, env, Timeout, "", specs...)
	})
	t.Run("reset is a refusal", func(t *testing.T) {
		defer b.filter(b.world, "input", `iifname "to-wwan9" tcp dport { 80, 443 } reject with tcp reset`)()
		run(t, env, Refused, "", specs[1], specs[3])
		run(t, env, OK, "", specs[0])
	})
	t.Run("closed UDP port is a refusal", func(t *testing.T) {
		defer b.filter(b.world, "input", `iifname "to-wwan9" udp dport 53 reject with icmp type port-unreachable`)()
		run(t, env, Refused, "", specs[0])
	})
	t.Run("host unreachable is silence", func(t *testing.T) {
		defer b.filter(b.world, "input", `iifname "to-wwan9" tcp dport 443 reject with icmp type host-unreachable`)()
		run(t, env, Timeout, "host unreachable", specs[1])
	})
	t.Run("own firewall is no evidence", func(t *testing.T) {
		defer b.filter(b.board, "output", `oifname "wwan9" udp dport 53 drop`)()
		run(t, env, NotSent, "own firewall", specs[0])
	})
	t.Run("bound by address where the kernel forbids the device", func(t *testing.T) {
		old := env
		old.Way.BindHook = func(uintptr, string) error { return unix.EPERM }
		run(t, old, OK, "bound by source address", specs[1])
	})
	t.Run("no address, and down", func(t *testing.T) {
		b.sh("ip", "-n", b.board, "addr", "flush", "dev", "wwan9")
		run(t, env, NotSent, "wwan9 has no IPv4 address", specs[1])
		b.sh("ip", "-n", b.board, "link", "set", "wwan9", "down")
		run(t, env, NotSent, "wwan9 is down", specs[1])
	})
}
