package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"
	"cellwarden/agent/web/access"
)

var beijing = time.FixedZone("", 8*3600)

// device is a machine whose state the test sets, and which notes what is asked of it.
type device struct {
	mu      sync.Mutex
	status  localapi.Status
	err     error
	changed chan struct{}
	layer   chan localapi.Progress // a check goes on as the test tells; closed: it is over
	did     []string
	repair  []bool
}

func newDevice(s localapi.Status) *device {
	return &device{status: s, changed: make(chan struct{}, 1), layer: make(chan localapi.Progress)}
}

func (d *device) set(s localapi.Status, err error) {
	d.mu.Lock()
	d.status, d.err = s, err
	d.mu.Unlock()
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *device) deeds() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.did, " ")
}

func (d *device) Status(context.Context) (localapi.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status, d.err
}
func (d *device) Watch(context.Context) (<-chan struct{}, error) { return d.changed, nil }
func (d *device) PutEvent(context.Context, localapi.Event, bool) (localapi.Receipt, error) {
	return localapi.Receipt{}, errors.New("the page put an event")
}
func (d *device) Diagnose(ctx context.Context, tell func(localapi.Progress)) (diag.Diagnosis, error) {
	for {
		select {
		case p, more := <-d.layer:
			if !more {
				return diag.Diagnosis{}, nil
			}
			tell(p)
		case <-ctx.Done():
			return diag.Diagnosis{}, ctx.Err()
		}
	}
}
func (d *device) Usage(context.Context) (localapi.Usage, error) { return localapi.Usage{}, d.err }
func (d *device) History(context.Context, string, int) (localapi.History, error) {
	return localapi.History{}, d.err
}
func (d *device) Guard(context.Context) (localapi.Guard, error) { return localapi.Guard{}, d.err }
func (d *device) Record(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "the record")
	return err
}
func (d *device) Confirm(context.Context, localapi.Confirmation) error {
	return errors.New("the page confirmed")
}
func (d *device) Repair(_ context.Context, on bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.repair = append(d.repair, on)
	return nil
}
func (d *device) Hold(context.Context, time.Duration) error { return errors.New("the page held") }
func (d *device) Did(_ context.Context, what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.did = append(d.did, what)
	return nil
}

const actPIN, readPIN = "804512", "275190"

// pins are those of a machine; hashing them takes a while, so that all tests share them.
var pins = sync.OnceValue(func() access.Pins {
	var p access.Pins
	for role, pin := range map[access.Role]string{access.Reader: readPIN, access.Actor: actPIN} {
		if err := p.Set(role, pin); err != nil {
			panic(err)
		}
	}
	return p
})

func door() *access.Door {
	began := time.Now()
	return &access.Door{Now: func() time.Time { return began.Add(time.Since(began)) }, Pins: func() (access.Pins, error) { return pins(), nil }}
}

func page_(t *testing.T, d *device) http.Handler {
	return Handler(Options{Context: t.Context(), Backend: d, Door: door(), Location: beijing})
}

// ask is one request, from the machine itself or from the network.
func ask(h http.Handler, method, path, host, from string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader("{}"))
	r.Host, r.RemoteAddr = host, from+":40000"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryAnswerIsStrict(t *testing.T) {
	h := page_(t, newDevice(fixture.Statuses()["sim_absent"]))
	for _, tt := range []struct {
		method, path string
		code         int
		kind         string
	}{
		{"GET", "/", 200, "text/html"}, {"GET", "/page.css", 200, "text/css"}, {"GET", "/page.js", 200, "text/javascript"}, {"GET", "/tools.js", 200, "text/javascript"},
		{"GET", "/words?lang=zh", 200, "application/json"}, {"GET", "/view?lang=zh", 200, "application/json"}, {"GET", "/v1/status", 200, "application/json"},
		{"GET", "/page/", 404, ""}, {"GET", "/web.go", 404, ""}, {"GET", "/v1/record", 404, ""},
		{"GET", "/check", 405, ""}, {"GET", "/did", 405, ""}, {"GET", "/repair", 405, ""}, {"GET", "/bundle", 405, ""}, {"GET", "/login", 405, ""},
		{"POST", "/check", 403, ""}, {"POST", "/did", 403, ""}, {"POST", "/bundle", 403, ""}, {"POST", "/v1/events", 403, ""}, {"POST", "/", 404, ""},
	} {
		w := ask(h, tt.method, tt.path, "127.0.0.1:8788", "127.0.0.1")
		if w.Code != tt.code || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.kind) {
			t.Errorf("%s %s = %d %s, want %d %s", tt.method, tt.path, w.Code, w.Header().Get("Content-Type"), tt.code, tt.kind)
		}
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", tt.path, w.Header())
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: an open door: %v", tt.path, w.Header())
		}
	}
}

// The page must work on a machine whose line is dead, and cost no byte of a line that
// works: nothing in it may point elsewhere.
func TestPageNeedsNothingFromOutside(t *testing.T) {
	total := 0
	for _, name := range []string{"index.html", "page.css", "page.js", "tools.js"} {
		b, err := page.ReadFile("page/" + name)
		if err != nil {
			t.Fatal(err)
		}
		total += len(b)
		if m := regexp.MustCompile(`https?:|//[a-z0-9-]+\.|@import|url\(`).Find(b); m != nil {
			t.Errorf("%s: %q points outside", name, m)
		}
		if strings.HasSuffix(name, ".html") && regexp.MustCompile(`(?i)<script>|\son[a-z]+=|style=`).Match(b) {
			t.Errorf("%s: inline script or style, which the policy forbids", name)
		}
		if regexp.MustCompile(`innerHTML|outerHTML *=|insertAdjacentHTML|document\.write|eval\(`).Match(b) {
			t.Errorf("%s: text is set as HTML", name)
		}
	}
	t.Logf("the page is %d bytes", total)
	if total > 48<<10 {
		t.Errorf("the page is %d bytes, at most 48 KiB of the binary", total)
	}
}

func TestForeignNamesAreRefused(t *testing.T) {
	d := door()
	d.Names = []string{"vm17.local"}
	h := Handler(Options{Backend: newDevice(fixture.Statuses()["healthy"]), Door: d, Location: beijing})
	for host, want := range map[string]int{
		"127.0.0.1:8788": 200, "[::1]:8788": 200, "localhost": 200, "vm17.local:8788": 200,
		"evil.example": 421, "127.0.0.1.evil.example:8788": 421, "other.local": 421, "192.168.4.1": 421, "": 421,
	} {
		if w := ask(h, "GET", "/view", host, "127.0.0.1"); w.Code != want {
			t.Errorf("host %q = %d, want %d", host, w.Code, want)
		}
	}
}

// On the network nothing is told before a PIN is given, and a page that has none lets
// nobody in but says what to do.
func TestNetworkNeedsAPIN(t *testing.T) {
	d := door()
	d.Names = []string{"vm17.local"}
	o := Options{Backend: newDevice(fixture.Statuses()["healthy"]), Door: d, Location: beijing, OnNetwork: true}
	h := Handler(o)
	for path, want := range map[string]int{"/": 200, "/session": 200, "/words": 200, "/view": 401, "/live": 401, "/v1/status": 401} {
		if w := ask(h, "GET", path, "vm17.local", "192.168.4.77"); w.Code != want {
			t.Errorf("%s = %d, want %d", path, w.Code, want)
		}
	}
	if w := ask(h, "GET", "/session", "vm17.local", "192.168.4.77"); !strings.Contains(w.Body.String(), `"role":"nobody"`) || !strings.Contains(w.Body.String(), `"token":""`) {
		t.Errorf("a stranger got %s", w.Body)
	}
	d.Pins = func() (access.Pins, error) { return access.Pins{}, nil }
	w := ask(h, "GET", "/", "vm17.local", "192.168.4.77")
	if w.Code != 403 || !strings.Contains(w.Body.String(), "cellwarden pin set") {
		t.Errorf("without a PIN = %d %s", w.Code, w.Body)
	}
}

func TestViewSaysWhatStatusSays(t *testing.T) {
	for name, s := range fixture.Statuses() {
		for _, lang := range text.Langs {
			w := ask(page_(t, newDevice(s)), "GET", "/view?lang="+string(lang), "localhost", "127.0.0.1")
			var got struct{ Page view.Page }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := view.Build(lang, beijing, s)
			if got.Page.Title != want.Title || got.Page.Lang != lang || len(got.Page.Rows) != len(want.Rows) {
				t.Errorf("%s %s: got %+v", name, lang, got.Page)
			}
			// The script walks these without asking whether they are there.
			for _, list := range []string{"candidates", "ladder", "steps", "for", "against", "unknown", "warnings", "troubles", "rows", "probes", "deeds"} {
				if strings.Contains(w.Body.String(), `"`+list+`":null`) {
					t.Errorf("%s: %s is null", name, list)
				}
			}
		}
	}
	d := newDevice(localapi.Status{})
	d.err = context.DeadlineExceeded
	if w := ask(page_(t, d), "GET", "/view", "localhost", "127.0.0.1"); w.Code != 503 {
		t.Errorf("a stuck loop = %d, want 503", w.Code)
	}
}

// Every word that the script says is there, in both languages.
func TestScriptHasItsWords(t *testing.T) {
	for _, lang := range text.Langs {
		w := ask(page_(t, newDevice(localapi.Status{})), "GET", "/words?lang="+string(lang), "localhost", "127.0.0.1")
		var got map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, name := range []string{"page.js", "tools.js"} {
			js, err := page.ReadFile("page/" + name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?:say|head)\("(\w+)"`).FindAllSubmatch(js, -1) {
				n++
				if got[string(m[1])] == "" {
					t.Errorf("%s: %s says %q, which has no words", lang, name, m[1])
				}
			}
		}
		for _, d := range localapi.Deeds {
			if got["deed."+d] == "" {
				t.Errorf("%s: no words for the deed %s", lang, d)
			}
		}
		if n < 40 {
			t.Errorf("only %d words were looked for", n)
		}
	}
}
