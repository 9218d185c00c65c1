package web

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/journal"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/localapi/view"
	"cellwarden/agent/text"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
)

// whole is a machine with all that a whole agent has.
type whole struct {
	*device
	entries []journal.Entry
	aimed   int
}

func num(v float64) *float64 { return &v }

func (w *whole) Chronicle(context.Context, time.Time) (localapi.Chronicle, error) {
	c := localapi.Chronicle{Entries: w.entries}
	for i := range 288 {
		p := localapi.LevelPoint{Unix: 1_795_300_000 + int64(i)*300, RSRP: num(-95 + float64(i%40)/2), SINR: num(12)}
		if i/20 != 5 { // an hour and a half without a reading
			c.Levels = append(c.Levels, p)
		}
	}
	return c, nil
}
func (w *whole) Identities(context.Context) (localapi.Identities, error) {
	return localapi.Identities{ICCID: "89860000000000000017", IMEI: "860000000000017"}, nil
}
func (w *whole) Aim(_ context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d > 0 {
		w.aimed++
	}
	return nil
}
func (w *whole) Usage(context.Context) (localapi.Usage, error) {
	u := *w.status.Usage
	u.CycleEndBytes, u.PlusMinusBytes = 24_000_000, 3_000_000
	return u, nil
}
func (w *whole) History(context.Context, string, int) (localapi.History, error) {
	h := localapi.History{By: "day"}
	for d := range 21 {
		h.Rows = append(h.Rows, localapi.UsageRow{From: time.Date(2026, 11, 1+d, 0, 0, 0, 0, beijing).Format(time.DateOnly), TotalBytes: uint64(400_000 + d*20_000)})
	}
	return h, nil
}

func wholeMachine(name string) *whole {
	return &whole{device: newDevice(fixture.Statuses()[name]), entries: []journal.Entry{
		{Unix: 1_795_312_000, Kind: journal.Started}, {Unix: 1_795_313_000, Kind: journal.Fault, What: "sim_absent", Why: "confirmed"},
		{Unix: 1_795_313_300, Kind: journal.Step, What: "reread", Why: "no_help"}, {Unix: 1_795_314_000, Kind: journal.Deed, What: "card_reseated"},
		{Unix: 1_795_314_060, Kind: journal.Over, What: "sim_absent", Why: "recovered", Lasted: 1060}, {Unix: 1_795_320_000, Kind: journal.Message, What: "stop_arrears"},
		{Unix: 1_795_321_000, Kind: journal.Restart, Count: 3}, {Unix: 1_795_322_000, Kind: `<img src=x onerror="document.title='broken'">`},
	}}
}

// serveWhole serves w to a browser at the machine.
func serveWhole(t *testing.T, w *whole) string {
	srv := httptest.NewServer(Handler(Options{Context: t.Context(), Backend: w, Door: door(), Location: beijing}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

// A plot's figures are in its label, where a screen reader finds them.
func TestPlotsSayTheirFigures(t *testing.T) {
	w := wholeMachine("healthy")
	c, _ := w.Chronicle(t.Context(), time.Time{})
	u, _ := w.Usage(t.Context())
	h, _ := w.History(t.Context(), "day", plotDays)
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, beijing)
	for _, lang := range text.Langs {
		for name, tt := range map[string]struct {
			drawn string
			says  []string
		}{
			"signal": {signalPlot(lang, beijing, c.Levels), []string{"-95", "-76", "dBm"}},
			"usage":  {usagePlot(lang, u, h, now), []string{"12.0 MB", "2026-11-01", "30.0 MB", "22.9 MB", `class="cone"`, `class="quota"`}},
		} {
			if !strings.HasPrefix(tt.drawn, "<svg ") || !strings.HasSuffix(tt.drawn, "</svg>") || !strings.Contains(tt.drawn, `role="img"`) {
				t.Fatalf("%s: %.200s", name, tt.drawn)
			}
			for _, s := range tt.says {
				if !strings.Contains(tt.drawn, s) {
					t.Errorf("%s, %s: %q is not in %.400s", name, lang, s, tt.drawn)
				}
			}
			if strings.Contains(tt.drawn, "NaN") || len(tt.drawn) > 24<<10 {
				t.Errorf("%s: %d bytes, or a NaN", name, len(tt.drawn))
			}
		}
	}
	if got := signalPlot(text.EN, beijing, nil) + usagePlot(text.EN, localapi.Usage{}, localapi.History{}, now); got != "" {
		t.Errorf("drawn from nothing: %s", got)
	}
}

// The full numbers are for who may act, behind the token; pictures and diary have none.
func TestNumbersStayBehindTheToken(t *testing.T) {
	w := wholeMachine("sim_absent")
	h := Handler(Options{Context: t.Context(), Backend: w, Door: door(), Location: beijing})
	for _, path := range []string{"/view", "/log", "/plot?of=usage", "/plot?of=signal", "/v1/status", "/words", "/session", "/identities", "/qr?of=iccid"} {
		if r := ask(h, "GET", path, "localhost", "127.0.0.1"); strings.Contains(r.Body.String(), w.mustICCID(t)) {
			t.Errorf("GET %s shows the card's number", path)
		}
	}
	if r := ask(h, "POST", "/identities", "localhost", "127.0.0.1"); r.Code != 403 {
		t.Errorf("without the token = %d", r.Code)
	}
	s := ask(h, "GET", "/session", "localhost", "127.0.0.1")
	var got struct{ Token string }
	if err := json.Unmarshal(s.Body.Bytes(), &got); err != nil || got.Token == "" {
		t.Fatalf("%s %v", s.Body, err)
	}
	cookie := strings.Split(s.Header().Get("Set-Cookie"), ";")[0]
	head := []string{"Cookie", cookie, "X-Cellwarden-Token", got.Token}
	if r := ask(h, "POST", "/identities", "localhost", "127.0.0.1", head...); r.Code != 200 || !strings.Contains(r.Body.String(), w.mustICCID(t)) {
		t.Errorf("with the token = %d %s", r.Code, r.Body)
	}
	if r := ask(h, "POST", "/identities", "localhost", "127.0.0.1", append(head, "Origin", "http://evil.example")...); r.Code != 403 {
		t.Errorf("from a foreign page = %d", r.Code)
	}
	if r := ask(h, "POST", "/handover", "localhost", "127.0.0.1", head...); r.Code != 200 || strings.Contains(r.Body.String(), w.mustICCID(t)) || r.Body.Len() > 1500 {
		t.Errorf("the hand-over = %d, %d bytes: %s", r.Code, r.Body.Len(), r.Body)
	}
}

func (w *whole) mustICCID(t *testing.T) string {
	i, err := w.Identities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i.ICCID
}

func TestToolsInTheBrowser(t *testing.T) {
	w := wholeMachine("sim_absent")
	w.status.Radio = fixture.Statuses()["healthy"].Radio
	p := open(t, browser_(t), serveWhole(t, w)+"/?lang=en", 390, 844, false)
	p.until(`document.querySelectorAll("#plot-signal svg, #plot-usage svg").length === 2`)
	p.says("timeline", "technician: Card reseated")
	p.says("timeline", `<img src=x`)
	if n := p.eval(`document.querySelectorAll("main img").length`); n != "0" {
		t.Errorf("%s elements came out of the diary", n)
	}
	p.press("Card and modem numbers")
	p.says("dialog", "89860000000000000017")
	p.do(chromedp.Evaluate(`[...document.querySelectorAll("#dialog button")].find(b => b.innerText === "QR code").click()`, nil))
	p.until(`document.querySelectorAll("#dialog svg.qr path").length === 1`)
	p.press("Close")
	p.until(`!document.body.innerText.includes("89860000000000000017")`)
	p.press("Hand over")
	p.says("dialog", view.Build(text.EN, beijing, w.status).Title)
	p.until(`document.querySelectorAll("#dialog svg.qr path").length === 1`)
	p.press("Close")
	p.press("Aim the antenna")
	p.until(`document.querySelector("#dialog .big")?.innerText === "-92"`)
	s := w.status
	s.Radio.RSRP = num(-85)
	w.set(s, nil)
	p.until(`document.querySelector("#dialog .big")?.innerText === "-85"`)
	s.Radio.RSRP = num(-99)
	w.set(s, nil)
	p.until(`document.querySelector("#dialog .big")?.innerText === "-99"`)
	p.says("dialog", "best so far -85")
	p.press("Tone on")
	p.press("Another card works here")
	p.says("dialog", "noted")
	p.press("Close")
	if got := w.deeds(); got != "cross_card_here_ok" {
		t.Errorf("the cross-test is not recorded: %q", got)
	}
	p.do(browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(t.TempDir()))
	p.press("Support bundle")
	p.says("tools", "saved as cellwarden-")
}

func TestOneLineForADisplay(t *testing.T) {
	h := page_(t, newDevice(fixture.Statuses()["sim_absent"]))
	for path, want := range map[string]string{"/v1/line?lang=zh": "E06 " + text.Class(text.ZH, "sim_absent").Title + "\n", "/v1/line?lang=en": "E06 No SIM card found\n"} {
		if w := ask(h, "GET", path, "localhost", "127.0.0.1"); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%s = %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
}
