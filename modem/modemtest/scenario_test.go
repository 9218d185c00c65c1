package modemtest

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestBadScenariosAreRefusedWithTheirPlace(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", `f.txtar:1: no section; a scenario needs at least a line "-- modem --"`},
		{"unknown word", "x\n-- modem --\n\nreg home\nsimm absent\n", `f.txtar:5: "simm" is neither a setting (sim, reg, signal, ...) nor a reply ("+CSQ -> +CSQ: 20,99 | OK")`},
		{"unknown state", "-- modem --\nsim broken\n", `f.txtar:2: sim: unknown state "broken"; it reads "sim ready|absent|not-ready|pin|puk|failure|busy|wrong"`},
		{"event without a time", "-- modem --\nmute\n", `f.txtar:2: "mute" happens at a time: put it in the script section with its time`},
		{"script without a time", "-- script --\nsim absent\n", `f.txtar:2: a script line begins with its time, such as 30s: "sim" is not a time such as 30s, 10m or 26d6h`},
		{"negative time", "-- script --\n-3s mute\n", `f.txtar:2: a script line begins with its time, such as 30s: "-3s" is outside 0 to 10 years`},
		{"time alone", "-- script --\n3s\n", `f.txtar:2: nothing happens at 3s: the line ends after its time`},
		{"too often", "-- script --\n3s every 1ns mute\n", `f.txtar:2: every 1ns is too often; at least 100ms`},
		{"until too early", "-- script --\n3s every 1s until 2s mute\n", `f.txtar:2: until 2s is not after the line's own time 3s`},
		{"section twice", "-- modem --\n-- script --\n-- modem --\n", `f.txtar:3: section "modem" is there twice; join the two`},
		{"then without a reply", "-- modem --\nreg home\nthen -> OK\n", `f.txtar:3: "then" continues a reply line, and there is none above it`},
		{"no answer", "-- modem --\n+CSQ ->\n", `f.txtar:2: no answer after ->; write "-> silence" where the modem says nothing`},
		{"open bracket", "-- modem --\n+CSQ [after 3s -> OK\n", `f.txtar:2: option "[after 3s -> OK" has no closing bracket`},
		{"unknown option", "-- modem --\n+CSQ [late 3s] -> OK\n", `f.txtar:2: unknown option [late 3s]; there are [after 30s], [split 3], [urc-inside +CREG: 1] and [prompt]`},
		{"bad escape", "-- modem --\n+CSQ -> a\\q\n", `f.txtar:2: \q is not known; there are \r \n \t \\ \| and \xHH`},
		{"empty line in the answer", "-- modem --\n+CSQ -> a |  | OK\n", `f.txtar:2: an empty line in the answer`},
		{"signal without level", "-- modem --\nsignal rsrq=-9\n", `f.txtar:2: signal: rsrp is missing; it reads "signal none | rsrp=-91 [rsrq=-10] [sinr=12] [rssi=-63] [ber=99]"`},
		{"level out of range", "-- modem --\nsignal rsrp=91\n", `f.txtar:2: signal: rsrp: "91" is not a number from -157 to -30; it reads "signal none | rsrp=-91 [rsrq=-10] [sinr=12] [rssi=-63] [ber=99]"`},
		{"sms without text", "-- script --\n1s sms from=10086\n", `f.txtar:2: sms: text= is missing; it reads "sms from=10086 [at=2026-01-27T09:00:00+08:00] text=..."`},
		{"device value", "-- device --\ncarrier 46000\n", `f.txtar:2: device key "carrier": "46000" is not a network code such as 460-00`},
		{"an identity stays out of the message", "-- device --\nimsi 46000x\n", `f.txtar:2: device key "imsi": not 14 to 15 digits`},
		{"garbage size", "-- script --\n1s garbage 2000000\n", `f.txtar:2: garbage: "2000000" is not a number from 1 to 1048576; it reads "garbage BYTES"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f.txtar", []byte(tt.text))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestScenarioKeepsWhatItDoesNotRead(t *testing.T) {
	sc, err := Parse("f.txtar", []byte("One line.\r\n-- device --\r\nProfile telit\r\nclock 2026-02-03T04:05:06+08:00\r\n-- want --\r\n0:30 observed\r\n-- modem --\r\n# a comment\r\n#QSS? -> #QSS: 1 | OK\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want, found := sc.Section("want")
	if !found || want.Line != 6 || want.Data != "0:30 observed\n" || sc.Heading != "One line." || sc.Device["profile"] != "telit" {
		t.Errorf("got %+v %v, heading %q, device %q", want, found, sc.Heading, sc.Device)
	}
	if sc.Start.Format(time.RFC3339) != "2026-02-03T04:05:06+08:00" {
		t.Errorf("start %s", sc.Start)
	}
	if got := ask(NewPlayer(sc, 1), 0, "AT#QSS?"); got != "#QSS: 1 | OK" {
		t.Errorf("Telit's command was taken for a comment: %s", got)
	}
}

func TestTimesMayHaveDays(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want time.Duration
	}{{"30s", 30 * time.Second}, {"26d6h", 630 * time.Hour}, {"2d", 48 * time.Hour}, {"0s", 0}} {
		if got, err := ParseTime(tt.in); err != nil || got != tt.want {
			t.Errorf("%s: got %s, %v", tt.in, got, err)
		}
	}
	for _, bad := range []string{"", "d", "x", "-1d", "1d-2h", "9999d", "3650d1h", "1e9h"} {
		if d, err := ParseTime(bad); err == nil {
			t.Errorf("%q was read as %s", bad, d)
		}
	}
}

// Every built-in scenario is parsed, has a heading for people, and shows the
// fault that it is named after.
func TestBuiltinScenariosShowTheirFault(t *testing.T) {
	shows := map[string]struct {
		at            time.Duration
		command, want string
	}{
		"healthy-quectel":  {time.Minute, "+CEREG?;+CGACT?;+CPIN?", "+CEREG: 0,1 | +CGACT: 1,1 | +CPIN: READY | OK"},
		"sim-absent":       {time.Minute, "+CPIN?", "+CME ERROR: 10"},
		"denied-arrears":   {time.Minute, "+CEREG=3;+CEREG?;+CSQ", `+CEREG: 3,3,"4977","B973F53",7,0,7 | +CSQ: 27,99 | OK`},
		"black-hole":       {time.Minute, "+CGACT?;+CEREG?", "+CGACT: 1,1 | +CEREG: 0,1 | OK"},
		"mute":             {time.Minute, "AT", "silence"},
		"searching":        {time.Minute, "+CEREG?;+CSQ", "+CEREG: 0,2 | +CSQ: 99,99 | OK"},
		"pdp-rejected":     {time.Minute, "+CEREG?;+CGACT=1,1", "+CEREG: 0,1 | +CME ERROR: 133"},
		"flapping-contact": {2*time.Minute + time.Second, "+CPIN?", "+CME ERROR: 10"},
		"quota-month":      {28 * 24 * time.Hour, "+CEREG?;+CGACT=1,1", "+CEREG: 0,1 | +CME ERROR: 133"},
	}
	for _, name := range BuiltinNames() {
		sc, err := Builtin(name)
		if err != nil {
			t.Error(err)
			continue
		}
		show, known := shows[name]
		if !known || sc.Heading == "" {
			t.Errorf("%s: no heading, or this test does not know its fault", name)
			continue
		}
		if got := ask(NewPlayer(sc, 1), show.at, show.command); got != show.want {
			t.Errorf("%s at %s: %s\n got %s\nwant %s", name, show.at, show.command, got, show.want)
		}
		delete(shows, name)
	}
	for name := range shows {
		t.Errorf("built-in scenario %s is missing", name)
	}
	if _, err := Builtin("nosuch"); err == nil || !strings.Contains(err.Error(), "quota-month") {
		t.Errorf("an unknown name does not list the known ones: %v", err)
	}
}

func TestSettingsAreAllDescribed(t *testing.T) {
	list := Settings()
	if len(list) != len(verbs) {
		t.Fatalf("%d of %d listed", len(list), len(verbs))
	}
	for _, s := range list {
		if s.Help == "" || firstWord(s.Usage) != s.Name {
			t.Errorf("%+v", s)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range BuiltinNames() {
		data, err := os.ReadFile("scenarios/" + name + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte("AT+CPIN?\r"))
	}
	f.Add([]byte("-- modem --\n+CMGS=* [prompt] [split 2] [urc-inside +CREG: 1] -> +CMGS: 1 | OK\nthen -> silence\n-- script --\n1s every 1s until 5s reboot\n2s vanish 3s\n2s hold-write 1s\n3s garbage 10\n4s delay +C* 3s once\n5s sms from=+861 text=\\x41\n"),
		[]byte("AT+CMGS=1\rabc\x1aAT+CFUN=1,1\r"))
	f.Fuzz(func(t *testing.T, data, host []byte) {
		if len(data) > 4096 || len(host) > 512 {
			return // long inputs are slow and show nothing new
		}
		sc, err := Parse("f.txtar", data)
		if err != nil {
			return
		}
		p := NewPlayer(sc, 1)
		last := time.Duration(-1)
		for s := range 60 {
			now := time.Duration(s) * time.Second
			p.Write(now, host)
			for _, o := range p.Advance(now) {
				if o.At > now || o.At < last {
					t.Fatalf("output of %s after %s at %s", o.At, last, now)
				}
				last = o.At
			}
			p.Ask(now, string(host))
		}
	})
}
