package localapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// said is a connection to a server that answers with the same bytes, whatever it is
// asked, and hangs up.
type said struct {
	net.Conn
	asked  chan struct{}
	answer *bytes.Reader
}

func (c *said) Write(p []byte) (int, error) {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (c *said) Read(p []byte) (int, error) {
	c.asked <- <-c.asked // nothing comes before a question
	return c.answer.Read(p)
}
func (c *said) Close() error                { return nil }
func (c *said) SetDeadline(time.Time) error { return nil }

// FuzzAnswer: whatever listens on the socket, the client ends with an answer or with an
// error of its own, and keeps no more than its bounds.
func FuzzAnswer(f *testing.F) {
	head := "HTTP/1.1 200 OK\r\nContent-Length: "
	f.Add(uint8(0), []byte(head+"2\r\n\r\n{}"))
	f.Add(uint8(1), []byte(head+"99\r\n\r\n{"))
	f.Add(uint8(0), []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	f.Add(uint8(2), []byte("HTTP/1.1 503 x\r\nContent-Length: 35\r\n\r\n{\"error\":\"busy\",\"retry_after_s\":2}\r\n"))
	f.Add(uint8(3), []byte("HTTP/1.1 200 OK\r\n\r\n{\"progress\":{}}\n{\"diagnosis\":{}}\n"))
	f.Add(uint8(2), []byte("HTTP/1.1 204 No Content\r\n\r\n"))
	f.Add(uint8(4), []byte("220 mail ready\r\n"))
	f.Fuzz(func(t *testing.T, which uint8, answer []byte) {
		c := NewClient("none")
		c.http.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return &said{asked: make(chan struct{}, 1), answer: bytes.NewReader(answer)}, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		asks := []func() error{
			func() error { _, err := c.Status(ctx); return err },
			func() error { _, err := c.History(ctx, "day", 3); return err },
			func() error { _, err := c.PutEvent(ctx, Event{Name: "sale"}, true); return err },
			func() error { _, err := c.Diagnose(ctx, func(Progress) {}); return err },
			func() error { return c.Record(ctx, io.Discard) },
		}
		var e *Error
		if err := asks[int(which)%len(asks)](); err != nil && !errors.As(err, &e) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d: %T %v", which, err, err)
		}
	})
}
