//go:build amd64 || arm64

package uplink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// FuzzPEM: whatever lies in the files of authorities, certificate and key, they are read
// or refused with the file's name, and no secret of them is in the error.
func FuzzPEM(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "d"}, NotAfter: time.Unix(1<<31, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	f.Add(cert, private)
	f.Add(private, cert)
	f.Add(append(cert, cert...), []byte("-----BEGIN PRIVATE KEY-----\n"))
	f.Add([]byte{}, []byte{})
	f.Add(cert, []byte{})
	f.Fuzz(func(t *testing.T, chain, keyPEM []byte) {
		at := TLS{CertFile: "cert.pem", KeyHandle: tpmHandle}
		own, err := at.pair(chain, keyPEM)
		if len(keyPEM) == 0 { // it is in the TPM
			own, err = at.tpmCert(chain)
		}
		switch {
		case err == nil && len(own.Certificate) == 0:
			t.Error("a certificate without one")
		case err != nil && !strings.Contains(err.Error(), "cert.pem"):
			t.Errorf("no place in %v", err)
		case err != nil && len(keyPEM) > 40 && strings.Contains(err.Error(), string(keyPEM[27:40])):
			t.Errorf("the key is in %v", err)
		}
	})
}
