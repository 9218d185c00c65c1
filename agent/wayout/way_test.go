package wayout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// listener accepts on 127.0.0.1 until the test ends and says from where.
func listener(t *testing.T) (netip.AddrPort, <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	seen := make(chan string, 8)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			seen <- c.RemoteAddr().String()
			c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String()), seen
}

// A kernel that does not let us bind to the interface is met by its source address, for
// probes and uplink alike, and it is said.
func TestBindFallsBackToSourceAddressAndSaysSo(t *testing.T) {
	addr, seen := listener(t)
	w := Way{Interface: "lo", BindHook: func(uintptr, string) error { return syscall.EPERM }}
	r, err := w.Connect(t.Context(), "tcp", addr.Addr().String(), addr.Port())
	if err != nil || r.Note != NoteByAddress {
		t.Fatalf("%v, note %q", err, r.Note)
	}
	r.Close()
	if from := <-seen; !strings.HasPrefix(from, "127.0.0.1:") {
		t.Errorf("came from %s, want lo's own address", from)
	}
	w.BindHook = func(uintptr, string) error { return syscall.ENODEV }
	_, err = w.Connect(t.Context(), "tcp", addr.Addr().String(), addr.Port())
	if Sent(err) || !strings.Contains(err.Error(), "bind to lo") {
		t.Errorf("%v", err)
	}
	w.Interface = "nosuch0"
	if _, err = w.Connect(t.Context(), "tcp", "127.0.0.1", addr.Port()); Sent(err) || err.Error() != "no interface nosuch0" {
		t.Errorf("%v", err)
	}
}

// A broker may have moved: when none of its addresses answers, its name is asked for
// anew. While no server answers that question either, the old addresses are still tried.
func TestAnAddressThatDoesNotAnswerIsDoubted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipeDNS{answer: answerA(86400, "192.0.2.7")}
		w := p.way()
		dns := w.DialHook
		var dialled []string
		dead := true
		w.DialHook = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if network == "udp" {
				return dns(ctx, network, addr)
			}
			dialled = append(dialled, addr)
			if dead {
				return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			}
			c, _ := net.Pipe()
			return c, nil
		}
		connect := func(wantErr bool, wantAsked int, wantLast string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := w.Connect(ctx, "tcp", "broker.example", 8883)
			if (err != nil) != wantErr || p.asked() != wantAsked || dialled[len(dialled)-1] != wantLast {
				t.Errorf("%v; asked %d times, want %d; dialled %v, want %s last", err, p.asked(), wantAsked, dialled, wantLast)
			}
		}
		connect(true, 1, "192.0.2.7:8883")
		p.turnTo(answerA(86400, "192.0.2.8"))
		connect(true, 2, "192.0.2.8:8883")
		p.turnTo(silence)
		dead = false
		connect(false, 4, "192.0.2.8:8883") // asked twice, the second time for the lost datagram
		p.turnTo(answerA(86400, "192.0.2.8"))
		connect(false, 5, "192.0.2.8:8883")
		connect(false, 5, "192.0.2.8:8883")
	})
}

// What a walled garden on one interface answers is not believed on another.
func TestNamesAreKeptByInterface(t *testing.T) {
	w := Way{Cache: &Cache{}, Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.1.1.1")}, nil
	}}
	if _, air, err := w.Resolve(t.Context(), "broker.example"); err != nil || air != lookupBytes {
		t.Errorf("%d bytes, %v", air, err)
	}
	other := w
	other.Interface = "eth0"
	other.Lookup = func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
	}
	if got, _, err := other.Resolve(t.Context(), "Broker.example."); err != nil || fmt.Sprint(got) != "[192.0.2.7]" {
		t.Errorf("over eth0: %v, %v", got, err)
	}
	if got, air, err := w.Resolve(t.Context(), "broker.example"); err != nil || fmt.Sprint(got) != "[10.1.1.1]" || air != 0 {
		t.Errorf("from the cache: %v, %d bytes, %v", got, air, err)
	}
}

// What a lookup cost is what went over the line, headers included.
func TestALookupIsWeighed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipeDNS{answer: answerA(60, "192.0.2.7")}
		w := p.way()
		_, air, err := w.Resolve(t.Context(), "broker.example")
		// 12 of header, 20 of question; the answer repeats both and has a record of 16,
		// its name a pointer.
		if want := 28 + 32 + 28 + 32 + 16; err != nil || air != want {
			t.Errorf("%d bytes, %v; want %d", air, err, want)
		}
		p.turnTo(silence)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, air, err = w.Resolve(ctx, "silent.example"); !errors.Is(err, ErrSilent) || air != 2*(28+32) {
			t.Errorf("silence: %d bytes, %v", air, err)
		}
	})
}

// The way's name servers are the config's, else the board's as they are now; the
// system's resolver is asked where the way is any or where only it knows whom to ask.
func TestWhoIsAskedForNames(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	linux := fstest.MapFS{"etc/resolv.conf": file("nameserver 10.0.0.1\n")}
	stub := fstest.MapFS{"etc/resolv.conf": file("nameserver 127.0.0.53\n")}
	android := fstest.MapFS{"etc/ppp/resolv.conf": file("nameserver 10.64.0.1\n")}
	own := []netip.AddrPort{netip.MustParseAddrPort("223.5.5.5:53")}
	for name, c := range map[string]struct {
		servers []netip.AddrPort
		root    fstest.MapFS
		iface   string
		want    string
		system  bool
	}{
		"configured":                        {own, linux, "", "[223.5.5.5:53]", false},
		"configured, bound":                 {own, linux, "wwan0", "[223.5.5.5:53]", false},
		"any way":                           {nil, linux, "", "[10.0.0.1:53]", true},
		"bound: over the interface":         {nil, linux, "wwan0", "[10.0.0.1:53]", false},
		"bound, only a stub":                {nil, stub, "wwan0", "[]", true},
		"Android: what the dialer wrote":    {nil, android, "", "[10.64.0.1:53]", false},
		"Android: nothing yet":              {nil, fstest.MapFS{}, "", "[]", false},
		"Android: nothing yet on the modem": {nil, fstest.MapFS{}, "rmnet0", "[]", false},
	} {
		w := New(c.root, c.servers).By(c.iface)
		if got := fmt.Sprint(w.Servers); got != c.want || (w.Lookup != nil) != c.system || w.Mark != Mark {
			t.Errorf("%s: %s, system's resolver %v, mark %x", name, got, w.Lookup != nil, w.Mark)
		}
	}
	// A new session brings new servers.
	o := New(android, nil)
	android["etc/ppp/resolv.conf"].Data = []byte("nameserver 10.65.0.1\n")
	if got := fmt.Sprint(o.By("").Servers); got != "[10.65.0.1:53]" {
		t.Error(got)
	}
	if a, b := o.By("wwan0"), o.By("eth0"); a.Cache == nil || a.Cache != b.Cache {
		t.Error("there is more than one cache")
	}
}

// An owner pins a broker in etc/hosts; nobody is asked then.
func TestHostsFile(t *testing.T) {
	root := fstest.MapFS{"etc/hosts": {Data: []byte("127.0.0.1 localhost\n# 192.0.2.1 broker.example\n192.0.2.9\tBroker.example b # pinned\n" +
		"junk broker.example\n2001:db8::9 broker.example.\n192.0.2.10 x # broker.example\n")}}
	w := New(root, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}).By("")
	w.DialHook = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("asked") }
	got, air, err := w.Resolve(t.Context(), "broker.EXAMPLE")
	if err != nil || air != 0 || fmt.Sprint(got) != "[192.0.2.9 2001:db8::9]" {
		t.Errorf("%v, %d bytes, %v", got, air, err)
	}
	if _, _, err := w.Resolve(t.Context(), "other.example"); err == nil || !strings.Contains(err.Error(), "asked") {
		t.Errorf("%v", err)
	}
}

// Which interface the config means, and whether the data line pays for it.
func TestChoice(t *testing.T) {
	patterns := []string{"wwan*", "ppp0"}
	data := ""
	for _, tt := range []struct {
		want, data, iface, err string
		over                   bool
	}{
		{"any", "wwan0", "", "", true},
		{"data", "wwan1", "wwan1", "", true},
		{"data", "", "", "there is none of wwan*, ppp0", true},
		{"eth0", "wwan0", "eth0", "", false},
		{"wwan3", "wwan0", "wwan3", "", true},
	} {
		data = tt.data
		c := Choice{Want: tt.want, Patterns: patterns, Data: func() (string, error) { return data, nil },
			Route: func(addr string) bool { return addr == "192.0.2.1" }}
		iface, err := c.Interface()
		if iface != tt.iface || fmt.Sprint(err) != tt.err && !(err == nil && tt.err == "") {
			t.Errorf("%s: %q, %v", tt.want, iface, err)
		}
		if got := c.OverData("192.0.2.1"); got != tt.over {
			t.Errorf("%s: over the data line: %v", tt.want, got)
		}
	}
	if (Choice{Want: "any"}).OverData("") {
		t.Error("without a look at the routes")
	}
}

// Where a connection would begin tells that a cable was plugged in; nothing is sent.
func TestLeads(t *testing.T) {
	to := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1883}
	if got := (Way{}).Leads(t.Context(), to); got.String() != "127.0.0.1/32" {
		t.Errorf("%s", got)
	}
	if got := (Way{Interface: "nosuch0"}).Leads(t.Context(), to); got.IsValid() {
		t.Errorf("%s", got)
	}
}

// What counts as another way.
func TestNetwork(t *testing.T) {
	for _, x := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"2001:db8::1", "2001:db8::beef", true}, // a temporary address of the same line
		{"2001:db8::1", "2001:db8:0:1::1", false},
	} {
		a, b := &net.UDPAddr{IP: parse(x.a)}, &net.TCPAddr{IP: parse(x.b)}
		if (Network(a) == Network(b)) != x.same {
			t.Errorf("%s, %s: %s %s", x.a, x.b, Network(a), Network(b))
		}
	}
}

func parse(s string) net.IP {
	a, _ := net.ResolveIPAddr("ip", s)
	return a.IP
}
