package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// ticketWait is how long a finished handshake waits for the session ticket
	// that makes the next one cheap. A TLS 1.3 server sends it right after.
	ticketWait = 2 * time.Second
	// farFuture: a server whose certificate ran out so long ago would have been
	// noticed by everybody; it is this board's clock that is ahead.
	farFuture = 2 * 365 * 24 * time.Hour
)

// errCert carries the outcome of the certificate check out of the handshake.
type errCert struct{ outcome }

func (e errCert) Error() string { return e.result + ": " + e.detail }

// probeTLS shakes hands with "host:port" and sends nothing further.
func probeTLS(ctx context.Context, e Env, s Spec) outcome {
	host, port, err := splitHost(s.Host, 443)
	if err != nil {
		return judge(err)
	}
	return e.handshake(ctx, host, port)
}

func (e Env) handshake(ctx context.Context, host string, port uint16) outcome {
	roots := e.RootCAs
	if roots == nil {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil || roots.Equal(x509.NewCertPool()) {
			return outcome{NotSent, "this board has no CA certificates; set uplink.ca_file"}
		}
	}
	conn, note, failed := e.connect(ctx, "tcp", host, port)
	if failed != nil {
		return *failed
	}
	defer conn.Close()

	verified := false
	cfg := &tls.Config{
		ServerName: host,
		MinVersion: tls.VersionTLS12,
		// No hybrid share: it adds 1.2 kB to each handshake.
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		Time:             e.now,
		// The standard check runs in VerifyConnection, also for resumed sessions,
		// and no byte is sent after it. Ours must tell a wrong clock from a wrong
		// certificate, which the standard one reports as the same error.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if o := verify(cs.PeerCertificates, host, roots, e.now()); o.result != OK {
				return errCert{o}
			}
			verified = true
			return nil
		},
	}
	ticket := &ticketCache{ClientSessionCache: e.Sessions, raw: conn}
	if e.Sessions != nil {
		cfg.ClientSessionCache = ticket
	}
	client := tls.Client(conn, cfg)
	if err := client.HandshakeContext(ctx); err != nil {
		var cert errCert
		var alert tls.AlertError
		var oops *net.OpError // crypto/tls wraps an alert of the other side so
		switch {
		case errors.As(err, &cert):
			return cert.outcome
		case verified:
			// It is the expected server; it wants a client certificate (TLS 1.2).
			return outcome{OK, "wants a client certificate"}
		case errors.As(err, &alert), errors.As(err, &oops) && oops.Op == "remote error":
			return outcome{Refused, "TLS alert"}
		}
		if o := judge(err); o.result != NotSent || ctx.Err() != nil {
			return o
		}
		return outcome{Refused, "the answer is not TLS"}
	}
	detail := note
	if client.ConnectionState().DidResume {
		detail = join(detail, "resumed")
	} else if e.Sessions != nil {
		ticket.await(ctx, client)
	}
	return outcome{OK, detail}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// verify judges a chain by name, issuer and dates, in this order: a portal's
// certificate is a portal's also while the clock is wrong.
func verify(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) outcome {
	if len(chain) == 0 {
		return outcome{BadCert, "no certificate"}
	}
	leaf := chain[0]
	if err := leaf.VerifyHostname(host); err != nil {
		return outcome{BadCert, "for another name"}
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err == nil {
		return outcome{OK, ""}
	}
	// Would it be right at a time when the whole chain is valid? Then only the
	// dates are wrong.
	opts.CurrentTime = leaf.NotBefore
	for _, c := range chain[1:] {
		if c.NotBefore.After(opts.CurrentTime) {
			opts.CurrentTime = c.NotBefore
		}
	}
	if _, err := leaf.Verify(opts); err != nil {
		return outcome{BadCert, "issuer not expected"}
	}
	from, until := opts.CurrentTime, leaf.NotAfter
	day := time.DateOnly
	switch {
	case now.Before(from):
		return outcome{CertNotYetValid, fmt.Sprintf("valid from %s, the clock says %s", from.UTC().Format(day), now.UTC().Format(day))}
	case now.After(until.Add(farFuture)):
		return outcome{CertNotYetValid, fmt.Sprintf("valid until %s, the clock says %s", until.UTC().Format(day), now.UTC().Format(day))}
	default:
		return outcome{BadCert, "expired on " + until.UTC().Format(day)}
	}
}

// ticketCache ends the wait for a session ticket when it has come.
type ticketCache struct {
	tls.ClientSessionCache
	raw net.Conn
	got bool
}

// Put is called from inside Read or Handshake, on the probe's own goroutine.
func (c *ticketCache) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	c.got = true
	_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // releases await; the connection is done with
}

// await reads until the ticket is there. Nothing else is expected to come.
func (c *ticketCache) await(ctx context.Context, conn *tls.Conn) {
	if c.got {
		return
	}
	until := time.Now().Add(ticketWait)
	if t, ok := ctx.Deadline(); ok && t.Before(until) {
		until = t
	}
	if conn.SetReadDeadline(until) == nil {
		_, _ = conn.Read(make([]byte, 1)) // it ends by Put, the deadline or the server; all are fine
	}
}
