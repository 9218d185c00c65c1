package threegpp

import "testing"

func TestContextEvents(t *testing.T) {
	ev := func(by, event string, cid int, text string) []Fact {
		return []Fact{ContextEvent{By: by, Event: event, CID: cid, Text: text}}
	}
	runURCs(t, []heard{
		{"27.007", "+CGEV: NW DETACH", ev("NW", "DETACH", -1, "NW DETACH")},
		{"Air780E", "+CGEV: ME DETACH", ev("ME", "DETACH", -1, "ME DETACH")},
		{"27.007", "+CGEV: NW CLASS B", ev("NW", "CLASS B", -1, "NW CLASS B")},
		{"Air780E", "+CGEV: NW PDN DEACT 1", ev("NW", "PDN DEACT", 1, "NW PDN DEACT 1")},
		{"Air780E", "+CGEV: ME PDN ACT 1,0", ev("ME", "PDN ACT", 1, "ME PDN ACT 1,0")},
		{"old firmware", "+CGEV: PDN DEACT 2", ev("", "PDN DEACT", 2, "PDN DEACT 2")},
		{"27.007 old form", `+CGEV: NW DEACT "IP","10.1.2.3",1`, ev("NW", "DEACT", 1, `NW DEACT "IP","10.1.2.3",1`)},
		{"27.007 old form unquoted", "+CGEV: NW DEACT IP,10.1.2.3,3", ev("NW", "DEACT", 3, "NW DEACT IP,10.1.2.3,3")},
		{"27.007 old form without cid", `+CGEV: ME DEACT "IP","10.1.2.3"`, ev("ME", "DEACT", -1, `ME DEACT "IP","10.1.2.3"`)},
		{"27.007 dedicated bearer", "+CGEV: NW DEACT 1,5,0", ev("NW", "BEARER DEACT", 1, "NW DEACT 1,5,0")},
		{"27.007 dedicated bearer", "+CGEV: NW ACT 1,5,0", ev("NW", "BEARER ACT", 1, "NW ACT 1,5,0")},
		{"27.007", "+CGEV: NW MODIFY 1,2,0", ev("NW", "MODIFY", 1, "NW MODIFY 1,2,0")},
		{"27.007", `+CGEV: NW REACT "IP","10.1.2.3",1`, ev("NW", "REACT", 1, `NW REACT "IP","10.1.2.3",1`)},
		{"27.007", `+CGEV: REJECT "IP","10.1.2.3"`, ev("", "REJECT", -1, `REJECT "IP","10.1.2.3"`)},
		{"nRF9160", "+CGEV: RESTR 4,1", ev("", "RESTR", -1, "RESTR 4,1")},
		{"nRF9160", "+CGEV: APNRATECTRL STAT 0,1,120", ev("", "APNRATECTRL STAT", 0, "APNRATECTRL STAT 0,1,120")},
		{"nRF9160", "+CGEV: IPV6 FAIL 0", ev("", "IPV6 FAIL", 0, "IPV6 FAIL 0")},
		{"nRF9160", "+CGEV: EXCE STATUS 0", ev("", "EXCE STATUS", -1, "EXCE STATUS 0")},
		{"EC20", `+QIURC: "pdpdeact",1`, ev("NW", "PDN DEACT", 1, `"pdpdeact",1`)},
		{"Air780E", "+PDP: DEACT", ev("", "PDN DEACT", -1, "+PDP: DEACT")},
		{"SIM7600 of OVMS", "+PPPD: DISCONNECTED", ev("", "PDN DEACT", -1, "+PPPD: DISCONNECTED")},
		{"SIM7600 of OVMS", "NO CARRIER", ev("", "PDN DEACT", -1, "NO CARRIER")},
		{"SARA-U201", "+UUPSDD: 0", ev("NW", "PDN DEACT", -1, "+UUPSDD: 0")},
		{"SIM7080", "+APP PDP: 0,DEACTIVE", ev("", "PDN DEACT", 0, "+APP PDP: 0,DEACTIVE")},
		{"SIM7080", "+APP PDP: 0,ACTIVE", []Fact{ContextState{CID: 0, Active: true}}},
		{"E3372", `^NDISSTAT: 0,33,,"IPV4"`, []Fact{ContextState{CID: -1},
			Reject{Cause: RejectCause{SM, 33}, Procedure: "session", Source: "^NDISSTAT"}}},
		{"E3372", `^NDISSTAT: 1,,,"IPV4"`, []Fact{ContextState{CID: -1, Active: true}}},
		{"Altair on Verizon", "%PCOINFO: 1,FF00,13018405", []Fact{SubscriptionPCO{State: "unprovisioned", Raw: "13018405"}}},
		{"Altair with mode", "%PCOINFO: 1,1,FF00,13018403", []Fact{SubscriptionPCO{State: "out_of_data", Raw: "13018403"}}},
		{"another operator's octet is unknown", "%PCOINFO: 1,FF00,64F00005", nil},
		{"another container", "%PCOINFO: 1,000D,0A0A0A0A", nil},
	})
}

func TestContextReplies(t *testing.T) {
	runReplies(t, []asked{
		{"ME906E", "AT+CGACT?", []string{"+CGACT: 1,1", "+CGACT: 2,0", "OK"}, []Fact{ContextState{CID: 1, Active: true}, ContextState{CID: 2}, Done{"+CGACT?"}}},
		{"L610", "AT+CGPADDR=1", []string{`+CGPADDR: 1,"10.77.3.145"`, "OK"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.77.3.145", ByAddress: true}, Done{"+CGPADDR=1"}}},
		{"no address", "AT+CGPADDR=1", []string{`+CGPADDR: 1,"0.0.0.0"`, "OK"}, []Fact{ContextState{CID: 1, Addr: "0.0.0.0", ByAddress: true}, Done{"+CGPADDR=1"}}},
		{"EG25", "AT+QIACT?", []string{`+QIACT: 1,1,1,"10.63.118.204"`, "OK"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.63.118.204"}, Done{"+QIACT?"}}},
		{"SIM7080", "AT+CNACT?", []string{`+CNACT: 0,1,"10.1.2.3"`, `+CNACT: 1,0,"0.0.0.0"`, "OK"}, []Fact{
			ContextState{CID: 0, Active: true, Addr: "10.1.2.3"}, ContextState{CID: 1, Addr: "0.0.0.0"}, Done{"+CNACT?"}}},
		{"Air780EP", "AT+CIFSR", []string{"10.17.70.180"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.17.70.180"}}},
		{"SIM7080 stale APN", "AT+CGDCONT?", []string{`+CGDCONT: 1,"IP","YourAPN","0.0.0.0",0,0,0`, `+CGDCONT: 2,"IPV4V6","ims","::",0,0,0`}, []Fact{
			ContextConfig{CID: 1, Type: "IP", APN: "YourAPN"}, ContextConfig{CID: 2, Type: "IPV4V6", APN: "ims"}}},
		{"A7600", `AT+CGAUTH=1,2,"beta","pos"`, []string{"OK"}, []Fact{
			ContextConfig{CID: 1, Set: true, AuthHash: authHash("beta", "pos")}, Done{`+CGAUTH=1,2,"…(4)","…(3)"`}}},
		{"EC21", "AT+QICSGP=1", []string{`+QICSGP: 1,"soracom.io","sora","sora",1`, "OK"}, []Fact{
			ContextConfig{CID: 1, Type: "IP", APN: "soracom.io", AuthHash: authHash("sora", "sora")}, Done{"+QICSGP=1"}}},
		{"SIM7600 network open", "AT+NETOPEN?", []string{"+NETOPEN: 1", "OK"}, []Fact{ContextState{CID: 1, Active: true}, Done{"+NETOPEN?"}}},
		{"SIM7600 network opened", "AT+NETOPEN", []string{"OK", "+NETOPEN: 0"}, []Fact{ContextState{CID: 1, Active: true}, Done{"+NETOPEN"}}},
		{"SIM7600 network not opened", "AT+NETOPEN", []string{"OK", "+NETOPEN: 4"}, []Fact{ContextState{CID: 1},
			Refusal{Command: "+NETOPEN", Final: "ERROR", Code: -1, Text: "4"}, Done{"+NETOPEN"}}},
		{"SIM7600 network is closed", "AT+NETOPEN?", []string{"+NETOPEN: 0", "OK"}, []Fact{ContextState{CID: 1}, Done{"+NETOPEN?"}}},
		{"SIM7000", "AT+CIPSTATUS", []string{"OK", "STATE: PDP DEACT"}, []Fact{ContextEvent{Event: "PDN DEACT", CID: -1, Text: "STATE: PDP DEACT"}, Done{"+CIPSTATUS"}}},
		{"EM12", "AT+QGDCNT?", []string{"+QGDCNT: 15298,59586", "OK"}, []Fact{ByteCounters{15298, 59586}, Done{"+QGDCNT?"}}},
		{"EC25 beyond 2 GB", "AT+QGDCNT?", []string{"+QGDCNT: 2159586000,5159586000"}, []Fact{ByteCounters{2159586000, 5159586000}}},
		{"E3372 in hex", "AT^DSFLOWQRY", []string{"^DSFLOWQRY:00000010,00000100,00000200,00000020,0000000000001000,0000000000002000", "OK"}, []Fact{ByteCounters{0x1000, 0x2000}, Done{"^DSFLOWQRY"}}},
	})
}

func TestModemProbes(t *testing.T) {
	ping := func(target string, ok bool, result, detail string) ModemProbe {
		return ModemProbe{Probe: "ping", Target: target, OK: ok, Result: result, Detail: detail}
	}
	runReplies(t, []asked{
		{"EC25 black hole", `AT+QPING=1,"114.114.114.114"`, []string{"OK", "", "+QPING: 569", "", "+QPING: 0,4,0,4"}, []Fact{
			ping("114.114.114.114", false, "timeout", "569"), ping("114.114.114.114", false, "timeout", "0,4,0,4"), Done{`+QPING=1,"114.114.114.114"`}}},
		{"EG25", `AT+QPING=1,"114.114.114.114"`, []string{"OK", `+QPING: 0,"114.114.114.114",32,58,255`, "+QPING: 0,4,4,0,47,58,51"}, []Fact{
			ping("114.114.114.114", true, "ok", `0,"114.114.114.114",32,58,255`), ping("114.114.114.114", true, "ok", "0,4,4,0,47,58,51"), Done{`+QPING=1,"114.114.114.114"`}}},
		{"EC25 name", `AT+QPING=1,"example.com"`, []string{"OK", "+QPING: 565"}, []Fact{ping("example.com", false, "dns_error", "565"), Done{`+QPING=1,"example.com"`}}},
		{"SIM7600 nothing sent", `AT+CPING="8.8.8.8",1`, []string{"OK", "+CPING: 3,0,0,0,0,0,0"}, []Fact{ping("8.8.8.8", false, "error", "3,0,0,0,0,0,0"), Done{`+CPING="8.8.8.8",1`}}},
		{"SIM7600", `AT+CPING="8.8.8.8",1`, []string{"OK", "+CPING: 3,4,0,4,0,0,0"}, []Fact{ping("8.8.8.8", false, "timeout", "3,4,0,4,0,0,0"), Done{`+CPING="8.8.8.8",1`}}},
		{"SIM7600 DNS", `AT+CDNSGIP="google.com"`, []string{"+CDNSGIP: 0,10", "", "ERROR"}, []Fact{
			ModemProbe{Probe: "dns", Target: "google.com", Result: "dns_error", Detail: "0,10"}, Refusal{Command: `+CDNSGIP="google.com"`, Final: "ERROR", Code: -1}}},
		{"SARA-U260 DNS silent", `AT+UDNSRN=0,"udp.example.com"`, nil, []Fact{
			Silence{`+UDNSRN=0,"udp.example.com"`}, ModemProbe{Probe: "dns", Target: "udp.example.com", Result: "timeout"}}},
		{"SARA-U260 DNS refused", `AT+UDNSRN=0,"udp.example.com"`, []string{"ERROR"}, []Fact{
			Refusal{Command: `+UDNSRN=0,"udp.example.com"`, Final: "ERROR", Code: -1}, ModemProbe{Probe: "dns", Target: "udp.example.com", Result: "dns_error"}}},
		{"R410M nothing pending", "AT+USORF=0,0", []string{"+USORF: 0,0", "OK"}, []Fact{ModemProbe{Probe: "udp", Result: "timeout", Detail: "0 bytes pending"}, Done{"+USORF=0,0"}}},
		{"R410M sent", `AT+USOST=0,"203.0.113.7",5684,58`, []string{"@", "+USOST: 0,58", "OK"}, []Fact{Done{`+USOST=0,"203.0.113.7",5684,58`}}},
		{"Air780EP", `AT+MIPSTART="lbsmqtt.airm2m.com","1884"`, []string{"OK", "CONNECT OK"}, []Fact{
			ModemProbe{Probe: "tcp", Target: "lbsmqtt.airm2m.com", OK: true, Result: "ok", Detail: "CONNECT OK"}, Done{`+MIPSTART="lbsmqtt.airm2m.com","1884"`}}},
		{"A7670 TLS", "AT+HTTPACTION=0", []string{"OK", "+HTTPACTION: 0,715,0"}, []Fact{ModemProbe{Probe: "tls", Result: "tls_error", Detail: "status 715"}, Done{"+HTTPACTION=0"}}},
		{"A7670 server answers 404", "AT+HTTPACTION=0", []string{"OK", "+HTTPACTION: 0,404,12"}, []Fact{ModemProbe{Probe: "http", OK: true, Result: "ok", Detail: "status 404"}, Done{"+HTTPACTION=0"}}},
		{"A7670 MQTT certificate", `AT+CMQTTCONNECT=0,"tcp://b:8883",60,1`, []string{"OK", "+CMQTTCONNECT: 0,34"}, []Fact{
			ModemProbe{Probe: "mqtt", Target: "tcp://b:8883", Result: "tls_error", Detail: "0,34"}, Done{`+CMQTTCONNECT=0,"tcp://b:8883",60,1`}}},
		{"SIM800 socket", `AT+CIPSTART="TCP","203.0.113.7",80`, []string{"OK", "CONNECT FAIL"}, []Fact{
			ModemProbe{Probe: "tcp", Target: "203.0.113.7", Result: "error", Detail: "CONNECT FAIL"}, Done{`+CIPSTART="TCP","203.0.113.7",80`}}},
		{"A7670 broker's name", `AT+CMQTTCONNECT=0,"tcp://b:1883",60,1`, []string{"OK", "+CMQTTCONNECT: 0,25"}, []Fact{
			ModemProbe{Probe: "mqtt", Target: "tcp://b:1883", Result: "dns_error", Detail: "0,25"}, Done{`+CMQTTCONNECT=0,"tcp://b:1883",60,1`}}},
		{"EC21 page", "AT+QHTTPGET=80", []string{"OK", "+QHTTPGET: 0,200,512"}, []Fact{ModemProbe{Probe: "http", OK: true, Result: "ok", Detail: "0,200,512"}, Done{"+QHTTPGET=80"}}},
		{"EC21 no page", "AT+QHTTPGET=80", []string{"OK", "+QHTTPGET: 702"}, []Fact{ModemProbe{Probe: "http", Result: "timeout", Detail: "702"}, Done{"+QHTTPGET=80"}}},
		{"BG96 broker refuses", `AT+QMTCONN=0,"me"`, []string{"OK", "+QMTCONN: 0,0,5"}, []Fact{ModemProbe{Probe: "mqtt", Result: "refused", Detail: "0,0,5"}, Done{`+QMTCONN=0,"…(2)"`}}},
		{"BG96 name of broker", `AT+QMTOPEN=0,"b.example.com",1883`, []string{"OK", "+QMTOPEN: 0,4"}, []Fact{
			ModemProbe{Probe: "tcp", Target: "b.example.com", Result: "dns_error", Detail: "0,4"}, Done{`+QMTOPEN=0,"b.example.com",1883`}}},
		{"EC25 socket", `AT+QIOPEN=1,0,"TCP","203.0.113.7",80`, []string{"OK", "+QIOPEN: 0,566"}, []Fact{
			ModemProbe{Probe: "tcp", Target: "203.0.113.7", Result: "refused", Detail: "0,566"}, Done{`+QIOPEN=1,0,"TCP","203.0.113.7",80`}}},
	})
	runURCs(t, []heard{
		{"Air780EP", "CLOSED", []Fact{ModemProbe{Probe: "tcp", Result: "refused", Detail: "closed by the far end"}}},
		{"Air780EP", "CONNACK OK", []Fact{ModemProbe{Probe: "mqtt", OK: true, Result: "ok", Detail: "CONNACK OK"}}},
	})
}

func TestIsURC(t *testing.T) {
	tests := []struct {
		why, line, command string
		seen               int
		want               bool
	}{
		{"boot banner", "RDY", "AT+CSQ", 0, true},
		{"stored message", `+CMTI: "SM",3`, "AT+CMGL=4", 0, true},
		{"context event", "+CGEV: NW PDN DEACT 1", "AT+CGACT?", 0, true},
		{"indication", "+QIND: SMS DONE", "AT+QIACT=1", 0, true},
		{"answer leads with n", "+CEREG: 0,1", "AT+CEREG?", 0, false},
		{"answer n=2 stat=5", `+CREG: 2,5,"2CF7","8A5A782",6`, "AT+CREG?", 0, false},
		{"lone stat", "+CEREG: 2", "AT+CEREG?", 0, true},
		{"stat and quoted area", `+CEREG: 3,"0D0B","C45C010",7,0,11`, "AT+CEREG?", 0, true},
		{"stat and bare area", "+CEREG: 1,1D23,D70394B,7", "AT+CEREG?", 0, true},
		{"of another domain", "+CREG: 2", "AT+CEREG?", 0, true},
		{"while it is being set", "+CEREG: 2", "AT+CEREG=3", 0, true},
		{"first +CPIN is the answer", "+CPIN: READY", "AT+CPIN?", 0, false},
		{"second is not", "+CPIN: NOT READY", "AT+CPIN?", 1, true},
		{"asked twice", "+CSQ: 20,99", "AT+CSQ;+CSQ", 1, false},
		{"+CPIN after a PIN was sent", "+CPIN: READY", `AT+CPIN="1234"`, 0, true},
		{"+CFUN: 1 of a restart", "+CFUN: 1", "AT+CFUN=1,1", 0, true},
		{"every line of a list", "+CGACT: 2,0", "AT+CGACT?", 1, false},
		{"every line of a list that is also a URC", `+CNACT: 1,0,"0.0.0.0"`, "AT+CNACT?", 1, false},
		{"result of the command itself", "+QPING: 569", `AT+QPING=1,"8.8.8.8"`, 3, false},
		{"result of an earlier command", "+QPING: 569", "AT+CSQ", 0, true},
		{"final", "OK", "AT+CSQ", 0, false},
		{"final of a dial", "NO CARRIER", "ATD*99#", 0, false},
		{"loss of a data call", "NO CARRIER", "AT+CSQ", 0, true},
		{"echo", "at+csq", "AT+CSQ", 0, false},
		{"blank", "", "AT+CSQ", 0, false},
		{"digits of an identity", "460000000000001", "AT+CIMI", 0, false},
		{"maker's name", "Quectel", "ATI", 0, false},
		{"unknown prefix is left to the answer", "+QSTRANGE: 1", "AT+QSTRANGE?", 0, false},
		{"unknown prefix of another name", "+QSTRANGE: 1", "AT+CSQ", 0, false},
		{"plain service word", "+NO Service", "AT+CSQ", 0, true},
		{"answer under another name", "+CCID: 89860000000000000012", "AT+ICCID", 0, false},
	}
	for _, tt := range tests {
		if got := IsURC(tt.line, tt.command, tt.seen); got != tt.want {
			t.Errorf("%s: IsURC(%q, %q, %d) = %t, want %t", tt.why, tt.line, tt.command, tt.seen, got, tt.want)
		}
	}
}
