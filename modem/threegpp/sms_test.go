package threegpp

import (
	"strings"
	"testing"
	"time"

	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
	"github.com/warthog618/sms/encoding/ucs2"
)

// deliverPDU builds a routed message as a modem in PDU mode hands it over.
func deliverPDU(t *testing.T, from, text string, coding byte) string {
	t.Helper()
	sender := tpdu.NewAddress(tpdu.FromNumber(from))
	if !strings.HasPrefix(from, "+") {
		sender.SetTypeOfNumber(tpdu.TonUnknown)
	}
	d, err := tpdu.NewDeliver(tpdu.WithOA(sender))
	if err != nil {
		t.Fatal(err)
	}
	d.DCS = tpdu.DCS(coding)
	d.SCTS = tpdu.Timestamp{Time: time.Date(2026, 11, 20, 9, 30, 0, 0, time.FixedZone("", 8*3600))}
	if coding == byte(tpdu.DcsUCS2Data) {
		d.UD = ucs2.Encode([]rune(text))
	} else {
		d.UD = []byte(text)
	}
	raw, err := d.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := pdumode.PDU{TPDU: raw}
	hex, err := p.MarshalHexString()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ToUpper(hex)
}

func TestMessagesInPDUMode(t *testing.T) {
	const text = "【中国移动】您的套餐流量已用尽"
	pdu := deliverPDU(t, "10086", text, byte(tpdu.DcsUCS2Data))
	got := Reply("AT+CMGL=4", []string{"+CMGL: 3,1,,40", pdu, "+CMGL: 4,3,,20", "0011000B", "", "OK"})
	if len(got) != 2 {
		t.Fatalf("want one message (a sent one is not ours to read) and Done: %s", show(got))
	}
	m := got[0].(SMS)
	if m.From != "10086" || m.Text != text || m.Index != 3 || m.At.Format(time.RFC3339) != "2026-11-20T09:30:00+08:00" {
		t.Errorf("got %s from %s at %s index %d: %q", m, m.From, m.At, m.Index, m.Text)
	}
	if strings.Contains(m.String(), "套餐") {
		t.Errorf("String shows the text: %s", m)
	}
	routed := URC("+CMT: ,40\n" + deliverPDU(t, "+8613900000000", "stopped", 0))
	if len(routed) != 1 || routed[0].(SMS).Text != "stopped" || routed[0].(SMS).Index != -1 {
		t.Fatalf("routed message: %s", show(routed))
	}
	if s := routed[0].String(); strings.Contains(s, "139000") || strings.Contains(s, "stopped") {
		t.Errorf("String shows the number or the text: %s", s)
	}
	if u, ok := Reply("AT+CMGR=1", []string{"+CMGR: 1,,24", "0791ZZ", "OK"})[0].(Unparsed); !ok || u.Command != "+CMGR=1" {
		t.Errorf("a broken PDU must stay unparsed, got %v", u)
	}
}

func TestMessagesInTextMode(t *testing.T) {
	at := time.Date(2026, 11, 20, 9, 30, 0, 0, time.FixedZone("", 8*3600))
	runReplies(t, []asked{
		{"SIM800", "AT+CMGR=1", []string{`+CMGR: "REC UNREAD","10086","","26/11/20,09:30:00+32"`, "6B20 is text", "second line", "", "OK"},
			[]Fact{SMS{From: "10086", At: at, Text: "6B20 is text\nsecond line", Index: -1}, Done{"+CMGR=1"}}},
		{"SIM800 UCS2", "AT+CMGR=1", []string{`+CMGR: "REC READ","00310030003000380036","","26/11/20,09:30:00+32"`, "6B208D39505C673A", "OK"},
			[]Fact{SMS{From: "10086", At: at, Text: "欠费停机", Index: -1}, Done{"+CMGR=1"}}},
		{"EC20 list", `AT+CMGL="ALL"`, []string{`+CMGL: 0,"REC READ","10010",,"26/11/20,09:30:00+32"`, "one", `+CMGL: 2,"STO SENT","10010",,`, "ours", `+CMGL: 5,"REC UNREAD","10010",,"26/11/20,09:30:00+32"`, "two", "OK"},
			[]Fact{SMS{From: "10010", At: at, Text: "one", Index: 0}, SMS{From: "10010", At: at, Text: "two", Index: 5}, Done{`+CMGL="ALL"`}}},
		{"27.005", `AT+CPMS="SM","SM","SM"`, []string{"+CPMS: 3,50,3,50,3,50", "OK"}, []Fact{SMSStored{Storage: "SM", Index: -1, Used: 3, Total: 50}, Done{`+CPMS="SM","SM","SM"`}}},
		{"27.005", "AT+CPMS?", []string{`+CPMS: "ME",0,23,"ME",0,23,"ME",0,23`, "OK"}, []Fact{SMSStored{Storage: "ME", Index: -1, Used: 0, Total: 23}, Done{"+CPMS?"}}},
	})
	runURCs(t, []heard{
		{"27.005", `+CMTI: "SM",7`, []Fact{SMSStored{Storage: "SM", Index: 7, Used: -1, Total: -1}}},
		{"SIM800 header and text", "+CMT: \"10086\",\"\",\"26/11/20,09:30:00+32\"\r\n6B208D39505C673A", []Fact{SMS{From: "10086", At: at, Text: "欠费停机", Index: -1}}},
		{"SIM800 header alone", `+CMT: "10086","","26/11/20,09:30:00+32"`, []Fact{SMS{From: "10086", At: at, Index: -1}}},
		{"27.007 7-bit", `+CUSD: 0,"Balance 3.50",15`, []Fact{USSD{M: 0, Text: "Balance 3.50"}}},
		{"27.007 UCS2", `+CUSD: 0,"6B208D39505C673A",72`, []Fact{USSD{M: 0, Text: "欠费停机"}}},
		{"27.007 ended by the network", "+CUSD: 2", []Fact{USSD{M: 2}}},
	})
}

func TestHomePLMN(t *testing.T) {
	for imsi, want := range map[string]string{
		"460010000000001": "46001", "310260000000001": "310260", "234150000000001": "23415",
		"405861000000001": "405861", "405010000000001": "40501", "302720000000001": "302720", "46001": "", "": "", "abcdef": "",
	} {
		if got := HomePLMN(imsi); got != want {
			t.Errorf("HomePLMN(%s…) = %q, want %q", imsi[:min(len(imsi), 5)], got, want)
		}
	}
}

func TestSameOperator(t *testing.T) {
	same := [][2]string{{"46000", "46007"}, {"46008", "46013"}, {"46001", "46009"}, {"46011", "46003"}, {"26201", "26201"}, {"46015", "46015"}}
	differ := [][2]string{{"46000", "46001"}, {"46000", "46015"}, {"26201", "26202"}, {"", ""}, {"46000", ""}}
	for _, p := range same {
		if !SameOperator(p[0], p[1]) || !SameOperator(p[1], p[0]) {
			t.Errorf("%v are one operator", p)
		}
	}
	for _, p := range differ {
		if SameOperator(p[0], p[1]) {
			t.Errorf("%v are not one operator", p)
		}
	}
}

func TestValidICCID(t *testing.T) {
	for s, want := range map[string]bool{
		"8986000000000000000":  true,  // 19 digits: no check digit to test
		"89860000000000000008": false, // Luhn wants another digit
		"89860000000000000004": luhn("89860000000000000004"),
		"898604A0000000000012": true, // hex letters cannot be checked
		"12860000000000000008": false, "898600": false, "": false, "8986000000000000000G": false,
	} {
		if got := ValidICCID(s); got != want {
			t.Errorf("ValidICCID(%q) = %t, want %t", s, got, want)
		}
	}
	if !luhn("79927398713") || luhn("79927398710") { // the worked example of ISO/IEC 7812
		t.Error("the Luhn sum is wrong")
	}
}
