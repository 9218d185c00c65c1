package modemtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A domain is one of the three registrations.
type domain int

const (
	domainCS domain = iota
	domainPS
	domainEPS
	domains // how many
)

var (
	domainWords    = map[string]domain{"cs": domainCS, "ps": domainPS, "eps": domainEPS}
	domainCommands = [domains]string{"+CREG", "+CGREG", "+CEREG"}
)

// Registration states, TS 27.007 §7.2.
const (
	statIdle      = 0
	statHome      = 1
	statSearching = 2
	statDenied    = 3
	statUnknown   = 4
	statRoaming   = 5
	statEmergency = 8
)

var regWords = map[string]int{
	"idle": statIdle, "home": statHome, "searching": statSearching, "denied": statDenied,
	"unknown": statUnknown, "roaming": statRoaming, "emergency": statEmergency,
}

var simWords = []string{"ready", "absent", "not-ready", "pin", "puk", "failure", "busy", "wrong"}

// Families whose replies differ; others speak plain 3GPP.
const (
	quectel = "quectel"
	simcom  = "simcom"
	generic = "3gpp"
)

var families = []string{quectel, simcom, generic}

// Who caused a change; +CGEV tells (TS 27.007 §10.1.19).
const (
	byNetwork = "NW"
	byModem   = "ME"
)

const (
	// rssiAboveRSRP is 10·log10 of the 600 subcarriers of 10 MHz.
	rssiAboveRSRP = 28
	// registerTime is how long a module searches after its radio came on.
	registerTime = 3 * time.Second
	// bootTime is how long a module is mute after a restart.
	bootTime = 8 * time.Second
	// scanTime is how long +COPS=? takes; real modules need 15 s to 3 min.
	scanTime = 20 * time.Second
	// attachTime is how long a refused attach or session takes to be refused.
	attachTime = time.Second
	// defaultAddr is given to a session when the scenario names no address.
	defaultAddr = "10.64.0.2"
	defaultAPN  = "cmiot"
)

type registration struct {
	stat, causeType, cause int
	sticky                 bool
}

func (r registration) ok() bool { return r.stat == statHome || r.stat == statRoaming }

type signal struct {
	known                       bool
	rsrp, rsrq, sinr, rssi, ber int
}

type cell struct {
	tac, ci, duplex        string
	pci, earfcn, band, act int
}

type pdpContext struct {
	cid      int
	kind, ap string
}

// model is the state of the simulated module.
type model struct {
	family                       string
	manufacturer, modelName, rev string
	imei, imsi, iccid, pin       string
	pinTries                     int
	maxN                         [domains]int

	// What the host set; a restart forgets it.
	echo     bool
	cmee     int
	n        [domains]int
	cgerep   int
	copsForm int
	simstat  bool // Quectel: report +QSIMSTAT
	textMode bool
	charset  string
	cnmiMT   int

	// What is so.
	cfun         int
	sim          string
	network      [domains]registration // what the network would say
	reg          [domains]registration // what the modem holds
	camping      int                   // > 0: still searching after the radio came on
	signal       signal
	cell         cell
	plmn         string
	operator     string
	ceer         string
	addr         string
	wanted       bool // the network lets the session be
	reject       int  // ESM cause that +CGACT=1 meets, 0 none
	hostClosed   bool // the host closed the session
	hostDetached bool
	copsManual   int // 0 automatic, 2 deregistered by the host
	contexts     []pdpContext
	clockShift   time.Duration // what +CCLK= changed
	messages     []message
}

func newModel(sc *Scenario) model {
	get := func(key, otherwise string) string {
		if v := sc.Device[key]; v != "" {
			return v
		}
		return otherwise
	}
	m := model{
		family:       familyOf(sc.Device),
		manufacturer: get("manufacturer", "Simulated"),
		modelName:    get("model", "Modem"),
		rev:          get("revision", "SIM01A01"),
		imei:         get("imei", "860000000000009"),
		pin:          get("pin", ""),
		plmn:         strings.ReplaceAll(get("carrier", "460-00"), "-", ""),
		iccid:        get("iccid", "89860000000000000001"),
		sim:          "ready",
		signal:       signal{known: true, rsrp: -91, rsrq: -10, sinr: 12, rssi: -91 + rssiAboveRSRP, ber: 99},
		cell:         cell{tac: "4977", ci: "B973F53", duplex: "FDD", pci: 134, earfcn: 1300, band: 3, act: 7},
		addr:         defaultAddr,
		wanted:       true,
		ceer:         "No cause information available",
		contexts:     []pdpContext{{1, "IP", get("apn", defaultAPN)}},
	}
	m.imsi = get("imsi", m.plmn+strings.Repeat("0", 14-len(m.plmn))+"1")
	m.operator = operatorName(m.plmn)
	m.maxN = [domains]int{3, 3, 5}
	if v, err := strconv.Atoi(sc.Device["creg-max"]); err == nil {
		m.maxN[domainCS], m.maxN[domainPS] = v, v
	}
	if v, err := strconv.Atoi(sc.Device["cereg-max"]); err == nil {
		m.maxN[domainEPS] = v
	}
	for d := range m.reg {
		m.reg[d].stat = statHome
		m.network[d].stat = statHome
	}
	m.restart()
	return m
}

func familyOf(device map[string]string) string {
	if f := device["family"]; f != "" {
		return f
	}
	who := strings.ToLower(device["profile"] + " " + device["manufacturer"])
	switch {
	case strings.Contains(who, "quectel"):
		return quectel
	case strings.Contains(who, "simcom"):
		return simcom
	}
	return generic
}

// restart sets what a restart sets.
func (m *model) restart() {
	m.echo = true
	m.cmee = map[string]int{quectel: 1, simcom: 2}[m.family] // 3GPP: 0
	m.n = [domains]int{}
	m.cgerep, m.copsForm, m.cnmiMT = 0, 0, 0
	m.simstat, m.textMode = false, false
	m.charset = "GSM"
	m.cfun, m.copsManual = 1, 0
	m.hostClosed, m.hostDetached = false, false
}

// operatorName names the networks of the built-in scenarios; others go by
// their code.
func operatorName(plmn string) string {
	switch plmn {
	case "46000", "46002", "46004", "46007", "46008", "46013", "46024":
		return "CHINA MOBILE"
	case "46001", "46006", "46009":
		return "CHN-UNICOM"
	case "46003", "46005", "46011":
		return "CHN-CT"
	case "46015":
		return "CHINA BROADNET"
	}
	return plmn
}

func (m *model) simReady() bool { return m.sim == "ready" && m.cfun != 0 }

// registration is what the modem shows for d.
func (m *model) registration(d domain) registration {
	switch {
	case m.cfun != 1 || !m.simReady() || m.copsManual == 2:
		return registration{}
	case m.camping > 0:
		return registration{stat: statSearching}
	}
	return m.reg[d]
}

func (m *model) attached() bool {
	return !m.hostDetached && (m.registration(domainPS).ok() || m.registration(domainEPS).ok())
}

func (m *model) sessionUp() bool { return m.attached() && m.wanted && !m.hostClosed }

func (m *model) anyRegistered() bool {
	return m.registration(domainCS).ok() || m.registration(domainPS).ok() || m.registration(domainEPS).ok()
}

// heard reports whether there is a cell to measure.
func (m *model) heard() bool { return m.signal.known && m.cfun == 1 }

// cpinURC is the line that tells of the card by itself, "" where the family
// has none. Quectel and openLuat captures: +CPIN: NOT READY, +CPIN: SIM REMOVED.
func (m *model) cpinURC() string {
	if m.family == generic {
		return ""
	}
	switch m.sim {
	case "ready":
		return "+CPIN: READY"
	case "pin":
		return "+CPIN: SIM PIN"
	case "puk":
		return "+CPIN: SIM PUK"
	case "absent":
		if m.family == simcom {
			return "+CPIN: SIM REMOVED"
		}
	}
	return "+CPIN: NOT READY"
}

// regLine renders a registration. lead is "2," in a reply and "" in a URC:
// TS 27.007 §10.1.22, a reply leads with <n>, the URC does not.
func (m *model) regLine(d domain, lead string) string {
	r, n := m.registration(d), m.n[d]
	line := domainCommands[d] + ": " + lead + strconv.Itoa(r.stat)
	rejected := n == 3 || n == 5
	area := n >= 2 && (r.ok() || rejected && r.stat == statDenied && m.heard())
	if area {
		line += fmt.Sprintf(",%q,%q,%d", m.cell.tac, m.cell.ci, m.cell.act)
	}
	switch {
	case r.stat == statDenied && r.cause != 0 && rejected:
		if !area {
			line += ",,,"
		}
		line += fmt.Sprintf(",%d,%d", r.causeType, r.cause)
	case area && n >= 4:
		// T3324 deactivated, T3412 of 54 min (TS 24.008 §10.5.7.4a, §10.5.7.3).
		line += `,,,"11100000","00101001"`
	}
	return line
}

// A picture is what a host may be told of unasked.
type picture struct {
	cpin     string
	inserted bool
	reg      [domains]string
	attached bool
	session  bool
}

func (m *model) picture() picture {
	pic := picture{cpin: m.cpinURC(), inserted: m.sim != "absent", attached: m.attached(), session: m.sessionUp()}
	for d := range domains {
		pic.reg[d] = m.regLine(d, "")
	}
	return pic
}

// change performs do and emits what a modem says unasked about the difference.
func (p *Player) change(by string, do func()) {
	before := p.m.picture()
	do()
	after := p.m.picture()
	m := &p.m
	if after.cpin != before.cpin {
		p.urc(after.cpin)
	}
	if m.simstat && after.inserted != before.inserted {
		p.urc("+QSIMSTAT: 1," + bit(after.inserted))
	}
	if m.cgerep > 0 {
		switch {
		case before.session && !after.session:
			p.urc("+CGEV: " + by + " PDN DEACT 1")
		case !before.session && after.session:
			p.urc("+CGEV: ME PDN ACT 1")
		}
		if before.attached && !after.attached {
			p.urc("+CGEV: " + by + " DETACH")
		}
	}
	for d := range domains {
		if m.n[d] > 0 && after.reg[d] != before.reg[d] {
			p.urc(after.reg[d])
		}
	}
}

func (p *Player) setSIM(state string) {
	p.change(byModem, func() {
		if state == "ready" && p.m.sim != "ready" {
			p.camp()
		}
		p.m.sim = state
	})
}

// camp makes the modem search for a while and then take what the network says.
func (p *Player) camp() {
	m := &p.m
	m.reg = m.network
	m.camping++
	p.at(p.now+registerTime, func() {
		p.change(byNetwork, func() { m.camping-- })
	})
}

func (p *Player) setReg(r registration, of []domain) {
	p.change(byNetwork, func() {
		for _, d := range of {
			p.m.network[d] = r
			if !p.m.reg[d].sticky {
				p.m.reg[d] = r
			}
		}
	})
}

func (p *Player) setSession(active bool, addr string, reject int) {
	p.change(byNetwork, func() {
		m := &p.m
		m.wanted, m.reject, m.hostClosed = active, reject, false
		if addr != "" {
			m.addr = addr
		}
		if text := esmText[reject]; text != "" {
			m.ceer = text
		}
	})
}

func (p *Player) setRadio(level int) {
	p.change(byModem, func() {
		if level == 1 && p.m.cfun != 1 {
			p.camp()
			p.m.hostClosed, p.m.hostDetached = false, false
		}
		p.m.cfun = level
	})
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// esmText gives the names of session causes (TS 24.301 §9.9.4.4) that +CEER
// shows after a refusal.
var esmText = map[int]string{
	8:  "Operator determined barring",
	26: "Insufficient resources",
	27: "Missing or unknown APN",
	29: "User authentication or authorization failed",
	30: "Request rejected by Serving GW or PDN GW",
	31: "Request rejected, unspecified",
	32: "Service option not supported",
	33: "Requested service option not subscribed",
	34: "Service option temporarily out of order",
	38: "Network failure",
}
