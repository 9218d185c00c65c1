// Package probe asks the network small questions over the data interface and
// says how each one ended: DNS, TCP, HTTP, TLS, NTP and the broker's address.
//
// A probe is a function in a table. Each has a deadline, a byte estimate and
// exactly one result; nothing is retried beyond the one resend of a lost
// datagram. The package does not judge what a result means (package diag does),
// does not decide when to probe (package core does), and never sends ICMP: on
// some carriers ping survives a used-up quota while HTTP does not.
//
// All traffic is bound to the data interface, so that an Ethernet cable beside
// the modem cannot make a dead line look alive. IPv4 is tried first.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/wayout"
)

// The probes, as they stand in diag.ProbeResult.Probe.
const (
	DNS    = "dns"
	TCP    = "tcp"
	HTTP   = "http"
	TLS    = "tls"
	NTP    = "ntp"
	Broker = "broker"
)

// The targets, as they stand in diag.ProbeResult.Target.
const (
	Carrier    = "carrier"
	ThirdParty = "third_party"
	Own        = "own"
)

// The results, as they stand in diag.ProbeResult.Result.
const (
	OK              = "ok"
	Timeout         = "timeout"            // sent, and nothing usable came back in time
	Refused         = "refused"            // somebody answered, and said no
	Redirect        = "redirect"           // http: a portal answered instead of the page
	BadCert         = "bad_cert"           // tls: the name or issuer is not the expected one
	NXDomain        = "nxdomain"           // the name does not exist
	CertNotYetValid = "cert_not_yet_valid" // tls: all is right but the dates, so this board's clock is suspect
	// NotSent is a question that could not be asked: no interface, no address,
	// no CA bundle, a firewall of the board itself. It is no evidence at all.
	NotSent = "not_sent"
)

// Spec is one question.
type Spec struct {
	Probe  string // DNS, TCP, HTTP, TLS, NTP or Broker
	Target string // Carrier, ThirdParty or Own
	// Host is what is asked for: a name (dns), "host:port" (tcp, tls, ntp; 123
	// is the default there), a URL (http, broker).
	Host string
	// Server is asked by dns; the zero value means Env.Way.Servers.
	Server netip.AddrPort
	// Timeout bounds the whole probe, name resolution included; 0 means the
	// probe's own default. NB-IoT needs several times the default.
	Timeout time.Duration
}

// Env is where a probe runs. The zero value probes over any interface with the
// system's CAs and clock.
type Env struct {
	Way      wayout.Way             // out of this host; its Servers are the carrier's
	Now      func() time.Time       // wall clock, for certificates and ntp; nil is time.Now
	RootCAs  *x509.CertPool         // nil is the system's
	Sessions tls.ClientSessionCache // nil means a full handshake each time
}

func (e Env) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

// outcome is what a probe found out.
type outcome struct{ result, detail string }

// kind is one row of the table of probes.
type kind struct {
	run func(context.Context, Env, Spec) outcome
	// cost is the bytes on air, both directions, IP and transport headers
	// included, of an ordinary success. Figures of diagnosis.md §6.
	cost int
	// timeout is the upper time of diagnosis.md §6, made long enough for the
	// third SYN (sent after 1 s and 3 s) where TCP is used.
	timeout time.Duration
}

// Byte estimates of diagnosis.md §6. The netns test holds the measured figure
// of dns, tcp, http and ntp at or below them.
const (
	costDNS     = 200
	costTCP     = 240  // one address: SYN, SYN-ACK, ACK, RST
	costHTTP    = 1000 // HEAD and a 204
	costTLSFull = 5000 // a chain of two or three certificates; resumed about 1,900
	costNTP     = 200
)

var table = map[string]kind{
	DNS:    {run: probeDNS, cost: costDNS, timeout: 5 * time.Second},
	TCP:    {run: probeTCP, cost: costTCP, timeout: 6 * time.Second},
	HTTP:   {run: probeHTTP, cost: costHTTP, timeout: 8 * time.Second},
	TLS:    {run: probeTLS, cost: costTLSFull, timeout: 10 * time.Second},
	NTP:    {run: probeNTP, cost: costNTP, timeout: 4 * time.Second},
	Broker: {run: probeBroker, cost: costTLSFull, timeout: 10 * time.Second},
}

// Cost is about how many bytes the probe puts on the air, both directions; 0
// for an unknown probe. A TLS handshake counts as a full one, because the agent
// cannot know whether the server will take up the old session.
func Cost(s Spec) int {
	if s.Probe == Broker && !brokerTLS(s.Host) {
		return costTCP
	}
	return table[s.Probe].cost
}

// Run asks one question and always gives one result.
func Run(ctx context.Context, env Env, s Spec) diag.ProbeResult {
	r := diag.ProbeResult{Probe: s.Probe, Target: s.Target, Host: shownHost(s)}
	k, known := table[s.Probe]
	if !known {
		r.Result, r.Detail = NotSent, "no such probe"
		return r
	}
	limit := s.Timeout
	if limit <= 0 {
		limit = k.timeout
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	out := k.run(limited, env, s)
	if out.result != OK && errors.Is(ctx.Err(), context.Canceled) {
		out = outcome{NotSent, "stopped"} // a probe that was broken off says nothing
	}
	r.Result, r.Detail = out.result, out.detail
	if r.Result != NotSent {
		r.Millis = max(1, time.Since(start).Milliseconds()) // 0 would mean not known
	}
	return r
}
