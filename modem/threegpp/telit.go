package threegpp

// parseCEERNET reads #CEERNET: <code>, the number of the network's last refusal
// without its table (80000ST10025a, #CEERNET). The numbers are those of
// TS 24.008, where 8 has the words of a session cause; LTE modules use them for
// both layers, so what is below the session range is taken for EMM.
func parseCEERNET(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	if n <= 0 || n > lastStandardCause {
		return one(ExtendedError{Text: l.text, Neutral: true})
	}
	p := EMM
	switch {
	case n == 4:
		p = MM
	case n == 8, n >= 25 && n <= 39, n >= 41 && n <= 66:
		p = ESM
	}
	procedure := "attach"
	if p == ESM {
		procedure = "session"
	}
	return one(Reject{Cause: RejectCause{Protocol: p, Number: n}, Procedure: procedure, Source: "#CEERNET"})
}

// parseTelitCEER reads #CEER: <code>. Its numbers are Telit's own.
func parseTelitCEER(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(ExtendedError{Text: l.text, Neutral: n == 0})
}

// parseQSS reads #QSS: [<mode>,]<status>: 0 no card, 1 inserted, 2 PIN unlocked,
// 3 ready (80617ST10991A §3.3.9).
func parseQSS(l line) []Fact {
	n, ok := l.num(len(l.args) - 1)
	if !ok || n < 0 || n > 3 {
		return nil
	}
	facts := one(SIMPresence{Inserted: n > 0, URC: l.cmd == nil})
	if n == 3 {
		facts = append(facts, SIM{State: SIMReady, Text: "#QSS 3", URC: l.cmd == nil})
	}
	return facts
}

// parseRFSTS reads #RFSTS. LTE: <plmn>,<earfcn>,<rsrp>,<rssi>,<rsrq>,<tac>,...
// UMTS: <plmn>,<uarfcn>,<psc>,<ec/io>,<rscp>,<rssi>,<lac>,... GSM:
// <plmn>,<arfcn>,<rssi>,<lac>,... They are told apart by sign. The line also
// holds the IMSI, which is not read here.
func parseRFSTS(l line) []Fact {
	if len(l.args) < 6 {
		return nil
	}
	cell := noCell("#RFSTS")
	var mcc, mnc string
	if p := l.str(0); len(p) > 4 && p[3] == ' ' {
		mcc, mnc = p[:3], p[4:]
	}
	cell.PLMN = plmn(mcc, mnc)
	cell.EARFCN = l.numOr(1, -1)
	s := Signal{BER: -1, Source: "#RFSTS"}
	third := l.real(2)
	switch {
	case third == nil:
		return nil
	case *third >= 0:
		s.RAT, cell.PCI = "umts", l.numOr(2, -1)
		s.RSRQ, s.RSRP, s.RSSI = within(l.real(3), lowestDB, highestDB), within(l.real(4), lowestDBm, highestDBm), within(l.real(5), lowestDBm, highestDBm)
		cell.TAC = l.str(6)
	case within(l.real(3), lowestDBm, highestDBm) != nil:
		s.RAT = "lte"
		s.RSRP, s.RSSI, s.RSRQ = within(third, lowestDBm, highestDBm), within(l.real(3), lowestDBm, highestDBm), within(l.real(4), lowestDB, highestDB)
		cell.TAC = l.str(5)
	default:
		s.RAT = "gsm"
		s.RSSI = within(third, lowestDBm, highestDBm)
		cell.TAC = l.str(3)
	}
	cell.RAT = s.RAT
	facts := one(cell)
	if levelled(s) {
		facts = append(facts, s)
	}
	return facts
}

// parseTEMPMON reads #TEMPMEAS: <level>,<temp>, and the same of #TEMPMON. Levels
// of -2 and 2 are outside what the module bears.
func parseTEMPMON(l line) []Fact {
	level, ok := l.num(0)
	if !ok {
		return nil
	}
	p := PowerState{TemperatureC: within(l.real(1), -60, 150)}
	switch level {
	case 2:
		p.Alarm = "overheated"
	case -2:
		p.Alarm = "too cold"
	}
	if p.TemperatureC == nil && p.Alarm == "" {
		return quiet
	}
	return one(p)
}
