package threegpp

import "fmt"

// serviceBanner reads openLuat's plain words: "+NO Service", "+E_UTRAN Service".
func serviceBanner(state CampState, rat string) parser {
	return func(l line) []Fact { return one(ServiceState{Service: state, RAT: rat, Text: l.text}) }
}

// parseEEMLTESVC reads +EEMLTESVC of ASR and UNISOC firmware (Air780, ML307):
// <mcc>,<mnc length>,<mnc>,<tac>,<pci>,<dl earfcn>,<ul earfcn>,<band>,<bw>,...
// MCC and MNC are BCD printed as decimal: 1120 is 0x460. What follows is the
// cell on older firmware, and RSRP and RSRQ in 36.133 steps on newer, which has
// the cell at place 21; a cell is never as small as an RSRP step.
func parseEEMLTESVC(l line) []Fact {
	mcc, ok := l.num(0)
	mnc, ok2 := l.num(2)
	if !ok || !ok2 || len(l.args) < 10 || mcc < 0 || mnc < 0 {
		return nil
	}
	cell := noCell("+EEMLTESVC")
	cell.RAT = "lte"
	cell.PLMN = plmn(fmt.Sprintf("%x", mcc), fmt.Sprintf("%0*x", min(max(l.numOr(1, 2), 2), 3), mnc))
	cell.TAC = hexText(l.numOr(3, -1))
	cell.PCI, cell.EARFCN, cell.Band = l.numOr(4, -1), l.numOr(5, -1), l.numOr(7, -1)
	facts := one(cell)
	if n, ok := l.num(9); ok && n > 97 {
		cell.Cell = hexText(n)
	} else if ok {
		rsrq, okQ := l.num(10)
		s := Signal{RAT: "lte", BER: -1, Source: "+EEMLTESVC", RSRP: rsrpIndex(n, ok), RSRQ: rsrqIndex(rsrq, okQ)}
		if levelled(s) {
			facts = append(facts, s)
		}
		cell.Cell = hexText(l.numOr(21, -1))
	}
	facts[0] = cell
	return facts
}

func hexText(n int) string {
	if n < 0 {
		return ""
	}
	return fmt.Sprintf("%X", n)
}

// parseBANDIND reads *BANDIND: [<n>,]<band>,<AcT>.
func parseBANDIND(l line) []Fact {
	n := len(l.args)
	if n < 2 {
		return nil
	}
	band, ok := l.num(n - 2)
	if !ok {
		return nil
	}
	cell := noCell("*BANDIND")
	cell.Band = band
	if act, ok := l.num(n - 1); ok && act == 7 {
		cell.RAT = "lte"
	}
	return one(cell)
}

// parseCSDT reads +CSDT: <enabled>, the card-detect setting of openLuat.
func parseCSDT(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(SIMDetect{Enabled: n == 1})
}
