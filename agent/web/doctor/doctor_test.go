package doctor

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"

	"github.com/chromedp/chromedp"
)

const noCard = `[{"id":"a","exchange":[{"cmd":"AT+CPIN?","resp":["+CME ERROR: 10"]},{"cmd":"AT+CPIN?","resp":["+CME ERROR: 10"]},{"cmd":"AT+CPIN?","resp":["+CME ERROR: 10"]}]}]`

func TestPasteIsJudgedInBothLanguages(t *testing.T) {
	var a Answer
	if err := json.Unmarshal(Judge(noCard), &a); err != nil || len(a.Cases) != 1 {
		t.Fatalf("%+v %v", a, err)
	}
	c := a.Cases[0]
	if c.Class != diag.SIMAbsent || !strings.Contains(c.ZH.Title, "卡") || c.EN.Title == "" || len(c.ZH.Steps) == 0 || len(c.EN.For) == 0 {
		t.Errorf("%+v", c)
	}
}

func TestPasteOfNothingAndOfTooMuch(t *testing.T) {
	if a := judge(" \n"); len(a.Cases) != 0 || a.Error != "" {
		t.Errorf("nothing: %+v", a)
	}
	if a := judge(strings.Repeat("x", MaxPaste+1)); a.Error == "" {
		t.Error("5 MB were judged")
	}
}

// The page itself, in a browser without a network: the same cases, the same verdicts.
func TestPageJudgesLikeTheAgent(t *testing.T) {
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: no chromium here, the offline page was not tried (Debian: apt-get install chromium)")
	}
	page := filepath.Join(t.TempDir(), "doctor.html")
	build := exec.Command("go", "run", "./agent/web/doctor/build", "-o", page)
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if info, err := os.Stat(page); err != nil || info.Size() > 2_800_000 {
		t.Errorf("the page has %d bytes, at most 2,800,000: it is fetched over a phone's plan (%v)", info.Size(), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ctx, stop := chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(bin), chromedp.NoSandbox,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(390, 844))...)
	defer stop()
	ctx, closeTab := chromedp.NewContext(ctx)
	defer closeTab()
	if err := chromedp.Run(ctx, chromedp.Navigate("file://"+page), chromedp.WaitVisible(`body[data-ready="1"]`, chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../explain/testdata/corpus/cases-open.json")
	if err != nil {
		t.Fatal(err)
	}
	want := judge(string(data))
	if len(want.Cases) < 30 {
		t.Fatalf("%d cases, %s", len(want.Cases), want.Error)
	}
	type seen struct{ Class, Verdict string }
	var got []seen
	err = chromedp.Run(ctx,
		chromedp.SetValue("#text", string(data), chromedp.ByQuery),
		chromedp.Click("#go", chromedp.ByQuery),
		chromedp.WaitVisible("#out .card", chromedp.ByQuery),
		chromedp.Evaluate(`[...document.querySelectorAll("#out .card")].map(c=>({Class:c.dataset.class,Verdict:c.dataset.verdict}))`, &got))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want.Cases) {
		t.Fatalf("the page shows %d answers for %d cases", len(got), len(want.Cases))
	}
	for i, c := range want.Cases {
		if got[i] != (seen{string(c.Class), string(c.Verdict)}) {
			t.Errorf("%s: the page says %v, the agent %s %s", c.ID, got[i], c.Class, c.Verdict)
		}
	}
	// A paste is hostile until it is shown as text.
	var title, scripts string
	err = chromedp.Run(ctx,
		chromedp.SetValue("#text", `[{"id":"<img src=x onerror=alert(1)>","exchange":[{"cmd":"AT+CPIN?","resp":["<script>document.title='x'</script>"]}]}]`, chromedp.ByQuery),
		chromedp.Click("#go", chromedp.ByQuery),
		chromedp.Title(&title),
		chromedp.Evaluate(`String(document.querySelectorAll("#out script, #out img").length)`, &scripts))
	if err != nil || title == "x" || scripts != "0" {
		t.Errorf("title %q, %s elements out of a paste, %v", title, scripts, err)
	}
	if shot := os.Getenv("CELLWARDEN_SHOTS"); shot != "" {
		var png []byte
		if err := chromedp.Run(ctx, chromedp.SetValue("#text", noCard, chromedp.ByQuery), chromedp.Click("#go", chromedp.ByQuery),
			chromedp.FullScreenshot(&png, 100)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(shot, "doctor.png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
