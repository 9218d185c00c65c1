package uplink

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestResolver: the owner's resolver is used, its answer is kept while it
// works, asked for again when it does not, and kept when the resolver fails.
func TestResolver(t *testing.T) {
	addr, _ := embedded(t)
	_, port, _ := net.SplitHostPort(addr)
	p := newProxy(t, addr)
	_, proxyPort, _ := net.SplitHostPort(p.addr)
	asked := 0 // by the goroutine of Run only; read after it ended
	broken := false
	resolve := func(_ context.Context, host string) ([]netip.Addr, error) {
		if asked++; host != "broker.example" {
			return nil, errors.New("asked for " + host)
		}
		if broken {
			return nil, errors.New("no answer")
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://broker.example:" + proxyPort}
		o.Resolve = resolve
	})
	_, at := find[Connected](r, 0, nil)
	p.cut()
	find[Connected](r, at, nil)
	r.stop()
	if asked != 1 {
		t.Errorf("asked %d times for two connections, want once", asked)
	}
	lookups := func(e Event) bool { return e == Traffic{WireBytes: dnsBytes} }
	if n := r.count(lookups); n != 1 {
		t.Errorf("%d lookups in the traffic", n)
	}

	u := New(Options{Device: device, Resolve: resolve, OnEvent: func(Event) {}})
	u.dns["broker.example"] = cached{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, at: time.Now().Add(-2 * dnsKeep)}
	broken = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := u.dial(ctx, broker{host: "broker.example", port: port})
	if err != nil {
		t.Fatalf("the old answer was not used: %v", err)
	}
	c.Close()
	if _, err := u.dial(ctx, broker{host: "other.example", port: port}); classify(err, time.Now()).why != WhyDNS {
		t.Errorf("%v", err)
	}
	closed := freeAddr(t)
	_, closedPort, _ := net.SplitHostPort(closed)
	if _, err := u.dial(ctx, broker{host: "broker.example", port: closedPort}); classify(err, time.Now()).why != WhyConnect {
		t.Errorf("%v", err)
	}
	if _, ok := u.dns["broker.example"]; ok {
		t.Error("an address that does not answer is kept")
	}
}

// TestSecondAddress: the second address of a broker is tried when the first is dead.
func TestSecondAddress(t *testing.T) {
	addr, _ := embedded(t)
	_, port, _ := net.SplitHostPort(addr)
	u := New(Options{Device: device, OnEvent: func(Event) {}, Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}, nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := u.dial(ctx, broker{host: "b", port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if a := c.RemoteAddr().String(); a != addr {
		t.Errorf("connected to %s", a)
	}
}

// TestBindInterface: bound to the loopback it works; to an interface that is
// not there it says so, with the cure.
func TestBindInterface(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIP: binding to an interface needs root")
	}
	addr, _ := embedded(t)
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Interface = func() (string, error) { return "lo", nil }
	})
	find[Connected](r, 0, nil)
	r.stop()
	r = start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Interface = func() (string, error) { return "wwan9", nil }
	})
	if e, _ := find[Unreachable](r, 0, nil); e.Why != WhyBind || !strings.Contains(e.Err.Error(), "wwan9") || !strings.Contains(e.Hint, "CAP_NET_RAW") {
		t.Errorf("%+v", e)
	}
}

// TestSecretIsReadAnew: a password file that is missing is named, and one that
// was mended counts from the next attempt on; the broker is not asked meanwhile.
func TestSecretIsReadAnew(t *testing.T) {
	addr, _ := embedded(t)
	var mended atomic.Bool
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.User = "machine"
		o.Secret = func() (string, error) {
			if !mended.Load() {
				return "", errors.New("open /etc/password: no such file")
			}
			return "right", nil
		}
		o.Timing.RefusedMin, o.Timing.RefusedMax = 20*time.Millisecond, 20*time.Millisecond
	})
	e, at := find[Refused](r, 0, nil)
	if e.Why != WhyOwnSecret || !strings.Contains(e.Err.Error(), "/etc/password") || !strings.Contains(e.Hint, "password file") {
		t.Errorf("%+v", e)
	}
	mended.Store(true)
	find[Connected](r, at, nil)
}

// TestInterfaceIsAskedAnew: a data interface that is not there yet is waited for.
func TestInterfaceIsAskedAnew(t *testing.T) {
	addr, _ := embedded(t)
	var there atomic.Bool
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Interface = func() (string, error) {
			if !there.Load() {
				return "", errors.New("there is none of wwan*")
			}
			return "", nil
		}
		o.Timing.RetryMin, o.Timing.RetryMax = 20*time.Millisecond, 20*time.Millisecond
	})
	e, at := find[Unreachable](r, 0, nil)
	if e.Why != WhyBind || !strings.Contains(e.Err.Error(), "wwan*") {
		t.Errorf("%+v", e)
	}
	there.Store(true)
	find[Connected](r, at, nil)
}

// TestNudge: the owner knows that the path is back, and a long backoff is cut
// short; after a refusal it is not.
func TestNudge(t *testing.T) {
	addr := freeAddr(t)
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Timing.RetryMin, o.Timing.RetryMax = time.Hour, time.Hour
	})
	_, at := find(r, 0, func(w Waiting) bool { return w.Why == WaitBackoff })
	r.up.Nudge()
	_, at = find[Connecting](r, at, nil)
	find(r, at, func(w Waiting) bool { return w.Why == WaitBackoff })
}

// TestSpread: the first attempt is drawn from the whole spread.
func TestSpread(t *testing.T) {
	u := New(Options{Device: device})
	low, high := time.Hour, time.Duration(0)
	for range 1000 {
		d := u.spread()
		low, high = min(low, d), max(high, d)
	}
	if low > time.Second || high < 29*time.Second || high > 30*time.Second {
		t.Errorf("drawn from %s to %s, want 0 to 30s", low, high)
	}
}
