package web

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// The pages in a real browser, in both languages, wide and narrow: the words are there,
// nothing is wider than the screen, no script fails, and a button does what it says.
// CW_SHOTS names a folder for screenshots.
func TestThePageInChromium(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED, NOT PROVED: chromium is missing (apt install chromium)")
	}
	srv := site(t, fleetOf(t, 2000), Login{Open: Act})
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WSURLReadTimeout(2*time.Minute))
	actx, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	defer stop()
	ctx, cancel := chromedp.NewContext(actx)
	defer cancel()
	ctx, end := context.WithTimeout(ctx, 3*time.Minute)
	defer end()
	shots := os.Getenv("CW_SHOTS")
	for _, c := range []struct {
		name, path string
		width      int64
		want       string
	}{
		{"overview-en", "/?lang=en", 1280, "Who must act"}, {"overview-zh", "/?lang=zh", 1280, "谁来处理"}, {"overview-zh-phone", "/?lang=zh",
			390, "每小时损失"},
		{"device-en", "/device/vm-00080?lang=en", 1280, "Timeline"}, {"device-zh", "/device/vm-00080?lang=zh", 390, "时间线"},
		{"silent-en", "/device/vm-00100?lang=en", 1280, "Probably"}, {"group-zh", "/group?do=pay&class=arrears&act=arrears&lang=zh", 1280,
			"我来处理"}, {"login-zh", "/login?lang=zh", 390, "登录"},
	} {
		var text string
		var wide int64
		var shot []byte
		err := chromedp.Run(ctx, chromedp.EmulateViewport(c.width, 900), chromedp.Navigate(srv.URL+c.path), chromedp.Text("body", &text,
			chromedp.ByQuery),
			chromedp.Evaluate(`document.documentElement.scrollWidth - window.innerWidth`, &wide), chromedp.FullScreenshot(&shot, 100))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !strings.Contains(text, c.want) {
			t.Errorf("%s: %q is not to be seen", c.name, c.want)
		}
		if wide > 0 {
			t.Errorf("%s: %d pixels wider than the screen", c.name, wide)
		}
		if shots != "" {
			if err := os.WriteFile(filepath.Join(shots, c.name+".png"), shot, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var text string
	err = chromedp.Run(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(srv.URL+"/device/vm-00080?lang=en"),
		chromedp.SetValue(`input[name=text]`, "antenna looked at", chromedp.ByQuery), chromedp.Click(`form[action$="/note"] button`,
			chromedp.ByQuery),
		chromedp.WaitVisible(`//li[contains(., "antenna looked at")]`, chromedp.BySearch), chromedp.Click(`form[action$="/ack"] button`,
			chromedp.ByQuery),
		chromedp.WaitVisible(`//p[contains(., "taken on by")]`, chromedp.BySearch), chromedp.Text("body", &text, chromedp.ByQuery))
	if err != nil || !strings.Contains(text, "taken on by open") {
		t.Errorf("a click on the buttons: %v", err)
	}
}
