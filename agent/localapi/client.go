package localapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"cellwarden/agent/diag"
)

// Bounds of the client: it must not hang beside a daemon that does.
const (
	dialTimeout    = 2 * time.Second
	requestTimeout = durableTimeout + 5*time.Second // the server gives up first and says why
	maxAnswer      = 4 << 20                        // 500 rows of history are about 60 kB
	maxLine        = 256 << 10                      // one line of a diagnosis
)

// Why the daemon could not be reached. An *Error wraps one of these or a Problem.
var (
	ErrDown       = errors.New("the cellwarden service is not running")
	ErrPermission = errors.New("no permission to talk to the cellwarden service")
	ErrTimeout    = errors.New("the cellwarden service does not answer")
)

// Error is what a Client returns. Hint is a key below "hint." in agent/text.
type Error struct {
	Err         error
	Hint        string
	RetryAfterS int
	Code        int // HTTP status, 0 when there was no answer
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Client asks a running daemon, each time over a connection of its own.
type Client struct {
	socket string
	http   *http.Transport
}

// NewClient is a client of the daemon at socket. Nothing is dialled yet.
func NewClient(socket string) *Client {
	return &Client{socket, &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
	}}
}

// Status is the daemon's picture of the device.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return ask[Status](ctx, c, "/v1/status")
}

// Usage is this cycle against the plan.
func (c *Client) Usage(ctx context.Context) (Usage, error) { return ask[Usage](ctx, c, "/v1/usage") }

// Guard says how to treat the data that is left.
func (c *Client) Guard(ctx context.Context) (Guard, error) { return ask[Guard](ctx, c, "/v1/guard") }

// History is the newest n rows by hour, day or cycle.
func (c *Client) History(ctx context.Context, by string, n int) (History, error) {
	q := url.Values{"by": {by}, "n": {strconv.Itoa(n)}}
	return ask[History](ctx, c, "/v1/usage/history?"+q.Encode())
}

// PutEvent hands in one event and, with durable, waits until it is on flash.
func (c *Client) PutEvent(ctx context.Context, e Event, durable bool) (Receipt, error) {
	path := "/v1/events"
	if !durable {
		path += "?durable=false"
	}
	return post[Receipt](ctx, c, path, e)
}

// Confirm tells what the fault was.
func (c *Client) Confirm(ctx context.Context, what Confirmation) error {
	_, err := post[struct{}](ctx, c, "/v1/confirm", what)
	return err
}

// Record copies the flight recorder's export to w. On an error w holds part of it.
func (c *Client) Record(ctx context.Context, w io.Writer) error {
	return c.export(ctx, "/v1/record", w)
}

func (c *Client) export(ctx context.Context, path string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return c.explain(fmt.Errorf("the export broke off: %w", err))
	}
	return nil
}

// Diagnose has every layer checked now and calls progress for each step.
func (c *Client) Diagnose(ctx context.Context, progress func(Progress)) (diag.Diagnosis, error) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	body, err := c.do(ctx, http.MethodPost, "/v1/diagnose", nil)
	if err != nil {
		return diag.Diagnosis{}, err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var st Step
		if err := json.Unmarshal(lines.Bytes(), &st); err != nil {
			return diag.Diagnosis{}, &Error{Err: fmt.Errorf("localapi: answer not understood: %w", err)}
		}
		switch {
		case st.Diagnosis != nil:
			return *st.Diagnosis, nil
		case st.Problem != nil:
			return diag.Diagnosis{}, st.Problem.asError(0)
		case st.Progress != nil:
			progress(*st.Progress)
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return diag.Diagnosis{}, c.explain(fmt.Errorf("the diagnosis broke off: %w", err))
}

func (p *Problem) asError(code int) *Error {
	return &Error{Err: errors.New(p.Error), Hint: p.Hint, RetryAfterS: p.RetryAfterS, Code: code}
}

func ask[T any](ctx context.Context, c *Client, path string) (v T, err error) {
	err = c.exchange(ctx, http.MethodGet, path, nil, &v)
	return v, err
}

func post[T any](ctx context.Context, c *Client, path string, body any) (v T, err error) {
	b, err := json.Marshal(body)
	if err != nil {
		return v, fmt.Errorf("localapi: encode: %w", err)
	}
	err = c.exchange(ctx, http.MethodPost, path, b, &v)
	return v, err
}

// exchange asks and decodes the answer into v.
func (c *Client) exchange(ctx context.Context, method, path string, body []byte, v any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer))
	if err != nil {
		return c.explain(err)
	}
	if len(b) == 0 {
		return nil // 204
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &Error{Err: fmt.Errorf("localapi: answer not understood: %w", err)}
	}
	return nil
}

// do sends one request; the caller closes the body.
func (c *Client) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	// The host is a placeholder: the socket is what is dialled.
	req, err := http.NewRequestWithContext(ctx, method, "http://cellwarden"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("localapi: %w", err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.RoundTrip(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxLine))
	var p Problem
	if json.Unmarshal(b, &p) != nil || p.Error == "" {
		return nil, &Error{Err: fmt.Errorf("localapi: %s %s: %s", method, path, resp.Status), Code: resp.StatusCode}
	}
	return nil, p.asError(resp.StatusCode)
}

// explain turns what the socket said into what a person can act on.
func (c *Client) explain(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &Error{Err: fmt.Errorf("%w (socket %s)", ErrDown, c.socket), Hint: "daemon_down"}
	case errors.Is(err, fs.ErrPermission):
		return &Error{Err: fmt.Errorf("%w (socket %s)", ErrPermission, c.socket), Hint: "permission"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Err: fmt.Errorf("%w (socket %s)", ErrTimeout, c.socket), Hint: "timeout"}
	}
	return &Error{Err: fmt.Errorf("localapi: %w", err)}
}
