package threegpp

import "testing"

func f64(v float64) *float64 { return &v }

// Lines that real modems sent, as public drivers keep them in their tests, and
// examples of manuals. Cells and areas are those of the captures or made up.
func TestFurtherCells(t *testing.T) {
	cell := func(source, rat, plmn, tac, id string, state CampState, pci, earfcn, band int) ServingCell {
		return ServingCell{State: state, RAT: rat, PLMN: plmn, TAC: tac, Cell: id, PCI: pci, EARFCN: earfcn, Band: band, Source: source}
	}
	lock := func(kind, detail string, locked bool) []Fact {
		return []Fact{RadioLock{Lock: kind, Locked: locked, Detail: detail}}
	}
	smoni4 := func(state CampState, rsrp, rsrq float64) []Fact {
		return []Fact{cell("^SMONI", "lte", "26202", "BF75", "0345103", state, 350, 6300, 20),
			Signal{RAT: "lte", RSRP: f64(rsrp), RSRQ: f64(rsrq), BER: -1, Source: "^SMONI"}}
	}
	gtcc := []Fact{cell("+GTCCINFO", "lte", "26202", "1A2B", "0012345AB", CampUnknown, 42, 100, -1),
		Signal{RAT: "lte", RSRP: f64(-112), RSRQ: f64(-18), BER: -1, Source: "+GTCCINFO"}}
	runReplies(t, []asked{
		{"PLS8 on LTE", "AT^SMONI", []string{"^SMONI: 4G,6300,20,10,10,FDD,262,02,BF75,0345103,350,33,-94,-7,NOCONN"}, smoni4(CampIdle, -94, -7)},
		{"PLS8 in limited service", "AT^SMONI", []string{"^SMONI: 4G,6300,20,10,10,FDD,262,02,BF75,0345103,350,33,-90,-6,LIMSRV"}, smoni4(CampLimited, -90, -6)},
		{"PLS8 connected", "AT^SMONI", []string{"^SMONI: 4G,6300,20,10,10,FDD,262,02,BF75,0345103,350,90,-101,-7,CONN"}, smoni4(CampConnected, -101, -7)},
		{"PLS8 searches", "AT^SMONI", []string{"^SMONI: 4G,SEARCH"}, []Fact{cell("^SMONI", "lte", "", "", "", CampSearching, -1, -1, -1)}},
		{"EHS5 searches", "AT^SMONI", []string{"^SMONI: 3G,SEARCH,SEARCH"}, []Fact{cell("^SMONI", "umts", "", "", "", CampSearching, -1, -1, -1)}},
		{"EHS5 on UMTS with a connection", "AT^SMONI", []string{"^SMONI: 3G,10737,131,-5,-93,260,01,7D3D,C80BC9A,--,--,----,---,-,-5,-93,0,01,06"}, []Fact{
			cell("^SMONI", "umts", "26001", "7D3D", "C80BC9A", CampConnected, 131, 10737, -1),
			Signal{RAT: "umts", RSRP: f64(-93), RSRQ: f64(-5), BER: -1, Source: "^SMONI"}}},
		{"TC63i on GSM in a call", "AT^SMONI", []string{"^SMONI: 2G,673,-80,262,07,4EED,A500,35,35,7,4,G,643,4,0,-80,0,S_FR"}, []Fact{
			cell("^SMONI", "gsm", "26207", "4EED", "A500", CampConnected, -1, 673, -1),
			Signal{RAT: "gsm", RSSI: f64(-80), BER: -1, Source: "^SMONI"}}},
		{"PLS8 with its radio off", "AT^SMONI", []string{"^SMONI:"}, nil},
		{"a form that is not known", "AT^SMONI", []string{"^SMONI: 5G,1,2"}, []Fact{Unparsed{Line: "^SMONI: 5G,1,2", Command: "^SMONI"}}},

		{"FM350-GL", "AT+GTCCINFO?", []string{"+GTCCINFO:", "1,4,262,2,1A2B,0012345AB,100,42,,,-7,29,29,4", "2,4,,,FFFF,00FFFFFFF,9460,71,,43,43,10"}, gtcc},
		{"FM190 on LTE with a neighbour of NR", "AT+GTCCINFO?", []string{"+GTCCINFO:", "1,4,001,01,ABCD,00ABCDEF0,1850,123,103,100,4,44,44,13", "2,9,,,FFFFFFF,00FFFFFFF,645312,130,5078,400,2,49,49,69"}, []Fact{
			cell("+GTCCINFO", "lte", "00101", "ABCD", "00ABCDEF0", CampUnknown, 123, 1850, 3),
			Signal{RAT: "lte", RSRP: f64(-97), RSRQ: f64(-13.5), BER: -1, Source: "+GTCCINFO"}}},
		{"FM190 on NR", "AT+GTCCINFO?", []string{"1,9,460,00,1A2B01,0012345AB,645312,130,5078,400,2,49,49,69"}, []Fact{
			cell("+GTCCINFO", "nr", "46000", "1A2B01", "0012345AB", CampUnknown, 130, 645312, 78)}},
		{"FM350-GL hears nobody", "AT+GTCCINFO?", []string{"+GTCCINFO:"}, nil},
		{"a row that is not known", "AT+GTCCINFO?", []string{"x,y,z"}, []Fact{Unparsed{Line: "x,y,z", Command: "+GTCCINFO?"}}},

		{"MF823", "AT+ZCELLINFO?", []string{"+ZCELLINFO: 27411, 148, LTE B20, 6300"}, []Fact{cell("+ZCELLINFO", "lte", "", "", "27411", CampUnknown, 148, 6300, 20)}},
		{"GosuncnWelink", "AT+ZCELLINFO?", []string{"+ZCELLINFO: tac:1A2B,cellid:01C3D4E5,pci:246,band:3"}, []Fact{cell("+ZCELLINFO", "lte", "", "1A2B", "01C3D4E5", CampUnknown, 246, -1, 3)}},
		{"a form of +ZCELLINFO that is not known", "AT+ZCELLINFO?", []string{"+ZCELLINFO: 1A2B,01C3D4E5,246,3"}, []Fact{Unparsed{Line: "+ZCELLINFO: 1A2B,01C3D4E5,246,3", Command: "+ZCELLINFO?"}}},
		{"HL7800", "AT+KCELLMEAS=0", []string{"+KCELLMEAS: -91,72,-20,-20,11"}, []Fact{Signal{RAT: "lte", RSRP: f64(-91), SINR: f64(11), BER: -1, Source: "+KCELLMEAS"}}},
		{"HL7800 without a cell", "AT+KCELLMEAS=0", []string{"+KCELLMEAS: 0,0,0,0,255"}, nil},

		{"WP7702", "AT!SELRAT?", []string{"!SELRAT: 02, GSM 2G Only"}, lock("rat", "SELRAT 02 GSM 2G Only", true)},
		{"EM7455", "AT!SELRAT?", []string{"!SELRAT: 00, Automatic"}, lock("rat", "SELRAT 00 Automatic", false)},
		{"EM7455 bands", "AT!BAND?", []string{"Index, Name,                        GW Band Mask     L Band Mask      TDS Band Mask",
			"00, All bands                     0002000007C00000 00000100130818DF 0000000000000000"}, lock("band", "BAND 00 All bands", false)},
		{"MC7304 bands", "AT!BAND?", []string{"Index, Name,                        GW Band Mask     L Band Mask",
			"01, Europe 3G,                      0002000000400000 0000000000000000"}, lock("band", "BAND 01 Europe 3G", true)},

		{"RM520N-GL", "AT+QUIMSLOT?", []string{"+QUIMSLOT: 1"}, []Fact{SIMSlot{Slot: 1, Source: "+QUIMSLOT"}}},
		{"FM350-GL slots", "AT+GTDUALSIM?", []string{`+GTDUALSIM: 0,"SUB1","L"`}, []Fact{SIMSlot{Slot: 0, Source: "+GTDUALSIM"}}},
		{"ML307R", "AT+MIPCALL?", []string{`+MIPCALL: 1,1,"10.155.22.225"`}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.155.22.225"}}},
		{"ML307R without a session", "AT+MIPCALL?", []string{"+MIPCALL: 1,0"}, []Fact{ContextState{CID: 1}}},
		{"L610", "AT+MIPCALL?", []string{"+MIPCALL: 1,10.155.22.225"}, []Fact{ContextState{CID: 1, Active: true, Addr: "10.155.22.225"}}},
		{"RM520N-GL is asked for its mode", `AT+QNWPREFCFG="mode_pref"`, []string{`+QNWPREFCFG: "mode_pref",AUTO`, "OK"}, []Fact{
			RadioLock{Lock: "rat", Detail: `"mode_pref",AUTO`}, Done{`+QNWPREFCFG="mode_pref"`}}},
		{"FM350-GL temperature", "AT+GTSENRDTEMP=1", []string{"+GTSENRDTEMP: 1,36500"}, []Fact{PowerState{TemperatureC: f64(36.5)}}},
		{"WP7702 slot", "AT!UIMS?", []string{"!UIMS: 0"}, []Fact{SIMSlot{Slot: 0, Source: "!UIMS"}}},
		{"LE910 bands", "AT#BND?", []string{"#BND: 0,0,524420,0,0"}, nil},
	})
}

func FuzzFurtherCells(f *testing.F) {
	fuzzFamily(f, []string{"AT^SMONI", "AT+GTCCINFO?", "AT+ZCELLINFO?", "AT+KCELLMEAS=0", "AT!SELRAT?", "AT!BAND?", "AT+QUIMSLOT?"},
		"4G,6300,20,10,10,FDD,262,02,BF75,0345103,350,33,-94,-7,NOCONN", "1,4,262,2,1A2B,0012345AB,100,42,,,-7,29,29,4", "tac:1,cellid:2,pci:3,band:4", "00, All bands  1 2 3")
}
