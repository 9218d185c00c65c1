package threegpp

// parseMDSI reads Motorola G24's +MDSI: <type>,<cause>,...: the card was
// deactivated or invalidated for GSM or GPRS. The table follows from the
// number: 7, 8 and 14 exist only for the packet domain (TS 24.008 annex G).
func parseMDSI(l line) []Fact {
	n, ok := l.num(1)
	if !ok || n <= 0 || n > lastStandardCause {
		return one(ServiceState{Service: CampLimited, Text: l.text})
	}
	p := MM
	if n == 7 || n == 8 || n == 14 {
		p = GMM
	}
	return one(Reject{Cause: RejectCause{Protocol: p, Number: n}, Text: l.text, Source: "+MDSI"})
}
