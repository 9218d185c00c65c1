package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/protocol/backend/store"
)

const secret = "whsec_Y2VsbHdhcmRlbi1kZW1vLXdlYmhvb2st"

// The vector was computed by an independent implementation of Standard Webhooks.
func TestSignatureVector(t *testing.T) {
	got, err := Sign("msg_0001", 1795314600, []byte(`{"type":"alert.raised"}`), secret)
	if err != nil || got != "v1,Ngda/SksGvwf0YEK84ZGeioePHTtkUbJtPggRmv0s1s=" {
		t.Errorf("%s, %v", got, err)
	}
	both, err := Sign("msg_0001", 1795314600, []byte(`{"type":"alert.raised"}`), "whsec_"+strings.Repeat("QUFB", 10), secret)
	if err != nil || !strings.HasSuffix(both, " "+got) || strings.Count(both, "v1,") != 2 {
		t.Errorf("while secrets change: %s, %v", both, err)
	}
	for _, bad := range []string{"", "Y2VsbHdhcmRlbi1kZW1vLXdlYmhvb2st", "whsec_AAAA", "whsec_" + strings.Repeat("QUFB", 30), "whsec_?"} {
		if CheckSecret(bad) == nil {
			t.Errorf("secret %q is taken", bad)
		}
	}
}

func TestOnlyPublicAddresses(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "::1", "::", "fe80::1", "fd00:ec2::254",
		"::ffff:127.0.0.1", "::ffff:10.1.1.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1"} {
		if Allowed(netip.MustParseAddr(ip), nil) {
			t.Errorf("%s is allowed", ip)
		}
	}
	for _, ip := range []string{"8.8.8.8", "2400:3200::1", "::ffff:223.5.5.5"} {
		if !Allowed(netip.MustParseAddr(ip), nil) {
			t.Errorf("%s is refused", ip)
		}
	}
	if !Allowed(netip.MustParseAddr("10.1.2.3"), []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")}) {
		t.Error("what the operator allows is refused")
	}
	for _, u := range []string{"http://example.org", "ftp://example.org", "https://", "//example.org", "https://a:b@example.org", "x"} {
		if CheckURL(u, false) == nil {
			t.Errorf("url %q is taken", u)
		}
	}
}

// A name that points inside is refused at the connection, after DNS; no redirect is
// followed.
func TestNamesThatPointInside(t *testing.T) {
	reached := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer inside.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(inside.URL, "http://"), ":")
	_, err := Client(nil).Get("http://localhost:" + port)
	if !errors.Is(err, ErrPrivate) || reached {
		t.Errorf("localhost by DNS: %v, reached %v", err, reached)
	}
	hop := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusFound))
	defer hop.Close()
	res, err := Client([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}).Get(hop.URL)
	if err != nil || res.StatusCode != http.StatusFound || reached {
		t.Errorf("a redirect was followed: %v %v", res, err)
	}
	_ = res.Body.Close()
}

// desk is a store with a worker, and a clock that tests move.
type desk struct {
	*Worker
	t   *testing.T
	s   *store.Store
	mu  sync.Mutex
	now time.Time
}

func newDesk(t *testing.T) *desk {
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/cw.db")
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, s: s, now: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)}
	d.Worker = NewWorker(s, Client([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), slog.New(slog.DiscardHandler))
	clock := func() time.Time { d.mu.Lock(); defer d.mu.Unlock(); return d.now }
	d.Clock = clock
	s.SetClock(clock)
	t.Cleanup(func() { d.running.Wait(); _ = s.Close() })
	return d
}

func (d *desk) endpoint(kind, url, secret string) (id int64) {
	if err := d.s.DB.QueryRow("INSERT INTO endpoint (tenant, kind, url, secret) VALUES ('cw', ?, ?, ?) RETURNING id", kind, url, secret).Scan(&id); err != nil {
		d.t.Fatal(err)
	}
	return id
}

func (d *desk) notify(typ, subject string) {
	d.t.Helper()
	if err := d.s.Tx(d.t.Context(), func(tx *store.Tx) error {
		_, err := tx.Notify(d.t.Context(), store.Event{Tenant: "cw", Type: typ, Subject: subject, Data: map[string]any{"class": "over_quota", "act": "over_quota.pool", "who": "owner", "size": 3}})
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
}

// after moves the clock and does what is then due, to its end.
func (d *desk) after(step time.Duration) {
	d.t.Helper()
	d.mu.Lock()
	d.now = d.now.Add(step)
	d.mu.Unlock()
	if err := d.Once(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	d.running.Wait()
}

func (d *desk) count(table string) (n int) {
	if err := d.s.DB.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

// A customer's server is away for days: tried ten times, always with the same id, then
// a dead letter; "send again" sends it once more.
func TestTriesDeadLetterAndAgain(t *testing.T) {
	d := newDesk(t)
	var ids []string
	down := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ids = append(ids, r.Header.Get("webhook-id"))
		if down {
			w.WriteHeader(500)
		}
	}))
	defer srv.Close()
	d.endpoint(KindCloudEvents, srv.URL, secret)
	d.notify("alert.raised", "alert/1")
	d.after(0)
	for _, wait := range Schedule {
		d.after(wait - time.Second)
		if n := len(ids); n > 0 && d.count("outbox") == 1 {
			d.after(wait/10 + 2*time.Second)
		}
	}
	if len(ids) != 1+len(Schedule) || d.count("outbox") != 0 || d.count("dead_letter") != 1 {
		t.Fatalf("%d tries, %d waiting, %d dead", len(ids), d.count("outbox"), d.count("dead_letter"))
	}
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("ids differ: %v", ids)
		}
	}
	down = false
	if err := d.s.Tx(t.Context(), func(tx *store.Tx) error { return Again(t.Context(), tx, ids[0]) }); err != nil {
		t.Fatal(err)
	}
	d.after(openFor)
	if d.count("outbox")+d.count("dead_letter") != 0 || len(ids) != 2+len(Schedule) {
		t.Errorf("send again: %d tries", len(ids))
	}
	if err := d.s.Tx(t.Context(), func(tx *store.Tx) error { return Again(t.Context(), tx, "none") }); !errors.Is(err, ErrNoLetter) {
		t.Errorf("%v", err)
	}
}

// "cleared" waits for its "raised"; another alert does not.
func TestOrderOfOneAlert(t *testing.T) {
	d := newDesk(t)
	var got []string
	var mu sync.Mutex
	refuse := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c store.CloudEvent
		_ = json.NewDecoder(r.Body).Decode(&c)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, c.Type+" "+c.Subject)
		if refuse && c.Subject == "alert/1" {
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Header().Set("Retry-After", "1")
		}
	}))
	defer srv.Close()
	d.endpoint(KindCloudEvents, srv.URL, secret)
	for _, subject := range []string{"alert/1", "alert/2"} {
		d.notify("alert.raised", subject)
		d.notify("alert.cleared", subject)
	}
	d.after(0)
	d.after(2 * time.Minute)
	refuse = false
	for range 4 {
		d.after(10 * time.Minute)
	}
	at := func(what string) int {
		for i := len(got) - 1; i >= 0; i-- {
			if got[i] == what {
				return i
			}
		}
		return -1
	}
	if d.count("outbox") != 0 || at("alert.cleared alert/1") < at("alert.raised alert/1") || at("alert.cleared alert/2") < at("alert.raised alert/2") || at("alert.cleared alert/1") < 0 {
		t.Errorf("came as %v", got)
	}
}

// One customer's server hangs with a thousand events before it: another's get theirs.
func TestASlowCustomerHoldsNobody(t *testing.T) {
	d := newDesk(t)
	release := make(chan struct{})
	var flying, most int
	var mu sync.Mutex
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		flying++
		most = max(most, flying)
		mu.Unlock()
		<-release
		mu.Lock()
		flying--
		mu.Unlock()
	}))
	defer slow.Close()
	quick := make(chan string, 10)
	fast := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { quick <- r.Header.Get("webhook-id") }))
	defer fast.Close()
	d.endpoint(KindCloudEvents, slow.URL, secret)
	for i := range 50 {
		d.notify("alert.raised", fmt.Sprint("alert/", i))
	}
	for range 3 {
		if err := d.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.endpoint(KindCloudEvents, fast.URL, secret)
	d.notify("alert.raised", "alert/99")
	if err := d.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-quick:
	case <-time.After(10 * time.Second):
		t.Error("the quick customer waits for the slow one")
	}
	close(release)
	d.running.Wait()
	if most > perEndpoint {
		t.Errorf("%d tries at once to one customer, want at most %d", most, perEndpoint)
	}
}

// 410 ends it: the endpoint is switched off. A redirect is a failure.
func TestGoneAndRedirect(t *testing.T) {
	d := newDesk(t)
	status := http.StatusGone
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer srv.Close()
	d.endpoint(KindCloudEvents, srv.URL, secret)
	d.notify("alert.raised", "alert/1")
	d.after(0)
	if d.count("dead_letter") != 1 || d.count("endpoint WHERE disabled IS NOT NULL") != 1 {
		t.Error("410 does not switch the endpoint off")
	}
	status = http.StatusFound
	d.endpoint(KindCloudEvents, srv.URL, secret)
	d.notify("alert.raised", "alert/2")
	d.after(0)
	if d.count("outbox WHERE tries = 1") != 1 {
		t.Error("a redirect counts as success")
	}
}

// Each robot gets what it understands, in Chinese, with its own signature; a robot that
// says no inside of a 200 is tried again.
func TestRecipes(t *testing.T) {
	d := newDesk(t)
	type seen struct {
		query url.Values
		body  map[string]any
		raw   string
	}
	got := map[string]seen{}
	var mu sync.Mutex
	answer := `{"code":0,"errcode":0}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		s := seen{query: r.URL.Query(), raw: string(raw)}
		_ = json.Unmarshal(raw, &s.body)
		got[strings.TrimPrefix(r.URL.Path, "/")] = s
		_, _ = io.WriteString(w, answer)
	}))
	defer srv.Close()
	for _, kind := range []string{KindFeishu, KindDingTalk, KindWeCom, KindAlertmanager} {
		d.endpoint(kind, srv.URL+"/"+kind, "robot-secret")
	}
	d.notify("group.raised", "group/1")
	d.after(0)
	if len(got) != 4 || d.count("outbox") != 0 {
		t.Fatalf("%d robots were told, %d wait", len(got), d.count("outbox"))
	}
	for _, kind := range []string{KindFeishu, KindDingTalk, KindWeCom} {
		if title, _ := Words("zh", "over_quota", "over_quota.pool"); !strings.Contains(got[kind].raw, title) || !strings.Contains(got[kind].raw, "3 台设备") {
			t.Errorf("%s got %s, want %s in it", kind, got[kind].raw, title)
		}
	}
	// The signatures, computed with openssl for this moment and secret.
	if s := got[KindFeishu].body["sign"]; s != feishuSign || got[KindFeishu].body["timestamp"] != "1795320000" {
		t.Errorf("Feishu: %v", got[KindFeishu].body)
	}
	if s := got[KindDingTalk].query; s.Get("sign") != dingSign || s.Get("timestamp") != "1795320000000" {
		t.Errorf("DingTalk: %v", s)
	}
	if !strings.Contains(got[KindAlertmanager].raw, `"alertname":"group"`) || strings.Contains(got[KindAlertmanager].raw, `"site"`) {
		t.Errorf("Alertmanager: %s", got[KindAlertmanager].raw)
	}
	answer = `{"code":19024,"errcode":310000,"msg":"keywords not in content"}`
	d.notify("group.changed", "group/1")
	d.after(time.Second)
	if n := d.count("outbox WHERE tries = 1"); n != 3 {
		t.Errorf("%d robots are tried again after their no, want 3", n)
	}
}

const (
	feishuSign = "mfwMcb60xpmRZkrlQMPRRglPAUyVjxeuY3nJKDV+oec="
	dingSign   = "dclExuYEFF2hNT4DT4BzxOV2BIcAh2sccwlJzY0HYd4="
)
