package worker

import (
	"cellwarden/agent/core"
	"cellwarden/agent/device"
	"cellwarden/agent/instant"
	"cellwarden/modem"
	"cellwarden/modem/at"
	"cellwarden/modem/modemtest"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

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
			// The core decides, the worker does: three slow rounds, an hour apart.
			now := instant.Instant{Boot: "1f2e3d4c", Mono: time.Hour, Wall: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Trusted: true}
			c, err := core.New(core.Options{Device: "m", Salt: "s", Poll: time.Hour, SlowPoll: time.Hour, LinkPoll: 24 * time.Hour,
				ReportEvery: 24 * time.Hour, ProbeEvery: 24 * time.Hour, HasModem: true, DeleteRead: setting == "read"}, now, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			events := make(chan core.Event, 1024)
			w := NewModem(device.Hardware{Now: func() instant.Instant { return now }}, slog.New(slog.DiscardHandler), events)
			effects := c.Step(core.PortState{At: core.At{Instant: now}, State: "ok"})
			for range 3 { // the first lists, the second deletes, the third finds room
				for _, e := range effects {
					switch e := e.(type) {
					case core.DeleteMessages:
						w.delete(t.Context(), m, e.Messages)
					case core.Ask:
						w.round(t.Context(), m, e.Queries)
					}
				}
				for len(events) > 0 {
					c.Step(<-events)
				}
				now.Mono, now.Wall = now.Mono+2*time.Hour, now.Wall.Add(2*time.Hour)
				effects = c.Step(core.Tick{At: core.At{Instant: now}})
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
