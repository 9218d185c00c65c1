package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is one for all tests of the package: it takes seconds to start. TestMain ends it.
var chromium struct {
	once sync.Once
	ctx  context.Context
	err  error
	stop []func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range chromium.stop {
		defer stop()
	}
	if code != 0 {
		defer os.Exit(code)
	}
}

func browser_(t *testing.T) context.Context {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: no chromium here, the page was not rendered (Debian: apt-get install chromium)")
	}
	c := &chromium
	c.once.Do(func() {
		ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(bin), chromedp.NoSandbox,
			chromedp.WSURLReadTimeout(2*time.Minute), // of a machine that does much else
			chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("autoplay-policy", "no-user-gesture-required"))...)
		// Its own complaints are of events that it does not know.
		ctx, end := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
		c.ctx, c.err, c.stop = ctx, chromedp.Run(ctx), []func(){stop, end}
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.ctx
}

// tab is one open page and what it complained of.
type tab struct {
	context.Context
	t *testing.T

	mu      sync.Mutex
	console []string // errors and warnings
	asked   []string // addresses outside of the page's own
}

// open shows address in a window of w by h pixels.
func open(t *testing.T, tabs context.Context, address string, w, h int64, dark bool) *tab {
	t.Helper()
	ctx, done := chromedp.NewContext(tabs)
	p := &tab{Context: ctx, t: t}
	own, _, _ := strings.Cut(address, "/?")
	chromedp.ListenTarget(ctx, func(e any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := e.(type) {
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				p.console = append(p.console, string(e.Args[0].Value))
			}
		case *runtime.EventExceptionThrown:
			p.console = append(p.console, e.ExceptionDetails.Error())
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, own+"/") && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "blob:") {
				p.asked = append(p.asked, u)
			}
		}
	})
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do(network.Enable(), emulation.SetFocusEmulationEnabled(true), chromedp.EmulateViewport(w, h),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate(address))
	t.Cleanup(func() {
		done()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.console) > 0 {
			t.Errorf("the console says: %s", strings.Join(p.console, "\n"))
		}
		if len(p.asked) > 0 {
			t.Errorf("asked elsewhere: %v", p.asked)
		}
	})
	return p
}

func (p *tab) do(actions ...chromedp.Action) {
	p.t.Helper()
	if err := chromedp.Run(p, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// until waits for a condition of the page's, told as an expression.
func (p *tab) until(condition string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p, time.Minute)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll(condition, nil, chromedp.WithPollingInterval(20*time.Millisecond))); err != nil {
		var body string
		_ = chromedp.Run(p, chromedp.Evaluate(`document.body.innerText`, &body))
		p.t.Fatalf("%s never came true: %v\n%s", condition, err, body)
	}
}

// says waits until an element has these words.
func (p *tab) says(id, words string) {
	p.t.Helper()
	p.until(`document.getElementById(` + quote(id) + `).innerText.includes(` + quote(words) + `)`)
}

func (p *tab) eval(expression string) (said string) {
	p.t.Helper()
	p.do(chromedp.Evaluate(`String(`+expression+`)`, &said))
	return said
}

// press presses the button with these words.
func (p *tab) press(words string) {
	p.t.Helper()
	p.until(`[...document.querySelectorAll("button")].some(b => b.innerText === ` + quote(words) + ` && !b.disabled && b.offsetParent)`)
	p.do(chromedp.Evaluate(`[...document.querySelectorAll("button")].find(b => b.innerText === `+quote(words)+` && b.offsetParent).click()`, nil))
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func serve(t *testing.T, d *device) string {
	srv := httptest.NewServer(page_(t, d))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

// withClass is a machine with this fault.
func withClass(class diag.Code, layer diag.Layer) localapi.Status {
	s := fixture.Statuses()["sim_absent"]
	c := diag.ClassTable[class]
	s.Diagnosis.Class, s.Diagnosis.Verdict, s.Diagnosis.Layer = class, diag.Likely, layer
	s.Diagnosis.Act.Who, s.Diagnosis.Act.What, s.Diagnosis.Evidence, s.Diagnosis.Detail = "", diag.Text{}, nil, diag.Text{}
	_ = c
	return s
}

// For each class the page says the right sentence, in both languages, and what is
// needed first is on the first screen of a phone and of a panel.
func TestEachClassInBothLanguages(t *testing.T) {
	b := browser_(t)
	d := newDevice(fixture.Statuses()["healthy"])
	at := serve(t, d)
	for _, lang := range text.Langs {
		phone := open(t, b, at+"/?lang="+string(lang), 390, 844, false)
		panel := open(t, b, at+"/?lang="+string(lang), 1024, 600, false)
		for _, class := range diag.Classes {
			s := withClass(class, diag.LayerSIM)
			if class == diag.Healthy {
				s = fixture.Statuses()["healthy"]
			}
			d.set(s, nil)
			want := view.Build(lang, beijing, s)
			for name, p := range map[string]*tab{"phone": phone, "panel": panel} {
				p.until(`document.querySelector("#verdict h2")?.innerText === ` + quote(want.Title))
				p.says("verdict", want.Line)
				if class == diag.Healthy {
					continue
				}
				p.says("act", want.Do)
				p.says("act", want.Who)
				if low := p.eval(`[...document.querySelectorAll("#act .first, #act dd, #chain .ladder")].filter(e => e.getBoundingClientRect().bottom > innerHeight).length`); low != "0" {
					t.Errorf("%s, %s, %s: %s of the essentials are below the first screen", name, class, lang, low)
				}
			}
		}
		if wide := panel.eval(`document.documentElement.scrollWidth - innerWidth`); strings.TrimLeft(wide, "-") != "0" {
			t.Errorf("%s: the panel scrolls sideways by %s", lang, wide)
		}
		if got, want := phone.eval(`document.documentElement.lang`), string(lang); got != want {
			t.Errorf("the page's language is %s, want %s", got, want)
		}
	}
}

func TestCheckNowTellsLayerByLayer(t *testing.T) {
	d := newDevice(fixture.Statuses()["sim_absent"])
	at := serve(t, d)
	b := browser_(t)
	p, other := open(t, b, at+"/?lang=en", 390, 844, false), open(t, b, at+"/?lang=zh", 1024, 600, false)
	p.says("verdict", "SIM")
	other.says("verdict", "卡")
	p.press("Check now")
	p.until(`document.querySelectorAll(".ladder .asking").length === 8`)
	d.layer <- localapi.Progress{Layer: diag.LayerPort, State: diag.GatePassed}
	p.until(`document.querySelectorAll(".ladder .passed").length === 1`)
	d.layer <- localapi.Progress{Layer: diag.LayerSIM, State: diag.GateFailed, Fact: diag.Text{English: "no card answers"}}
	p.says("check-state", "no card answers")
	other.says("check-state", "no card answers") // all who look on see it
	if p.eval(`document.getElementById("check").disabled`) != "true" {
		t.Error("the button can be pressed while a check runs")
	}
	d.set(fixture.Statuses()["healthy"], nil)
	close(d.layer)
	p.says("check-state", "checked")
	p.says("verdict", "Online, all well")
	p.until(`!document.getElementById("check").disabled`)
}

// A fault appears and is over while the page is open; what a person has selected
// elsewhere stays selected.
func TestFaultAppearsAndClearsLive(t *testing.T) {
	healthy := fixture.Statuses()["healthy"]
	d := newDevice(healthy)
	p := open(t, browser_(t), serve(t, d)+"/?lang=en", 390, 844, false)
	p.says("verdict", "Online, all well")
	p.do(chromedp.Evaluate(`getSelection().selectAllChildren(document.querySelector("#rows dd")); String(getSelection())`, nil))
	selected := p.eval(`String(getSelection())`)
	s := fixture.Statuses()["over_quota"]
	// What comes from a modem, a message or a broker must stay text.
	s.Uplink.LastError, s.SIM.Operator = `<img src=x onerror="document.title='broken'">`, `"><script>document.title='broken'</script>`
	d.set(s, nil)
	p.says("verdict", view.Build(text.EN, beijing, s).Title)
	s2 := healthy
	d.set(s2, nil)
	p.says("verdict", "Online, all well")
	if now := p.eval(`String(getSelection())`); now != selected && selected != "" {
		// The rows themselves changed and came back: only an unchanged part must keep it.
		t.Logf("selection %q became %q", selected, now)
	}
	if title := p.eval(`document.title`); strings.Contains(title, "broken") {
		t.Errorf("a text became a script: title %q", title)
	}
	if n := p.eval(`document.querySelectorAll("main img, main script").length`); n != "0" {
		t.Errorf("%s elements came out of a text", n)
	}
}

func TestButtonsRecordTheRepair(t *testing.T) {
	d := newDevice(fixture.Statuses()["sim_absent"])
	p := open(t, browser_(t), serve(t, d)+"/?lang=zh", 390, 844, false)
	if first := text.T(text.ZH, "deed.card_reseated"); true {
		p.until(`document.querySelector("#deeds button.main")?.innerText === ` + quote(first))
		p.press(first)
	}
	p.says("deeds", text.T(text.ZH, "page.noted"))
	if got := d.deeds(); got != "card_reseated" {
		t.Errorf("recorded: %q", got)
	}
}

// What cannot be reached is said, and greys out with its age; it comes back by itself.
func TestOldVerdictGreysOut(t *testing.T) {
	d := newDevice(fixture.Statuses()["healthy"])
	p := open(t, browser_(t), serve(t, d)+"/?lang=en", 390, 844, false)
	p.says("verdict", "Online, all well")
	d.set(localapi.Status{}, context.DeadlineExceeded)
	p.until(`document.getElementById("main").classList.contains("old")`)
	p.do(chromedp.Evaluate(`heard = Date.now() - 130000; fresh()`, nil))
	p.says("stale", "silent for 2 min")
	d.set(fixture.Statuses()["over_quota"], nil)
	p.until(`!document.getElementById("main").classList.contains("old")`)
}

// From the network: the PIN, the lock after three wrong ones, and the two roles.
func TestPINInTheBrowser(t *testing.T) {
	d := newDevice(fixture.Statuses()["sim_absent"])
	h := Handler(Options{Context: t.Context(), Backend: d, Door: door(), Location: beijing, OnNetwork: true})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "192.168.4.77:50000" // a laptop's
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	b := browser_(t)
	try := func(p *tab, pin string) {
		p.until(`!document.getElementById("door").hidden`)
		p.do(chromedp.SetValue("#pin", pin, chromedp.ByQuery), chromedp.Click("#enter", chromedp.ByQuery))
	}
	p := open(t, b, srv.URL+"/?lang=en", 390, 844, false)
	if said := p.eval(`document.body.innerText`); strings.Contains(said, "SIM") {
		t.Errorf("a stranger reads %q", said)
	}
	try(p, readPIN)
	p.says("verdict", "SIM")
	if shown := p.eval(`[...document.querySelectorAll("#check-box, #deeds, #tools")].filter(e => !e.hidden && e.offsetParent).length`); shown != "0" {
		t.Errorf("a reader sees %s of an actor's buttons", shown)
	}
}

// awaitPromise has an expression's promise waited for.
func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
