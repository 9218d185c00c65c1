package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Timeout is the longest that one try may take (Standard Webhooks advises 15 to 30 s).
const Timeout = 15 * time.Second

// ErrPrivate refuses an address that is not of the public internet.
var ErrPrivate = errors.New("the address is not of the public internet, and webhook.allow does not name it")

// reserved are ranges that are neither private nor loopback by netip and yet nobody's
// server on the internet (RFC 6890 and its registries).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

// Allowed reports whether a connection may go to ip: to the public internet, or to
// what the operator allows by name.
func Allowed(ip netip.Addr, allow []netip.Prefix) bool {
	ip = ip.Unmap().WithZone("")
	for _, p := range allow {
		if p.Contains(ip) {
			return true
		}
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// Client makes requests that reach only allowed addresses. It looks at the address
// after DNS and before the connection, so a name that points inside is refused, also
// one that pointed outside when the endpoint was entered. It follows no redirect.
func Client(allow []netip.Prefix) *http.Client {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !Allowed(at.Addr(), allow) {
			return fmt.Errorf("%s: %w", at.Addr(), ErrPrivate)
		}
		return nil
	}}
	return &http.Client{
		Timeout: Timeout,
		Transport: &http.Transport{DialContext: d.DialContext, Proxy: nil, MaxIdleConnsPerHost: 2, MaxConnsPerHost: perEndpoint,
			TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: Timeout, IdleConnTimeout: time.Minute, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// CheckURL refuses what no endpoint may be: want https, or http with plain.
func CheckURL(text string, plain bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !plain) {
		return errors.New("url: want https://host/path, without a user")
	}
	return nil
}
