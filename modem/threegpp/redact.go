package threegpp

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// longest runs of digits and hex digits that no identity can hide in: a cell of
// NR is at most eleven decimal or nine hex digits, an identity has fourteen or
// more, a telephone number of an IoT card has eleven to thirteen.
const (
	maskDigits = 12
	maskHex    = 16
	keepIMSI   = 5 // the home network
	keepOther  = 4
	keepShort  = 6 // a service number such as 10086 is no secret
)

// mask shows the class of a secret: its first characters and its length.
func mask(s string) string {
	n := utf8.RuneCountInString(s)
	keep := 0
	switch {
	case !hexOnly(strings.TrimPrefix(s, "+")):
	case n <= keepShort && digitsOnly(s):
		return s
	case n >= 14 && n <= 16 && digitsOnly(s):
		keep = keepIMSI
	case n >= maskHex:
		keep = keepOther
	case n > keepShort:
		keep = 3
	}
	return s[:min(keep, len(s))] + "…(" + strconv.Itoa(n) + ")"
}

// secretArgs says, for a command or answer, from which parameter on quoted
// parameters are secrets: PINs, user names, passwords, numbers and texts.
var secretArgs = map[string]int{
	"+CPIN": 0, "+CPWD": 1, "+CLCK": 2, "+EMPC": 0, "+QPINC": 1,
	"+QICSGP": 3, "+CGAUTH": 2, "+CSTT": 1, "+UAUTHREQ": 2, "#PDPAUTH": 2, "^AUTHDATA": 2,
	"^NDISDUP": 3, "+CNCFG": 3, "+UPSD": 3, "+MCONFIG": 0, "+QMTCONN": 1, "+CMQTTCONNECT": 4,
	"+CMGS": 0, "+CMGW": 0, "+CMGR": 1, "+CMGL": 2, "+CMT": 0, "+CDS": 0, "+CNUM": 0, "+CPBR": 1,
	"+CPBW": 1, "+CPBF": 0, "+CLIP": 0, "+CUSD": 1, "+CSCA": 0, "+COLP": 0, "+CCWA": 0,
	"+CIMI": 0, "+CGSN": 0, "+GSN": 0, "+CCID": 0, "+ICCID": 0, "+EGMR": 1, "+CSIM": 1, "+CRSM": 3,
}

// secretAnswers are those whose answer has its secrets at another place than
// the command.
var secretAnswers = map[string]int{"+QICSGP": 2}

// Redact masks the identities and secrets of a raw line or command: ICCID,
// IMSI, IMEI, telephone numbers, PINs, credentials and message texts. Cells,
// networks, addresses and cause numbers stay. A masked value keeps its length
// class: 8986…(20).
func Redact(text string) string {
	if text == "" {
		return ""
	}
	head, rest := text, ""
	name, isCommand := nameOf(text)
	if at, ok := secretArgs[name]; ok {
		if place, other := secretAnswers[name]; other && !isCommand {
			at = place
		}
		head, rest = cutHead(text)
		return maskRuns(head) + maskArgs(name, rest, at)
	}
	if name == "D" && isCommand {
		return maskDial(text)
	}
	if name == "" && isMessage(text) {
		return "text…(" + strconv.Itoa(utf8.RuneCountInString(text)) + ")"
	}
	return maskRuns(head) + rest
}

// nameOf finds the command or answer that a line begins with.
func nameOf(text string) (name string, isCommand bool) {
	s := strings.TrimSpace(text)
	if l := newLine(nil, s); l.name != "" {
		return l.name, false
	}
	t := stripAT(s)
	if t != s || t != "" && isSymbol(t[0]) {
		c := parseCommand(s)
		return c[0].name, true
	}
	if len(s) > 1 && (s[0] == 'D' || s[0] == 'd') && strings.Trim(s[1:], "0123456789+*#TPtp,;") == "" {
		return "D", true
	}
	return "", false
}

// cutHead splits after the = or : that begins the parameters.
func cutHead(text string) (head, rest string) {
	i := strings.IndexAny(text, "=:")
	if i < 0 {
		return text, ""
	}
	return text[:i+1], text[i+1:]
}

// maskArgs masks the parameters from index at on. A quoted parameter is masked
// whatever it is, a bare one where it is long enough to be an identity or,
// for a PIN, always.
func maskArgs(name, rest string, at int) string {
	pin := name == "+CPIN"
	if pin && isPinState(rest) {
		return rest
	}
	parts := strings.Split(rest, ",")
	quoted := false
	for i, part := range parts {
		opens := strings.Count(part, `"`)
		inside := quoted || strings.Contains(part, `"`)
		if opens%2 == 1 {
			quoted = !quoted
		}
		bare := strings.Trim(strings.TrimSpace(part), `"`)
		secret := inside || len(bare) > keepShort || pin && digitsOnly(bare) || name == "+CPWD"
		if i >= at && secret && bare != "" {
			parts[i] = strings.Replace(part, bare, maskSecret(name, bare), 1)
		} else {
			parts[i] = maskRuns(part)
		}
	}
	return strings.Join(parts, ",")
}

// isPinState reports whether the parameters of +CPIN are a state, not a PIN.
func isPinState(rest string) bool {
	s := strings.ToUpper(strings.Trim(strings.TrimSpace(rest), `"`))
	return parseCPIN(line{body: s}) != nil
}

// numbersIn are the answers whose strings are telephone numbers and words, so
// that a short service number may be shown.
var numbersIn = map[string]bool{
	"+CMGS": true, "+CMGW": true, "+CMGR": true, "+CMGL": true, "+CMT": true, "+CDS": true, "+CLIP": true,
}

func maskSecret(name, s string) string {
	if digitsOnly(s) && len(s) <= keepShort && numbersIn[name] {
		return s
	}
	if digitsOnly(strings.TrimPrefix(s, "+")) && len(s) > keepShort {
		return mask(s)
	}
	if hexOnly(s) && len(s) >= maskHex {
		return mask(s)
	}
	return "…(" + strconv.Itoa(utf8.RuneCountInString(s)) + ")"
}

// maskDial masks the number of a voice call; *99# and its kin are no secrets.
func maskDial(text string) string {
	if strings.ContainsAny(text, "*#") {
		return maskRuns(text)
	}
	i := strings.IndexAny(text, "0123456789+")
	if i < 0 {
		return text
	}
	number := strings.TrimRight(text[i:], ";")
	return text[:i] + mask(number) + text[i+len(number):]
}

// isMessage reports whether a line without a prefix is the text of a message:
// it has letters beyond ASCII, or it is a sentence.
func isMessage(text string) bool {
	if _, ok := banners.find(strings.TrimSpace(text)); ok || strings.Contains(text, ": ") {
		return false
	}
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return !strings.Contains(text, "…(") // already masked
		}
	}
	return len(strings.Fields(text)) >= 5
}

// maskRuns masks runs of digits and of hex digits that are long enough to be an
// identity, a telephone number or a PDU.
func maskRuns(s string) string {
	var b strings.Builder
	from := 0 // start of what is not yet written
	for i := 0; i < len(s); {
		if !isHex(s[i]) {
			i++
			continue
		}
		end, digits, letters := i, 0, 0
		for end < len(s) && isHex(s[end]) {
			if s[end] >= '0' && s[end] <= '9' {
				digits++
			} else {
				letters++
			}
			end++
		}
		plus := i > 0 && s[i-1] == '+' && digits > keepShort
		if letters == 0 && (digits >= maskDigits || plus) || digits+letters >= maskHex || longestDigits(s[i:end]) >= maskDigits {
			b.WriteString(s[from:i])
			b.WriteString(mask(s[i:end]))
			from = end
		}
		i = end
	}
	if from == 0 {
		return s
	}
	b.WriteString(s[from:])
	return b.String()
}

func longestDigits(s string) int {
	best, run := 0, 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			run++
			best = max(best, run)
		} else {
			run = 0
		}
	}
	return best
}
