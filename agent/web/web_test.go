package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
)

var beijing = time.FixedZone("", 8*3600)

type device struct {
	status localapi.Status
	err    error
}

func (d *device) Status(context.Context) (localapi.Status, error) { return d.status, d.err }
func (d *device) PutEvent(context.Context, localapi.Event, bool) (localapi.Receipt, error) {
	return localapi.Receipt{}, errors.New("the page put an event")
}
func (d *device) Diagnose(context.Context, func(localapi.Progress)) (diag.Diagnosis, error) {
	return diag.Diagnosis{}, errors.New("the page started a diagnosis")
}
func (d *device) Usage(context.Context) (localapi.Usage, error) { return localapi.Usage{}, d.err }
func (d *device) History(context.Context, string, int) (localapi.History, error) {
	return localapi.History{}, d.err
}
func (d *device) Guard(context.Context) (localapi.Guard, error) { return localapi.Guard{}, d.err }
func (d *device) Record(context.Context, io.Writer) error {
	return errors.New("the page read the record")
}
func (d *device) Confirm(context.Context, localapi.Confirmation) error {
	return errors.New("the page confirmed")
}

func ask(h http.Handler, method, path, host string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPageIsReadOnlyAndStrict(t *testing.T) {
	h := handler(&device{status: fixture.Statuses()["sim_absent"]}, beijing)
	for _, tt := range []struct {
		method, path string
		code         int
		kind         string
	}{
		{"GET", "/", 200, "text/html"}, {"GET", "/page.css", 200, "text/css"}, {"GET", "/page.js", 200, "text/javascript"},
		{"GET", "/view?lang=zh", 200, "application/json"}, {"GET", "/v1/status", 200, "application/json"},
		{"GET", "/page/", 404, ""}, {"GET", "/web.go", 404, ""}, {"GET", "/v1/record", 404, ""},
		{"POST", "/v1/events", 405, ""}, {"POST", "/v1/diagnose", 405, ""}, {"POST", "/v1/confirm", 405, ""}, {"POST", "/", 405, ""},
	} {
		w := ask(h, tt.method, tt.path, "127.0.0.1:8480")
		if w.Code != tt.code || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.kind) {
			t.Errorf("%s %s = %d %s, want %d %s", tt.method, tt.path, w.Code, w.Header().Get("Content-Type"), tt.code, tt.kind)
		}
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", tt.path, w.Header())
		}
		if w.Header().Get("Set-Cookie") != "" || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: a cookie or an open door: %v", tt.path, w.Header())
		}
	}
}

// The page must work on a machine whose line is dead, and cost no byte of a
// line that works: nothing in it may point elsewhere.
func TestPageNeedsNothingFromOutside(t *testing.T) {
	total := 0
	for _, name := range []string{"index.html", "page.css", "page.js"} {
		b, err := page.ReadFile("page/" + name)
		if err != nil {
			t.Fatal(err)
		}
		total += len(b)
		if m := regexp.MustCompile(`(?i)https?:|//[a-z0-9-]+\.|@import|url\(`).Find(b); m != nil {
			t.Errorf("%s: %q points outside", name, m)
		}
		if name != "page.js" && regexp.MustCompile(`(?i)<script>|\son[a-z]+=|style=`).Match(b) {
			t.Errorf("%s: inline script or style, which the policy forbids", name)
		}
		if regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(`).Match(b) {
			t.Errorf("%s: text is set as HTML", name)
		}
	}
	if total > 24<<10 {
		t.Errorf("the page is %d bytes, at most 24 KiB of the binary", total)
	}
}

func TestForeignNamesAreRefused(t *testing.T) {
	h := handler(&device{}, beijing)
	for host, want := range map[string]int{
		"127.0.0.1:8480": 200, "192.168.4.1": 200, "[::1]:8480": 200, "localhost": 200, "vm17": 200, "vm17.local:8480": 200,
		"evil.example": 421, "127.0.0.1.evil.example:8480": 421, "": 421,
	} {
		if w := ask(h, "GET", "/view", host); w.Code != want {
			t.Errorf("host %q = %d, want %d", host, w.Code, want)
		}
	}
}

func TestViewSaysWhatStatusSays(t *testing.T) {
	for name, s := range fixture.Statuses() {
		for _, lang := range text.Langs {
			w := ask(handler(&device{status: s}, beijing), "GET", "/view?lang="+string(lang), "localhost")
			var got struct {
				Page   view.Page
				Labels map[string]string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := view.Build(lang, beijing, s)
			if got.Page.Title != want.Title || got.Page.Lang != lang || len(got.Page.Rows) != len(want.Rows) {
				t.Errorf("%s %s: got %+v", name, lang, got.Page)
			}
			for _, l := range labels {
				if got.Labels[l] == "" || strings.HasPrefix(got.Labels[l], "ui.") {
					t.Errorf("%s: no label %s", lang, l)
				}
			}
			// The script walks these without asking whether they are there.
			for _, list := range []string{"candidates", "ladder", "steps", "for", "against", "unknown", "warnings", "troubles", "rows", "probes"} {
				if strings.Contains(w.Body.String(), `"`+list+`":null`) {
					t.Errorf("%s: %s is null", name, list)
				}
			}
		}
	}
	if w := ask(handler(&device{err: context.DeadlineExceeded}, beijing), "GET", "/view", "localhost"); w.Code != 503 {
		t.Errorf("a stuck loop = %d, want 503", w.Code)
	}
}

// Every label that the script reads is sent.
func TestScriptLabels(t *testing.T) {
	js, err := page.ReadFile("page/page.js")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`labels\.(\w+)`).FindAllSubmatch(js, -1) {
		used[string(m[1])] = true
	}
	for _, l := range labels {
		if !used[l] {
			t.Errorf("label %s is sent and not used", l)
		}
		delete(used, l)
	}
	if len(used) > 0 {
		t.Errorf("labels used and not sent: %v", used)
	}
}

// chromium runs a headless browser on url and returns its standard output.
func chromium(t *testing.T, url string, args ...string) string {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: no chromium here, the page was not rendered (Debian: apt-get install chromium)")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	base := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + dir, "--window-size=420,900", "--virtual-time-budget=3000"}
	cmd := exec.CommandContext(ctx, bin, append(append(base, args...), url)...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return string(out)
}

func TestBrowserShowsTheVerdictInBothLanguages(t *testing.T) {
	t.Parallel()
	s := fixture.Statuses()["over_quota"]
	// What comes from a modem or a broker must stay text.
	s.Uplink.LastError = `<img src=x onerror="document.title='broken'">`
	d := &device{status: s}
	var foreign atomic.Int32
	h := handler(d, beijing)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Path; p != "/" && p != "/view" && p != "/page.css" && p != "/page.js" {
			foreign.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	for _, lang := range text.Langs {
		dom := chromium(t, srv.URL+"/?lang="+string(lang), "--dump-dom")
		p := view.Build(lang, beijing, s)
		for _, want := range []string{"<h1>" + p.Title + "</h1>", `<html lang="` + string(lang) + `"`, p.Do, p.Steps[0], p.Verdict, "&lt;img src=x", `aria-valuenow="100"`} {
			if !strings.Contains(dom, want) {
				t.Errorf("%s: %q is not on the page", lang, want)
			}
		}
		if strings.Contains(dom, "<img") || strings.Contains(dom, "<title>broken") {
			t.Errorf("%s: text became HTML", lang)
		}
	}
	if n := foreign.Load(); n > 0 {
		t.Errorf("%d requests for something that is not the page's", n)
	}
}

// A stuck agent is said as such, asked again ever more slowly, and the page
// comes back by itself.
func TestBrowserWaitsForAnAgentThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	h := handler(&device{status: fixture.Statuses()["healthy"]}, beijing)
	answers := int32(0) // the question from which on the agent answers; 0: never
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/view" {
			if n := asked.Add(1); answers == 0 || n < answers {
				http.Error(w, "stuck", http.StatusServiceUnavailable)
				return
			}
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	dom := chromium(t, srv.URL+"/?lang=en", "--dump-dom", "--virtual-time-budget=62000")
	if !strings.Contains(dom, "does not answer; trying again") {
		t.Error("the page does not say that the agent is silent")
	}
	// At 0, 10 and 30 s; the next would come at 70 s.
	if n := asked.Load(); n < 2 || n > 3 {
		t.Errorf("asked %d times in a minute, want 3: it backs off", n)
	}
	asked.Store(0)
	answers = 3
	dom = chromium(t, srv.URL+"/?lang=en", "--dump-dom", "--virtual-time-budget=62000")
	if !strings.Contains(dom, "<h1>Online, all well</h1>") || strings.Contains(dom, "trying again") {
		t.Error("the page did not come back when the agent did")
	}
}

// CELLWARDEN_SHOTS=DIR go test ./agent/web -run Screenshots writes a picture of
// each fixture, for eyes; CELLWARDEN_SHOT_SIZE=1280,1100 as a desktop shows it.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("CELLWARDEN_SHOTS")
	if dir == "" {
		t.Skip("set CELLWARDEN_SHOTS to a folder to get pictures of the page")
	}
	for name, s := range fixture.Statuses() {
		srv := httptest.NewServer(handler(&device{status: s}, beijing))
		for _, lang := range text.Langs {
			file := filepath.Join(dir, name+"."+string(lang)+".png")
			chromium(t, srv.URL+"/?lang="+string(lang), "--screenshot="+file, "--window-size="+cmp.Or(os.Getenv("CELLWARDEN_SHOT_SIZE"), "420,1500"))
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		}
		srv.Close()
	}
}
