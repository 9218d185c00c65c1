package threegpp

import "testing"

// Each row is a line of the vendor's AT manual, with obviously made-up values.
func TestSmallerDialects(t *testing.T) {
	level := func(source, rat string, rsrp, rsrq *float64) Signal {
		return Signal{RAT: rat, BER: -1, Source: source, RSRP: rsrp, RSRQ: rsrq}
	}
	f := func(v float64) *float64 { return &v }
	cell := func(state CampState, rat, plmn, tac, id string, pci, earfcn, band int, source string) ServingCell {
		return ServingCell{State: state, RAT: rat, PLMN: plmn, TAC: tac, Cell: id, PCI: pci, EARFCN: earfcn, Band: band, Source: source}
	}
	ping := func(target string, ok bool, result, detail string) ModemProbe {
		return ModemProbe{Probe: "ping", Target: target, OK: ok, Result: result, Detail: detail}
	}
	runReplies(t, []asked{
		{"ELS61 connected", "AT^SMONI", []string{"^SMONI: 4G,6300,20,10,10,FDD,262,02,BF75,0345103,350,33,-94,-7,CONN", "OK"}, []Fact{
			cell(CampConnected, "lte", "26202", "BF75", "0345103", 350, 6300, 20, "^SMONI"), level("^SMONI", "lte", f(-94), f(-7)), Done{"^SMONI"}}},
		{"ELS61 limited", "AT^SMONI", []string{"^SMONI: 4G,1300,3,20,20,FDD,262,02,1A2B,01C3D4E,246,-,-95,-10,LIMSRV", "OK"}, []Fact{
			cell(CampLimited, "lte", "26202", "1A2B", "01C3D4E", 246, 1300, 3, "^SMONI"), level("^SMONI", "lte", f(-95), f(-10)), Done{"^SMONI"}}},
		{"EHS6 idle on 3G", "AT^SMONI", []string{"^SMONI: 3G,10564,296,-7.5,-79,262,02,0143,00228FF,-92,-78,NOCONN", "OK"}, []Fact{
			cell(CampIdle, "umts", "26202", "0143", "00228FF", 296, 10564, -1, "^SMONI"), level("^SMONI", "umts", f(-79), f(-7.5)), Done{"^SMONI"}}},
		{"ELS81 searches", "AT^SMONI", []string{"^SMONI: 4G,SEARCH", "OK"}, []Fact{cell(CampSearching, "lte", "", "", "", -1, -1, -1, "^SMONI"), Done{"^SMONI"}}},
		{"SARA-R5 address", "AT+UPSND=0,0", []string{`+UPSND: 0,0,"100.65.12.7"`, "OK"}, []Fact{ContextState{CID: 0, Active: true, Addr: "100.65.12.7"}, Done{"+UPSND=0,0"}}},
		{"SARA-R5 inactive", "AT+UPSND=0,8", []string{"+UPSND: 0,8,0", "OK"}, []Fact{ContextState{CID: 0}, Done{"+UPSND=0,8"}}},
		{"SIM800 bearer closed", "AT+SAPBR=2,1", []string{`+SAPBR: 1,3,"0.0.0.0"`, "OK"}, []Fact{ContextState{CID: 1, Addr: "0.0.0.0"}, Done{"+SAPBR=2,1"}}},
		{"N720", "AT+XIIC?", []string{"+XIIC:    1, 10.44.3.1", "OK"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.44.3.1"}, Done{"+XIIC?"}}},
		{"L610", "AT+MIPCALL?", []string{"+MIPCALL: 0", "OK"}, []Fact{ContextState{CID: 1}, Done{"+MIPCALL?"}}},
		{"FM150", "AT+GTRNDIS?", []string{`+GTRNDIS: 1,1,"10.77.3.1","10.77.0.1"`, "OK"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.77.3.1"}, Done{"+GTRNDIS?"}}},
		{"LE910 query", "AT#SGACT?", []string{"#SGACT: 1,1", "OK"}, []Fact{ContextState{CID: 1, Active: true}, Done{"#SGACT?"}}},
		{"LE910 dialled", "AT#SGACT=1,1", []string{"#SGACT: 10.9.0.4", "OK"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.9.0.4"}, Done{"#SGACT=1,1"}}},
		{"N58", "AT$MYNETACT?", []string{`$MYNETACT: 0,1,"10.2.3.4"`, "OK"}, []Fact{ContextState{CID: 0, Active: true, Addr: "10.2.3.4"}, Done{"$MYNETACT?"}}},
		{"SIM7600", "AT+IPADDR", []string{"+IPADDR: 10.33.17.8", "OK"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.33.17.8"}, Done{"+IPADDR"}}},
		{"SIM800 ping lost", `AT+CIPPING="8.8.8.8"`, []string{`+CIPPING: 1,"8.8.8.8",600,255`, "OK"}, []Fact{ping("8.8.8.8", false, "timeout", `1,"8.8.8.8",600,255`), Done{`+CIPPING="8.8.8.8"`}}},
		{"SIM800 ping", `AT+CIPPING="8.8.8.8"`, []string{`+CIPPING: 1,"8.8.8.8",7,55`, "OK"}, []Fact{ping("8.8.8.8", true, "ok", `1,"8.8.8.8",7,55`), Done{`+CIPPING="8.8.8.8"`}}},
		{"ME909 level", "AT^LTERSRP?", []string{"^LTERSRP: -101,-12", "OK"}, []Fact{level("^LTERSRP", "lte", f(-101), f(-12)), Done{"^LTERSRP?"}}},
		{"SARA-R4 level", "AT+UCGED?", []string{`+RSRP: 162,5110,"-95.00",20,5110,"-110.00"`, "OK"}, []Fact{level("+RSRP", "lte", f(-95), nil), Done{"+UCGED?"}}},
		{"L850 level", "AT+XCESQ?", []string{"+XCESQ: 0,99,99,255,255,20,50,12", "OK"}, []Fact{Signal{RAT: "lte", BER: -1, Source: "+CESQ", RSRP: f(-91), RSRQ: f(-10)}, Done{"+XCESQ?"}}},
		{"ME3630 limited", "AT+ZPAS?", []string{`+ZPAS: "Limited Service","CS_PS"`, "OK"}, []Fact{ServiceState{Service: CampLimited, Text: `+ZPAS: "Limited Service","CS_PS"`}, Done{"+ZPAS?"}}},
		{"ME3630 LTE", "AT+ZPAS?", []string{`+ZPAS: "LTE","CS_PS"`, "OK"}, []Fact{ServiceState{Service: CampOnline, Text: `+ZPAS: "LTE","CS_PS"`, RAT: "lte"}, Done{"+ZPAS?"}}},
		{"MU609 PUK", "AT^CPIN?", []string{"^CPIN: SIM PUK,10,10,0,10,3", "OK"}, []Fact{SIM{State: SIMPUK, Text: "SIM PUK"}, Done{"^CPIN?"}}},
		{"SIM7080 socket refused", `AT+CAOPEN=0,0,"TCP","h",80`, []string{"+CAOPEN: 0,1", "OK"}, []Fact{
			ModemProbe{Probe: "tcp", Result: "error", Detail: "0,1"}, Done{`+CAOPEN=0,0,"TCP","h",80`}}},
	})
	runURCs(t, []heard{
		{"SARA-R5", "+UUPINGER: 15", []Fact{ModemProbe{Probe: "ping", Result: "timeout", Detail: "15"}}},
		{"SARA-R5", `+UUPING: 1,32,"h","8.8.8.8",55,210`, []Fact{ping("8.8.8.8", true, "ok", `1,32,"h","8.8.8.8",55,210`)}},
		{"SARA-R5 lost", `+UUPING: 2,32,"h","8.8.8.8",0,-1`, []Fact{ping("8.8.8.8", false, "timeout", `2,32,"h","8.8.8.8",0,-1`)}},
		{"SIM7600", "+SIMCARD: NOT AVAILABLE", []Fact{SIM{State: SIMAbsent, Text: "NOT AVAILABLE", URC: true}}},
		{"HL7802 closed", "+KCNX_IND: 1,0", []Fact{ContextEvent{By: "NW", Event: "PDN DEACT", CID: 1, Text: "1,0"}}},
		{"HL7802 refused", "+KCNX_IND: 1,2", []Fact{ContextState{CID: -1}}},
		{"HL7802 connected", "+KCNX_IND: 1,1,0", []Fact{ContextState{CID: 1, Active: true}}},
		{"L610 lost", "+MIPCALL: 0", []Fact{ContextState{CID: 1}}},
	})
}
