package platform

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/protocol/backend/platform/platformtest"
)

const mobile = "89860400000000000015"

var oneLinkAccount = Account{Name: "cm-demo", Platform: "onelink", Host: "https://onelink.example", User: "100123",
	Password: "cwDemoPass"}

func TestOneLinkSaysWhatACardIs(t *testing.T) {
	for _, c := range []struct {
		name string
		card platformtest.OneLinkCard
		want string
	}{
		{"a card that works, PB", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00", StopReason: "00000000000",
			Used:  "20480.00",
			Plans: [][2]string{{"30720.00", "10240.00"}}, Online: true}, "active/none used=20971520 plan=31457280 online asof=11-22T00:00+08"},
		{"the same of the CT platform: its usage is live", platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "2", Used: "20480.00",
			Online: true},
			"active/none used=20971520 online asof=11-22T10:30+08"},
		{"stopped by credit control, and on request", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "02",
			StopReason: "00002000200", Used: " "},
			"suspended/arrears+manual offline"},
		{"PB's 02 is not CT's 2", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "02", StopReason: "00000000200", Used: ""},
			"suspended/manual offline"},
		{"the product has ended", platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "4", StopReason: "20000000000", Used: ""},
			"suspended/expiry offline"},
		{"taken out of its machine", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "02", StopReason: "02000000000",
			Separated: "0"},
			"suspended/imei_lock offline separated"},
		{"a region", platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "4", StopReason: "00000000020"},
			"suspended/region_lock offline"},
		{"forced", platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "4", StopReason: "00002000002"},
			"suspended/violation+arrears offline"},
		{"a position that nobody knows", platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "4", StopReason: "00000020000"},
			"suspended/unknown offline"},
		{"a status that nobody knows", platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "42", Used: "1.00"},
			"unknown/ used=1024 offline asof=11-22T10:30+08"},
		{"active, its data closed, nothing left of two offerings", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00",
			Used: "30614.50", DataClosed: true,
			Plans: [][2]string{{"20480.00", "0.00"}, {"10240.00",
				"0.00"}}}, "data_cut/quota derived used=31457280 plan=31457280 offline asof=11-22T00:00+08"},
		{"active, its data closed, one of two offerings has some left", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00",
			DataClosed: true,
			Plans: [][2]string{{"20480.00", "0.00"}, {"10240.00",
				"5120.00"}}}, "data_cut/unknown used=26214400 plan=31457280 offline asof=11-22T00:00+08"},
		{"a member of a pool that is empty", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "00", Used: "512.00",
			DataClosed: true, Pool: "P1"},
			"data_cut/pool derived used=524288 poolused=1073741824 pooltotal=1073741824 pool=P1 offline asof=11-22T00:00+08"},
		{"a stop of no known reason", platformtest.OneLinkCard{Platform: "OneLink-PB", Status: "01", StopReason: "00000000000"},
			"suspended/unknown offline"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T) {
				m := platformtest.NewOneLink("100123", "cwDemoPass")
				m.PerSecond = 5
				m.Set(mobile, c.card)
				m.SetPool("P1", "1048576", "0")
				s := ask(t, open(t, oneLinkAccount, m), mobile)
				if got := told(s); got != c.want {
					t.Errorf("says %s\nwant %s", got, c.want)
				}
				if s.Stopped() && s.Raw == "" {
					t.Error("the platform's own words are missing")
				}
				if _, _, worst := m.Seen(); worst > 5 {
					t.Errorf("%d calls within a second, 5 are allowed", worst)
				}
			})
		})
	}
}

// What no file knows is counted, by field and code.
func TestUnknownCodesAreCounted(t *testing.T) {
	play(t, func(t *testing.T) {
		m := platformtest.NewOneLink("100123", "cwDemoPass")
		m.Set(mobile, platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "42", StopReason: "00000020000"})
		a := open(t, oneLinkAccount, m)
		ask(t, a, mobile)
		ask(t, a, mobile)
		got := map[string]int{}
		for _, c := range a.(*onelink).c.Counts() {
			got[c.Field+" "+c.Code] = c.N
		}
		if got["cardStatus 42"] != 2 || got["stopReason position 7"] != 2 {
			t.Errorf("counted %v", got)
		}
	})
}

// The token ends while eight workers ask: one login more, and every card is answered.
func TestOneLoginWhenATokenEnds(t *testing.T) {
	play(t, func(t *testing.T) {
		m := platformtest.NewOneLink("100123", "cwDemoPass")
		for i := range 8 {
			m.Set(fmt.Sprintf("898604000000000000%02d", i), platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "2", Used: "1.00"})
		}
		a := open(t, oneLinkAccount, m)
		ask(t, a, "89860400000000000000")
		m.Expire()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { ask(t, a, fmt.Sprintf("898604000000000000%02d", i)) })
		}
		wg.Wait()
		if _, logins, _ := m.Seen(); logins != 2 {
			t.Errorf("%d logins, want 2", logins)
		}
	})
}

// A password that is refused is tried again after a quarter of an hour, not at once.
func TestARefusedAccountRests(t *testing.T) {
	play(t, func(t *testing.T) {
		m := platformtest.NewOneLink("100123", "another")
		a := open(t, oneLinkAccount, m)
		for range 20 {
			if _, err := a.Card(context.Background(), Card{ICCID: mobile}); KindOf(err) != Refused {
				t.Fatal(err)
			}
		}
		if calls, _, _ := m.Seen(); calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
		time.Sleep(refusedFor)
		a.Card(context.Background(), Card{ICCID: mobile})
		if calls, _, _ := m.Seen(); calls != 2 {
			t.Errorf("%d calls after the rest, want 2", calls)
		}
	})
}

func TestOneLinkErrors(t *testing.T) {
	for _, c := range []struct {
		name, call, body string
		kind             Kind
		says             string
	}{
		{"a login page", "sim-status", "<!DOCTYPE html><html><body>登录</body></html>", Malformed, "a web page came"},
		{"half a body", "sim-status", `{"status":"0","message":"正确","resu`, Malformed, "breaks off"},
		{"nothing", "sim-status", "", OK, ""},
		{"an error inside of HTTP 200", "sim-status", `{"status":"11000","message":"参数错误","result":[]}`, Parameter, "11000"},
		{"a code of tomorrow", "sim-status", `{"status":"77777","message":"明天","result":[]}`, Other, "77777"},
		{"an empty result", "sim-status", `{"status":"0","message":"正确","result":[]}`, OK, ""},
		{"not our card", "sim-status", `{"status":"12009","message":"89860400000000000015 不属于","result":[]}`, NoCard, "12009"},
	} {
		t.Run(c.name, func(t *testing.T) {
			play(t, func(t *testing.T) {
				m := platformtest.NewOneLink("100123", "cwDemoPass")
				m.Set(mobile, platformtest.OneLinkCard{Platform: "OneLink-CT", Status: "2"})
				m.Answer(c.call, c.body)
				s, err := open(t, oneLinkAccount, m).Card(context.Background(), Card{ICCID: mobile})
				if KindOf(err) != c.kind || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v, want kind %s", err, c.kind)
				}
				if err != nil {
					for _, secret := range []string{mobile, mobile[:19], "cwDemoPass", "CWDEMO", "100123"} {
						if strings.Contains(err.Error(), secret) {
							t.Errorf("the error holds %s", secret)
						}
					}
				}
				if c.body != "" && (s.State == "active" || s.Used != nil) {
					t.Errorf("says %s after no answer", told(s))
				}
			})
		})
	}
}

// A batch holds 100 cards, one of them not ours: the other 99 are answered. The month's
// batch counts to yesterday.
func TestOneLinkBatch(t *testing.T) {
	play(t, func(t *testing.T) {
		m := platformtest.NewOneLink("100123", "cwDemoPass")
		var list []Card
		for i := range 100 {
			id := fmt.Sprintf("8986040000000000%04d", i)
			list = append(list, Card{ICCID: id})
			if i != 50 {
				m.Set(id, platformtest.OneLinkCard{Platform: "OneLink-PB", Used: "2.00"})
			}
		}
		m.Set("89860400000000000003", platformtest.OneLinkCard{Used: " "})
		a := open(t, oneLinkAccount, m).(Batcher)
		got, err := a.Cards(context.Background(), list)
		if err != nil || len(got) != 98 || told(got[0]) != "unknown/ used=2048 asof=11-22T00:00+08" {
			t.Errorf("%d cards, %v; the first %s", len(got), err, told(got[0]))
		}
		if _, err := a.Cards(context.Background(), append(list, Card{ICCID: mobile})); KindOf(err) != Parameter {
			t.Errorf("101 cards: %v", err)
		}
		if calls, _, _ := m.Seen(); calls != 2 {
			t.Errorf("%d calls, want a login and a batch", calls)
		}
	})
}
