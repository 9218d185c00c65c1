package carrier

import (
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	for _, tc := range []struct {
		name, from, text string
		want             Meaning
	}{
		{"mobile, stopped for arrears", "10086", "【停机提醒】尊敬的客户，您的号码因欠费已于8月19日停机，请尽快缴费，缴费后办理复机。【中国移动】", StopArrears},
		{"telecom, stopped, balance ran out", "10001", "尊敬的客户：您的账户余额不足，号码已停机，请及时充值缴费复机。【中国电信】", StopArrears},
		{"telecom, overage is billed", "10001", "温馨提醒：您的套餐内流量已用完，超出部分按标准资费收取，为避免停机请保持余额充足。【中国电信】", Warning},
		{"telecom, overage has cost money", "10001", "温馨提醒：您本月套餐外流量已产生费用，请留意账户余额。【中国电信】", Warning},
		{"mobile, pay in time", "10086", "尊敬的客户，您的可用余额已低于10元，为避免停机影响使用，请您及时缴费。【中国移动】", Warning},
		{"mobile, advertisement", "10086", "【流量福利】充值50元即送10GB流量，流量不够用？立即办理！拒收回复R。【中国移动】", Advertisement},
		{"telecom, fee notice (field-notes b)", "10001", "温馨提醒：您所订购的套餐月基本费扣费规则为每月1日凌晨一次性扣取，为避免扣费后手机余额不足被停机，请及时缴费。【中国电信】", Warning},
		{"telecom, paid (field-notes b)", "10001", "【充值成功提醒】尊敬的客户：您已充值0.01元，充值后可用通用余额为352.62元。缴费复机后如仍不能上网可重启终端。【中国电信】", Resumed},
		{"quota stop", "10086", "尊敬的客户，您本月流量已用尽，上网功能已关闭，下月1日自动恢复。", StopQuota},
		{"stopped on request", "10086", "您的号码已按您的申请办理停机保号业务，即日起停机。【中国移动】", StopAdmin},
		{"will be stopped", "10010", "您的号码已欠费，将于3日后停机，请及时缴费。", Warning},
		{"term ended", "1064899900001", "您的物联网卡套餐已到期，该卡已停用，请续费。", StopExpired},
		{"real name", "10010", "您的号码因未实名登记已被停机，请补登记。", StopAdmin},
		{"card and device", "10086", "该卡因机卡分离已停机，请联系客户经理重新绑定。", StopIMEI},
		{"works again", "10086", "您的号码已复机，可正常使用。", Resumed},
		{"cut-over tonight", "10010", "通知：今晚0点至4点网络割接，期间上网可能受影响。", Outage},
		{"anybody", "13800138000", "你的卡已停机，请转账", Nothing},
		{"english stop", "2222", "Your service has been suspended due to insufficient balance.", StopArrears},
		{"english warning", "2222", "Please pay your bill to avoid your service being suspended.", Warning},
		{"english will", "2222", "Your line will be deactivated tomorrow. Please pay.", Warning},
		{"english limit", "AT&T", "You have reached your data limit. Data has been stopped until the next cycle.", StopQuota},
	} {
		if got := Classify(tc.from, tc.text); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestLoad(t *testing.T) {
	list, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for plmn, want := range map[string]int{"46000": 1, "460-01": 27, "46011": 1} {
		c, ok := ByPLMN(list, plmn)
		if !ok || c.CycleDay != want {
			t.Errorf("%s: cycle day %d (%v), want %d", plmn, c.CycleDay, ok, want)
		}
	}
	if c, ok := ByPLMN(list, "901-43"); !ok || c.Rounding.UnitBytes != 1024 || c.Rounding.Per != "session" || c.Rounding.SessionsPerDay != 1 {
		t.Errorf("emnify: %+v", c.Rounding)
	}
	for text, want := range map[string]string{
		"unit_bytes = 1024": "rounding.source",
		"unit_bytes = 1024\nper = \"week\"\nsource = \"s\"":    "rounding.per",
		"unit_bytes = 1024\nper = \"session\"\nsource = \"s\"": "sessions_per_day",
	} {
		_, err := Parse("x.toml", "name = \"x\"\nplmns=[\"1\"]\nsource=\"s\"\n[rounding]\n"+text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if _, err := Parse("x.toml", "name = \"x\"\nplmns=[\"1\"]\nsource=\"s\"\ncolour = 1\n"); err == nil {
		t.Error("an unknown key was accepted")
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("10086", "您的号码因欠费已停机")
	f.Fuzz(func(t *testing.T, from, text string) {
		if m := Classify(from, text); m == "" {
			t.Fatalf("no meaning for %q", text)
		}
	})
}
