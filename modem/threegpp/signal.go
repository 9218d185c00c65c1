package threegpp

// Ranges outside which a reading is a placeholder or another scale.
const (
	lowestDBm, highestDBm = -160.0, -20.0 // RSSI, RSRP, RSCP
	lowestDB, highestDB   = -45.0, 25.0   // RSRQ, Ec/No
	lowestSINR            = -25.0
	highestSINR           = 40.0
)

// levelled reports whether s holds any reading.
func levelled(s Signal) bool {
	return s.RSSI != nil || s.RSRP != nil || s.RSRQ != nil || s.SINR != nil
}

// parseCSQ reads +CSQ: <rssi>,<ber> (TS 27.007 §8.5). 99 is "not known or not
// detectable". 100 to 199 is the TD-SCDMA and LTE scale of some Quectel and
// SIMCom firmware, dBm = n - 216.
func parseCSQ(l line) []Fact {
	rssi, ok := l.num(0)
	if !ok || len(l.args) > 2 {
		return nil
	}
	s := Signal{BER: -1, Source: "+CSQ"}
	switch {
	case rssi >= 0 && rssi <= 31:
		s.RSSI = value(float64(-113 + 2*rssi))
	case rssi >= 100 && rssi <= 191:
		s.RSSI = value(float64(rssi - 216))
	case rssi == 99 || rssi == 199:
		s.NotKnown = true
	default:
		return nil
	}
	if ber, ok := l.num(1); ok && ber >= 0 && ber <= 7 {
		s.BER = ber
	}
	return one(s)
}

// index maps a reported number to its unit, nil when it is outside [lo, hi].
func index(n int, ok bool, lo, hi int, offset, step float64) *float64 {
	if !ok || n < lo || n > hi {
		return nil
	}
	return value(offset + step*float64(n))
}

// rsrpIndex is the reported RSRP of TS 36.133 §9.1.4. NB-IoT modems go below
// zero, where the step to the next index is missing.
func rsrpIndex(n int, ok bool) *float64 {
	if ok && n < 0 && n >= -17 {
		return value(float64(n - 140))
	}
	return index(n, ok, 0, 97, -141, 1)
}

// rsrqIndex is the reported RSRQ of TS 36.133 §9.1.7.
func rsrqIndex(n int, ok bool) *float64 {
	if ok && n < 0 && n >= -30 {
		return value(-19.5 + 0.5*float64(n))
	}
	return index(n, ok, 0, 46, -20, 0.5)
}

// parseCESQ reads +CESQ (TS 27.007 §8.69): one Signal for each RAT that has a
// reading, one that is not known when none has.
func parseCESQ(l line) []Fact {
	if len(l.args) < 6 {
		return nil
	}
	at := func(i, hi int, offset, step float64) *float64 {
		n, ok := l.num(i)
		return index(n, ok, 0, hi, offset, step)
	}
	gsm := Signal{RAT: "gsm", BER: -1, Source: "+CESQ", RSSI: at(0, 63, -111, 1)}
	if ber, ok := l.num(1); ok && ber >= 0 && ber <= 7 {
		gsm.BER = ber
	}
	umts := Signal{RAT: "umts", BER: -1, Source: "+CESQ", RSRP: at(2, 96, -121, 1), RSRQ: at(3, 49, -24.5, 0.5)}
	rsrq, okQ := l.num(4)
	rsrp, okP := l.num(5)
	lte := Signal{RAT: "lte", BER: -1, Source: "+CESQ", RSRQ: rsrqIndex(rsrq, okQ), RSRP: rsrpIndex(rsrp, okP)}
	nr := Signal{RAT: "nr", BER: -1, Source: "+CESQ", RSRQ: at(6, 126, -43.5, 0.5), RSRP: at(7, 126, -157, 1), SINR: at(8, 127, -23.5, 0.5)}
	var facts []Fact
	for _, s := range [...]Signal{gsm, umts, lte, nr} {
		if levelled(s) {
			facts = append(facts, s)
		}
	}
	if facts == nil {
		return one(Signal{BER: -1, Source: "+CESQ", NotKnown: true})
	}
	return facts
}

// parseNordicCESQ reads %CESQ: <rsrp>,<threshold index>,<rsrq>,<threshold
// index> (nRF91 AT commands, %CESQ).
func parseNordicCESQ(l line) []Fact {
	rsrp, ok := l.num(0)
	rsrq, ok2 := l.num(2)
	if !ok || !ok2 {
		return nil
	}
	s := Signal{BER: -1, Source: "%CESQ", RSRP: rsrpIndex(rsrp, ok), RSRQ: rsrqIndex(rsrq, ok2)}
	s.NotKnown = !levelled(s)
	return one(s)
}
