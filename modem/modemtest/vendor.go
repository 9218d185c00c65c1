package modemtest

import (
	"fmt"
	"strconv"
)

// familyCommands are the vendors' own commands that the settings keep true.
// Formats: the manuals and captures named in the functions.
var familyCommands map[string]map[string]func(*Player, command) answer

func init() {
	familyCommands = map[string]map[string]func(*Player, command) answer{
		quectel: {
			"+QCCID": iccid("+QCCID: "), "+ICCID": iccid("+ICCID: "),
			"+QENG": cmdQENG, "+QNWINFO": cmdQNWINFO, "+QCSQ": cmdQCSQ, "+QSIMSTAT": cmdQSIMSTAT,
			"+QIACT": cmdQIACT, "+QIDEACT": cmdQIDEACT, "+QINISTAT": cmdQINISTAT, "+QURCCFG": accept,
			"+QINDCFG": accept,
		},
		simcom: {
			"+CICCID": iccid("+ICCID: "), "+CPSI": cmdCPSI, "+CNSMOD": cmdCNSMOD, "+NETOPEN": cmdNETOPEN,
		},
		generic: {"+ICCID": iccid("+ICCID: ")},
	}
}

// serving is the camping word of +QENG: EC25 AT manual, servingcell <state>.
func (m *model) serving() string {
	searching := m.reg[domainEPS].stat == statSearching && m.simReady()
	switch {
	case !m.heard() || searching || m.camping > 0:
		return "SEARCH"
	case !m.anyRegistered():
		return "LIMSRV"
	}
	return "NOCONN"
}

func cmdQENG(p *Player, c command) answer {
	m := &p.m
	if c.op != '=' || c.text(0) != "servingcell" {
		return bare("ERROR")
	}
	state := m.serving()
	if state == "SEARCH" {
		return ok(`+QENG: "servingcell","SEARCH"`)
	}
	s, x := m.signal, m.cell
	return ok(fmt.Sprintf(`+QENG: "servingcell",%q,"LTE",%q,%s,%s,%s,%d,%d,%d,5,5,%s,%d,%d,%d,%d,%d`,
		state, x.duplex, m.plmn[:3], m.plmn[3:], x.ci, x.pci, x.earfcn, x.band, x.tac,
		s.rsrp, s.rsrq, s.rssi, s.sinr, max(0, s.rsrp+124)))
}

// cmdQNWINFO: it may name a network while unregistered, as captured in LIMSRV.
func cmdQNWINFO(p *Player, c command) answer {
	m := &p.m
	if m.serving() == "SEARCH" {
		return ok("+QNWINFO: No Service")
	}
	return ok(fmt.Sprintf(`+QNWINFO: "%s LTE",%q,"LTE BAND %d",%d`, m.cell.duplex, m.plmn, m.cell.band, m.cell.earfcn))
}

func cmdQCSQ(p *Player, c command) answer {
	m := &p.m
	if m.serving() == "SEARCH" {
		return ok(`+QCSQ: "NOSERVICE"`)
	}
	s := m.signal
	return ok(fmt.Sprintf(`+QCSQ: "LTE",%d,%d,%d,%d`, s.rssi, s.rsrp, s.sinr, s.rsrq))
}

func cmdQSIMSTAT(p *Player, c command) answer {
	m := &p.m
	switch c.op {
	case '?':
		return ok("+QSIMSTAT: " + bit(m.simstat) + "," + bit(m.sim != "absent"))
	case 't':
		return ok("+QSIMSTAT: (0,1)")
	case '=':
		m.simstat = c.arg(0, 0) == 1
		return ok()
	}
	return bare("ERROR")
}

func cmdQIACT(p *Player, c command) answer {
	m := &p.m
	switch c.op {
	case '?':
		if !m.sessionUp() {
			return ok()
		}
		return ok(fmt.Sprintf(`+QIACT: 1,1,1,%q`, m.addr))
	case 't':
		return ok("+QIACT: (1-16)")
	case '=':
		a := p.activate(1, c.arg(0, 1))
		if a.lines[0] != "OK" {
			a.lines = []string{"ERROR"} // as captured: the reason is in +QIGETERROR and +CEER
		}
		return a
	}
	return bare("ERROR")
}

func cmdQIDEACT(p *Player, c command) answer {
	if c.op != '=' {
		return ok()
	}
	return p.activate(0, c.arg(0, 1))
}

// cmdQINISTAT: 1 card ready, 2 SMS ready, 4 phone book ready.
func cmdQINISTAT(p *Player, c command) answer {
	state := 0
	if p.m.simReady() {
		state = 7
	}
	return ok("+QINISTAT: " + strconv.Itoa(state))
}

// cmdCPSI: SIM7600 manual; rsrq, rsrp and rssi in tenths.
func cmdCPSI(p *Player, c command) answer {
	m := &p.m
	switch {
	case c.op == 't':
		return ok("+CPSI: (scope of <time>)")
	case c.op != '?':
		return bare("ERROR")
	case m.cfun != 1:
		return ok("+CPSI: NO SERVICE,Low Power Mode")
	case m.serving() != "NOCONN":
		return ok("+CPSI: NO SERVICE,Online")
	}
	s, x := m.signal, m.cell
	ci, _ := strconv.ParseUint(x.ci, 16, 64) // hex by construction
	return ok(fmt.Sprintf("+CPSI: LTE,Online,%s-%s,0x%s,%d,%d,EUTRAN-BAND%d,%d,5,5,%d,%d,%d,%d",
		m.plmn[:3], m.plmn[3:], x.tac, ci, x.pci, x.band, x.earfcn, s.rsrq*10, s.rsrp*10, s.rssi*10, s.sinr))
}

func cmdCNSMOD(p *Player, c command) answer {
	mode := 0
	if p.m.anyRegistered() {
		mode = 8 // LTE
	}
	return ok("+CNSMOD: 0," + strconv.Itoa(mode))
}

func cmdNETOPEN(p *Player, c command) answer {
	if c.op == '?' {
		return ok("+NETOPEN: " + bit(p.m.sessionUp()))
	}
	return p.activate(1, 1)
}
