package probe

import (
	"context"
	"net"
	"net/url"
)

// brokerPorts are the schemes that paho understands and their usual ports.
var brokerPorts = map[string]struct {
	port string
	tls  bool
}{
	"tcp": {"1883", false}, "mqtt": {"1883", false},
	"ssl": {"8883", true}, "tls": {"8883", true}, "mqtts": {"8883", true},
	"ws": {"80", false}, "wss": {"443", true},
}

func brokerTLS(host string) bool {
	u, err := url.Parse(host)
	return err == nil && brokerPorts[u.Scheme].tls
}

// probeBroker opens the broker's port, with the TLS handshake where the URL
// asks for it, and leaves. It sends no CONNECT: with the device's client id
// that would throw the living session out.
func probeBroker(ctx context.Context, e Env, s Spec) outcome {
	u, err := url.Parse(s.Host)
	if err != nil {
		return outcome{NotSent, "the broker's URL cannot be read"}
	}
	scheme, known := brokerPorts[u.Scheme]
	if !known || u.Hostname() == "" {
		return outcome{NotSent, "want a URL such as mqtts://host:8883"}
	}
	port := u.Port()
	if port == "" {
		port = scheme.port
	}
	s.Host = net.JoinHostPort(u.Hostname(), port)
	if scheme.tls {
		return probeTLS(ctx, e, s)
	}
	return probeTCP(ctx, e, s)
}

// shownHost is the host for people: a URL loses its user, path and query.
func shownHost(s Spec) string {
	if s.Probe != HTTP && s.Probe != Broker {
		return s.Host
	}
	u, err := url.Parse(s.Host)
	if err != nil {
		return ""
	}
	return u.Host
}
