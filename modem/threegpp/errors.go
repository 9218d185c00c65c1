package threegpp

import (
	"strconv"
	"strings"
)

// neutralReports are the texts of +CEER that report nothing.
var neutralReports = [...]string{
	"no report available", "no error", "normal unspecified", "no cause information available",
	"normal call clearing", "no cause",
}

// parseCEER reads +CEER (TS 27.007 §6.10) in its dialects: free text,
// "<category>",<code>,"<text>" of u-blox, Cinterion and Sierra HL, and the three
// numbers of Siemens, where 0,0,0 is nothing to report.
func parseCEER(l line) []Fact {
	plain := plainWords(l.body)
	e := ExtendedError{Text: strings.ReplaceAll(l.body, `"`, "")}
	if plain == "" || plain == "0" || plain == "0 0 0" {
		e.Neutral = true
	}
	for _, text := range neutralReports {
		e.Neutral = e.Neutral || hasWords(plain, text)
	}
	facts := one(e)
	if e.Neutral {
		return facts
	}
	causes := CausesByText(l.body)
	if len(causes) == 0 && hasWords(plain, "pdp authentication failure") {
		causes = []RejectCause{{Protocol: ESM, Number: 29}} // the name of CME 149 (TS 27.007 §9.2.2)
	}
	if len(causes) > 0 {
		facts = append(facts, Reject{Cause: causes[0], Procedure: procedureIn(plain, causes[0].Protocol), Text: e.Text, Source: l.name})
	}
	return facts
}

// procedureIn names the procedure that a report speaks of.
func procedureIn(plain string, p Protocol) string {
	switch {
	case hasWords(plain, "detach"):
		return "detach"
	case hasWords(plain, "attach"):
		return "attach"
	}
	return procedureOf(p)
}

// refusalFacts are what an error final says: the refusal, the cause behind it
// where the code belongs to the command, and the card where it speaks of it.
func refusalFacts(subs []subcommand, text string, f Final) []Fact {
	r := Refusal{Command: text, Final: f.Kind, Code: f.Code, Text: f.Text}
	switch {
	case f.Kind != "CME" && f.Kind != "CMS":
	case f.Code < 0:
		p := CME
		if f.Kind == "CMS" {
			p = CMS
		}
		r.Code = codeByText(p, f.Text)
	default:
		if info, ok := LookUp(RejectCause{Protocol: Protocol(strings.ToLower(f.Kind)), Number: f.Code}); ok {
			r.Text = info.Name
		}
	}
	facts := one(r)
	if cause, procedure, ok := causeOfRefusal(subs, r, f); ok {
		facts = append(facts, Reject{Cause: cause, Procedure: procedure, Text: f.Text, Source: "+CME ERROR"})
	}
	if s, ok := simOfRefusal(subs, r, f); ok {
		facts = append(facts, s)
	}
	for i := range subs {
		if probe, ok := refusedProbe(&subs[i]); ok {
			facts = append(facts, probe)
		}
	}
	return facts
}

// procedureAsked says which network procedure a command starts. The numbers of
// 102 to 233 belong to these commands only; from a status query they are
// something else, or left over.
func procedureAsked(subs []subcommand) (procedure string, ok bool) {
	for i := range subs {
		c := &subs[i]
		on := c.op == "=" && c.str(0) == "1"
		switch c.name {
		case "+CGATT":
			if on {
				return "attach", true
			}
		case "+COPS":
			if mode := c.str(0); c.op == "=" && (mode == "0" || mode == "1" || mode == "4") {
				return "attach", true
			}
		case "+CGACT", "+XDATACHANNEL", "#SGACT":
			if c.op == "=" && (on || c.name != "+CGACT") {
				return "session", true
			}
		case "D", "+CGDATA", "+CIICR", "+NETOPEN", "+QIACT", "+CNACT", "^NDISDUP", "$QCRMCALL",
			"+UPSDA", "+SAPBR", "+GTRNDIS", "+MIPCALL", "+CGANS", "!SCACT", "+QNETDEVCTL":
			if c.op != "?" && c.op != "=?" {
				return "session", true
			}
		}
	}
	return "", false
}

// pdpAuthentication is +CME ERROR 149, "PDP authentication failure", which
// TS 27.007 §9.2.2.1 lists apart from the numbers that translate NAS causes;
// what it names is cause 29.
const pdpAuthentication = 149

func causeOfRefusal(subs []subcommand, r Refusal, f Final) (c RejectCause, procedure string, ok bool) {
	if f.Kind != "CME" {
		return c, "", false
	}
	procedure, ok = procedureAsked(subs)
	if !ok {
		return c, "", false
	}
	if r.Code == pdpAuthentication {
		return RejectCause{Protocol: ESM, Number: 29}, procedure, true
	}
	var causes []RejectCause
	if info, found := LookUp(RejectCause{Protocol: CME, Number: r.Code}); found {
		causes = info.NAS
	} else if r.Code < 0 {
		causes = CausesByText(f.Text)
	}
	if len(causes) == 0 {
		return c, "", false
	}
	// One number may stand for causes of several tables: take that of the
	// procedure which the command asked for.
	for _, cause := range causes {
		if cause.Protocol.SessionProtocol() == (procedure == "session") {
			return cause, procedure, true
		}
	}
	return causes[0], procedure, true
}

// simOfRefusal reads the card's state from an error. A bare ERROR to +CPIN?
// says only that the card was not to be had.
func simOfRefusal(subs []subcommand, r Refusal, f Final) (SIM, bool) {
	switch f.Kind {
	case "CME":
		if state, ok := simByCME[r.Code]; ok {
			return SIM{State: state, Text: "CME " + strconv.Itoa(r.Code)}, true
		}
		if hasWords(plainWords(f.Text), "subsidy locked") { // Motorola
			return SIM{State: SIMLock, Text: f.Text}, true
		}
	case "CMS":
		if state, ok := simByCMS[r.Code]; ok {
			return SIM{State: state, Text: "CMS " + strconv.Itoa(r.Code)}, true
		}
	case "ERROR":
		for i := range subs {
			if subs[i].is("+CPIN", "?") {
				return SIM{State: SIMRefused, Text: "ERROR"}, true
			}
		}
	}
	return SIM{}, false
}
