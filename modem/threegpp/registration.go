package threegpp

import "strings"

// domains maps the command to its domain and to the table of its cause numbers
// (TS 27.007 §7.2, §10.1.20, §10.1.22, §10.1.47: cause_type 0).
var domains = map[string]struct {
	domain   Domain
	protocol Protocol
}{
	"+CREG":   {CS, MM},
	"+CGREG":  {PS, GMM},
	"+CEREG":  {EPS, EMM},
	"+C5GREG": {NR, FiveGMM},
}

func isRegistration(name string) bool { _, ok := domains[name]; return ok }

// maxRegStat is the largest <stat> that is taken for one: 0 to 11, and room for
// the vendor values (Nordic 90).
const maxRegStat = 99

// leadsWithN reports whether l is the answer to a read command: <n> comes
// first, then a bare <stat>.
func leadsWithN(l line) bool {
	if len(l.args) < 2 || l.isQuoted(1) {
		return false
	}
	n, ok := l.num(0)
	stat, ok2 := l.num(1)
	return ok && ok2 && n >= 0 && n <= 5 && stat >= 0 && stat <= maxRegStat && len(l.args[1]) <= 2
}

// parseRegistration reads the lines of all four domains in all lengths: n from
// 0 to 5, quoted or bare areas, empty fields, <rac> of +CGREG, the slice field
// of +C5GREG.
func parseRegistration(l line) []Fact {
	d := domains[l.name]
	r := Registration{Domain: d.domain, Stat: RegUnknownStat, AcT: -1, ActiveTimeS: -1, PeriodicTAUS: -1}
	// An answer leads with <n>, but firmware exists that leaves it out. Two bare
	// numbers without a command are an answer that came too late: they cannot be
	// a state and an area.
	withN := leadsWithN(l)
	r.URC = l.cmd == nil && !(withN && len(l.args) == 2)
	i := 0
	if withN && !r.URC {
		i = 1
	}
	stat, ok := l.num(i)
	if !ok || stat < 0 || stat > maxRegStat {
		return nil
	}
	r.Stat = RegStat(stat)
	rest := l.args[i+1:]
	if len(rest) == 0 {
		return one(r)
	}
	r.Area, r.Cell = area(argStr(rest, 0)), area(argStr(rest, 1))
	if n, ok := argNum(rest, 2); ok && n >= 0 && n < 100 {
		r.AcT = n
	}
	causeAt := 3
	switch {
	case l.name == "+CGREG" && len(rest) > 3 && isRAC(rest):
		causeAt = 4 // <rac> of TS 27.007 §10.1.20, two hex digits
	case l.name == "+C5GREG":
		causeAt = 5 // <Allowed_NSSAI_length>, <Allowed_NSSAI>
		if len(rest) == 5 {
			causeAt = 3
		}
	}
	r.Cause = causeAtIndex(rest, causeAt, d.protocol)
	if len(rest) > causeAt+2 {
		r.ActiveTimeS = activeTime(argStr(rest, causeAt+2))
	}
	if len(rest) > causeAt+3 {
		r.PeriodicTAUS = periodicTAU(argStr(rest, causeAt+3))
	}
	return one(r)
}

// area keeps an LAC, TAC or cell as sent, and drops the all-ones placeholder of
// firmware that has no cell.
func area(s string) string {
	if s != "" && strings.Trim(s, "Ff") == "" && len(s) >= 4 {
		return ""
	}
	return s
}

// isRAC tells <rac> from <cause_type>: it is quoted, or is not 0 or 1.
func isRAC(rest []string) bool {
	if strings.HasPrefix(rest[3], `"`) {
		return true
	}
	t, ok := argNum(rest, 3)
	return rest[3] != "" && (!ok || t > 1)
}

// causeAtIndex reads <cause_type>,<reject_cause>. Type 0 with cause 0 is what
// Nordic sends while there is none: not known.
func causeAtIndex(rest []string, i int, p Protocol) RejectCause {
	kind, ok := argNum(rest, i)
	number, ok2 := argNum(rest, i+1)
	if !ok || !ok2 || number <= 0 {
		return RejectCause{}
	}
	if kind == 1 {
		p = PrivateCause
	} else if kind != 0 {
		return RejectCause{}
	}
	return RejectCause{Protocol: p, Number: number}
}

// timerBits reads the eight binary digits of a PSM timer.
func timerBits(s string) (unit, steps int, ok bool) {
	if len(s) != 8 {
		return 0, 0, false
	}
	v := 0
	for i := range len(s) {
		if s[i] != '0' && s[i] != '1' {
			return 0, 0, false
		}
		v = v<<1 | int(s[i]-'0')
	}
	return v >> 5, v & 31, true
}

// activeTime decodes T3324, GPRS timer 2 (TS 24.008 §10.5.7.4): unit 7 is
// deactivated, the unnamed units count as minutes.
func activeTime(s string) int {
	unit, steps, ok := timerBits(s)
	if !ok || unit == 7 {
		return -1
	}
	seconds := 60
	switch unit {
	case 0:
		seconds = 2
	case 2:
		seconds = 360
	}
	return steps * seconds
}

// periodicTAU decodes T3412 extended, GPRS timer 3 (TS 24.008 §10.5.7.4a).
func periodicTAU(s string) int {
	unit, steps, ok := timerBits(s)
	if !ok || unit == 7 {
		return -1
	}
	return steps * [...]int{600, 3600, 36000, 2, 30, 60, 1152000}[unit]
}

// parseCSCON reads +CSCON: <mode>[,...], or <n>,<mode> in answer to a read
// (TS 27.007 §10.1.30).
func parseCSCON(l line) []Fact {
	i := 0
	if l.cmd != nil && len(l.args) > 1 {
		i = 1
	}
	n, ok := l.num(i)
	if !ok {
		return nil
	}
	return one(RadioLink{Connected: n == 1})
}

// parseCOPS reads +COPS? and +COPS=? (TS 27.007 §7.3).
func parseCOPS(l line) []Fact {
	if strings.HasPrefix(l.body, "(") || l.cmd != nil && l.cmd.op == "=?" {
		return one(parseScan(l))
	}
	mode, ok := l.num(0)
	if !ok {
		return nil
	}
	o := Operator{Mode: mode, AcT: -1}
	if n, ok := l.num(3); ok {
		o.AcT = n
	}
	if format, ok := l.num(1); ok {
		if name := l.str(2); format == 2 || digitsOnly(name) && (len(name) == 5 || len(name) == 6) {
			o.PLMN = name
		} else {
			o.Name = name
		}
	}
	facts := one(o)
	if mode <= 4 && mode != 2 && mode != 3 {
		detail := o.PLMN
		if detail == "" {
			detail = o.Name
		}
		facts = append(facts, RadioLock{Lock: "plmn", Locked: mode == 1, Detail: joined("COPS mode "+l.str(0), detail)})
	}
	return facts
}

// parseScan takes every bracketed network of a +COPS=? line. The lists of modes
// and formats at the end are brackets without a name.
func parseScan(l line) Scan {
	s := Scan{Networks: []ScanEntry{}}
	for _, arg := range l.args {
		if e, ok := scanEntry(arg); ok {
			s.Networks = append(s.Networks, e)
		}
	}
	return s
}

func scanEntry(arg string) (ScanEntry, bool) {
	arg = strings.TrimSpace(arg)
	if !strings.HasPrefix(arg, "(") {
		return ScanEntry{}, false
	}
	inner := split(strings.TrimSuffix(arg[1:], ")"))
	if len(inner) < 4 || !strings.HasPrefix(inner[3], `"`) {
		return ScanEntry{}, false
	}
	stat, ok := argNum(inner, 0)
	if !ok {
		return ScanEntry{}, false
	}
	e := ScanEntry{Stat: stat, Long: argStr(inner, 1), Short: argStr(inner, 2), PLMN: argStr(inner, 3), AcT: -1}
	if n, ok := argNum(inner, 4); ok {
		e.AcT = n
	}
	return e, true
}

// parseCFUN reads +CFUN: <fun>. Unsolicited it is what Quectel and SIMCom
// modules say once their stack is up.
func parseCFUN(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(Functionality{Level: n})
}
