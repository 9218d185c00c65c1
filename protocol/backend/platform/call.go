package platform

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxAnswer bounds an answer: a page of 500 cards with all fields is some 400 KB.
const maxAnswer = 4 << 20

// maxSkew is how far this machine's clock may be from the platform's Date before a
// refusal is laid to it. The strictest documented window is 15 minutes.
const maxSkew = 5 * time.Minute

// request is one call, before its turn has come. Sign is called when it has: what it
// signs carries the time.
type request struct {
	call   string // its name, for errors
	method string
	url    string
	query  url.Values
	body   []byte
	header map[string]string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// send waits for the account's turn and makes one call. Only what no body can say
// becomes an error here: the network, 429, 5xx.
func (c *client) send(ctx context.Context, make func() (request, error)) (answer, string, error) {
	done, err := c.limit.take(ctx)
	if err != nil {
		return answer{}, "", err
	}
	defer done()
	r, err := make()
	if err != nil {
		return answer{}, r.call, err
	}
	u := r.url
	if len(r.query) > 0 {
		u += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u, body)
	if err != nil {
		return answer{}, r.call, c.errorf(r.call, Parameter, "", "the address cannot be built")
	}
	req.Header.Set("Accept-Encoding", "identity")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return answer{}, r.call, ctx.Err()
		}
		return answer{}, r.call, c.errorf(r.call, Away, "", reasonOf(err))
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return answer{}, r.call, c.errorf(r.call, Malformed, "", "the answer breaks off")
	case len(raw) > maxAnswer:
		return answer{}, r.call, c.errorf(r.call, Malformed, "", "the answer is larger than 4 MB")
	case resp.StatusCode == http.StatusTooManyRequests:
		after := retryAfter(resp.Header)
		c.limit.slower(after)
		e := c.errorf(r.call, Rate, "429", "")
		e.After = after
		return answer{}, r.call, e
	case resp.StatusCode >= 500:
		return answer{resp.StatusCode, resp.Header, raw}, r.call, c.errorf(r.call, Away, strconv.Itoa(resp.StatusCode), "")
	}
	return answer{resp.StatusCode, resp.Header, raw}, r.call, nil
}

// reasonOf is an error of the transport without the address: *url.Error holds it whole.
func reasonOf(err error) string {
	s := err.Error()
	if i := strings.LastIndex(s, ": "); i >= 0 {
		s = s[i+2:]
	}
	return s
}

func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return min(time.Duration(n)*time.Second, time.Hour)
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(time.Until(t), 0), time.Hour)
	}
	return 0
}

// noted tells the limiter what came of a call, and lays a refusal to our clock where the
// platform's Date says so.
func (c *client) noted(a answer, err error) error {
	kind := KindOf(err)
	switch kind {
	case OK, Empty, NoCard:
		c.limit.fine()
	case Rate:
		if e := err.(*Error); e.Code != "429" {
			c.limit.slower(e.After)
		}
	case Refused, Token:
		if t, perr := http.ParseTime(a.header.Get("Date")); perr == nil {
			if d := time.Since(t); d > maxSkew || d < -maxSkew {
				e := *err.(*Error)
				e.Kind = Skewed
				return &e
			}
		}
	}
	return err
}

// do makes one call and reads its answer. Judge says what the body means; it is given
// the empty node when the body cannot be read by parse.
func (c *client) do(ctx context.Context, make func() (request, error), parse func([]byte) (node, error), judge func(answer,
	node) error) (node, answer, error) {
	a, call, err := c.send(ctx, make)
	if err != nil {
		return node{}, a, err
	}
	n, perr := parse(a.body)
	if perr != nil {
		n = node{}
	}
	err = judge(a, n)
	if err == nil && perr != nil {
		err = c.errorf(call, Malformed, "", whatIs(a.body))
	}
	return n, a, c.noted(a, err)
}

func whatIs(body []byte) string {
	s := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 512)])))
	switch {
	case s == "":
		return "the answer is empty"
	case strings.HasPrefix(s, "<!doctype html") || strings.HasPrefix(s, "<html"):
		return "a web page came: a login or a proxy is in between"
	}
	return "the answer breaks off or is of another form"
}

// status of HTTP where the body says nothing.
func (c *client) byHTTP(call string, a answer) error {
	switch a.status {
	case 200, 201, 202:
		return nil
	case 401:
		return c.errorf(call, Token, "401", "")
	case 403:
		return c.errorf(call, Refused, "403", "")
	case 404:
		return c.errorf(call, NoCard, "404", "")
	case 400, 422:
		return c.errorf(call, Parameter, strconv.Itoa(a.status), "")
	}
	return c.errorf(call, Other, strconv.Itoa(a.status), "")
}

// tokens keeps the account's token. One fetch runs at a time, and those that wait take
// its result: eight workers whose token expired make one login.
//
// The lock is a channel, so that who waits for another's login can be called off.
type tokens struct {
	once  sync.Once
	lock  chan struct{}
	value string
	until time.Time
	fetch func(ctx context.Context) (value string, life time.Duration, err error)
	// failed keeps a refusal: an account whose password is wrong is not hammered.
	failed error
	again  time.Time
}

// refusedFor is how long an account rests after its login was refused. Some platforms
// lock a user after five wrong logins in a short time.
const refusedFor = 15 * time.Minute

// get gives the token. Bad is one that the platform no longer takes: it is fetched anew
// unless another worker has done so since.
func (t *tokens) get(ctx context.Context, bad string) (string, error) {
	t.once.Do(func() { t.lock = make(chan struct{}, 1) })
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := time.Now()
	if t.failed != nil && now.Before(t.again) {
		return "", t.failed
	}
	if t.value != "" && t.value != bad && now.Before(t.until) {
		return t.value, nil
	}
	v, life, err := t.fetch(ctx)
	if k := KindOf(err); k == Refused || k == Token || k == Skewed {
		t.failed, t.again = err, now.Add(refusedFor)
	}
	if err != nil {
		return "", err
	}
	t.value, t.until, t.failed = v, now.Add(life), nil
	return v, nil
}

// with runs a call with the token, and once more with a new one when the platform takes
// it no longer.
func (t *tokens) with(ctx context.Context, f func(token string) error) error {
	tok, err := t.get(ctx, "")
	if err != nil {
		return err
	}
	err = f(tok)
	if KindOf(err) != Token {
		return err
	}
	if tok, err = t.get(ctx, tok); err != nil {
		return err
	}
	return f(tok)
}
