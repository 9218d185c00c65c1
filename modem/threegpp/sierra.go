package threegpp

import (
	"strconv"
	"strings"
)

// gstatusBlock reads AT!GSTATUS?: pairs of "key: value", one or two on a line,
// parted by a tab or by several spaces.
func gstatusBlock(_ *subcommand, lines []string) []Fact {
	pairs := map[string]string{}
	for _, text := range lines {
		for text != "" {
			var key, v string
			key, v, text = cutPair(text)
			if key != "" && pairs[key] == "" {
				pairs[key] = v
			}
		}
	}
	cell := noCell("!GSTATUS")
	rat, _, _ := strings.Cut(pairs["system mode"], " ")
	cell.RAT = ratOf(rat)
	cell.State = gstatusState(pairs)
	cell.Band = bandIn(pairs["lte band"])
	if n, err := atoi(pairs["lte rx chan"]); err == nil {
		cell.EARFCN = n
	}
	cell.TAC, _, _ = strings.Cut(pairs["tac"], " ")
	cell.Cell, _, _ = strings.Cut(pairs["cell id"], " ")
	facts := one(cell)
	switch pairs["ps state"] {
	case "Attached":
		facts = append(facts, Attach{Attached: true})
	case "Not attached":
		facts = append(facts, Attach{})
	}
	s := Signal{RAT: cell.RAT, BER: -1, Source: "!GSTATUS"}
	s.RSSI = within(number(pairs["pcc rxm rssi"]), lowestDBm, highestDBm)
	s.RSRP = within(number(pairs["rsrp (dbm)"]), lowestDBm, highestDBm)
	s.RSRQ = within(number(pairs["rsrq (db)"]), lowestDB, highestDB)
	s.SINR = within(number(pairs["sinr (db)"]), lowestSINR, highestSINR)
	if levelled(s) {
		facts = append(facts, s)
	}
	if t := within(number(pairs["temperature"]), -60, 150); t != nil {
		facts = append(facts, PowerState{TemperatureC: t})
	}
	return facts
}

// pcinfoBlock reads AT!PCINFO?, who keeps the radio off: "LPM voters - Temp:1,
// Volt:0, User:0, W_DISABLE:0".
func pcinfoBlock(_ *subcommand, lines []string) []Fact {
	var facts []Fact
	for _, text := range lines {
		_, voters, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(text, " ", "")), "lpmvoters-")
		if !strings.Contains(voters, ":1") {
			continue
		}
		cell := noCell("!PCINFO")
		cell.State = CampLowPower
		facts = append(facts, cell)
		switch {
		case strings.Contains(voters, "temp:1"):
			facts = append(facts, PowerState{Alarm: "overheated"})
		case strings.Contains(voters, "volt:1"):
			facts = append(facts, PowerState{Alarm: "undervoltage"})
		}
	}
	return facts
}

// cutPair takes one "key: value" off a line.
func cutPair(s string) (key, v, rest string) {
	key, s, ok := strings.Cut(s, ":")
	if !ok {
		return "", "", ""
	}
	s = strings.TrimLeft(s, " \t")
	end := len(s)
	// A value ends at a tab or at two spaces, unless what follows is not a key:
	// "Registered     Normal Service" is one value.
	for i := 0; i < len(s); i++ {
		if s[i] == '\t' || strings.HasPrefix(s[i:], "  ") {
			if strings.Contains(s[i:], ":") {
				end = i
			}
			break
		}
	}
	return strings.ToLower(strings.TrimSpace(key)), strings.Join(strings.Fields(s[:end]), " "), strings.TrimLeft(s[end:], " \t")
}

func number(s string) *float64 {
	s, _, _ = strings.Cut(s, " ")
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != f || f > 1e9 || f < -1e9 {
		return nil
	}
	return &f
}

// gstatusState reads the EMM state: "Registered Normal Service", "Deregistered
// No Cell", "Deregistered Attach Needed".
func gstatusState(pairs map[string]string) CampState {
	if mode := pairs["mode"]; mode != "" && mode != "ONLINE" {
		return CampLowPower
	}
	emm := strings.ToLower(pairs["emm state"])
	switch {
	case strings.Contains(emm, "no cell"), strings.Contains(emm, "plmn search"):
		return CampSearching
	case strings.Contains(emm, "limited"):
		return CampLimited
	case strings.HasPrefix(emm, "registered") && strings.Contains(strings.ToLower(pairs["rrc state"]), "connected"):
		return CampConnected
	case strings.HasPrefix(emm, "registered"):
		return CampIdle
	case pairs["system mode"] == "No service":
		return CampNoService
	}
	return CampUnknown
}
