package threegpp

import "strings"

// pinStates are the words of +CPIN (TS 27.007 §8.3) and of vendors. PIN2 and
// PUK2 keep nothing from working: the card is ready.
var pinStates = map[string]SIMState{
	"READY": SIMReady, "SIM PIN2": SIMReady, "SIM PUK2": SIMReady,
	"SIM PIN": SIMPIN, "SIM PUK": SIMPUK,
	"NOT INSERTED": SIMAbsent, "NO SIM": SIMAbsent, "NO CARD": SIMAbsent, "NOSIM": SIMAbsent, "SIM NOT INSERTED": SIMAbsent, "ABSENT": SIMAbsent,
	"REMOVED": SIMRemoved, "SIM REMOVED": SIMRemoved,
	"NOT READY": SIMNotReady, "SIM NOT READY": SIMNotReady,
	"FAILURE": SIMFailure, "SIM FAILURE": SIMFailure, "ERROR": SIMFailure,
	"BUSY": SIMBusy, "SIM BUSY": SIMBusy,
	"WRONG": SIMWrong, "SIM WRONG": SIMWrong,
	"UNKNOWN": SIMUnknown,
}

// parseCPIN reads +CPIN: <code>. openLuat firmware adds the slot: "READY 0".
func parseCPIN(l line) []Fact {
	code := strings.ToUpper(unquote(l.body))
	if i := strings.LastIndexByte(code, ' '); i > 0 && digitsOnly(code[i+1:]) {
		code = strings.TrimSpace(code[:i])
	}
	state, ok := pinStates[code]
	switch {
	case ok:
	case strings.HasPrefix(code, "PH-"): // PH-SIM, PH-NET, PH-SP, ...: personalisation
		state = SIMLock
	default:
		return nil
	}
	return one(SIM{State: state, Text: code, URC: l.cmd == nil})
}

// simByCME and simByCMS are the errors that speak of the card: TS 27.007 §9.2.1
// and TS 27.005 §3.2.5. 17, 18, 317 and 318 (PIN2, PUK2) are left out: they keep
// no service away. 16, incorrect password, is about what was typed.
var (
	simByCME = map[int]SIMState{
		5: SIMLock, 6: SIMLock, 7: SIMLock, 10: SIMAbsent, 11: SIMPIN, 12: SIMPUK,
		13: SIMFailure, 14: SIMBusy, 15: SIMWrong,
		40: SIMLock, 41: SIMLock, 42: SIMLock, 43: SIMLock, 44: SIMLock, 45: SIMLock,
		46: SIMLock, 47: SIMLock, 48: SIMLock,
	}
	simByCMS = map[int]SIMState{
		310: SIMAbsent, 311: SIMPIN, 312: SIMLock, 313: SIMFailure, 314: SIMBusy,
		315: SIMWrong, 316: SIMPUK,
	}
)

// digitsOf finds the first run of n or more digits of an identity, letters A to
// F included where hex says so (ICCIDs of some Chinese series hold them).
func digitsOf(s string, least int, hex bool) string {
	from := 0
	ok := func(c byte) bool { return c >= '0' && c <= '9' || hex && isHex(c) }
	for i := 0; i <= len(s); i++ {
		if i < len(s) && ok(s[i]) {
			continue
		}
		if i-from >= least {
			return s[from:i]
		}
		from = i + 1
	}
	return ""
}

// ValidICCID reports whether s looks like an ICCID of ITU-T E.118: 89, then 18
// or 19 digits, the last of twenty being a Luhn digit. Chinese series with hex
// letters cannot be checked by Luhn and pass on their shape. A false answer is
// a remark, no reason to drop the number: cards with a wrong digit are in use.
func ValidICCID(s string) bool {
	if len(s) != 19 && len(s) != 20 || !strings.HasPrefix(s, "89") || !hexOnly(s) {
		return false
	}
	if len(s) == 19 || !digitsOnly(s) {
		return true
	}
	return luhn(s)
}

func luhn(s string) bool {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// parseICCID reads an ICCID after any prefix. The padding F of a 19-digit
// number is not part of it.
func parseICCID(l line) []Fact {
	id := digitsOf(l.body, 18, true)
	if id == "" {
		if strings.Trim(unquote(l.body), "Ff") == "" {
			return quiet // an unreadable or empty file
		}
		return nil
	}
	id = strings.TrimRight(strings.ToUpper(id), "F")
	if id == "" {
		return quiet
	}
	return one(ICCID{Value: id})
}

func iccidBlock(_ *subcommand, lines []string) []Fact {
	return eachLine(lines, func(l line) []Fact { return parseICCID(l) })
}

func imsiBlock(_ *subcommand, lines []string) []Fact {
	return eachLine(lines, func(l line) []Fact {
		if id := digitsOf(l.body, 14, false); id != "" && len(id) <= 15 {
			return one(IMSI{Value: id})
		}
		return nil
	})
}

func imeiBlock(_ *subcommand, lines []string) []Fact {
	return eachLine(lines, func(l line) []Fact {
		if id := digitsOf(l.body, 14, false); id != "" && len(id) <= 16 {
			return one(IMEI{Value: id})
		}
		return nil
	})
}

// eachLine runs a parser over the lines of a block; what it does not know stays
// as it is.
func eachLine(lines []string, parse parser) []Fact {
	var out []Fact
	for _, text := range lines {
		facts := parse(newLine(nil, text))
		if facts == nil {
			facts = one(Unparsed{Line: text})
		}
		out = append(out, facts...)
	}
	return out
}

func simReadyBanner(l line) []Fact { return one(SIM{State: SIMReady, Text: l.text, URC: true}) }
func simDropBanner(l line) []Fact  { return one(SIM{State: SIMRemoved, Text: l.text, URC: true}) }

// parseSIMST reads Huawei's ^SIMST: <state>[,<lock>]: 1 valid, 255 none, 0 and
// 2 to 4 not usable.
func parseSIMST(l line) []Fact {
	n, ok := l.num(0)
	if !ok {
		return nil
	}
	if c, ok := cardValidity(n); ok {
		return one(c)
	}
	return quiet
}
