package threegpp

import (
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
)

// smsHeader is the line before a message. In PDU mode it names nobody.
type smsHeader struct {
	index int
	from  string
	at    time.Time
	pdu   bool
	sent  bool // one of ours, kept in the store
}

// parseSMSHeader reads +CMGR, +CMGL and +CMT (TS 27.005 §3.4.2, §3.5.2 and text
// mode §4.2, §4.3).
func parseSMSHeader(l line) (h smsHeader, ok bool) {
	h.index = -1
	args := l.args
	switch l.name {
	case "+CMGL":
		if h.index, ok = l.num(0); !ok {
			return h, false
		}
		args = args[1:]
	case "+CMGR":
	case "+CMT":
		// "<from>",["<alpha>"],"<time>" or [<alpha>],<length>
		if h.pdu = len(args) == 2 && digitsOnly(argStr(args, 1)); !h.pdu {
			h.from, h.at = address(argStr(args, 0)), smsTime(argStr(args, 2))
		}
		return h, len(args) > 0
	default:
		return h, false
	}
	if len(args) == 0 {
		return h, false
	}
	stat := argStr(args, 0)
	if digitsOnly(stat) {
		h.pdu, h.sent = true, stat == "2" || stat == "3"
		return h, true
	}
	h.sent = strings.HasPrefix(stat, "STO")
	h.from, h.at = address(argStr(args, 1)), smsTime(argStr(args, 3))
	return h, true
}

func smsTime(s string) time.Time {
	t, _ := parseTime(s, false)
	return t
}

// address gives back a number that was sent in UCS2 (+CSCS="UCS2").
func address(s string) string {
	if len(s) >= 20 && strings.HasPrefix(s, "00") {
		if t, ok := ucs2Text(s); ok {
			return t
		}
	}
	return s
}

// smsBlock reads the answers of +CMGR and +CMGL: a header, then the text or the
// PDU on the lines up to the next header.
func smsBlock(_ *subcommand, lines []string) []Fact {
	facts := []Fact{}
	var h smsHeader
	var body []string
	open := false
	flush := func() {
		if open && !h.sent {
			facts = append(facts, h.message(strings.Join(body, "\n"))...)
		}
		body, open = nil, false
	}
	for _, text := range lines {
		l := newLine(nil, text)
		if next, ok := parseSMSHeader(l); ok {
			flush()
			h, open = next, true
		} else if open {
			body = append(body, text)
		} else {
			facts = append(facts, Unparsed{Line: text})
		}
	}
	flush()
	return facts
}

// routedSMS reads a +CMT header with its body.
func routedSMS(l line, body string) []Fact {
	h, ok := parseSMSHeader(l)
	if !ok || l.name != "+CMT" {
		return nil
	}
	return h.message(body)
}

// parseCMT reads the header of a routed message that came without its body.
func parseCMT(l line) []Fact {
	h, ok := parseSMSHeader(l)
	if !ok {
		return nil
	}
	if h.pdu {
		return quiet // all of it is in the line that follows
	}
	return one(SMS{From: h.from, At: h.at, Index: -1})
}

func (h smsHeader) message(body string) []Fact {
	if !h.pdu {
		text := body
		if t, ok := ucs2Text(body); ok {
			text = t
		}
		return one(SMS{From: h.from, At: h.at, Text: text, Index: h.index})
	}
	s, ok := decodePDU(body)
	if !ok {
		return one(Unparsed{Line: body})
	}
	s.Index = h.index
	return one(s)
}

// maxPDU is the longest PDU in octets: 12 of the service centre, 12 of header,
// 140 of data, rounded up.
const maxPDU = 176

// decodePDU reads one SMS-DELIVER. Parts of a long message come one by one.
func decodePDU(text string) (s SMS, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) > 2*maxPDU {
		return s, false
	}
	p, err := pdumode.UnmarshalHexString(text)
	if err != nil {
		return s, false
	}
	t, err := sms.Unmarshal(p.TPDU)
	if err != nil || t.SmsType() != tpdu.SmsDeliver {
		return s, false
	}
	alphabet, err := t.Alphabet()
	if err != nil {
		return s, false
	}
	s = SMS{From: t.OA.Number(), At: t.SCTS.Time, Index: -1}
	if alphabet != tpdu.Alpha8Bit { // data for a machine has no text
		body, err := tpdu.DecodeUserData(t.UD, t.UDH, alphabet)
		if err != nil {
			return s, false
		}
		s.Text = string(body)
	}
	if segments, part, ref, ok := t.ConcatInfo(); ok {
		s.Ref, s.Parts, s.Part = ref, segments, part
	}
	return s, true
}

// ucs2Text decodes text that was sent as hexadecimal UCS2. Digits alone are
// taken for text: a number of four digits is likelier than a Chinese sign.
func ucs2Text(s string) (string, bool) {
	if len(s) < 4 || len(s)%4 != 0 || !hexOnly(s) || len(s) == 4 && digitsOnly(s) {
		return "", false
	}
	raw, err := hex.DecodeString(s)
	if err != nil {
		return "", false
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
		if units[i] < 0x20 && units[i] != '\n' && units[i] != '\r' {
			return "", false
		}
	}
	return string(utf16.Decode(units)), true
}

// parseCMTI reads +CMTI: "SM",3.
func parseCMTI(l line) []Fact {
	n, ok := l.num(1)
	if !ok {
		return nil
	}
	return one(SMSStored{Storage: l.str(0), Index: n, Used: -1, Total: -1})
}

// parseCPMS reads +CPMS: "SM",3,50,... or, after a set command, 3,50,...; the
// first store is the one that is read.
func parseCPMS(l line) []Fact {
	s := SMSStored{Index: -1, Used: -1, Total: -1}
	i := 0
	if l.isQuoted(0) {
		s.Storage, i = l.str(0), 1
	} else if l.cmd != nil {
		s.Storage = l.cmd.str(0)
	}
	s.Used, s.Total = l.numOr(i, -1), l.numOr(i+1, -1)
	if s.Used < 0 {
		return nil
	}
	return one(s)
}

// ucs2Coding is the data coding of USSD in UCS2 (TS 23.038 §5: 72, and 17 with a
// language ahead).
func ucs2Coding(dcs int) bool { return dcs == 72 || dcs == 17 || dcs == 8 }

// parseCUSD reads +CUSD: <m>[,<text>,<dcs>] (TS 27.007 §7.15).
func parseCUSD(l line) []Fact {
	m, ok := l.num(0)
	if !ok {
		return nil
	}
	if l.cmd != nil && l.cmd.op == "?" {
		return quiet // the setting
	}
	u := USSD{M: m, Text: l.str(1)}
	dcs, told := l.num(2)
	if !told || ucs2Coding(dcs) {
		if t, ok := ucs2Text(u.Text); ok {
			u.Text = t
		}
	}
	return one(u)
}
