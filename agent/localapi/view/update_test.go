package view

import (
	"strings"
	"testing"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/agent/text"
	"cellwarden/protocol"
)

// What a technician reads of updates.
func TestUpdateLines(t *testing.T) {
	s := localapi.Status{Version: "v1.1.0", Update: &localapi.Update{Slot: "a", Package: "v1.0.0", Floor: "v1.1.0", Offered: "v1.3.0",
		Source: "https://host/m.json", Form: "delta", Have: 131072, Size: 262144, Wait: &protocol.Refusal{Code: protocol.UpdateQuota},
		Refused: &localapi.UpdateRefused{Version: "v1.2.0", At: "2026-11-22T04:21:07Z", Refusal: protocol.Refusal{Code: protocol.UpdateFewKeys}}, Failed: "v1.2.9"}}
	for lang, want := range map[text.Lang]string{
		text.EN: "v1.1.0 (slot a, installed package v1.0.0)|v1.3.0: 50 % of 256.0 KB downloaded|waits for the next cycle of the plan|" +
			"last refused: v1.2.0: too few of the trusted keys signed it|v1.2.9 was taken back",
		text.ZH: "v1.1.0（分区 a，安装包为 v1.0.0）|v1.3.0：已下载 50%，共 256.0 KB|流量不够，等下个计费周期|上次被拒：v1.2.0：可信密钥的签名不够|v1.2.9 已退回",
	} {
		if got := strings.Join(Update(lang, s), "|"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", lang, got, want)
		}
	}
	page := Build(text.EN, time.UTC, s)
	found := ""
	for _, r := range page.Rows {
		if r.Key == "update" {
			found = r.Value
		}
	}
	if !strings.Contains(found, "last refused: v1.2.0, 2026-11-22 04:21: too few") {
		t.Errorf("the page's row: %q", found)
	}
	if got := Update(text.EN, localapi.Status{}); len(got) != 1 || !strings.Contains(got[0], "off") {
		t.Errorf("without updates: %q", got)
	}
}
