package modemtest

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/pdumode"
	"github.com/warthog618/sms/encoding/tpdu"
)

const (
	// smsCapacity is the room of the simulated card; real cards have 20 to 50.
	smsCapacity = 50
	// serviceCentre is an obviously fake service-centre number.
	serviceCentre = "8613800000000"
)

// A message is one stored part.
type message struct {
	index  int
	unread bool
	from   string
	at     time.Time
	text   string // of this part
	ucs2   bool
	pdu    string // hex, with the service centre's address
	length int    // of the TPDU alone, as +CMGL counts
}

func parseSMS(args string) (action, error) {
	head, text, found := strings.Cut(args, "text=")
	if !found || text == "" {
		return nil, fmt.Errorf("text= is missing")
	}
	values, err := options(strings.Fields(head), "from", "at")
	if err != nil {
		return nil, err
	}
	from := values["from"]
	if !allDigits(strings.TrimPrefix(from, "+")) || len(from) > 20 {
		return nil, fmt.Errorf("from is not a number")
	}
	var at time.Time
	if values["at"] != "" {
		if at, err = time.Parse(time.RFC3339, values["at"]); err != nil {
			return nil, fmt.Errorf("at: %q is not a time such as 2026-01-27T09:00:00+08:00", values["at"])
		}
	}
	if text, err = unescape(text); err != nil {
		return nil, err
	}
	// Encode once now, so that what cannot be encoded is refused with its place.
	if _, err := encodeSMS(from, DefaultStart, text); err != nil {
		return nil, err
	}
	return func(p *Player) {
		when := at
		if when.IsZero() {
			when = p.wall()
		}
		parts, err := encodeSMS(from, when, text)
		if err != nil {
			return // cannot be: it was encoded above
		}
		for _, m := range parts {
			p.store(m)
		}
	}, nil
}

// The library makes its table of characters at the first use, unguarded. Two simulated
// modems of one test may encode at once, so it is made here.
var _, _ = sms.Encode([]byte("a"), sms.AsDeliver)

// encodeSMS makes the parts of a message as a service centre would.
func encodeSMS(from string, at time.Time, text string) ([]message, error) {
	origin := tpdu.Address{Addr: strings.TrimPrefix(from, "+")}
	origin.TOA = 0x80
	origin.SetNumberingPlan(tpdu.NpISDN)
	if strings.HasPrefix(from, "+") {
		origin.SetTypeOfNumber(tpdu.TonInternational)
	}
	parts, err := sms.Encode([]byte(text), sms.AsDeliver)
	if err != nil {
		return nil, fmt.Errorf("text: %w", err)
	}
	var list []message
	for i := range parts {
		t := &parts[i]
		t.OA = origin
		t.SCTS = tpdu.Timestamp{Time: at}
		raw, err := t.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("text: %w", err)
		}
		centre := tpdu.NewAddress(tpdu.FromNumber(serviceCentre))
		whole, err := (&pdumode.PDU{SMSC: pdumode.SMSCAddress{Address: centre}, TPDU: raw}).MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("service centre: %w", err)
		}
		content, err := sms.Decode([]*tpdu.TPDU{t})
		if err != nil {
			return nil, fmt.Errorf("text: %w", err)
		}
		alphabet, err := t.Alphabet()
		if err != nil {
			return nil, fmt.Errorf("text: %w", err)
		}
		list = append(list, message{
			unread: true, from: from, at: at, text: string(content), ucs2: alphabet == tpdu.AlphaUCS2,
			pdu: upper(hex.EncodeToString(whole)), length: len(raw),
		})
	}
	return list, nil
}

// store puts a message into the first free place, or hands it to the host,
// as +CNMI asked. A full card takes none, as in the field.
func (p *Player) store(msg message) {
	if !p.m.simReady() {
		return
	}
	if p.m.cnmiMT == 2 {
		head, body := p.render(msg)
		p.urc("+CMT: " + head)
		p.urc(body)
		return
	}
	for index := 1; index <= smsCapacity; index++ {
		if p.findSMS(index) >= 0 {
			continue
		}
		msg.index = index
		p.m.messages = append(p.m.messages, msg)
		slices.SortFunc(p.m.messages, func(a, b message) int { return a.index - b.index })
		if p.m.cnmiMT == 1 {
			p.urc(fmt.Sprintf(`+CMTI: "SM",%d`, index))
		}
		return
	}
}

func (p *Player) findSMS(index int) int {
	return slices.IndexFunc(p.m.messages, func(m message) bool { return m.index == index })
}

// render gives the fields after the status, and the line below them.
func (p *Player) render(m message) (head, body string) {
	if !p.m.textMode {
		return fmt.Sprintf(",%d", m.length), m.pdu
	}
	body = m.text
	if m.ucs2 || p.m.charset == "UCS2" {
		body = ucs2Hex(m.text)
	}
	from := m.from
	if p.m.charset == "UCS2" {
		from = ucs2Hex(from)
	}
	return fmt.Sprintf("%q,,%q", from, formatCCLK(m.at)), body
}

func ucs2Hex(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}

// status is <stat> of TS 27.005 §3.1 for received messages.
func (p *Player) smsStatus(m message) string {
	switch {
	case p.m.textMode && m.unread:
		return `"REC UNREAD"`
	case p.m.textMode:
		return `"REC READ"`
	}
	return strconv.Itoa(1 - btoi(m.unread))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cms is an error in the form that +CMEE asked for (TS 27.005 §3.2.5).
func (p *Player) cms(code int) answer {
	if p.m.cmee == 0 {
		return bare("ERROR")
	}
	return bare("+CMS ERROR: " + strconv.Itoa(code))
}

// smsCommands is the ordinary TS 27.005 set.
var smsCommands map[string]func(*Player, command) answer

func init() {
	smsCommands = map[string]func(*Player, command) answer{
		"+CMGF": cmdCMGF, "+CPMS": cmdCPMS, "+CMGL": needsCard(cmdCMGL), "+CMGR": needsCard(cmdCMGR),
		"+CMGD": needsCard(cmdCMGD), "+CMGS": cmdCMGS, "+CNMI": cmdCNMI, "+CSCS": cmdCSCS, "+CSCA": cmdCSCA,
		"+CSMS": func(_ *Player, c command) answer {
			switch c.op {
			case '?':
				return ok("+CSMS: 0,1,1,1")
			case 't':
				return ok("+CSMS: (0,1)")
			}
			return ok("+CSMS: 1,1,1")
		},
		"+CSMP": accept, "+CSDH": accept, "+CMMS": accept,
	}
}

// needsCard refuses a command as +CMS ERROR 310 (no card), 311 (PIN) or 313
// (failure) while the card is not ready.
func needsCard(do func(*Player, command) answer) func(*Player, command) answer {
	return func(p *Player, c command) answer {
		if p.m.simReady() || c.op == 't' {
			return do(p, c)
		}
		code, known := map[string]int{"absent": 310, "pin": 311, "busy": 314, "not-ready": 314, "wrong": 315, "puk": 316}[p.m.sim]
		if !known {
			code = 313
		}
		return p.cms(code)
	}
}

func cmdCMGF(p *Player, c command) answer {
	switch c.op {
	case '?':
		return ok("+CMGF: " + bit(p.m.textMode))
	case 't':
		return ok("+CMGF: (0,1)")
	case '=':
		n := c.arg(0, 0)
		if n != 0 && n != 1 {
			return p.cms(303)
		}
		p.m.textMode = n == 1
		return ok()
	}
	return bare("ERROR")
}

func cmdCPMS(p *Player, c command) answer {
	used := len(p.m.messages)
	switch c.op {
	case '?':
		one := fmt.Sprintf(`"SM",%d,%d`, used, smsCapacity)
		return ok("+CPMS: " + one + "," + one + "," + one)
	case 't':
		return ok(`+CPMS: ("SM"),("SM"),("SM")`)
	case '=':
		for i := range c.args {
			if c.text(i) != "SM" {
				return p.cms(302)
			}
		}
		if !p.m.simReady() {
			return needsCard(cmdCPMS)(p, c)
		}
		one := fmt.Sprintf("%d,%d", used, smsCapacity)
		return ok("+CPMS: " + one + "," + one + "," + one)
	}
	return bare("ERROR")
}

func cmdCMGL(p *Player, c command) answer {
	if c.op == 't' {
		if p.m.textMode {
			return ok(`+CMGL: ("REC UNREAD","REC READ","STO UNSENT","STO SENT","ALL")`)
		}
		return ok("+CMGL: (0-4)")
	}
	want, known := map[string]int{
		"": 0, "0": 0, "1": 1, "2": 2, "3": 3, "4": 4,
		"REC UNREAD": 0, "REC READ": 1, "STO UNSENT": 2, "STO SENT": 3, "ALL": 4,
	}[c.text(0)]
	if !known {
		return p.cms(302)
	}
	var a answer
	for i := range p.m.messages {
		m := &p.m.messages[i]
		if want != 4 && want != 1-btoi(m.unread) {
			continue
		}
		head, body := p.render(*m)
		a.lines = append(a.lines, fmt.Sprintf("+CMGL: %d,%s,%s", m.index, p.smsStatus(*m), head), body)
		m.unread = false
	}
	a.lines = append(a.lines, "OK")
	return a
}

func cmdCMGR(p *Player, c command) answer {
	if c.op == 't' {
		return ok()
	}
	i := p.findSMS(c.arg(0, -1))
	if i < 0 {
		return p.cms(321)
	}
	m := &p.m.messages[i]
	head, body := p.render(*m)
	a := ok(fmt.Sprintf("+CMGR: %s,%s", p.smsStatus(*m), head), body)
	m.unread = false
	return a
}

func cmdCMGD(p *Player, c command) answer {
	if c.op == 't' {
		return ok(fmt.Sprintf("+CMGD: (1-%d),(0-4)", smsCapacity))
	}
	index, flag := c.arg(0, -1), c.arg(1, 0)
	switch flag {
	case 0:
		if index < 1 || index > smsCapacity {
			return p.cms(321)
		}
		p.m.messages = slices.DeleteFunc(p.m.messages, func(m message) bool { return m.index == index })
	case 1, 2, 3:
		p.m.messages = slices.DeleteFunc(p.m.messages, func(m message) bool { return !m.unread })
	case 4:
		p.m.messages = nil
	default:
		return p.cms(302)
	}
	return ok()
}

func cmdCMGS(p *Player, c command) answer {
	if c.op == 't' {
		return ok()
	}
	if c.op != '=' || c.text(0) == "" {
		return p.cms(304)
	}
	a := answer{prompt: true}
	a.onText = func(string) answer {
		if !p.m.anyRegistered() {
			return p.cms(331) // no network service
		}
		p.sent++
		return ok("+CMGS: " + strconv.Itoa(p.sent%256))
	}
	return a
}

func cmdCNMI(p *Player, c command) answer {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CNMI: 2,%d,0,0,0", p.m.cnmiMT))
	case 't':
		return ok("+CNMI: (0-2),(0-2),(0),(0),(0)")
	case '=', 'x':
		mt := c.arg(1, 0)
		if mt < 0 || mt > 2 {
			return p.cms(302)
		}
		p.m.cnmiMT = mt
		return ok()
	}
	return bare("ERROR")
}

func cmdCSCS(p *Player, c command) answer {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CSCS: %q", p.m.charset))
	case 't':
		return ok(`+CSCS: ("GSM","IRA","UCS2")`)
	case '=':
		if name := upper(c.text(0)); name == "GSM" || name == "IRA" || name == "UCS2" {
			p.m.charset = name
			return ok()
		}
		return p.cme(50)
	}
	return bare("ERROR")
}

func cmdCSCA(p *Player, c command) answer {
	if c.op == '?' {
		return ok(`+CSCA: "+` + serviceCentre + `",145`)
	}
	return ok()
}
