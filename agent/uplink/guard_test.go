package uplink

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// TestGuardRefuses: what a broker may not send never reaches paho.
func TestGuardRefuses(t *testing.T) {
	ok := string(connackOK)
	for _, tt := range []struct{ name, in, want string }{
		{"256 MB announced", ok + "\x30\xff\xff\xff\x7f", "268435455 bytes; the limit is 65536"},
		{"256 MB as the first word", "\x20\xff\xff\xff\x7f", "268435455"},
		{"length of five bytes", ok + "\x30\xff\xff\xff\xff\x01", "more than four bytes"},
		{"a message too long to be read past", ok + "\x30\x81\x80\x10", "262145 bytes; the limit is 65536"},
		{"another packet of 70 KB", ok + "\x40\x80\x80\x05", "the limit is 65536"},
		{"too long a message with a topic of 60 KB", ok + "\x30\x80\x80\x05\xea\x60a", "shorter than its topic"},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "before its CONNACK"},
		{"PUBLISH before CONNACK", "\x30\x03\x00\x01a", "before its CONNACK"},
		{"second CONNACK", ok + ok, "second CONNACK"},
		{"CONNACK code 77, which paho takes for success", "\x20\x02\x00\x4d", "does not know"},
		{"CONNACK of one byte", "\x20\x01\x00", "does not know"},
		{"SUBACK with three codes, which makes paho panic", ok + "\x90\x05\x00\x01\x01\x01\x01", "nobody asked"},
		{"second SUBACK", ok + "\x90\x03\x00\x01\x01\x90\x03\x00\x01\x01", "nobody asked"},
		{"PUBACK of one byte", ok + "\x40\x01\x00", "PUBACK of 1"},
		{"PUBREC", ok + "\x50\x02\x00\x01", "packet type 5"},
		{"PUBREL", ok + "\x62\x02\x00\x01", "flags"},
		{"PUBCOMP, which completes a token of QoS 1", ok + "\x70\x02\x00\x01", "packet type 7"},
		{"UNSUBACK, which completes any token", ok + "\xb0\x02\x00\x01", "packet type 11"},
		{"DISCONNECT", ok + "\xe0\x00", "packet type 14"},
		{"CONNECT", ok + "\x10\x00", "packet type 1,"},
		{"type 0", ok + "\x00\x00", "packet type 0"},
		{"PUBLISH of QoS 2", ok + "\x34\x06\x00\x01a\x00\x01x", "QoS 2"},
		{"PUBLISH of QoS 3", ok + "\x36\x06\x00\x01a\x00\x01x", "QoS 3"},
		{"PUBLISH shorter than its topic", ok + "\x30\x03\x00\x09a", "shorter"},
		{"empty PUBLISH", ok + "\x30\x00", "shorter"},
		{"PUBLISH of QoS 1 without id", ok + "\x32\x03\x00\x01a", "shorter"},
		{"PUBACKs without end", ok + strings.Repeat("\x40\x02\x00\x01", 4), "never sent"},
		{"PINGRESPs without end", ok + strings.Repeat("\xd0\x00", 4), "never sent"},
		{"PINGRESP with a body", ok + "\xd0\x01x", "PINGRESP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := guardOn(t, []byte(tt.in))
			_, err := io.Copy(io.Discard, g)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if f := g.fault.Load(); f == nil || f.why != WhyBadPacket {
				t.Errorf("fault %+v", f)
			}
		})
	}
}

// guardOn gives a guard whose other side sends in and then closes.
func guardOn(t testing.TB, in []byte) *guard {
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		there.Write(in)
		there.Close()
	}()
	t.Cleanup(func() { here.Close(); <-done })
	g := newGuard(here, time.Second)
	g.owed.Store(3) // as if so much had been sent
	return g
}

// TestGuardPasses: what is right passes unchanged, in any portions.
func TestGuardPasses(t *testing.T) {
	in := slices.Concat(connackOK, []byte("\x90\x03\x00\x01\x01"), []byte("\x30\x05\x00\x01axy"), []byte("\x33\x06\x00\x01a\x00\x02x"),
		puback(7), []byte("\xd0\x00"), bigPublish(MaxPacket), puback(8))
	for _, portion := range []int{1, 3, 100, 1 << 20} {
		g := guardOn(t, in)
		var out bytes.Buffer
		buf := make([]byte, portion)
		for {
			n, err := g.Read(buf)
			out.Write(buf[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(out.Bytes(), in) {
			t.Errorf("portions of %d: %d bytes came out of %d", portion, out.Len(), len(in))
		}
	}
}

// TestGuardReadsPastALongMessage: the session goes on, paho gets the same message
// without its payload, and so acknowledges it.
func TestGuardReadsPastALongMessage(t *testing.T) {
	long := func(first byte, id string) []byte {
		body := append([]byte("\x00\x01a"+id), make([]byte, MaxPacket)...)
		return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
	}
	g := guardOn(t, slices.Concat(connackOK, long(0x33, "\x00\x02"), puback(7), long(0x31, ""), puback(8)))
	out, err := io.ReadAll(g)
	want := slices.Concat(connackOK, []byte("\x33\x05\x00\x01a\x00\x02"), puback(7), []byte("\x31\x03\x00\x01a"), puback(8))
	if err != nil || !bytes.Equal(out, want) {
		t.Errorf("%x, %v; want %x", out, err, want)
	}
	if n := g.skipped.Load(); n != MaxPacket+3 {
		t.Errorf("%d bytes read past", n)
	}
}

// bigPublish is a PUBLISH of QoS 0 with n bytes after its fixed header.
func bigPublish(n int) []byte {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName = "cw/" + device + "/d"
	p.Payload = make([]byte, n-len(p.TopicName)-2)
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func FuzzGuard(f *testing.F) {
	f.Add(slices.Concat(connackOK, []byte("\x90\x03\x00\x01\x01"), puback(1)))
	f.Add([]byte("\x20\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, in []byte) {
		g := guardOn(t, in)
		var out bytes.Buffer
		io.Copy(&out, g)
		// Whatever passed is a prefix of what came, in whole packets that paho
		// can read.
		if g.skipped.Load() == 0 && !bytes.HasPrefix(in, out.Bytes()) {
			t.Fatalf("%x became %x", in, out.Bytes())
		}
		for out.Len() > 0 {
			if _, err := packets.ReadPacket(&out); err != nil {
				t.Fatalf("passed what paho refuses: %v", err)
			}
		}
	})
}

// TestLyingBroker: whatever the broker sends, the uplink lives, spends no
// memory on it, loses nothing and knocks slowly.
func TestLyingBroker(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  []byte
		want Why
	}{
		{"256 MB", []byte("\x30\xff\xff\xff\x7f\x00\x01"), WhyBadPacket},
		{"garbage", bytes.Repeat([]byte{0xff, 0x17, 0x00, 0x99}, 5000), WhyBadPacket},
		{"SUBACK with many codes", append([]byte{0x90, 102, 0, 1}, make([]byte, 100)...), WhyBadPacket},
		{"flood of the largest packets", bytes.Repeat(bigPublish(MaxPacket), 100), WhyFlood},
		{"flood of small packets", bytes.Repeat([]byte("\x30\x05\x00\x01axy"), 100_000), WhyFlood},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := server(t, func(c net.Conn) {
				if _, err := packets.ReadPacket(c); err != nil {
					return
				}
				c.Write(connackOK)
				c.Write(tt.lie)
				io.Copy(io.Discard, c)
			})
			s := newStore(t)
			s.alert("sim_absent")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := start(t, s, func(o *Options) {
				o.Brokers = []string{"tcp://" + addr}
				o.Timing.RefusedMin, o.Timing.RefusedMax = time.Hour, time.Hour
			})
			e, at := find[Disconnected](r, 0, nil)
			runtime.ReadMemStats(&after)
			if e.Why != tt.want {
				t.Errorf("%s: %v, want %s", e.Why, e.Err, tt.want)
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 8<<20 {
				t.Errorf("allocated %d bytes in all", spent)
			}
			if w, _ := find[Waiting](r, at, nil); w.For < 30*time.Minute {
				t.Errorf("knocks again after %s", w.For)
			}
			if waiting, flying := s.left(); waiting != 1 || flying != 0 {
				t.Errorf("%d waiting, %d under way: the alert is lost", waiting, flying)
			}
		})
	}
}

// TestUnknownAcks: PUBACKs for what was never sent deliver nothing.
func TestUnknownAcks(t *testing.T) {
	asked := make(chan struct{}, 10)
	addr := fakeBroker(t, func(p packets.ControlPacket) []byte {
		switch p := p.(type) {
		case *packets.ConnectPacket:
			return connackOK
		case *packets.PublishPacket:
			asked <- struct{}{}
			return puback(p.MessageID + 100)
		}
		return nil
	})
	s := newStore(t)
	s.alert("sim_absent")
	r := start(t, s, func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Timing.Ack = 500 * time.Millisecond
	})
	<-asked
	if e, _ := find[Disconnected](r, 0, nil); e.Why != WhyAckTimeout {
		t.Errorf("%s: %v", e.Why, e.Err)
	}
	if acked := s.ackedSeqs(); len(acked) != 0 {
		t.Errorf("acknowledged %v", acked)
	}
}
