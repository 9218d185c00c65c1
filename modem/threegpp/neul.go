package threegpp

import (
	"strings"
)

// nuestatsBlock reads +NUESTATS of BC95, BC28 and SARA-N2 (Boudica), one value a
// line: "Signal power:-801", after +NUESTATS=RADIO "NUESTATS:RADIO,Signal
// power:-737", on SARA-N2 'NUESTATS: "RADIO","Signal power",-682'. Levels are in
// tenths of dBm and dB, -32768 is none. They are those of the last measurement.
func nuestatsBlock(_ *subcommand, lines []string) []Fact {
	cell := noCell("+NUESTATS")
	cell.RAT = "nbiot"
	s := Signal{RAT: cell.RAT, BER: -1, Source: cell.Source}
	facts, told := []Fact{}, false
	for _, text := range lines {
		t := strings.ReplaceAll(text, `"`, "")
		if _, after, ok := strings.Cut(t, "RADIO,"); ok {
			t = after
		}
		i := max(strings.LastIndexByte(t, ':'), strings.LastIndexByte(t, ','))
		n, err := atoi(strings.TrimSpace(t[i+1:]))
		if i < 0 || err != nil {
			facts = append(facts, Unparsed{Line: text})
			continue
		}
		switch strings.TrimSpace(t[:i]) {
		case "Signal power":
			s.RSRP = centibels(n, -156, -31)
		case "Total power":
			s.RSSI = centibels(n, -140, -20)
		case "RSRQ":
			s.RSRQ = centibels(n, -34, 3)
		case "SNR":
			s.SINR = centibels(n, -30, 40)
		case "Cell ID":
			cell.Cell, told = hexText(n), n > 0
		case "EARFCN":
			cell.EARFCN = n
		case "PCI":
			cell.PCI = n
		case "CURRENT BAND":
			cell.Band = n
		}
	}
	if told {
		facts = append(facts, cell)
	}
	if levelled(s) {
		facts = append(facts, s)
	}
	return facts
}

// centibels is a level in tenths, nil outside of what can be measured.
func centibels(n, low, high int) *float64 {
	if n < 10*low || n > 10*high {
		return nil
	}
	v := float64(n) / 10
	return &v
}
