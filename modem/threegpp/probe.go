package threegpp

// silentProbe and refusedProbe are the tests whose failure is the missing
// answer or the error itself.
func silentProbe(c *subcommand) (ModemProbe, bool) {
	if c.op == "=" && c.purpose().Has(Connects) {
		return ModemProbe{Probe: "tcp", Result: "timeout", Detail: "no answer to " + c.name}, true
	}
	if c.name == "+UDNSRN" && c.op == "=" {
		return ModemProbe{Probe: "dns", Target: c.str(1), Result: "timeout"}, true
	}
	return ModemProbe{}, false
}

func refusedProbe(c *subcommand) (ModemProbe, bool) {
	if c.name == "+UDNSRN" && c.op == "=" {
		return ModemProbe{Probe: "dns", Target: c.str(1), Result: "dns_error"}, true
	}
	return ModemProbe{}, false
}
