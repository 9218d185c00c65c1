package threegpp

import "strings"

// Parsers of smaller dialects: where several vendors say one thing in lines that
// differ only in where its fields stand.

// levelAt reads a line of LTE levels: RSRP in dBm and RSRQ in dB at these places,
// -1 where there is none.
func levelAt(rsrp, rsrq int) parser {
	return func(l line) []Fact {
		s := Signal{RAT: "lte", BER: -1, Source: l.name, RSRP: within(l.real(rsrp), lowestDBm, highestDBm), RSRQ: within(l.real(rsrq), lowestDB, highestDB)}
		if s.RSRP == nil {
			return quiet
		}
		return one(s)
	}
}

// session reads the state of a data call: cid, state and address stand at these
// places, -1 where the dialect leaves a field out. State up is connected.
func session(cid, state, addr, up int) parser {
	return func(l line) []Fact {
		c := ContextState{CID: simcomContext, Addr: l.str(addr)}
		if cid >= 0 {
			c.CID = l.numOr(cid, simcomContext)
		}
		n, ok := l.num(state)
		switch {
		case state >= 0 && ok:
			c.Active = n == up
		case strings.Count(l.str(0), ".") == 3: // the address alone, as after dialling
			c.Addr = l.str(0)
			c.Active = usableAddr(c.Addr)
		default:
			return nil
		}
		return one(c)
	}
}

// parseUPSND reads +UPSND: <profile>,<parameter>,<value>: 0 the address, 8
// whether it is active (u-blox AT manual, +UPSND).
func parseUPSND(l line) []Fact {
	n, ok := l.num(1)
	if !ok {
		return nil
	}
	c := ContextState{CID: l.numOr(0, 0)}
	switch n {
	case 0:
		c.Addr = l.str(2)
		c.Active = usableAddr(c.Addr)
	case 8:
		c.Active = l.str(2) == "1"
	default:
		return quiet
	}
	return one(c)
}

// echo reads one answer to a module's own ping: what stands at time is the
// round trip in milliseconds, from lost upwards (or negative) a packet that did
// not come back.
func echo(addr, time, lost int) parser {
	return func(l line) []Fact {
		ms, ok := l.num(time)
		if !ok {
			return nil
		}
		p := ModemProbe{Probe: "ping", Target: l.str(addr), OK: ms >= 0 && ms < lost, Result: "ok", Detail: l.body}
		if !p.OK {
			p.Result = "timeout"
		}
		return one(p)
	}
}

// parseSIS reads ^SIS: <service>,<cause>,<info>,"<text>" of Cinterion's IP stack:
// cause 0 with an info number up to 2000 is an error of the service.
func parseSIS(l line) []Fact {
	cause, ok := l.num(1)
	info, ok2 := l.num(2)
	if !ok {
		return nil
	}
	if cause != 0 || !ok2 || info < 1 || info > 2000 {
		return quiet
	}
	return one(ModemProbe{Probe: "tcp", Result: "error", Detail: l.body})
}

// parseUUPINGER reads +UUPINGER: <error>, a ping that found no end.
func parseUUPINGER(l line) []Fact {
	return one(ModemProbe{Probe: "ping", Result: "timeout", Detail: l.body})
}

// opened reads the result of opening a TCP connection, 0 for success.
func opened(at int) parser {
	return func(l line) []Fact {
		n, ok := l.num(at)
		if !ok {
			return nil
		}
		p := ModemProbe{Probe: "tcp", OK: n == 0, Result: "ok", Detail: l.body}
		if !p.OK {
			p.Result = "error"
		}
		return one(p)
	}
}

// parseKCNXIND reads +KCNX_IND: <cid>,<status>,...: 0 closed by the network, 1
// connected, 2 refused (Sierra HL78xx AT manual).
func parseKCNXIND(l line) []Fact {
	n, ok := l.num(1)
	if !ok {
		return nil
	}
	cid := l.numOr(0, -1)
	switch n {
	case 0:
		return one(ContextEvent{By: "NW", Event: "PDN DEACT", CID: cid, Text: l.body})
	case 1:
		return one(ContextState{CID: cid, Active: true})
	case 2:
		return one(ContextState{CID: -1})
	}
	return quiet
}

// parseSIMCARD reads +SIMCARD: NOT AVAILABLE of SIM7600.
func parseSIMCARD(l line) []Fact {
	if !strings.HasPrefix(strings.ToUpper(l.body), "NOT") {
		return quiet
	}
	return one(SIM{State: SIMAbsent, Text: l.body, URC: l.cmd == nil})
}

// parseZPAS reads +ZPAS: "<technology>|No Service|Limited Service","<domain>" (ZTE).
func parseZPAS(l line) []Fact {
	s := ServiceState{Service: CampOnline, Text: l.text, RAT: ratOf(l.str(0))}
	switch word := strings.ToLower(l.str(0)); {
	case strings.HasPrefix(word, "limited"):
		s.Service = CampLimited
	case strings.HasPrefix(word, "no "):
		s.Service = CampNoService
	case s.RAT == "":
		return nil
	}
	return one(s)
}

// parseHuaweiCPIN reads ^CPIN: <code>,<tries>,... : +CPIN with what is left of
// the tries behind it.
func parseHuaweiCPIN(l line) []Fact {
	l.body = l.str(0)
	return parseCPIN(l)
}

// parseXCESQ reads +XCESQ: <n>,<rxlev>,<ber>,<rscp>,<ecno>,<rsrq>,<rsrp>,<rssnr>
// of Intel modems: +CESQ behind one field more.
func parseXCESQ(l line) []Fact {
	if len(l.args) < 7 {
		return nil
	}
	l.args = l.args[1:7]
	return parseCESQ(l)
}
