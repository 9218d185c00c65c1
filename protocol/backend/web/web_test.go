package web

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"cellwarden/protocol/backend/store"
)

// now is when the page is looked at: 23 November 2026, 15:00 in Beijing.
var now = time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)

// fleetOf fills a store with n machines: every 40th stands with a fault, every 50th is
// silent, every 20th runs out.
func fleetOf(t testing.TB, n int) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/cw.db")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ms := now.UnixMilli()
	err = s.Tx(t.Context(), func(tx *store.Tx) error {
		do := func(q string, args ...any) {
			if err == nil {
				_, err = tx.Exec(t.Context(), q, args...)
			}
		}
		for i := 1; i <= n; i++ {
			if i%3 == 1 {
				do("INSERT INTO site (id, tenant, name, district) VALUES (?, 'cw', ?, 'bj/haidian')", i, fmt.Sprintf("站点 %d", i))
			}
			var sales any
			if i%4 != 0 {
				sales = float64(5 + i%40)
			}
			do("INSERT INTO device (id, tenant, dev, site, carrier, iccid, sales_per_h, created) VALUES (?, 'cw', ?, ?, '46000', ?, ?, 1)",
				i, fmt.Sprintf("vm-%05d", i), i-(i+2)%3,
				fmt.Sprintf("898604000000%07d5", i), sales)
			used, up, state := int64(i%20)*(1<<20), i%50 != 0, strings.Repeat("x", 600)
			if i%20 == 0 {
				used = 29 << 20
			}
			do(`INSERT INTO device_now (device, heard, up, up_at, state_at, class, rsrp, used, quota, state, inventory, last) VALUES (?, ?, ?, ?, ?, 'healthy', -90, ?, ?, ?, ?, ?)`,
				i, ms-int64(i%60)*1000, up, ms-3600_000, ms-600_000, used, int64(30<<20), state, state, state)
			class, verdict, who, resumes, source := "", "confirmed", "owner", "", "device"
			switch {
			case i%50 == 0:
				class, verdict, who, source = []string{"power", "ambiguous"}[i/50%2], "likely", "technician", "silence"
				said, p := "power", 0.9
				if class == "ambiguous" {
					verdict, said, p = "undecided", "ambiguous", 0.4
				}
				do("INSERT INTO silence (tenant, device, since, heard, said, p, grp, decide, body) VALUES ('cw', ?, ?, ?, ?, ?, 'machine', 'platform', ?)", i, ms-3600_000, ms-5400_000, said, p,
					`{"Candidates":[{"class":"power","p":0.9}],"Evidence":[{"for":"power","fact":"<b>all machines</b> of the site fell silent together","source":"fleet","weight_db":20}]}`)
			case i%40 == 0:
				class = []string{"imei_lock", "over_quota", "antenna_fault", "carrier_outage", "arrears"}[i/40%5]
				who = map[string]string{"antenna_fault": "technician", "carrier_outage": "operator"}[class]
				if who == "" {
					who = "owner"
				}
				if class == "over_quota" {
					resumes = "2026-12-01T00:00:00+08:00"
				}
			}
			if class != "" {
				do(`INSERT INTO alert (tenant, device, source, key, incident, class, verdict, who, act, resumes, unstable, ep, first_seq, last_seq, clear_seq, opened, changed, ended_by, next, body)
					VALUES ('cw', ?, ?, ?, '', ?, ?, ?, ?, ?, FALSE, '', 1, 1, 0, ?, ?, '', '', ?)`, i, source, class, class, verdict, who, class, resumes, ms-2*3600_000, ms-3600_000,
					`{"evidence":[{"for":"arrears","fact":"the SIM platform says suspended","source":"backend","weight_db":15}]}`)
				reason := map[string]string{"arrears": "arrears", "over_quota": "quota"}[class]
				if reason != "" {
					do("INSERT INTO sim (device, account, state, reason, raw, used, plan, as_of) VALUES (?, 'mobile', 'suspended', ?, 'cardStatus 02', 31457280, 31457280, ?)", i, reason, ms-60_000)
				}
			}
			if i%40 == 0 && i < 2000 {
				for k := range 48 {
					do(`INSERT INTO state (device, seq, at, at_ok, arrived, class, rsrp, rat, plmn, used, own, quota, waiting, uptime) VALUES (?, ?, ?, TRUE, ?, 'healthy',
						?, 'lte', '46000', ?, 0, 0, 0, 0)`, i, k+1, ms-int64(48-k)*3600_000, ms, -90-float64(k%7), int64(k)<<19)
				}
			}
		}
		do("INSERT INTO finding (tenant, kind, carrier, scope, class, verdict, opened, n, body) VALUES ('cw', 'outage', '46000', 'bj/haidian', 'carrier_outage', 'confirmed', ?, 31, '{}')", ms-1800_000)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func site(t testing.TB, s *store.Store, l Login) *httptest.Server {
	t.Helper()
	w, err := New(s, Options{Tenant: "cw", Login: l, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	w.Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func get(t testing.TB, srv *httptest.Server, path string, head ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func TestTheFirstScreenOfTenThousand(t *testing.T) {
	srv := site(t, fleetOf(t, 10_000), Login{Open: Act})
	for lang, want := range map[string][]string{
		"en": {"Lost per hour", "Pay or change the plan", "Visit", "Ask the operator", "until 2026-12-01", "ask the SIM platform", "9800",
			"31 machines"},
		"zh": {"每小时损失", "缴费或调整套餐", "上门处理", "联系运营商", "预计 2026-12-01 恢复", "到物联卡平台查询这张卡", "9800", "31 台", "欠费"},
	} {
		code, body := get(t, srv, "/?lang="+lang)
		if code != 200 || len(body) >= 100<<10 {
			t.Fatalf("%s: %d, %d bytes", lang, code, len(body))
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s: %q is not on the page", lang, w)
			}
		}
		t.Logf("%s: %d bytes", lang, len(body))
	}
}

// The dearest comes first, what comes back by itself is no payment, and a guess is marked.
func TestGroupsByWhoMustAct(t *testing.T) {
	list := []Standing{
		{Device: "a", Class: "arrears", Who: "owner", Verdict: "confirmed", Sales: 10},
		{Device: "b", Class: "arrears", Who: "owner", Verdict: "confirmed", Sales: 10},
		{Device: "c", Class: "antenna_fault", Who: "technician", Verdict: "likely", Sales: 30},
		{Device: "d", Class: "over_quota", Who: "owner", Verdict: "confirmed", Sales: 100, Resumes: "2026-11-27T00:00:00+08:00"},
		{Device: "e", Class: "over_quota", Who: "owner", Verdict: "confirmed", Sales: 5, Pool: "P1", Guessed: true},
		{Device: "f", Class: "ambiguous", Who: "technician", Verdict: "undecided", Sales: 4},
	}
	got := ""
	for _, g := range groups(list) {
		got += fmt.Sprintf("%s %s %s %s %d %.1f %v; ", g.Do, g.Class, g.Of, g.Resumes, g.N, g.AtStake, g.Guessed)
	}
	want := "wait over_quota  2026-11-27 1 100.0 false; visit antenna_fault   1 25.5 false; visit ambiguous   1 2.0 false; " +
		"pay arrears   2 20.0 false; pay over_quota P1  1 5.0 true; "
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestADevicesPage(t *testing.T) {
	srv := site(t, fleetOf(t, 200), Login{Open: Act})
	_, body := get(t, srv, "/device/vm-00040?lang=zh")
	for _, w := range []string{"vm-00040", "<polyline", "我来处理", "时间线"} {
		if !strings.Contains(body, w) {
			t.Errorf("%q is not on the page", w)
		}
	}
	_, body = get(t, srv, "/device/vm-00100?lang=en")
	if strings.Contains(body, "<b>all machines") || !strings.Contains(body, "&lt;b&gt;all machines") {
		t.Error("what a device says is not quoted")
	}
	if code, _ := get(t, srv, "/device/vm-99999"); code != 404 {
		t.Errorf("no such device: %d", code)
	}
	if code, _ := get(t, srv, "/find?q=vm-0004"); code != 303 {
		t.Errorf("find: %d", code)
	}
}

func post(t testing.TB, srv *httptest.Server, path string, form url.Values, head ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

func TestWhatPeopleDo(t *testing.T) {
	s := fleetOf(t, 200)
	srv := site(t, s, Login{Open: Act})
	var alert int64
	if err := s.QueryRow(t.Context(), "SELECT id FROM alert WHERE class = 'over_quota'").Scan(&alert); err != nil {
		t.Fatal(err)
	}
	same := []string{"Sec-Fetch-Site", "same-origin"}
	for _, do := range []string{"ack", "mute", "assign"} {
		r := post(t, srv, fmt.Sprintf("/alert/%d/%s", alert, do), url.Values{"whom": {"王工"}, "to": {"/device/vm-00040"}}, same...)
		if r.StatusCode != 303 || r.Header.Get("Location") != "/device/vm-00040" {
			t.Errorf("%s: %d to %s", do, r.StatusCode, r.Header.Get("Location"))
		}
	}
	post(t, srv, "/device/vm-00040/note", url.Values{"text": {"天线松动"}}, same...)
	_, body := get(t, srv, "/device/vm-00040?lang=zh")
	for _, w := range []string{"open 正在处理", "静音至", "已指派给 王工", "天线松动"} {
		if !strings.Contains(body, w) {
			t.Errorf("%q is not on the page", w)
		}
	}
	var n int
	if err := s.QueryRow(t.Context(), "SELECT count(*) FROM audit").Scan(&n); err != nil || n != 4 {
		t.Errorf("%d lines of audit, %v", n, err)
	}
	if r := post(t, srv, fmt.Sprintf("/alert/%d/ack", alert), nil, "Sec-Fetch-Site", "cross-site"); r.StatusCode != 403 {
		t.Errorf("another site may post: %d", r.StatusCode)
	}
	if r := post(t, srv, fmt.Sprintf("/alert/%d/ack", alert), url.Values{"to": {"//evil.example"}},
		same...); r.Header.Get("Location") != "/" {
		t.Errorf("it leads to %s", r.Header.Get("Location"))
	}
}

func TestLogins(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("geheim-1"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("long-random-token"))
	users, err := ReadUsers(strings.NewReader("# who may see\nli:act:cw:" + string(hash) + "\nwang:read:other:" + string(hash) +
		"\nrobot:read:cw:sha256:" + hex.EncodeToString(sum[:]) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	srv := site(t, fleetOf(t, 200), Login{Users: users, ProxyHeader: "X-User", ProxyRole: Reader,
		Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	if code, _ := get(t, srv, "/"); code != 303 {
		t.Errorf("nobody: %d", code)
	}
	if code, _ := get(t, srv, "/api/v1/overview"); code != 401 {
		t.Errorf("nobody at the API: %d", code)
	}
	if code, _ := get(t, srv, "/", "X-User", "mallory"); code != 303 {
		t.Errorf("a header from anywhere: %d", code)
	}
	if code, body := get(t, srv, "/api/v1/standing", "Authorization", "Bearer long-random-token"); code != 200 ||
		!strings.Contains(body, "vm-00040") {
		t.Errorf("a program's token: %d", code)
	}
	if code, _ := get(t, srv, "/api/v1/standing", "Authorization", "Bearer another"); code != 401 {
		t.Errorf("another token: %d", code)
	}
	login := func(user, password string) (int, string) {
		r := post(t, srv, "/login", url.Values{"user": {user}, "password": {password}, "to": {"/device/vm-00040"}}, "Sec-Fetch-Site",
			"same-origin")
		for _, c := range r.Cookies() {
			return r.StatusCode, c.Name + "=" + c.Value
		}
		return r.StatusCode, ""
	}
	if code, c := login("li", "wrong"); code != 401 || c != "" {
		t.Errorf("a wrong password: %d", code)
	}
	_, li := login("li", "geheim-1")
	if code, body := get(t, srv, "/", "Cookie", li); code != 200 || !strings.Contains(body, "vm-00") {
		t.Errorf("li: %d", code)
	}
	// Another tenant sees nothing of this one, and his role takes nothing on.
	_, wang := login("wang", "geheim-1")
	if code, body := get(t, srv, "/", "Cookie", wang); code != 200 || strings.Contains(body, "vm-00") {
		t.Errorf("wang: %d", code)
	}
	if code, _ := get(t, srv, "/device/vm-00040", "Cookie", wang); code != 404 {
		t.Errorf("wang, another's device: %d", code)
	}
	if r := post(t, srv, "/alert/1/ack", nil, "Cookie", wang, "Sec-Fetch-Site", "same-origin"); r.StatusCode != 403 {
		t.Errorf("wang takes on: %d", r.StatusCode)
	}
	if code, _ := get(t, srv, "/audit", "Cookie", li); code != 403 {
		t.Errorf("li and the audit: %d", code)
	}
	if code, _ := get(t, srv, "/", "Cookie", li[:len(li)-3]+"AAA"); code != 303 {
		t.Errorf("a forged cookie: %d", code)
	}
	for range maxFailed {
		login("li", "guess")
	}
	if code, _ := login("li", "geheim-1"); code != 401 {
		t.Errorf("after %d guesses: %d", maxFailed, code)
	}
}

func TestBadLoginFilesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"li:act:cw": "line 1: want name:role:tenant:hash", "\nli:boss:cw:x": `line 2: role "boss": want read, act or admin`,
		"li:act:cw:secret": "line 1: the hash is neither bcrypt",
	} {
		if _, err := ReadUsers(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := New(nil, Options{}); err == nil || !strings.Contains(err.Error(), "nobody could log in") {
		t.Error(err)
	}
	if _, err := New(nil, Options{Login: Login{ProxyHeader: "X-User"}}); err == nil || !strings.Contains(err.Error(),
		"needs the addresses") {
		t.Error(err)
	}
}

func TestListsAsCSVAndJSON(t *testing.T) {
	s := fleetOf(t, 200)
	if err := s.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE site SET name = '=HYPERLINK(1)'")
		return err
	}); err == nil {
		t.Error("two sites of one name")
	}
	if err := s.Tx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(t.Context(), "UPDATE site SET name = '=HYPERLINK(' || id || ')'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	srv := site(t, s, Login{Open: Reader})
	for what, least := range map[string]int{"standing": 6, "silences": 4, "sims": 2} {
		code, body := get(t, srv, "/export/"+what+".csv")
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(body, "\xef\xbb\xbf"))).ReadAll()
		if code != 200 || err != nil || len(rows) < least {
			t.Errorf("%s: %d, %d rows, %v", what, code, len(rows), err)
		}
		if strings.Contains(body, ",=HYPER") {
			t.Errorf("%s: a formula", what)
		}
	}
	if code, _ := get(t, srv, "/export/passwords.csv"); code != 404 {
		t.Error("an unknown list")
	}
	var doc struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for path, how := range doc.Paths {
		if how["get"] == nil || strings.Contains(path, "{") {
			continue
		}
		if code, body := get(t, srv, path); code != 200 || !json.Valid([]byte(body)) {
			t.Errorf("%s is in the description: %d", path, code)
		}
	}
	if code, _ := get(t, srv, "/api/v1/sims?limit=0"); code != 400 {
		t.Error("limit=0")
	}
}

// Every word has both languages, and every word that a page asks for is there.
func TestWords(t *testing.T) {
	for k, w := range words {
		if w[0] == "" || w[1] == "" || strings.Count(w[0], "%") != strings.Count(w[1], "%") {
			t.Errorf("%s: %q %q", k, w[0], w[1])
		}
	}
	for _, part := range strings.Split(pagesHTML, `.S "`)[1:] {
		if k, _, _ := strings.Cut(part, `"`); words[k][0] == "" {
			t.Errorf("the pages say %q, which has no words", k)
		}
	}
}

func BenchmarkOverview(b *testing.B) {
	s := fleetOf(b, 10_000)
	b.ResetTimer()
	for b.Loop() {
		if _, err := Read(b.Context(), s, "cw", now); err != nil {
			b.Fatal(err)
		}
	}
}
