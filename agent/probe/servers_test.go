package probe

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsAnswer makes the datagrams that answer one query; nil is silence.
type dnsAnswer func(query dnsmessage.Message) [][]byte

// dnsServer answers on 127.0.0.1 until the test ends; asked counts queries.
func dnsServer(t testing.TB, answer dnsAnswer) (netip.AddrPort, *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if err := q.Unpack(buf[:n]); err != nil {
				t.Errorf("the query does not parse: %v", err)
				continue
			}
			asked.Add(1)
			for _, b := range answer(q) {
				_, _ = conn.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), asked
}

// pack makes the answer to q with the given code and resources.
func pack(q dnsmessage.Message, code dnsmessage.RCode, answers ...dnsmessage.Resource) []byte {
	q.Header.Response = true
	q.Header.RCode = code
	q.Answers = answers
	b, err := q.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func resource(name string, ttl uint32, body dnsmessage.ResourceBody) dnsmessage.Resource {
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   body,
	}
}

func recordA(name string, ttl uint32, a string) dnsmessage.Resource {
	return resource(name, ttl, &dnsmessage.AResource{A: netip.MustParseAddr(a).As4()})
}

func one(b []byte) [][]byte { return [][]byte{b} }

// closedPort is a port of 127.0.0.1 on which nobody listens.
func closedPort(t testing.TB, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tcpServer serves each connection with f and joins all of it at the end.
func tcpServer(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// httpServer answers each request with text, and hands the request head out.
func httpServer(t testing.TB, text string) (addr string, requests chan string) {
	requests = make(chan string, 8)
	addr = tcpServer(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		var head strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
			if line == "\r\n" {
				break
			}
		}
		requests <- head.String()
		_, _ = c.Write([]byte(text))
	})
	return addr, requests
}

// authority is a self-made CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

var (
	certFrom  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	certUntil = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	certNow   = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
)

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: certFrom.AddDate(-1, 0, 0), NotAfter: certUntil.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return authority{cert, key, pool}
}

// issue makes a server certificate for names, valid certFrom to certUntil.
func (a authority) issue(t testing.TB, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: certFrom, NotAfter: certUntil, DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsServer shakes hands and waits for the client to leave.
func tlsServer(t testing.TB, cfg *tls.Config) string {
	return tcpServer(t, func(c net.Conn) {
		s := tls.Server(c, cfg)
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if s.Handshake() == nil {
			_, _ = s.Read(make([]byte, 1))
		}
	})
}
