package threegpp

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// An asked is one exchange and the exact facts of it.
type asked struct {
	device string // the device that spoke, or the document
	cmd    string
	lines  []string
	want   []Fact
}

func runReplies(t *testing.T, tests []asked) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.device+" "+tt.cmd, func(t *testing.T) {
			got := Reply(tt.cmd, tt.lines)
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Reply(%q, %q)\n got %s\nwant %s", tt.cmd, tt.lines, show(got), show(tt.want))
			}
			for _, f := range got {
				checkFact(t, f)
			}
		})
	}
}

// A heard is one unsolicited line and the exact facts of it.
type heard struct {
	device, line string
	want         []Fact
}

func runURCs(t *testing.T, tests []heard) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.device+" "+tt.line, func(t *testing.T) {
			got := URC(tt.line)
			if len(got) == 0 && len(tt.want) == 0 {
				return
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("URC(%q)\n got %s\nwant %s", tt.line, show(got), show(tt.want))
			}
			for _, f := range got {
				checkFact(t, f)
			}
		})
	}
}

func show(facts []Fact) string {
	s := ""
	for _, f := range facts {
		s += "\n      " + f.Kind() + ": " + f.String()
	}
	return s
}

func reg(d Domain, s RegStat) Registration {
	return Registration{Domain: d, Stat: s, AcT: -1, ActiveTimeS: -1, PeriodicTAUS: -1}
}

func cellOf(c Registration, area, cell string, act int) Registration {
	c.Area, c.Cell, c.AcT = area, cell, act
	return c
}

func withCause(r Registration, p Protocol, n int) Registration {
	r.Cause = RejectCause{p, n}
	return r
}

func unsolicited(r Registration) Registration { r.URC = true; return r }

func dB(f float64) *float64 { return &f }

func TestRegistrationReplies(t *testing.T) {
	runReplies(t, []asked{
		{"SARA-U260", "AT+CREG?", []string{`+CREG: 2,5,"2CF7","8A5A782",6`, "OK"},
			[]Fact{cellOf(reg(CS, RegRoaming), "2CF7", "8A5A782", 6), Done{"+CREG?"}}},
		{"A9G without the space", "AT+CREG?", []string{"+CREG:0,1"}, []Fact{reg(CS, RegHome)}},
		{"EC25-E n=3", "at+cereg?", []string{`+CEREG: 3,3,"774E","19A358C",7,0,7`, "", "OK"},
			[]Fact{withCause(cellOf(reg(EPS, RegDenied), "774E", "19A358C", 7), EMM, 7), Done{"+CEREG?"}}},
		{"nRF9160 n=5", "AT+CEREG?", []string{`+CEREG: 5,3,"09C5","020C7B16",7,0,8`, "OK"},
			[]Fact{withCause(cellOf(reg(EPS, RegDenied), "09C5", "020C7B16", 7), EMM, 8), Done{"+CEREG?"}}},
		{"nRF9160 UICC failure", "AT+CEREG?", []string{"+CEREG: 2,90"}, []Fact{reg(EPS, RegNordicNoUICC)}},
		{"27.007 private cause", "+CEREG?", []string{`+CEREG: 3,3,"774E","19A358C",7,1,201`},
			[]Fact{withCause(cellOf(reg(EPS, RegDenied), "774E", "19A358C", 7), PrivateCause, 201)}},
		{"27.007 +CGREG with rac and cause", "+CGREG?", []string{`+CGREG: 3,3,"1A2B","00F2",2,"07",0,14`},
			[]Fact{withCause(cellOf(reg(PS, RegDenied), "1A2B", "00F2", 2), GMM, 14)}},
		{"27.007 +CGREG without rac", "+CGREG?", []string{`+CGREG: 3,3,"1A2B","00F2",2,0,7`},
			[]Fact{withCause(cellOf(reg(PS, RegDenied), "1A2B", "00F2", 2), GMM, 7)}},
		{"27.007 +CREG cause is of MM", "+CREG?", []string{`+CREG: 3,3,"1A2B","00F2",2,0,2`},
			[]Fact{withCause(cellOf(reg(CS, RegDenied), "1A2B", "00F2", 2), MM, 2)}},
		{"27.007 +C5GREG with slices", "+C5GREG?", []string{`+C5GREG: 3,3,"1A2B3C","0000F20001",11,4,"01.000001",0,62`},
			[]Fact{withCause(cellOf(reg(NR, RegDenied), "1A2B3C", "0000F20001", 11), FiveGMM, 62)}},
		{"FM150 act of two digits", "AT+CREG?", []string{`+CREG: 2,1,"5D4","01BC7511",13`},
			[]Fact{cellOf(reg(CS, RegHome), "5D4", "01BC7511", 13)}},
		{"unquoted area", "AT+CEREG?", []string{"+CEREG: 2,1,1D23,D70394B,7"},
			[]Fact{cellOf(reg(EPS, RegHome), "1D23", "D70394B", 7)}},
		{"empty fields", "AT+CEREG?", []string{"+CEREG: 3,2,,,,0,15"},
			[]Fact{withCause(reg(EPS, RegSearching), EMM, 15)}},
		{"no cell", "AT+CEREG?", []string{`+CEREG: 2,0,"FFFF","FFFFFFFF"`}, []Fact{reg(EPS, RegIdle)}},
		{"several in one answer, a URC between", "AT+CREG?;+CGREG?",
			[]string{"+CREG: 0,1", "+CEREG: 2", "+CGREG: 0,3", "OK"},
			[]Fact{reg(CS, RegHome), unsolicited(reg(EPS, RegSearching)), reg(PS, RegDenied), Done{"+CREG?;+CGREG?"}}},
		{"a URC ahead of the answer", "AT+CEREG?", []string{`+CEREG: 3,"0D0B","C45C010",7,0,11`, "+CEREG: 0,3", "OK"},
			[]Fact{unsolicited(withCause(cellOf(reg(EPS, RegDenied), "0D0B", "C45C010", 7), EMM, 11)), reg(EPS, RegDenied), Done{"+CEREG?"}}},
		{"not a state", "AT+CEREG?", []string{"+CEREG: abc"}, []Fact{Unparsed{Line: "+CEREG: abc"}}},
	})
	psm := unsolicited(cellOf(reg(EPS, RegHome), "1D23", "0D70394B", 9))
	granted := psm
	granted.ActiveTimeS, granted.PeriodicTAUS = 4, 6*3600
	runURCs(t, []heard{
		{"BG770 two spaces", "+CEREG:  4", []Fact{unsolicited(reg(EPS, RegUnknown))}},
		{"nRF9151 PSM not granted", `+CEREG: 1,"1D23","0D70394B",9,,,"11100000","11100000"`, []Fact{psm}},
		{"nRF9151 PSM granted", `+CEREG: 1,"1D23","0D70394B",9,,,"00000010","00100110"`, []Fact{granted}},
		{"nRF9160 type 0 cause 0 is none", `+CEREG: 2,"1D23","0D70394B",7,0,0`,
			[]Fact{unsolicited(cellOf(reg(EPS, RegSearching), "1D23", "0D70394B", 7))}},
		{"SARA-R4", `+CEREG: 2,"2D83","1D11B0A",7,0,14`,
			[]Fact{unsolicited(withCause(cellOf(reg(EPS, RegSearching), "2D83", "1D11B0A", 7), EMM, 14))}},
		{"a read answer that came too late", "+CREG: 0,1", []Fact{reg(CS, RegHome)}},
		{"27.007 radio link", "+CSCON: 1", []Fact{RadioLink{true}}},
	})
}

func TestPSMTimers(t *testing.T) {
	for bits, want := range map[string]int{"00000010": 4, "00100001": 60, "01000001": 360, "11100000": -1, "0010": -1, "0000001x": -1} {
		if got := activeTime(bits); got != want {
			t.Errorf("active time %s = %d, want %d", bits, got, want)
		}
	}
	for bits, want := range map[string]int{"00000001": 600, "00100110": 21600, "01000001": 36000, "01100101": 10, "10000010": 60, "10100010": 120, "11000001": 1152000, "11100000": -1} {
		if got := periodicTAU(bits); got != want {
			t.Errorf("periodic TAU %s = %d, want %d", bits, got, want)
		}
	}
}

func TestSIMReplies(t *testing.T) {
	runReplies(t, []asked{
		{"EC20", "at+cpin?", []string{"+CPIN: READY", "", "OK"}, []Fact{SIM{State: SIMReady, Text: "READY"}, Done{"+CPIN?"}}},
		{"SIM7600 second URC line", "AT+CPIN?", []string{"+CPIN: READY", "+CPIN: NOT READY", "OK"},
			[]Fact{SIM{State: SIMReady, Text: "READY"}, SIM{State: SIMNotReady, Text: "NOT READY", URC: true}, Done{"+CPIN?"}}},
		{"EC20 no card", "at+cpin?", []string{"+CME ERROR: 10"},
			[]Fact{Refusal{Command: "+CPIN?", Final: "CME", Code: 10, Text: "SIM not inserted"}, SIM{State: SIMAbsent, Text: "CME 10"}}},
		{"SARA-G350 verbose", "AT+CPIN?", []string{"+CME ERROR: SIM not inserted"},
			[]Fact{Refusal{Command: "+CPIN?", Final: "CME", Code: 10, Text: "SIM not inserted"}, SIM{State: SIMAbsent, Text: "CME 10"}}},
		{"27.007 (U)SIM and a hyphen", "AT+CPIN?", []string{"+CME ERROR: PH-(U)SIM PIN required"},
			[]Fact{Refusal{Command: "+CPIN?", Final: "CME", Code: 5, Text: "PH-(U)SIM PIN required"}, SIM{State: SIMLock, Text: "CME 5"}}},
		{"SARA-R410M bare ERROR", "AT+CPIN?", []string{"ERROR"},
			[]Fact{Refusal{Command: "+CPIN?", Final: "ERROR", Code: -1}, SIM{State: SIMRefused, Text: "ERROR"}}},
		{"BG96 bare ERROR to another question", "AT+CIMI", []string{"ERROR"}, []Fact{Refusal{Command: "+CIMI", Final: "ERROR", Code: -1}}},
		{"Motorola G24", "AT+COPS?", []string{"+CME ERROR: SIM is subsidy locked"},
			[]Fact{Refusal{Command: "+COPS?", Final: "CME", Code: -1, Text: "SIM is subsidy locked"}, SIM{State: SIMLock, Text: "SIM is subsidy locked"}}},
		{"contact fault seen as 262", "AT+CSMP=17,167,0,0", []string{"+CME ERROR: 262"},
			[]Fact{Refusal{Command: "+CSMP=17,167,0,0", Final: "CME", Code: 262}}},
		{"27.005", "AT+CMGL=4", []string{"+CMS ERROR: 313"},
			[]Fact{Refusal{Command: "+CMGL=4", Final: "CMS", Code: 313, Text: "(U)SIM failure"}, SIM{State: SIMFailure, Text: "CMS 313"}}},
		{"27.005 barred line", "AT+CMGS=23", []string{"+CMS ERROR: 8"},
			[]Fact{Refusal{Command: "+CMGS=23", Final: "CMS", Code: 8, Text: "operator determined barring"}}},
		{"27.007 a PIN is never kept", `AT+CPIN="1234"`, []string{"+CPIN: READY", "OK"},
			[]Fact{SIM{State: SIMReady, Text: "READY", URC: true}, Done{`+CPIN="…(4)"`}}},
		{"nRF9160 SoftSIM", "AT%XSIM?", []string{"%XSIM: 0,9"}, []Fact{SIM{State: SIMAbsent, Text: "%XSIM 0,9"}}},
		{"BG96", "AT+QSIMSTAT?", []string{"+QSIMSTAT: 1,0", "OK"}, []Fact{SIMPresence{Inserted: false}, Done{"+QSIMSTAT?"}}},
		{"BG96", "AT+QSIMDET=1,0", []string{"OK"}, []Fact{SIMDetect{Enabled: true, Set: true}, Done{"+QSIMDET=1,0"}}},
		{"EC20 initialised", "AT+QINISTAT", []string{"+QINISTAT: 3", "OK"}, []Fact{SIM{State: SIMReady, Text: "+QINISTAT 3"}, Done{"+QINISTAT"}}},
		{"ME910", "AT#QSS?", []string{"#QSS: 1,3", "OK"},
			[]Fact{SIMPresence{Inserted: true}, SIM{State: SIMReady, Text: "#QSS 3"}, Done{"#QSS?"}}},
		{"EC20 ICCID of 19 digits", "AT+QCCID", []string{"+QCCID: 8986000000000000001F", "OK"}, []Fact{ICCID{"8986000000000000001"}, Done{"+QCCID"}}},
		{"SIM800 ICCID without prefix", "AT+CCID", []string{"89860000000000000012", "OK"}, []Fact{ICCID{"89860000000000000012"}, Done{"+CCID"}}},
		{"Huawei", "AT^ICCID?", []string{`^ICCID: "89860000000000000012"`, "OK"}, []Fact{ICCID{"89860000000000000012"}, Done{"^ICCID?"}}},
		{"ICCID with hex letters", "AT+ICCID", []string{"+ICCID: 898604A0000000000012", "OK"}, []Fact{ICCID{"898604A0000000000012"}, Done{"+ICCID"}}},
		{"unreadable file", "AT+ICCID", []string{"+ICCID: FFFFFFFFFFFFFFFFFFFF", "OK"}, []Fact{Done{"+ICCID"}}},
		{"EC20", "AT+CIMI", []string{"460000000000001", "OK"}, []Fact{IMSI{"460000000000001"}, Done{"+CIMI"}}},
		{"EC20 with a URC among the digits", "AT+CIMI", []string{"+CEREG: 2", "460000000000001", "OK"},
			[]Fact{unsolicited(reg(EPS, RegSearching)), IMSI{"460000000000001"}, Done{"+CIMI"}}},
		{"Air724 all in one", "AT+CGSN", []string{"860000000000013", "OK"}, []Fact{IMEI{"860000000000013"}, Done{"+CGSN"}}},
		{"BG96", "ATI", []string{"Quectel", "BG96", "Revision: BG96MAR02A07M1G", "", "OK"},
			[]Fact{ModemIdentity{"Quectel", "BG96", "BG96MAR02A07M1G"}, Done{"I"}}},
		{"SIM7600", "ATI", []string{"Manufacturer: SIMCOM INCORPORATED", "Model: SIMCOM_SIM7600G-H", "Revision: SIM7600M22_V2.0", "IMEI: 860000000000013", "+GCAP: +CGSM", "OK"},
			[]Fact{IMEI{"860000000000013"}, ModemIdentity{"SIMCOM INCORPORATED", "SIMCOM_SIM7600G-H", "SIM7600M22_V2.0"}, Done{"I"}}},
		{"R410M", "AT+CGMM", []string{"SARA-R410M-02B", "OK"}, []Fact{ModemIdentity{Model: "SARA-R410M-02B"}, Done{"+CGMM"}}},
	})
	runURCs(t, []heard{
		{"Air780E slot number", "+CPIN: SIM REMOVED 0", []Fact{SIM{State: SIMRemoved, Text: "SIM REMOVED", URC: true}}},
		{"27.007 PIN2 keeps nothing away", "+CPIN: SIM PIN2", []Fact{SIM{State: SIMReady, Text: "SIM PIN2", URC: true}}},
		{"27.007 personalisation", "+CPIN: PH-NETSUB PUK", []Fact{SIM{State: SIMLock, Text: "PH-NETSUB PUK", URC: true}}},
		{"EC20 hot unplug", "+QSIMSTAT: 1,0", []Fact{SIMPresence{Inserted: false, URC: true}}},
		{"ME910 hot unplug", "#QSS: 0", []Fact{SIMPresence{Inserted: false, URC: true}}},
		{"ME909 card mark", "^SIMST: 255,0", []Fact{CardValidity{NoCard: true}}},
	})
}

func TestFinals(t *testing.T) {
	tests := []struct {
		line string
		want Final
		ok   bool
	}{
		{"OK", Final{OK: true, Kind: "OK", Code: -1}, true},
		{" OK\r", Final{OK: true, Kind: "OK", Code: -1}, true},
		{"SHUT OK", Final{OK: true, Kind: "OK", Code: -1, Text: "SHUT OK"}, true},
		{"SEND OK", Final{OK: true, Kind: "OK", Code: -1, Text: "SEND OK"}, true},
		{"SEND FAIL", Final{Kind: "SEND FAIL", Code: -1}, true},
		{"ERROR", Final{Kind: "ERROR", Code: -1}, true},
		{"NO CARRIER", Final{Kind: "NO CARRIER", Code: -1}, true},
		{"COMMAND NOT SUPPORT", Final{Kind: "COMMAND NOT SUPPORT", Code: -1}, true},
		{"TOO MANY PARAMETERS", Final{Kind: "TOO MANY PARAMETERS", Code: -1}, true},
		{"CONNECT", Final{OK: true, Kind: "CONNECT", Code: -1}, true},
		{"CONNECT 43200000", Final{OK: true, Kind: "CONNECT", Code: -1, Text: "43200000"}, true},
		{"CONNECT OK", Final{}, false},
		{"CONNECTED", Final{}, false},
		{"+CME ERROR: 10", Final{Kind: "CME", Code: 10}, true},
		{"+CME ERROR:10", Final{Kind: "CME", Code: 10}, true},
		{"+cme error: SIM busy", Final{Kind: "CME", Code: -1, Text: "SIM busy"}, true},
		{"+CMS ERROR: 310", Final{Kind: "CMS", Code: 310}, true},
		{"+CIS ERROR: 4", Final{Kind: "CIS", Code: 4}, true},
		{"+CMX ERROR: 4", Final{}, false},
		{"+CREG: 0,1", Final{}, false},
		{"", Final{}, false},
		{"ok then", Final{}, false},
	}
	for _, tt := range tests {
		got, ok := ParseFinal(tt.line)
		if ok != tt.ok || got != tt.want {
			t.Errorf("ParseFinal(%q) = %+v, %t; want %+v, %t", tt.line, got, ok, tt.want, tt.ok)
		}
	}
	if f, ok := ParseNumericFinal("4"); !ok || f.OK || f.Kind != "ERROR" {
		t.Errorf("numeric 4 = %+v, %t", f, ok)
	}
	if _, ok := ParseNumericFinal("2"); ok {
		t.Error("numeric 2 is RING and no final")
	}
}

func TestRefusalsCarryTheirCauseOnlyWhereItBelongs(t *testing.T) {
	reject := func(p Protocol, n int, procedure, text string) Reject {
		return Reject{Cause: RejectCause{p, n}, Procedure: procedure, Text: text, Source: "+CME ERROR"}
	}
	runReplies(t, []asked{
		{"EC20 quota", "AT+CGACT=1,1", []string{"+CME ERROR: 133"}, []Fact{
			Refusal{Command: "+CGACT=1,1", Final: "CME", Code: 133, Text: "requested service option not subscribed"}, reject(ESM, 33, "session", "")}},
		{"EC200S wrong APN", "AT+CGACT=1,1", []string{"+CME ERROR: 127"}, []Fact{
			Refusal{Command: "+CGACT=1,1", Final: "CME", Code: 127, Text: "missing or unknown APN"}, reject(ESM, 27, "session", "")}},
		{"EC21 wrong password", "AT+CGACT=1,1", []string{"+CME ERROR: 149"}, []Fact{
			Refusal{Command: "+CGACT=1,1", Final: "CME", Code: 149, Text: "PDP authentication failure"}, reject(ESM, 29, "session", "")}},
		{"a status query", "AT+CGACT?", []string{"+CME ERROR: 133"}, []Fact{
			Refusal{Command: "+CGACT?", Final: "CME", Code: 133, Text: "requested service option not subscribed"}}},
		{"a deactivation", "AT+CGACT=0,1", []string{"+CME ERROR: 133"}, []Fact{
			Refusal{Command: "+CGACT=0,1", Final: "CME", Code: 133, Text: "requested service option not subscribed"}}},
		{"attach", "AT+CGATT=1", []string{"+CME ERROR: 107"}, []Fact{
			Refusal{Command: "+CGATT=1", Final: "CME", Code: 107, Text: "GPRS/EPS/5GS services not allowed"}, reject(EMM, 7, "attach", "")}},
		{"attach refused by its session", "AT+CGATT=1", []string{"+CME ERROR: 127"}, []Fact{
			Refusal{Command: "+CGATT=1", Final: "CME", Code: 127, Text: "missing or unknown APN"}, reject(ESM, 27, "attach", "")}},
		{"attach, a number of both layers", "AT+CGATT=1", []string{"+CME ERROR: 132"}, []Fact{
			Refusal{Command: "+CGATT=1", Final: "CME", Code: 132, Text: "service option not supported"}, reject(MM, 32, "attach", "")}},
		{"A7672S on Jio", `AT+COPS=1,2,"405861",7`, []string{"+CME ERROR: PLMN not allowed (#11)"}, []Fact{
			Refusal{Command: `+COPS=1,2,"405861",7`, Final: "CME", Code: 111, Text: "PLMN not allowed (#11)"}, reject(EMM, 11, "attach", "PLMN not allowed (#11)")}},
		{"automatic selection", "AT+COPS=0", []string{"+CME ERROR: 115"}, []Fact{
			Refusal{Command: "+COPS=0", Final: "CME", Code: 115, Text: "no suitable cells in location/tracking area"}, reject(EMM, 15, "attach", "")}},
		{"dial", "ATD*99***1#", []string{"+CME ERROR: 177"}, []Fact{
			Refusal{Command: "D*99***1#", Final: "CME", Code: 177, Text: "operator determined barring"}, reject(ESM, 8, "session", "")}},
		{"Air724 vendor number", "AT+CIICR", []string{"+PDP: DEACT", "+CME ERROR: 65535"}, []Fact{
			ContextEvent{Event: "PDN DEACT", CID: -1, Text: "+PDP: DEACT"}, Refusal{Command: "+CIICR", Final: "CME", Code: 65535}}},
		{"HL7539 dial", "ATDT99**1#", []string{"NO CARRIER"}, []Fact{Refusal{Command: "DT99**1#", Final: "NO CARRIER", Code: -1}}},
		{"A7670E", "AT+COPS?", []string{"+CME ERROR: no network service"}, []Fact{Refusal{Command: "+COPS?", Final: "CME", Code: 30, Text: "no network service"}}},
		{"L610 (sic)", "AT+ICCID", []string{"+CME ERROR: Excute command failure"}, []Fact{Refusal{Command: "+ICCID", Final: "CME", Code: -1, Text: "Excute command failure"}}},
	})
}

func TestReplyOutcome(t *testing.T) {
	runReplies(t, []asked{
		{"R410M dead", "AT", nil, []Fact{Silence{"AT"}}},
		{"R410M dead, blank lines", "AT+CGATT?", []string{"", ""}, []Fact{Silence{"+CGATT?"}}},
		{"SIM7600 with echo", "AT+CFUN?", []string{"AT+CFUN?", "+CFUN: 4", "", "OK"}, []Fact{Functionality{Level: 4}, Done{"+CFUN?"}}},
		{"fragment without a final", "AT+CGATT?", []string{"+CGATT: 0"}, []Fact{Attach{}}},
		{"SIM800 shut", "AT+CIPSHUT", []string{"SHUT OK"}, []Fact{Done{"+CIPSHUT"}}},
		{"hand-typed spaces", "AT+CMEE = 1", []string{"OK"}, []Fact{Done{"+CMEE=1"}}},
		{"basic and extended in one", "ATE0V1+CMEE=2", []string{"OK"}, []Fact{Done{"E0V1;+CMEE=2"}}},
		{"FM150 chain without final", "AT+CSQ;+CPIN?;+COPS=3,0;+COPS?", []string{"+CSQ: 17,99", "+CPIN: READY", `+COPS: 0,0,"Telekom.de",13`},
			[]Fact{Signal{RSSI: dB(-79), BER: -1, Source: "+CSQ"}, SIM{State: SIMReady, Text: "READY"}, Operator{Name: "Telekom.de", AcT: 13},
				RadioLock{Lock: "plmn", Detail: "COPS mode 0 Telekom.de"}}},
		{"a test command is no state", "AT+CSQ=?", []string{"+CSQ: (0-31,99),(0-7,99)", "", "OK"}, []Fact{Done{"+CSQ=?"}}},
		{"a strange line is kept", "AT+QSTRANGE?", []string{"+QSTRANGE: 7", "OK"}, []Fact{Unparsed{Line: "+QSTRANGE: 7", Command: "+QSTRANGE?"}, Done{"+QSTRANGE?"}}},
		{"a note in place of a command", "(setting the APN; exact command not quoted)", []string{"+CME ERROR: 10"},
			[]Fact{Refusal{Command: "text…(43)", Final: "CME", Code: 10, Text: "SIM not inserted"}, SIM{State: SIMAbsent, Text: "CME 10"}}},
		{"loss of a data call while asking", "AT+CSQ", []string{"NO CARRIER", "+CSQ: 20,99", "OK"},
			[]Fact{ContextEvent{Event: "PDN DEACT", CID: -1, Text: "NO CARRIER"}, Signal{RSSI: dB(-73), BER: -1, Source: "+CSQ"}, Done{"+CSQ"}}},
		{"restart while asking", "AT+CEREG?", []string{"RDY"}, []Fact{Restarted{Text: "RDY"}}},
	})
}

func TestSetCommands(t *testing.T) {
	ok := []string{"OK"}
	runReplies(t, []asked{
		{"27.007", "AT+CFUN=4", ok, []Fact{Functionality{Level: 4, Set: true}, Done{"+CFUN=4"}}},
		{"27.007 refused sets nothing", "AT+CFUN=4", []string{"ERROR"}, []Fact{Refusal{Command: "+CFUN=4", Final: "ERROR", Code: -1}}},
		{"27.007", `AT+CGDCONT=1,"IP","cmnet"`, ok, []Fact{ContextConfig{CID: 1, Type: "IP", APN: "cmnet", Set: true}, Done{`+CGDCONT=1,"IP","cmnet"`}}},
		{"27.007", "AT+CGACT=1,1", ok, []Fact{ContextState{CID: 1, Active: true}, Done{"+CGACT=1,1"}}},
		{"EC21", `AT+QICSGP=1,1,"soracom.io","sora","sora",1`, ok, []Fact{
			ContextConfig{CID: 1, Type: "IP", APN: "soracom.io", Set: true, AuthHash: authHash("sora", "sora")},
			Done{`+QICSGP=1,1,"soracom.io","…(4)","…(4)",1`}}},
		{"EC25 blank credentials", `AT+QICSGP=1,1,"em","","",0`, ok, []Fact{
			ContextConfig{CID: 1, Type: "IP", APN: "em", Set: true}, Done{`+QICSGP=1,1,"em","","",0`}}},
		{"EC25", `AT+QNWLOCK="common/4g",1,1300,246`, ok, []Fact{
			RadioLock{Lock: "cell", Locked: true, Detail: `"common/4g",1,1300,246`, Set: true}, Done{`+QNWLOCK="common/4g",1,1300,246`}}},
		{"EC25 unlock", `AT+QNWLOCK="common/4g",0`, ok, []Fact{
			RadioLock{Lock: "cell", Detail: `"common/4g",0`, Set: true}, Done{`+QNWLOCK="common/4g",0`}}},
		{"27.007", `AT+COPS=1,2,"46000"`, ok, []Fact{RadioLock{Lock: "plmn", Locked: true, Detail: "COPS mode 1 46000", PLMN: "46000", Set: true}, Done{`+COPS=1,2,"46000"`}}},
		{"27.007 off the air", "AT+COPS=2", ok, []Fact{Operator{Mode: 2, AcT: -1}, Done{"+COPS=2"}}},
		{"SIM7000", "AT+CNMP=38", ok, []Fact{RadioLock{Lock: "rat", Locked: true, Detail: "CNMP 38 LTE only", Set: true}, Done{"+CNMP=38"}}},
		{"SIM7000", "AT+CNMP=2", ok, []Fact{RadioLock{Lock: "rat", Detail: "CNMP 2 automatic", Set: true}, Done{"+CNMP=2"}}},
		{"SIM7000", "AT+CMNB=2", ok, []Fact{RadioLock{Lock: "rat", Locked: true, Detail: "CMNB 2 NB-IoT only", Set: true}, Done{"+CMNB=2"}}},
		{"SIM7000", `AT+CBANDCFG="NB-IOT",8`, ok, []Fact{RadioLock{Lock: "band", Locked: true, Detail: `"NB-IOT",8`, Set: true}, Done{`+CBANDCFG="NB-IOT",8`}}},
		{"BG96", `AT+QCFG="nwscanmode",3`, ok, []Fact{RadioLock{Lock: "rat", Locked: true, Detail: `"nwscanmode",3`, Set: true}, Done{`+QCFG="nwscanmode",3`}}},
		{"nRF9160 NB-IoT only", "AT%XSYSTEMMODE=0,1,0,0", ok, []Fact{RadioLock{Lock: "rat", Locked: true, Detail: "XSYSTEMMODE 0,1,0,0", Set: true}, Done{"%XSYSTEMMODE=0,1,0,0"}}},
	})
}

func TestAuthHash(t *testing.T) {
	if authHash("", "") != "" {
		t.Error("no credentials must have no hash")
	}
	if authHash("sora", "sora") == authHash("sora", "s0ra") || authHash("a", "bc") == authHash("ab", "c") {
		t.Error("different credentials have one hash")
	}
	if len(authHash("sora", "sora")) > 8 {
		t.Error("a hash of more than 32 bits lets a password be found by trial")
	}
}

func TestLocksReadBack(t *testing.T) {
	lock := func(kind string, locked bool, detail string) Fact {
		return RadioLock{Lock: kind, Locked: locked, Detail: detail}
	}
	for _, tt := range []struct {
		device, cmd, line string
		want              Fact
	}{
		{"EC25", `AT+QNWLOCK="common/4g"`, `+QNWLOCK: "common/4g",1,1300,246`, lock("cell", true, `"common/4g",1,1300,246`)},
		{"SIM7600", "AT+CNMP?", "+CNMP: 2", lock("rat", false, "CNMP 2 automatic")},
		{"SIM7080 on LTE, which is all it has", "AT+CNMP?", "+CNMP: 38", lock("rat", false, "CNMP 38 LTE only")},
		{"SIM7600", "AT+CNMP?", "+CNMP: 13", lock("rat", true, "CNMP 13 GSM only")},
		{"SARA-U260", "AT+URAT?", "+URAT: 1,2", lock("rat", false, "URAT 1,2")},
		{"SARA-R410M as shipped", "AT+URAT?", "+URAT: 7", lock("rat", false, "URAT 7")},
		{"SARA-R410M", "AT+URAT?", "+URAT: 8", lock("rat", true, "URAT 8 NB-IoT only")},
		{"EC25 all bands", `AT+QCFG="band"`, `+QCFG: "band",0x93,0x1e0b9f38df,0x0`, lock("band", false, `"band",0x93,0x1e0b9f38df,0x0`)},
		{"EC25 band 3 only", `AT+QCFG="band"`, `+QCFG: "band",0x0,0x4,0x0`, lock("band", true, `"band",0x0,0x4,0x0`)},
		{"BG95", `AT+QCFG="iotopmode"`, `+QCFG: "iotopmode",0`, lock("rat", true, `"iotopmode",0`)},
		{"RM520N", `AT+QNWPREFCFG="mode_pref"`, `+QNWPREFCFG: "mode_pref",AUTO`, lock("rat", false, `"mode_pref",AUTO`)},
		{"RM520N", `AT+QNWPREFCFG="lte_band"`, `+QNWPREFCFG: "lte_band",3`, lock("band", true, `"lte_band",3`)},
		{"ME909", "AT^SYSCFGEX?", `^SYSCFGEX: "03",3FFFFFFF,1,2,7FFFFFFFFFFFFFFF`, lock("rat", true, "SYSCFGEX 03")},
		{"nRF9160", "AT%XSYSTEMMODE?", "%XSYSTEMMODE: 1,0,1,0", lock("rat", false, "XSYSTEMMODE 1,0,1,0")},
	} {
		got := Reply(tt.cmd, []string{tt.line})
		if !reflect.DeepEqual(got, []Fact{tt.want}) {
			t.Errorf("%s %s: got %s, want %s", tt.device, tt.line, show(got), tt.want)
		}
	}
	got := Reply("AT+COPS?", []string{`+COPS: 1,0,"CHN-UNICOM",7`, "OK"})
	if !slices.Contains(got, Fact(RadioLock{Lock: "plmn", Locked: true, Detail: "COPS mode 1 CHN-UNICOM"})) {
		t.Errorf("EC25-AU manual mode: %s", show(got))
	}
}

func TestScans(t *testing.T) {
	runReplies(t, []asked{
		{"A7672S over several lines", "AT+COPS=?", []string{`+COPS: (1,"Vodafone IN","Vodafone","40486",0),`, `(1,"IND-JIO","JIO","405861",7),`, "(0,1,2,3,4),(0,1,2)", "OK"},
			[]Fact{Scan{Networks: []ScanEntry{{1, "Vodafone IN", "Vodafone", "40486", 0}, {1, "IND-JIO", "JIO", "405861", 7}}}, Done{"+COPS=?"}}},
		{"EC25-AF", "AT+COPS=?", []string{`+COPS: (1,"Telstra Mobile","Telstra","50501",2),(0-4),(0-2)`, "OK"},
			[]Fact{Scan{Networks: []ScanEntry{{1, "Telstra Mobile", "Telstra", "50501", 2}}}, Done{"+COPS=?"}}},
		{"nobody heard", "AT+COPS=?", []string{"+COPS: ,,(0-4),(0-2)", "OK"}, []Fact{Scan{Networks: []ScanEntry{}}, Done{"+COPS=?"}}},
		{"scan that never ended", "AT+COPS=?", nil, []Fact{Silence{"+COPS=?"}}},
	})
}

func TestClocks(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tt := range []struct {
		device, line string
		want         string
		nitz         bool
	}{
		{"BG95 default date", `+CCLK: "80/01/06,00:02:47+00"`, "1980-01-06T00:02:47Z", false},
		{"27.007 quarters", `+CCLK: "26/11/22,14:05:09+32"`, "2026-11-22T14:05:09+08:00", false},
		{"27.007 half hour", `+CCLK: "26/11/22,14:05:09+22"`, "2026-11-22T14:05:09+05:30", false},
		{"Air780E", "+NITZ: 2024/08/27,06:36:38+0, ", "2024-08-27T06:36:38Z", true},
		{"Air780EP", "+NITZ: 24/08/22,07:00:02+32, ", "2024-08-22T15:00:02+08:00", true},
		{"SIM800", `*PSUTTZ: 2024,8,22,7,0,2,"+32",0`, "2024-08-22T15:00:02+08:00", true},
		{"27.007", `+CTZE: "+32",0,"2026/11/22,14:05:09"`, "2026-11-22T14:05:09+08:00", true},
		{"ME909", "^NWTIME: 26/11/22,14:05:09+32,00", "2026-11-22T14:05:09+08:00", true},
	} {
		got := URC(tt.line)
		if len(got) != 1 {
			t.Errorf("%s %s: %s", tt.device, tt.line, show(got))
			continue
		}
		nt, ok := got[0].(NetworkTime)
		if !ok || !nt.Time.Equal(at(tt.want)) || nt.NITZ != tt.nitz || nt.Time.Format(time.RFC3339) != tt.want {
			t.Errorf("%s %s: got %v, want %s", tt.device, tt.line, got[0], tt.want)
		}
	}
	for line, want := range map[string]string{
		`+QLTS: "2017/10/13,03:41:22+32,0"`: "2017-10-13T11:41:22+08:00", // as Quectel's manuals print it
		`+QLTS: "26/11/22,06:05:09-20,1"`:   "2026-11-22T01:05:09-05:00",
		`+QLTS: ""`:                         "", // the network has told none
	} {
		got, have := Reply("AT+QLTS=1", []string{line, "OK"}), ""
		for _, f := range got {
			switch f := f.(type) {
			case NetworkTime:
				have = f.Time.Format(time.RFC3339)
				if !f.NITZ {
					t.Errorf("%s: not the network's", line)
				}
			case Unparsed:
				t.Errorf("%s: %v", line, f)
			}
		}
		if have != want {
			t.Errorf("%s: %s, want %s", line, show(got), want)
		}
	}
	for _, bad := range []string{`+CCLK: "26/13/22,14:05:09"`, `+CCLK: "x"`, `+CCLK: "26/11/22,25:05:09"`, `+CCLK: "26/11/22,14:05:09+99"`} {
		if _, ok := URC(bad)[0].(Unparsed); !ok {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestPowerAndBoot(t *testing.T) {
	runURCs(t, []heard{
		{"EC20", "RDY", []Fact{Restarted{Text: "RDY"}}},
		{"BG95", "APP RDY", []Fact{Restarted{Text: "APP RDY"}}},
		{"Cinterion", "^SYSSTART", []Fact{Restarted{Text: "^SYSSTART"}}},
		{"A7670", "*ATREADY: 1", []Fact{Restarted{Text: "*ATREADY: 1"}}},
		{"EC20 is no restart by itself", "+QIND: SMS DONE", nil},
		{"EC20", "+QUSIM: 1", nil},
		{"SIM800", "Call Ready", nil},
		{"SIM900", "+PACSP: 1", nil},
		{"SIM900", "+CFUN: 1", []Fact{Functionality{Level: 1}}},
		{"SIM7600 (sic)", "UNDER-VOLTAGE WARNNING", []Fact{PowerState{Alarm: "undervoltage"}}},
		{"SIM800", "OVER-TEMPERATURE POWER DOWN", []Fact{PowerState{Alarm: "overheated"}}},
		{"nRF9160", "+CGEV: ME BATTERY LOW", []Fact{ContextEvent{By: "ME", Event: "BATTERY LOW", CID: -1, Text: "ME BATTERY LOW"}, PowerState{Alarm: "battery low"}}},
		{"nRF9160", "%MDMEV: RESET LOOP", []Fact{Backoff{Seconds: 1800, Source: "%MDMEV"}}},
		{"nRF9160", "%MDMEV: SEARCH STATUS 2", nil},
		{"LE910", "#TEMPMEAS: 2,86", []Fact{PowerState{TemperatureC: dB(86), Alarm: "overheated"}}},
	})
	runReplies(t, []asked{
		{"SIM800", "AT+CBC", []string{"+CBC: 0,80,3950", "OK"}, []Fact{PowerState{SupplyMV: dB(3950)}, Done{"+CBC"}}},
		{"SIM7600", "AT+CBC", []string{"+CBC: 3.923V", "OK"}, []Fact{PowerState{SupplyMV: dB(3923)}, Done{"+CBC"}}},
		{"EC25", "AT+QTEMP", []string{"+QTEMP: 30,28,29", "OK"}, []Fact{PowerState{TemperatureC: dB(30)}, Done{"+QTEMP"}}},
		{"RM520N", "AT+QTEMP", []string{`+QTEMP:"soc-thermal","35"`, "OK"}, []Fact{PowerState{TemperatureC: dB(35)}, Done{"+QTEMP"}}},
		{"SIM7600", "AT+CPMUTEMP", []string{"+CPMUTEMP: 29", "OK"}, []Fact{PowerState{TemperatureC: dB(29)}, Done{"+CPMUTEMP"}}},
		{"BG96 Telstra firmware", `AT+QNWCFG="backoff"`, []string{`+QNWCFG: "backoff",705`, "OK"}, []Fact{Backoff{Seconds: 705, Source: "+QNWCFG"}, Done{`+QNWCFG="backoff"`}}},
	})
}

// TestTablesHaveNoEntryTwice: the second would never be found.
func TestTablesHaveNoEntryTwice(t *testing.T) {
	for _, tab := range []table{prefixes, banners} {
		seen := map[string]bool{}
		for _, e := range tab {
			if seen[e.name] || e.name == "" || e.parse == nil {
				t.Errorf("%q stands twice, or for nothing", e.name)
			}
			seen[e.name] = true
		}
	}
}
