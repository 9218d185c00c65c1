package transcript

import (
	"regexp"
	"strconv"
	"strings"
	"sync"

	"cellwarden/modem/threegpp"
)

// host reads the output of programs on the machine: it holds what a block of
// lines has said so far (which RAT, which half of a PLMN).
type host struct {
	tool    string
	section string // "lte", "gsm", "umts", "nr": the block that follows
	mcc     string
	stat    threegpp.RegStat
	endType string // quectel-CM: call_end_reason_type before the number
	ping    string // the target of a ping over the modem's interface
	cause   bool   // mbimcli: the cause of a denial was told, its state follows
}

func newHost() *host { return &host{stat: threegpp.RegUnknownStat} }

// A row is one line of a tool that is known. make may be nil: the line is
// understood and tells nothing that is needed.
type row struct {
	tool string
	expr string
	make func(h *host, m []string) []threegpp.Fact
}

func r(tool, re string, make func(h *host, m []string) []threegpp.Fact) row {
	return row{tool, `(?i)` + re, make}
}

func lazy(re string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(re) })
}

// tables are all tools' lines; the first row that fits counts.
var tables = [...][]row{shellRows, mmRows, qmiRows, mbimRows, cmRows, nmRows, androidRows, pppRows, kernelRows, dongleRows, routerRows}

// patterns are those of the tables' rows, made at their first use: the agent itself never
// needs one. The rows are plain data, since code that makes each by itself is large.
var patterns = sync.OnceValue(func() (all [len(tables)][]func() pattern) {
	for i, table := range tables {
		for _, x := range table {
			all[i] = append(all[i], lazyPattern(x.expr))
		}
	}
	return all
})

// section is the left column of mmcli.
var section = lazy(`^(?:General|Hardware|System|Numbers|Status|Modes|Bands|IP|3GPP(?: EPS)?|SIM|Bearer|Properties|IPv[46] configuration|Statistics)? *\| +`)

// feed reads one line; ok is false where no row knows it.
func (h *host) feed(p piece) (facts []threegpp.Fact, tool string, ok bool) {
	s := strings.TrimSpace(strings.TrimLeft(section().ReplaceAllString(p.text, ""), "|*-> \t"))
	if s == "" || len(s) > 2000 {
		return nil, "", false
	}
	lower := strings.ToLower(s)
	for i, table := range tables {
		for j, x := range table {
			re := patterns()[i][j]()
			if !re.may(lower) {
				continue
			}
			m := re.re.FindStringSubmatch(s)
			if m == nil {
				continue
			}
			if x.make != nil {
				facts = x.make(h, m)
			}
			return facts, x.tool, true
		}
	}
	return nil, "", false
}

// HostLines reads lines as a host tool's: what they tell, and how many of them
// were known.
func HostLines(lines []string) (facts []threegpp.Fact, known int) {
	h := newHost()
	for _, raw := range lines {
		for _, p := range unwrap(raw, func(string) {}) {
			if f, _, ok := h.feed(p); ok {
				facts = append(facts, f...)
				known++
			}
		}
	}
	return facts, known
}

// IsHostCommand reports whether s calls a host tool that is known.
func IsHostCommand(s string) bool {
	for _, p := range patterns()[0] { // shellRows
		if p().re.MatchString(strings.TrimSpace(s)) {
			return true
		}
	}
	return false
}

// Plain takes a modem's line out of what a log put around it: several where the
// line holds several, the line itself where nothing stood around it.
func Plain(line string) []string {
	s := strings.TrimSpace(line)
	if s == "" || plainModem(s) && !breaks().MatchString(s) && !caret().MatchString(s) {
		return []string{line}
	}
	ps := unwrap(line, func(string) {})
	if len(ps) == 0 {
		return nil
	}
	out := make([]string, 0, len(ps))
	for _, p := range ps {
		if !isModem(p.text) && !isCommand(p.text) {
			return []string{line} // free text keeps its form
		}
		out = append(out, p.text)
	}
	return out
}

func one(f threegpp.Fact) []threegpp.Fact { return []threegpp.Fact{f} }

func number(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return -1
	}
	return n
}

func level(s string) *float64 {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || v < -200 || v > 100 {
		return nil
	}
	return &v
}

// shellRows are the calls themselves, and a host's quest for an address.
var shellRows = []row{
	r("DHCP", `^(?:\S+ )?udhcpc(?:\[\d+\])?: no lease|^no dhcpoffers received|^dhcpcd.*: timed out`, leaseRefused),
	r("DHCP", `^(?:\S+ )?udhcpc(?:\[\d+\])?: (?:sending|started)|^dhc(?:pdiscover|prequest) on `, nil),
	r("host tools", `^(?:sudo )?ping\d? .*-I ?(?:wwan|ppp|usb|rmnet|lte|cdc)\w*.*$`, func(h *host, m []string) []threegpp.Fact {
		*h = *newHost()
		h.ping = "host"
		for _, word := range strings.Fields(m[0] + " ") {
			if strings.Count(word, ".") >= 1 && !strings.HasPrefix(word, "-") && number(word) < 0 {
				h.ping = word
			}
		}
		return nil
	}),
	r("host tools", `^(?:sudo )?(?:/\S*/)?(?:mmcli|qmicli|mbimcli|uqmi|umbim|nmcli|quectel-CM|dumpsys|adb|pppd|wvdial|ifconfig|ip (?:addr|a|link|route)|ping [^(]*$|udhcpc|gammu|dongle show|journalctl|logread|dmesg|logcat|asterisk)(?: |$)`, func(h *host, m []string) []threegpp.Fact {
		*h = *newHost()
		return nil
	}),
}

func leaseRefused(h *host, m []string) []threegpp.Fact {
	return one(threegpp.ModemProbe{Probe: "dhcp", Target: "host", Result: "timeout", Detail: m[0]})
}

func reg(stat threegpp.RegStat) threegpp.Registration {
	return threegpp.Registration{Domain: threegpp.EPS, Stat: stat, AcT: -1, ActiveTimeS: -1, PeriodicTAUS: -1}
}

// registrations are the words of all tools for a state of registration.
var registrations = map[string]threegpp.RegStat{
	"home": threegpp.RegHome, "registered": threegpp.RegHome, "registered_home": threegpp.RegHome, "reg_home": threegpp.RegHome,
	"roaming": threegpp.RegRoaming, "registered_roaming": threegpp.RegRoaming, "reg_roaming": threegpp.RegRoaming, "partner": threegpp.RegRoaming,
	"searching": threegpp.RegSearching, "not_registered_searching": threegpp.RegSearching, "not-registered-searching": threegpp.RegSearching, "not_reg_searching": threegpp.RegSearching, "not_reg_or_searching": threegpp.RegIdle,
	"idle": threegpp.RegIdle, "not_registered": threegpp.RegIdle, "not-registered": threegpp.RegIdle, "not_reg_mt_not_searching_op": threegpp.RegIdle, "not_registered_and_not_searching": threegpp.RegIdle, "deregistered": threegpp.RegIdle,
	"denied": threegpp.RegDenied, "registration_denied": threegpp.RegDenied, "registration-denied": threegpp.RegDenied, "reg_denied": threegpp.RegDenied, "reg_denied_em": threegpp.RegDenied,
	"home-sms-only": threegpp.RegSMSHome, "roaming-sms-only": threegpp.RegSMSRoaming, "emergency-only": threegpp.RegEmergency,
}

func registration(word string) []threegpp.Fact {
	word = strings.ToLower(strings.Trim(strings.TrimSpace(word), `'"`))
	if stat, ok := registrations[word]; ok {
		return one(reg(stat))
	}
	return nil
}

// sims are the words of all tools for a state of the card.
var sims = map[string]threegpp.SIMState{
	"sim-missing": threegpp.SIMAbsent, "sim missing": threegpp.SIMAbsent, "sim not inserted": threegpp.SIMAbsent, "sim-not-inserted": threegpp.SIMAbsent, "sim_absent": threegpp.SIMAbsent, "absent": threegpp.SIMAbsent, "cardstate_absent": threegpp.SIMAbsent, "not-inserted": threegpp.SIMAbsent,
	"sim-error": threegpp.SIMFailure, "error": threegpp.SIMFailure, "sim failure": threegpp.SIMFailure, "cardstate_error": threegpp.SIMFailure, "bad-sim": threegpp.SIMFailure, "sim_bad": threegpp.SIMFailure, "no-atr-received": threegpp.SIMFailure, "failure": threegpp.SIMFailure, "sim_not_ready": threegpp.SIMNotReady, "not-initialized": threegpp.SIMNotReady,
	"sim-pin": threegpp.SIMPIN, "sim pin": threegpp.SIMPIN, "sim_pin": threegpp.SIMPIN, "pin1-or-upin-pin-required": threegpp.SIMPIN, "sim pin required": threegpp.SIMPIN, "device-locked": threegpp.SIMPIN,
	"sim-puk": threegpp.SIMPUK, "sim puk": threegpp.SIMPUK, "sim_puk": threegpp.SIMPUK, "puk1-or-upin-puk-required": threegpp.SIMPUK, "sim puk required": threegpp.SIMPUK, "blocked": threegpp.SIMPUK,
	"sim-wrong": threegpp.SIMWrong, "sim wrong": threegpp.SIMWrong, "ph-net-pin": threegpp.SIMLock, "ph-sim-pin": threegpp.SIMLock, "sim_network_personalization": threegpp.SIMLock,
	"sim_ready": threegpp.SIMReady, "ready": threegpp.SIMReady, "initialized": threegpp.SIMReady, "present": threegpp.SIMReady, "loaded": threegpp.SIMReady,
}

func sim(word string) []threegpp.Fact {
	word = strings.ToLower(strings.Trim(strings.TrimSpace(word), `'"`))
	if s, ok := sims[word]; ok {
		return one(threegpp.SIM{State: s, Text: word})
	}
	return nil
}

// refused is a session that the network refused with cause n (TS 24.301
// §9.9.4.4; SM and ESM share the numbers that tools print).
func refused(n int, text, source string) []threegpp.Fact {
	if n <= 0 || n > 255 {
		return nil
	}
	return one(threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.ESM, Number: n}, Procedure: "session", Text: text, Source: source})
}

// sessionCauses are the names that tools give to session causes.
var sessionCauses = map[string]int{
	"operator-determined-barring": 8, "operator_barred": 8, "operator_determined_barring": 8, "operatordeterminedbarring": 8, "nas-signalling": 14,
	"insufficient-resources": 26, "insufficient_resources": 26, "missing-or-unknown-apn": 27, "unknown-apn": 27, "missing_unknown_apn": 27, "missingorunknownapn": 27, "unknown-pdp": 28, "unknown_pdp_address_type": 28,
	"user-authentication-failed": 29, "user_authentication": 29, "userauthenticationfailed": 29, "auth-failed": 29, "activation-reject-ggsn": 30, "activation_reject_ggsn": 30, "activation-reject-unspecified": 31, "activation_reject_unspecified": 31, "request-rejected-unspecified": 31,
	"option-not-supported": 32, "service_option_not_supported": 32, "serviceoptionnotsupported": 32, "service-option-not-supported": 32, "option-unsubscribed": 33, "service_option_not_subscribed": 33, "serviceoptionnotsubscribed": 33, "service-option-not-subscribed": 33, "requested-service-option-not-subscribed": 33,
	"option-temporarily-out-of-order": 34, "service_option_out_of_order": 34, "serviceoptionoutoforder": 34, "service-option-out-of-order": 34, "regular-deactivation": 36, "network-failure": 38, "network_failure": 38, "ipv4-only-allowed": 50, "only_ipv4_allowed": 50, "ipv6-only-allowed": 51, "only_ipv6_allowed": 51, "single-address-only-allowed": 52,
}

func sessionCause(name, source string) []threegpp.Fact {
	key := strings.ToLower(strings.Trim(name, `'" `))
	if n, ok := sessionCauses[key]; ok {
		return refused(n, key, source)
	}
	return nil
}

// noSession is a session that did not come up, for a reason that is not the
// network's cause: as an AT dialogue would show it.
func noSession(text string) []threegpp.Fact {
	return one(threegpp.Refusal{Command: "+CGACT=1,1", Final: "ERROR", Code: -1, Text: text})
}

// mobilityCauses are the names that tools give to reject causes of registration.
var mobilityCauses = map[string]int{
	"imsi-unknown-in-hss": 2, "imsi-unknown-in-hlr": 2, "illegal-ms": 3, "illegal-ue": 3, "imei-not-accepted": 5, "illegal-me": 6, "illegal-equipment": 6, "gprs-not-allowed": 7, "eps-services-not-allowed": 7, "eps-not-allowed": 7, "gprs-and-non-gprs-not-allowed": 8, "eps-and-non-eps-not-allowed": 8,
	"plmn-not-allowed": 11, "location-area-not-allowed": 12, "tracking-area-not-allowed": 12, "roaming-not-allowed-in-la": 13, "roaming-not-allowed-in-location-area": 13, "roaming-not-allowed-in-ta": 13, "gprs-not-allowed-in-plmn": 14, "no-cells-in-la": 15, "no-suitable-cells-in-la": 15, "no-cells-in-location-area": 15, "network-failure": 17, "congestion": 22,
}

func denied(cause int) []threegpp.Fact {
	f := reg(threegpp.RegDenied)
	if cause > 0 && cause < 256 {
		f.Cause = threegpp.RejectCause{Protocol: threegpp.EMM, Number: cause}
	}
	return one(f)
}

func deniedBy(name string) []threegpp.Fact {
	if n, ok := mobilityCauses[strings.ToLower(strings.Trim(name, `'" `))]; ok {
		return denied(n)
	}
	return nil
}

func up(addr string) []threegpp.Fact {
	return one(threegpp.ContextState{CID: 1, Active: true, Addr: strings.TrimSuffix(addr, ",")})
}

func down() []threegpp.Fact { return one(threegpp.ContextState{CID: 1}) }

func power(levelOf int) []threegpp.Fact { return one(threegpp.Functionality{Level: levelOf}) }
