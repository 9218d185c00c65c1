package view

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/localapi"
	"cellwarden/agent/localapi/fixture"
	"cellwarden/agent/text"
	"cellwarden/protocol"
)

func TestVariants(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    localapi.Status
		want []string
		zh   string // title
	}{
		{"overage is billed, not stopped", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.OverQuota}, Usage: &localapi.Usage{OnExhaust: "overage"}}, []string{"overage"}, "流量超出套餐，按量计费"},
		{"pool", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.OverQuota}, Usage: &localapi.Usage{OnExhaust: "stop", Pool: true}}, []string{"pool"}, "流量池用尽"},
		{"throttled", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.OverQuota}, Usage: &localapi.Usage{OnExhaust: "throttle"}}, []string{"throttled"}, "流量用尽，已限速"},
		{"own threshold, says the platform", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.OverQuota}, SIM: localapi.SIMStatus{Platform: &protocol.SIMStatus{State: "data_cut", Reason: "threshold"}}}, []string{"threshold"}, "达量断网"},
		{"interference, by the detail", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.WeakSignal, Detail: diag.Text{Key: "detail.interference"}}}, []string{"interference"}, "信号受干扰"},
		{"no real-name record", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.AdminSuspended}, SIM: localapi.SIMStatus{Platform: &protocol.SIMStatus{Reason: "real_name"}}}, []string{"real_name"}, "未实名停机"},
		{"cancelled for good", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.ExpiredOrCancelled}, SIM: localapi.SIMStatus{Platform: &protocol.SIMStatus{State: "cancelled"}}}, []string{"cancelled"}, "已销户"},
		{"PUK", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.SIMLocked}, SIM: localapi.SIMStatus{State: "puk"}}, []string{"puk"}, "SIM 卡 PUK 锁"},
		{"clock", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.CloudUnreachable}, Probes: []localapi.Probe{{Result: "cert_not_yet_valid"}}}, []string{"clock"}, "机器时间错，连不上后台"},
		{"the plan says nothing of an absent card", localapi.Status{Diagnosis: diag.Diagnosis{Class: diag.SIMAbsent}, Usage: &localapi.Usage{Pool: true}}, nil, "没有检测到 SIM 卡"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Variants(tt.s); !slices.Equal(got, tt.want) {
				t.Errorf("variants %q, want %q", got, tt.want)
			}
			if p := Build(text.ZH, time.UTC, tt.s); p.Title != tt.zh {
				t.Errorf("title %q, want %q", p.Title, tt.zh)
			}
		})
	}
}

func TestVariantSpeaksForTheClassAndTheDetail(t *testing.T) {
	p := Build(text.EN, time.UTC, fixture.Statuses()["interference"])
	if p.Detail != "" || !strings.Contains(p.Do, "compressor") {
		t.Errorf("detail %q, do %q: the variant's own words are wanted, once", p.Detail, p.Do)
	}
	var s localapi.Status
	s.Diagnosis = diag.Diagnosis{Class: diag.APNConfig, Detail: diag.Text{Key: "detail.new", English: "a new detail"}}
	if p := Build(text.EN, time.UTC, s); p.Detail != "a new detail" {
		t.Errorf("detail %q", p.Detail)
	}
}

// A key that no table has would be shown as it is: none may appear in any page.
func TestPagesShowWordsNotKeys(t *testing.T) {
	before := text.Missing()
	for name, s := range fixture.Statuses() {
		for _, lang := range text.Langs {
			p := Build(lang, time.UTC, s)
			if p.Title == "" || p.Verdict == "" || p.Line == "" || p.Who == "" || len(p.Ladder) != len(diag.Layers) {
				t.Errorf("%s %s: incomplete: %+v", name, lang, p)
			}
		}
	}
	if n := text.Missing() - before; n > 0 {
		t.Errorf("%d texts are missing", n)
	}
}

func TestNothingKnownIsNotHealthyAndNotAFault(t *testing.T) {
	p := Build(text.ZH, time.UTC, localapi.Status{})
	if p.Mood != Unsure || p.Verdict != "未知" || !strings.Contains(p.Line, "还没问到模组") {
		t.Errorf("page %+v", p)
	}
	for _, r := range p.Ladder {
		if r.State != diag.GateUnknown {
			t.Errorf("%s is %s, want unknown", r.Name, r.State)
		}
	}
}

func TestNotYetFullIsNotRoundedUp(t *testing.T) {
	u := localapi.Usage{UsedBytes: 31_400_000, QuotaBytes: 31_457_280, Percent: 99.82}
	if p := Build(text.EN, time.UTC, localapi.Status{Usage: &u}); !strings.HasPrefix(p.Usage.Text, "99%") {
		t.Errorf("usage %q", p.Usage.Text)
	}
	u.Percent, u.QuotaBytes = 0, 0
	if p := Build(text.EN, time.UTC, localapi.Status{Usage: &u}); p.Usage.Percent != -1 || strings.Contains(p.Usage.Text, "%") {
		t.Errorf("no quota: %+v", p.Usage)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KB", 31_457_280: "30.0 MB", 1_048_575: "1.0 MB", 5 << 30: "5.0 GB", 1<<64 - 1: "16.0 EB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for _, tt := range []struct {
		d      time.Duration
		en, zh string
	}{
		{-time.Second, "0 s", "0 秒"}, {59 * time.Second, "59 s", "59 秒"}, {61 * time.Second, "1 min", "1 分钟"},
		{3 * time.Hour, "3 h", "3 小时"}, {90 * time.Minute, "1 h 30 min", "1 小时 30 分"},
		{48 * time.Hour, "2 d", "2 天"}, {51*time.Hour + time.Minute, "2 d 3 h", "2 天 3 小时"},
	} {
		if en, zh := (&builder{lang: text.EN}).span(tt.d), (&builder{lang: text.ZH}).span(tt.d); en != tt.en || zh != tt.zh {
			t.Errorf("span(%v) = %q, %q; want %q, %q", tt.d, en, zh, tt.en, tt.zh)
		}
	}
}

func TestBetweenBelievesTheMonotonicClock(t *testing.T) {
	a := protocol.Time{Wall: "2026-11-22T08:00:00Z", Trusted: true, Boot: "a", MonoMS: 1000}
	for _, tt := range []struct {
		name string
		to   protocol.Time
		want time.Duration
		ok   bool
	}{
		{"same boot, clock jumped back to 1970", protocol.Time{Wall: "1970-01-01T00:00:00Z", Boot: "a", MonoMS: 61_000}, time.Minute, true},
		{"other boot, both clocks trusted", protocol.Time{Wall: "2026-11-22T09:00:00Z", Trusted: true, Boot: "b", MonoMS: 5}, time.Hour, true},
		{"other boot, clock not trusted", protocol.Time{Wall: "1970-01-01T00:00:09Z", Boot: "b"}, 0, true},
		{"no time at all", protocol.Time{}, 0, false},
	} {
		if d, ok := between(a, tt.to); d != tt.want || ok != tt.ok {
			t.Errorf("%s: %v %v, want %v %v", tt.name, d, ok, tt.want, tt.ok)
		}
	}
}

// Midnight of the operator's cycle must read as midnight, wherever the board's
// own clock is set to.
func TestResumesAtIsShownInTheOperatorsTime(t *testing.T) {
	d := diag.Diagnosis{Class: diag.OverQuota, Act: diag.Action{ResumesAt: "2026-11-27T00:00:00+08:00"}}
	if p := BuildDiagnosis(text.ZH, time.UTC, d); p.ResumesAt != "2026-11-27 00:00" {
		t.Errorf("resumes at %q", p.ResumesAt)
	}
}

// English that a lower layer said does not stand in a Chinese sentence. Names of
// products, hosts and commands may.
func TestNoEnglishSentencesInChinesePages(t *testing.T) {
	english := regexp.MustCompile(`[a-z]{2,} [a-z]{3,}`)
	allowed := strings.NewReplacer("cellwarden bundle", "", "cellwarden config check", "", "cellwarden usage", "", "cellwarden status", "",
		"cellwarden diagnose", "", "mini PCIe", "")
	for name, s := range fixture.Statuses() {
		b, err := json.Marshal(Build(text.ZH, time.UTC, s))
		if err != nil {
			t.Fatal(err)
		}
		if found := english.FindString(allowed.Replace(string(b))); found != "" {
			t.Errorf("%s: %q in a Chinese page", name, found)
		}
	}
}

func TestSourcesAreTheTechniciansWords(t *testing.T) {
	for source, want := range map[string]string{"at:+CPIN": "AT+CPIN", "at:^SMONI": "AT^SMONI", "at": "模组", "at:counters": "模组", "urc:+CEREG": "+CEREG",
		"urc:NO CARRIER": "NO CARRIER", "urc": "模组", "meter": "流量计量", "backend": "后台", "probe:own": "探测", "sms": "短信", "newer": "newer"} {
		if got := (&builder{lang: text.ZH}).source(source); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}

// An absent card has no operator: what is shown of one is the card before. What is
// watched is not named twice, and the operator has the name that people know.
func TestRowsSayOnceAndTruly(t *testing.T) {
	s := fixture.Statuses()["sim_absent"]
	s.SIM.Operator, s.SIM.ICCID, s.Network.PLMN = "46000", "8986…0001", "46001"
	s.Network.Cause = "EMM #7 EPS services not allowed"
	s.Pending = &localapi.Finding{Class: diag.SIMAbsent, Verdict: diag.Likely, RaiseInS: 12}
	rows := map[string]string{}
	for _, r := range Build(text.ZH, time.UTC, s).Rows {
		rows[r.Key] = r.Value
	}
	for key, want := range map[string]string{"sim": "没有卡，上一张卡 中国移动，8986…0001", "pending": "再持续 12 秒就告警"} {
		if rows[key] != want {
			t.Errorf("%s: %q, want %q", key, rows[key], want)
		}
	}
	if n := rows["network"]; !strings.Contains(n, "拒绝原因 EMM #7，") || !strings.Contains(n, "中国联通") {
		t.Errorf("network: %q", n)
	}
	s.Since.Trusted = false
	if got := Build(text.ZH, time.UTC, s).Since; got != "2026-11-22 01:41（时间不可信，19 分钟）" {
		t.Errorf("since: %q", got)
	}
}
