package uplink

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"cellwarden/agent/instant"
)

// secure gives a mosquitto with a TLS listener, its authority and the files of
// a client certificate.
func secure(t testing.TB, extra string) (m *mosquitto, a *authority) {
	t.Helper()
	a = newAuthority(t, "cellwarden test CA")
	cert, key := a.issue("broker", time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	return newMosquitto(t, fmt.Sprintf("cafile %s\ncertfile %s\nkeyfile %s\n%s", a.file, cert, key, extra)), a
}

func overTLS(addr string) []string {
	_, port, _ := net.SplitHostPort(addr)
	return []string{"ssl://localhost:" + port}
}

// TestResumedAfterRestart: the ticket survives a restart of the agent on disk,
// mode 0600, and the next handshake is the short one.
func TestResumedAfterRestart(t *testing.T) {
	t.Parallel()
	m, a := secure(t, "")
	p := newProxy(t, m.addr)
	file := filepath.Join(t.TempDir(), "tls-sessions")
	var sizes []int64
	for run := range 3 {
		s := newStore(t)
		before, segments := p.bytes(), p.packets.Load()
		r := start(t, s, func(o *Options) {
			o.Brokers = overTLS(p.addr)
			o.TLS = TLS{CAFile: a.file, SessionFile: file}
		})
		e, _ := find[Connected](r, 0, nil)
		if !e.TLS || e.Resumed != (run > 0) {
			t.Errorf("run %d: %+v", run, e)
		}
		sizes = append(sizes, p.bytes()-before)
		t.Logf("run %d: resumed %v, %d B of TLS and MQTT in %d writes up to CONNACK", run, e.Resumed, sizes[run], p.packets.Load()-segments)
		r.stop()
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("session file: %v %v", info, err)
		}
	}
	if sizes[1] >= sizes[0] {
		t.Errorf("resumed %d B, full %d B", sizes[1], sizes[0])
	}
	// A damaged file costs one full handshake and no more.
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"cut": raw[:len(raw)/2], "empty": nil, "foreign": []byte(`{"sessions":[{"key":"localhost","ticket":"AAAA","state":"AAAA"}]}`)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r := start(t, newStore(t), func(o *Options) {
			o.Brokers = overTLS(p.addr)
			o.TLS = TLS{CAFile: a.file, SessionFile: file}
		})
		if e, _ := find[Connected](r, 0, nil); e.Resumed {
			t.Errorf("%s file: resumed", name)
		}
		r.stop()
	}
}

// TestCertificateFaults: each kind of bad certificate has its own name.
func TestCertificateFaults(t *testing.T) {
	good := newAuthority(t, "good")
	other := newAuthority(t, "other")
	hour := time.Hour
	issue := func(a *authority, name string, from, to time.Duration) tls.Certificate {
		c, k := a.issue(name, time.Now().Add(from), time.Now().Add(to))
		pair, err := tls.LoadX509KeyPair(c, k)
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	fine := issue(good, "fine", -hour, hour)
	wrongPin := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct {
		name    string
		cert    tls.Certificate
		client  TLS
		want    Why
		refused bool
	}{
		{"begins tomorrow, or our clock is in 1970", issue(good, "early", 24*hour, 48*hour), TLS{CAFile: good.file}, WhyCertNotYetValid, false},
		{"ended yesterday", issue(good, "late", -48*hour, -24*hour), TLS{CAFile: good.file}, WhyCertExpired, true},
		{"unknown authority", issue(other, "other", -hour, hour), TLS{CAFile: good.file}, WhyBadCert, true},
		{"another name", fine, TLS{CAFile: good.file, ServerName: "broker.example"}, WhyBadCert, true},
		{"another pin", fine, TLS{CAFile: good.file, Pins: []string{wrongPin}}, WhyBadCert, true},
		{"no file of authorities", fine, TLS{CAFile: "/nonexistent/ca.pem"}, WhyBadCert, true},
		{"no file of our own", fine, TLS{CAFile: good.file, CertFile: "/nonexistent/c.pem", KeyFile: "/nonexistent/k.pem"}, WhyOwnCert, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{tt.cert}}, func(c net.Conn) { c.(*tls.Conn).Handshake() })
			r := start(t, newStore(t), func(o *Options) {
				o.Brokers = overTLS(addr)
				o.TLS = tt.client
			})
			if tt.refused {
				if e, _ := find[Refused](r, 0, nil); e.Why != tt.want || e.Hint == "" {
					t.Errorf("%s: %v, want %s", e.Why, e.Err, tt.want)
				}
			} else if e, _ := find[Unreachable](r, 0, nil); e.Why != tt.want || !strings.Contains(e.Hint, "clock") {
				t.Errorf("%s: %v, want %s", e.Why, e.Err, tt.want)
			}
		})
	}
}

// TestNotTLS: something without TLS at an ssl:// address.
func TestNotTLS(t *testing.T) {
	plain := server(t, func(c net.Conn) {
		bufio.NewReader(c).ReadByte()
		c.Write([]byte("SSH-2.0-OpenSSH_9.2p1\r\n"))
	})
	r := start(t, newStore(t), func(o *Options) { o.Brokers = overTLS(plain) })
	if e, _ := find[Refused](r, 0, nil); e.Why != WhyNotTLS || !strings.Contains(e.Hint, "TLS port") {
		t.Errorf("%s: %v", e.Why, e.Err)
	}
}

// TestPinAccepts: the pin of the authority's key is enough, also on a resumed
// session, for which crypto/tls calls fewer hooks.
func TestPinAccepts(t *testing.T) {
	t.Parallel()
	m, a := secure(t, "")
	sum := sha256.Sum256(a.cert.RawSubjectPublicKeyInfo)
	file := filepath.Join(t.TempDir(), "s")
	for run := range 2 {
		r := start(t, newStore(t), func(o *Options) {
			o.Brokers = overTLS(m.addr)
			o.TLS = TLS{CAFile: a.file, SessionFile: file, Pins: []string{base64.StdEncoding.EncodeToString(sum[:])}}
		})
		if e, _ := find[Connected](r, 0, nil); e.Resumed != (run == 1) {
			t.Errorf("%+v", e)
		}
		r.stop()
	}
	// Another pin is refused although a ticket is there.
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = overTLS(m.addr)
		o.TLS = TLS{CAFile: a.file, SessionFile: file, Pins: []string{base64.StdEncoding.EncodeToString(make([]byte, 32))}}
	})
	if e, _ := find[Refused](r, 0, nil); e.Why != WhyBadCert {
		t.Errorf("%+v", e)
	}
}

// TestClientCertificate: mosquitto demands one; without it, and with a strange
// one, the refusal is named; a renewed one is used at the next connect, not the
// ticket of the old one; its end is reported.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	m, a := secure(t, "require_certificate true")
	stranger := newAuthority(t, "stranger")
	expectOwn := func(name string, c TLS) {
		t.Helper()
		r := start(t, newStore(t), func(o *Options) {
			o.Brokers = overTLS(m.addr)
			o.TLS = c
		})
		if e, _ := find[Refused](r, 0, nil); e.Why != WhyOwnCert {
			t.Errorf("%s: %s: %v", name, e.Why, e.Err)
		}
		r.stop()
	}
	expectOwn("none", TLS{CAFile: a.file})
	c, k := stranger.issue("device", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	expectOwn("of a strange authority", TLS{CAFile: a.file, CertFile: c, KeyFile: k})

	p := newProxy(t, m.addr)
	cert, key := a.issue("device", time.Now().Add(-time.Hour), time.Now().Add(20*24*time.Hour+time.Hour))
	s := newStore(t)
	r := start(t, s, func(o *Options) {
		o.Brokers = overTLS(p.addr)
		o.TLS = TLS{CAFile: a.file, CertFile: cert, KeyFile: key}
	})
	warn, _ := find[CertExpiring](r, 0, nil)
	if warn.DaysLeft != 20 {
		t.Errorf("%+v", warn)
	}
	_, at := find[Connected](r, 0, nil)
	p.cut()
	e, at := find[Connected](r, at, nil)
	if !e.Resumed {
		t.Error("not resumed with the same certificate")
	}
	a.issue("device", time.Now().Add(-time.Hour), time.Now().Add(300*24*time.Hour)) // the same files
	p.cut()
	if e, _ = find[Connected](r, at, nil); e.Resumed {
		t.Error("the ticket of the old certificate was used with the new one")
	}
	if e, _ := find[CertRenewed](r, 0, nil); time.Until(e.NotAfter) < 299*24*time.Hour {
		t.Errorf("%+v", e)
	}
	if n := r.count(func(e Event) bool { _, ok := e.(CertExpiring); return ok }); n != 1 {
		t.Errorf("warned %d times in a day", n)
	}
}

// TestTLS12Only: an old broker is refused with a hint, and taken where allowed.
func TestTLS12Only(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "ca")
	c, k := a.issue("broker", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	pair, err := tls.LoadX509KeyPair(c, k)
	if err != nil {
		t.Fatal(err)
	}
	addr := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12}, func(c net.Conn) {
		for {
			p, err := packets.ReadPacket(c)
			if err != nil {
				return
			}
			switch p := p.(type) {
			case *packets.ConnectPacket:
				c.Write(connackOK)
			case *packets.PublishPacket:
				c.Write(puback(p.MessageID))
			}
		}
	})
	r := start(t, newStore(t), func(o *Options) {
		o.Brokers = overTLS(addr)
		o.TLS = TLS{CAFile: a.file}
	})
	if e, _ := find[Refused](r, 0, nil); e.Why != WhyTLS || !strings.Contains(e.Hint, "1.3") {
		t.Errorf("%+v", e)
	}
	r.stop()
	r = start(t, newStore(t), func(o *Options) {
		o.Brokers = overTLS(addr)
		o.TLS = TLS{CAFile: a.file, AllowTLS12: true}
	})
	find[Connected](r, 0, nil)
}

// TestSessionCacheIsBounded: brokers that come and go do not fill it.
func TestSessionCacheIsBounded(t *testing.T) {
	c := newSessionCache("")
	for i := range 100 {
		state, err := tls.NewResumptionState([]byte("t"), &tls.SessionState{})
		if err != nil {
			t.Fatal(err)
		}
		c.Put(fmt.Sprint(i), state)
	}
	if len(c.sessions) > maxSessions {
		t.Errorf("%d sessions", len(c.sessions))
	}
	if _, ok := c.Get("99"); !ok {
		t.Error("the last one is not there")
	}
	c.Put("99", nil)
	if _, ok := c.Get("99"); ok {
		t.Error("still there after it was dropped")
	}
}

// TestAClockOf1970: a board without a clock reaches its broker: chain and name are
// verified, dates cannot be. The certificate's date is told as a lower bound and
// kept, so that the next start needs one handshake.
func TestAClockOf1970(t *testing.T) {
	t.Parallel()
	m, a := secure(t, "")
	p := newProxy(t, m.addr)
	epoch := func() instant.Instant {
		return instant.Instant{Boot: "test", Mono: time.Since(started), Wall: time.Unix(60, 0).Add(time.Since(started))}
	}
	var kept State
	for run, want := range []int64{2, 1} {
		before := p.fresh.Load()
		r := start(t, newStore(t), func(o *Options) {
			o.Brokers, o.Now, o.State = overTLS(p.addr), epoch, kept
			o.TLS = TLS{CAFile: a.file}
		})
		find[Connected](r, 0, nil)
		if e, _ := find[NotBefore](r, 0, nil); time.Since(e.Time) < 59*time.Minute || time.Since(e.Time) > 61*time.Minute {
			t.Errorf("run %d: the certificate began an hour ago, not %s", run, e.Time)
		}
		if n := p.fresh.Load() - before; n != want {
			t.Errorf("run %d: %d connections, want %d", run, n, want)
		}
		r.stop()
		r.mu.Lock()
		for _, e := range r.events {
			if s, ok := e.(StateChanged); ok {
				kept = s.State
			}
		}
		r.mu.Unlock()
	}

	for _, c := range []struct {
		name   string
		change func(*Options)
		why    Why
	}{
		{"another authority is refused whatever the clock", func(o *Options) { o.Now, o.TLS.CAFile = epoch, newAuthority(t, "another").file }, WhyBadCert},
		{"another name too", func(o *Options) { o.Now, o.TLS.ServerName = epoch, "other.example" }, WhyBadCert},
		{"another key too", func(o *Options) {
			o.Now, o.TLS.Pins = epoch, []string{base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))}
		}, WhyBadCert},
		{"a clock that somebody vouches for counts", func(o *Options) {
			o.Now = func() instant.Instant { e := epoch(); e.Trusted = true; return e }
		}, WhyCertNotYetValid},
		{"a bound of the future does not lock us out", func(o *Options) {
			o.Now, o.State.CertDate = epoch, time.Now().Add(10*365*24*time.Hour)
		}, ""},
	} {
		r := start(t, newStore(t), func(o *Options) {
			o.Brokers, o.TLS = overTLS(m.addr), TLS{CAFile: a.file}
			c.change(o)
		})
		if c.why == "" {
			find[Connected](r, 0, nil)
		} else {
			r.until(c.name, func() bool {
				return r.count(func(e Event) bool {
					switch e := e.(type) {
					case Refused:
						return e.Why == c.why
					case Unreachable:
						return e.Why == c.why
					}
					return false
				}) > 0
			})
			if r.count(func(e Event) bool { _, ok := e.(Connected); return ok }) > 0 {
				t.Errorf("%s: it connected", c.name)
			}
		}
		r.stop()
	}
}
