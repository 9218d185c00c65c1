package threegpp

import (
	"strconv"
	"strings"
)

func numText(n int) string { return strconv.Itoa(n) }

// identityBlock reads +CGMI, +CGMM, +CGMR and ATI. ATI lists maker, model and
// revision, with or without labels; an IMEI in it is told as one.
func identityBlock(c *subcommand, lines []string) []Fact {
	var m ModemIdentity
	facts := []Fact{}
	plain := 0
	for _, text := range lines {
		key, v, labelled := strings.Cut(text, ":")
		v = strings.Trim(strings.TrimSpace(v), `"`)
		if !labelled {
			v = strings.Trim(text, `" `)
		}
		switch name := strings.ToLower(strings.TrimSpace(key)); {
		case !labelled && digitsOnly(v) && len(v) >= 14 && len(v) <= 16, name == "imei", name == "imei sv":
			if id := digitsOf(v, 14, false); id != "" {
				facts = append(facts, IMEI{Value: id})
			}
		case strings.HasPrefix(name, "manufacturer"), name == "+cgmi", name == "+gmi":
			m.Manufacturer = v
		case strings.HasPrefix(name, "model"), name == "+cgmm", name == "+gmm":
			m.Model = v
		case labelled && (strings.HasPrefix(name, "revision") || name == "+cgmr" || name == "+gmr"):
			m.Revision = v
		case labelled:
			// Serial numbers, +GCAP and other lines of ATI.
		default:
			m.plain(c.name, v, plain)
			plain++
		}
	}
	if m != (ModemIdentity{}) {
		facts = append(facts, m)
	}
	return facts
}

// plain files the n-th unlabelled line by the command, and for ATI by its place.
func (m *ModemIdentity) plain(command, v string, n int) {
	place := n
	switch command {
	case "+CGMI", "+GMI":
		place = 0
	case "+CGMM", "+GMM":
		place = 1
	case "+CGMR", "+GMR":
		place = 2
	}
	switch {
	case place == 0 && m.Manufacturer == "":
		m.Manufacturer = v
	case place == 1 && m.Model == "":
		m.Model = v
	case place == 2 && m.Revision == "":
		m.Revision = v
	}
}

// scanBlock reads +COPS=?, which some modems spread over several lines.
func scanBlock(c *subcommand, lines []string) []Fact {
	s := parseScan(newLine(c, strings.Join(lines, "")))
	return one(s)
}
