package threegpp

import "strings"

// Lines that no parser owns are read by their words, as far as these mean one
// thing in any wording: a supply that is too weak, heat, a crash, a start, a stop.
// Vendors spell them as they like ("UNDER-VOLTAGE WARNNING", "^SBC: Undervoltage",
// "REBOOT_CAUSE_PROTOCOL_ASSERT"), so the words decide and not the line.

// wordClass is what one of its words, at word bounds, makes of a line.
type wordClass struct {
	words []string // as plainWords has them: lower case, no hyphens
	fact  func(text string) Fact
}

var wordClasses = []wordClass{
	{[]string{"undervoltage", "under voltage", "low voltage", "voltage low", "vbattlow", "vbatt low", "low vbatt", "battery low", "low battery", "brownout", "brown out", "power supply low"},
		func(string) Fact { return PowerState{Alarm: "undervoltage"} }},
	{[]string{"overvoltage", "over voltage", "high voltage"}, func(string) Fact { return PowerState{Alarm: "overvoltage"} }},
	{[]string{"overtemperature", "over temperature", "overtemp", "overheat", "overheated", "overheating", "critical temperature", "temperature critical", "high temperature"},
		func(string) Fact { return PowerState{Alarm: "overheated"} }},
	{[]string{"crash", "crashed", "assert", "asserted", "assertion", "fatal", "panic", "watchdog", "wdt", "hardfault", "exception", "dump", "stack overflow"},
		func(text string) Fact { return Restarted{Text: text, Crash: true} }},
	{[]string{"normal power down", "powered down"}, func(string) Fact { return PoweredOff{} }},
	{[]string{"power down", "power off", "poweroff", "shutdown", "shut down", "shutting down"}, func(string) Fact { return PowerState{Alarm: "shut down"} }},
	{[]string{"reboot", "rebooting", "rebooted", "restart", "restarted", "reset", "resetting", "startup", "system start", "system started", "boot", "booting", "bootup", "sysstart", "at ready", "rdy", "modem ready"},
		func(text string) Fact { return Restarted{Text: text} }},
}

// harmless are words beside which the same ones report no trouble: "crash dump
// disabled", "shutdown complete: no".
var harmless = []string{"disabled", "disable", "no", "not", "none", "normal", "ok", "cleared", "recovered"}

// byWords reads an unsolicited line that no parser owns.
func byWords(l line) []Fact {
	plain := plainWords(l.text)
	if len(plain) > 120 || strings.Count(plain, " ") > 12 {
		return nil // a sentence of somebody's log, which says more than a banner
	}
	for _, class := range wordClasses {
		for _, w := range class.words {
			if !hasWords(plain, w) {
				continue
			}
			if w != "normal power down" && anyWord(plain, harmless) {
				return nil
			}
			return one(class.fact(l.text))
		}
	}
	return nil
}

func anyWord(plain string, words []string) bool {
	for _, w := range words {
		if hasWords(plain, w) {
			return true
		}
	}
	return false
}

// alarmByWords reads the supply and the heat alone, for lines inside an answer:
// there a version or a counter may well speak of boots and resets.
func alarmByWords(l line) []Fact {
	for _, f := range byWords(l) {
		if p, ok := f.(PowerState); ok && p.Alarm != "shut down" {
			return one(p)
		}
	}
	return nil
}

// hostLog reads lines of ModemManager and of QMI tools that a case may hold among
// the unsolicited ones.
func hostLog(l line) []Fact {
	plain := plainWords(l.text)
	switch {
	case strings.Contains(plain, "verbose call end reason 6 "), strings.Contains(plain, "call end reason verbose type 6 "):
		// Type 6 are the causes of the network itself (QMI WDS, "3GPP spec").
		_, rest, _ := strings.Cut(plain, "reason 6 ")
		word, _, _ := strings.Cut(rest, " ")
		if n, err := atoi(word); err == nil && n > 0 && n < 128 {
			return one(Reject{Cause: RejectCause{Protocol: ESM, Number: n}, Procedure: "session", Text: l.text, Source: "host"})
		}
	case hasWords(plain, "simmissing"), hasWords(plain, "sim missing"), hasWords(plain, "sim not inserted"), hasWords(plain, "no sim card"):
		return one(SIM{State: SIMAbsent, Text: "SIM missing", URC: true})
	case hasWords(plain, "simpin"), hasWords(plain, "sim pin required"), hasWords(plain, "sim puk required"):
		return one(SIM{State: SIMPIN, Text: "SIM PIN", URC: true})
	case hasWords(plain, "registration denied"), hasWords(plain, "notregistereddenied"):
		return one(Registration{Domain: PS, Stat: RegDenied, AcT: -1, URC: true, ActiveTimeS: -1, PeriodicTAUS: -1})
	}
	return nil
}
