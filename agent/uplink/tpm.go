package uplink

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"time"
)

const (
	// tpmPatience is what a signature may take: cheap TPMs need 0.2 to 0.5 s, and
	// may first finish a self test.
	tpmPatience = 10 * time.Second
	// tpmTries and tpmPause: a TPM that is busy says so and wants to be asked again.
	tpmTries = 20
	tpmPause = 100 * time.Millisecond
	// tpmMax is the largest answer taken; a signature has about 100 bytes.
	tpmMax = 4096
)

// TPM2_Sign with a P-256 key and a SHA-256 digest, as the TPM 2.0 library
// specification (parts 2 and 3) lays it out, around the handle and the digest.
const (
	tpmSign = "\x80\x02\x00\x00\x00\x49\x00\x00\x01\x5d"               // with authorisation, 73 bytes in all, TPM2_Sign
	tpmAuth = "\x00\x00\x00\x09\x40\x00\x00\x09\x00\x00\x00\x00\x00" + // an empty password
		"\x00\x20" // and the digest's length
	tpmScheme = "\x00\x18\x00\x0b" + // ECDSA, SHA-256
		"\x80\x24\x40\x00\x00\x07\x00\x00" // no ticket that the TPM made the digest itself
	tpmECDSA = 0x0018
)

// Codes of an answer that wants to be asked for again.
const (
	tpmYielded = 0x908
	tpmTesting = 0x90a
	tpmRetry   = 0x922
)

// openTPM opens the board's TPM: through the kernel's resource manager (Linux
// 4.12), else alone.
func openTPM() (io.ReadWriteCloser, error) {
	f, err := os.OpenFile("/dev/tpmrm0", os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		f, err = os.OpenFile("/dev/tpm0", os.O_RDWR, 0)
	}
	return f, err
}

// tpmKey is an ECDSA P-256 key that lives in a TPM 2.0 and never leaves it. Its
// password is empty; what guards it is that it cannot be copied. It is asked once
// for each full TLS handshake.
type tpmKey struct {
	handle uint32
	pub    *ecdsa.PublicKey // of the certificate
	open   func() (io.ReadWriteCloser, error)
	failed error // of the last Sign: crypto/tls keeps only its text
}

// tpmCert is a certificate chain in PEM with its key in the TPM.
func (t TLS) tpmCert(chain []byte) (*tls.Certificate, error) {
	var cert tls.Certificate
	for {
		var block *pem.Block
		if block, chain = pem.Decode(chain); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			cert.Certificate = append(cert.Certificate, block.Bytes)
		}
	}
	if len(cert.Certificate) == 0 {
		return nil, fmt.Errorf("%s: no certificate in it", t.CertFile)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.CertFile, err)
	}
	pub, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve.Params().BitSize != 256 {
		return nil, fmt.Errorf("%s: its key is not ECDSA P-256, which a key in the TPM must be", t.CertFile)
	}
	open := t.OpenTPM
	if open == nil {
		open = openTPM
	}
	cert.PrivateKey = &tpmKey{handle: t.KeyHandle, pub: pub, open: open}
	return &cert, nil
}

// Public implements crypto.Signer.
func (k *tpmKey) Public() crypto.PublicKey { return k.pub }

// Sign implements crypto.Signer for a SHA-256 digest: TLS asks for no other of a
// P-256 key.
func (k *tpmKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	sig, err := k.sign(digest)
	if err == nil && !ecdsa.VerifyASN1(k.pub, digest, sig) {
		err = errors.New("it holds another key than the certificate's")
	}
	if err != nil {
		k.failed = fmt.Errorf("tpm key %#x: %w", k.handle, err)
	}
	return sig, k.failed
}

func (k *tpmKey) sign(digest []byte) ([]byte, error) {
	dev, err := k.open()
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	if d, ok := dev.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Now().Add(tpmPatience)) // old kernels cannot; they answer or fail themselves
	}
	cmd := append(binary.BigEndian.AppendUint32([]byte(tpmSign), k.handle), tpmAuth...)
	cmd = append(append(cmd, digest...), tpmScheme...)
	for try := 1; ; try++ {
		body, code, err := tpmExchange(dev, cmd)
		switch {
		case err != nil:
			return nil, err
		case code == 0:
			return tpmSignature(body)
		case code != tpmRetry && code != tpmYielded && code != tpmTesting || try == tpmTries:
			return nil, fmt.Errorf("refused with code %#x; it must be an ECDSA P-256 signing key with an empty password, kept at this handle", code)
		}
		time.Sleep(tpmPause)
	}
}

// tpmExchange sends one command and gives what follows the answer's head.
func tpmExchange(dev io.ReadWriter, cmd []byte) (body []byte, code uint32, err error) {
	if _, err := dev.Write(cmd); err != nil {
		return nil, 0, err
	}
	buf, n := make([]byte, tpmMax), 0
	for n < 10 || n < int(binary.BigEndian.Uint32(buf[2:])) {
		if n == len(buf) {
			return nil, 0, errors.New("its answer is longer than any that was asked for")
		}
		m, err := dev.Read(buf[n:]) // the kernel gives the whole answer at once
		if n += m; err != nil {
			return nil, 0, err
		}
	}
	return buf[10:n], binary.BigEndian.Uint32(buf[6:]), nil
}

// tpmSignature turns a TPMT_SIGNATURE of ECDSA, after the size of all parameters,
// into the form of X.509.
func tpmSignature(body []byte) ([]byte, error) {
	if len(body) < 8 || binary.BigEndian.Uint16(body[4:]) != tpmECDSA {
		return nil, errors.New("its answer holds no ECDSA signature")
	}
	body = body[8:]
	var sig struct{ R, S *big.Int }
	for _, to := range []**big.Int{&sig.R, &sig.S} {
		if len(body) < 2 || len(body)-2 < int(binary.BigEndian.Uint16(body)) {
			return nil, errors.New("its answer is cut short")
		}
		end := 2 + int(binary.BigEndian.Uint16(body))
		*to = new(big.Int).SetBytes(body[2:end])
		body = body[end:]
	}
	return asn1.Marshal(sig)
}
