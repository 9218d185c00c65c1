package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/wayout"

	"golang.org/x/net/dns/dnsmessage"
)

// brief is a timeout for local servers that stay silent.
const brief = 200 * time.Millisecond

// dialled is an Env whose connections are made by f.
func dialled(f func(context.Context, string, string) (net.Conn, error)) Env {
	return Env{Way: wayout.Way{DialHook: f}}
}

func check(t *testing.T, got diag.ProbeResult, result, detail string) {
	t.Helper()
	if got.Result != result || !strings.Contains(got.Detail, detail) || detail == "" && result == OK && got.Detail != "" {
		t.Errorf("got %q %q, want %q with detail %q", got.Result, got.Detail, result, detail)
	}
	if (got.Millis > 0) != (got.Result != NotSent) {
		t.Errorf("%s took %d ms", got.Result, got.Millis)
	}
}

func TestDNS(t *testing.T) {
	ok := func(q dnsmessage.Message) [][]byte {
		return one(pack(q, dnsmessage.RCodeSuccess, recordA("page.example.", 60, "192.0.2.7")))
	}
	code := func(c dnsmessage.RCode) dnsAnswer {
		return func(q dnsmessage.Message) [][]byte { return one(pack(q, c)) }
	}
	for _, tc := range []struct {
		name           string
		answer         dnsAnswer
		result, detail string
	}{
		{"answered", ok, OK, ""},
		{"nxdomain", code(dnsmessage.RCodeNameError), NXDomain, ""},
		{"refused", code(dnsmessage.RCodeRefused), Refused, ""},
		{"server failure", code(dnsmessage.RCodeServerFailure), Refused, "server failure"},
		{"not implemented", code(dnsmessage.RCodeNotImplemented), Refused, "rcode 4"},
		{"no address", code(dnsmessage.RCodeSuccess), OK, "no address"},
		{"silent", func(dnsmessage.Message) [][]byte { return nil }, Timeout, ""},
		{"walled garden answers its own host", func(q dnsmessage.Message) [][]byte {
			return one(pack(q, dnsmessage.RCodeSuccess, recordA("page.example.", 1, "10.1.1.1")))
		}, OK, "private address 10.1.1.1"},
		{"alias chain", func(q dnsmessage.Message) [][]byte {
			return one(pack(q, dnsmessage.RCodeSuccess,
				resource("page.example.", 300, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("cdn.example.")}),
				recordA("cdn.example.", 60, "192.0.2.8")))
		}, OK, ""},
		{"wrong id only", func(q dnsmessage.Message) [][]byte {
			q.Header.ID++
			return one(pack(q, dnsmessage.RCodeNameError))
		}, Timeout, ""},
		{"forged id before the true answer", func(q dnsmessage.Message) [][]byte {
			forged := q
			forged.Header.ID ^= 0x5555
			return [][]byte{pack(forged, dnsmessage.RCodeNameError), ok(q)[0]}
		}, OK, ""},
		{"another question before the true answer", func(q dnsmessage.Message) [][]byte {
			other := q
			other.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("else.example."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
			return [][]byte{pack(other, dnsmessage.RCodeNameError), ok(q)[0]}
		}, OK, ""},
		{"garbage, then the true answer", func(q dnsmessage.Message) [][]byte {
			return [][]byte{{}, {1, 2, 3}, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), ok(q)[0]}
		}, OK, ""},
		{"address of another name is not ours", func(q dnsmessage.Message) [][]byte {
			return one(pack(q, dnsmessage.RCodeSuccess, recordA("else.example.", 60, "192.0.2.9")))
		}, OK, "no address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, _ := dnsServer(t, tc.answer)
			got := Run(t.Context(), Env{Way: wayout.Way{Servers: []netip.AddrPort{server}}}, Spec{Probe: DNS, Target: Carrier, Host: "page.example", Timeout: brief})
			check(t, got, tc.result, tc.detail)
			if got.Probe != DNS || got.Target != Carrier || got.Host != "page.example" {
				t.Errorf("the result is not labelled with its question: %+v", got)
			}
		})
	}
}

func TestDNSPortClosedIsRefused(t *testing.T) {
	server := netip.MustParseAddrPort(closedPort(t, "udp"))
	check(t, Run(t.Context(), Env{}, Spec{Probe: DNS, Host: "page.example", Server: server, Timeout: time.Second}), Refused, "")
}

func TestDNSSecondServerIsAsked(t *testing.T) {
	silent, first := dnsServer(t, func(dnsmessage.Message) [][]byte { return nil })
	good, _ := dnsServer(t, func(q dnsmessage.Message) [][]byte {
		return one(pack(q, dnsmessage.RCodeSuccess, recordA("page.example.", 60, "192.0.2.7")))
	})
	refuses, _ := dnsServer(t, func(q dnsmessage.Message) [][]byte { return one(pack(q, dnsmessage.RCodeServerFailure)) })
	for name, servers := range map[string][]netip.AddrPort{"first silent": {silent, good}, "first fails": {refuses, good}} {
		t.Run(name, func(t *testing.T) {
			check(t, Run(t.Context(), Env{Way: wayout.Way{Servers: servers}}, Spec{Probe: DNS, Host: "page.example", Timeout: 2 * brief}), OK, "")
		})
	}
	if n := first.Load(); n != 2 {
		t.Errorf("the silent server got %d datagrams, want the query and one resend", n)
	}
}

// Over a pipe time is virtual: the resend comes at half the time, the result at
// the deadline, not later.
func TestDNSSilenceTakesItsTimeAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var sent []time.Duration
		env := Env{
			Way: wayout.Way{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
				DialHook: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() {
						buf := make([]byte, 600)
						for {
							if _, err := theirs.Read(buf); err != nil {
								return
							}
							sent = append(sent, time.Since(start))
						}
					}()
					return ours, nil
				}},
		}
		got := Run(t.Context(), env, Spec{Probe: DNS, Host: "page.example"})
		check(t, got, Timeout, "")
		if got.Millis != 5000 {
			t.Errorf("took %d ms, want the default of 5 s", got.Millis)
		}
		synctest.Wait()
		if want := []time.Duration{0, 2500 * time.Millisecond}; fmt.Sprint(sent) != fmt.Sprint(want) {
			t.Errorf("sent at %v, want %v", sent, want)
		}
	})
}

func TestStopEndsEveryProbeAtOnce(t *testing.T) {
	for probe, host := range map[string]string{
		DNS: "page.example", HTTP: "http://192.0.2.1/", TLS: "192.0.2.1:443", NTP: "192.0.2.1", TCP: "192.0.2.1:443",
	} {
		t.Run(probe, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				env := Env{
					RootCAs: x509.NewCertPool(),
					Way: wayout.Way{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
						DialHook: func(ctx context.Context, _, _ string) (net.Conn, error) {
							if probe == TCP {
								<-ctx.Done()
								return nil, ctx.Err()
							}
							ours, theirs := net.Pipe()
							context.AfterFunc(t.Context(), func() { theirs.Close() })
							go func() { // takes everything, says nothing
								buf := make([]byte, 600)
								for {
									if _, err := theirs.Read(buf); err != nil {
										return
									}
								}
							}()
							return ours, nil
						}},
				}
				time.AfterFunc(time.Second, cancel)
				start := time.Now()
				got := Run(ctx, env, Spec{Probe: probe, Host: host})
				if took := time.Since(start); took != time.Second {
					t.Errorf("ended after %v, want at once when told, after 1s", took)
				}
				check(t, got, NotSent, "stopped")
			})
		})
	}
}

func TestTCP(t *testing.T) {
	open := tcpServer(t, func(net.Conn) {})
	check(t, Run(t.Context(), Env{}, Spec{Probe: TCP, Target: ThirdParty, Host: open}), OK, "")
	check(t, Run(t.Context(), Env{}, Spec{Probe: TCP, Host: closedPort(t, "tcp")}), Refused, "")
	check(t, Run(t.Context(), Env{}, Spec{Probe: TCP, Host: "192.0.2.1"}), NotSent, "host:port")
	check(t, Run(t.Context(), Env{Way: wayout.Way{Interface: "nosuch0"}}, Spec{Probe: TCP, Host: open}), NotSent, "no interface nosuch0")
	check(t, Run(t.Context(), Env{Way: wayout.Way{Interface: "lo"}}, Spec{Probe: TCP, Host: open}), OK, "")
}

func TestUnknownProbeSaysSo(t *testing.T) {
	check(t, Run(t.Context(), Env{}, Spec{Probe: "ping", Host: "192.0.2.1"}), NotSent, "no such probe")
}

func TestNameOfTargetIsResolvedByOwnServers(t *testing.T) {
	open := netip.MustParseAddrPort(tcpServer(t, func(net.Conn) {}))
	server, _ := dnsServer(t, func(q dnsmessage.Message) [][]byte {
		if q.Questions[0].Name.String() != "here.example." {
			return one(pack(q, dnsmessage.RCodeNameError))
		}
		return one(pack(q, dnsmessage.RCodeSuccess, recordA("here.example.", 60, "127.0.0.1")))
	})
	silent, _ := dnsServer(t, func(dnsmessage.Message) [][]byte { return nil })
	env := Env{Way: wayout.Way{Servers: []netip.AddrPort{server}}}
	port := fmt.Sprint(open.Port())
	check(t, Run(t.Context(), env, Spec{Probe: TCP, Host: "here.example:" + port}), OK, "")
	check(t, Run(t.Context(), env, Spec{Probe: TCP, Host: "gone.example:" + port}), NXDomain, "")
	check(t, Run(t.Context(), Env{Way: wayout.Way{Servers: []netip.AddrPort{silent}}}, Spec{Probe: TCP, Host: "here.example:" + port, Timeout: brief}), NotSent, "the DNS servers are silent")
	check(t, Run(t.Context(), Env{}, Spec{Probe: TCP, Host: "here.example:" + port}), NotSent, "probes.dns")
}

func TestHTTP(t *testing.T) {
	for _, tc := range []struct{ name, answer, result, detail string }{
		{"204", "HTTP/1.1 204 No Content\r\n\r\n", OK, ""},
		{"empty 200 of a proxy", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OK, "empty"},
		{"portal by 302", "HTTP/1.1 302 Found\r\nLocation: http://pay.operator.example/login?msisdn=8613800000000\r\n\r\n", Redirect, "status 302 to pay.operator.example"},
		{"portal by 307, https", "HTTP/1.0 307 Temporary Redirect\r\nLocation: https://portal.example/\r\n\r\n", Redirect, "status 307 to portal.example"},
		{"redirect without a place", "HTTP/1.1 302 Found\r\n\r\n", Redirect, "status 302 without a host"},
		{"page instead of 204", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 900\r\n\r\n", Redirect, "status 200 with a page"},
		{"511 of RFC 6585", "HTTP/1.1 511 Network Authentication Required\r\n\r\n", Redirect, "status 511"},
		{"the page's own server in trouble", "HTTP/1.1 503 Service Unavailable\r\n\r\n", Refused, "status 503"},
		{"not found", "HTTP/1.1 404 Not Found\r\n\r\n", Refused, "status 404"},
		{"its own https", "HTTP/1.1 301 Moved Permanently\r\nLocation: https://127.0.0.1/x\r\n\r\n", OK, "its own https"},
		{"to itself without https", "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", Redirect, "without a host"},
		{"not HTTP", "SSH-2.0-dropbear\r\n", Refused, "not HTTP"},
		{"closed", "", Refused, "closed"},
		{"cut in the header", "HTTP/1.1 204 No", Refused, "closed"},
		{"control bytes in the host", "HTTP/1.1 302 Found\r\nLocation: http://a\tb/\r\n\r\n", Redirect, "without a host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr, requests := httpServer(t, tc.answer)
			got := Run(t.Context(), Env{}, Spec{Probe: HTTP, Target: ThirdParty, Host: "http://" + addr + "/generate_204?x=1"})
			check(t, got, tc.result, tc.detail)
			if want := "HEAD /generate_204?x=1 HTTP/1.1\r\nHost: " + addr + "\r\nConnection: close\r\n\r\n"; <-requests != want {
				t.Errorf("the request is not %q", want)
			}
			if got.Host != addr {
				t.Errorf("host %q, want %q", got.Host, addr)
			}
			if strings.Contains(got.Detail, "138") {
				t.Errorf("the subscriber's number got through: %q", got.Detail)
			}
		})
	}
	check(t, Run(t.Context(), Env{}, Spec{Probe: HTTP, Host: "https://example/"}), NotSent, "http://")
	check(t, Run(t.Context(), Env{}, Spec{Probe: HTTP, Host: "http://" + closedPort(t, "tcp") + "/"}), Refused, "")
}

// countingConn counts what was read.
type countingConn struct {
	net.Conn
	n *int
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	*c.n += n
	return n, err
}

func TestHTTPHostileServerIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name           string
		serve          func(net.Conn)
		result, detail string
		millis         int64 // -1: at once
	}{
		{"endless header", func(c net.Conn) {
			_, err := c.Write([]byte("HTTP/1.1 204 No Content\r\n"))
			for err == nil {
				_, err = c.Write([]byte("X-Fill: " + strings.Repeat("a", 100) + "\r\n"))
			}
		}, Refused, "header over 4096 bytes", -1},
		{"endless line", func(c net.Conn) {
			var err error
			for err == nil {
				_, err = c.Write([]byte(strings.Repeat("H", 512)))
			}
		}, Refused, "header over 4096 bytes", -1},
		{"slow drip", func(c net.Conn) {
			_, err := c.Write([]byte("HTTP/1.1 204 No Content\r\nX-Slow: "))
			for err == nil {
				time.Sleep(time.Second) // virtual: this is the server's habit, not synchronisation
				_, err = c.Write([]byte("a"))
			}
		}, Timeout, "", 8000},
		{"silent", func(net.Conn) {}, Timeout, "", 8000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := 0
				var servers sync.WaitGroup
				env := dialled(func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go func() { // swallow the request
						buf := make([]byte, 600)
						for {
							if _, err := theirs.Read(buf); err != nil {
								return
							}
						}
					}()
					servers.Go(func() { tc.serve(theirs) })
					return countingConn{ours, &read}, nil
				})
				got := Run(t.Context(), env, Spec{Probe: HTTP, Host: "http://192.0.2.1/"})
				servers.Wait() // virtual time goes on only while the test waits
				check(t, got, tc.result, tc.detail)
				if read > maxHeader {
					t.Errorf("read %d bytes, limit %d", read, maxHeader)
				}
				if tc.millis >= 0 && got.Millis != tc.millis || tc.millis < 0 && got.Millis > 1 {
					t.Errorf("took %d ms", got.Millis)
				}
			})
		})
	}
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "own.example")}})
	portal := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "portal.example")}})
	foreign := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{other.issue(t, "own.example")}})
	mutual := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "own.example")}, ClientAuth: tls.RequireAnyClientCert}
	mutual12 := mutual.Clone()
	mutual12.MaxVersion = tls.VersionTLS12
	plain := tcpServer(t, func(c net.Conn) { _, _ = c.Write([]byte("220 mail.example ready\r\n")) })
	noTLS13 := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "own.example")}, MaxVersion: tls.VersionTLS11})
	shut := tcpServer(t, func(net.Conn) {})
	silent := tcpServer(t, func(c net.Conn) {
		buf := make([]byte, 1024)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})
	for _, tc := range []struct {
		name, addr     string
		now            time.Time
		result, detail string
	}{
		{"right", good, certNow, OK, ""},
		{"wrong name", portal, certNow, BadCert, "another name"},
		{"wrong issuer", foreign, certNow, BadCert, "issuer"},
		{"clock in 1970", good, time.Unix(0, 0), CertNotYetValid, "valid from 2026-01-01, the clock says 1970-01-01"},
		{"clock in 2060", good, time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC), CertNotYetValid, "valid until 2027-01-01, the clock says 2060-01-01"},
		{"expired", good, certUntil.AddDate(0, 0, 3), BadCert, "expired on 2027-01-01"},
		{"portal while the clock is in 1970", portal, time.Unix(0, 0), BadCert, "another name"},
		{"wrong issuer while the clock is in 1970", foreign, time.Unix(0, 0), BadCert, "issuer"},
		{"client certificate wanted", tlsServer(t, mutual), certNow, OK, ""},
		{"client certificate wanted, TLS 1.2", tlsServer(t, mutual12), certNow, OK, "client certificate"},
		{"not TLS", plain, certNow, Refused, "not TLS"},
		{"TLS too old", noTLS13, certNow, Refused, "TLS alert"},
		{"closed at once", shut, certNow, Refused, "closed"},
		{"silent after connect", silent, certNow, Timeout, ""},
		{"port closed", closedPort(t, "tcp"), certNow, Refused, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, port, err := net.SplitHostPort(tc.addr)
			if err != nil {
				t.Fatal(err)
			}
			env := Env{
				RootCAs: ca.pool,
				Now:     func() time.Time { return tc.now },
				Way: wayout.Way{Lookup: func(context.Context, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
				}},
			}
			spec := Spec{Probe: TLS, Target: Own, Host: "own.example:" + port}
			if tc.result == Timeout {
				spec.Timeout = brief
			}
			check(t, Run(t.Context(), env, spec), tc.result, tc.detail)
			spec.Probe, spec.Host = Broker, "mqtts://own.example:"+port
			check(t, Run(t.Context(), env, spec), tc.result, tc.detail)
		})
	}
}

func TestTLSResumesTheSecondTime(t *testing.T) {
	ca := newAuthority(t)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			addr := tlsServer(t, &tls.Config{
				Certificates: []tls.Certificate{ca.issue(t, "own.example")}, MaxVersion: version,
				Time: func() time.Time { return certNow }, // else the server thinks its ticket old
			})
			_, port, _ := net.SplitHostPort(addr)
			read := 0
			env := Env{
				RootCAs: ca.pool, Now: func() time.Time { return certNow }, Sessions: tls.NewLRUClientSessionCache(4),
				Way: wayout.Way{Lookup: func(context.Context, string) ([]netip.Addr, error) {
					return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
				},
					DialHook: func(ctx context.Context, network, address string) (net.Conn, error) {
						c, err := (&net.Dialer{}).DialContext(ctx, network, address)
						return countingConn{c, &read}, err
					}},
			}
			spec := Spec{Probe: TLS, Target: Own, Host: "own.example:" + port}
			check(t, Run(t.Context(), env, spec), OK, "")
			full := read
			read = 0
			check(t, Run(t.Context(), env, spec), OK, "resumed")
			if read >= full {
				t.Errorf("resumed handshake read %d bytes, the full one %d", read, full)
			}
			// A resumed session must not smuggle a certificate past the clock or the name.
			env.Now = func() time.Time { return time.Unix(0, 0) }
			if got := Run(t.Context(), env, spec); got.Result == OK {
				t.Errorf("clock in 1970: %+v", got)
			}
		})
	}
}

func TestBroker(t *testing.T) {
	addr := tcpServer(t, func(net.Conn) {})
	check(t, Run(t.Context(), Env{}, Spec{Probe: Broker, Target: Own, Host: "mqtt://" + addr}), OK, "")
	check(t, Run(t.Context(), Env{}, Spec{Probe: Broker, Host: "tcp://" + closedPort(t, "tcp")}), Refused, "")
	check(t, Run(t.Context(), Env{}, Spec{Probe: Broker, Host: addr}), NotSent, "")
	check(t, Run(t.Context(), Env{}, Spec{Probe: Broker, Host: "ftp://" + addr}), NotSent, "mqtts://")
	got := Run(t.Context(), Env{}, Spec{Probe: Broker, Host: "mqtt://user:secret@" + addr})
	if got.Host != addr {
		t.Errorf("host %q shows more than %q", got.Host, addr)
	}
	sent := make(chan int, 1)
	listening := tcpServer(t, func(c net.Conn) {
		n, _ := c.Read(make([]byte, 64))
		sent <- n
	})
	check(t, Run(t.Context(), Env{}, Spec{Probe: Broker, Host: "mqtt://" + listening}), OK, "")
	if n := <-sent; n != 0 {
		t.Errorf("%d bytes were sent to the broker: a CONNECT would end the living session", n)
	}
}

// ntpAnswer makes an answer to request as a server whose clock reads at.
func ntpAnswer(request []byte, at time.Time) []byte {
	b := make([]byte, ntpSize)
	b[0], b[1] = 4<<3|ntpServer, 2
	copy(b[24:32], request[40:48])
	secs := uint32(at.Unix() + 2208988800)
	for _, off := range []int{32, 40} {
		binary.BigEndian.PutUint32(b[off:], secs)
		binary.BigEndian.PutUint32(b[off+4:], uint32(int64(at.Nanosecond())<<32/1e9))
	}
	return b
}

func udpServer(t *testing.T, answer func(request []byte) [][]byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, b := range answer(buf[:n]) {
				_, _ = c.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return c.LocalAddr().String()
}

func TestNTP(t *testing.T) {
	truth := time.Date(2026, 11, 22, 12, 0, 0, 500e6, time.UTC)
	mutate := func(f func(b []byte)) func([]byte) [][]byte {
		return func(req []byte) [][]byte {
			b := ntpAnswer(req, truth)
			f(b)
			return one(b)
		}
	}
	for _, tc := range []struct {
		name           string
		answer         func([]byte) [][]byte
		result, detail string
	}{
		{"answered", mutate(func([]byte) {}), OK, "offset +3"},
		{"silent", func([]byte) [][]byte { return nil }, Timeout, ""},
		{"origin is not our cookie", mutate(func(b []byte) { b[30]++ }), Timeout, ""},
		{"a client's packet", mutate(func(b []byte) { b[0] = 4<<3 | 3 }), Timeout, ""},
		{"short", func(req []byte) [][]byte { return one(ntpAnswer(req, truth)[:47]) }, Timeout, ""},
		{"kiss of death", mutate(func(b []byte) { b[1] = 0; copy(b[12:], "RATE") }), Refused, `"RATE"`},
		{"unsynchronised", mutate(func(b []byte) { b[0] |= 3 << 6 }), Refused, "gives no time"},
		{"stratum 16", mutate(func(b []byte) { b[1] = 16 }), Refused, "stratum 16"},
		{"a time before 2020", func(req []byte) [][]byte { return one(ntpAnswer(req, time.Date(2019, 12, 31, 0, 0, 0, 0, time.UTC))) }, Refused, "it says 2019-12-31"},
		{"zero transmit time", mutate(func(b []byte) { copy(b[40:], make([]byte, 8)) }), Refused, "transmit time"},
		{"forged before the true one", func(req []byte) [][]byte {
			forged := ntpAnswer(req, time.Unix(0, 0))
			forged[24]++
			return [][]byte{forged, ntpAnswer(req, truth)}
		}, OK, "offset +3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := Env{Now: func() time.Time { return truth.Add(-3500 * time.Millisecond) }}
			check(t, Run(t.Context(), env, Spec{Probe: NTP, Host: udpServer(t, tc.answer), Timeout: brief}), tc.result, tc.detail)
		})
	}
	check(t, Run(t.Context(), Env{}, Spec{Probe: NTP, Host: closedPort(t, "udp")}), Refused, "")
}

func TestSNTPCountsHalfTheRoundTripAndTheEra(t *testing.T) {
	for _, tc := range []struct {
		name       string
		truth      time.Time
		clock      time.Time
		wantOffset time.Duration
	}{
		{"clock two hours behind", time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), 2 * time.Hour},
		{"clock in 1970", time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), time.Unix(0, 0), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Sub(time.Unix(0, 0))},
		{"after the wrap of 2036", time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 1, 0, 0, time.UTC), -time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				env := Env{
					Now: func() time.Time { return tc.clock.Add(time.Since(start)) },
					Way: wayout.Way{DialHook: func(context.Context, string, string) (net.Conn, error) {
						ours, theirs := net.Pipe()
						go func() {
							defer theirs.Close()
							req := make([]byte, 64)
							n, err := theirs.Read(req)
							if err != nil {
								return
							}
							time.Sleep(300 * time.Millisecond) // the way there, in virtual time
							answer := ntpAnswer(req[:n], tc.truth.Add(time.Since(start)))
							time.Sleep(300 * time.Millisecond) // and back
							_, _ = theirs.Write(answer)
						}()
						return ours, nil
					}},
				}
				got, err := SNTP(t.Context(), env, "192.0.2.123")
				if err != nil {
					t.Fatal(err)
				}
				if d := got.Offset - tc.wantOffset; d.Abs() > time.Microsecond {
					t.Errorf("offset %v, want %v", got.Offset, tc.wantOffset)
				}
				if got.RTT != 600*time.Millisecond {
					t.Errorf("round trip %v, want 600ms", got.RTT)
				}
			})
		})
	}
}

func TestJudgeOfSocketErrors(t *testing.T) {
	for _, tc := range []struct {
		err    error
		result string
	}{
		{syscall.ETIMEDOUT, Timeout},
		{context.DeadlineExceeded, Timeout},
		{os.ErrDeadlineExceeded, Timeout},
		{syscall.EHOSTUNREACH, Timeout},
		{syscall.ECONNREFUSED, Refused},
		{syscall.ECONNRESET, Refused},
		{syscall.ENETUNREACH, NotSent},
		{syscall.EPERM, NotSent},
		{errors.New("anything else"), NotSent},
	} {
		err := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", tc.err)}
		if got := judge(err); got.result != tc.result {
			t.Errorf("%v: %s, want %s", tc.err, got.result, tc.result)
		}
	}
}

func TestRoundIsCheapestFirst(t *testing.T) {
	targets := Targets{
		Name: "page.example", ThirdParty: []string{"192.0.2.1:443", "198.51.100.1:443"},
		HTTPURL: "http://page.example/", Own: []string{"own.example:443"},
		Brokers: []string{"mqtts://broker.example", "mqtt://plain.example"}, NTP: []string{"time.example"},
		Servers: []netip.AddrPort{netip.MustParseAddrPort("203.0.113.53:53")},
	}
	show := func(specs []Spec) string {
		var b strings.Builder
		for _, s := range specs {
			fmt.Fprintf(&b, "%s %s %s\n", s.Probe, s.Target, s.Host)
		}
		return b.String()
	}
	want := `dns carrier page.example
dns third_party page.example
ntp third_party time.example
tcp third_party 192.0.2.1:443
tcp third_party 198.51.100.1:443
broker own mqtt://plain.example
http third_party http://page.example/
broker own mqtts://broker.example
tls own own.example:443
`
	if got := show(Round(targets)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	targets.WhitelistOnly = true
	want = `dns carrier page.example
broker own mqtt://plain.example
broker own mqtts://broker.example
tls own own.example:443
`
	if got := show(Round(targets)); got != want {
		t.Errorf("a whitelisted SIM: got\n%swant\n%s", got, want)
	}
	if got := Round(Targets{}); len(got) != 0 {
		t.Errorf("nothing named, but asked %v", got)
	}
}
