//go:build amd64 || arm64

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

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
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
	for try := 1; ; try++ {
		sig, err := k.ask(tpmLine{dev}, digest)
		if err == nil || !tpmBusy(err) || try == tpmTries {
			return sig, tpmError(err)
		}
		time.Sleep(tpmPause)
	}
}

// ask has the TPM sign once.
func (k *tpmKey) ask(t transport.TPM, digest []byte) ([]byte, error) {
	// The name binds an authorisation to the key; a password does without, but the
	// library wants one.
	pub, err := tpm2.ReadPublic{ObjectHandle: tpm2.TPMHandle(k.handle)}.Execute(t)
	if err != nil {
		return nil, err
	}
	rsp, err := tpm2.Sign{
		KeyHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(k.handle), Name: pub.Name, Auth: tpm2.PasswordAuth(nil)},
		Digest:    tpm2.TPM2BDigest{Buffer: digest},
		InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA,
			Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})},
		// No ticket that the TPM made the digest itself: the key is not restricted.
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
	}.Execute(t)
	if err != nil {
		return nil, err
	}
	ec, err := rsp.Signature.Signature.ECDSA()
	if err != nil {
		return nil, errors.New("its answer holds no ECDSA signature")
	}
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(ec.SignatureR.Buffer), new(big.Int).SetBytes(ec.SignatureS.Buffer)})
}

// tpmBusy reports whether the TPM wants to be asked again.
func tpmBusy(err error) bool {
	return errors.Is(err, tpm2.TPMRCRetry) || errors.Is(err, tpm2.TPMRCYielded) || errors.Is(err, tpm2.TPMRCTesting)
}

// tpmError adds to a refusal what the key must be.
func tpmError(err error) error {
	var rc tpm2.TPMRC
	if errors.As(err, &rc) {
		return fmt.Errorf("refused: %w; it must be an ECDSA P-256 signing key with an empty password, kept at this handle", err)
	}
	return err
}

// tpmLine carries commands to a TPM.
type tpmLine struct{ dev io.ReadWriter }

// Send implements transport.TPM. The kernel gives the whole answer at once, a socket
// may not.
func (l tpmLine) Send(cmd []byte) ([]byte, error) {
	if _, err := l.dev.Write(cmd); err != nil {
		return nil, err
	}
	buf, n := make([]byte, tpmMax), 0
	for n < 10 || n < int(binary.BigEndian.Uint32(buf[2:])) {
		if n == len(buf) {
			return nil, errors.New("its answer is longer than any that was asked for")
		}
		m, err := l.dev.Read(buf[n:])
		if n += m; err != nil {
			return nil, err
		}
	}
	return buf[:n], nil
}
