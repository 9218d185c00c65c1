package modemtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// scenario parses a scenario from its sections, Quectel unless it says otherwise.
func scenario(t testing.TB, text string) *Scenario {
	t.Helper()
	if !strings.Contains(text, "-- device --") {
		text = "-- device --\nmanufacturer Quectel\nmodel EC20F\ncarrier 460-00\n" + text
	}
	sc, err := Parse("test.txtar", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// ask asks and returns the lines joined by " | ", "silence" for none.
func ask(p *Player, now time.Duration, command string) string {
	lines, _, silent := p.Ask(now, command)
	if silent {
		return "silence"
	}
	return strings.Join(lines, " | ")
}

// text joins what left the modem.
func text(outputs []Output) string {
	var b strings.Builder
	for _, o := range outputs {
		b.Write(o.Data)
	}
	return b.String()
}

func TestDefaultPersonalityAnswersTheOrdinarySet(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\n"), 1)
	for _, tt := range []struct{ command, want string }{
		{"AT", "OK"},
		{"ATE0", "OK"},
		{"ATE0V1Q0", "OK"},
		{"AT&FE0+CMEE=1", "OK"},
		{"ATI", "Quectel | EC20F | Revision: SIM01A01 | OK"},
		{"AT+CGMI", "Quectel | OK"},
		{"AT+CGMM", "EC20F | OK"},
		{"AT+CGMR", "SIM01A01 | OK"},
		{"AT+CGSN", "860000000000009 | OK"},
		{"AT+CIMI", "460000000000001 | OK"},
		{"AT+QCCID", "+QCCID: 89860000000000000001 | OK"},
		{"at + cpin ?", "+CPIN: READY | OK"},
		{"AT+CMEE?", "+CMEE: 1 | OK"},
		{"AT+CFUN?", "+CFUN: 1 | OK"},
		{"AT+CSQ", "+CSQ: 25,99 | OK"},
		{"AT+CESQ", "+CESQ: 99,99,255,255,20,50 | OK"},
		{"AT+CEREG?", "+CEREG: 0,1 | OK"},
		{"AT+CEREG=?", "+CEREG: (0-5) | OK"},
		{"AT+CEREG=2", "OK"},
		{"AT+CEREG?", `+CEREG: 2,1,"4977","B973F53",7 | OK`},
		{"AT+CEREG=4", "OK"},
		{"AT+CEREG?", `+CEREG: 4,1,"4977","B973F53",7,,,"11100000","00101001" | OK`},
		{"AT+CEREG=6", "+CME ERROR: 50"},
		{"AT+COPS?", `+COPS: 0,0,"CHINA MOBILE",7 | OK`},
		{"AT+COPS=3,2", "OK"},
		{"AT+COPS?", `+COPS: 0,2,"46000",7 | OK`},
		{"AT+COPS=?", `+COPS: (2,"CHINA MOBILE","CHINA MOBILE","46000",7),,(0-4),(0-2) | OK`},
		{"AT+CGATT?", "+CGATT: 1 | OK"},
		{"AT+CGACT?", "+CGACT: 1,1 | OK"},
		{`AT+CGDCONT=2,"IPV4V6","My.Apn"`, "OK"},
		{"AT+CGDCONT?", `+CGDCONT: 1,"IP","cmiot","",0,0,0,0 | +CGDCONT: 2,"IPV4V6","My.Apn","",0,0,0,0 | OK`},
		{"AT+CGPADDR=1", `+CGPADDR: 1,"10.64.0.2" | OK`},
		{"AT+CEER", "+CEER: No cause information available | OK"},
		{"AT+CGEREP=2,1", "OK"},
		{"AT+CCLK?", `+CCLK: "26/01/05,08:00:00+32" | OK`},
		{`AT+CCLK="26/02/01,00:00:00+00"`, "OK"},
		{"AT+CCLK?", `+CCLK: "26/02/01,08:00:00+32" | OK`},
		{`AT+QENG="servingcell"`, `+QENG: "servingcell","NOCONN","LTE","FDD",460,00,B973F53,134,1300,3,5,5,4977,-91,-10,-63,12,33 | OK`},
		{"AT+CSQ;+CPIN?;+COPS?", `+CSQ: 25,99 | +CPIN: READY | +COPS: 0,2,"46000",7 | OK`},
		{"AT+CSQ;+NOSUCH;+CPIN?", "+CSQ: 25,99 | ERROR"},
		{"AT+NOSUCH", "ERROR"},
		{"ATR9", "ERROR"},
	} {
		if got := ask(p, 0, tt.command); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.command, got, tt.want)
		}
	}
}

func TestSIMComServingCellIsInTenths(t *testing.T) {
	p := NewPlayer(scenario(t, "-- device --\nprofile simcom-sim7600\ncarrier 460-01\n-- modem --\nsignal rsrp=-91 rsrq=-9 sinr=14 rssi=-60\n"), 1)
	for _, tt := range []struct{ command, want string }{
		{"AT+CPSI?", "+CPSI: LTE,Online,460-01,0x4977,194461523,134,EUTRAN-BAND3,1300,5,5,-90,-910,-600,14 | OK"},
		{"AT+QCCID", "ERROR"},
		{"AT+CICCID", "+ICCID: 89860000000000000001 | OK"},
		{"AT+CFUN=4", "OK"},
		{"AT+CPSI?", "+CPSI: NO SERVICE,Low Power Mode | OK"},
	} {
		if got := ask(p, 0, tt.command); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.command, got, tt.want)
		}
	}
}

// Each setting must be seen in all replies that depend on it.
func TestSettingsChangeEveryReplyThatDependsOnThem(t *testing.T) {
	for _, tt := range []struct {
		name, modem string
		want        map[string]string
	}{
		{"card absent, numeric errors", "sim absent", map[string]string{
			"+CPIN?": "+CME ERROR: 10", "+CIMI": "+CME ERROR: 10", "+QCCID": "+CME ERROR: 10", "+CEREG?": "+CEREG: 0,0 | OK",
			"+CGATT?": "+CGATT: 0 | OK", "+CGACT?": "+CGACT: 1,0 | OK", "+COPS?": "+COPS: 0 | OK", "+CMGL=4": "+CMS ERROR: 310",
			"+QSIMSTAT?": "+QSIMSTAT: 0,0 | OK", "+CSQ": "+CSQ: 25,99 | OK"}},
		{"card wants its PIN", "sim pin", map[string]string{"+CPIN?": "+CPIN: SIM PIN | OK", "+CIMI": "+CME ERROR: 11"}},
		{"card failure", "sim failure", map[string]string{"+CPIN?": "+CME ERROR: 13", "+QINISTAT": "+QINISTAT: 0 | OK"}},
		{"denied in arrears", "reg denied cause=7", map[string]string{
			"+CEREG=3;+CEREG?": `+CEREG: 3,3,"4977","B973F53",7,0,7 | OK`, "+CGATT?": "+CGATT: 0 | OK", "+CGPADDR=1": "+CGPADDR: 1 | OK",
			"+CGACT=1,1": "+CME ERROR: 107", "+QIACT?": "OK", "+COPS?": "+COPS: 0 | OK",
			`+QENG="servingcell"`: `+QENG: "servingcell","LIMSRV","LTE","FDD",460,00,B973F53,134,1300,3,5,5,4977,-91,-10,-63,12,33 | OK`,
			"+COPS=?":             `+COPS: (3,"CHINA MOBILE","CHINA MOBILE","46000",7),,(0-4),(0-2) | OK`}},
		{"packet-only denial, voice registered", "reg denied cause=7 domain=eps\nreg denied cause=7 domain=ps", map[string]string{
			"+CREG?": "+CREG: 0,1 | OK", "+CGREG?": "+CGREG: 0,3 | OK", "+CGATT?": "+CGATT: 0 | OK"}},
		{"searching without a cell", "reg searching\nsignal none", map[string]string{
			"+CEREG?": "+CEREG: 0,2 | OK", "+CSQ": "+CSQ: 99,99 | OK", "+CESQ": "+CESQ: 99,99,255,255,255,255 | OK",
			`+QENG="servingcell"`: `+QENG: "servingcell","SEARCH" | OK`, "+QNWINFO": "+QNWINFO: No Service | OK",
			"+QCSQ": `+QCSQ: "NOSERVICE" | OK`, "+COPS=?": "+COPS: ,(0-4),(0-2) | OK"}},
		{"session refused with ESM 33", "session closed reject=33", map[string]string{
			"+CGATT?": "+CGATT: 1 | OK", "+CGACT?": "+CGACT: 1,0 | OK", "+CGACT=1,1": "+CME ERROR: 133", "+QIACT=1": "ERROR",
			"+CEER": "+CEER: Requested service option not subscribed | OK"}},
		{"session refused for its password", "session closed reject=29", map[string]string{"+CGACT=1,1": "+CME ERROR: 149"}},
		{"session barred: no CME number of its own", "session closed reject=8", map[string]string{
			"+CGACT=1,1": "+CME ERROR: 148", "+CEER": "+CEER: Operator determined barring | OK"}},
		{"airplane mode", "radio airplane", map[string]string{
			"+CFUN?": "+CFUN: 4 | OK", "+CEREG?": "+CEREG: 0,0 | OK", "+CSQ": "+CSQ: 99,99 | OK", "+CPIN?": "+CPIN: READY | OK"}},
		{"roaming", "reg roaming\noperator 310-410 AT&T", map[string]string{
			"+CEREG?": "+CEREG: 0,5 | OK", "+COPS?": `+COPS: 0,0,"AT&T",7 | OK`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPlayer(scenario(t, "-- modem --\n"+tt.modem+"\n"), 1)
			for command, want := range tt.want {
				if got := ask(p, time.Hour, command); got != want {
					t.Errorf("%s\n got %s\nwant %s", command, got, want)
				}
			}
		})
	}
}

func TestErrorsFollowCMEE(t *testing.T) {
	p := NewPlayer(scenario(t, "-- device --\nfamily 3gpp\n-- modem --\nsim absent\n"), 1)
	for _, tt := range []struct{ set, want string }{
		{"AT", "ERROR"}, {"AT+CMEE=1", "+CME ERROR: 10"}, {"AT+CMEE=2", "+CME ERROR: SIM not inserted"},
	} {
		ask(p, 0, tt.set)
		if got := ask(p, 0, "AT+CPIN?"); got != tt.want {
			t.Errorf("after %s: got %s, want %s", tt.set, got, tt.want)
		}
	}
}

func TestUnsolicitedLinesOfRealModems(t *testing.T) {
	for _, tt := range []struct {
		name, set, script string
		want              []string
	}{
		{"nothing was switched on", "", "reg denied cause=8", nil},
		{"card pulled", "+CGEREP=2,1;+CEREG=2;+QSIMSTAT=1", "sim absent",
			[]string{"+CPIN: NOT READY", "+QSIMSTAT: 1,0", "+CGEV: ME PDN DEACT 1", "+CGEV: ME DETACH", "+CEREG: 0"}},
		{"denied, n=1: the state alone", "+CEREG=1", "reg denied cause=8", []string{"+CEREG: 3"}},
		{"denied, n=3: the cause", "+CEREG=3", "reg denied cause=8", []string{`+CEREG: 3,"4977","B973F53",7,0,8`}},
		{"denied with a vendor's own number", "+CEREG=3", "reg denied cause=8 type=1", []string{`+CEREG: 3,"4977","B973F53",7,1,8`}},
		{"denied without a cell to name", "+CEREG=3", "signal none\n30s reg denied cause=8", []string{"+CEREG: 3,,,,0,8"}},
		{"session dropped by the network", "+CGEREP=1", "session closed", []string{"+CGEV: NW PDN DEACT 1"}},
		{"all three registrations", "+CREG=1;+CGREG=1;+CEREG=1", "reg searching", []string{"+CREG: 2", "+CGREG: 2", "+CEREG: 2"}},
		{"a cell change at n=2", "+CEREG=2", "cell tac=1a2b ci=1", []string{`+CEREG: 1,"1A2B","1",7`}},
		{"a cell change at n=1", "+CEREG=1", "cell tac=1a2b ci=1", nil},
		{"a line as given", "", `urc +CUSD: 0,"a | b"`, []string{`+CUSD: 0,"a | b"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := NewPlayer(scenario(t, "-- script --\n30s "+tt.script+"\n"), 1)
			if tt.set != "" && ask(p, 0, tt.set) != "OK" {
				t.Fatal("the settings were refused")
			}
			if early := p.Unsolicited(29 * time.Second); len(early) > 0 {
				t.Errorf("before its time: %q", early)
			}
			if got := p.Unsolicited(30 * time.Second); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// After a card is put back the modem searches before it registers.
func TestCardPutBackRegistersAfterASearch(t *testing.T) {
	p := NewPlayer(scenario(t, "-- script --\n30s sim absent\n60s sim ready\n"), 1)
	ask(p, 0, "+CEREG=1")
	var got []string
	for s := range 70 {
		for _, line := range p.Unsolicited(time.Duration(s) * time.Second) {
			got = append(got, fmt.Sprintf("%ds %s", s, line))
		}
	}
	want := []string{"30s +CPIN: NOT READY", "30s +CEREG: 0", "60s +CPIN: READY", "60s +CEREG: 2", "63s +CEREG: 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// Field fact: after a blocked card is reopened the modem stays denied until
// its radio is cycled.
func TestStickyDenialEndsWithARadioCycleOnly(t *testing.T) {
	p := NewPlayer(scenario(t, "-- script --\n30s reg denied cause=8 sticky\n60s reg home\n"), 1)
	if got := ask(p, 5*time.Minute, "+CEREG?"); got != "+CEREG: 0,3 | OK" {
		t.Errorf("reopened, no radio cycle: %s", got)
	}
	ask(p, 5*time.Minute, "+CFUN=0")
	ask(p, 5*time.Minute+10*time.Second, "+CFUN=1")
	if got := ask(p, 5*time.Minute+11*time.Second, "+CEREG?"); got != "+CEREG: 0,2 | OK" {
		t.Errorf("right after the radio came on: %s", got)
	}
	if got := ask(p, 5*time.Minute+20*time.Second, "+CEREG?"); got != "+CEREG: 0,1 | OK" {
		t.Errorf("after the radio cycle: %s", got)
	}
}

func TestExplicitReplies(t *testing.T) {
	p := NewPlayer(scenario(t, `-- modem --
+CPIN? -> +CPIN: READY | OK
then   -> +CME ERROR: 10
then   -> silence
+QPING=* -> +QPING: 569 | OK
D*99#  -> NO CARRIER
+CSQ   -> +CSQ: 1,99 | OK
+CSQ   -> +CSQ: 2,99 | OK
AT     -> O\x00K\|
+COPS=? [after 30s] -> +COPS: | OK
-- script --
1m  +CSQ -> +CSQ: 3,99 | OK
2m  default +CSQ
`), 1)
	for _, tt := range []struct {
		at            time.Duration
		command, want string
	}{
		{0, "AT+CPIN?", "+CPIN: READY | OK"},
		{0, "at+cpin?", "+CME ERROR: 10"},
		{0, "AT+CPIN?", "silence"},
		{0, "AT+CPIN?", "silence"},
		{0, `AT+QPING=1,"192.0.2.1"`, "+QPING: 569 | OK"},
		{0, "ATD*99#", "NO CARRIER"},
		{0, "AT", "O\x00K|"},
		{0, "AT+CSQ", "+CSQ: 2,99 | OK"},
		{time.Minute, "AT+CSQ", "+CSQ: 3,99 | OK"},
		{2 * time.Minute, "AT+CSQ", "+CSQ: 25,99 | OK"},
	} {
		if got := ask(p, tt.at, tt.command); got != tt.want {
			t.Errorf("%s %s\n got %q\nwant %q", tt.at, tt.command, got, tt.want)
		}
	}
	if _, delay, _ := p.Ask(3*time.Minute, "AT+COPS=?"); delay != 30*time.Second {
		t.Errorf("+COPS=? took %s, want 30s", delay)
	}
	if _, delay, _ := p.Ask(3*time.Minute+10*time.Second, "AT"); delay != 20*time.Second {
		t.Errorf("a command while the modem scans took %s, want 20s", delay)
	}
}

func TestBytesOnTheLine(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\n+CEREG? [urc-inside +CREG: 2] -> +CEREG: 0,1 | OK\n"), 1)
	p.Write(0, []byte("AT+C"))
	p.Write(0, []byte("SQ\r"))
	if got, want := text(p.Advance(0)), "AT+CSQ\r\r\n+CSQ: 25,99\r\n\r\nOK\r\n"; got != want {
		t.Errorf("with echo: got %q, want %q", got, want)
	}
	p.Write(0, []byte("ATE0\r"))
	p.Advance(0)
	p.Write(0, []byte("AT+CEREG?\r\n"))
	if got, want := text(p.Advance(0)), "\r\n+CEREG: 0,1\r\n\r\n+CREG: 2\r\n\r\nOK\r\n"; got != want {
		t.Errorf("line inside the answer: got %q, want %q", got, want)
	}
}

func TestLateAnswerComesInTurn(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\ndelay +CEREG? 12s once\n-- script --\n6s urc RING\n"), 1)
	p.Write(0, []byte("AT+CEREG?\r"))
	p.Write(5*time.Second, []byte("AT+CSQ\r"))
	var got []string
	for s := range 15 {
		if b := text(p.Advance(time.Duration(s) * time.Second)); b != "" {
			got = append(got, fmt.Sprintf("%d %q", s, b))
		}
	}
	want := []string{`6 "\r\nRING\r\n"`, `12 "\r\n+CEREG: 0,1\r\n\r\nOK\r\n\r\n+CSQ: 25,99\r\n\r\nOK\r\n"`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	p.Write(20*time.Second, []byte("AT+CEREG?\r"))
	if text(p.Advance(20*time.Second)) == "" {
		t.Error("the delay was for once, and came again")
	}
}

func TestSplitAnswersLeaveInPieces(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\nsplit 3\n"), 1)
	p.Write(0, []byte("AT\r"))
	outputs := p.Advance(time.Second)
	if len(outputs) != 2 || string(outputs[0].Data) != "\r\nO" || outputs[1].At != splitGap || string(outputs[1].Data) != "K\r\n" {
		t.Errorf("got %+v", outputs)
	}
}

// A line that comes unasked waits for the pieces of an answer to be out.
func TestUnsolicitedLineNeverCutsASplitLine(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n+CSQ [split 4] -> +CSQ: 20,99 | OK\n"), 1)
	p.Write(0, []byte("AT+CSQ\r"))
	p.Advance(splitGap)
	if err := p.DoAt(splitGap, "urc RING"); err != nil {
		t.Fatal(err)
	}
	outputs := p.Advance(time.Second)
	if got := text(outputs); !strings.HasSuffix(got, "\r\nOK\r\n\r\nRING\r\n") {
		t.Errorf("got %q", got)
	}
	if !slices.IsSortedFunc(outputs, func(a, b Output) int { return int(a.At - b.At) }) {
		t.Errorf("the line left before the pieces did: %+v", outputs)
	}
}

func TestMuteSwallowsCommandsAndPendingAnswers(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n+COPS? [after 10s] -> +COPS: 0 | OK\n-- script --\n5s mute\n60s unmute\n"), 1)
	p.Write(0, []byte("AT+COPS?\r"))
	p.Write(6*time.Second, []byte("AT\r"))
	if got := text(p.Advance(59 * time.Second)); got != "" {
		t.Errorf("a mute modem said %q", got)
	}
	if got := ask(p, 59*time.Second, "AT"); got != "silence" {
		t.Errorf("asked while mute: %s", got)
	}
	p.Write(61*time.Second, []byte("AT\r"))
	if got := text(p.Advance(61 * time.Second)); got != "\r\nOK\r\n" {
		t.Errorf("after the hang: %q", got)
	}
}

func TestRebootForgetsTheHostsSettings(t *testing.T) {
	p := NewPlayer(scenario(t, "-- script --\n30s reboot\n"), 1)
	ask(p, 0, "ATE0+CMEE=2;+CEREG=3;+CGEREP=2,1")
	if got := ask(p, 31*time.Second, "AT"); got != "silence" {
		t.Errorf("while booting: %s", got)
	}
	got := p.Unsolicited(time.Minute)
	want := []string{"RDY", "+CFUN: 1", "+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE"}
	if !slices.Equal(got, want) {
		t.Errorf("banner %q, want %q", got, want)
	}
	if got := ask(p, time.Minute, "+CEREG?;+CMEE?;+CGEREP?"); got != "+CEREG: 0,1 | +CMEE: 1 | +CGEREP: 0,0 | OK" {
		t.Errorf("after the boot: %s", got)
	}
}

func TestMuteDuringABootStaysMute(t *testing.T) {
	p := NewPlayer(scenario(t, "-- script --\n30s reboot\n33s mute\n"), 1)
	if got := ask(p, time.Minute, "AT"); got != "silence" {
		t.Errorf("got %s: the end of the boot unmuted a hung module", got)
	}
}

func TestCFUN11Restarts(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\n"), 1)
	if got := ask(p, 0, "AT+CFUN=1,1"); got != "OK" {
		t.Fatal(got)
	}
	if got := ask(p, time.Second, "AT"); got != "silence" {
		t.Errorf("a second after the restart: %s", got)
	}
	if got := p.Unsolicited(10 * time.Second); len(got) == 0 || got[0] != "RDY" {
		t.Errorf("no boot banner: %q", got)
	}
}

func TestVanishDropsEverything(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n-- script --\n70s vanish 5s\n72s urc LOST\n"), 1)
	p.Write(69*time.Second, []byte("AT+CS"))
	outputs := p.Advance(80 * time.Second)
	if len(outputs) != 2 || outputs[0].Kind != Vanish || outputs[0].At != 70*time.Second ||
		outputs[1].Kind != Return || outputs[1].At != 75*time.Second {
		t.Fatalf("got %+v", outputs)
	}
	p.Write(80*time.Second, []byte("AT\r"))
	if got := text(p.Advance(80 * time.Second)); got != "\r\nOK\r\n" {
		t.Errorf("after it came back: %q", got)
	}
}

func TestHeldBytesAreReadAtTheEndOfTheHold(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n-- script --\n10s hold-write 5s\n"), 1)
	p.Write(11*time.Second, []byte("AT\r"))
	if got := text(p.Advance(14 * time.Second)); got != "" || !p.Holding() {
		t.Errorf("while held: %q", got)
	}
	if _, delay, _ := p.Ask(14*time.Second, "AT"); delay != time.Second {
		t.Errorf("asked while held: takes %s, want 1s", delay)
	}
	if got := text(p.Advance(15 * time.Second)); got != "\r\nOK\r\n" {
		t.Errorf("after the hold: %q", got)
	}
}

func TestGarbageIsTheSameForTheSameSeed(t *testing.T) {
	sc := scenario(t, "-- script --\n60s garbage 65536\n")
	noise := func(seed uint64) []byte {
		outputs := NewPlayer(sc, seed).Advance(time.Minute)
		if len(outputs) != 1 {
			t.Fatalf("%d outputs", len(outputs))
		}
		return outputs[0].Data
	}
	a, b, c := noise(1), noise(1), noise(2)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) || len(a) != 65536 || bytes.IndexByte(a, 0) < 0 {
		t.Errorf("seed 1 twice equal: %v, seed 2 equal: %v, %d bytes", bytes.Equal(a, b), bytes.Equal(a, c), len(a))
	}
}

func TestRepetitionEndsAtUntil(t *testing.T) {
	p := NewPlayer(scenario(t, "-- script --\n1m every 10m until 31m urc A\n"), 1)
	if got := p.Unsolicited(3 * time.Hour); len(got) != 3 {
		t.Errorf("got %d, want 3 (1m, 11m, 21m)", len(got))
	}
	p = NewPlayer(scenario(t, "-- script --\n1m every 10m urc A\n"), 1)
	if got := p.Unsolicited(24 * time.Hour); len(got) != 144 {
		t.Errorf("got %d in a day, want 144", len(got))
	}
}

func TestNextIsWhenSomethingIsDue(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n+CSQ [after 3s] -> OK\n-- script --\n1h mute\n"), 1)
	if next, some := p.Next(); !some || next != time.Hour {
		t.Errorf("got %s %v, want 1h", next, some)
	}
	p.Write(time.Minute, []byte("AT+CSQ\r"))
	if next, some := p.Next(); !some || next != time.Minute+3*time.Second {
		t.Errorf("got %s %v, want 1m3s", next, some)
	}
	p.Advance(2 * time.Hour)
	if next, some := p.Next(); some {
		t.Errorf("at the end something is due at %s", next)
	}
}

func TestPINIsAskedAndBlockedAfterThreeTries(t *testing.T) {
	sc := scenario(t, "-- device --\nfamily quectel\npin 0000\n-- modem --\nsim pin\n")
	p := NewPlayer(sc, 1)
	if got := ask(p, 0, `AT+CPIN="0000"`); got != "OK" {
		t.Fatal(got)
	}
	if got := ask(p, 0, "AT+CPIN?"); got != "+CPIN: READY | OK" {
		t.Error(got)
	}
	p = NewPlayer(sc, 1)
	for i, want := range []string{"+CME ERROR: 16", "+CME ERROR: 16", "+CME ERROR: 12"} {
		if got := ask(p, 0, `AT+CPIN="9999"`); got != want {
			t.Errorf("try %d: %s, want %s", i+1, got, want)
		}
	}
	if got := ask(p, 0, "AT+CPIN?"); got != "+CPIN: SIM PUK | OK" {
		t.Error(got)
	}
}

// Captures show it so: the answer to the host first, then the news.
func TestUnsolicitedLinesFollowTheAnswerThatCausedThem(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n"), 1)
	p.Write(0, []byte("AT+CEREG=1\rAT+CFUN=4\r"))
	if got, want := text(p.Advance(0)), "\r\nOK\r\n\r\nOK\r\n\r\n+CEREG: 0\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnswerLostInAHangNeverComes(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n+COPS? [after 10s] -> +COPS: 0 | OK\n-- script --\n5s mute\n6s unmute\n"), 1)
	p.Write(0, []byte("AT+COPS?\r"))
	if got := text(p.Advance(time.Minute)); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestReplyGivenAgainBeginsWithItsFirstAnswer(t *testing.T) {
	p := NewPlayer(scenario(t, "-- script --\n1m every 1m +CSQ -> +CSQ: 1,99 | OK\nthen -> +CSQ: 2,99 | OK\n"), 1)
	for _, tt := range []struct {
		at   time.Duration
		want string
	}{{61 * time.Second, "+CSQ: 1,99 | OK"}, {62 * time.Second, "+CSQ: 2,99 | OK"}, {121 * time.Second, "+CSQ: 1,99 | OK"}} {
		if got := ask(p, tt.at, "+CSQ"); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.at, got, tt.want)
		}
	}
}

func TestNoiseAlwaysHoldsANUL(t *testing.T) {
	for seed := range uint64(20) {
		if got := NewPlayer(scenario(t, "-- script --\n1s garbage 1\n"), seed).Advance(time.Second); string(got[0].Data) != "\x00" {
			t.Errorf("seed %d: %q", seed, got[0].Data)
		}
	}
}
