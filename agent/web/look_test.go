package web

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/text"

	"github.com/chromedp/chromedp"
)

// axe (Deque, MPL 2.0, npm axe-core 4.10.3) finds nothing to complain of, in both
// languages, light and dark, on a phone and on a panel, with a dialog open.
func TestAxeFindsNothing(t *testing.T) {
	axe, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	b := browser_(t)
	for _, tt := range []struct {
		state string
		lang  text.Lang
		w, h  int64
		dark  bool
	}{
		{"over_quota", text.ZH, 390, 844, false}, {"sim_absent", text.EN, 1024, 600, false}, {"healthy", text.ZH, 390, 844, true},
		{"undecided", text.EN, 390, 844, true}, {"troubles", text.ZH, 1024, 600, true},
	} {
		m := wholeMachine(tt.state)
		if m.status.Usage == nil {
			m.status.Usage = fixture.Statuses()["healthy"].Usage
		}
		p := open(t, b, serveWhole(t, m)+"/?lang="+string(tt.lang), tt.w, tt.h, tt.dark)
		p.until(`document.querySelectorAll("#plot-signal svg").length === 1 && document.querySelector("#timeline li")`)
		p.do(chromedp.Evaluate(string(axe)+";0", nil))
		for _, where := range []string{"page", "dialog"} {
			if where == "dialog" {
				p.press(text.T(tt.lang, "page.aim"))
				p.until(`document.querySelector("#dialog").open`)
			}
			var said string
			p.do(chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.nodes.map(n => n.target + " " + n.failureSummary).join(" | "))))`, &said,
				chromedp.EvalAsValue, awaitPromise))
			var found []string
			if err := json.Unmarshal([]byte(said), &found); err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				t.Errorf("%s %s dark=%v %s: %s", tt.state, tt.lang, tt.dark, where, f)
			}
		}
	}
}

// CELLWARDEN_SHOTS=DIR go test ./agent/web -run Screenshots writes the pictures of the
// README, for eyes.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("CELLWARDEN_SHOTS")
	if dir == "" {
		t.Skip("set CELLWARDEN_SHOTS to a folder to get pictures of the page")
	}
	b := browser_(t)
	for name, tt := range map[string]struct {
		state string
		lang  text.Lang
		w, h  int64
		dark  bool
	}{
		"phone": {"over_quota", text.ZH, 390, 844, false}, "panel": {"sim_absent", text.ZH, 1024, 600, false}, "dark": {"healthy", text.EN, 1024, 600, true},
	} {
		m := wholeMachine(tt.state)
		if m.status.Usage == nil {
			m.status.Usage = fixture.Statuses()["healthy"].Usage
		}
		m.status.Name = map[text.Lang]string{text.ZH: "三号楼大厅售货机", text.EN: "Vending machine, lobby 3"}[tt.lang]
		m.entries = m.entries[:len(m.entries)-1]
		p := open(t, b, serveWhole(t, m)+"/?lang="+string(tt.lang), tt.w, tt.h, tt.dark)
		p.until(`document.querySelectorAll("#plot-signal svg").length === 1`)
		var png []byte
		p.do(chromedp.CaptureScreenshot(&png))
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
