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
		{"stop with the way back", "10086", "您的号码因欠费已停机，充值成功后将自动复机。【中国移动】", StopArrears},
		{"stop, if paid ignore", "10010", "您的号码已欠费停机，如已缴费请忽略本短信。【中国联通】", StopArrears},
		{"will, in debt", "10001", "尊敬的客户，您已欠费12.30元，为避免影响使用请尽快充值。【中国电信】", Warning},
		{"broadband stopped: another service", "10001", "您的宽带业务已停机，请充值。", Nothing},
		{"term will end", "10086", "尊敬的客户，您的套餐将于10月31日到期，到期后将停止服务，请及时续订。", Warning},
		{"overage at 100 %", "10086", "您已使用流量达到套餐100%，超出部分按0.29元/MB收费。", Warning},
		{"slowed down", "10086", "您订购的流量套餐已用尽，已为您限速至128kbps，次月恢复。", Slow},
		{"reseller, term ended", "106581234", "【卡商】您的卡片因套餐到期被停用，请续费后复机", StopExpired},
		{"voice back", "10010", "您好，您的手机号已恢复通信服务，感谢使用。", Resumed},
		{"balance below zero, about to", "10010", "【缴费提醒】您的话费余额为负，即将停机，请尽快充值。", Warning},
		{"one-way, until paid", "10086", "您的号码处于单向停机状态，请缴费后使用。", StopArrears},
		{"restricted, back after payment", "10086", "您的账户余额不足，已被限制上网，充值后2小时内恢复。", StopArrears},
		{"english term ended", "2929", "Your data plan has expired. Data service is suspended until you renew.", StopExpired},
		{"english quota reached", "2929", "You've used 100% of your data. Your data has been disabled until 1 Nov.", StopQuota},
		{"english paid", "2929", "Thanks! Payment received. Your service will be restored shortly.", Resumed},
		{"english past due", "2929", "Your account is past due and will be suspended on 5 Nov.", Warning},
		{"threshold reached", "10086", "您的物联网卡已达流量阈值，断网处理，如需使用请调整阈值。", StopQuota},
		{"abnormal use", "10086", "由于系统检测到异常使用，您的号码已被管控停机，请到营业厅核实。", StopAdmin},
		{"number deleted", "10001", "您的号码已销号，如有疑问请咨询10001。", StopExpired},
		{"cell site works", "10086", "尊敬的客户：因基站检修，今日2:00-5:00您所在区域网络可能中断。", Outage},
		{"2G will close", "10086", "【关停通知】2G网络将于12月31日关停，请更换4G卡。", Warning},
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
