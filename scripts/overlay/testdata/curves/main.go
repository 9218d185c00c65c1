// Command curves prints what crypto/ecdsa and crypto/ecdh compute from fixed
// input. It is built as it is and through the overlay, and must say the same.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
)

// p224 is a public key made by openssl ecparam -name secp224r1 -genkey.
const p224 = `-----BEGIN PUBLIC KEY-----
ME4wEAYHKoZIzj0CAQYFK4EEACEDOgAEjwPQhPvkrZMZ8skbloWKNL+bnsJcGnTG
Am4MZE5y22hvpLdHY2DR9+KcWGu0jG102OfJ3u4sPQY=
-----END PUBLIC KEY-----`

func main() {
	curves := []struct {
		ecdsa elliptic.Curve
		ecdh  ecdh.Curve
	}{{elliptic.P256(), ecdh.P256()}, {elliptic.P384(), ecdh.P384()}, {elliptic.P521(), ecdh.P521()}}
	for _, c := range curves {
		params := c.ecdsa.Params()
		size := (params.N.BitLen() + 7) / 8
		other := must(c.ecdh.NewPrivateKey(scalar(size, 3, params.N)))
		// The ends of the range, where a carry that got lost would show, and some between.
		for seed := range 20 {
			d := scalar(size, seed, params.N)
			key := must(ecdsa.ParseRawPrivateKey(c.ecdsa, d))
			digest := sha512.Sum512(d)
			sig := must(key.Sign(nil, digest[:], crypto.SHA512))
			fmt.Printf("%s %d public %x signature %x shared %x\n", params.Name, seed,
				must(key.PublicKey.Bytes()), sig, must(must(c.ecdh.NewPrivateKey(d)).ECDH(other.PublicKey())))
			digestOK := ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig)
			digest[0] ^= 1
			fmt.Println("right", digestOK, "wrong", ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig))
		}
		key := must(ecdsa.GenerateKey(c.ecdsa, rand.Reader))
		digest := sha512.Sum512([]byte("random"))
		fmt.Println("random", ecdsa.VerifyASN1(&key.PublicKey, digest[:], must(ecdsa.SignASN1(rand.Reader, key, digest[:]))))
	}
	_, err := x509.ParsePKIXPublicKey(must(block(p224)))
	fmt.Println("P-224:", err)
}

// scalar is a number in [1, n-1]: 1, n-1, then multiples of a hash, reduced.
func scalar(size, seed int, n *big.Int) []byte {
	last := new(big.Int).Sub(n, big.NewInt(1))
	x := new(big.Int)
	switch seed {
	case 0:
		x.SetInt64(1)
	case 1:
		x.Set(last)
	default:
		h := sha512.Sum512([]byte{byte(seed)})
		x.SetBytes(bytes.Repeat(h[:], 2))
		x.Mod(x, last).Add(x, big.NewInt(1))
	}
	return x.FillBytes(make([]byte, size))
}

func block(text string) ([]byte, error) {
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		return nil, fmt.Errorf("no PEM")
	}
	return b.Bytes, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
