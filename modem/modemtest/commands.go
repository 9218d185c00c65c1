package modemtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A command is one extended command, taken apart.
type command struct {
	name string // upper case, with its sign: "+CEREG"
	op   byte   // 'x' execute, '?' read, 't' test, '=' set
	args []string
}

// parseCommand takes "+CMEE=1" apart. Quotes around arguments are removed.
func parseCommand(text string) command {
	name, rest, set := strings.Cut(text, "=")
	switch {
	case set && strings.TrimSpace(rest) == "?":
		return command{upper(strings.TrimSpace(name)), 't', nil}
	case set:
		return command{upper(strings.TrimSpace(name)), '=', splitArgs(rest)}
	case strings.HasSuffix(name, "?"):
		return command{upper(strings.TrimSpace(strings.TrimSuffix(name, "?"))), '?', nil}
	}
	return command{upper(strings.TrimSpace(name)), 'x', nil}
}

func splitArgs(s string) []string {
	args := splitOutsideQuotes(s, ',')
	for i, a := range args {
		a = strings.TrimSpace(a)
		if len(a) >= 2 && a[0] == '"' && a[len(a)-1] == '"' {
			a = a[1 : len(a)-1]
		}
		args[i] = a
	}
	return args
}

func splitOutsideQuotes(s string, sep byte) []string {
	var parts []string
	quoted, start := false, 0
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// arg returns argument i as a number, otherwise where it is absent, -1 where
// it is no number.
func (c command) arg(i, otherwise int) int {
	if i >= len(c.args) || c.args[i] == "" {
		return otherwise
	}
	n, err := strconv.Atoi(c.args[i])
	if err != nil {
		return -1
	}
	return n
}

func (c command) text(i int) string {
	if i >= len(c.args) {
		return ""
	}
	return c.args[i]
}

var cmeText = map[int]string{
	3: "operation not allowed", 4: "operation not supported", 10: "SIM not inserted",
	11: "SIM PIN required", 12: "SIM PUK required", 13: "SIM failure", 14: "SIM busy",
	15: "SIM wrong", 16: "incorrect password", 21: "invalid index", 22: "not found",
	30: "no network service", 50: "incorrect parameters", 148: "unspecified GPRS error",
	107: "GPRS services not allowed", 149: "PDP authentication failure",
	132: "service option not supported", 133: "requested service option not subscribed",
	134: "service option temporarily out of order",
}

// cme is an error in the form that +CMEE asked for.
func (p *Player) cme(code int) answer {
	switch text := cmeText[code]; {
	case p.m.cmee == 0:
		return bare("ERROR")
	case p.m.cmee == 2 && text != "":
		return bare("+CME ERROR: " + text)
	}
	return bare("+CME ERROR: " + strconv.Itoa(code))
}

// simError is the refusal of a command that needs the card, nil when it is ready.
func (p *Player) simError() *answer {
	if p.m.simReady() {
		return nil
	}
	code, known := map[string]int{"absent": 10, "pin": 11, "puk": 12, "busy": 14, "not-ready": 14, "wrong": 15}[p.m.sim]
	if !known {
		code = 13
	}
	a := p.cme(code)
	return &a
}

// reply answers one whole command line, given without its AT.
func (p *Player) reply(text string) answer {
	text = squeeze(text)
	if a, found := p.ruled(text); found {
		return a
	}
	parts := []string{text}
	if !strings.HasPrefix(upper(text), "D") {
		parts = splitOutsideQuotes(text, ';')
	}
	if len(parts) == 1 {
		return p.replyOne(text)
	}
	var whole answer
	for _, part := range parts {
		if part == "" {
			continue
		}
		a, found := p.ruled(part)
		if !found {
			a = p.replyOne(part)
		}
		if a.silent || a.prompt {
			return a
		}
		whole.after += a.after
		whole.inside = append(whole.inside, a.inside...)
		if n := len(a.lines); n > 0 && a.lines[n-1] == "OK" {
			whole.lines = append(whole.lines, a.lines[:n-1]...)
			continue
		}
		whole.lines = append(whole.lines, a.lines...)
		return whole
	}
	whole.lines = append(whole.lines, "OK")
	return whole
}

// squeeze removes blanks outside quotes: modules read past them.
func squeeze(text string) string {
	quoted := false
	return strings.Map(func(r rune) rune {
		if r == '"' {
			quoted = !quoted
		}
		if !quoted && (r == ' ' || r == '\t') {
			return -1
		}
		return r
	}, text)
}

// replyOne answers a command that holds no ";".
func (p *Player) replyOne(text string) answer {
	if p.dead {
		return answer{silent: true}
	}
	if text == "" {
		return ok()
	}
	if strings.IndexByte("+^#%*!$", text[0]) >= 0 {
		return p.extended(parseCommand(text))
	}
	return p.basic(text)
}

// basic answers V.250 commands, which may stand together: "E0V1", "&FE0".
func (p *Player) basic(text string) answer {
	whole := ok()
	s := upper(text)
	for s != "" {
		if s[0] == '+' {
			a := p.extended(parseCommand(text[len(text)-len(s):]))
			a.lines = append(whole.lines[:len(whole.lines)-1:len(whole.lines)-1], a.lines...)
			return a
		}
		if s[0] == 'D' {
			return p.dial()
		}
		if s[0] == '&' && len(s) > 1 {
			s = s[1:]
			if s[0] == 'F' {
				p.m.echo = true
			}
			_, s = cutNumber(s[1:])
			continue
		}
		letter := s[0]
		var n int
		n, s = cutNumber(s[1:])
		switch letter {
		case 'E':
			if n > 1 {
				return bare("ERROR")
			}
			p.m.echo = n == 1
		case 'I':
			whole.lines = append(p.identify(), "OK")
		case 'Z':
			p.m.echo = true
		case 'S':
			if s == "" || s[0] != '=' {
				return bare("ERROR")
			}
			_, s = cutNumber(s[1:])
		case 'H', 'Q', 'V', 'X', 'L', 'M':
		default:
			return bare("ERROR")
		}
	}
	return whole
}

func cutNumber(s string) (int, string) {
	rest := strings.TrimLeft(s, "0123456789")
	n, err := strconv.Atoi(s[:len(s)-len(rest)])
	if err != nil {
		return 0, rest
	}
	return n, rest
}

// dial answers ATD: a data call cannot be carried here, so it ends at once.
func (p *Player) dial() answer {
	if p.recorded {
		return notRecorded()
	}
	a := bare("NO CARRIER")
	a.after = attachTime
	return a
}

func (p *Player) identify() []string {
	m := &p.m
	switch m.family {
	case quectel:
		return []string{m.manufacturer, m.modelName, "Revision: " + m.rev}
	case simcom:
		return []string{"Manufacturer: " + m.manufacturer, "Model: " + m.modelName, "Revision: " + m.rev, "IMEI: " + m.imei}
	}
	return []string{m.manufacturer, m.modelName, m.rev}
}

// What a recorded modem answers beside its recording: settings of the dialogue,
// which tell nothing of the fault, and who it is.
var (
	housekeeping = []string{
		"+CMEE", "+CREG", "+CGREG", "+CEREG", "+CGEREP", "+CMGF", "+CNMI", "+CSCS", "+CTZU", "+CTZR",
	}
	identity = []string{"+CGMI", "+CGMM", "+CGMR", "+GMI", "+GMM", "+GMR"}
)

// notRecorded answers a command of which a recording says nothing. Neither a
// bare ERROR nor silence would be true, and both would be evidence.
func notRecorded() answer { return bare("+CME ERROR: 4") }

// extended answers commands with a sign before their name.
func (p *Player) extended(c command) answer {
	harmless := c.op == '=' && slices.Contains(housekeeping, c.name) || c.op == 'x' && slices.Contains(identity, c.name)
	if p.recorded && !harmless {
		return notRecorded()
	}
	for _, table := range []map[string]func(*Player, command) answer{commands, smsCommands, familyCommands[p.m.family]} {
		if do := table[c.name]; do != nil {
			return do(p, c)
		}
	}
	return bare("ERROR")
}

// commands is the ordinary 3GPP set (TS 27.007).
var commands map[string]func(*Player, command) answer

func init() {
	commands = map[string]func(*Player, command) answer{
		"+CGMI": plain(func(m *model) string { return m.manufacturer }),
		"+GMI":  plain(func(m *model) string { return m.manufacturer }),
		"+CGMM": plain(func(m *model) string { return m.modelName }),
		"+GMM":  plain(func(m *model) string { return m.modelName }),
		"+CGMR": plain(func(m *model) string { return m.rev }),
		"+GMR":  plain(func(m *model) string { return m.rev }),
		"+CGSN": plain(func(m *model) string { return m.imei }),
		"+GSN":  plain(func(m *model) string { return m.imei }),
		"+GCAP": plain(func(*model) string { return "+GCAP: +CGSM" }),
		"+CPAS": plain(func(*model) string { return "+CPAS: 0" }),
		"+CBC":  plain(func(*model) string { return "+CBC: 0,100,3800" }),
		"+CEER": plain(func(m *model) string { return "+CEER: " + m.ceer }),
		"+CSQ":  plain(func(m *model) string { return m.csq() }),
		"+CESQ": plain(func(m *model) string { return m.cesq() }),
		"+CMEE": value("+CMEE", "(0-2)", 2, func(m *model) *int { return &m.cmee }),
		"+CREG": regCommand(domainCS), "+CGREG": regCommand(domainPS), "+CEREG": regCommand(domainEPS),
		"+CFUN": cmdCFUN, "+CPIN": cmdCPIN, "+CIMI": cmdCIMI, "+COPS": cmdCOPS, "+CGATT": cmdCGATT,
		"+CGACT": cmdCGACT, "+CGDCONT": cmdCGDCONT, "+CGPADDR": cmdCGPADDR, "+CGCONTRDP": cmdCGCONTRDP,
		"+CGEREP": cmdCGEREP, "+CCLK": cmdCCLK, "+CCID": iccid("+CCID: "), "+CLCK": cmdCLCK,
		"+CTZU": accept, "+CTZR": accept, "+CSSN": accept, "+CRC": accept, "+CLIP": accept,
		"+CNUM": accept, "+CGAUTH": accept, "+CSCON": accept,
	}
}

func accept(*Player, command) answer { return ok() }

// plain is a command with one line that needs no card.
func plain(line func(*model) string) func(*Player, command) answer {
	return func(p *Player, c command) answer {
		switch c.op {
		case 'x':
			return ok(line(&p.m))
		case 't':
			return ok()
		}
		return bare("ERROR")
	}
}

// value is a command that keeps one number.
func value(name, shape string, most int, field func(*model) *int) func(*Player, command) answer {
	return func(p *Player, c command) answer {
		n := field(&p.m)
		switch c.op {
		case '?':
			return ok(name + ": " + strconv.Itoa(*n))
		case 't':
			return ok(name + ": " + shape)
		case '=':
			v := c.arg(0, 0)
			if v < 0 || v > most {
				return p.cme(50)
			}
			*n = v
			return ok()
		}
		return bare("ERROR")
	}
}

func regCommand(d domain) func(*Player, command) answer {
	return func(p *Player, c command) answer {
		m := &p.m
		switch c.op {
		case '?':
			return ok(m.regLine(d, strconv.Itoa(m.n[d])+","))
		case 't':
			return ok(fmt.Sprintf("%s: (0-%d)", domainCommands[d], m.maxN[d]))
		case '=':
			n := c.arg(0, 0)
			if n < 0 || n > m.maxN[d] {
				return p.cme(50)
			}
			m.n[d] = n
			return ok()
		}
		return bare("ERROR")
	}
}

func cmdCFUN(p *Player, c command) answer {
	switch c.op {
	case '?':
		return ok("+CFUN: " + strconv.Itoa(p.m.cfun))
	case 't':
		return ok("+CFUN: (0,1,4),(0,1)")
	case '=':
		level, reset := c.arg(0, 1), c.arg(1, 0)
		if level != 0 && level != 1 && level != 4 || reset < 0 || reset > 1 {
			return p.cme(50)
		}
		if reset == 1 {
			p.at(p.now+rebootAfterOK, func() { p.reboot() })
			return ok()
		}
		p.setRadio(level)
		return ok()
	}
	return bare("ERROR")
}

func cmdCPIN(p *Player, c command) answer {
	m := &p.m
	switch c.op {
	case 't':
		return ok()
	case '?':
		if m.cfun == 0 {
			return p.cme(13)
		}
		switch m.sim {
		case "ready":
			return ok("+CPIN: READY")
		case "pin":
			return ok("+CPIN: SIM PIN")
		case "puk":
			return ok("+CPIN: SIM PUK")
		case "not-ready":
			if m.family == quectel {
				return ok("+CPIN: NOT READY")
			}
		}
		return *p.simError()
	case '=':
		switch {
		case m.sim == "ready":
			return p.cme(3)
		case m.sim != "pin":
			return *p.simError()
		case m.pin != "" && c.text(0) != m.pin:
			m.pinTries++
			if m.pinTries == 3 { // TS 31.101 §9.5.1: three tries
				p.setSIM("puk")
				return p.cme(12)
			}
			return p.cme(16)
		}
		m.pinTries = 0
		p.setSIM("ready")
		return ok()
	}
	return bare("ERROR")
}

func cmdCLCK(p *Player, c command) answer {
	if c.op == '=' && c.text(0) == "SC" && c.arg(1, 0) == 2 {
		if e := p.simError(); e != nil && p.m.sim != "pin" {
			return *e
		}
		return ok("+CLCK: " + bit(p.m.sim == "pin"))
	}
	return p.cme(4)
}

func cmdCIMI(p *Player, c command) answer {
	if c.op == 't' {
		return ok()
	}
	if e := p.simError(); e != nil {
		return *e
	}
	return ok(p.m.imsi)
}

func iccid(prefix string) func(*Player, command) answer {
	return func(p *Player, c command) answer {
		if c.op == 't' {
			return ok()
		}
		if e := p.simError(); e != nil && p.m.sim != "pin" && p.m.sim != "puk" {
			return *e
		}
		return ok(prefix + p.m.iccid)
	}
}

func cmdCOPS(p *Player, c command) answer {
	m := &p.m
	switch c.op {
	case '?':
		if !m.anyRegistered() {
			return ok("+COPS: " + strconv.Itoa(m.copsManual))
		}
		name := m.operator
		if m.copsForm == 2 {
			name = m.plmn
		} else if m.charset == "UCS2" {
			name = ucs2Hex(name) // TS 27.007 §7.3: in the character set of +CSCS
		}
		return ok(fmt.Sprintf("+COPS: 0,%d,%q,%d", m.copsForm, name, m.cell.act))
	case 't':
		var list string
		if m.heard() {
			stat := 2
			switch {
			case m.reg[domainEPS].stat == statDenied:
				stat = 3
			case !m.anyRegistered():
				stat = 1
			}
			list = fmt.Sprintf("(%d,%q,%q,%q,%d),", stat, m.operator, m.operator, m.plmn, m.cell.act)
		}
		a := ok("+COPS: " + list + ",(0-4),(0-2)")
		a.after = scanTime
		return a
	case '=':
		mode, form := c.arg(0, 0), c.arg(1, m.copsForm)
		if form < 0 || form > 2 {
			return p.cme(50)
		}
		switch mode {
		case 0, 1, 4:
			m.copsForm = form
			p.change(byModem, func() {
				if m.copsManual == 2 {
					p.camp()
				}
				m.copsManual = 0
			})
		case 2:
			p.change(byModem, func() { m.copsManual = 2 })
		case 3:
			m.copsForm = form
		default:
			return p.cme(50)
		}
		return ok()
	}
	return bare("ERROR")
}

func cmdCGATT(p *Player, c command) answer {
	m := &p.m
	switch c.op {
	case '?':
		return ok("+CGATT: " + bit(m.attached()))
	case 't':
		return ok("+CGATT: (0,1)")
	case '=':
		switch c.arg(0, -1) {
		case 0:
			p.change(byModem, func() { m.hostDetached = true })
			return ok()
		case 1:
			p.change(byModem, func() { m.hostDetached = false })
			if m.attached() {
				return ok()
			}
			a := p.cme(p.attachError())
			a.after = attachTime
			return a
		}
		return p.cme(50)
	}
	return bare("ERROR")
}

// attachError is the +CME number of a refused attach: 100 plus the NAS cause
// (TS 27.007 §9.2.2.1), 30 where the network said nothing.
func (p *Player) attachError() int {
	if e := p.simError(); e != nil {
		return 10
	}
	for _, d := range []domain{domainEPS, domainPS} {
		if r := p.m.registration(d); r.stat == statDenied && r.cause > 0 && r.cause < 26 {
			return 100 + r.cause
		}
	}
	return 30
}

func cmdCGACT(p *Player, c command) answer {
	m := &p.m
	switch c.op {
	case '?':
		a := answer{}
		for _, x := range m.contexts {
			a.lines = append(a.lines, fmt.Sprintf("+CGACT: %d,%s", x.cid, bit(x.cid == 1 && m.sessionUp())))
		}
		a.lines = append(a.lines, "OK")
		return a
	case 't':
		return ok("+CGACT: (0,1)")
	case '=':
		return p.activate(c.arg(0, -1), c.arg(1, 1))
	}
	return bare("ERROR")
}

// activate opens (1) or closes (0) the session on context cid.
func (p *Player) activate(state, cid int) answer {
	m := &p.m
	if state != 0 && state != 1 || !slices.ContainsFunc(m.contexts, func(x pdpContext) bool { return x.cid == cid }) {
		return p.cme(50)
	}
	if cid != 1 {
		return ok()
	}
	if state == 0 {
		p.change(byModem, func() { m.hostClosed = true })
		return ok()
	}
	if m.sessionUp() {
		return ok()
	}
	a := ok()
	switch {
	case !m.attached():
		a = p.cme(p.attachError())
	case m.reject != 0:
		a = p.cme(sessionCME(m.reject))
	default:
		p.change(byModem, func() { m.wanted, m.hostClosed = true, false })
	}
	a.after = attachTime
	return a
}

// sessionCME maps an ESM cause to +CME ERROR (TS 27.007 §9.2.2.2).
func sessionCME(cause int) int {
	switch {
	case cause == 29:
		return 149 // PDP authentication failure
	case cause >= 26 && cause <= 46:
		return 100 + cause
	}
	return 148 // unspecified
}

func cmdCGDCONT(p *Player, c command) answer {
	m := &p.m
	switch c.op {
	case '?':
		a := answer{}
		for _, x := range m.contexts {
			addr := "0.0.0.0"
			if m.family == quectel {
				addr = ""
			}
			a.lines = append(a.lines, fmt.Sprintf("+CGDCONT: %d,%q,%q,%q,0,0,0,0", x.cid, x.kind, x.ap, addr))
		}
		a.lines = append(a.lines, "OK")
		return a
	case 't':
		return ok(`+CGDCONT: (1-16),"IP",,,(0-2),(0-4)`, `+CGDCONT: (1-16),"IPV4V6",,,(0-2),(0-4)`)
	case '=':
		cid := c.arg(0, -1)
		if cid < 1 || cid > 16 {
			return p.cme(50)
		}
		m.contexts = slices.DeleteFunc(m.contexts, func(x pdpContext) bool { return x.cid == cid })
		if len(c.args) > 1 {
			m.contexts = append(m.contexts, pdpContext{cid, c.text(1), c.text(2)})
			slices.SortFunc(m.contexts, func(a, b pdpContext) int { return a.cid - b.cid })
		}
		return ok()
	}
	return bare("ERROR")
}

func cmdCGPADDR(p *Player, c command) answer {
	m := &p.m
	if c.op == 't' {
		return ok("+CGPADDR: (1)")
	}
	if c.op == '=' && c.arg(0, -1) != 1 {
		return ok()
	}
	if !m.sessionUp() {
		return ok("+CGPADDR: 1")
	}
	return ok(fmt.Sprintf("+CGPADDR: 1,%q", m.addr))
}

func cmdCGCONTRDP(p *Player, c command) answer {
	m := &p.m
	if c.op == 't' {
		return ok("+CGCONTRDP: (1)")
	}
	if !m.sessionUp() || len(m.contexts) == 0 {
		return ok()
	}
	return ok(fmt.Sprintf("+CGCONTRDP: 1,5,%q,%q,,\"10.0.0.53\",\"10.0.1.53\"", m.contexts[0].ap, m.addr))
}

func cmdCGEREP(p *Player, c command) answer {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CGEREP: %d,0", p.m.cgerep))
	case 't':
		return ok("+CGEREP: (0-2),(0,1)")
	case '=', 'x':
		mode := c.arg(0, 0)
		if mode < 0 || mode > 2 {
			return p.cme(50)
		}
		p.m.cgerep = mode
		return ok()
	}
	return bare("ERROR")
}

// cclkLayout is +CCLK's time; the zone follows in quarters of an hour.
const cclkLayout = "06/01/02,15:04:05"

func cmdCCLK(p *Player, c command) answer {
	switch c.op {
	case '?':
		return ok(fmt.Sprintf("+CCLK: %q", formatCCLK(p.wall())))
	case 't':
		return ok()
	case '=':
		// The comma inside the quotes kept the time in one argument.
		text := c.text(0)
		if len(text) < len(cclkLayout) {
			return p.cme(50)
		}
		t, err := time.Parse(cclkLayout, text[:len(cclkLayout)])
		if err != nil {
			return p.cme(50)
		}
		quarters, _ := strconv.Atoi(text[len(cclkLayout):])
		t = t.Add(-time.Duration(quarters) * 15 * time.Minute)
		p.m.clockShift += t.Sub(p.wall())
		return ok()
	}
	return bare("ERROR")
}

func formatCCLK(t time.Time) string {
	_, offset := t.Zone()
	return fmt.Sprintf("%s%+03d", t.Format(cclkLayout), offset/(15*60))
}

// csq is +CSQ (TS 27.007 §8.5).
func (m *model) csq() string {
	if !m.heard() {
		return "+CSQ: 99,99"
	}
	return fmt.Sprintf("+CSQ: %d,%d", max(0, min(31, (m.signal.rssi+113)/2)), m.signal.ber)
}

// cesq is +CESQ (TS 27.007 §8.69): 255 and 99 are "not known".
func (m *model) cesq() string {
	if !m.heard() {
		return "+CESQ: 99,99,255,255,255,255"
	}
	return fmt.Sprintf("+CESQ: 99,99,255,255,%d,%d",
		max(0, min(34, (m.signal.rsrq+20)*2)), max(0, min(97, m.signal.rsrp+141)))
}
