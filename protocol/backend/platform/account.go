package platform

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Secret is never printed, logged or written as JSON.
type Secret string

func (Secret) String() string               { return "***" }
func (Secret) GoString() string             { return "***" }
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue("***") }

// An Account is a customer's access to one platform.
type Account struct {
	Name     string            `toml:"name"`     // ours: it stands in logs and as source in what devices are told
	Platform string            `toml:"platform"` // a file of mappings/
	Host     string            `toml:"host"`     // https://…, where the platform has no common one
	User     string            `toml:"user"`     // appid, user_id, AppKey, access key: what the platform calls it
	Password Secret            `toml:"password"` // or application token
	Key      Secret            `toml:"key"`      // signing key or secret
	Calls    int               `toml:"calls"`    // calls within Per, where the contract says so; 0: the mapping's
	Per      string            `toml:"per"`      //
	Setting  map[string]string `toml:"setting"`  // what the mapping lists under [setting]
	Plans    map[string]string `toml:"plans"`    // quota by the platform's name of the plan: "CW-30M" = "30MB"
}

// An Adapter answers for the cards of one account.
type Adapter interface {
	// Card asks all that is worth knowing of one card.
	Card(ctx context.Context, c Card) (Status, error)
}

// A Batcher asks for many cards in one call; less is said of each than by Card. What the
// platform does not know is not in the answer.
type Batcher interface {
	Cards(ctx context.Context, list []Card) ([]Status, error)
}

// A Lister pages through all cards of the account. Next is "" after the last page.
type Lister interface {
	Page(ctx context.Context, cursor string) (list []Status, next string, err error)
}

// Open makes the adapter of an account. Transport is http.DefaultTransport when nil.
func Open(a Account, transport http.RoundTripper) (Adapter, error) {
	c, err := newClient(a, transport)
	if err != nil {
		return nil, fmt.Errorf("sim platform %q: %w", clip(a.Name, 40), err)
	}
	return makers[a.Platform](c)
}

var makers = map[string]func(*client) (Adapter, error){}

// client is what every adapter needs: the mapping, the account, its limiter and its
// counters.
type client struct {
	m       *Mapping
	a       Account
	http    *http.Client
	limit   *limiter
	setting map[string]string
	scheme  string
	plans   map[string]uint64

	mu     sync.Mutex
	counts map[string]int
	trans  uint64 // numbers that are unique for each call
}

func newClient(a Account, transport http.RoundTripper) (*client, error) {
	m, err := LoadMapping(a.Platform)
	if err != nil {
		return nil, err
	}
	if makers[a.Platform] == nil {
		return nil, fmt.Errorf("platform %q has a mapping and no client", a.Platform)
	}
	if a.Name == "" {
		return nil, fmt.Errorf("name is empty")
	}
	if a.Host == "" {
		a.Host = m.Host
	}
	a.Host = strings.TrimRight(a.Host, "/")
	has := map[string]bool{"host": a.Host != "", "user": a.User != "", "password": a.Password != "", "key": a.Key != ""}
	for _, n := range m.Needs {
		if !has[n] {
			return nil, fmt.Errorf("%s wants %s", a.Platform, n)
		}
	}
	if u, err := url.Parse(a.Host); a.Host != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" ||
		u.RawQuery != "") {
		return nil, fmt.Errorf("host %q: want https://name", clip(a.Host, 80))
	}
	c := &client{m: m, a: a, setting: map[string]string{}, plans: map[string]uint64{}, counts: map[string]int{}}
	for k, v := range m.Setting {
		c.setting[k] = v
	}
	for k, v := range a.Setting {
		if _, known := m.Setting[k]; !known {
			return nil, fmt.Errorf("setting %q: %s has %s", clip(k, 40), a.Platform, strings.Join(sortedKeys(m.Setting), ", "))
		}
		c.setting[k] = v
	}
	if len(m.Scheme) > 0 {
		c.scheme = m.Scheme[0]
		if s := a.Setting["scheme"]; s != "" {
			c.scheme = s
		}
		if !slices.Contains(m.Scheme, c.scheme) {
			return nil, fmt.Errorf("scheme %q: %s has %s", clip(c.scheme, 40), a.Platform, strings.Join(m.Scheme, ", "))
		}
	}
	for name, text := range a.Plans {
		v, err := (node{text}).volume("")
		if err != nil || v == nil || *v <= 0 {
			return nil, fmt.Errorf("plans: %q = %q: want an amount with its unit, such as 30MB", clip(name, 40), clip(text, 40))
		}
		c.plans[name] = uint64(*v)
	}
	calls, per := m.Limits.Calls, time.Duration(m.Limits.Per)
	if a.Calls > 0 || a.Per != "" {
		d, err := time.ParseDuration(a.Per)
		if err != nil || d <= 0 || a.Calls < 1 {
			return nil, fmt.Errorf("calls and per: want a number and a duration, such as 10 and 1m")
		}
		calls, per = a.Calls, d
	}
	c.limit = newLimiter(calls, per, m.Limits.AtOnce)
	if transport == nil {
		transport = http.DefaultTransport
	}
	c.http = &http.Client{Transport: transport, Timeout: callTimeout, CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return c, nil
}

// callTimeout is how long one call may take: the slowest documented answers, batches of
// classic platforms, take some ten seconds.
const callTimeout = 30 * time.Second

func sortedKeys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// A Count is how often something was seen that somebody should look at: a code that the
// mapping does not know, a value that cannot be read.
type Count struct {
	Account, Platform, Field, Code string
	N                              int
}

// maxCounts bounds the labels: a platform that sends free text where a code belongs
// fills no memory.
const maxCounts = 200

func (c *client) count(field, code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := field + "\x00" + mask(clip(code, 40))
	if _, have := c.counts[k]; !have && len(c.counts) >= maxCounts {
		k = field + "\x00more"
	}
	c.counts[k]++
}

// Counts are those of the adapter's account, for the metrics.
func (c *client) Counts() []Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Count
	for k, n := range c.counts {
		field, code, _ := strings.Cut(k, "\x00")
		out = append(out, Count{c.a.Name, c.m.Name, field, code, n})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Field+out[i].Code < out[j].Field+out[j].Code })
	return out
}

func (c *client) calls() int { return c.limit.taken() }

// number is a number that no other call of this process has: digits long, beginning with
// the clock, so that a restart does not repeat it.
func (c *client) number(digits int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trans == 0 {
		c.trans = uint64(time.Now().UnixMicro())
	}
	c.trans++
	s := strconv.FormatUint(c.trans, 10)
	for len(s) < digits {
		s = "0" + s
	}
	return s[len(s)-digits:]
}

// look reads a code by a table: what the table does not know is unknown, and counted.
func (c *client) look(s *Status, table, field, code string) string {
	if code == "" {
		return ""
	}
	s.raw(field, code)
	if v, ok := c.m.Table[table][code]; ok {
		return v
	}
	c.count(field, code)
	return "unknown"
}

// bytes reads an amount that cannot be below nothing. What cannot be read is counted and
// is no value.
func (c *client) bytes(n node, field, unit string) *uint64 {
	v, err := n.volume(unit)
	if err != nil {
		c.count(field, "unreadable")
		return nil
	}
	if v == nil {
		return nil
	}
	if *v < 0 {
		c.count(field, "negative")
		return nil
	}
	u := uint64(*v)
	return &u
}

// left reads what is left, which may be below nothing.
func (c *client) left(n node, field, unit string) *int64 {
	v, err := n.volume(unit)
	if err != nil {
		c.count(field, "unreadable")
		return nil
	}
	return v
}

// card is the ICCID as this platform wants it asked.
func (c *client) card(k Card) string {
	if n := c.m.ICCID; n > 0 && len(k.ICCID) > n {
		return k.ICCID[:n]
	}
	return k.ICCID
}

func (c *client) status() Status {
	now := time.Now()
	return Status{AsOf: now, CycleDay: c.m.Cycle, State: ""}
}

// used sets the usage of this cycle, and up to when it counts.
func (c *client) used(s *Status, u *uint64) {
	if u != nil {
		s.Used, s.UsedAsOf = u, c.m.asOf(c.m.Lag, s.AsOf)
	}
}

func (c *client) errorf(call string, kind Kind, code, text string) *Error {
	return &Error{Account: c.a.Name, Call: call, Kind: kind, Code: mask(clip(code, 40)), Text: mask(text)}
}

// frame judges the code in a body. A code that the mapping does not know is an error all
// the same: success is never guessed.
func (c *client) frame(call, code, text string) error {
	kind, known := c.m.Frame[code]
	if !known {
		c.count("frame", code)
		return c.errorf(call, Other, code, text)
	}
	if Kind(kind) == OK {
		return nil
	}
	return c.errorf(call, Kind(kind), code, text)
}
