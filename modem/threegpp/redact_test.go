package threegpp

import "testing"

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "",
		"460000000000001":                    "46000…(15)",
		"+CIMI: 460000000000001":             "+CIMI: 46000…(15)",
		"89860000000000000012":               "8986…(20)",
		"+QCCID: 8986000000000000001F":       "+QCCID: 8986…(20)",
		"+ICCID: 898604A0000000000012":       "+ICCID: 8986…(20)",
		`AT+CPIN="1234"`:                     `AT+CPIN="…(4)"`,
		"AT+CPIN=1234":                       "AT+CPIN=…(4)",
		`AT+CPIN="1234","5678"`:              `AT+CPIN="…(4)","…(4)"`,
		"+CPIN: READY":                       "+CPIN: READY",
		"+CPIN: SIM PIN":                     "+CPIN: SIM PIN",
		"+CPIN: SIM REMOVED 0":               "+CPIN: SIM REMOVED 0",
		`AT+CLCK="SC",1,"1234"`:              `AT+CLCK="SC",1,"…(4)"`,
		`AT+CGDCONT=1,"IP","cmnet"`:          `AT+CGDCONT=1,"IP","cmnet"`,
		`AT+QICSGP=1,1,"em","u","pw",1`:      `AT+QICSGP=1,1,"em","…(1)","…(2)",1`,
		`+QICSGP: 1,"em","u","pw",1`:         `+QICSGP: 1,"em","…(1)","…(2)",1`,
		`AT+CGAUTH=1,1,"u","pw"`:             `AT+CGAUTH=1,1,"…(1)","…(2)"`,
		`AT+CSTT="em","u","pw"`:              `AT+CSTT="em","…(1)","…(2)"`,
		`+CREG: 2,5,"2CF7","8A5A782",6`:      `+CREG: 2,5,"2CF7","8A5A782",6`,
		`+CEREG: 3,"0D0B","01C3D4E5",7,0,11`: `+CEREG: 3,"0D0B","01C3D4E5",7,0,11`,
		`+COPS: 0,2,"310410",2`:              `+COPS: 0,2,"310410",2`,
		"+CPSI: LTE,Online,460-01,0x774E,26845580,366,EUTRAN-BAND3,1650,5,5,-94,-912,-604,14": "+CPSI: LTE,Online,460-01,0x774E,26845580,366,EUTRAN-BAND3,1650,5,5,-94,-912,-604,14",
		"+CME ERROR: 133": "+CME ERROR: 133",
		`+CGDCONT: 1,"IPV4V6","ims","0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",0,0`: `+CGDCONT: 1,"IPV4V6","ims","0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",0,0`,
		`+CMGR: "REC READ","+8613900000000",,"26/11/20,09:30:00+32"`:       `+CMGR: "REC READ","+86…(14)",,"…(8),…(11)"`,
		`+CMT: "10086",,"26/11/20,09:30:00+32"`:                            `+CMT: "10086",,"…(8),…(11)"`,
		"您的套餐流量已用尽":                                                        "text…(9)",
		"your plan has been used up now":                                   "text…(30)",
		"ATD13900000000;":                                                  "ATD139…(11);",
		"ATD*99***1#":                                                      "ATD*99***1#",
		`+CUSD: 0,"Balance 3.50",15`:                                       `+CUSD: 0,"…(12)",15`,
		"0891683110102105F0240BA13109":                                     "0891…(28)",
		"Revision: BG96MAR02A07M1G":                                        "Revision: BG96MAR02A07M1G",
		"RDY":                                                              "RDY",
		"OK":                                                               "OK",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q)\n got %q\nwant %q", in, got, want)
		}
		if again := Redact(Redact(in)); longestDigits(again) >= 14 {
			t.Errorf("Redact twice of %q shows %q", in, again)
		}
	}
}
