// Package hpke stands for encrypted client hello's sealing, which is not in the
// device's binary: whoever configures it is told so.
package hpke

import "errors"

var errAbsent = errors.New("hpke: not in this build")

// What crypto/tls names.
type (
	KDF        interface{ ID() uint16 }
	AEAD       interface{ ID() uint16 }
	PublicKey  interface{ KEM() KEM }
	PrivateKey interface{ KEM() KEM }
	KEM        interface {
		NewPublicKey([]byte) (PublicKey, error)
		NewPrivateKey([]byte) (PrivateKey, error)
	}
	Sender    struct{}
	Recipient struct{}
)

func NewKEM(uint16) (KEM, error)   { return nil, errAbsent }
func NewKDF(uint16) (KDF, error)   { return nil, errAbsent }
func NewAEAD(uint16) (AEAD, error) { return nil, errAbsent }

func NewSender(PublicKey, KDF, AEAD, []byte) ([]byte, *Sender, error) { return nil, nil, errAbsent }
func (*Sender) Seal(aad, plaintext []byte) ([]byte, error)            { return nil, errAbsent }

func NewRecipient([]byte, PrivateKey, KDF, AEAD, []byte) (*Recipient, error) { return nil, errAbsent }
func (*Recipient) Open(aad, ciphertext []byte) ([]byte, error)               { return nil, errAbsent }
