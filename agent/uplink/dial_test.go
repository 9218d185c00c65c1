package uplink

import (
	"cellwarden/agent/wayout"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestNameOfTheBroker: it is asked for once while its address answers, counted in the
// traffic, and asked for again when none does; what cannot be resolved is named so.
func TestNameOfTheBroker(t *testing.T) {
	addr, _ := embedded(t)
	p := newProxy(t, addr)
	_, port, _ := net.SplitHostPort(p.addr)
	var asked atomic.Int32
	way := wayout.Way{Cache: &wayout.Cache{}, Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		if asked.Add(1); host != "broker.example" {
			return nil, errors.New("asked for " + host)
		}
		return []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1")}, nil // the first is dead
	}}
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://broker.example:" + port}
		o.Way = func() (wayout.Way, error) { return way, nil }
	})
	_, at := find[Connected](r, 0, nil)
	p.cut()
	find[Connected](r, at, nil)
	r.stop()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for two connections, want once", n)
	}
	if n := r.count(func(e Event) bool { return e == Traffic{WireBytes: 320} }); n != 1 {
		t.Errorf("%d lookups in the traffic", n)
	}

	u := New(Options{Device: device, OnEvent: func(Event) {}, Way: func() (wayout.Way, error) { return way, nil }})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := u.dial(ctx, broker{host: "other.example", port: 1}); classify(err, time.Now()).why != WhyDNS {
		t.Errorf("%v", err)
	}
	closed := netip.MustParseAddrPort(freeAddr(t))
	for range 2 {
		if _, err := u.dial(ctx, broker{host: "broker.example", port: closed.Port()}); classify(err, time.Now()).why != WhyConnect {
			t.Errorf("%v", err)
		}
	}
	if n := asked.Load(); n != 3 { // other.example, and the second time here
		t.Errorf("asked %d times", n)
	}
}

// TestWeakBind: where the kernel does not let it bind to the interface the uplink goes on
// by the source address, as probes do, and says so once.
func TestWeakBind(t *testing.T) {
	addr, _ := embedded(t)
	p := newProxy(t, addr)
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + p.addr}
		o.Way = func() (wayout.Way, error) {
			return wayout.Way{Interface: "lo", BindHook: func(uintptr, string) error { return syscall.EPERM }}, nil
		}
	})
	e, _ := find[WeakBind](r, 0, nil)
	_, at := find[Connected](r, 0, nil)
	p.cut()
	find[Connected](r, at, nil)
	r.stop()
	if e.Note != wayout.NoteByAddress {
		t.Errorf("%q", e.Note)
	}
	if n := r.count(func(e Event) bool { _, ok := e.(WeakBind); return ok }); n != 1 {
		t.Errorf("said %d times", n)
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
		o.Way = func() (wayout.Way, error) { return wayout.Way{Interface: "lo"}, nil }
	})
	find[Connected](r, 0, nil)
	r.stop()
	r = start(t, newStore(t), func(o *Options) {
		o.Brokers = []string{"tcp://" + addr}
		o.Way = func() (wayout.Way, error) { return wayout.Way{Interface: "wwan9"}, nil }
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
		o.Way = func() (wayout.Way, error) {
			if !there.Load() {
				return wayout.Way{}, errors.New("there is none of wwan*")
			}
			return wayout.Way{}, nil
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
