package agent

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// lyingRSS is the bar: how much more memory at its peak an agent may take from a
// broker that lies than from one that hangs up. Two connections' worth of the
// largest packet taken (64 KB), and the garbage until the next collection.
const lyingRSS = 2 << 10 // KB

// TestMemoryUnderALyingBroker: an agent as a process of its own, whose broker says
// it is well and then lies, another way at each connection.
func TestMemoryUnderALyingBroker(t *testing.T) {
	skipRaced(t)
	if os.Getenv("CELLWARDEN_BENCH") == "" {
		t.Skip("takes half a minute; make bench sets CELLWARDEN_BENCH=1. TestLyingBroker of agent/uplink holds the allocations")
	}
	large := func(n int) []byte { // a PUBLISH of QoS 0
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.TopicName, p.Payload = "cw/cw-1/d", make([]byte, n)
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	lies := [][]byte{
		append([]byte("\x30\xff\xff\xff\x7f"), bytes.Repeat([]byte("x"), 1<<20)...), // 256 MB, and begins to send them
		bytes.Repeat([]byte{0xff, 0x17, 0x00, 0x99}, 50_000),                        // nonsense
		append([]byte{0x90, 102, 0, 1}, make([]byte, 100)...),                       // a SUBACK with many codes
		bytes.Repeat(large(60<<10), 100),                                            // a flood of large messages
		bytes.Repeat(large(10), 100_000),                                            // a flood of small ones
	}
	const rounds = 4
	peak := func(lies [][]byte) int {
		t.Helper()
		addr, enough := liar(t, lies, rounds*5)
		cmd := helperAgent(t, t.TempDir(), helperEnv+"_BROKER="+addr, "GOGC=25", "GOMEMLIMIT=8MiB") // as main sets them
		select {
		case <-enough:
		case <-time.After(8 * testPatience):
			t.Fatal("the agent does not come back to the broker")
		}
		kb := memoryKB(t, cmd.Process.Pid, "VmHWM:")
		_ = cmd.Process.Kill()
		return kb
	}
	plain, lied := peak([][]byte{nil}), peak(lies)
	t.Logf("peak RSS %d KB when the broker only hangs up, %d KB after %d lies: %+d KB (bar %d)", plain, lied, rounds*len(lies), lied-plain, lyingRSS)
	if lied-plain > lyingRSS {
		t.Error("over the bar")
	}
}

// liar is a broker that says it is well and then tells one of its lies, in turn, or
// hangs up where that is nil. enough is closed when so many were told.
func liar(t *testing.T, lies [][]byte, many int) (addr string, enough chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	enough = make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if n == many {
				close(enough)
			}
			_ = c.SetDeadline(time.Now().Add(testPatience))
			if _, err := packets.ReadPacket(c); err == nil {
				_, _ = c.Write([]byte{0x20, 2, 0, 0})
				if lie := lies[n%len(lies)]; lie != nil {
					_, _ = c.Write(lie) // cut short when the agent has had enough
					_, _ = io.Copy(io.Discard, c)
				}
			}
			c.Close()
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String(), enough
}
