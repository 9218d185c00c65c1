package uplink

import (
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Sizes for the estimate of what the operator bills.
const (
	// headerV4 is IP (20), TCP (20) and the timestamps option (12), which Linux
	// uses by default. headerV6 has the larger IP header.
	headerV4 = 52
	headerV6 = 72
	// synExtra is what SYN and SYN+ACK carry above that: MSS, SACK permitted,
	// window scale.
	synExtra = 2 * 8
	// segmentMax is the payload of a full segment on a cellular path (MTU 1400).
	// The kernel of a test counts one huge segment where the air has several.
	segmentMax = 1400 - headerV4
)

// counted counts the bytes of one TCP connection, both ways, under TLS.
type counted struct {
	net.Conn
	sent, received atomic.Uint64
	packets        atomic.Uint64 // reads and writes, for kernels that do not count segments
	segments       atomic.Uint64 // as last told by the kernel, also after Close
	retransmitted  atomic.Uint64 // bytes
	header         uint64
	told           tally // what earlier Traffic events have reported
}

type tally struct{ sent, received, wire uint64 }

func newCounted(conn net.Conn) *counted {
	c := &counted{Conn: conn, header: headerV4}
	// Linux answers the first segments of a connection one by one; without that,
	// an acknowledgement rides on what we send next: two headers less to connect.
	c.control(func(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) })
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok && a.IP.To4() == nil {
		c.header = headerV6
	}
	return c
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(uint64(n))
	c.packets.Add(1)
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(uint64(n))
	c.packets.Add(1)
	return n, err
}

func (c *counted) Close() error {
	c.ask()
	return c.Conn.Close()
}

// abort closes without good-bye: the kernel forgets what is unsent instead of
// sending it again and again into a dead link, at the owner's cost.
func (c *counted) abort() {
	c.ask()
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // closed already: nothing to forget
	}
	_ = c.Conn.Close()
}

// ask reads the kernel's count of segments, which includes handshake, pure
// acknowledgements and repetitions (Linux 4.2; repeated bytes 4.19). It keeps
// the last answer when the socket is gone.
func (c *counted) ask() {
	c.control(func(fd int) {
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			c.segments.Store(uint64(info.Segs_in) + uint64(info.Segs_out))
			c.retransmitted.Store(info.Bytes_retrans)
		}
	})
}

// control calls f with the socket, unless it is closed.
func (c *counted) control(f func(fd int)) {
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // its error means closed
}

// wire estimates what went over the air: payload, repeated payload, and a
// header for each segment. It leaves out link-layer overhead and DNS. A segment
// that the kernel has not counted (an old kernel, or a loopback with its huge
// MTU) is estimated from payload and calls: the larger number is taken.
func (c *counted) wire() uint64 {
	payload := c.sent.Load() + c.received.Load()
	segments := c.segments.Load()
	if segments == 0 {
		segments = c.packets.Load()*3/2 + 7 // one ACK for two packets; 3 to open, 4 to close
	}
	segments = max(segments, payload/segmentMax)
	return payload + c.retransmitted.Load() + segments*c.header + synExtra
}

// since gives what was not reported before.
func (c *counted) since() Traffic {
	c.ask()
	now := tally{c.sent.Load(), c.received.Load(), c.wire()}
	t := Traffic{SentBytes: now.sent - c.told.sent, ReceivedBytes: now.received - c.told.received, WireBytes: now.wire - min(now.wire, c.told.wire)}
	c.told = now
	return t
}
