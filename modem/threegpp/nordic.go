package threegpp

import "strings"

// parseXSIM reads %XSIM: 1, or 0,<cause> (nRF91 AT commands, %XSIM). 9 is a
// card that does not answer: absent, or out of contact.
func parseXSIM(l line) []Fact {
	s := SIM{State: SIMNotReady, Text: "%XSIM " + l.body, URC: l.cmd == nil}
	n, ok := l.num(0)
	switch cause := l.numOr(1, 0); {
	case !ok:
		return nil
	case n == 1:
		s.State = SIMReady
	case cause == 1:
		s.State = SIMPIN
	case cause == 2:
		s.State = SIMPUK
	case cause == 9:
		s.State = SIMAbsent
	}
	return one(s)
}

// resetLoopSeconds is how long an nRF91 modem refuses to attach after it saw
// itself reset too often (%MDMEV: RESET LOOP).
const resetLoopSeconds = 30 * 60

// parseMDMEV reads %MDMEV. A reset loop becomes a Backoff, since what it means
// for us is a time in which no attempt can succeed. The results of searches and
// the coverage level have no fact.
func parseMDMEV(l line) []Fact {
	switch text := strings.ToUpper(l.body); {
	case strings.HasPrefix(text, "RESET LOOP"):
		return one(Backoff{Seconds: resetLoopSeconds, Source: "%MDMEV"})
	case strings.HasPrefix(text, "ME OVERHEATED"):
		return one(PowerState{Alarm: "overheated"})
	case strings.HasPrefix(text, "ME BATTERY LOW"):
		return one(PowerState{Alarm: "battery low"})
	}
	return quiet
}

// snrUnknown is the SNR of %XMONITOR without a reading; else dB = n - 25, the
// lower edge of the step.
const snrUnknown = 127

// parseXMONITOR reads %XMONITOR: <reg>,<long>,<short>,<plmn>,<tac>,<AcT>,<band>,
// <cell>,<pci>,<earfcn>,<rsrp>,<snr>,...
func parseXMONITOR(l line) []Fact {
	stat, ok := l.num(0)
	if !ok {
		return nil
	}
	cell := noCell("%XMONITOR")
	switch RegStat(stat) {
	case RegHome, RegRoaming:
		cell.State = CampIdle
	case RegSearching:
		cell.State = CampSearching
	case RegDenied, RegEmergency:
		cell.State = CampLimited
	}
	if len(l.args) < 11 {
		return one(cell)
	}
	cell.RAT = map[int]string{7: "ltem", 9: "nbiot"}[l.numOr(5, -1)]
	if p := l.str(3); digitsOnly(p) {
		cell.PLMN = p
	}
	cell.TAC, cell.Band, cell.Cell = l.str(4), l.numOr(6, -1), l.str(7)
	cell.PCI, cell.EARFCN = l.numOr(8, -1), l.numOr(9, -1)
	rsrp, ok := l.num(10)
	s := Signal{RAT: cell.RAT, BER: -1, Source: "%XMONITOR", RSRP: rsrpIndex(rsrp, ok)}
	if snr, ok := l.num(11); ok && snr != snrUnknown {
		s.SINR = index(snr, ok, 0, 49, -25, 1)
	}
	facts := one(cell)
	if levelled(s) {
		facts = append(facts, s)
	}
	return facts
}

// parseXSYSTEMMODE reads %XSYSTEMMODE: <LTE-M>,<NB-IoT>,<GNSS>,<preference>.
// LTE-M alone is how the module ships and is no lock; NB-IoT alone is one.
func parseXSYSTEMMODE(l line) []Fact {
	ltem, ok := l.num(0)
	nbiot, ok2 := l.num(1)
	if !ok || !ok2 {
		return nil
	}
	return one(RadioLock{Lock: "rat", Locked: nbiot == 1 && ltem == 0, Detail: "XSYSTEMMODE " + l.body})
}

// pcoOperators are the operators whose PCO state octet is known, by the BCD of
// their network code. 05 was seen in the field; 00 and 03 are from memory of
// the operator's device requirements.
var pcoOperators = map[string]map[string]string{
	"130184": {"00": "provisioned", "03": "out_of_data", "05": "unprovisioned"}, // 311 480 Verizon
}

// parsePCO reads %PCOINFO: [<mode>,]<cid>,<pcoid>[,<payload>]. Only container
// FF00 of a known operator with a known code says anything.
func parsePCO(l line) []Fact {
	for i := range l.args {
		if !strings.EqualFold(l.str(i), "FF00") {
			continue
		}
		payload := l.str(i + 1)
		if len(payload) < 8 {
			return quiet
		}
		if state, ok := pcoOperators[strings.ToUpper(payload[:6])][payload[6:8]]; ok {
			return one(SubscriptionPCO{State: state, Raw: payload})
		}
	}
	return quiet
}

func parseXTEMP(l line) []Fact {
	t := within(l.real(len(l.args)-1), -60, 150)
	if t == nil {
		return nil
	}
	return one(PowerState{TemperatureC: t})
}

func parseXVBAT(l line) []Fact {
	v := within(l.real(0), 1000, 60000)
	if v == nil {
		return nil
	}
	return one(PowerState{SupplyMV: v})
}
