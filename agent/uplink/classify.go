package uplink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// failure is what an error of connecting means.
type failure struct {
	why     Why
	refusal bool // somebody must change something
	code    byte // of the CONNACK
	hint    string
}

// refusedError is a CONNACK that says no.
type refusedError struct{ code byte }

func (e *refusedError) Error() string {
	return fmt.Sprintf("broker refused the connection: %s (code %d)", connacks[e.code].text, e.code)
}

// connacks: MQTT 3.1.1 §3.2.2.3.
var connacks = map[byte]struct {
	why        Why
	text, hint string
}{
	1: {WhyProtocol, "unacceptable protocol version", "the broker must speak MQTT 3.1.1; enable it there"},
	2: {WhyClientID, "client id rejected", "the broker does not take this client id; allow it there or set another in the config"},
	3: {WhyUnavailable, "server unavailable", "the broker is there but does not serve now; look at its log, or wait"},
	4: {WhyCredentials, "bad user name or password", "check user and password in the config against the broker's"},
	5: {WhyNotAuthorised, "not authorised", "the broker does not let this device in; check user, password and the broker's list of devices"},
}

// classify finds what an error of connecting means. now judges certificates.
func classify(err error, now time.Time) failure {
	var (
		refused *refusedError
		lie     *guardError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		roots   x509.SystemRootsError
		remote  *net.OpError
		record  tls.RecordHeaderError
		stage   *stageError
	)
	switch {
	case errors.As(err, &refused):
		c := connacks[refused.code]
		// 3 means "later", not "never".
		return failure{why: c.why, refusal: c.why != WhyUnavailable, code: refused.code, hint: c.hint}
	case errors.As(err, &lie):
		return failure{why: lie.why, refusal: true, hint: "what answers at this address is no sound MQTT broker; check address and port"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && now.Before(invalid.Cert.NotBefore):
		return failure{why: WhyCertNotYetValid, refusal: false, hint: "set the clock: by it the broker's certificate is not valid yet"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return failure{why: WhyCertExpired, refusal: true, hint: "renew the broker's certificate, or set the clock if it runs ahead"}
	case errors.As(err, &invalid), errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &roots), errors.Is(err, errPin):
		return failure{why: WhyBadCert, refusal: true, hint: "the broker's certificate does not fit: check the CA file, the server name and the pin in the config"}
	case errors.As(err, &remote) && remote.Op == "remote error": // a TLS alert; crypto/tls exports no type for it
		if text := remote.Err.Error(); strings.Contains(text, "certificate") || strings.Contains(text, "access denied") {
			return failure{why: WhyOwnCert, refusal: true, hint: "the broker does not accept our certificate: check that it is set, its end date, and that the broker knows its authority"}
		}
		return failure{why: WhyTLS, refusal: true, hint: "the broker refused the TLS handshake: it must speak TLS 1.3, or the config allow 1.2"}
	case errors.As(err, &record):
		return failure{why: WhyNotTLS, refusal: true, hint: "the broker speaks no TLS at this port; use its TLS port or tcp://"}
	case errors.As(err, &stage) && stage.why == WhyOwnCert:
		return failure{why: WhyOwnCert, refusal: true, hint: "our own certificate or key cannot be read; check the files that the config names"}
	case errors.As(err, &stage) && stage.why == WhyOwnSecret:
		return failure{why: WhyOwnSecret, refusal: true, hint: "the password file cannot be read; check that the config names it and that the agent may read it"}
	case errors.As(err, &stage) && stage.why == WhyBadCert:
		return failure{why: WhyBadCert, refusal: true, hint: "the file of authorities cannot be read; check the CA file in the config"}
	case errors.As(err, &stage) && stage.why == WhyBind:
		return failure{why: WhyBind, hint: "check the name of the interface, and that the agent has CAP_NET_RAW"}
	case isTimeout(err):
		return failure{why: WhyTimeout}
	case errors.As(err, &stage):
		return failure{why: stage.why}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return failure{why: WhyClosed}
	}
	return failure{why: WhyNetwork}
}

// whyLost finds what ended a connection.
func whyLost(err error) Why {
	var lie *guardError
	switch {
	case err == nil:
		return WhyStopped
	case errors.As(err, &lie):
		return lie.why
	case errors.Is(err, errAckTimeout):
		return WhyAckTimeout
	case errors.Is(err, errMoved):
		return WhyMoved
	case strings.Contains(err.Error(), "pingresp not received"): // paho has no value for it
		return WhyPing
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return WhyClosed
	}
	return WhyNetwork
}

var errAckTimeout = errors.New("the broker was silent while an acknowledgement was due")

var errMoved = errors.New("the way to the broker is another one now")
