package metertest

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
	"cellwarden/agent/wayout"

	"golang.org/x/sys/unix"
)

const stopAtQuota = `
[plan]
quota_bytes = 200000
cycle_day = 1
on_exhaust = "overage"
`

// The machine's traffic stops at the quota, the agent's and DNS pass, and all is
// undone when the agent ends, or when it starts after a crash.
func TestBlockAtTheQuota(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("SKIPPED, NOT PROVED: nft is missing (apt install nftables)")
	}
	p := boardtest.NewPair(t, link)
	echo := listen(t, p)
	m := newMachine(t, p.Device, "1s", stopAtQuota)
	m.block = "100%"
	m.write()
	m.start()
	if err := reach(p, echo, 0); err != nil {
		t.Fatalf("before the quota: %v", err)
	}
	p.Exchange(1000, 300_000)
	m.until("the machine is stopped", func() bool { return reach(p, echo, 0) != nil })
	if err := reach(p, echo, wayout.Mark); err != nil {
		t.Errorf("the agent's own socket: %v", err)
	}
	if err := sendDNS(p); err != nil {
		t.Errorf("DNS: %v", err)
	}
	g, err := m.client.Guard(t.Context())
	if err != nil || !g.Blocked || g.Level != "save" {
		t.Errorf("guard %+v, %v", g, err)
	}

	m.stop(syscall.SIGTERM)
	if tables := m.tables(); tables != "" {
		t.Errorf("left behind after a stop: %s", tables)
	}
	if err := reach(p, echo, 0); err != nil {
		t.Errorf("after the stop: %v", err)
	}

	m.start() // the quota is still used up
	if reach(p, echo, 0) == nil {
		t.Error("not stopped after the next start")
	}
	m.stop(syscall.SIGKILL)
	if tables := m.tables(); !strings.Contains(tables, "cellwarden") {
		t.Errorf("a crash cannot take the table away, and yet there is %q", tables)
	}
	m.block = "never"
	m.write()
	m.start()
	if tables := m.tables(); tables != "" {
		t.Errorf("left behind after a crash: %s", tables)
	}
	if err := reach(p, echo, 0); err != nil {
		t.Errorf("after the crash: %v", err)
	}
}

func (m *machine) tables() string {
	m.t.Helper()
	out, err := m.ns.Command("nft", "list", "tables").CombinedOutput()
	if err != nil {
		m.t.Fatalf("nft: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// listen accepts connections in the network; they end with the test.
func listen(t *testing.T, p *boardtest.Pair) string {
	t.Helper()
	var l net.Listener
	var err error
	p.Peer.Run(func() { l, err = net.Listen("tcp4", p.PeerAddr+":0") })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close() // that it was accepted is all that is asked
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// reach connects from the device, with a mark where one is given.
func reach(p *boardtest.Pair, addr string, mark int) error {
	d := net.Dialer{Timeout: time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if mark == 0 {
			return nil
		}
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) }); e != nil {
			return e
		}
		return err
	}}
	var err error
	p.Device.Run(func() {
		var c net.Conn
		if c, err = d.Dial("tcp4", addr); err == nil {
			err = c.Close()
		}
	})
	return err
}

// sendDNS sends a datagram to port 53; what the block drops is an error at once.
func sendDNS(p *boardtest.Pair) error {
	var err error
	p.Device.Run(func() {
		var c net.Conn
		if c, err = net.Dial("udp4", p.PeerAddr+":53"); err == nil {
			defer c.Close()
			_, err = fmt.Fprint(c, "question")
		}
	})
	return err
}
