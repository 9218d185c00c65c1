package install

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cellwarden/protocol"
)

const (
	// connectTimeout: a cell link that was idle takes some seconds to answer.
	connectTimeout = 60 * time.Second
	// idleTimeout ends a download that stands still; the next one resumes.
	idleTimeout = 60 * time.Second
	// maxHeader is what is read of an answer's head.
	maxHeader = 16 << 10
	// headers is what TCP, IP and acknowledgements add to the bytes that we see: 40
	// in each packet of 1,400, and a packet back for every second one.
	headers = 1.05
)

// lineError is a failure of the line or the server that may pass.
type lineError struct{ err error }

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }

// metered counts what crosses a connection, and lets no read wait for ever.
type metered struct {
	net.Conn
	n *atomic.Int64
}

func (c *metered) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *metered) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// parseURL accepts what get can fetch.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, protocol.Refuse(protocol.UpdateServer, "want a URL such as https://host/path/manifest.json, without user and password")
	}
	return u, nil
}

// hostOf is all of a URL that may be told: the rest of a portal's names the
// subscriber.
func hostOf(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Hostname() == "" {
		return "no host"
	}
	return fmt.Sprintf("%.100q", u.Hostname())
}

// told is s without its query, which may hold the right to fetch.
func told(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}

// beside is the file name in the folder of u, with the same query: it may hold the
// right to fetch.
func beside(u url.URL, name string) *url.URL {
	u.Path = u.Path[:strings.LastIndexByte(u.Path, '/')+1] + name
	u.RawPath = ""
	return &u
}

// get asks for the bytes [from, to) of u and hands the body on. spent is what it
// cost on the air, also after an error. size is what the server says that the whole
// has, -1 when it does not.
//
// A TLS server's certificate is not verified: nothing that comes is believed
// without the signatures of the root's keys, and a board without a clock or without
// authorities must be reachable by the update that mends it. TLS keeps the download
// from being read or replaced on its way by those who only look on.
func (h *Host) get(ctx context.Context, u *url.URL, from, to int64, take func(body io.Reader, size int64) error) (spent int64, err error) {
	port, err := portOf(u)
	if err != nil {
		return 0, err
	}
	var crossed atomic.Int64
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, connectTimeout)
			defer cancel()
			conn, err := h.Dial(ctx, u.Hostname(), port)
			if err != nil {
				return nil, err
			}
			return &metered{conn, &crossed}, nil
		},
		TLSHandshakeTimeout: connectTimeout,
		// One small key share: the hybrid post-quantum one adds 1.2 KB each way.
		TLSClientConfig: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12,
			CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256}, InsecureSkipVerify: true},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader, ReadBufferSize: 4 << 10,
	}
	defer func() { spent = int64(float64(crossed.Load()) * headers) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, protocol.Refuse(protocol.UpdateServer, "%v", err)
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	req.Header.Set("User-Agent", "") // none: each byte costs
	// The transport alone: nothing is followed, no cookie is kept.
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, &lineError{err}
	}
	defer resp.Body.Close()
	size, err := answered(resp, from)
	if err != nil {
		return 0, err
	}
	return 0, take(io.LimitReader(resp.Body, to-from), size)
}

// portOf is the port of a URL, by its scheme where it names none.
func portOf(u *url.URL) (uint16, error) {
	p := u.Port()
	switch {
	case p != "":
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return 0, protocol.Refuse(protocol.UpdateServer, "port %q", p)
		}
		return uint16(n), nil
	case u.Scheme == "https":
		return 443, nil
	}
	return 80, nil
}

// answered judges the head of an answer to a request that begins at from.
func answered(resp *http.Response, from int64) (size int64, err error) {
	switch code := resp.StatusCode; {
	case code == http.StatusPartialContent:
		// Content-Range: bytes 100-199/1000 (RFC 9110 §14.4)
		spec, total, _ := strings.Cut(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes "), "/")
		begin, _, _ := strings.Cut(spec, "-")
		if n, err := strconv.ParseInt(begin, 10, 64); err != nil || n != from {
			return 0, protocol.Refuse(protocol.UpdateNoResume, "asked for the bytes from %d, got %.64q", from, resp.Header.Get("Content-Range"))
		}
		if size, err = strconv.ParseInt(total, 10, 64); err != nil {
			size = -1
		}
		return size, nil
	case code == http.StatusOK && from == 0:
		return resp.ContentLength, nil
	case code == http.StatusOK:
		return 0, protocol.Refuse(protocol.UpdateNoResume, "the server sends the whole file when asked for the bytes from %d", from)
	case code == http.StatusRequestedRangeNotSatisfiable:
		return 0, protocol.Refuse(protocol.UpdateTruncated, "the server has no bytes from %d on", from)
	case code >= 300 && code < 400:
		// An operator's portal, mostly; none of ours is followed.
		return 0, &lineError{fmt.Errorf("status %d to %s", code, hostOf(resp.Header.Get("Location")))}
	case code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		return 0, &lineError{fmt.Errorf("status %d", code)}
	default:
		return 0, protocol.Refuse(protocol.UpdateServer, "status %d", code)
	}
}
