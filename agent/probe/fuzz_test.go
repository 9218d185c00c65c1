package probe

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// ntpWorld is a connection to a server that answers each request with the same bytes,
// under the request's cookie where they have room for one.
type ntpWorld struct {
	net.Conn
	answer []byte
}

func (w *ntpWorld) Write(p []byte) (int, error) {
	if len(w.answer) >= 32 {
		copy(w.answer[24:32], p[40:])
	}
	return len(p), nil
}
func (w *ntpWorld) Read(p []byte) (int, error)  { return copy(p, w.answer), nil }
func (w *ntpWorld) SetDeadline(time.Time) error { return nil }
func (w *ntpWorld) Close() error                { return nil }

func FuzzNTP(f *testing.F) {
	f.Add(ntpAnswer(make([]byte, ntpSize), time.Unix(1795000000, 0)))
	f.Add(ntpAnswer(make([]byte, ntpSize), time.Unix(0, 0)))
	f.Add([]byte{})
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, b []byte) {
		env := dialled(func(context.Context, string, string) (net.Conn, error) {
			return &ntpWorld{answer: bytes.Clone(b)}, nil
		})
		env.Now = func() time.Time { return now }
		got, err := SNTP(t.Context(), env, "192.0.2.123")
		if err == nil && (len(b) < ntpSize || now.Add(got.Offset).Before(ntpEarliest.AddDate(0, 0, -1)) || got.RTT < 0) {
			t.Errorf("%+v of %x", got, b)
		}
	})
}

func FuzzHostOfTarget(f *testing.F) {
	f.Add("mqtts://user:secret@h:8883/x")
	f.Add("http://[::1%25eth0]/")
	f.Add("%zz")
	f.Fuzz(func(t *testing.T, s string) {
		shown := shownHost(Spec{Probe: Broker, Host: s})
		if u, err := url.Parse(s); err == nil && u.User != nil {
			if p, ok := u.User.Password(); ok && len(p) > 3 && bytes.Contains([]byte(shown), []byte(p)) && !bytes.Contains([]byte(u.Host), []byte(p)) {
				t.Errorf("%q shows the password", shown)
			}
		}
	})
}

// What stands behind the address of a page may be a portal, another protocol, or
// somebody who wants the log.
func FuzzHTTPAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: http://portal.example/?msisdn=13900000042\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 307\r\nLocation: //\x00\xff\r\n\r\n", "SSH-2.0-x\r\n", "HTTP/1.1 511 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
	} {
		f.Add([]byte(s))
	}
	asked, err := url.Parse("http://page.example/generate_204")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), &http.Request{Method: http.MethodHead})
		if err != nil {
			return
		}
		resp.Body.Close()
		o := judgeHTTP(asked, resp)
		if o.result == "" || len(o.detail) > 300 || strings.ContainsAny(o.detail, "\x00\r\n\x1b?=&") && !strings.Contains(o.detail, " to ") {
			t.Errorf("%q says %+v", b, o)
		}
		if o.result == OK && resp.StatusCode >= 400 {
			t.Errorf("status %d is taken for the page", resp.StatusCode)
		}
	})
}
