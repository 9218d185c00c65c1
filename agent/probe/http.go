package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxHeader is what is read of an HTTP answer: a 204 has about 200 bytes, a
// portal's redirect with its cookies stays below this; the rest is not paid for.
const maxHeader = 4 << 10

// probeHTTP asks for the head of a page that answers 204 and follows nothing.
// A HEAD has no body, so an answer is judged by status, Location and type.
func probeHTTP(ctx context.Context, e Env, s Spec) outcome {
	u, err := url.Parse(s.Host)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return outcome{NotSent, "want a URL that begins with http://"}
	}
	hostPort := u.Host
	if u.Port() == "" {
		hostPort = net.JoinHostPort(u.Hostname(), "80")
	}
	host, port, err := splitHost(hostPort, 0)
	if err != nil {
		return judge(err)
	}
	conn, note, failed := e.connect(ctx, "tcp", host, port)
	if failed != nil {
		return *failed
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// Connection: close, so that the server does not hold a line that we leave.
	_, err = fmt.Fprintf(conn, "HEAD %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", u.RequestURI(), u.Host)
	if err != nil {
		return judge(err)
	}
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	resp, err := http.ReadResponse(bufio.NewReaderSize(limited, 1<<10), &http.Request{Method: http.MethodHead})
	if err != nil {
		switch o := judge(err); {
		case limited.N <= 0:
			return outcome{Refused, fmt.Sprintf("header over %d bytes", maxHeader)}
		case o.result == NotSent && ctx.Err() == nil:
			return outcome{Refused, "the answer is not HTTP"}
		default:
			return o
		}
	}
	resp.Body.Close()
	o := judgeHTTP(u, resp)
	if o.detail == "" {
		o.detail = note
	}
	return o
}

// judgeHTTP tells the page from a portal. Only what a portal does is called a
// redirect: an error status may be the page's own server in trouble.
func judgeHTTP(asked *url.URL, resp *http.Response) outcome {
	switch code := resp.StatusCode; {
	case code == http.StatusNoContent:
		return outcome{OK, ""}
	case code == http.StatusNetworkAuthenticationRequired: // RFC 6585 §6: a portal says so itself
		return outcome{Redirect, "status 511"}
	case code >= 300 && code < 400 && code != http.StatusNotModified:
		to, err := resp.Location()
		if err != nil {
			to, err = url.Parse(resp.Header.Get("Location"))
		}
		if err != nil || to.Hostname() == "" {
			return outcome{Redirect, fmt.Sprintf("status %d without a host", code)}
		}
		if to.Scheme == "https" && strings.EqualFold(to.Hostname(), asked.Hostname()) {
			return outcome{OK, fmt.Sprintf("status %d to its own https", code)} // an ordinary site today
		}
		// The host only: the rest of a portal's URL names the subscriber.
		return outcome{Redirect, fmt.Sprintf("status %d to %s", code, printable(to.Hostname()))}
	case code >= 200 && code < 300:
		if resp.Header.Get("Content-Length") == "0" {
			return outcome{OK, fmt.Sprintf("status %d, empty", code)} // some proxies turn 204 into an empty 200
		}
		return outcome{Redirect, fmt.Sprintf("status %d with a page", code)}
	default:
		return outcome{Refused, fmt.Sprintf("status %d", code)}
	}
}

// maxShown bounds foreign text in a detail: a DNS name has at most 253 bytes.
const maxShown = 253

// printable keeps foreign text fit for a log line.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x21 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxShown)]
}
