package wayout

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// pipeDNS answers over pipes in virtual time.
type pipeDNS struct {
	mu     sync.Mutex
	count  int
	answer dnsAnswer
}

func (p *pipeDNS) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *pipeDNS) turnTo(a dnsAnswer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = a
}

func (p *pipeDNS) way() Way {
	return Way{
		Cache:   &Cache{},
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
		DialHook: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				buf := make([]byte, 600)
				for {
					n, err := theirs.Read(buf)
					if err != nil {
						return
					}
					var q dnsmessage.Message
					if q.Unpack(buf[:n]) != nil {
						return
					}
					p.mu.Lock()
					p.count++
					answer := p.answer
					p.mu.Unlock()
					for _, b := range answer(q) {
						if _, err := theirs.Write(b); err != nil {
							return
						}
					}
				}
			}()
			return ours, nil
		},
	}
}

func answerA(ttl uint32, addrs ...string) dnsAnswer {
	return func(q dnsmessage.Message) [][]byte {
		var rs []dnsmessage.Resource
		if q.Questions[0].Type == dnsmessage.TypeA {
			for _, a := range addrs {
				rs = append(rs, recordA(q.Questions[0].Name.String(), ttl, a))
			}
		}
		return one(pack(q, dnsmessage.RCodeSuccess, rs...))
	}
}

func silence(dnsmessage.Message) [][]byte { return nil }

func TestResolverCachesWithinBounds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		ttl   uint32
		holds time.Duration
	}{
		{"ttl 0 holds an hour", 0, minTTL},
		{"ttl of two hours", 7200, 2 * time.Hour},
		{"ttl of a year holds a day", 365 * 86400, maxTTL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pipeDNS{answer: answerA(tc.ttl, "192.0.2.7")}
				w := p.way()
				for _, step := range []struct {
					wait  time.Duration
					asked int
				}{{0, 1}, {tc.holds - time.Second, 1}, {time.Second, 2}} {
					time.Sleep(step.wait) // virtual
					got, _, err := w.Resolve(t.Context(), "Broker.Example.")
					if err != nil || fmt.Sprint(got) != "[192.0.2.7]" {
						t.Fatalf("got %v, %v", got, err)
					}
					if p.asked() != step.asked {
						t.Errorf("asked %d times, want %d", p.asked(), step.asked)
					}
				}
				w.Cache.doubt("", "broker.example")
				if _, _, err := w.Resolve(t.Context(), "broker.example"); err != nil || p.asked() != 3 {
					t.Errorf("after a doubt asked %d times, %v", p.asked(), err)
				}
			})
		})
	}
}

func TestResolverServesStaleWhileNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipeDNS{answer: answerA(60, "192.0.2.7")}
		w := p.way()
		if _, _, err := w.Resolve(t.Context(), "broker.example"); err != nil {
			t.Fatal(err)
		}
		p.turnTo(silence)
		time.Sleep(minTTL)
		start := time.Now()
		got, _, err := w.Resolve(t.Context(), "broker.example")
		if err != nil || fmt.Sprint(got) != "[192.0.2.7]" {
			t.Errorf("got %v, %v, want the old address", got, err)
		}
		if took := time.Since(start); took != resolveTimeout {
			t.Errorf("took %v, want %v", took, resolveTimeout)
		}
		time.Sleep(staleFor)
		if _, _, err := w.Resolve(t.Context(), "broker.example"); !errors.Is(err, ErrSilent) {
			t.Errorf("after a week: %v, want ErrSilent", err)
		}
		p.turnTo(func(q dnsmessage.Message) [][]byte { return one(pack(q, dnsmessage.RCodeNameError)) })
		if _, _, err := w.Resolve(t.Context(), "broker.example"); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
		p.turnTo(silence)
		if got, _, err := w.Resolve(t.Context(), "broker.example"); err == nil {
			t.Errorf("a name that is gone still gives %v", got)
		}
	})
}

func TestResolverIPv6OnlyNameAndNoServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipeDNS{answer: func(q dnsmessage.Message) [][]byte {
			if q.Questions[0].Type != dnsmessage.TypeAAAA {
				return one(pack(q, dnsmessage.RCodeSuccess))
			}
			return one(pack(q, dnsmessage.RCodeSuccess, resource("six.example.", 60,
				&dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::7").As16()})))
		}}
		w := p.way()
		got, _, err := w.Resolve(t.Context(), "six.example")
		if err != nil || fmt.Sprint(got) != "[2001:db8::7]" {
			t.Errorf("got %v, %v", got, err)
		}
		w.Servers = nil
		if _, _, err := w.Resolve(t.Context(), "other.example"); !errors.Is(err, ErrNoServer) {
			t.Errorf("got %v, want ErrNoServer", err)
		}
		if got, _, err := w.Resolve(t.Context(), "192.0.2.9"); err != nil || fmt.Sprint(got) != "[192.0.2.9]" {
			t.Errorf("a literal: %v, %v", got, err)
		}
		if _, _, err := w.Resolve(t.Context(), strings.Repeat("a", 300)); err == nil {
			t.Error("a name of 300 bytes was taken")
		}
	})
}

func TestResolverCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipeDNS{answer: answerA(60, "192.0.2.7")}
		w := p.way()
		for i := range 3 * maxCached {
			if _, _, err := w.Resolve(t.Context(), fmt.Sprintf("h%d.example", i)); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.Cache.names) != maxCached {
			t.Errorf("%d entries, limit %d", len(w.Cache.names), maxCached)
		}
	})
}

func TestSystemResolvers(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for _, tc := range []struct {
		name string
		fs   fstest.MapFS
		want string
	}{
		{"Debian with NetworkManager", fstest.MapFS{"etc/resolv.conf": file("# made by NetworkManager\nsearch lan\nnameserver 198.51.100.1\nnameserver 198.51.100.2\n")}, "[198.51.100.1:53 198.51.100.2:53]"},
		{"systemd-resolved's stub is not the carrier's", fstest.MapFS{
			"etc/resolv.conf":                 file("nameserver 127.0.0.53\noptions edns0\n"),
			"run/systemd/resolve/resolv.conf": file("nameserver 2001:db8::53\n"),
		}, "[[2001:db8::53]:53]"},
		{"pppd's own file first", fstest.MapFS{
			"etc/ppp/resolv.conf": file("nameserver 203.0.113.5\r\n"), "etc/resolv.conf": file("nameserver 192.168.1.1\n"),
		}, "[203.0.113.5:53]"},
		{"OpenWrt", fstest.MapFS{"tmp/resolv.conf.d/resolv.conf.auto": file("# Interface wwan\nnameserver 203.0.113.9\n"), "etc/resolv.conf": file("nameserver 127.0.0.1\n")}, "[203.0.113.9:53]"},
		{"Android has none", fstest.MapFS{}, "[]"},
		{"rubbish", fstest.MapFS{"etc/resolv.conf": file("nameserver\nnameserver x\nnameserver 0.0.0.0\n\x00\xff")}, "[]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fmt.Sprint(SystemResolvers(tc.fs)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
