package uplink

import (
	"net"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"
	"cellwarden/agent/wayout"
)

// TestTakesTheCableWhenThere: free to take any way, the uplink leaves the modem's
// when a cable is plugged in and returns when it is pulled; bound to the modem's it
// stays, and follows that one's address. The broker is an address behind both.
func TestTakesTheCableWhenThere(t *testing.T) {
	p := boardtest.NewPair(t, "wwan0")
	p.Peer.IP("addr", "add", "10.99.0.1/32", "dev", "lo")
	p.Device.IP("route", "del", "default")
	p.Device.IP("route", "add", "default", "via", p.PeerAddr, "dev", "wwan0", "metric", "700")
	m := &mosquitto{t: t, addr: "10.99.0.1:1883", command: p.Peer.Command}
	m.dial = func(addr string) (c net.Conn, err error) {
		p.Peer.Run(func() { c, err = net.Dial("tcp", addr) })
		return c, err
	}
	if _, err := mosquittoPath(); err != nil {
		t.Skip("SKIP: mosquitto not installed: apt-get install mosquitto")
	}
	m.setUp("")
	run := func(name, bind string) *running {
		return startIn(t, p.Device.Run, newStore(t), func(o *Options) {
			o.Brokers, o.ClientID = []string{"tcp://" + m.addr}, name
			o.Timing.Look, o.Timing.Stable = 100*time.Millisecond, time.Millisecond
			o.Way = func() (wayout.Way, error) { return wayout.Way{Interface: bind}, nil }
		})
	}
	free, bound := run("free", ""), run("bound", "wwan0")
	from := func(r *running) string { return r.conn.Load().LocalAddr().(*net.TCPAddr).IP.String() }
	_, at := find[Connected](free, 0, nil)
	_, boundAt := find[Connected](bound, 0, nil)
	if from(free) != p.DeviceAddr || from(bound) != p.DeviceAddr {
		t.Fatalf("connected from %s and %s", from(free), from(bound))
	}

	p.Device.IP("link", "add", "eth0", "type", "veth", "peer", "name", "lan0", "netns", p.Peer.Name)
	p.Peer.IP("addr", "add", "192.168.9.1/24", "dev", "lan0")
	p.Peer.IP("link", "set", "lan0", "up")
	p.Device.IP("addr", "add", "192.168.9.2/24", "dev", "eth0")
	p.Device.IP("link", "set", "eth0", "up")
	p.Device.IP("route", "add", "default", "via", "192.168.9.1", "dev", "eth0", "metric", "100")
	e, at := find[Disconnected](free, at, nil)
	_, at = find[Connected](free, at, nil)
	if e.Why != WhyMoved || from(free) != "192.168.9.2" {
		t.Errorf("%s, then connected from %s", e.Why, from(free))
	}

	p.Device.IP("link", "del", "eth0")
	e, at = find[Disconnected](free, at, nil)
	find[Connected](free, at, nil)
	if e.Why != WhyMoved || from(free) != p.DeviceAddr {
		t.Errorf("pulled: %s, then connected from %s", e.Why, from(free))
	}
	bound.mu.Lock()
	for _, e := range bound.events[boundAt:] {
		if d, ok := e.(Disconnected); ok {
			t.Errorf("the bound one left: %+v", d)
		}
	}
	bound.mu.Unlock()

	// The dialer has dialled anew: the old address is gone, and nobody says so.
	p.Device.IP("addr", "del", p.DeviceAddr+"/24", "dev", "wwan0")
	p.Device.IP("addr", "add", "10.77.0.3/24", "dev", "wwan0")
	p.Device.IP("route", "replace", "default", "via", p.PeerAddr, "dev", "wwan0", "metric", "700")
	e, at = find[Disconnected](bound, boundAt, nil)
	find[Connected](bound, at, nil)
	if e.Why != WhyMoved || from(bound) != "10.77.0.3" {
		t.Errorf("a new address: %s, then connected from %s", e.Why, from(bound))
	}
}
