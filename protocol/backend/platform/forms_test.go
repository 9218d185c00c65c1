package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
	"pgregory.net/rapid"

	"cellwarden/protocol"
)

func mapping(t *testing.T, name string) *Mapping {
	t.Helper()
	m, err := LoadMapping(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every mapping file is whole, and every platform has a client.
func TestMappings(t *testing.T) {
	for _, name := range Names() {
		mapping(t, name)
		if makers[name] == nil {
			t.Errorf("%s has no client", name)
		}
	}
	if len(Names()) != 14 {
		t.Errorf("%d platforms: %v", len(Names()), Names())
	}
}

func TestABadMappingIsNamed(t *testing.T) {
	raw, err := files.ReadFile("mappings/hologram.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`zone  = "+00:00"`, `zone  = "Beijing"`, `demo.toml: zone "Beijing": want an offset such as +08:00`},
		{`= "active"`, `= "alive"`, `demo.toml: table.state: "alive" is no state; code LIVE`},
		{`= "manual"`, `= "hand"`, `demo.toml: table.reason: "hand" is no reason; code PAUSED-USER`},
		{`"rate"  = "rate"`, `"rate"  = "slow"`, `demo.toml: frame: "slow" is no kind; code rate`},
		{`calls   = 2`, `calls   = 0`, `demo.toml: limits wants calls, per and at_once above 0`},
		{`cycle = 0`, `cycles = 0`, `demo.toml: cycles is not known here`},
	} {
		if _, err := ParseMapping("demo", bytes.Replace(raw, []byte(c.from), []byte(c.to), 1)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v\nwant %s", c.to, err, c.want)
		}
	}
}

func TestABadAccountIsNamed(t *testing.T) {
	for _, c := range []struct {
		a    Account
		want string
	}{
		{Account{Name: "a", Platform: "onelnk"}, `no platform is called "onelnk": there are 1nce, alibaba,`},
		{Account{Name: "a", Platform: "onelink", Host: "https://x", User: "u"}, `onelink wants password`},
		{Account{Name: "a", Platform: "onelink", Host: "x", User: "u", Password: "p"}, `host "x": want https://name`},
		{Account{Name: "a", Platform: "onelink", Host: "https://x", User: "u", Password: "p", Setting: map[string]string{"scheme": "v9"}},
			`scheme "v9": onelink has v5, v2`},
		{Account{Name: "a", Platform: "onelink", Host: "https://x", User: "u", Password: "p",
			Setting: map[string]string{"colour": "red"}}, `setting "colour": onelink has scheme`},
		{Account{Name: "a", Platform: "unicom", Host: "https://x", User: "u", Key: "k", Plans: map[string]string{"P": "30"}},
			`plans: "P" = "30": want an amount with its unit`},
		{Account{Name: "a", Platform: "unicom", Host: "https://x", User: "u", Key: "k", Calls: 3},
			`calls and per: want a number and a duration`},
		{Account{Name: "a", Platform: "csv"}, `csv wants the setting file`},
	} {
		if _, err := Open(c.a, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// A secret shows in no log, no error and no JSON.
func TestSecretsDoNotShow(t *testing.T) {
	a := Account{Name: "a", Platform: "onelink", User: "u", Password: "hunter2pw", Key: "hunter2key"}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "account", a, "key", a.Key)
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	all := b.String() + string(raw) + fmt.Sprintf("%v %+v %#v %s", a, a, a, a.Password)
	if strings.Contains(all, "hunter2") {
		t.Error(all)
	}
}

func TestCSV(t *testing.T) {
	m := mapping(t, "csv")
	text := "卡号,卡状态,停机原因,已用流量,单位,统计时间,到期时间,流量池\n" +
		"'89860400000000000015,停机,欠费,29.9,MB,2026-11-21 23:59:59,2027-04-30,\n" +
		"8.98604E+19,正常,,,,,,\n" +
		"89860412345678900000,正常,,,,,,\n" +
		"\t8986060000000000001,正常,,1,GB,2026/11/21,,池A\n" +
		"898602B2000000000001,限速中,,,,,,\n" +
		"89860400000000000023,正常,,-3,MB,,,\n" +
		"89860400000000000031,正常,,3,斗,,,\n"
	gbk, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"UTF-8": []byte(text), "with BOM": []byte("\xef\xbb\xbf" + text), "GBK": gbk,
		"CRLF": []byte(strings.ReplaceAll(text, "\n", "\r\n"))} {
		list, bad, err := ReadCSV(m, bytes.NewReader(raw), noon)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, s := range list {
			got = append(got, s.ICCID+" "+told(s))
		}
		want := []string{"89860400000000000015 suspended/arrears used=31352422 asof=11-21T23:59+08 expires=2027-04-30",
			"8986060000000000001 active/none used=1073741824 pool=池A asof=11-21T00:00+08", "898602B2000000000001 unknown/"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s", name, strings.Join(got, "\n"))
		}
		told := errors.Join(bad...).Error()
		for _, w := range []string{"line 3: the iccid was turned into a rounded number", "line 4: the iccid ends in zeros",
			"line 7: used is below nothing", `line 8: used: amount "3" is no decimal`} {
			if !strings.Contains(told, strings.Replace(w, `amount "3" is no decimal`, "", 1)) {
				t.Errorf("%s: %s\nwant %s", name, told, w)
			}
		}
		if strings.Contains(told, "8986041234") {
			t.Errorf("%s: an error holds a card: %s", name, told)
		}
	}
	if _, _, err := ReadCSV(m, strings.NewReader("card,state\n1,2\n"), noon); err == nil || !strings.Contains(err.Error(),
		"no column is called iccid") {
		t.Error(err)
	}
}

// A file is read again when it has changed, and not else.
func TestCSVFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cards.csv")
	write := func(state string, at time.Time) {
		if err := os.WriteFile(name, []byte("iccid,state,reason\n89860400000000000015,"+state+",\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("active", noon)
	a, err := Open(Account{Name: "file", Platform: "csv", Setting: map[string]string{"file": name}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := ask(t, a, "8986040000000000001"); s.State != "active" || !s.AsOf.Equal(noon) {
		t.Error(told(s))
	}
	write("suspended", noon.Add(time.Hour))
	if s := ask(t, a, mobile); s.State != "suspended" {
		t.Error(told(s))
	}
	if _, err := a.Card(context.Background(), Card{ICCID: "89860400000000000999"}); KindOf(err) != NoCard {
		t.Error(err)
	}
}

// Units: what a platform names in MB is never read by a factor of 1000, whatever the form.
func TestVolumesKeepTheirUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<29).Draw(t, "n")
		unit := rapid.SampledFrom([]string{"B", "KB", "MB"}).Draw(t, "unit")
		factor := map[string]int64{"B": 1, "KB": 1024, "MB": 1024 * 1024}[unit]
		for _, form := range []string{"%d", "%d.000", " %d ", "%d" + unit, "%d " + strings.ToLower(unit)} {
			v, err := (node{fmt.Sprintf(form, n)}).volume(unit)
			if err != nil || v == nil || *v != n*factor {
				t.Fatalf(form+": %v %v, want %d", n, v, err, n*factor)
			}
		}
	})
	for _, s := range []string{"1e9", "0x10", "1/3", "1_000", "12 斗", "NaN", "--1", "99999999999999999999MB", strings.Repeat("9", 100)} {
		if v, err := (node{s}).volume("MB"); err == nil {
			t.Errorf("%q is taken for %v", s, *v)
		}
	}
	for _, none := range []any{nil, "", " ", map[string]any{}, []any{}} {
		if v, err := (node{none}).volume("MB"); v != nil || err != nil {
			t.Errorf("%v is no value: %v %v", none, v, err)
		}
	}
}

// The limiter keeps calls apart, asks half as often when told, and comes back.
func TestTheAccountsLimit(t *testing.T) {
	play(t, func(t *testing.T) {
		l := newLimiter(10, time.Minute, 1)
		var at []time.Time
		call := func() {
			done, err := l.take(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			at = append(at, time.Now())
			done()
		}
		for range 20 {
			call()
			l.fine()
		}
		for i := 1; i < len(at); i++ {
			if d := at[i].Sub(at[i-1]); d < 6*time.Second {
				t.Fatalf("two calls within %v", d)
			}
		}
		l.slower(0)
		call()
		call()
		if d := at[len(at)-1].Sub(at[len(at)-2]); d != 12*time.Second {
			t.Errorf("after a refusal %v apart, want 12 s", d)
		}
		for range goodAgain {
			l.fine()
		}
		if l.interval() != 6*time.Second {
			t.Errorf("after %d good ones %v apart", goodAgain, l.interval())
		}
		for range 20 {
			l.slower(0)
		}
		if l.interval() > slowest*6*time.Second {
			t.Errorf("slower without end: %v", l.interval())
		}
	})
}

// What is learned goes down as the device reads it, the raw code beside it and no card.
func TestMessageForTheDevice(t *testing.T) {
	used, plan := uint64(31457280), uint64(31457280)
	s := Status{ICCID: mobile, State: "suspended", Reason: "arrears", Raw: "cardStatus 02; stopReason 00002000000", AsOf: noon,
		Used: &used, Plan: &plan, UsedAsOf: noon, CycleDay: 1}
	cmd, err := s.Command("p-1", "cm-demo", noon, 90*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.MarshalCommand(cmd)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"v":1,"id":"p-1","expires":"2026-12-23T02:30:00Z","do":"sim_status","args":{"state":"suspended","reason":"arrears",` +
		`"as_of":"2026-11-22T02:30:00Z","used_bytes":31457280,"used_as_of":"2026-11-22T02:30:00Z","cycle_day":1,"plan_bytes":31457280,` +
		`"source":"cm-demo","carrier_raw":"cardStatus 02; stopReason 00002000000"}}`
	if string(raw) != want {
		t.Errorf("%s\nwant %s", raw, want)
	}
	if News(s, s) || !News(Status{State: "active"}, s) {
		t.Error("news is what changed")
	}
	little, more := used+1<<20, used+2<<20
	a, b := s, s
	a.Used, b.Used = &little, &more
	if News(s, a) || !News(s, b) {
		t.Error("a twentieth of the plan is news, less is not")
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"status":"0","result":[{"dataAmount":" "}]}`))
	f.Add([]byte(`<root><a:b xmlns:a="x"><IRESULT>0</IRESULT><TOTAL_BYTES_CNT>29.90MB</TOTAL_BYTES_CNT></a:b></root>`))
	f.Add([]byte("卡号,状态\n89860400000000000015,停机\n"))
	f.Add([]byte(`{"iccid":"89860400000000000015","state":"active","used_bytes":1}`))
	csv, err := LoadMapping("csv")
	if err != nil {
		f.Fatal(err)
	}
	form, err := LoadMapping("http")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, parse := range []func([]byte) (node, error){parseJSON, parseXML} {
			if n, err := parse(raw); err == nil {
				n.find("dataAmount").text()
				n.find("TOTAL_BYTES_CNT").volume("MB")
				n.at("result", "0").list()
			}
		}
		list, _, err := ReadCSV(csv, bytes.NewReader(raw), noon)
		for _, s := range list {
			if err == nil && CheckICCID(s.ICCID) != nil {
				t.Fatalf("took the card %q", s.ICCID)
			}
		}
		if s, err := Form(form, raw, noon); err == nil && s.State == "" {
			t.Fatal("a form without a state")
		}
	})
}
