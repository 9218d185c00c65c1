package threegpp

import "strings"

// serviceStates is srv_status of ^SYSINFOEX, ^SYSINFO and ^SRVST.
var serviceStates = map[int]CampState{
	0: CampNoService, 1: CampLimited, 2: CampOnline, 3: CampLimited, 4: CampLowPower,
}

// sysmodeRATs is sysmode of ^SYSINFO and the first field of ^MODE; sysmodesEx
// that of ^SYSINFOEX, which counts in another way.
var (
	sysmodeRATs = map[int]string{1: "gsm", 3: "gsm", 5: "umts", 7: "umts", 15: "umts", 17: "lte", 20: "nr"}
	sysmodesEx  = map[int]string{1: "gsm", 2: "umts", 3: "umts", 4: "umts", 6: "lte", 7: "umts", 8: "nr"}
)

// parseSYSINFOEX reads ^SYSINFOEX: <srv_status>,<srv_domain>,<roam>,<sim_state>,
// <lock>,<sysmode>,"name",<submode>,"name".
func parseSYSINFOEX(l line) []Fact {
	return sysinfo(l, 3, sysmodesEx[l.numOr(5, -1)], l.str(6))
}

// parseSYSINFO reads ^SYSINFO: <srv_status>,<srv_domain>,<roam>,<sysmode>,<sim_state>.
func parseSYSINFO(l line) []Fact {
	return sysinfo(l, 4, sysmodeRATs[l.numOr(3, -1)], "")
}

func sysinfo(l line, simAt int, rat, name string) []Fact {
	status, ok := l.num(0)
	if !ok || len(l.args) <= simAt {
		return nil
	}
	if r := ratOf(name); r != "" {
		rat = r
	}
	s := ServiceState{Service: serviceStates[status], RAT: rat, Text: l.body}
	if domain, ok := l.num(1); ok && domain == 4 && status == 0 {
		s.Service = CampSearching
	}
	facts := one(s)
	if c, ok := cardValidity(l.numOr(simAt, -1)); ok {
		facts = append(facts, c)
	}
	return facts
}

// cardValidity reads sim_state: 1 valid, 2 invalid for CS, 3 for PS, 4 for
// both, 255 none. 0 is "no card or PIN wanted", which says nothing sure.
func cardValidity(state int) (CardValidity, bool) {
	switch state {
	case 1:
		return CardValidity{ValidCS: true, ValidPS: true}, true
	case 2:
		return CardValidity{ValidPS: true}, true
	case 3:
		return CardValidity{ValidCS: true}, true
	case 4:
		return CardValidity{}, true
	case 255:
		return CardValidity{NoCard: true}, true
	}
	return CardValidity{}, false
}

// parseMODE reads ^MODE: <mode>[,<submode>], which Huawei and openLuat send
// when the technology changes; 0 is no service.
func parseMODE(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	if n == 0 {
		return one(ServiceState{Service: CampNoService, Text: l.text})
	}
	return one(ServiceState{Service: CampOnline, RAT: sysmodeRATs[n], Text: l.text})
}

func parseSRVST(l line) []Fact {
	n, ok := l.num(len(l.args) - 1)
	state, ok2 := serviceStates[n]
	if !ok || !ok2 {
		return nil
	}
	return one(ServiceState{Service: state, Text: l.text})
}

// parseHCSQ reads ^HCSQ: "LTE",<rssi>,<rsrp>,<sinr>,<rsrq> (HUAWEI ME909s AT
// manual): rssi -121+n, rsrp -141+n, sinr -20.2+0.2n, rsrq -20+0.5n; WCDMA
// <rssi>,<rscp>,<ecio> with -121+n and -32.5+0.5n. 255 is not known.
func parseHCSQ(l line) []Fact {
	at := func(i int, offset, step float64, hi int) *float64 {
		n, ok := l.num(i)
		return index(n, ok, 0, hi, offset, step)
	}
	mode := strings.ToUpper(l.str(0))
	s := Signal{RAT: ratOf(mode), BER: -1, Source: "^HCSQ"}
	switch {
	case mode == "NOSERVICE":
		return []Fact{ServiceState{Service: CampNoService, Text: l.body}, Signal{BER: -1, NotKnown: true, Source: "^HCSQ"}}
	case s.RAT == "lte":
		s.RSSI, s.RSRP = at(1, -121, 1, 96), at(2, -141, 1, 97)
		s.SINR, s.RSRQ = at(3, -20.2, 0.2, 251), at(4, -20, 0.5, 34)
	case s.RAT == "umts":
		s.RSSI, s.RSRP, s.RSRQ = at(1, -121, 1, 96), at(2, -121, 1, 96), at(3, -32.5, 0.5, 65)
	case s.RAT == "gsm":
		s.RSSI = at(1, -121, 1, 96)
	case s.RAT == "nr":
		s.RSRP, s.SINR, s.RSRQ = at(1, -157, 1, 126), at(2, -23.5, 0.5, 127), at(3, -43.5, 0.5, 126)
	default:
		return nil
	}
	s.NotKnown = !levelled(s)
	return one(s)
}

// rejectProcedures is reject_type of ^REJINFO.
var rejectProcedures = map[int]string{
	0: "location_update", 1: "authentication", 2: "service_request", 3: "detach",
	4: "attach", 5: "area_update", 6: "area_update",
}

// lastStandardCause: larger numbers of ^REJINFO are HiSilicon's own (256
// authentication failure, 301 no network answer, 65537.. USIM failures).
const lastStandardCause = 255

// parseREJINFO reads ^REJINFO: <plmn>,<domain>,<reject_cause>,<rat>,
// <reject_type>,<original_cause>,<lac>,<rac>,<cell>[,<esm_cause>], the most
// telling line that any modem sends.
func parseREJINFO(l line) []Fact {
	cause, ok := l.num(2)
	rat, ok2 := l.num(3)
	if !ok || !ok2 {
		return nil
	}
	p := GMM
	switch domain := l.numOr(1, -1); {
	case rat == 2:
		p = EMM
	case rat == 5:
		p = FiveGMM
	case domain == 0:
		p = MM
	}
	if cause > lastStandardCause {
		p = PrivateCause
	}
	r := Reject{Cause: RejectCause{Protocol: p, Number: cause}, Procedure: rejectProcedures[l.numOr(4, -1)], Text: l.body, Source: "^REJINFO"}
	if digitsOnly(l.str(0)) {
		r.PLMN = l.str(0)
	}
	facts := one(r)
	if esm, ok := l.num(9); ok && esm > 0 {
		r.Cause, r.Procedure = RejectCause{Protocol: ESM, Number: esm}, "session"
		facts = append(facts, r)
	}
	return facts
}

// parseNDISSTAT reads ^NDISSTAT: <stat>[,<error>[,<wx>[,<type>]]]. The error is
// a cause of session management; the context is not told.
func parseNDISSTAT(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	facts := []Fact{}
	if n == 0 || n == 1 {
		facts = append(facts, ContextState{CID: -1, Active: n == 1})
	}
	if cause, ok := l.num(1); ok && cause > 0 && cause <= lastStandardCause {
		facts = append(facts, Reject{Cause: RejectCause{Protocol: SM, Number: cause}, Procedure: "session", Source: "^NDISSTAT"})
	}
	return facts
}

// parseDSFLOW reads ^DSFLOWQRY and ^DSFLOWRPT: last time, tx, rx, total time,
// tx, rx, all hexadecimal. The totals are kept where they are sent.
func parseDSFLOW(l line) []Fact {
	i := 1
	if len(l.args) >= 6 {
		i = 4
	}
	tx, ok := l.counter(i, 16)
	rx, ok2 := l.counter(i+1, 16)
	if !ok || !ok2 {
		return nil
	}
	return one(ByteCounters{TxBytes: tx, RxBytes: rx})
}

// parseSYSCFGEX reads ^SYSCFGEX: "<order>",...; an order of one technology is a lock.
func parseSYSCFGEX(l line) []Fact {
	order := l.str(0)
	if order == "" {
		return nil
	}
	return one(RadioLock{Lock: "rat", Locked: len(order) == 2 && order != "00" && order != "99", Detail: "SYSCFGEX " + order})
}
