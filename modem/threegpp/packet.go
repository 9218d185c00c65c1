package threegpp

import (
	"hash/fnv"
	"strconv"
	"strings"
)

func parseCGATT(l line) []Fact {
	n, ok := l.num(0)
	if !ok || n < 0 || n > 1 {
		return nil
	}
	return one(Attach{Attached: n == 1})
}

// parseCGACT reads +CGACT: <cid>,<state>. Some firmware puts all contexts on
// one line; the pairs are read in turn.
func parseCGACT(l line) []Fact {
	var facts []Fact
	for i := 0; i+1 < len(l.args); i += 2 {
		cid, ok := l.num(i)
		state, ok2 := l.num(i + 1)
		if !ok || !ok2 {
			return nil
		}
		facts = append(facts, ContextState{CID: cid, Active: state == 1})
	}
	if facts == nil && l.body == "" {
		return quiet
	}
	return facts
}

// parseCGPADDR reads +CGPADDR: <cid>[,<addr>[,<addr>]] (TS 27.007 §10.1.14). No
// address or 0.0.0.0 means that the context is not usable.
func parseCGPADDR(l line) []Fact {
	cid, ok := l.num(0)
	if !ok {
		return nil
	}
	addr := l.str(1)
	return one(ContextState{CID: cid, Active: usableAddr(addr), Addr: addr, ByAddress: true})
}

// usableAddr tells an address from the placeholders of a context without one.
func usableAddr(addr string) bool {
	if addr == "" || addr == "::" || strings.HasPrefix(addr, "169.254.") {
		return false
	}
	return strings.Trim(addr, "0.:") != ""
}

// parseCGDCONT reads +CGDCONT: <cid>,<type>,<apn>,<addr>,... (TS 27.007 §10.1.1).
func parseCGDCONT(l line) []Fact {
	cid, ok := l.num(0)
	if !ok {
		return nil
	}
	return one(ContextConfig{CID: cid, Type: l.str(1), APN: l.str(2)})
}

// authHash is a short hash of user and password, "" when both are empty. 32
// bits tell two settings apart and are too few to find a password by trial.
func authHash(user, password string) string {
	if user == "" && password == "" {
		return ""
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(user + "\x00" + password))
	return strconv.FormatUint(uint64(h.Sum32()), 16)
}

// parseCGEV reads +CGEV (TS 27.007 §10.1.19), the forms of old firmware that
// leaves out NW or ME, and Nordic's additions.
func parseCGEV(l line) []Fact {
	text := l.body
	e := ContextEvent{CID: -1, Text: text}
	for _, by := range [...]string{"NW", "ME"} {
		if rest, ok := strings.CutPrefix(text, by+" "); ok {
			e.By, text = by, strings.TrimSpace(rest)
		}
	}
	name, args := cutEvent(text)
	e.Event = name
	switch name {
	case "":
		return nil
	case "ACT", "DEACT":
		e.Event, e.CID = contextOrBearer(name, args)
	case "REACT", "REJECT":
		e.CID = lastNumber(args, 2)
	case "APNRATECTRL STAT", "PDN ACT", "PDN DEACT", "MODIFY", "IPV6 FAIL", "IPV6", "IPV6 LINK UP":
		if n, ok := argNum(args, 0); ok {
			e.CID = n
		}
	case "OVERHEATED", "BATTERY LOW":
		return []Fact{e, PowerState{Alarm: strings.ToLower(name)}}
	}
	return one(e)
}

// cutEvent takes the leading words of an event; what follows, from the first
// number or string on, are its parameters. A PDP type (IP, "IPV4V6") is one.
func cutEvent(text string) (name string, args []string) {
	end := len(text)
	for i := 0; i < len(text); i++ {
		if i > 0 && text[i-1] != ' ' {
			continue
		}
		c := text[i]
		if c >= '0' && c <= '9' || c == '"' || c == '-' || strings.HasPrefix(text[i:], "IP,") || strings.HasPrefix(text[i:], "IPV4V6,") ||
			strings.HasPrefix(text[i:], "IPV6,") || strings.HasPrefix(text[i:], "PPP,") {
			end = i
			break
		}
	}
	return strings.ToUpper(strings.TrimRight(text[:end], " ,")), split(text[end:])
}

// contextOrBearer tells the two meanings of ACT and DEACT apart: with a type
// and an address it is a whole context, with numbers alone a dedicated bearer
// of a context that itself stays (TS 27.007 §10.1.19).
func contextOrBearer(name string, args []string) (string, int) {
	if n, ok := argNum(args, 0); ok {
		if len(args) >= 2 {
			return "BEARER " + name, n
		}
		return name, n
	}
	return name, lastNumber(args, 2)
}

func lastNumber(args []string, from int) int {
	if n, ok := argNum(args, len(args)-1); ok && len(args) > from {
		return n
	}
	return -1
}

// cnecTables are the tables of the +CNEC_ events (TS 27.007 §9.1B).
var cnecTables = map[string]Protocol{
	"+CNEC_MM": MM, "+CNEC_GMM": GMM, "+CNEC_EMM": EMM, "+CNEC_ESM": ESM,
	"+CNEC_5GMM": FiveGMM, "+CNEC_5GSM": FiveGSM,
}

// parseCNEC reads +CNEC_EMM: <cause>[,<cid>]. It is not always a failure: #50
// and #51 come with a successful activation.
func parseCNEC(l line) []Fact {
	n, ok := l.num(0)
	if !ok || n < 0 || n > 255 {
		return nil
	}
	p := cnecTables[l.name]
	return one(Reject{Cause: RejectCause{Protocol: p, Number: n}, Procedure: procedureOf(p), Source: l.name})
}

// procedureOf is what can be said of the procedure from the table alone.
func procedureOf(p Protocol) string {
	if p.SessionProtocol() {
		return "session"
	}
	return ""
}

func restarted(l line) []Fact { return one(Restarted{Text: l.text}) }
