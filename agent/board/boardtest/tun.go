package boardtest

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Tun is the program's side of a tun interface, which is deleted when it is
// closed and keeps its counters to the end, as a modem's does.
type Tun struct {
	t  testing.TB
	ns *NetNS
	fd int
}

// OpenTun makes the interface in ns; it skips the test where that cannot be.
func OpenTun(t testing.TB, ns *NetNS, name string) Tun {
	t.Helper()
	var fd int
	var err error
	ns.Run(func() {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		var req *unix.Ifreq
		if req, err = unix.NewIfreq(name); err != nil {
			return
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	})
	if err != nil {
		t.Skipf("SKIPPED, NOT PROVED: no tun interface here: %v", err)
	}
	return Tun{t, ns, fd}
}

// Close deletes the interface.
func (u Tun) Close() {
	u.t.Helper()
	if err := unix.Close(u.fd); err != nil {
		u.t.Error(err)
	}
}

// Echo sends n datagrams of 1000 bytes out of the namespace to an address behind
// the interface, and sends each back into it: 2 n packets of 1028 bytes.
func (u Tun) Echo(to string, n int) {
	u.t.Helper()
	var c net.Conn
	var err error
	u.ns.Run(func() { c, err = net.Dial("udp4", to) })
	if err != nil {
		u.t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 2000)
	for range n {
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			u.t.Fatal(err)
		}
		k, err := unix.Read(u.fd, buf)
		if err == nil {
			_, err = unix.Write(u.fd, buf[:k])
		}
		if err != nil {
			u.t.Fatal(err)
		}
	}
}
