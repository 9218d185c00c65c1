package threegpp

import "strings"

// setFacts are what a command that was answered OK has set.
func setFacts(c *subcommand) []Fact {
	if switchesOff[c.name] && c.op != "?" && c.op != "=?" {
		return one(PoweredOff{})
	}
	if c.op != "=" {
		return nil
	}
	if f, ok := setters[c.name]; ok {
		return f(c)
	}
	return credentials(c.name, c.args, true)
}

// switchesOff are the commands that switch the module off (SIMCom, Quectel,
// Cinterion, Telit, u-blox, Fibocom and Sequans AT manuals).
var switchesOff = map[string]bool{"+CPOWD": true, "+QPOWD": true, "^SMSO": true, "#SHDN": true, "#SYSHALT": true, "+CPWROFF": true, "+CPOF": true, "+MSO": true, "+SQNSSHDN": true}

var setters = map[string]func(c *subcommand) []Fact{
	"+CFUN":        setCFUN,
	"+CGATT":       setCGATT,
	"+CGACT":       setCGACT,
	"+QIACT":       func(c *subcommand) []Fact { return contextSet(c, true) },
	"+QIDEACT":     func(c *subcommand) []Fact { return contextSet(c, false) },
	"+CGDCONT":     setCGDCONT,
	"+QICSGP":      setQICSGP,
	"+CSTT":        setCSTT,
	"+CPSMS":       setCPSMS,
	"+COPS":        setCOPS,
	"+CNMP":        func(c *subcommand) []Fact { return setNumber(c, cnmpLock) },
	"+CMNB":        func(c *subcommand) []Fact { return setNumber(c, cmnbLock) },
	"+CBANDCFG":    func(c *subcommand) []Fact { return one(bandList(c.args, true)) },
	"+QNWLOCK":     setQNWLOCK,
	"+QCFG":        func(c *subcommand) []Fact { return quectelConfig(c.args, true) },
	"+QNWPREFCFG":  func(c *subcommand) []Fact { return setLock(c, parseQNWPREFCFG) },
	"+URAT":        func(c *subcommand) []Fact { return setLock(c, parseURAT) },
	"%XSYSTEMMODE": func(c *subcommand) []Fact { return setLock(c, parseXSYSTEMMODE) },
	"^SYSCFGEX":    func(c *subcommand) []Fact { return setLock(c, parseSYSCFGEX) },
	"+QSIMDET":     setDetect,
	"+CSDT":        setDetect,
}

func setCFUN(c *subcommand) []Fact {
	n, ok := c.num(0)
	if !ok {
		return nil
	}
	return one(Functionality{Level: n, Set: true})
}

func setCGATT(c *subcommand) []Fact {
	n, ok := c.num(0)
	if !ok {
		return nil
	}
	return one(Attach{Attached: n == 1})
}

// setCGACT: +CGACT=<state>[,<cid>[,<cid>...]]. OK comes when it is done; without
// a cid all contexts are meant, which are not known here.
func setCGACT(c *subcommand) []Fact {
	state, ok := c.num(0)
	if !ok {
		return nil
	}
	var facts []Fact
	for i := 1; i < len(c.args); i++ {
		if cid, ok := c.num(i); ok {
			facts = append(facts, ContextState{CID: cid, Active: state == 1})
		}
	}
	return facts
}

func contextSet(c *subcommand, active bool) []Fact {
	cid, ok := c.num(0)
	if !ok {
		return nil
	}
	return one(ContextState{CID: cid, Active: active})
}

func setCGDCONT(c *subcommand) []Fact {
	cid, ok := c.num(0)
	if !ok || len(c.args) < 2 {
		return nil // +CGDCONT=<cid> alone deletes the context
	}
	return one(ContextConfig{CID: cid, Type: c.str(1), APN: c.str(2), Set: true})
}

// setQICSGP: +QICSGP=<cid>,<type>,<apn>,<user>,<password>,<auth>; with the cid
// alone it is a question.
func setQICSGP(c *subcommand) []Fact {
	cid, ok := c.num(0)
	if !ok || len(c.args) < 3 {
		return nil
	}
	return one(ContextConfig{CID: cid, Type: qicsgpTypes[c.str(1)], APN: c.str(2), Set: true, AuthHash: authHash(c.str(3), c.str(4))})
}

func setCPSMS(c *subcommand) []Fact {
	n, ok := c.num(0)
	if !ok && len(c.args) > 0 {
		return nil
	}
	return one(PowerSaving{Asked: n == 1})
}

func setCSTT(c *subcommand) []Fact {
	if len(c.args) == 0 {
		return nil
	}
	return one(ContextConfig{CID: simcomContext, APN: c.str(0), Set: true, AuthHash: authHash(c.str(1), c.str(2))})
}

// setCOPS: mode 1 holds the modem to one network, 0 and 4 let it choose, 2
// takes it off the air, 3 sets the format only.
func setCOPS(c *subcommand) []Fact {
	switch c.str(0) {
	case "0":
		return one(RadioLock{Lock: "plmn", Detail: "COPS mode 0", Set: true})
	case "1", "4":
		l := RadioLock{Lock: "plmn", Locked: c.str(0) == "1", Detail: joined("COPS mode "+c.str(0), c.str(2)), Set: true}
		if c.str(1) == "2" && digitsOnly(c.str(2)) {
			l.PLMN = c.str(2)
		}
		return one(l)
	case "2":
		return one(Operator{Mode: 2, AcT: -1})
	}
	return nil
}

func setNumber(c *subcommand, lock func(n int, set bool) RadioLock) []Fact {
	n, ok := c.num(0)
	if !ok {
		return nil
	}
	return one(lock(n, true))
}

func setQNWLOCK(c *subcommand) []Fact {
	if len(c.args) < 2 {
		return nil // a question
	}
	return quectelLock(c.args, true)
}

// setLock reads the parameters of a command as its own answer would be read.
func setLock(c *subcommand, parse parser) []Fact {
	if len(c.args) == 0 {
		return nil
	}
	facts := parse(line{args: c.args, body: strings.Join(c.args, ",")})
	for i, f := range facts {
		if lock, ok := f.(RadioLock); ok {
			lock.Set = true
			facts[i] = lock
		}
	}
	return facts
}

func setDetect(c *subcommand) []Fact {
	n, ok := c.num(0)
	if !ok {
		return nil
	}
	return one(SIMDetect{Enabled: n == 1, Set: true})
}
