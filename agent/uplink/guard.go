package uplink

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// What a broker may send. Everything is checked before paho sees it, because
// paho allocates what a header announces (256 MB), indexes by what a SUBACK
// holds (a panic), and takes an unknown CONNACK code for success.
const (
	// MaxPacket is the largest packet taken from a broker. A command is at most
	// 16 KB; four times that is room for what comes later.
	MaxPacket = 64 << 10
	// FloodBytes and FloodMessages are what a broker may publish to us in one
	// floodSpan: four of the largest packets, ten messages a second. A 30 MB plan
	// bears two hours of it; more is a fault over there.
	FloodBytes    = 256 << 10
	FloodMessages = 600
	floodSpan     = time.Minute
	// MaxSkipped is the largest message for us that is read past: it costs its bytes
	// and not the session. What announces more is left.
	MaxSkipped = FloodBytes
	// DefaultDayBytes is what a broker may publish to us in a day: commands of a busy
	// one are 20 KB. A quarter of a 30 MB plan's day; more is a fault over there.
	DefaultDayBytes = 256 << 10
)

// intake is what brokers have published to us today, over all connections.
type intake struct {
	limit int64
	bytes atomic.Int64
	from  time.Time // belongs to the goroutine of Run
}

// over reports whether the day's share is used up. now begins a new day.
func (i *intake) over(now time.Time) bool {
	if now.Sub(i.from) >= 24*time.Hour {
		i.from = now
		i.bytes.Store(0)
	}
	return i.bytes.Load() > i.limit
}

// guardError says what a broker did that it must not.
type guardError struct {
	why Why
	msg string
}

func (e *guardError) Error() string { return "broker " + e.msg }

// MQTT 3.1.1 §2.2.1: packet types that a server may send to this client. It
// never uses QoS 2 and never unsubscribes.
const (
	typeConnack  = 2
	typePublish  = 3
	typePuback   = 4
	typeSuback   = 9
	typePingreq  = 12
	typePingresp = 13
)

// guard stands between the connection and paho. Read hands on whole checked
// packets; Write has a deadline of its own, because paho sets none for
// SUBSCRIBE, PUBACK, PINGREQ and DISCONNECT.
type guard struct {
	net.Conn
	in    *bufio.Reader
	write time.Duration

	// used by Read only
	frame     []byte // what of the packet is not handed on yet
	buf       []byte
	connected bool // the CONNACK is here
	subacked  bool
	spanFrom  time.Time
	spanBytes int
	spanCount int

	day     *intake      // nil: not counted
	skipped atomic.Int64 // size of the last message that was read past, 0 none

	connack atomic.Int32 // its code, -1 before
	owed    atomic.Int64 // answers due to what was written: PUBACK, PINGRESP
	fault   atomic.Pointer[guardError]
}

// readBuffer: most packets from a broker are acknowledgements of 4 bytes.
const readBuffer = 512

func newGuard(conn net.Conn, write time.Duration) *guard {
	g := &guard{Conn: conn, in: bufio.NewReaderSize(conn, readBuffer), write: write}
	g.connack.Store(-1)
	return g
}

func (g *guard) Read(p []byte) (int, error) {
	if len(g.frame) == 0 {
		if err := g.next(); err != nil {
			var lie *guardError
			if errors.As(err, &lie) {
				g.fault.CompareAndSwap(nil, lie)
			}
			return 0, err
		}
	}
	n := copy(p, g.frame)
	g.frame = g.frame[n:]
	return n, nil
}

// next reads one packet into g.frame and checks it.
func (g *guard) next() error {
	head := make([]byte, 1, 5)
	if _, err := io.ReadFull(g.in, head); err != nil {
		return err
	}
	if kind := head[0] >> 4; !g.connected && kind != typeConnack {
		return bad("spoke (packet type %d) before its CONNACK", kind)
	}
	length, shift := 0, 0
	for { // MQTT 3.1.1 §2.2.3: at most four bytes of seven bits
		b, err := g.in.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		head = append(head, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
		if shift += 7; shift > 21 {
			return bad("sent a length of more than four bytes")
		}
	}
	tooLong := length > MaxPacket && head[0]>>4 == typePublish && length <= MaxSkipped
	if length > MaxPacket && !tooLong {
		return bad("announced a packet of %d bytes; the limit is %d", length, MaxPacket)
	}
	if head[0]>>4 == typePublish {
		if now := time.Now(); now.Sub(g.spanFrom) > floodSpan {
			g.spanFrom, g.spanBytes, g.spanCount = now, 0, 0
		}
		g.spanBytes += len(head) + length
		g.spanCount++
		if g.spanBytes > FloodBytes || g.spanCount > FloodMessages {
			return &guardError{WhyFlood, fmt.Sprintf("sent more than %d bytes or %d messages within %s", FloodBytes, FloodMessages, floodSpan)}
		}
		if d := g.day; d != nil && d.bytes.Add(int64(len(head)+length)) > d.limit {
			return &guardError{WhyFlood, fmt.Sprintf("sent more than %d bytes within a day", d.limit)}
		}
	}
	if tooLong {
		return g.skip(head[0], length)
	}
	need := len(head) + length
	if cap(g.buf) < need || cap(g.buf) > 4*readBuffer && need <= readBuffer {
		g.buf = make([]byte, max(need, readBuffer)) // grows for one packet and shrinks after it
	}
	g.buf = g.buf[:need]
	copy(g.buf, head)
	body := g.buf[len(head):]
	if _, err := io.ReadFull(g.in, body); err != nil {
		return unexpected(err)
	}
	if err := g.judge(head[0], body); err != nil {
		return err
	}
	g.frame = g.buf
	return nil
}

// skip reads past a message of length bytes and hands on the same one without its
// payload, so that paho acknowledges it and nobody sends it again.
func (g *guard) skip(first byte, length int) error {
	two := make([]byte, 2)
	if _, err := io.ReadFull(g.in, two); err != nil {
		return unexpected(err)
	}
	n := int(binary.BigEndian.Uint16(two)) + 2*int(first>>1&3)
	if 2+n > min(length, maxTopic) {
		return bad("sent a PUBLISH shorter than its topic")
	}
	body := append(two, make([]byte, n)...)
	if _, err := io.ReadFull(g.in, body[2:]); err != nil {
		return unexpected(err)
	}
	if _, err := io.CopyN(io.Discard, g.in, int64(length-len(body))); err != nil {
		return unexpected(err)
	}
	if err := g.judge(first, body); err != nil {
		return err
	}
	g.skipped.Store(int64(length))
	head := binary.AppendUvarint([]byte{first}, uint64(len(body))) // MQTT's lengths are written so
	g.buf = append(head, body...)
	g.frame = g.buf
	return nil
}

// maxTopic is more than a topic of ours and a packet id have.
const maxTopic = 1 << 10

// judge refuses what a server must not send to this client, now.
func (g *guard) judge(first byte, body []byte) error {
	kind, flags := first>>4, first&0x0f
	if kind != typePublish && flags != 0 {
		return bad("sent packet type %d with flags %#x", kind, flags)
	}
	switch kind {
	case typeConnack:
		if g.connected {
			return bad("sent a second CONNACK")
		}
		if len(body) != 2 || body[0] > 1 || body[1] > 5 {
			return bad("sent a CONNACK of %d bytes that MQTT 3.1.1 does not know", len(body))
		}
		g.connected = true
		g.connack.Store(int32(body[1]))
	case typePublish:
		qos := flags >> 1 & 3
		if qos > 1 {
			return bad("sent a PUBLISH of QoS %d; at most 1 was granted", qos)
		}
		need := 2
		if len(body) >= 2 {
			need += int(binary.BigEndian.Uint16(body)) + 2*int(qos)
		}
		if len(body) < need {
			return bad("sent a PUBLISH shorter than its topic")
		}
	case typePuback:
		if len(body) != 2 {
			return bad("sent a PUBACK of %d bytes", len(body))
		}
		if g.owed.Add(-1) < 0 {
			return bad("acknowledged what was never sent")
		}
	case typeSuback:
		if g.subacked || len(body) != 3 {
			return bad("sent a SUBACK (%d bytes) for which nobody asked", len(body))
		}
		g.subacked = true
	case typePingresp:
		if len(body) != 0 {
			return bad("sent a PINGRESP of %d bytes", len(body))
		}
		if g.owed.Add(-1) < 0 {
			return bad("answered a ping that was never sent")
		}
	default:
		return bad("sent packet type %d, which is not for a client like this", kind)
	}
	return nil
}

func bad(format string, args ...any) error {
	return &guardError{WhyBadPacket, fmt.Sprintf(format, args...)}
}

// unexpected turns an end within a packet into what it is.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (g *guard) Write(p []byte) (int, error) {
	if err := g.Conn.SetWriteDeadline(time.Now().Add(g.write)); err != nil {
		return 0, err
	}
	// paho writes whole packets.
	if len(p) == 0 {
		return 0, nil
	}
	if kind := p[0] >> 4; kind == typePublish || kind == typePingreq {
		g.owed.Add(1)
	}
	return g.Conn.Write(p)
}

// SetWriteDeadline does nothing: Write sets its own, and paho would take it
// away from a write of another goroutine.
func (g *guard) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline bounds the wait for the CONNACK.
func (g *guard) SetDeadline(t time.Time) error { return g.Conn.SetReadDeadline(t) }
