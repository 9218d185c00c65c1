package modemtest

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
)

const smsScript = `-- modem --
-- script --
1s  sms from=10086 at=2026-01-27T09:00:00+08:00 text=您的流量已用完
2s  sms from=+8613800000001 text=hello
`

func TestMessagesAreReadInPDUMode(t *testing.T) {
	p := NewPlayer(scenario(t, smsScript), 1)
	ask(p, 0, "AT+CMGF=0;+CNMI=2,1")
	if got, want := p.Unsolicited(3*time.Second), []string{`+CMTI: "SM",1`, `+CMTI: "SM",2`}; !slices.Equal(got, want) {
		t.Errorf("announced %q, want %q", got, want)
	}
	lines, _, _ := p.Ask(3*time.Second, "AT+CMGL=4")
	if len(lines) != 5 || lines[0] != "+CMGL: 1,0,,30" || !strings.HasPrefix(lines[2], "+CMGL: 2,0,,") {
		t.Fatalf("got %q", lines)
	}
	pdu, err := pdumode.UnmarshalHexString(lines[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(pdu.TPDU) != 30 {
		t.Errorf("the TPDU is %d bytes, announced 30", len(pdu.TPDU))
	}
	part, err := sms.Unmarshal(pdu.TPDU)
	if err != nil {
		t.Fatal(err)
	}
	content, err := sms.Decode([]*tpdu.TPDU{part})
	if err != nil || string(content) != "您的流量已用完" || part.OA.Number() != "10086" ||
		!part.SCTS.Equal(time.Date(2026, 1, 27, 1, 0, 0, 0, time.UTC)) {
		t.Errorf("got %q from %s at %s, %v", content, part.OA.Number(), part.SCTS, err)
	}
	if got := ask(p, 3*time.Second, "AT+CMGL=0"); got != "OK" {
		t.Errorf("read messages are listed as unread: %s", got)
	}
	if got := ask(p, 3*time.Second, "AT+CPMS?"); got != `+CPMS: "SM",2,50,"SM",2,50,"SM",2,50 | OK` {
		t.Error(got)
	}
}

func TestMessagesAreReadInTextMode(t *testing.T) {
	p := NewPlayer(scenario(t, smsScript), 1)
	ask(p, 0, "AT+CMGF=1")
	for _, tt := range []struct{ command, want string }{
		{`AT+CMGL="REC UNREAD"`, `+CMGL: 1,"REC UNREAD","10086",,"26/01/27,09:00:00+32" | 60A876846D4191CF5DF275285B8C | ` +
			`+CMGL: 2,"REC UNREAD","+8613800000001",,"26/01/05,08:00:02+32" | hello | OK`},
		{"AT+CMGR=2", `+CMGR: "REC READ","+8613800000001",,"26/01/05,08:00:02+32" | hello | OK`},
		{"AT+CMGD=1", "OK"},
		{"AT+CMGR=1", "+CMS ERROR: 321"},
		{"AT+CMGD=1,4", "OK"},
		{`AT+CMGL="ALL"`, "OK"},
	} {
		if got := ask(p, time.Minute, tt.command); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.command, got, tt.want)
		}
	}
}

func TestLongMessageComesInParts(t *testing.T) {
	long := strings.Repeat("温馨提醒您的号码因欠费已停机。", 10)
	p := NewPlayer(scenario(t, "-- script --\n1s sms from=10086 text="+long+"\n"), 1)
	lines, _, _ := p.Ask(time.Minute, "AT+CMGL=4")
	var parts []*tpdu.TPDU
	for i := 1; i < len(lines); i += 2 {
		raw, err := hex.DecodeString(lines[i])
		if err != nil {
			t.Fatal(err)
		}
		pdu, err := pdumode.UnmarshalBinary(raw)
		if err != nil {
			t.Fatal(err)
		}
		part, err := sms.Unmarshal(pdu.TPDU)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	content, err := sms.Decode(parts)
	if err != nil || string(content) != long || len(parts) != 3 || !sms.IsCompleteMessage(parts) {
		t.Errorf("%d parts: %q, %v", len(parts), content, err)
	}
}

func TestMessageIsHandedOnWhereTheHostAskedSo(t *testing.T) {
	p := NewPlayer(scenario(t, smsScript), 1)
	ask(p, 0, "AT+CMGF=1;+CNMI=2,2")
	p.Unsolicited(time.Second)
	want := []string{`+CMT: "+8613800000001",,"26/01/05,08:00:02+32"`, "hello"}
	if got := p.Unsolicited(2 * time.Second); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := ask(p, time.Minute, "AT+CPMS?"); !strings.Contains(got, `"SM",0,50`) {
		t.Errorf("and it was stored too: %s", got)
	}
}

func TestFullCardTakesNoMore(t *testing.T) {
	p := NewPlayer(scenario(t, "-- script --\n1s every 1s sms from=10086 text=x\n"), 1)
	if got := ask(p, 2*time.Minute, "AT+CPMS?"); !strings.Contains(got, `"SM",50,50`) {
		t.Error(got)
	}
}

func TestPromptWaitsForTheText(t *testing.T) {
	p := NewPlayer(scenario(t, "-- modem --\necho off\n+QMTPUB=* [prompt] -> OK | +QMTPUB: 0,0,0\n"), 1)
	for _, tt := range []struct{ name, host, want string }{
		{"the prompt", "AT+CMGS=20\r", "\r\n> "},
		{"no command within the text", "AT\r", ""},
		{"the end of the text", "0011\x1a", "\r\n+CMGS: 1\r\n\r\nOK\r\n"},
		{"given up with ESC", "AT+CMGS=20\r\x1b", "\r\n> \r\nOK\r\n"},
		{"an explicit reply with a prompt", "AT+QMTPUB=0,0,0,0,\"t\"\rx\x1a", "\r\n> \r\nOK\r\n\r\n+QMTPUB: 0,0,0\r\n"},
	} {
		p.Write(0, []byte(tt.host))
		if got := text(p.Advance(0)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if err := p.Do("prompt-never"); err != nil {
		t.Fatal(err)
	}
	p.Write(0, []byte("AT+CMGS=20\r"))
	if got := text(p.Advance(time.Hour)); got != "" {
		t.Errorf("the prompt that never comes: %q", got)
	}
}
