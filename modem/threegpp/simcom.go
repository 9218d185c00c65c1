package threegpp

import "strings"

// parseCPSI reads +CPSI of SIM7x00, A76xx, SIM7000 and SIM7080:
// <mode>,<operation>,<PLMN>,<area>,<cell>,...
func parseCPSI(l line) []Fact {
	if len(l.args) == 0 {
		return nil
	}
	mode, operation := strings.ToUpper(l.str(0)), strings.ToUpper(l.str(1))
	cell := noCell("+CPSI")
	cell.RAT = ratOf(mode)
	switch {
	case operation == "LOW POWER MODE", operation == "OFFLINE", operation == "POWERING OFF":
		cell.State = CampLowPower
	case mode == "NO SERVICE":
		cell.State = CampNoService
	default:
		cell.State = CampOnline
	}
	if mode == "NO SERVICE" {
		return one(cell)
	}
	if cell.RAT == "" {
		return nil
	}
	s := Signal{RAT: cell.RAT, BER: -1, Source: "+CPSI"}
	if mcc, mnc, ok := strings.Cut(l.str(2), "-"); ok {
		cell.PLMN = plmn(mcc, mnc)
		cell.TAC, cell.Cell = strings.TrimPrefix(l.str(3), "0x"), l.str(4)
	}
	switch {
	case mode == "NR5G_NSA":
		cell.PCI, cell.Band, cell.EARFCN = l.numOr(1, -1), bandIn(l.str(2)), l.numOr(3, -1)
		s.RSRP, s.RSRQ, s.SINR = tenths(l.real(4), l.real(5), l.real(6))
		cell.State = CampOnline
	case cell.RAT == "nr":
		cell.PCI, cell.Band, cell.EARFCN = l.numOr(5, -1), bandIn(l.str(6)), l.numOr(7, -1)
		s.RSRP, s.RSRQ, s.SINR = tenths(l.real(8), l.real(9), l.real(10))
	case cell.RAT == "gsm":
		s.RSSI = within(l.real(6), lowestDBm, highestDBm)
	case cell.RAT == "umts":
		// SIM7x00: ...,<band>,<psc>,<freq>,<ssc>,<ec/io>,<rscp>: without their sign.
		cell.PCI, cell.EARFCN = l.numOr(6, -1), l.numOr(7, -1)
		s.RSRP = within(negative(l.real(10)), lowestDBm, highestDBm)
		s.RSRQ = within(negative(l.real(9)), lowestDB, 0)
	default:
		cell.PCI, cell.Band, cell.EARFCN = l.numOr(5, -1), bandIn(l.str(6)), l.numOr(7, -1)
		s.RSRP, s.RSRQ, s.RSSI = tenths(l.real(11), l.real(10), l.real(12))
		s.SINR = rssnr(l.real(13))
	}
	s.RSSI, s.RSRP = within(s.RSSI, lowestDBm, highestDBm), within(s.RSRP, lowestDBm, highestDBm)
	s.RSRQ = within(s.RSRQ, lowestDB, highestDB)
	facts := one(cell)
	if levelled(s) {
		facts = append(facts, s)
	}
	return facts
}

// tenths divides all three by ten where the level says so: SIM7600 and A76xx
// send tenths on LTE, SIM7000 and SIM7080 whole dB, and no level is under -200.
func tenths(level, second, third *float64) (a, b, c *float64) {
	if level == nil || *level >= -200 {
		return level, second, third
	}
	tenth := func(p *float64) *float64 {
		if p == nil {
			return nil
		}
		return value(*p / 10)
	}
	return tenth(level), tenth(second), tenth(third)
}

func negative(p *float64) *float64 {
	if p == nil || *p <= 0 {
		return p
	}
	return value(-*p)
}

// rssnr turns <RSSNR> into dB: SINR = 2*RSSNR - 20, from -20 to 30 (SIM7000,
// SIM7080 and SIM7500_SIM7600 AT manuals, +CPSI).
func rssnr(p *float64) *float64 {
	if p == nil || *p < 0 || *p > 25 {
		return nil
	}
	return value(2**p - 20)
}

// cnsmodRATs are the technologies of +CNSMOD; 7 is LTE-M on LPWA modules and
// HSPA on SIM7600, so it names none.
var cnsmodRATs = map[int]string{1: "gsm", 2: "gsm", 3: "gsm", 4: "umts", 5: "umts", 6: "umts", 8: "lte", 9: "nbiot"}

// parseCNSMOD reads +CNSMOD: [<n>,]<mode>; 0 is no service.
func parseCNSMOD(l line) []Fact {
	n, ok := l.num(len(l.args) - 1)
	if !ok {
		return nil
	}
	if n == 0 {
		return one(ServiceState{Service: CampNoService, Text: l.text})
	}
	return one(ServiceState{Service: CampOnline, Text: l.text, RAT: cnsmodRATs[n]})
}

// parseCNMP reads +CNMP: the preferred mode, 2 automatic. 48, 51, 54 and 59 to
// 67 name several technologies but each still shuts one out. 38, LTE only, is no
// lock where it is merely found: SIM7080 has nothing but LTE, no manual at hand
// says what it is delivered with, and drivers set it as a matter of course.
func parseCNMP(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(cnmpLock(n, false))
}

func cnmpLock(n int, set bool) RadioLock {
	name := map[int]string{2: "automatic", 13: "GSM only", 14: "WCDMA only", 38: "LTE only", 48: "not LTE", 51: "GSM and LTE", 54: "WCDMA and LTE", 71: "NR only", 109: "LTE and NR"}[n]
	return RadioLock{Lock: "rat", Locked: n != 2 && (n != 38 || set), Detail: joined("CNMP", numText(n), name), Set: set}
}

// parseCMNB reads +CMNB: 1 LTE-M, 2 NB-IoT, 3 both.
func parseCMNB(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(cmnbLock(n, false))
}

func cmnbLock(n int, set bool) RadioLock {
	name := map[int]string{1: "LTE-M only", 2: "NB-IoT only", 3: "LTE-M and NB-IoT"}[n]
	return RadioLock{Lock: "rat", Locked: n != 3, Detail: joined("CMNB", numText(n), name), Set: set}
}

// parseCBANDCFG reads +CBANDCFG: "NB-IOT",8,20,... A short list is a lock, a
// long one the region's.
func parseCBANDCFG(l line) []Fact { return one(bandList(l.args, false)) }

func bandList(args []string, set bool) RadioLock {
	return RadioLock{Lock: "band", Locked: len(args)-1 <= fewBands, Detail: strings.Join(args, ","), Set: set}
}

// parsePDP reads +PDP: DEACT, the bearer of the SIM800 stack and of openLuat
// that went or never came.
func parsePDP(l line) []Fact {
	if !strings.Contains(strings.ToUpper(l.body), "DEACT") {
		return nil
	}
	return one(ContextEvent{Event: "PDN DEACT", CID: -1, Text: l.text})
}

func parsePPPD(l line) []Fact {
	if strings.EqualFold(l.body, "DISCONNECTED") {
		return one(ContextEvent{Event: "PDN DEACT", CID: -1, Text: l.text})
	}
	return quiet
}

// parseSTATE reads STATE: of +CIPSTATUS (SIM800 AT manual §8.2.14).
func parseSTATE(l line) []Fact {
	switch state := strings.ToUpper(l.body); state {
	case "PDP DEACT":
		return one(ContextEvent{Event: "PDN DEACT", CID: -1, Text: l.text})
	case "CONNECT OK":
		return one(ModemProbe{Probe: "tcp", OK: true, Result: "ok"})
	case "IP INITIAL", "IP START", "IP CONFIG", "IP GPRSACT", "IP STATUS", "IP PROCESSING",
		"TCP CONNECTING", "UDP CONNECTING", "TCP CLOSING", "UDP CLOSING", "TCP CLOSED", "UDP CLOSED",
		"SERVER LISTENING",
		"ONLINE", "LOWPOWERMODE": // of Sierra's !PCINFO, whose voters tell more
		return quiet
	}
	return nil
}

// parseCNACT reads +CNACT: <cid>,<state>,<addr>; URC +CNACT: <cid>,ACTIVE.
func parseCNACT(l line) []Fact {
	cid, ok := l.num(0)
	if !ok {
		return nil
	}
	switch state := l.str(1); state {
	case "1", "ACTIVE":
		return one(ContextState{CID: cid, Active: true, Addr: l.str(2)})
	case "0", "DEACTIVE":
		return one(ContextState{CID: cid, Addr: l.str(2)})
	}
	return quiet
}

// simcomContext is the context of SIMCom's and openLuat's IP stack, of which
// there is one.
const simcomContext = 1

// parseNETOPEN reads +NETOPEN: <error>, or <state> in answer to a question.
func parseNETOPEN(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		if strings.Contains(strings.ToLower(l.body), "already opened") {
			return one(ContextState{CID: simcomContext, Active: true})
		}
		return nil
	}
	up := n == 0
	if l.cmd != nil && l.cmd.op == "?" {
		up = n == 1
	}
	facts := one(ContextState{CID: simcomContext, Active: up})
	if !up && (l.cmd == nil || l.cmd.op != "?") {
		facts = append(facts, Refusal{Command: "+NETOPEN", Final: "ERROR", Code: -1, Text: l.body})
	}
	return facts
}

// parseCPING reads +CPING: 1 a packet came back, 2 one was lost, 3 the summary
// <sent>,<received>,<lost>,<min>,<max>,<avg>.
func parseCPING(l line) []Fact {
	p := ModemProbe{Probe: "ping", Detail: l.body}
	if l.cmd != nil {
		p.Target = l.cmd.str(0)
	}
	switch n, _ := l.num(0); n {
	case 1:
		p.Target, p.OK, p.Result = l.str(1), true, "ok"
	case 2:
		p.Result = "timeout"
	case 3:
		received := l.numOr(2, 0)
		p.OK, p.Result = received > 0, pingResult(l.numOr(1, 0), received)
	default:
		return nil
	}
	return one(p)
}

// parseCDNSGIP reads +CDNSGIP: 1,"name","addr" or 0,<error>. The error numbers
// differ between the stacks and only say that it failed.
func parseCDNSGIP(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	p := ModemProbe{Probe: "dns", OK: n == 1, Result: "ok", Detail: l.body}
	if l.cmd != nil {
		p.Target = l.cmd.str(0)
	}
	if n != 1 {
		p.Result = "dns_error"
	}
	return one(p)
}

// httpErrors are the error numbers of +HTTPACTION: 60x SIM800 and SIM7600, 70x
// A76xx (A7600 AT manual, HTTP error codes).
var httpErrors = map[int]string{
	601: "error", 603: "dns_error",
	704: "refused", 705: "timeout", 706: "error", 709: "error", 710: "tls_error", 712: "error",
	713: "dns_error", 714: "refused", 715: "tls_error", 717: "error", 718: "timeout", 719: "tls_error",
}

// parseHTTPACTION reads +HTTPACTION: <method>,<status>,<length>. Any status of
// HTTP itself proves that the server was reached.
func parseHTTPACTION(l line) []Fact {
	status, ok := l.num(1)
	if !ok {
		return nil
	}
	p := ModemProbe{Probe: "http", OK: status >= 100 && status < 600, Result: "ok", Detail: "status " + l.str(1)}
	if !p.OK {
		if p.Result = httpErrors[status]; p.Result == "" {
			p.Result = "error"
		}
		if p.Result == "tls_error" {
			p.Probe = "tls"
		}
	}
	return one(p)
}

// mqttErrors are results of +CMQTTCONNECT (SIM7600 and A76xx MQTT(S)
// application notes): 3 the socket did not connect, 17 timeout, 25 DNS, 26 closed
// by the server, 27 to 31 refused by the broker, 32 to 34 TLS and its session.
var mqttErrors = map[int]string{
	3: "error", 17: "timeout", 25: "dns_error", 26: "refused", 27: "refused", 28: "refused", 29: "refused",
	30: "refused", 31: "refused", 32: "tls_error", 33: "tls_error", 34: "tls_error",
}

// parseCMQTTCONNECT reads +CMQTTCONNECT: <client>,<result>.
func parseCMQTTCONNECT(l line) []Fact {
	n, ok := l.num(1)
	if !ok || len(l.args) != 2 {
		return quiet
	}
	p := ModemProbe{Probe: "mqtt", OK: n == 0, Result: "ok", Detail: l.body}
	if l.cmd != nil {
		p.Target = l.cmd.str(1)
	}
	if n != 0 {
		if p.Result = mqttErrors[n]; p.Result == "" {
			p.Result = "error"
		}
	}
	return one(p)
}

// parseCIPOPEN reads +CIPOPEN: <link>,<error>.
func parseCIPOPEN(l line) []Fact {
	n, ok := l.num(1)
	if !ok || len(l.args) != 2 {
		return quiet
	}
	p := ModemProbe{Probe: "tcp", OK: n == 0, Result: "ok", Detail: l.body}
	if l.cmd != nil {
		p.Target = l.cmd.str(2)
	}
	if n != 0 {
		p.Result = "error"
	}
	return one(p)
}

// socketBanner is the outcome of +CIPSTART, +MIPSTART and +MCONNECT, a line by
// itself after the OK.
func socketBanner(l line) []Fact {
	p := ModemProbe{Probe: "tcp", Target: connectTarget(l.cmd), Result: "ok", OK: true, Detail: l.text}
	switch l.text {
	case "CONNECT FAIL", "CONNECT ERROR":
		p.OK, p.Result = false, "error"
	case "CLOSED":
		p.OK, p.Result, p.Detail = false, "refused", "closed by the far end"
	case "CONNACK OK":
		p.Probe = "mqtt"
	}
	return one(p)
}

// connectTarget is the host that a socket command names: +CIPSTART has a link
// number in front when several are open, +MIPSTART has the host first.
func connectTarget(c *subcommand) string {
	switch {
	case c == nil:
		return ""
	case c.name == "+MIPSTART":
		return c.str(0)
	case c.name == "+CIPSTART" && digitsOnly(c.str(0)):
		return c.str(2)
	case c.name == "+CIPSTART":
		return c.str(1)
	}
	return ""
}

// addressBlock reads +CIFSR, which answers with the address alone.
func addressBlock(_ *subcommand, lines []string) []Fact {
	return eachLine(lines, func(l line) []Fact {
		if strings.Count(l.body, ".") != 3 && strings.Count(l.body, ":") < 2 {
			return nil
		}
		return one(ContextState{CID: simcomContext, Active: usableAddr(l.body), Addr: l.body})
	})
}

// parseAppPDP reads +APP PDP: <cid>,ACTIVE or DEACTIVE of SIM70x0.
func parseAppPDP(l line) []Fact {
	cid, active := -1, l.str(len(l.args)-1)
	if n, ok := l.num(0); ok {
		cid = n
	}
	if active == "DEACTIVE" {
		return one(ContextEvent{Event: "PDN DEACT", CID: cid, Text: l.text})
	}
	return one(ContextState{CID: cid, Active: active == "ACTIVE"})
}

// parseCIPEVENT reads +CIPEVENT: NETWORK CLOSED UNEXPECTEDLY of SIM7600.
func parseCIPEVENT(l line) []Fact {
	return one(ContextEvent{Event: "PDN DEACT", CID: -1, Text: l.text})
}
