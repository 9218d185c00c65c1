//go:build amd64 || arm64

package uplink

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// tpmHandle is where the tests keep their key.
const tpmHandle uint32 = 0x81000001

// swTPM starts a software TPM with an ECDSA P-256 key at tpmHandle, made by
// tpm2-tools as an installer would, and gives its address and the public key.
func swTPM(t *testing.T) (open func() (io.ReadWriteCloser, error), pub *ecdsa.PublicKey) {
	t.Helper()
	for _, tool := range []string{"swtpm", "tpm2_createprimary", "tpm2_evictcontrol", "tpm2_readpublic"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIP: %s not installed: apt-get install swtpm tpm2-tools", tool)
		}
	}
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(freeAddr(t))
	var control int
	if _, err := fmt.Sscan(port, &control); err != nil {
		t.Fatal(err)
	}
	cmd := mortal("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--flags", "not-need-init,startup-clear",
		"--server", "type=tcp,bindaddr=127.0.0.1,port="+port, "--ctrl", fmt.Sprintf("type=tcp,bindaddr=127.0.0.1,port=%d", control+1))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	open = func() (io.ReadWriteCloser, error) { return net.Dial("tcp", "127.0.0.1:"+port) }
	for end := time.Now().Add(patient); ; {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", control+1))
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal("swtpm did not start: ", err)
		}
		<-time.After(10 * time.Millisecond) // nothing tells when it listens
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port="+port)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	run("tpm2_createprimary", "-Q", "-C", "o", "-g", "sha256", "-G", "ecc256:ecdsa-sha256:null", "-c", "key.ctx",
		"-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign")
	run("tpm2_evictcontrol", "-Q", "-C", "o", "-c", "key.ctx", fmt.Sprintf("%#x", tpmHandle))
	run("tpm2_readpublic", "-Q", "-c", fmt.Sprintf("%#x", tpmHandle), "-f", "pem", "-o", "pub.pem")
	raw, err := os.ReadFile(filepath.Join(dir, "pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return open, key.(*ecdsa.PublicKey)
}

// certify makes a client certificate for a public key.
func (a *authority) certify(name string, pub *ecdsa.PublicKey) string {
	a.t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, pub, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	file := filepath.Join(a.t.TempDir(), name+".pem")
	writePEM(a.t, file, "CERTIFICATE", der)
	return file
}

// TestKeyInATPM: mosquitto demands a client certificate whose key is in a TPM and
// nowhere else. What is wrong with it is named before and in the handshake.
func TestKeyInATPM(t *testing.T) {
	open, pub := swTPM(t)
	m, a := secure(t, "require_certificate true")
	cert := a.certify("device", pub)
	run := func(tls TLS) *running {
		return start(t, newStore(t), func(o *Options) {
			o.Brokers = overTLS(m.addr)
			tls.CAFile = a.file
			o.TLS = tls
			o.Timing.RefusedMin, o.Timing.RefusedMax = time.Hour, time.Hour
		})
	}
	good := TLS{CertFile: cert, KeyHandle: tpmHandle, OpenTPM: open}
	r := run(good)
	r.store.alert("sim_absent")
	if e, _ := find[Connected](r, 0, nil); !e.TLS || e.Resumed {
		t.Errorf("%+v", e)
	}
	r.empty()
	r.stop()

	rsaLike, _ := a.issue("other", time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour))
	for _, x := range []struct {
		name string
		tls  TLS
		says string
	}{
		{"no key at the handle", TLS{CertFile: cert, KeyHandle: tpmHandle + 1, OpenTPM: open}, "tpm key 0x81000002: refused: TPM_RC_HANDLE"},
		{"another key's certificate", TLS{CertFile: rsaLike, KeyHandle: tpmHandle, OpenTPM: open}, "another key than the certificate's"},
		{"no TPM", TLS{CertFile: cert, KeyHandle: tpmHandle, OpenTPM: func() (io.ReadWriteCloser, error) { return nil, os.ErrNotExist }}, "does not exist"},
	} {
		r := run(x.tls)
		if e, _ := find[Refused](r, 0, nil); e.Why != WhyOwnCert || !strings.Contains(e.Err.Error(), x.says) {
			t.Errorf("%s: %s: %v, want %q", x.name, e.Why, e.Err, x.says)
		}
		r.stop()
	}
}

// answering is a TPM that knows a public key, and says the same to whatever else it is
// asked, as often as it has something to say.
type answering struct {
	public []byte // the answer to TPM2_ReadPublic
	say    [][]byte
}

func (a *answering) Write(b []byte) (int, error) {
	if len(b) >= 10 && binary.BigEndian.Uint32(b[6:]) == uint32(tpm2.TPMCCReadPublic) && a.public != nil {
		a.say = append([][]byte{a.public}, a.say...)
	}
	return len(b), nil
}
func (a *answering) Close() error { return nil }
func (a *answering) Read(b []byte) (int, error) {
	if len(a.say) == 0 {
		return 0, io.EOF
	}
	n := copy(b, a.say[0])
	if a.say[0] = a.say[0][n:]; len(a.say[0]) == 0 {
		a.say = a.say[1:]
	}
	return n, nil
}

// tpmPublic is the answer to TPM2_ReadPublic of a key for ECDSA on P-256.
func tpmPublic() []byte {
	body := tpm2.Marshal(tpm2.New2B(tpm2.ECCSRKTemplate))
	body = append(body, tpm2.Marshal(tpm2.TPM2BName{Buffer: []byte("name")})...)
	body = append(body, tpm2.Marshal(tpm2.TPM2BName{Buffer: []byte("qualified name")})...)
	out := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, uint32(10+len(body)))
	return append(binary.BigEndian.AppendUint32(out, 0), body...)
}

// tpmSays is an answer with a code and a body.
func tpmSays(code uint32, body ...byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte{0x80, 0x02}, uint32(10+len(body)))
	return append(binary.BigEndian.AppendUint32(out, code), body...)
}

// TestTPMAnswers: a busy TPM is asked again, and one that talks nonsense is named.
func TestTPMAnswers(t *testing.T) {
	key := newKey(t)
	digest := sha256.Sum256([]byte("handshake"))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	body := []byte{0, 0, 0, 72, 0, 0x18, 0, 0x0b}
	for _, n := range []*big.Int{r, s} {
		body = append(append(body, 0, 32), n.FillBytes(make([]byte, 32))...)
	}
	good := tpmSays(0, append(body, 0, 0, 1, 0, 0)...)
	for _, x := range []struct {
		name string
		say  [][]byte
		want string
	}{
		{"signed", [][]byte{good}, ""},
		{"in two reads", [][]byte{good[:4], good[4:]}, ""},
		{"busy, testing itself, then signed", [][]byte{tpmSays(0x922), tpmSays(0x90a), good}, ""},
		{"silent", nil, "EOF"},
		{"busy for ever", bytesTimes(tpmSays(0x922), tpmTries), "TPM_RC_RETRY"},
		{"wrong password", [][]byte{tpmSays(0x98e)}, "empty password"},
		{"an RSA signature", [][]byte{tpmSays(0, 0, 0, 0, 8, 0, 0x14, 0, 0x0b, 0, 2, 1, 2, 0, 0, 1, 0, 0)}, "no ECDSA signature"},
		{"cut short", [][]byte{tpmSays(0, body[:20]...)}, "more bytes of response"},
		{"without s", [][]byte{tpmSays(0, body[:42]...)}, "more bytes of response"},
		{"too long", [][]byte{append([]byte{0x80, 2, 0, 1, 0, 0, 0, 0, 0, 0}, make([]byte, 8000)...)}, "longer"},
		{"a signature of something else", [][]byte{tpmSays(0, append(append([]byte{}, body[:75]...), ^body[75], 0, 0, 1, 0, 0)...)}, "another key"},
	} {
		t.Run(x.name, func(t *testing.T) {
			dev := &answering{tpmPublic(), x.say}
			k := &tpmKey{handle: tpmHandle, pub: &key.PublicKey, open: func() (io.ReadWriteCloser, error) { return dev, nil }}
			sig, err := k.Sign(nil, digest[:], nil)
			if x.want == "" && (err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig)) {
				t.Errorf("%v", err)
			}
			if x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want) || !errors.Is(err, k.failed)) {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
}

func bytesTimes(b []byte, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = bytes.Clone(b)
	}
	return out
}

// FuzzTPMAnswer: whatever a TPM answers, reading it ends in bounds, and only a
// signature of the certificate's key is taken.
func FuzzTPMAnswer(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	digest := sha256.Sum256([]byte("handshake"))
	f.Add(tpmPublic(), tpmSays(0, 0, 0, 0, 72, 0, 0x18, 0, 0x0b, 0, 1, 7, 0, 1, 9))
	f.Add(tpmPublic(), []byte{})
	f.Add([]byte{}, tpmSays(0x98e))
	f.Fuzz(func(t *testing.T, public, said []byte) {
		dev := &answering{public, [][]byte{said}}
		k := &tpmKey{handle: tpmHandle, pub: &key.PublicKey, open: func() (io.ReadWriteCloser, error) { return dev, nil }}
		if _, err := k.Sign(nil, digest[:], nil); err == nil {
			t.Errorf("%x, %x: signed", public, said)
		}
	})
}
