package threegpp

import (
	"strings"
)

// smoniForm says where one technology has its fields in ^SMONI.
type smoniForm struct {
	rat                                    string
	channel, plmn, area, pci, band, level2 int // level2 is the quality's place, -1 for none
	level                                  int
}

// smoniForms are the forms of Cinterion ^SMONI (PLS8, EHS5 and EXS82 answers in
// the tests of public drivers).
var smoniForms = map[string]smoniForm{
	"2G": {rat: "gsm", channel: 1, level: 2, plmn: 3, area: 5, pci: -1, band: -1, level2: -1},
	"3G": {rat: "umts", channel: 1, pci: 2, level2: 3, level: 4, plmn: 5, area: 7, band: -1},
	"4G": {rat: "lte", channel: 1, band: 2, plmn: 6, area: 8, pci: 10, level: 12, level2: 13},
}

// smoniStates are its last fields while no connection carries traffic; with one
// the line ends in the numbers of that connection.
var smoniStates = map[string]CampState{
	"SEARCH": CampSearching, "LIMSRV": CampLimited, "NOCONN": CampIdle,
}

// parseSMONI reads ^SMONI: <technology>,<channel>,...,<state>.
func parseSMONI(l line) []Fact {
	f, ok := smoniForms[l.str(0)]
	if !ok {
		if l.body == "" {
			return quiet // the radio is off
		}
		return nil
	}
	cell := noCell("^SMONI")
	cell.RAT, cell.State = f.rat, CampConnected
	if state, idle := smoniStates[l.str(len(l.args)-1)]; idle {
		cell.State = state
	}
	if cell.State == CampSearching {
		return one(cell)
	}
	if len(l.args) <= max(f.level, f.area+1) {
		return nil
	}
	cell.EARFCN, cell.PCI, cell.Band = l.numOr(f.channel, -1), l.numOr(f.pci, -1), l.numOr(f.band, -1)
	cell.PLMN = plmn(l.str(f.plmn), l.str(f.plmn+1))
	cell.TAC, cell.Cell = l.str(f.area), l.str(f.area+1)
	s := Signal{RAT: f.rat, BER: -1, Source: "^SMONI", RSRQ: within(l.real(f.level2), lowestDB, highestDB)}
	s.RSRP = within(l.real(f.level), lowestDBm, highestDBm)
	if f.rat == "gsm" {
		s.RSRP, s.RSSI = nil, s.RSRP
	}
	return withSignal(cell, s)
}

func withSignal(cell ServingCell, s Signal) []Fact {
	facts := one(cell)
	if levelled(s) {
		facts = append(facts, s)
	}
	return facts
}

// gtccinfoBlock reads AT+GTCCINFO? of Fibocom: rows without a name of their own,
// <serving>,<rat>,<mcc>,<mnc>,<tac>,<cell>,<earfcn>,<pci>,<band>,<bandwidth>,
// <snr>,<rxlev>,<rsrp>,<rsrq>. Serving is 1 for our cell, 2 for neighbours; RAT 4
// is LTE, its band is 100 more, its levels are the steps of TS 36.133; RAT 9 is
// NR, its band has 50 in front. The scale of <snr> differs and is not read.
// (Captures of FM350-GL and of FM190.)
func gtccinfoBlock(_ *subcommand, lines []string) []Fact {
	known := false
	for _, text := range lines {
		l := newLine(nil, text)
		rat := map[string]string{"4": "lte", "9": "nr"}[l.str(1)]
		if rat == "" || len(l.args) < 12 {
			known = known || len(l.args) < 2 // a heading: "LTE service cell:"
			continue
		}
		known = true
		if l.str(0) != "1" {
			continue
		}
		cell := noCell("+GTCCINFO")
		cell.RAT, cell.PLMN, cell.TAC, cell.Cell = rat, plmn(l.str(2), zeroed(l.str(3))), l.str(4), l.str(5)
		cell.EARFCN, cell.PCI = l.numOr(6, -1), l.numOr(7, -1)
		s := Signal{RAT: rat, BER: -1, Source: "+GTCCINFO"}
		if band, ok := l.num(8); ok && rat == "lte" && band > 100 && band < 200 {
			cell.Band = band - 100
		} else if nr, cut := strings.CutPrefix(l.str(8), "50"); cut && rat == "nr" {
			cell.Band = numberOr(nr, -1)
		}
		if rsrp, ok := l.num(12); ok && rat == "lte" {
			rsrq, okQ := l.num(13)
			s.RSRP, s.RSRQ = rsrpIndex(rsrp, ok), rsrqIndex(rsrq, okQ)
		}
		return withSignal(cell, s)
	}
	if known {
		return quiet
	}
	var raw []Fact
	for _, text := range lines {
		raw = append(raw, Unparsed{Line: text})
	}
	return raw
}

func numberOr(s string, def int) int {
	if n, err := atoi(s); err == nil {
		return n
	}
	return def
}

// zeroed is a network code that lost the zero in front of it.
func zeroed(mnc string) string {
	if len(mnc) == 1 {
		return "0" + mnc
	}
	return mnc
}

// parseZCELLINFO reads ZTE's +ZCELLINFO: <cell>,<pci>,LTE B<band>,<channel>, and
// GosuncnWelink's tac:<tac>,cellid:<cell>,pci:<pci>,band:<band>. Other forms are
// not told apart.
func parseZCELLINFO(l line) []Fact {
	cell := noCell("+ZCELLINFO")
	cell.RAT = "lte"
	if tac, named := strings.CutPrefix(l.str(0), "tac:"); named {
		cell.TAC = tac
		for i := range l.args {
			key, v, _ := strings.Cut(l.str(i), ":")
			switch key {
			case "cellid":
				cell.Cell = v
			case "pci":
				cell.PCI = numberOr(v, -1)
			case "band":
				cell.Band = numberOr(v, -1)
			}
		}
		return one(cell)
	}
	if !strings.HasPrefix(l.str(2), "LTE B") {
		return nil
	}
	cell.Cell, cell.PCI, cell.Band, cell.EARFCN = l.str(0), l.numOr(1, -1), bandIn(l.str(2)), l.numOr(3, -1)
	return one(cell)
}

// parseKCELLMEAS reads Sierra HL +KCELLMEAS: <rsrp>,<path loss>,<pusch>,<pucch>,<sinr>.
func parseKCELLMEAS(l line) []Fact {
	s := Signal{RAT: "lte", BER: -1, Source: "+KCELLMEAS",
		RSRP: within(l.real(0), lowestDBm, highestDBm), SINR: within(l.real(4), lowestSINR, highestSINR)}
	if !levelled(s) {
		return quiet
	}
	return one(s)
}

// parseSELRAT reads Sierra's !SELRAT: <index>, <name>; 00 is automatic.
func parseSELRAT(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(RadioLock{Lock: "rat", Locked: n != 0, Detail: joined("SELRAT", l.str(0), l.str(1))})
}

// bandBlock reads Sierra's AT!BAND?: a heading, then <index>, <name>, <masks>.
func bandBlock(_ *subcommand, lines []string) []Fact {
	for _, text := range lines {
		l := newLine(nil, text)
		if _, ok := l.num(0); !ok || len(l.args) < 2 {
			continue
		}
		// MC73xx parts name and masks with a comma, EM74xx with blanks only.
		name, _, _ := strings.Cut(l.str(1), "  ")
		return one(RadioLock{Lock: "band", Locked: !strings.Contains(strings.ToLower(name), "all"), Detail: joined("BAND", l.str(0), name)})
	}
	return one(Unparsed{Line: strings.Join(lines, " ")})
}

// parseMIPCALL reads +MIPCALL: <cid>,<state>[,<address>] of China Mobile modules
// and <state>[,<address>] of Fibocom and openLuat.
func parseMIPCALL(l line) []Fact {
	if n, ok := l.num(1); ok && (n == 0 || n == 1) {
		return session(0, 1, 2, 1)(l)
	}
	return session(-1, 0, 1, 1)(l)
}

// parseGTSENRDTEMP reads Fibocom's +GTSENRDTEMP: <sensor>,<thousandths of a degree>.
func parseGTSENRDTEMP(l line) []Fact {
	n, ok := l.num(1)
	if !ok {
		return nil
	}
	if t := within(value(float64(n)/1000), -60, 150); t != nil {
		return one(PowerState{TemperatureC: t})
	}
	return quiet
}

// parseSlot reads the answers that number the card slot in use, each as its
// vendor counts: +QUIMSLOT from 1, +QDSIM, +SIMCROSS, +GTDUALSIM and !UIMS
// from 0.
func parseSlot(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(SIMSlot{Slot: n, Source: l.name})
}
