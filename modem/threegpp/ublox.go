package threegpp

import "strings"

// uratModes are the modes of +URAT that hold the module to one technology
// besides its main one. LTE (3) and LTE-M (7) alone are how SARA-R4 and LARA-R2
// ship for some operators, and no lock.
var uratModes = map[string]string{"0": "GSM only", "2": "UMTS only", "8": "NB-IoT only", "9": "GPRS only"}

// parseURAT reads +URAT: <selected>[,<second>...] (u-blox AT manuals). 1 is
// "GSM and UMTS", which the second parameter of SARA-U2 then prefers.
func parseURAT(l line) []Fact {
	if len(l.args) == 0 {
		return nil
	}
	mode, single := uratModes[l.str(0)]
	return one(RadioLock{Lock: "rat", Locked: single && len(l.args) == 1, Detail: joined("URAT", strings.Join(l.args, ","), mode)})
}

// parseUSORF reads +USORF: <socket>,<bytes> or <socket>,"addr",<port>,<bytes>,...
// Nothing pending is told as a timeout, with the words for it: one reading does
// not prove that nothing will come.
func parseUSORF(l line) []Fact {
	p := ModemProbe{Probe: "udp", Result: "timeout", Detail: "0 bytes pending"}
	switch {
	case len(l.args) >= 4:
		p.Target, p.OK, p.Result, p.Detail = l.str(1), true, "ok", l.str(3)+" bytes"
	case len(l.args) != 2:
		return nil
	case l.str(1) != "0":
		p.OK, p.Result, p.Detail = true, "ok", l.str(1)+" bytes pending"
	}
	return one(p)
}

// parseUDNSRN reads +UDNSRN: "addr".
func parseUDNSRN(l line) []Fact {
	p := ModemProbe{Probe: "dns", OK: true, Result: "ok"}
	if l.cmd != nil {
		p.Target = l.cmd.str(1)
	}
	return one(p)
}

// parseUUPSDD reads +UUPSDD: <profile>, the loss of a context.
func parseUUPSDD(l line) []Fact {
	return one(ContextEvent{By: "NW", Event: "PDN DEACT", CID: -1, Text: l.text})
}
