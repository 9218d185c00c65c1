package scripts

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// provesTLS has the board's binary shake hands with mosquitto by TLS 1.3: with
// certificates of P-256, P-384 and RSA it connects, and without the authority, or with
// another name in the certificate, it refuses and sends nothing.
func provesTLS(t *testing.T, under []string, bin string) {
	mosquitto, err := exec.LookPath("mosquitto")
	if err != nil {
		t.Log("SKIPPED, NOT PROVED: mosquitto is missing, so no TLS handshake was made (Debian: apt-get install mosquitto)")
		return
	}

	dir, err := os.MkdirTemp("", "cellwarden-tls-") // mosquitto reads it as another user
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ca, stranger := newCA(t, dir, "ca"), newCA(t, dir, "stranger")
	rows := []struct {
		name, host, ca string
		key            func() (crypto.Signer, error)
		connects       bool
	}{
		{"p256", "localhost", ca.file, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, true},
		{"p384", "localhost", ca.file, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }, true},
		{"rsa", "localhost", ca.file, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }, true},
		{"wrong-authority", "localhost", stranger.file, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, false},
		{"wrong-name", "broker.example", ca.file, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, false},
	}
	conf := "allow_anonymous true\nper_listener_settings false\n"
	if os.Geteuid() == 0 {
		conf += "user root\n"
	}
	ports := make([]string, len(rows))
	for i, r := range rows {
		key, err := r.key()
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, ports[i], _ = net.SplitHostPort(l.Addr().String())
		defer l.Close() // a second close does no harm: until mosquitto starts nobody else gets the port
		cert, keyFile := ca.issue(t, dir, r.name, r.host, key)
		conf += fmt.Sprintf("listener %s 127.0.0.1\ncertfile %s\nkeyfile %s\ntls_version tlsv1.3\n", ports[i], cert, keyFile)
		l.Close()
	}
	file := filepath.Join(dir, "m.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	broker := &output{}
	run := func(log *output, words ...string) {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stderr, cmd.Stdout = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	run(broker, mosquitto, "-v", "-c", file)
	within(t, "mosquitto to listen", broker, func() bool { return strings.Contains(broker.String(), "running") })
	agents := make([]*output, len(rows))
	for i, r := range rows {
		agents[i] = &output{}
		home := filepath.Join(dir, r.name+".d")
		config := filepath.Join(dir, r.name+".toml")
		text := fmt.Sprintf("[device]\nid = %q\n[modem]\nport = \"none\"\n[data]\ninterfaces = [\"none0\"]\n[probes]\ndaily_budget_bytes = 0\nntp = []\n"+
			"[uplink]\nbrokers = [\"mqtts://localhost:%s\"]\nca_file = %q\n[api]\nsocket = %q\nhttp = \"\"\n[store]\ndir = %q\n",
			r.name, ports[i], r.ca, filepath.Join(home, "s"), filepath.Join(home, "state"))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run(agents[i], append(under, bin, "run", "--config", config)...)
	}
	for i, r := range rows {
		if r.connects {
			within(t, r.name+" to connect", agents[i], func() bool { return strings.Contains(broker.String(), " as "+r.name+" (") })
			continue
		}
		within(t, r.name+" to be refused", agents[i], func() bool { return strings.Contains(agents[i].String(), "why=bad_cert") })
		if strings.Contains(broker.String(), " as "+r.name+" (") {
			t.Errorf("%s: connected all the same", r.name)
		}
	}
}

// output collects what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// within waits for what a process says; the bound only ends a test that would fail.
func within(t *testing.T, what string, log *output, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within two minutes:\n%s", what, log)
		}
	}
}

// authority issues certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newCA(t *testing.T, dir, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(dir, name+".pem")}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test " + name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keep(t, a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) issue(t *testing.T, dir, name, host string, key crypto.Signer) (cert, keyFile string) {
	t.Helper()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile = filepath.Join(dir, name+"-cert.pem"), filepath.Join(dir, name+"-key.pem")
	keep(t, cert, "CERTIFICATE", der)
	keep(t, keyFile, "PRIVATE KEY", secret)
	return cert, keyFile
}

func keep(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
