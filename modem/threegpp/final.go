package threegpp

import (
	"strings"
)

// Final is a final result: the line that ends the answer to a command.
type Final struct {
	OK   bool
	Kind string // "OK", "ERROR", "CME", "CMS", "CIS", "NO CARRIER", "CONNECT", ...
	Code int    // the number of a CME, CMS or CIS error; -1 when none is known
	Text string // the words of an error or the rest of a CONNECT; "" for OK and ERROR
}

// plainFinals are the finals that are one fixed line. SHUT OK, SEND OK, SEND
// FAIL and CLOSE OK are SIMCom's, in place of OK and ERROR (SIM800 AT manual
// V1.09 §8); COMMAND NOT SUPPORT and TOO MANY PARAMETERS come from Huawei and
// ZTE firmware.
var plainFinals = map[string]bool{
	"OK": true, "SHUT OK": true, "SEND OK": true, "CLOSE OK": true,
	"ERROR": false, "NO CARRIER": false, "BUSY": false, "NO ANSWER": false,
	"NO DIALTONE": false, "NO DIAL TONE": false, "SEND FAIL": false,
	"COMMAND NOT SUPPORT": false, "TOO MANY PARAMETERS": false, "ABORTED": false,
}

// ParseFinal reads a final result. CONNECT OK and CONNECT FAIL are not finals:
// they follow the OK of the socket command that they belong to.
func ParseFinal(text string) (Final, bool) {
	s := strings.TrimSpace(text)
	if ok, found := plainFinals[s]; found {
		kind := s
		if ok {
			kind = "OK"
		}
		f := Final{OK: ok, Kind: kind, Code: -1}
		if kind != s {
			f.Text = s
		}
		return f, true
	}
	if rest, ok := strings.CutPrefix(s, "CONNECT"); ok {
		rest = strings.TrimSpace(rest)
		if rest == "OK" || rest == "FAIL" || rest != "" && !digitsOnly(rest[:1]) {
			return Final{}, false
		}
		return Final{OK: true, Kind: "CONNECT", Code: -1, Text: rest}, true
	}
	if len(s) < len("+CME ERROR") || s[0] != '+' || !strings.EqualFold(s[4:10], " ERROR") {
		return Final{}, false
	}
	kind := strings.ToUpper(s[1:4])
	if kind != "CME" && kind != "CMS" && kind != "CIS" {
		return Final{}, false
	}
	words := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s[10:]), ":"))
	f := Final{Kind: kind, Code: -1, Text: words}
	if n, err := atoi(words); err == nil {
		f.Code, f.Text = n, ""
	}
	return f, true
}

// numericFinals are the result codes of V0 (V.250 table 1).
var numericFinals = map[string]Final{
	"0": {OK: true, Kind: "OK", Code: -1},
	"1": {OK: true, Kind: "CONNECT", Code: -1},
	"3": {Kind: "NO CARRIER", Code: -1},
	"4": {Kind: "ERROR", Code: -1},
	"6": {Kind: "NO DIALTONE", Code: -1},
	"7": {Kind: "BUSY", Code: -1},
	"8": {Kind: "NO ANSWER", Code: -1},
}

// ParseNumericFinal reads the digits that a modem under V0 sends as finals. It
// is apart from ParseFinal because a lone digit can also be data.
func ParseNumericFinal(text string) (Final, bool) {
	f, ok := numericFinals[strings.TrimSpace(text)]
	return f, ok
}
