// Package mlkem stands for the post-quantum key exchange, which is not in the
// device's binary: whoever asks for it is told so.
package mlkem

import (
	"crypto"
	"errors"
)

var errAbsent = errors.New("mlkem: not in this build")

// The sizes that crypto/tls names (FIPS 203, table 3).
const (
	SharedKeySize            = 32
	SeedSize                 = 64
	CiphertextSize768        = 1088
	EncapsulationKeySize768  = 1184
	CiphertextSize1024       = 1568
	EncapsulationKeySize1024 = 1568
)

func NewDecapsulationKey768([]byte) (crypto.Decapsulator, error)  { return nil, errAbsent }
func NewDecapsulationKey1024([]byte) (crypto.Decapsulator, error) { return nil, errAbsent }
func NewEncapsulationKey768([]byte) (crypto.Encapsulator, error)  { return nil, errAbsent }
func NewEncapsulationKey1024([]byte) (crypto.Encapsulator, error) { return nil, errAbsent }
