package threegpp

import (
	"strings"
	"testing"
)

// seeds gives every exchange of the recordings to f.
func seeds(f *testing.F, add func(cmd, text string)) {
	for _, c := range recordings(f) {
		for _, e := range c.Exchange {
			add(e.Cmd, strings.Join(append(e.URC, e.Resp...), "\n"))
		}
	}
}

// checkFacts holds what must be true of the facts of any bytes at all.
func checkFacts(t *testing.T, facts []Fact) {
	t.Helper()
	for _, f := range facts {
		if f == nil || f.Kind() == "" {
			t.Fatalf("fact %#v has no kind", f)
		}
		if n := longestDigits(f.String()); n >= 14 {
			t.Fatalf("%T shows %d digits: %s", f, n, f)
		}
		switch v := f.(type) {
		case Registration:
			if v.Stat < 0 || v.Stat > maxRegStat || v.Cause.Known() != (v.Cause.Number > 0) {
				t.Fatalf("registration %+v", v)
			}
		case Signal:
			if v.NotKnown == levelled(v) {
				t.Fatalf("signal not known: %t, with readings: %t: %+v", v.NotKnown, levelled(v), v)
			}
		case Reject:
			if !v.Cause.Known() || v.Source == "" {
				t.Fatalf("reject %+v", v)
			}
		}
	}
}

func FuzzReply(f *testing.F) {
	seeds(f, func(cmd, text string) { f.Add(cmd, text) })
	f.Add("AT+CMGL=4", "+CMGL: 3,1,,40\n0891683110102105F0240BA13109\nOK")
	f.Add("AT!GSTATUS?", "System mode: LTE\tPS state: Attached\nOK")
	f.Fuzz(func(t *testing.T, cmd, text string) {
		facts := Reply(cmd, strings.Split(text, "\n"))
		checkFacts(t, facts)
		for _, fact := range facts {
			if u, ok := fact.(Unparsed); ok && !strings.Contains(text, u.Line) {
				t.Fatalf("unparsed %q was never sent", u.Line)
			}
		}
	})
}

func FuzzURC(f *testing.F) {
	seeds(f, func(_, text string) {
		for _, one := range strings.Split(text, "\n") {
			f.Add(one)
		}
	})
	f.Add("+CMT: \"10086\",,\"26/11/20,09:30:00+32\"\n6B208D39505C673A")
	f.Fuzz(func(t *testing.T, text string) {
		checkFacts(t, URC(text))
		_ = IsURC(text, "AT+CEREG?", 0)
	})
}

// fuzzFamily feeds one family's parsers, by prefix, with any parameters, both
// as an answer and unsolicited.
func fuzzFamily(f *testing.F, commands []string, params ...string) {
	for i := range commands {
		for _, p := range params {
			f.Add(i, p)
		}
	}
	f.Fuzz(func(t *testing.T, which int, params string) {
		if which < 0 || which >= len(commands) || strings.ContainsAny(params, "\r\n") {
			t.Skip()
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(commands[which], "AT"), "?")
		name, _, _ = strings.Cut(name, "=")
		checkFacts(t, Reply(commands[which], []string{name + ": " + params, "OK"}))
		checkFacts(t, URC(name+": "+params))
	})
}

func FuzzQuectel(f *testing.F) {
	fuzzFamily(f, []string{`AT+QENG="servingcell"`, "AT+QCSQ", "AT+QNWINFO", "AT+QRSRP", "AT+QIACT?", "AT+QICSGP=1", `AT+QPING=1,"h"`,
		"AT+QGDCNT?", "AT+QSIMSTAT?", `AT+QCFG="band"`, `AT+QNWLOCK="common/4g"`, "AT+QTEMP", "AT+QIURC?", "AT+QIND?", `AT+QMTCONN=0,"c"`},
		`"servingcell","LIMSRV","LTE","TDD",460,00,1F1B320,420,38950,40,5,5,4977,-110,-9,-105,19,8`, `"LTE",-52,-81,195,-10`, "-84,-99,-32768,-140,LTE", "0,4,0,4")
}

func FuzzSIMCom(f *testing.F) {
	fuzzFamily(f, []string{"AT+CPSI?", "AT+CNSMOD?", "AT+CNMP?", "AT+CMNB?", "AT+CBANDCFG?", "AT+CNACT?", "AT+NETOPEN", `AT+CPING="h"`,
		`AT+CDNSGIP="h"`, "AT+HTTPACTION=0", "AT+CMQTTCONNECT=0", "AT+PDP?", "AT+CBC", "AT+CMTE?"},
		"LTE,Online,460-01,0x774E,26845580,366,EUTRAN-BAND3,1650,5,5,-94,-912,-604,14", "NR5G_SA,Online,460-00,0x1,2,3,NR5G_BAND41,4,-840,-110,180", "3,4,4,0,41,66,50", "0,715,0")
}

func FuzzHuawei(f *testing.F) {
	fuzzFamily(f, []string{"AT^SYSINFOEX", "AT^SYSINFO", "AT^HCSQ?", "AT^MODE?", "AT^REJINFO?", "AT^NDISSTATQRY?", "AT^DSFLOWQRY", "AT^SYSCFGEX?", "AT^NWTIME?", "AT^SRVST?"},
		`1,0,0,4,,3,"WCDMA",41,"WCDMA`, `"LTE",56,47,141,27`, `46001,1,19,2,4,19,"1A2B","FF","0A31C502",33`, `0,33,,"IPV4"`)
}

func FuzzNordicUbloxTelit(f *testing.F) {
	fuzzFamily(f, []string{"AT%XSIM?", "AT%MDMEV?", "AT%XMONITOR", "AT%CESQ?", "AT%XSYSTEMMODE?", "AT%PCOINFO?", "AT+CNEC_ESM?", "AT+CGEV?", "AT+URAT?", "AT+USORF=0,0",
		"AT#CEERNET", "AT#CEER", "AT#QSS?", "AT#RFSTS", "AT#TEMPMON?", "AT+EEMLTESVC?", "AT+MDSI?", "AT+CEER"},
		"0,9", `1,"","","24201","81AE",7,20,"02024720",428,6300,53,22`, "1,FF00,13018405", `NW DEACT "IP","10.1.2.3",1`, `"EMM reject",19,"ESM failure"`, `"262 25",6400,-99,-69,-9,DEAB,FF`)
}

func FuzzRedact(f *testing.F) {
	seeds(f, func(cmd, text string) {
		f.Add(cmd)
		for _, one := range strings.Split(text, "\n") {
			f.Add(one)
		}
	})
	f.Add("+CIMI: 460000000000001")
	f.Add(`AT+CPIN="1234"`)
	f.Add("ATD13900000000;")
	f.Fuzz(func(t *testing.T, text string) {
		if got := Redact(text); longestDigits(got) >= 14 {
			t.Fatalf("Redact(%q) = %q", text, got)
		}
		imsi := "+CIMI: 46000" + strings.Repeat("1", 10)
		if strings.Contains(Redact(imsi), "1111") {
			t.Fatal("an IMSI is shown")
		}
	})
}

func FuzzFinal(f *testing.F) {
	for _, s := range []string{"OK", "+CME ERROR: 10", "+CMS ERROR: x", "CONNECT 9600", "+CIS ERROR:", "NO CARRIER"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if final, ok := ParseFinal(text); ok && (final.Kind == "" || final.Code < -1 && final.Text != "") {
			t.Fatalf("ParseFinal(%q) = %+v", text, final)
		}
	})
}

// BenchmarkReply measures one poll round as the agent runs it.
func BenchmarkReply(b *testing.B) {
	round := []struct {
		cmd   string
		lines []string
	}{
		{"AT+CPIN?", []string{"+CPIN: READY", "", "OK"}},
		{"AT+CEREG?", []string{`+CEREG: 3,3,"774E","19A358C",7,0,7`, "", "OK"}},
		{`AT+QENG="servingcell"`, []string{`+QENG: "servingcell","NOCONN","LTE","FDD",460,01,19A358C,366,100,1,5,5,774E,-108,-5,-83,9,13`, "", "OK"}},
		{"AT+CGACT=1,1", []string{"+CME ERROR: 133"}},
		{"AT+COPS?", []string{`+COPS: 0,0,"CHINA MOBILE",7`, "", "OK"}},
	}
	bytes := 0
	for _, r := range round {
		for _, one := range r.lines {
			bytes += len(one) + 2
		}
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range round {
			Reply(r.cmd, r.lines)
		}
	}
}

func BenchmarkCausesByText(b *testing.B) {
	for b.Loop() {
		CausesByText("Requested service option not subscribed")
	}
}

// FuzzNeul feeds what BC95 and kin answer to +NUESTATS, any number of lines.
func FuzzNeul(f *testing.F) {
	f.Add("Signal power:-801\nSNR:-12\nCell ID:79044177\nPCI:3")
	f.Add("NUESTATS:RADIO,Signal power:-737\nNUESTATS: \"RADIO\",\"RSRQ\",-108")
	f.Fuzz(func(t *testing.T, text string) {
		checkFacts(t, Reply("AT+NUESTATS", append(strings.Split(text, "\n"), "OK")))
	})
}
