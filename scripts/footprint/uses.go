package main

// A use is one row of the table: packages, and what the agent has them for. The
// first row that names a package or a folder above it counts.
type use struct {
	name     string
	why      string
	packages []string
}

var uses = []use{
	{"paho.mqtt.golang", "MQTT: session, QoS 1, packets", []string{"github.com/eclipse/paho.mqtt.golang"}},
	{"rsc.io/qr", "QR of the verdict and of numbers, on the page", []string{"rsc.io/qr"}},
	{"gorilla/websocket", "paho can speak MQTT over it; not used", []string{"github.com/gorilla/websocket"}},
	{"golang.org/x/net: proxies", "paho names them; not used", []string{"golang.org/x/net/proxy", "golang.org/x/net/internal/socks"}},
	{"golang.org/x/net: ip", "beevik/ntp names it, for a TTL", []string{"golang.org/x/net/ipv4", "golang.org/x/net/bpf", "golang.org/x/net/internal"}},
	{"beevik/ntp", "the time, and whether a server gives it", []string{"github.com/beevik/ntp"}},
	{"go-runewidth", "columns of Chinese text on a terminal", []string{"github.com/mattn/go-runewidth", "github.com/clipperhouse/uax29"}},
	{"google/go-tpm", "the uplink's key in a TPM", []string{"github.com/google/go-tpm"}},
	{"golang.org/x/net: dnsmessage", "DNS probes, one server and one question at a time", []string{"golang.org/x/net/dns"}},
	{"golang.org/x/net: netutil", "bounds the connections to the local API", []string{"golang.org/x/net/netutil"}},
	{"pkg/errors", "warthog618 wraps with it", []string{"github.com/pkg/errors"}},
	{"BurntSushi/toml", "config, profiles, boards, weights, words", []string{"github.com/BurntSushi/toml"}},
	{"warthog618/modem", "AT dialogue", []string{"github.com/warthog618/modem"}},
	{"warthog618/sms", "SMS in PDU mode", []string{"github.com/warthog618/sms"}},
	{"bug.st/serial", "the serial port", []string{"go.bug.st/serial"}},
	{"golang.org/x/sys", "system calls", []string{"golang.org/x/sys"}},
	{"golang.org/x/sync", "the goroutines' group", []string{"golang.org/x/sync"}},

	{"ours: modem", "parsers, profiles, AT line discipline", []string{"cellwarden/modem"}},
	{"ours: agent/diag, carrier", "from what is known to what is wrong", []string{"cellwarden/agent/diag", "cellwarden/agent/carrier"}},
	{"ours: core, meter, record, explain", "judgement, counting, recordings", []string{"cellwarden/agent/core", "cellwarden/agent/meter",
		"cellwarden/agent/instant", "cellwarden/agent/record", "cellwarden/agent/explain"}},
	{"ours: outbox, uplink, protocol", "nothing accepted is lost", []string{"cellwarden/agent/outbox", "cellwarden/agent/uplink", "cellwarden/protocol"}},
	{"ours: update", "updates over the air", []string{"cellwarden/agent/update"}},
	{"ours: cli, web, localapi, text", "for people and machine software", []string{"cellwarden/agent/cli", "cellwarden/agent/web",
		"cellwarden/agent/localapi", "cellwarden/agent/text"}},
	{"ours: the rest", "wiring, config, probes, boards", []string{"cellwarden", "main"}},

	{"std TLS: certificates, keys", "X.509, RSA, PEM, big numbers", []string{"crypto/x509", "crypto/rsa", "crypto/dsa", "encoding/asn1",
		"encoding/pem", "math/big", "vendor/golang.org/x/crypto/cryptobyte", "crypto/internal/fips140/rsa", "crypto/internal/fips140/bigmod"}},
	{"std TLS: elliptic curves", "P-256, P-384, P-521, X25519, Ed25519", []string{"crypto/ecdsa", "crypto/ecdh", "crypto/elliptic", "crypto/ed25519",
		"crypto/internal/fips140/nistec", "crypto/internal/fips140/ecdsa", "crypto/internal/fips140/ecdh", "crypto/internal/fips140/ed25519",
		"crypto/internal/fips140/edwards25519"}},
	{"std TLS: protocol, ciphers, hashes", "the session to the broker", []string{"crypto", "vendor/golang.org/x/crypto"}},
	{"std net/http", "local API and page", []string{"net/http", "net/textproto", "mime", "vendor/golang.org/x/net/http", "vendor/golang.org/x/net/idna",
		"vendor/golang.org/x/text"}},
	{"std net", "sockets and names", []string{"net", "vendor/golang.org/x/net/dns", "internal/poll"}},
	{"std encoding/json", "messages, state, API", []string{"encoding/json"}},
	{"std compress", "batches, updates", []string{"compress"}},
	{"std regexp", "modem profiles, config and boards", []string{"regexp"}},
	{"std reflect, fmt", "what toml and json stand on", []string{"reflect", "fmt", "internal/fmtsort", "internal/reflectlite"}},
	{"std runtime", "goroutines, memory, maps", []string{"runtime", "internal/runtime", "internal/abi", "internal/cpu", "internal/bytealg", "sync", "internal/sync"}},
	{"std slices, sort, maps", "one copy for each kind of element", []string{"slices", "sort", "maps"}},
	{"std os, time, syscall, io", "files, clocks, streams", []string{"os", "time", "syscall", "io", "bufio", "path", "internal/syscall", "embed", "context"}},
	{"std strings, strconv, unicode", "text", []string{"strings", "strconv", "internal/strconv", "unicode", "bytes", "errors", "internal/stringslite"}},
	{"std log", "the log", []string{"log"}},
}
