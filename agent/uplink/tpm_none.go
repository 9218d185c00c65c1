//go:build !amd64 && !arm64

package uplink

import (
	"crypto/tls"
	"errors"
)

// tpmKey stands for a key in a TPM. The 32-bit builds leave it out: few such boards
// have a TPM 2.0, and its protocol costs them a fiftieth of the binary.
type tpmKey struct{ failed error }

var errNoTPM = errors.New("the builds for amd64 and arm64 can use a key in a TPM, this one cannot: name a key file")

func (t TLS) tpmCert([]byte) (*tls.Certificate, error) { return nil, errNoTPM }
