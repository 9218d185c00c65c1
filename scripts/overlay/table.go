package main

// A cut takes one thing out of the binary, all of its edits or none. Its marker
// is the start of a name that the binary must not hold afterwards: the names of
// functions stay in a stripped binary, for stack traces.
type cut struct {
	name   string
	why    string
	marker string
	edits  []edit
	stub   map[string]string // a package and the file of _stubs that stands for it
}

// An edit replaces, in one file below GOROOT/src, every old by new. (The files of
// modules cannot be replaced this way: the go command refuses it.)
type edit struct{ file, old, new string }

// returns makes the function with that first line return at once; the compiler
// then drops the rest of it and what it leads to.
func returns(file, line, result string) edit {
	return edit{file, line + " {\n", line + " {\n\treturn " + result + "\n"}
}

const (
	fips   = "crypto/internal/fips140/"
	nistec = fips + "nistec/"
)

// cuts is the whole table. Bytes are those of the ARMv7 binary.
var cuts = []cut{
	{
		name:   "http proxies",
		why:    "the agent dials by itself; the default transport only names them",
		marker: "net/http/httpproxy.(*",
		edits: []edit{returns("net/http/transport.go",
			"func ProxyFromEnvironment(req *Request) (*url.URL, error)", "nil, nil")},
	},
	{
		name:   "host names beyond ASCII",
		why:    "tables of 0.2 MB; brokers and probes are named in ASCII, and net/http sends another name as it is",
		marker: "net/idna.(*Profile)",
		stub:   map[string]string{"vendor/golang.org/x/net/idna": "idna.go"},
	},
	{
		name:   `\p{Greek} in regular expressions`,
		why:    "tables of 75 kB; a pattern that wants one is refused with an error, the rest is as ever",
		marker: "unicode.map.init",
		edits: []edit{returns("regexp/syntax/parse.go",
			"func unicodeTable(name string) (tab, fold *unicode.RangeTable, sign int)", "nil, nil, 0")},
	},
	{
		name:   "P-224",
		why:    "no TLS knows it and no authority signs with it; such a certificate is refused as an unsupported curve",
		marker: "nistec.(*P224Point)",
		edits: []edit{
			{fips + "ecdsa/ecdsa.go", "func P224() *Curve[*nistec.P224Point] { return _P224() }\n", ""},
			{fips + "ecdsa/ecdsa.go", "var _P224 = sync.OnceValue(func() *Curve[*nistec.P224Point] {\n\tc := &Curve[*nistec.P224Point]{\n" +
				"\t\tcurve:    p224,\n\t\tnewPoint: nistec.NewP224Point,\n\t}\n\tprecomputeParams(c, p224Order)\n\treturn c\n})\n", ""},
			{"crypto/elliptic/elliptic.go", "\tinitP224()\n", ""},
			{"crypto/elliptic/params.go", "[]Curve{p224, p256, ", "[]Curve{p256, "},
			{"crypto/x509/x509.go", "\tcase oid.Equal(oidNamedCurveP224):\n\t\treturn elliptic.P224()\n", ""},
			{"crypto/x509/x509.go", "\tcase elliptic.P224():\n\t\treturn oidNamedCurveP224, true\n", ""},
			{"crypto/x509/x509.go", "case elliptic.P224(), elliptic.P256():", "case elliptic.P256():"},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224():\n\t\treturn parseUncompressedPublicKey(ecdsa.P224(), curve, data)\n", ""},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224():\n\t\treturn publicKeyBytes(ecdsa.P224(), pub)\n", ""},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224():\n\t\treturn parseRawPrivateKey(ecdsa.P224(), nistec.NewP224Point, curve, data)\n", ""},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224():\n\t\treturn privateKeyBytes(ecdsa.P224(), priv)\n", ""},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224().Params():\n\t\treturn generateFIPS(c, ecdsa.P224(), r)\n", ""},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224().Params():\n\t\treturn signFIPS(ecdsa.P224(), priv, r, hash)\n", ""},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224().Params():\n\t\treturn signFIPSDeterministic(ecdsa.P224(), h, priv, hash)\n", ""},
			{"crypto/ecdsa/ecdsa.go", "\tcase elliptic.P224().Params():\n\t\treturn verifyFIPS(ecdsa.P224(), pub, hash, sig)\n", ""},
		},
	},
	{
		name:   "encrypted client hello",
		why:    "no broker of a fleet asks for it, and it brings the next one in",
		marker: "crypto/hpke.(*hybridKEM)",
		stub:   map[string]string{"crypto/hpke": "hpke.go"},
	},
	{
		name:   "ML-KEM",
		why:    "package uplink offers X25519 and P-256 only: the hybrid costs 1.2 kB each way at every connection",
		marker: "fips140/mlkem.kemDecaps",
		stub:   map[string]string{"crypto/mlkem": "mlkem.go"},
	},
	{
		name:   "table of multiples of P-256's generator",
		why:    "88 kB; without it a key of P-256 and half of a check take as long as any other multiplication",
		marker: "nistec.(*p256AffineTable)",
		edits: []edit{
			returns(nistec+"p256.go", "func init()", ""),
			returns(nistec+"p256.go", "func (p *P256Point) ScalarBaseMult(scalar []byte) (*P256Point, error)",
				"p.ScalarMult(NewP256Point().SetGenerator(), scalar)"),
			returns(nistec+"p256_asm.go", "func init()", ""),
			returns(nistec+"p256_asm.go", "func (r *P256Point) ScalarBaseMult(scalar []byte) (*P256Point, error)",
				"r.ScalarMult(NewP256Point().SetGenerator(), scalar)"),
		},
	},
	{
		name:   "FIPS mode",
		why:    "self-tests, a generator of random bytes and 33 MB of address space that only GODEBUG=fips140=on uses; that is refused at the start",
		marker: "fips140/drbg.NewCounter",
		edits: append(selfTests("rsa", "ecdsa", "ecdh", "ed25519"),
			returns(fips+"fips140.go", "func Supported() error", `errors.New("FIPS 140-3 mode is not in this build")`),
			returns(fips+"aes/cast.go", "func init()", ""),
			returns(fips+"hkdf/cast.go", "func init()", ""),
			returns(fips+"hmac/cast.go", "func init()", ""),
			returns(fips+"sha256/cast.go", "func init()", ""),
			returns(fips+"sha3/cast.go", "func init()", ""),
			returns(fips+"sha512/cast.go", "func init()", ""),
			returns(fips+"tls12/cast.go", "func init()", ""),
			returns(fips+"tls13/cast.go", "func init()", ""),
			returns(fips+"drbg/cast.go", "func init()", ""),
			edit{fips + "drbg/rand.go", "\tif !fips140.Enabled {\n\t\tsysrand.Read(b)\n\t\treturn\n\t}\n", "\tsysrand.Read(b)\n\treturn\n"},
			edit{fips + "drbg/rand.go", "return NewCounter(getEntropy())", "return (*Counter)(nil)"},
		),
	},
}

// selfTests takes out those that a package runs before its first use.
func selfTests(packages ...string) []edit {
	var edits []edit
	for _, p := range packages {
		const line = "var fipsSelfTest = sync.OnceFunc(func() {\n"
		edits = append(edits, edit{fips + p + "/cast.go", line, line + "\treturn\n"})
	}
	return edits
}

// packedFiles are the embedded files whose packages read them through
// packed.Text. The rest is read as it is: small, or seldom linked in.
var packedFiles = []string{
	"agent/carrier/sms.toml",
	"agent/diag/weights.toml",
	"agent/text/*.toml",
	"firmware-targets/*.toml",
	"modem/profile/*.toml",
	"modem/threegpp/causes.tsv",
}
