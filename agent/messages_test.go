package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/instant"
	"cellwarden/agent/outbox"
	"cellwarden/modem"
	"cellwarden/modem/at"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/threegpp"
)

// Readings of +CPMS? as a card of 50 places fills and is emptied.
func TestFullMessageStoreIsATrouble(t *testing.T) {
	tr := troubles{}
	for _, tt := range []struct {
		said string
		want string
	}{
		{`+CPMS: "SM",2,50,"SM",2,50,"SM",2,50`, ""},
		{`+CPMS: "SM",47,50,"SM",47,50,"SM",47,50`, ""},
		{`+CPMS: "SM",48,50,"SM",48,50,"SM",48,50`, "48"},
		{`+CPMS: "SM",50,50,"SM",50,50,"SM",50,50`, "50"},
		{`+CMTI: "SM",7`, "50"}, // an announcement is no reading
		{`+CPMS: "SM",12,50,"SM",12,50,"SM",12,50`, ""},
	} {
		for _, f := range append(threegpp.Reply("AT+CPMS?", []string{tt.said, "OK"}), threegpp.URC(tt.said)...) {
			if s, ok := f.(threegpp.SMSStored); ok {
				tr.messages(s, instant.Instant{})
			}
		}
		got := ""
		if x, ok := tr["messages"]; ok {
			got = x.Args[0]
			if x.Key != "sms_full" {
				t.Errorf("%s: %s", tt.said, x.Key)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.said, got, tt.want)
		}
	}
}

// noticesFull is a card of 50 places that one is free on: the operator's and
// other people's messages, oldest first.
func noticesFull(t *testing.T) *modemtest.Scenario {
	t.Helper()
	var b strings.Builder
	b.WriteString("A store that fills.\n-- device --\nprofile quectel-ec2x\nmanufacturer Quectel\nmodel EC20F\nrevision X\ncarrier 460-00\n-- modem --\nsim ready\nreg home\n-- script --\n")
	day := 1
	sms := func(from, text string) {
		fmt.Fprintf(&b, "0s sms from=%s at=2026-01-%02dT09:00:00+08:00 text=%s\n", from, day, text)
		day = day%28 + 1
	}
	sms("10086", "您的流量已用完，已停机")                         // 1: the oldest notice
	sms("10086", "话费优惠活动，回复TD退订")                       // 2: an advertisement
	sms("13800138000", "机器 7 缺货")                       // 3: another program's
	sms("10086", strings.Repeat("余额不足，请及时充值，以免停机。", 9)) // 4, 5, 6: a long warning
	for range 42 {
		sms("13800138000", "机器 7 缺货")
	}
	sms("10086", "您的流量已用完，已停机") // 49: the newest notice
	sc, err := modemtest.Parse("full store", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// A store that is nearly full, over the simulator: what each setting of
// modem.sms_delete makes the agent send, and what is left on the card.
func TestOnlyUnderstoodMessagesAreDeleted(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		"never": "",
		"read":  "AT+CMGD=2 AT+CMGD=1", // the advertisement, then the oldest notice: three places are free
	} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			rec := modem.NewRecorder()
			m, err := modem.Open(t.Context(), modem.Spec{Recorder: rec, Opener: func(context.Context) (io.ReadWriteCloser, error) {
				return modemtest.Pipe(t.Context(), noticesFull(t), modemtest.NewClock(1)), nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if _, err := m.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			cfg := config.Default
			cfg.Modem.SMSDelete = setting
			cfg.Store.Dir = t.TempDir()
			box, _, err := outbox.Open(t.TempDir(), outbox.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer box.Close()
			l, err := newLoop(Options{Config: cfg, Hardware: bareHardware(trustedNow), Log: slog.New(slog.DiscardHandler)}, "m", newQueue("m", box))
			if err != nil {
				t.Fatal(err)
			}
			l.line.events = make(chan core.Event, 1024)
			for range 3 { // the first lists, the second deletes, the third finds room
				l.line.round(t.Context(), m, []string{"sms"})
			}
			var sent []string
			records, _ := rec.Records()
			for _, r := range records {
				if r.Kind == at.Sent && strings.Contains(r.Line, "+CMGD") {
					sent = append(sent, r.Line)
				}
			}
			if got := strings.Join(sent, " "); got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
		})
	}
}

// What may go of a store, by what it holds.
func TestSpareMessages(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 9, 0, 0, 0, time.UTC) }
	const stop, ad, warning = "您的流量已用完，已停机", "优惠活动，回复TD退订", "余额不足，请及时充值"
	oldStop := threegpp.SMS{Index: 1, From: "10086", At: day(1), Text: stop}
	oldAd := threegpp.SMS{Index: 2, From: "10086", At: day(2), Text: ad}
	newAd := threegpp.SMS{Index: 3, From: "10086", At: day(9), Text: ad}
	other := threegpp.SMS{Index: 4, From: "13800138000", At: day(1), Text: stop}
	newest := threegpp.SMS{Index: 5, From: "10086", At: day(8), Text: warning}
	half := threegpp.SMS{Index: 6, From: "10086", At: day(3), Text: warning, Ref: 7, Parts: 2, Part: 1}
	rest := threegpp.SMS{Index: 7, From: "10086", At: day(3), Text: "谢谢", Ref: 7, Parts: 2, Part: 2}
	for _, x := range []struct {
		name   string
		listed []threegpp.SMS
		need   int
		want   []int
	}{
		{"room enough", []threegpp.SMS{oldStop, oldAd, newest}, 0, nil},
		{"one place: an advertisement before an older notice", []threegpp.SMS{oldStop, oldAd, newest}, 1, []int{2}},
		{"all that is needed: advertisements by age, then notices", []threegpp.SMS{newest, newAd, oldStop, oldAd}, 3, []int{2, 3, 1}},
		{"the newest notice stays, whatever is needed", []threegpp.SMS{oldStop, newest, newAd}, 9, []int{3, 1}},
		{"a single notice is the newest", []threegpp.SMS{newest}, 1, nil},
		{"an ordinary number's message is not ours", []threegpp.SMS{other, newest}, 1, nil},
		{"half of a long one stays", []threegpp.SMS{half, newest}, 1, nil},
		{"a long one goes whole", []threegpp.SMS{half, rest, newest}, 1, []int{6, 7}},
		{"nothing is understood", []threegpp.SMS{rest}, 1, nil},
		{"an empty store", nil, 3, nil},
	} {
		var got []int
		for _, s := range spare(x.listed, x.need) {
			got = append(got, s.Index)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
}
