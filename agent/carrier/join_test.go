package carrier

import (
	"testing"
	"time"
)

func TestJoined(t *testing.T) {
	at := time.Date(2026, 8, 12, 9, 59, 0, 0, time.FixedZone("", 8*3600))
	for _, tc := range []struct {
		name  string
		parts []Part
		want  string
	}{
		{"alone", []Part{{From: "10086", Text: "已停机", At: at}}, "已停机"},
		{"cut in a word", []Part{{From: "10010", Text: "号码已被停", At: at}, {From: "10010", Text: "机，请充值。【中国联通】", At: at.Add(2 * time.Second)}}, "号码已被停机，请充值。【中国联通】"},
		{"marks of the pieces", []Part{{From: "10001", Text: "每月1日扣取，(1/2)", At: at}, {From: "10001", Text: "为避免停机，请缴费。(2/2)", At: at}}, "每月1日扣取，为避免停机，请缴费。"},
		{"two whole notices", []Part{{From: "10086", Text: "您的号码已停机。", At: at}, {From: "10086", Text: "您的号码已复机。", At: at}}, "您的号码已复机。"},
		{"a new greeting", []Part{{From: "10086", Text: "请勿停机", At: at}, {From: "10086", Text: "您好，您的号码已欠费，请您尽快缴费", At: at}}, "您好，您的号码已欠费，请您尽快缴费"},
		{"another sender", []Part{{From: "10086", Text: "号码已被停", At: at}, {From: "95599", Text: "机票已出", At: at}}, "机票已出"},
		{"an hour later", []Part{{From: "10010", Text: "号码已被停", At: at}, {From: "10010", Text: "机票已出", At: at.Add(time.Hour)}}, "机票已出"},
		{"no times", []Part{{From: "10010", Text: "号码已被停"}, {From: "10010", Text: "机，请充值"}}, "机，请充值"},
		{"by header, the second first", []Part{{From: "1", Text: "机。", Ref: 7, Parts: 2, Part: 2}, {From: "1", Text: "已停", Ref: 7, Parts: 2, Part: 1}}, "已停机。"},
		{"by header, one missing", []Part{{From: "1", Text: "已停", Ref: 7, Parts: 3, Part: 1}, {From: "1", Text: "机。", Ref: 7, Parts: 3, Part: 3}}, "已停\n机。"},
	} {
		if got := Joined(tc.parts).Text; got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestHoursOfWork(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	sent := time.Date(2026, 8, 12, 19, 30, 0, 0, zone)
	day := func(d, h, m int) time.Time { return time.Date(2026, 8, d, h, m, 0, 0, zone) }
	for _, tc := range []struct {
		text     string
		from, to time.Time
	}{
		{"将于8月13日0:00-6:00对您所在区域基站进行割接", day(13, 0, 0), day(13, 6, 0)},
		{"今晚23点至次日5点网络割接", day(12, 23, 0), day(13, 5, 0)},
		{"通知：今晚0点至4点网络割接，期间上网可能受影响", day(13, 0, 0), day(13, 4, 0)},
		{"8/13凌晨1時至5時進行基地台維護", day(13, 1, 0), day(13, 5, 0)},
		{"Planned maintenance on 13 Aug between 1am and 6am may affect data.", day(13, 1, 0), day(13, 6, 0)},
		{"因光缆中断，4G信号中断，正在抢修", time.Time{}, time.Time{}},
	} {
		m := Read("10086", tc.text, sent)
		if m.Meaning != Outage || !m.From.Equal(tc.from) || !m.To.Equal(tc.to) {
			t.Errorf("%s: %s from %s to %s, want %s to %s", tc.text, m.Meaning, m.From, m.To, tc.from, tc.to)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"您的門號已暫停通信":                "您的门号已暂停通信",
		"ＳＩＭ　卡 已 停 机":              "sim 卡已停机",
		"You’ve\u200b  USED  100％": "you've used 100%",
	} {
		if got := Fold(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestWordFiles: a list that no rule knows, or a word that folding would change
// and so never be met, is refused.
func TestWordFiles(t *testing.T) {
	for _, text := range []string{"colour = [\"red\"]", "stop = [\"停機\"]", "stop = [\"Stopped\"]", "stop = [\"\"]", "stop = 1"} {
		if _, err := newLexicon(text); err == nil {
			t.Errorf("%s: accepted", text)
		}
	}
}
