package threegpp

import "testing"

func TestSignals(t *testing.T) {
	sig := func(rat, source string, rssi, rsrp, rsrq, sinr *float64) Signal {
		return Signal{RAT: rat, RSSI: rssi, RSRP: rsrp, RSRQ: rsrq, SINR: sinr, BER: -1, Source: source}
	}
	cell := func(state CampState, rat, plmn, tac, id string, pci, earfcn, band int, source string) ServingCell {
		return ServingCell{State: state, RAT: rat, PLMN: plmn, TAC: tac, Cell: id, PCI: pci, EARFCN: earfcn, Band: band, Source: source}
	}
	port := func(name string, rsrp *float64) Signal {
		return Signal{RAT: "lte", RSRP: rsrp, BER: -1, Port: name, Source: "+QRSRP", NotKnown: rsrp == nil}
	}
	runReplies(t, []asked{
		{"EC20", "AT+CSQ", []string{"+CSQ: 23,99"}, []Fact{sig("", "+CSQ", dB(-67), nil, nil, nil)}},
		{"EC20 99 is not known", "AT+CSQ", []string{"+CSQ: 99,99"}, []Fact{Signal{BER: -1, NotKnown: true, Source: "+CSQ"}}},
		{"SIM800L floor", "AT+CSQ", []string{"+CSQ: 0,0"}, []Fact{Signal{RSSI: dB(-113), Source: "+CSQ"}}},
		{"TD-SCDMA scale", "AT+CSQ", []string{"+CSQ: 120,99"}, []Fact{sig("", "+CSQ", dB(-96), nil, nil, nil)}},
		{"TD-SCDMA unknown", "AT+CSQ", []string{"+CSQ: 199,99"}, []Fact{Signal{BER: -1, NotKnown: true, Source: "+CSQ"}}},
		{"no such index", "AT+CSQ", []string{"+CSQ: 50,99"}, []Fact{Unparsed{Line: "+CSQ: 50,99", Command: "+CSQ"}}},
		{"27.007 LTE", "AT+CESQ", []string{"+CESQ: 99,99,255,255,20,48"}, []Fact{sig("lte", "+CESQ", nil, dB(-93), dB(-10), nil)}},
		{"27.007 GSM", "AT+CESQ", []string{"+CESQ: 30,2,255,255,255,255"}, []Fact{Signal{RAT: "gsm", RSSI: dB(-81), BER: 2, Source: "+CESQ"}}},
		{"27.007 nothing", "AT+CESQ", []string{"+CESQ: 99,99,255,255,255,255"}, []Fact{Signal{BER: -1, NotKnown: true, Source: "+CESQ"}}},
		{"27.007 NR", "AT+CESQ", []string{"+CESQ: 99,99,255,255,255,255,64,70,67"}, []Fact{sig("nr", "+CESQ", nil, dB(-87), dB(-11.5), dB(10))}},
		{"NB-IoT below the scale", "AT+CESQ", []string{"+CESQ: 99,99,255,255,-2,-3"}, []Fact{sig("lte", "+CESQ", nil, dB(-143), dB(-20.5), nil)}},
		{"EC200T", `AT+QENG="servingcell"`, []string{`+QENG: "servingcell","NOCONN","LTE","FDD",460,00,43300C,348,3683,8,3,3,5443,-121,-17,-93,-4,2`}, []Fact{
			cell(CampIdle, "lte", "46000", "5443", "43300C", 348, 3683, 8, "+QENG"), sig("lte", "+QENG", dB(-93), dB(-121), dB(-17), dB(-4))}},
		{"CMCC card in 停机", `AT+QENG="servingcell"`, []string{`+QENG: "servingcell","LIMSRV","LTE","TDD",460,00,1F1B320,420,38950,40,5,5,4977,-110,-9,-105,19,8`}, []Fact{
			cell(CampLimited, "lte", "46000", "4977", "1F1B320", 420, 38950, 40, "+QENG"), sig("lte", "+QENG", dB(-105), dB(-110), dB(-9), dB(19))}},
		{"NR7101 without prefix", `AT+QENG="servingcell"`, []string{`"servingcell","SEARCH"`}, []Fact{cell(CampSearching, "", "", "", "", -1, -1, -1, "+QENG")}},
		{"BG95", `AT+QENG="servingcell"`, []string{`+QENG: "servingcell","NOCONN","eMTC","FDD",262,01,1A2D001,276,1300,3,3,3,5A1E,-98,-12,-70,120,30`}, []Fact{
			cell(CampIdle, "ltem", "26201", "5A1E", "1A2D001", 276, 1300, 3, "+QENG"), sig("ltem", "+QENG", dB(-70), dB(-98), dB(-12), dB(4))}},
		{"EC25 on GSM", `AT+QENG="servingcell"`, []string{`+QENG: "servingcell","NOCONN","GSM",460,00,550A,2BB9,23,94,0,-61,0,255,255,0,38,38,1,-,-,-,-,-,-,-,-,-,"-"`}, []Fact{
			cell(CampIdle, "gsm", "46000", "550A", "2BB9", -1, 94, -1, "+QENG"), sig("gsm", "+QENG", dB(-61), nil, nil, nil)}},
		{"EC25 on WCDMA", `AT+QENG="servingcell"`, []string{`+QENG: "servingcell","LIMSRV","WCDMA",460,01,D5D6,80F413C,10713,81,1,-70,-6,-,-,-,-,-`}, []Fact{
			cell(CampLimited, "umts", "46001", "D5D6", "80F413C", 81, 10713, -1, "+QENG"), sig("umts", "+QENG", nil, dB(-70), dB(-6), nil)}},
		{"RM520N SA", `AT+QENG="servingcell"`, []string{`+QENG: "servingcell","CONNECT","NR5G-SA","TDD",460,00,7C2A11001,312,1A2B3C,504990,41,12,-84,-11,18,1,2400`}, []Fact{
			cell(CampConnected, "nr", "46000", "1A2B3C", "7C2A11001", 312, 504990, 41, "+QENG"), sig("nr", "+QENG", nil, dB(-84), dB(-11), dB(18))}},
		{"RM520N NSA", `AT+QENG="servingcell"`, []string{`+QENG: "servingcell","NOCONN"`,
			`+QENG: "LTE","FDD",460,00,B973F53,134,1300,3,5,5,4977,-93,-9,-62,13,12,0,30`,
			`+QENG:"NR5G-NSA",460,00,312,-88,15,-11,504990,41,12,1`}, []Fact{
			cell(CampIdle, "", "", "", "", -1, -1, -1, "+QENG"),
			cell(CampUnknown, "lte", "46000", "4977", "B973F53", 134, 1300, 3, "+QENG"), sig("lte", "+QENG", dB(-62), dB(-93), dB(-9), dB(13)),
			cell(CampUnknown, "nr", "46000", "", "", 312, 504990, 41, "+QENG"), sig("nr", "+QENG", nil, dB(-88), dB(-11), dB(15))}},
		{"SIM7600 in tenths", "AT+CPSI?", []string{"+CPSI: LTE,Online,460-01,0x774E,26845580,366,EUTRAN-BAND3,1650,5,5,-94,-912,-604,14"}, []Fact{
			cell(CampOnline, "lte", "46001", "774E", "26845580", 366, 1650, 3, "+CPSI"), sig("lte", "+CPSI", dB(-60.4), dB(-91.2), dB(-9.4), dB(8))}},
		{"SIM7000E in whole dB", "AT+CPSI?", []string{"+CPSI: LTE NB-IOT,Online,242-01,0xA411,18460008,457,EUTRAN-BAND20,6352,0,0,-7,-77,-70,14"}, []Fact{
			cell(CampOnline, "nbiot", "24201", "A411", "18460008", 457, 6352, 20, "+CPSI"), sig("nbiot", "+CPSI", dB(-70), dB(-77), dB(-7), dB(8))}},
		{"SIM7000E on GSM", "AT+CPSI?", []string{"+CPSI: GSM,Online,502-12,0x1054,62168,512 DCS 1800,-71,0,32-32"}, []Fact{
			cell(CampOnline, "gsm", "50212", "1054", "62168", -1, -1, -1, "+CPSI"), sig("gsm", "+CPSI", dB(-71), nil, nil, nil)}},
		{"SIM7600 no service", "AT+CPSI?", []string{"+CPSI: NO SERVICE,Online"}, []Fact{cell(CampNoService, "", "", "", "", -1, -1, -1, "+CPSI")}},
		{"SIM7600 low power", "AT+CPSI?", []string{"+CPSI: NO SERVICE,Low Power Mode"}, []Fact{cell(CampLowPower, "", "", "", "", -1, -1, -1, "+CPSI")}},
		{"EC20", "AT+QNWINFO", []string{`+QNWINFO: "FDD LTE","46000","LTE BAND 3",1300`}, []Fact{cell(CampUnknown, "lte", "46000", "", "", -1, 1300, 3, "+QNWINFO")}},
		{"EC20", "AT+QNWINFO", []string{"+QNWINFO: No Service"}, []Fact{ServiceState{Service: CampNoService, Text: "No Service"}}},
		{"EG25", "AT+QCSQ", []string{`+QCSQ: "LTE",-52,-81,195,-10`}, []Fact{sig("lte", "+QCSQ", dB(-52), dB(-81), dB(-10), dB(19))}},
		{"EG25 scale not sure", "AT+QCSQ", []string{`+QCSQ: "LTE",-52,-81,12,-10`}, []Fact{sig("lte", "+QCSQ", dB(-52), dB(-81), dB(-10), nil)}},
		{"EG25", "AT+QCSQ", []string{`+QCSQ: "NOSERVICE"`}, []Fact{ServiceState{Service: CampNoService, Text: `"NOSERVICE"`}, Signal{BER: -1, NotKnown: true, Source: "+QCSQ"}}},
		{"RM520N ports", "AT+QRSRP", []string{"+QRSRP: -84,-99,-32768,-140,LTE"}, []Fact{port("main", dB(-84)), port("diversity", dB(-99)), port("rx2", nil), port("rx3", nil)}},
		{"ME909", "AT^HCSQ?", []string{`^HCSQ:"LTE",56,47,141,27`}, []Fact{sig("lte", "^HCSQ", dB(-65), dB(-94), dB(-6.5), dB(8))}},
		{"ME909 clipped line", "AT^SYSINFOEX", []string{`^SYSINFOEX: 1,0,0,4,,3,"WCDMA",41,"WCDMA`}, []Fact{
			ServiceState{Service: CampLimited, Text: `1,0,0,4,,3,"WCDMA",41,"WCDMA`, RAT: "umts"}, CardValidity{}}},
		{"ME909 sim_state 0 is unknown", "AT^SYSINFOEX", []string{`^SYSINFOEX: 2,3,0,0,,6,"LTE",101,"LTE"`}, []Fact{
			ServiceState{Service: CampOnline, Text: `2,3,0,0,,6,"LTE",101,"LTE"`, RAT: "lte"}}},
		{"E173", "AT^SYSINFO", []string{"^SYSINFO: 0,4,0,3,255"}, []Fact{
			ServiceState{Service: CampSearching, Text: "0,4,0,3,255", RAT: "gsm"}, CardValidity{NoCard: true}}},
		{"nRF9160", "AT%XMONITOR", []string{`%XMONITOR: 1,"","","24201","81AE",7,20,"02024720",428,6300,53,22,"","00000101","11100000","11100000"`}, []Fact{
			cell(CampIdle, "ltem", "24201", "81AE", "02024720", 428, 6300, 20, "%XMONITOR"), sig("ltem", "%XMONITOR", nil, dB(-88), nil, dB(-3))}},
		{"LE910", "AT#RFSTS", []string{`#RFSTS: "262 25",6400,-99,-69,-9,DEAB,FF,0,128,19,0,"2F1B501","262250000000001","NL",3,20`}, []Fact{
			cell(CampUnknown, "lte", "26225", "DEAB", "", -1, 6400, -1, "#RFSTS"), sig("lte", "#RFSTS", dB(-69), dB(-99), dB(-9), nil)}},
		{"Air780E", "AT+EEMGINFO?", []string{"+EEMLTESVC:1120, 2, 0, 13112, 77, 38950, 38950, 40, 5, 50, 23, 24, 2, 10, 0, 1, 0, 929, 118, 0,1, 219511489, 2"}, []Fact{
			cell(CampUnknown, "lte", "46000", "3338", "D157AC1", 77, 38950, 40, "+EEMLTESVC"), sig("lte", "+EEMLTESVC", nil, dB(-91), dB(-8.5), nil)}},
		{"MC7455 kept off by its pin", "AT!PCINFO?", []string{"State: LowPowerMode", "LPM voters - Temp:0, Volt:0, User:0, W_DISABLE:1, IMSWITCH:0, BIOS:0", "LPM persistence - None", "OK"}, []Fact{
			cell(CampLowPower, "", "", "", "", -1, -1, -1, "!PCINFO"), Done{"!PCINFO?"}}},
		{"MC7455 too hot", "AT!PCINFO?", []string{"State: LowPowerMode", "LPM voters - Temp:1, Volt:0, User:0, W_DISABLE:0", "OK"}, []Fact{
			cell(CampLowPower, "", "", "", "", -1, -1, -1, "!PCINFO"), PowerState{Alarm: "overheated"}, Done{"!PCINFO?"}}},
		{"MC7455 on", "AT!PCINFO?", []string{"State: Online", "LPM voters - Temp:0, Volt:0, User:0, W_DISABLE:0", "OK"}, []Fact{Done{"!PCINFO?"}}},
		{"EM7455", "AT!GSTATUS?", []string{"!GSTATUS: ", "Current Time:  53\t\tTemperature: 36", "Reset Counter: 1\t\tMode:        ONLINE",
			"System mode:   LTE        \tPS state:    Attached", "LTE band:      B4     \tLTE bw:      10 MHz", "LTE Rx chan:   2175\tLTE Tx chan: 20175",
			"EMM state:     Registered     \tNormal Service", "RRC state:     RRC Idle", "PCC RxM RSSI:  -74\tRSRP (dBm):  -103", "Tx Power:      0\tTAC:         2F0E (12046)",
			"RSRQ (dB):     -11.4\tCell ID:     01E37210 (31683088)", "SINR (dB):      9.2", "OK"}, []Fact{
			cell(CampIdle, "lte", "", "2F0E", "01E37210", -1, 2175, 4, "!GSTATUS"), Attach{true}, sig("lte", "!GSTATUS", dB(-74), dB(-103), dB(-11.4), dB(9.2)),
			PowerState{TemperatureC: dB(36)}, Done{"!GSTATUS?"}}},
	})
	runURCs(t, []heard{
		{"nRF9160", "%CESQ: 58,2,22,3", []Fact{sig("", "%CESQ", nil, dB(-83), dB(-9), nil)}},
		{"Air780E", "^MODE: 17,17", []Fact{ServiceState{Service: CampOnline, Text: "^MODE: 17,17", RAT: "lte"}}},
		{"Air780E", "^MODE: 0,0", []Fact{ServiceState{Service: CampNoService, Text: "^MODE: 0,0"}}},
		{"Air780E", "+NO Service", []Fact{ServiceState{Service: CampNoService, Text: "+NO Service"}}},
		{"Air780E", "+E_UTRAN Service", []Fact{ServiceState{Service: CampOnline, Text: "+E_UTRAN Service", RAT: "lte"}}},
		{"SIM7600", "+CNSMOD: 0", []Fact{ServiceState{Service: CampNoService, Text: "+CNSMOD: 0"}}},
		{"ME909", "^SRVST: 1", []Fact{ServiceState{Service: CampLimited, Text: "^SRVST: 1"}}},
		{"A7670", "*BANDIND: 0, 3, 7", []Fact{cell(CampUnknown, "lte", "", "", "", -1, -1, 3, "*BANDIND")}},
		{"EC20 indication", `+QIND: "csq",26,99`, []Fact{sig("", "+CSQ", dB(-61), nil, nil, nil)}},
	})
}

func TestGrades(t *testing.T) {
	tests := []struct {
		name string
		s    Signal
		want SignalGrade
	}{
		{"not known", Signal{NotKnown: true}, GradeUnknown},
		{"nothing told", Signal{}, GradeUnknown},
		{"CSQ 23", Signal{RSSI: dB(-67)}, GradeExcellent},
		{"CSQ 7", Signal{RSSI: dB(-99)}, GradeWeak},
		{"CSQ 1", Signal{RSSI: dB(-111)}, GradeUnusable},
		{"CMCC working at -113", Signal{RAT: "lte", RSRP: dB(-113), RSRQ: dB(-6), SINR: dB(8)}, GradeVeryWeak},
		{"far from the cell", Signal{RAT: "lte", RSRP: dB(-121), RSRQ: dB(-17), SINR: dB(-4)}, GradeVeryWeak},
		{"below all", Signal{RAT: "lte", RSRP: dB(-126)}, GradeUnusable},
		{"level alone", Signal{RAT: "lte", RSRP: dB(-85)}, GradeGood},
		{"interference pulls down two steps at most", Signal{RAT: "lte", RSRP: dB(-79), SINR: dB(-10)}, GradeFair},
		{"a mild quality pulls to itself", Signal{RAT: "lte", RSRP: dB(-79), RSRQ: dB(-9)}, GradeGood},
		{"a good quality lifts nothing", Signal{RAT: "lte", RSRP: dB(-109), SINR: dB(25)}, GradeWeak},
		{"quality alone", Signal{RAT: "lte", SINR: dB(6)}, GradeFair},
		{"NB-IoT reaches deeper", Signal{RAT: "nbiot", RSRP: dB(-120)}, GradeWeak},
		{"LTE-M", Signal{RAT: "ltem", RSRP: dB(-105)}, GradeFair},
		{"GSM", Signal{RAT: "gsm", RSSI: dB(-84)}, GradeGood},
		{"GSM between weak and unusable", Signal{RAT: "gsm", RSSI: dB(-107)}, GradeWeak},
		{"UMTS quality", Signal{RAT: "umts", RSRP: dB(-80), RSRQ: dB(-17)}, GradeWeak},
		{"NR", Signal{RAT: "nr", RSRP: dB(-84)}, GradeGood},
	}
	for _, tt := range tests {
		if got := Grade(tt.s); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
