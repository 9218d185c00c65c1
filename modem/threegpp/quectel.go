package threegpp

import (
	"math/bits"
	"strings"
)

// ratNames are the words for radio technologies in vendor answers.
var ratNames = map[string]string{
	"GSM": "gsm", "GPRS": "gsm", "EDGE": "gsm", "EGPRS": "gsm",
	"WCDMA": "umts", "TDSCDMA": "umts", "TD-SCDMA": "umts", "UMTS": "umts", "HSDPA": "umts", "HSUPA": "umts",
	"HSPA": "umts", "HSPA+": "umts", "HDR": "umts", "DC-HSPA+": "umts",
	"LTE": "lte", "FDD LTE": "lte", "TDD LTE": "lte", "LTE-FDD": "lte", "LTE-TDD": "lte", "LTE_CA": "lte",
	"EMTC": "ltem", "CAT-M": "ltem", "CAT-M1": "ltem", "LTE CAT-M1": "ltem", "LTE-M": "ltem",
	"NBIOT": "nbiot", "CAT-NB": "nbiot", "CAT-NB1": "nbiot", "NB-IOT": "nbiot", "LTE NB-IOT": "nbiot", "NBIOT NTN": "nbiot",
	"NR": "nr", "NR5G": "nr", "NR5G-SA": "nr", "NR5G-NSA": "nr", "NR5G_SA": "nr", "NR5G_NSA": "nr",
	"TDD NR5G": "nr", "FDD NR5G": "nr",
}

func ratOf(name string) string { return ratNames[strings.ToUpper(strings.TrimSpace(name))] }

var campStates = map[string]CampState{
	"SEARCH": CampSearching, "LIMSRV": CampLimited, "NOCONN": CampIdle, "CONNECT": CampConnected,
}

// noCell is a ServingCell with nothing told.
func noCell(source string) ServingCell {
	return ServingCell{PCI: -1, EARFCN: -1, Band: -1, Source: source}
}

// plmn joins MCC and MNC, and mends an MNC that lost its zero.
func plmn(mcc, mnc string) string {
	if len(mcc) != 3 || !digitsOnly(mcc) || !digitsOnly(mnc) || len(mnc) > 3 {
		return ""
	}
	if len(mnc) == 1 {
		mnc = "0" + mnc
	}
	return mcc + mnc
}

// parseQENG reads +QENG: "servingcell". On EN-DC it is three lines, the first
// with the state alone; some firmware leaves out the prefix. Other reports
// ("neighbourcell") describe cells that the modem is not on.
func parseQENG(l line) []Fact {
	args := l.args
	if len(args) == 0 {
		return nil
	}
	if kind := argStr(args, 0); strings.HasPrefix(kind, "neighbourcell") {
		return quiet
	} else if kind == "servingcell" {
		args = args[1:]
	}
	cell := noCell("+QENG")
	if state, ok := campStates[argStr(args, 0)]; ok {
		cell.State = state
		args = args[1:]
	}
	if len(args) == 0 {
		if cell.State == CampUnknown {
			return nil
		}
		return one(cell)
	}
	mode := strings.ToUpper(argStr(args, 0))
	cell.RAT = ratOf(mode)
	layout, ok := qengLayouts[cell.RAT]
	switch {
	case mode == "NR5G-NSA":
		layout, ok = qengNSA, true
	case mode == "WCDMA", mode == "TDSCDMA", mode == "GSM", mode == "NR5G-SA":
	case !ok:
		return nil
	}
	return layout.read(line{args: args}, cell)
}

// A qengLayout says where the fields of one RAT stand; 0 is absent.
type qengLayout struct{ mcc, mnc, cell, pci, channel, band, area, rssi, rsrp, rsrq, sinr int }

// Quectel AT manuals: EC2x&EG9x 1.3 and BG95 1.0 (+QENG), RG50xQ&RM5xxQ 1.2
// (NR5G). Fields are counted from the name of the RAT.
var (
	qengLTE     = qengLayout{mcc: 2, mnc: 3, cell: 4, pci: 5, channel: 6, band: 7, area: 10, rsrp: 11, rsrq: 12, rssi: 13, sinr: 14}
	qengLayouts = map[string]qengLayout{
		"lte": qengLTE, "ltem": qengLTE, "nbiot": qengLTE,
		"gsm":  {mcc: 1, mnc: 2, area: 3, cell: 4, channel: 6, rssi: 8},
		"umts": {mcc: 1, mnc: 2, area: 3, cell: 4, channel: 5, pci: 6, rsrp: 8, rsrq: 9},
		"nr":   {mcc: 2, mnc: 3, cell: 4, pci: 5, area: 6, channel: 7, band: 8, rsrp: 10, rsrq: 11, sinr: 12},
	}
	qengNSA = qengLayout{mcc: 1, mnc: 2, pci: 3, rsrp: 4, sinr: 5, rsrq: 6, channel: 7, band: 8}
)

func (q qengLayout) read(l line, cell ServingCell) []Fact {
	at := func(i int) string {
		if i == 0 || l.str(i) == "-" {
			return ""
		}
		return l.str(i)
	}
	num := func(i int) int {
		if i == 0 {
			return -1
		}
		return l.numOr(i, -1)
	}
	cell.PLMN, cell.TAC, cell.Cell = plmn(at(q.mcc), at(q.mnc)), area(at(q.area)), area(at(q.cell))
	cell.PCI, cell.EARFCN, cell.Band = num(q.pci), num(q.channel), num(q.band)
	s := Signal{RAT: cell.RAT, BER: -1, Source: cell.Source}
	real := func(i int) *float64 {
		if i == 0 {
			return nil
		}
		return l.real(i)
	}
	s.RSSI = within(real(q.rssi), lowestDBm, highestDBm)
	s.RSRP = within(real(q.rsrp), lowestDBm, highestDBm)
	s.RSRQ = within(real(q.rsrq), lowestDB, highestDB)
	s.SINR = qengSINR(real(q.sinr))
	facts := one(cell)
	if levelled(s) {
		facts = append(facts, s)
	}
	return facts
}

// qengSINR reads the SINR of +QENG. EC200T and its kin send dB; the manuals of
// EC25 and BG9x speak of fifths of a dB from 0 to 250 (dB = n/5 - 20). Captures
// of EC25 in the field hold values like 9 or 19 beside a good level, which the
// second scale would make -16 dB: so -20 to 30 is read as dB, and only a larger
// number, which dB cannot reach, by the other scale.
func qengSINR(v *float64) *float64 {
	switch {
	case v == nil || *v < -20 || *v > 250:
		return nil
	case *v <= 30:
		return v
	}
	return value(*v/5 - 20)
}

// parseQCSQ reads +QCSQ: "LTE",<rssi>,<rsrp>,<sinr>,<rsrq>. Its SINR is in
// fifths of a dB (BG9x and EC2x manuals); from 0 to 30 that cannot be told from
// dB of newer families, so it is left out there.
func parseQCSQ(l line) []Fact {
	mode := strings.ToUpper(l.str(0))
	if strings.HasPrefix(mode, "NOSERVICE") || mode == "NO SERVICE" {
		return []Fact{
			ServiceState{Service: CampNoService, Text: l.body},
			Signal{BER: -1, NotKnown: true, Source: "+QCSQ"},
		}
	}
	s := Signal{RAT: ratOf(mode), BER: -1, Source: "+QCSQ"}
	if s.RAT == "" {
		return nil
	}
	s.RSSI = within(l.real(1), lowestDBm, highestDBm)
	switch s.RAT {
	case "umts":
		s.RSRP, s.RSRQ = within(l.real(2), lowestDBm, highestDBm), within(l.real(3), lowestDB, highestDB)
	case "lte", "ltem", "nbiot":
		s.RSRP, s.RSRQ = within(l.real(2), lowestDBm, highestDBm), within(l.real(4), lowestDB, highestDB)
		if v := l.real(3); v != nil && (*v < 0 || *v > 30) {
			s.SINR = qengSINR(v)
		}
	case "nr":
		s.RSSI = nil
		s.RSRP, s.SINR, s.RSRQ = within(l.real(1), lowestDBm, highestDBm), within(l.real(2), lowestSINR, highestSINR), within(l.real(3), lowestDB, highestDB)
	}
	s.NotKnown = !levelled(s)
	return one(s)
}

// parseQNWINFO reads +QNWINFO: "FDD LTE","46000","LTE BAND 3",1300. It can name
// a network while the modem is not registered, so it gives no state.
func parseQNWINFO(l line) []Fact {
	if strings.EqualFold(unquote(l.body), "No Service") {
		return one(ServiceState{Service: CampNoService, Text: l.body})
	}
	if len(l.args) < 3 {
		return nil
	}
	cell := noCell("+QNWINFO")
	cell.RAT = ratOf(l.str(0))
	if p := l.str(1); digitsOnly(p) && (len(p) == 5 || len(p) == 6) {
		cell.PLMN = p
	}
	cell.Band = bandIn(l.str(2))
	cell.EARFCN = l.numOr(3, -1)
	return one(cell)
}

// bandIn takes the number at the end of "LTE BAND 3" or "EUTRAN-BAND3".
func bandIn(s string) int {
	i := len(s)
	for i > 0 && s[i-1] >= '0' && s[i-1] <= '9' {
		i--
	}
	if n, ok := argNum([]string{s[i:]}, 0); ok && i > 0 {
		return n
	}
	return -1
}

var qrsrpPorts = [...]string{"main", "diversity", "rx2", "rx3"}

// parsePorts reads +QRSRP, +QRSRQ and +QSINR: one value for each antenna port,
// then the RAT. -140 and -32768 stand for a port that hears nothing.
func parsePorts(l line) []Fact {
	ports := len(l.args)
	rat := ""
	if ports > 1 && !digitsOnly(strings.TrimPrefix(l.str(ports-1), "-")) {
		ports--
		rat = ratOf(l.str(ports))
	}
	var facts []Fact
	for i := 0; i < ports && i < len(qrsrpPorts); i++ {
		s := Signal{RAT: rat, BER: -1, Port: qrsrpPorts[i], Source: l.name}
		switch v := l.real(i); l.name {
		case "+QRSRP":
			s.RSRP = within(v, -139, highestDBm)
		case "+QRSRQ":
			s.RSRQ = within(v, lowestDB, highestDB)
		default:
			s.SINR = within(v, lowestSINR, highestSINR)
		}
		s.NotKnown = !levelled(s)
		facts = append(facts, s)
	}
	return facts
}

// parseQIACT reads +QIACT: <cid>,<state>,<type>[,<addr>]. Only active contexts
// are listed.
func parseQIACT(l line) []Fact {
	cid, ok := l.num(0)
	state, ok2 := l.num(1)
	if !ok || !ok2 {
		return nil
	}
	return one(ContextState{CID: cid, Active: state == 1, Addr: l.str(3)})
}

var qicsgpTypes = map[string]string{"1": "IP", "2": "IPV6", "3": "IPV4V6"}

// parseQICSGP reads +QICSGP: <type>,<apn>,<user>,<password>,<auth>. The context
// is in the command only.
func parseQICSGP(l line) []Fact {
	if l.cmd == nil || len(l.args) < 2 {
		return nil
	}
	return one(ContextConfig{CID: l.cmd.numOr(0, -1), Type: qicsgpTypes[l.str(0)], APN: l.str(1), AuthHash: authHash(l.str(2), l.str(3))})
}

// parseQIURC reads +QIURC. Only the loss of a context and the answer to a name
// are kept; data and closed sockets are the application's.
func parseQIURC(l line) []Fact {
	switch l.str(0) {
	case "pdpdeact":
		return one(ContextEvent{By: "NW", Event: "PDN DEACT", CID: l.numOr(1, -1), Text: l.body})
	case "dnsgip":
		if n, ok := l.num(1); ok && n != 0 {
			return one(ModemProbe{Probe: "dns", Result: quectelResult(n, "dns_error"), Detail: l.body})
		}
		return one(ModemProbe{Probe: "dns", OK: true, Result: "ok"})
	case "closed", "recv", "incoming", "incoming full":
		return quiet
	}
	return nil
}

// quectelResult translates the error numbers of Quectel's IP stack (TCP/IP
// application note, §4).
func quectelResult(n int, otherwise string) string {
	switch n {
	case 0:
		return "ok"
	case 565, 564:
		return "dns_error"
	case 569:
		return "timeout"
	case 566:
		return "refused"
	}
	return otherwise
}

// parseQPING reads +QPING: one line for each packet, then the summary
// 0,<sent>,<received>,<lost>[,<min>,<max>,<avg>]. A bare 569 is one lost packet
// and not the end.
func parseQPING(l line) []Fact {
	p := ModemProbe{Probe: "ping", Detail: l.body}
	if l.cmd != nil {
		p.Target = l.cmd.str(1)
	}
	code, ok := l.num(0)
	switch {
	case !ok:
		return nil
	case len(l.args) == 1 || code != 0:
		p.Result = quectelResult(code, "error")
	case l.isQuoted(1):
		p.Target, p.OK, p.Result = l.str(1), true, "ok"
	case len(l.args) >= 4:
		sent, received := l.numOr(1, 0), l.numOr(2, 0)
		p.OK = received > 0
		p.Result = pingResult(sent, received)
	default:
		return nil
	}
	return one(p)
}

// pingResult: nothing sent at all is an error of the modem, not a lost packet.
func pingResult(sent, received int) string {
	switch {
	case received > 0:
		return "ok"
	case sent > 0:
		return "timeout"
	}
	return "error"
}

// parseQIOPEN reads +QIOPEN: <id>,<error>.
func parseQIOPEN(l line) []Fact {
	n, ok := l.num(1)
	if !ok || len(l.args) != 2 {
		return quiet // a list of sockets
	}
	p := ModemProbe{Probe: "tcp", OK: n == 0, Result: quectelResult(n, "error"), Detail: l.body}
	if l.cmd != nil {
		p.Target = l.cmd.str(3)
		if strings.HasPrefix(l.cmd.str(2), "UDP") {
			p.Probe = "udp"
		}
	}
	return one(p)
}

// parseQMTOPEN reads +QMTOPEN: <id>,<result> (Quectel MQTT application note).
func parseQMTOPEN(l line) []Fact {
	n, ok := l.num(1)
	if !ok || len(l.args) != 2 {
		return quiet
	}
	result := map[int]string{0: "ok", 4: "dns_error", 5: "refused"}[n]
	if result == "" {
		result = "error"
	}
	p := ModemProbe{Probe: "tcp", OK: n == 0, Result: result, Detail: l.body}
	if l.cmd != nil {
		p.Target = l.cmd.str(1)
	}
	return one(p)
}

// parseQMTCONN reads +QMTCONN: <id>,<result>[,<return code>]. A return code
// other than 0 is the broker's own refusal.
func parseQMTCONN(l line) []Fact {
	n, ok := l.num(1)
	if !ok {
		return quiet
	}
	code := l.numOr(2, 0)
	p := ModemProbe{Probe: "mqtt", OK: n == 0 && code == 0, Result: "error", Detail: l.body}
	switch {
	case p.OK:
		p.Result = "ok"
	case code > 0:
		p.Result = "refused"
	case n == 2:
		p.Result = "timeout"
	}
	return one(p)
}

// parseQHTTP reads +QHTTPGET: <error>[,<status>,<length>], where 0 is an answer
// (Quectel HTTP application note).
func parseQHTTP(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return quiet
	}
	result := map[int]string{0: "ok", 702: "timeout", 714: "dns_error"}[n]
	if result == "" {
		result = "error"
	}
	return one(ModemProbe{Probe: "http", OK: n == 0, Result: result, Detail: l.body})
}

// parseQGDCNT reads +QGDCNT: <tx>,<rx>. The order was measured (EM12, and a TLS
// transfer); several public tools have it the other way round.
func parseQGDCNT(l line) []Fact {
	tx, ok := l.counter(0, 10)
	rx, ok2 := l.counter(1, 10)
	if !ok || !ok2 {
		return nil
	}
	return one(ByteCounters{TxBytes: tx, RxBytes: rx})
}

// parseQSIMSTAT reads +QSIMSTAT: <reporting>,<inserted>; 2 is unknown. With
// detection on and its pin unwired it says 0 for a card that works.
func parseQSIMSTAT(l line) []Fact {
	n, ok := l.num(1)
	if !ok {
		return nil
	}
	if n != 0 && n != 1 {
		return quiet
	}
	return one(SIMPresence{Inserted: n == 1, URC: l.cmd == nil})
}

// parseQSIMDET reads +QSIMDET: <enabled>,<level>.
func parseQSIMDET(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(SIMDetect{Enabled: n == 1})
}

// parseQINISTAT reads +QINISTAT: a sum of 1 card, 2 SMS, 4 phone book. Bit 0
// missing may be a card that starts, or wants a PIN: nothing is said then.
func parseQINISTAT(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	if n&1 == 1 {
		return one(SIM{State: SIMReady, Text: "+QINISTAT " + l.body})
	}
	return quiet
}

// parseQNWLOCK reads +QNWLOCK: "common/4g",<number of cells>,<channel>,<pci>,...
func parseQNWLOCK(l line) []Fact { return quectelLock(l.args, false) }

func quectelLock(args []string, set bool) []Fact {
	key := argStr(args, 0)
	if !strings.HasPrefix(key, "common/") {
		return quiet
	}
	if len(args) < 2 {
		return nil
	}
	n, ok := argNum(args, 1)
	return one(RadioLock{Lock: "cell", Locked: !ok || n != 0, Detail: strings.Join(args, ","), Set: set})
}

// fewBands is how many bands may be left for a list to count as a lock. The
// lists of a region's variant are longer.
const fewBands = 2

// parseQCFG reads the settings that keep a modem from parts of the air.
func parseQCFG(l line) []Fact { return quectelConfig(l.args, false) }

func quectelConfig(args []string, set bool) []Fact {
	if len(args) < 2 {
		return quiet // AT+QCFG="band" is a question
	}
	lock := RadioLock{Detail: strings.Join(args, ","), Set: set}
	switch strings.ToLower(argStr(args, 0)) {
	case "band":
		// "band",<2G/3G mask>,<LTE mask>[,...]
		lock.Lock = "band"
		mask, ok := hexNum(argStr(args, 2))
		lock.Locked = ok && mask != 0 && bits.OnesCount64(mask) <= fewBands
	case "nwscanmode":
		lock.Lock, lock.Locked = "rat", argStr(args, 1) != "0"
	case "iotopmode": // 0 LTE-M, 1 NB-IoT, 2 both
		lock.Lock, lock.Locked = "rat", argStr(args, 1) != "2"
	default:
		return quiet
	}
	return one(lock)
}

// parseQNWPREFCFG reads the RM5xx form: "mode_pref",AUTO and "lte_band",1:3:5.
func parseQNWPREFCFG(l line) []Fact {
	if len(l.args) < 2 {
		return quiet // AT+QNWPREFCFG="mode_pref" is a question
	}
	lock := RadioLock{Detail: l.body}
	switch key := l.str(0); key {
	case "mode_pref":
		lock.Lock, lock.Locked = "rat", !strings.EqualFold(l.str(1), "AUTO") && !strings.Contains(l.str(1), ":")
	case "lte_band", "nsa_nr5g_band", "nr5g_band":
		lock.Lock, lock.Locked = "band", strings.Count(l.str(1), ":") < fewBands && l.str(1) != "0" && l.str(1) != ""
	default:
		return quiet
	}
	return one(lock)
}

// parseQNWCFG reads +QNWCFG: "backoff",<seconds>, the T3396 of BG9x firmware.
func parseQNWCFG(l line) []Fact {
	if l.str(0) != "backoff" {
		return quiet
	}
	n, ok := l.num(1)
	if !ok || n < 0 {
		return nil
	}
	return one(Backoff{Seconds: n, Source: "+QNWCFG"})
}

// parseQTEMP reads +QTEMP in both forms: three numbers, or "sensor","35" on
// several lines.
func parseQTEMP(l line) []Fact {
	i := 0
	if l.isQuoted(0) && l.real(0) == nil {
		i = 1
	}
	t := within(l.real(i), -60, 150)
	if t == nil {
		return nil
	}
	return one(PowerState{TemperatureC: t})
}

// parseQIND reads +QIND. "SMS DONE" and "PB DONE" come late in a start and also
// after a card was put in: no proof of a restart by themselves.
func parseQIND(l line) []Fact {
	if strings.EqualFold(l.str(0), "csq") {
		return parseCSQ(line{args: l.args[1:]})
	}
	if n, ok := l.num(1); strings.EqualFold(l.str(0), "vbatt") && (!ok || n < 0) {
		return one(PowerState{Alarm: "undervoltage"}) // -1 low, -2 so low that it powers down
	}
	return quiet
}

// parseIPURC reads "+IP: 100.100.1.27" of BC26 and its kin (Quectel BC26 AT
// manual): the attach gave an address.
func parseIPURC(l line) []Fact {
	return one(ContextState{CID: 1, Active: usableAddr(l.body), Addr: l.body})
}
