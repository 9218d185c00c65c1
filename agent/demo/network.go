package demo

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
)

// network is the simulated mobile network between the machine and its backend.
// It carries the agent's MQTT connection (a TCP proxy in front of the broker),
// counts every byte as the kernel would on the data interface, keeps its own
// account of the plan as a carrier does, and cuts for real: the TCP connection
// is reset, and what dials afterwards gets no answer.
type network struct {
	now    func() instant.Instant
	broker string // behind the proxy
	listen net.Listener
	quota  uint64

	seen   chan struct{} // closed when the agent has looked at the counters once
	once   sync.Once
	joined sync.WaitGroup

	mu     sync.Mutex
	up     bool
	gone   bool // closed for good
	addr   string
	rx, tx uint64
	month  uint64 // the carrier's account of this cycle
	conns  map[net.Conn]bool
}

// iface is the simulated data interface.
const iface = "wwan0"

func newNetwork(now func() instant.Instant, broker string, quota uint64) (*network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo: network: %w", err)
	}
	n := &network{now: now, broker: broker, listen: l, quota: quota, seen: make(chan struct{}), conns: map[net.Conn]bool{}}
	n.joined.Go(n.accept)
	return n, nil
}

// address is where the agent finds its broker: behind this network.
func (n *network) address() string { return n.listen.Addr().String() }

// links is the agent's view of the data interface.
func (n *network) links() ([]meter.Reading, diag.Interface, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.once.Do(func() { close(n.seen) })
	r := meter.Reading{At: n.now(), Interface: iface, Index: 3, RxBytes: n.rx, TxBytes: n.tx, Bits: 64}
	return []meter.Reading{r}, diag.Interface{Name: iface, Present: true, Up: true, Addr: n.addr}, nil
}

// moved is how many bytes went over the interface.
func (n *network) moved() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rx + n.tx
}

// use moves the machine's own bytes, and reports whether the plan is used up.
func (n *network) use(rx, tx uint64) (exhausted bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count(rx, tx) && n.month >= n.quota
}

// count books bytes. Nothing passes while the line is down.
func (n *network) count(rx, tx uint64) bool {
	if n.up {
		n.rx, n.tx, n.month = n.rx+rx, n.tx+tx, n.month+rx+tx
	}
	return n.up
}

func (n *network) isUp() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// open gives the interface an address and lets data through.
func (n *network) open(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up, n.addr = true, addr
	n.drop() // who dialled into the void dials again
}

// cut takes the address away and every connection with it.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up, n.addr = false, ""
	n.drop()
}

// turn starts the carrier's account of a new month.
func (n *network) turn() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.month = 0
}

func (n *network) drop() {
	for c := range n.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // a reset, not a polite end
		}
		_ = c.Close()
		delete(n.conns, c)
	}
}

func (n *network) close() {
	n.mu.Lock()
	n.gone = true
	n.drop()
	n.mu.Unlock()
	n.once.Do(func() { close(n.seen) })
	_ = n.listen.Close()
	n.joined.Wait()
}

// keep remembers a connection so that a cut ends it.
func (n *network) keep(c net.Conn) (up, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		_ = c.Close()
		return false, false
	}
	n.conns[c] = true
	return n.up, true
}

func (n *network) accept() {
	for {
		c, err := n.listen.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors, say; the kernel keeps who dials
			continue
		}
		n.joined.Go(func() { n.carry(c) })
	}
}

// carry takes one connection to the broker and back. While the line is down it
// is left without an answer.
func (n *network) carry(c net.Conn) {
	<-n.seen
	up, ok := n.keep(c)
	if !ok || !up {
		return
	}
	b, err := net.Dial("tcp", n.broker)
	if err != nil {
		_ = c.Close()
		return
	}
	if _, ok := n.keep(b); !ok {
		_ = c.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { n.pipe(b, c, func(k uint64) bool { return n.count(0, k) }) })
	both.Go(func() { n.pipe(c, b, func(k uint64) bool { return n.count(k, 0) }) })
	both.Wait()
	n.mu.Lock()
	delete(n.conns, c)
	delete(n.conns, b)
	n.mu.Unlock()
}

// pipe copies one way. Each piece is counted before it is passed on.
func (n *network) pipe(to, from net.Conn, count func(uint64) bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for {
		k, err := from.Read(buf)
		if k > 0 {
			n.mu.Lock()
			up := count(uint64(k))
			n.mu.Unlock()
			if !up {
				return
			}
			if _, err := to.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// probe answers the agent's reachability tests by the state of the line; the
// hosts behind them are not there.
func (n *network) probe(s core.ProbeSpec) diag.ProbeResult {
	r := diag.ProbeResult{Probe: s.Probe, Target: s.Target, Host: s.Host, Result: "ok", Millis: 48}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.count(uint64(s.Cost)*2/3, uint64(s.Cost)/3) {
		r.Result, r.Millis = "timeout", 5000
	}
	return r
}
