package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/board/boardtest"

	"golang.org/x/net/dns/dnsmessage"
)

// The world behind the data interface: everything stands at the other end of
// the veth pair, under addresses of owners that have nothing to do with each other.
const (
	dataLink   = "wwan0"
	firstHost  = "10.81.0.1" // a third party: DNS, TCP, HTTP 204
	secondHost = "10.82.0.1" // another one
	brokerHost = "10.83.0.1" // our own service

	// The machine's own Ethernet, where it has one.
	lanLink   = "eth0"
	lanDevice = "192.168.77.2"
	lanBroker = "192.168.77.1"
)

// stand is a machine with modem, data interface, broker and backend.
type stand struct {
	*testing.T
	net     *boardtest.Pair
	modem   *simulator
	broker  *broker
	backend *backend
	agent   *machine
}

// holds are short enough for tests; all else that the stands set apart from
// their surroundings is the interval of the polls.
const testPace = `
[diag.hold]
sim_absent = "3s"
suspended_unspecified = "5s"
data_black_hole = "3s"
cloud_unreachable = "3s"
`

// settings of a stand.
type settings struct {
	lan   bool   // the broker is reached over Ethernet, so that alerts arrive at once
	modem string // more lines of [modem]
	more  string // more tables
}

func newStand(t *testing.T, set settings) *stand {
	t.Helper()
	boardtest.Require(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("SKIPPED, NOT PROVED: nft is missing (apt install nftables)")
	}
	needMosquitto(t)
	s := &stand{T: t, net: boardtest.NewPair(t, dataLink)}
	for _, a := range []string{firstHost, secondHost, brokerHost} {
		s.net.Peer.IP("addr", "add", a+"/32", "dev", "up0")
	}
	host, link := brokerHost, "data"
	if set.lan {
		s.net.Device.IP("link", "add", lanLink, "type", "veth", "peer", "name", "lan0", "netns", s.net.Peer.Name)
		s.net.Peer.IP("addr", "add", lanBroker+"/24", "dev", "lan0")
		s.net.Peer.IP("link", "set", "lan0", "up")
		s.net.Device.IP("addr", "add", lanDevice+"/24", "dev", lanLink)
		s.net.Device.IP("link", "set", lanLink, "up")
		host, link = lanBroker, lanLink
	}
	serveWorld(t, s.net.Peer)
	s.broker = newBroker(t, s.net.Peer, host, "")
	s.backend = newBackend(s.broker)
	s.modem = newModem(t, "healthy-quectel")
	s.agent = newMachine(t, s.net.Device, fmt.Sprintf(`
[device]
id = %q
[modem]
port = %q
%s
[data]
interfaces = [%q]
poll = "2s"
[uplink]
unsigned_commands = true
brokers = [%q]
interface = %q
keepalive = "30s"
[probes]
third_party = ["%s:80", "%s:80"]
http_url = "http://%s/generate_204"
dns = ["%s"]
ntp = []
interval = "1m"
daily_budget_bytes = 1000000
%s`, device, s.modem.port, set.modem, dataLink, s.broker.url(), link, firstHost, secondHost, firstHost, firstHost, set.more))
	return s
}

// serveWorld runs the third parties inside ns.
func serveWorld(t testing.TB, ns *boardtest.NetNS) {
	t.Helper()
	var web []net.Listener
	var dns net.PacketConn
	var err error
	ns.Run(func() {
		for _, host := range []string{firstHost, secondHost} {
			var l net.Listener
			if l, err = net.Listen("tcp4", host+":80"); err != nil {
				return
			}
			web = append(web, l)
		}
		dns, err = net.ListenPacket("udp4", firstHost+":53")
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/generate_204" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		http.NotFound(w, r)
	})}
	for _, l := range web {
		wg.Go(func() { _ = srv.Serve(l) }) // ends with Close
	}
	wg.Go(func() { resolve(dns) })
	t.Cleanup(func() { srv.Close(); dns.Close(); wg.Wait() })
}

// resolve answers every question for an A record with one address.
func resolve(c net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		var q dnsmessage.Message
		if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
			continue
		}
		q.Response = true
		q.Additionals = nil
		q.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte{10, 81, 0, 1}},
		}}
		if out, err := q.Pack(); err == nil {
			_, _ = c.WriteTo(out, from) // a lost answer is the network's right
		}
	}
}

// nft runs one nft command in the network's namespace.
func (s *stand) nft(rule string) {
	s.Helper()
	if out, err := s.net.Peer.Command("nft", strings.Fields(rule)...).CombinedOutput(); err != nil {
		s.Fatalf("nft %s: %v: %s", rule, err, out)
	}
}

// swallow drops every packet that comes over the data interface, the broker's
// too: the session stands, nothing passes.
func (s *stand) swallow() {
	s.Helper()
	s.nft("add table ip hole")
	s.nft("add chain ip hole in { type filter hook prerouting priority -300 ; policy accept ; }")
	s.nft("add rule ip hole in iifname up0 drop")
}

func (s *stand) pass() {
	s.Helper()
	s.nft("delete table ip hole")
}

// healthy starts the agent and waits until it says that all is well and the
// broker has it.
func (s *stand) healthy() {
	s.Helper()
	s.agent.start()
	took := s.agent.says("healthy", patient)
	until(s, "the modem judged", patient, func() bool {
		for _, g := range s.agent.status().Diagnosis.Gates {
			if g.State != "passed" {
				return false
			}
		}
		return true
	})
	s.agent.connected()
	s.Logf("FIGURE healthy %s after the start", seconds(took))
}

// still waits until no byte has moved for two looks of the agent, and returns
// what the kernel and the agent have counted by then.
func (s *stand) still() (kernel, counted uint64) {
	s.Helper()
	const twoLooks = 5 * time.Second // the stands look every 2 s
	var since time.Time
	until(s, "a line at rest", patient, func() bool {
		rx, tx := s.net.Counters()
		used := uint64(0)
		if u := s.agent.status().Usage; u != nil {
			used = u.RawBytes // UsedBytes is as the operator would round it
		}
		if rx+tx != kernel || used != counted {
			kernel, counted, since = rx+tx, used, time.Now()
		}
		return time.Since(since) > twoLooks
	})
	return kernel, counted
}
