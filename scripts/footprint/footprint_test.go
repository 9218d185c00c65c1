package main

import (
	"bytes"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestSymbolsFindTheirRow(t *testing.T) {
	for symbol, want := range map[string]string{
		"runtime.gcStart": "std runtime",
		"github.com/eclipse/paho%2emqtt%2egolang.(*client).resume":            "paho.mqtt.golang",
		"github.com/eclipse/paho.mqtt.golang/packets.ReadPacket":              "paho.mqtt.golang",
		"slices.pdqsortCmpFunc[go.shape.struct { cellwarden/agent/meter.X }]": "std slices, sort, maps",
		"type:.eq.cellwarden/agent/diag.Port":                                 "ours: agent/diag, carrier",
		"type:.eq.[2]interface {}":                                            shared,
		"go:string.*":                                                         shared,
		"crypto/x509.parseCertificate":                                        "std TLS: certificates, keys",
		"crypto/tls.(*Conn).Handshake":                                        "std TLS: protocol, ciphers, hashes",
		"crypto/internal/fips140/nistec/fiat.p256Mul":                         "std TLS: elliptic curves",
		"net/http.(*conn).serve":                                              "std net/http",
		"vendor/golang.org/x/net/dns/dnsmessage.(*Parser).Start":              "std net",
		"main.main":                "ours: the rest",
		"cellwarden/modem/at.New":  "ours: modem",
		"example.org/new/module.F": "example.org/new/module",
	} {
		if got := group(packageOf(symbol)); got != want {
			t.Errorf("%s: %q, want %q", symbol, got, want)
		}
	}
}

// Every module that is linked in has a row with a purpose: whoever adds one says
// what it costs and what it is for.
func TestEveryModuleHasAPurpose(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{$.ImportPath}}{{end}}", "./agent/cmd/cellwarden")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		module, pkg, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		seen[module] = true
		if row := group(pkg); row == pkg {
			t.Errorf("%s has no row in uses.go", pkg)
		}
	}
	if len(seen) < 5 {
		t.Fatalf("only %v linked in: the list is broken", seen)
	}
}

// The parts of the table add up to what is loaded, and nothing big is unnamed.
func TestTableAddsUp(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds the device's binary")
	}
	t.Chdir("../..")
	var out bytes.Buffer
	if err := run(&out, true); err != nil {
		t.Fatal(err)
	}
	number := regexp.MustCompile(`^(.{34}) +(\d+)`)
	var sum, total int
	rows := map[string]int{}
	for line := range strings.Lines(out.String()) {
		m := number.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if name := strings.TrimSpace(m[1]); name == "all that is loaded" {
			total = n
		} else {
			sum += n
			rows[name] = n
		}
	}
	if sum != total || total < 4<<20 {
		t.Errorf("the rows make %d, the binary has %d:\n%s", sum, total, &out)
	}
	if rows["std runtime"] < 500_000 || rows["paho.mqtt.golang"] < 50_000 || rows[shared] > total/5 {
		t.Errorf("not what Go and paho are known to take:\n%s", &out)
	}
}
