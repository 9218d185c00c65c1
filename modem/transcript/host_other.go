package transcript

import (
	"strings"

	"cellwarden/modem/threegpp"
)

// androidRows: the radio log (RILJ) and dumpsys telephony.registry.
var androidRows = []row{
	r("RILJ", `< (?:data|voice)_registration_state \{? ?\[?"?(\d{1,2})\b`, func(h *host, m []string) []threegpp.Fact { return regNumber(number(m[1])) }),
	r("RILJ", `< (?:data|voice)_registration_state .*regstate ?= ?(\w+)(?:.*(?:reasondatadenied|rejectcause|reasonfordenial) ?= ?(\d+))?`, func(h *host, m []string) []threegpp.Fact {
		if n := number(m[1]); n >= 0 {
			return withCause(regNumber(n), number(m[2]))
		}
		return withCause(registration(m[1]), number(m[2]))
	}),
	r("RILJ", `< get_sim_status .*card_?state ?[=:] ?(cardstate_\w+|absent|present|error|\d)`, func(h *host, m []string) []threegpp.Fact {
		return sim(map[string]string{"0": "absent", "2": "error"}[m[1]] + map[bool]string{true: m[1]}[number(m[1]) < 0])
	}),
	r("RILJ", `(?:datacallresponse|setup_data_call|datacallinfo).*?\b(?:status|cause) ?[=:] ?(?:0x)?([0-9a-z_]+)`, func(h *host, m []string) []threegpp.Fact {
		if n := number(m[1]); n == 0 || strings.EqualFold(m[1], "none") {
			return up("")
		} else if n > 0 {
			return refused(n, "", "RILJ")
		}
		return sessionCause(m[1], "RILJ")
	}),
	r("RILJ", `< operator \{.*?(\d{5,6})\}?`, func(h *host, m []string) []threegpp.Fact { return one(threegpp.Operator{PLMN: m[1], AcT: -1}) }),
	r("RILJ", `radio_(?:off|unavailable)|< radio_state_changed .*(?:off|unavailable)`, func(h *host, m []string) []threegpp.Fact { return power(0) }),
	r("RILJ", `^\[\d{4}\]?> \w+|^\[?\d{0,4}\]?[<>] \w+|^\[unsl\]<|> (?:data|voice)_registration_state|> get_sim_status|> signal_strength|> setup_data_call`, nil),
	r("dumpsys", `registrationstate=(home|roaming|denied|not_reg_or_searching|not_reg_searching|unknown)\b.*?rejectcause=(\d+)`, func(h *host, m []string) []threegpp.Fact {
		return withCause(registration(m[1]), number(m[2]))
	}),
	r("dumpsys", `mservicestate=.*(?:mdataregstate|mdataregistrationstate)=(\d)`, func(h *host, m []string) []threegpp.Fact { return serviceState(m[1]) }),
	r("dumpsys", `mservicestate=(\d) (?:home|roaming|\d)`, func(h *host, m []string) []threegpp.Fact { return serviceState(m[1]) }),
	r("dumpsys", `(?:cellsignalstrengthlte|mlte).*?rssi=(-?\d+) rsrp=(-?\d+) rsrq=(-?\d+)(?: rssnr=(-?\d+))?`, func(h *host, m []string) []threegpp.Fact {
		s := threegpp.Signal{RAT: "lte", RSSI: level(m[1]), RSRP: level(m[2]), RSRQ: level(m[3]), BER: -1, Source: "dumpsys"}
		s.NotKnown = s.RSRP == nil // 2147483647 is "not known"
		return one(s)
	}),
	r("dumpsys", `^mdataconnectionstate=(\d)`, func(h *host, m []string) []threegpp.Fact {
		switch m[1] {
		case "2":
			return up("")
		case "0":
			return down()
		}
		return nil
	}),
	r("dumpsys", `simstate=(\w+)|gsm\.sim\.state\]?:? ?\[?(\w+)`, func(h *host, m []string) []threegpp.Fact {
		return sim(strings.ReplaceAll(m[1]+m[2], "PIN_REQUIRED", "sim_pin"))
	}),
	r("dumpsys", `^m(?:call|datactivity|dataactivity|cellinfo|cell(?:location|identity)|signalstrength|userdatadisabled|preciseddata|message|callforwarding|phone|dataconnection|default|active|forwarding|otasp|ringing|foreground|background|barring|imei|physical)\w*=|^(?:phone id|local logs|registrations|last known state)`, nil),
}

func regNumber(n int) []threegpp.Fact {
	switch n {
	case 0, 1, 2, 3, 4, 5:
		return one(reg(threegpp.RegStat(n)))
	case 10: // RIL: the same with emergency calls possible
		return one(reg(threegpp.RegIdle))
	case 12:
		return one(reg(threegpp.RegSearching))
	case 13:
		return one(reg(threegpp.RegDenied))
	}
	return nil
}

func withCause(facts []threegpp.Fact, cause int) []threegpp.Fact {
	if len(facts) == 1 && cause > 0 && cause < 256 {
		if f, ok := facts[0].(threegpp.Registration); ok && f.Stat == threegpp.RegDenied {
			f.Cause = threegpp.RejectCause{Protocol: threegpp.EMM, Number: cause}
			return one(f)
		}
	}
	return facts
}

// serviceState is Android's ServiceState: 0 in service, 1 out of service, 2
// emergency calls only, 3 radio off.
func serviceState(s string) []threegpp.Fact {
	switch s {
	case "0":
		return one(reg(threegpp.RegHome))
	case "1":
		return one(threegpp.ServiceState{Service: threegpp.CampNoService, Text: "OUT_OF_SERVICE"})
	case "2":
		return one(threegpp.ServiceState{Service: threegpp.CampLimited, Text: "EMERGENCY_ONLY"})
	case "3":
		return power(0)
	}
	return nil
}

// pppRows: pppd, chat and wvdial.
var pppRows = []row{
	r("pppd", `local +ip address (\d+\.\d+\.\d+\.\d+)`, func(h *host, m []string) []threegpp.Fact { return up(m[1]) }),
	r("pppd", `(?:pap|chap) authentication (?:failed|failure)|failed to authenticate|authentication failed`, func(h *host, m []string) []threegpp.Fact {
		return refused(29, "PPP authentication failed", "pppd")
	}),
	r("pppd", `^modem hangup|lcp terminated by peer|connection terminated|lcp: timeout sending config-requests`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.ContextEvent{By: "", Event: "DEACT", CID: 1, Text: m[0]})
	}),
	r("chat", `^(?:abort on \(|timeout set to|expect \(|send \(|report \(|alarm|set timeout|-- write timed out)|^chat: `, nil),
	r("pppd", `^(?:pppd \S+ started|serial connection established|using (?:interface|channel)|connect: ppp|(?:sent|rcvd) \[|remote ip address|primary +dns|secondary +dns|connect time|sent \d+ bytes|script .* finished|connect script failed|exit\.|terminating on signal|local +ll address|cannot determine|pap authentication succeeded|chap authentication succeeded|could not determine|serial link is not|lcp: |ipcp: |connection terminated)`, nil),
	r("wvdial", `^--> (?:wvdial|initializing modem|sending:|modem initialized|waiting for carrier|carrier detected|starting pppd|pid of pppd|using interface|don't know)`, nil),
}

// kernelRows: the host's kernel on the modem's USB.
var kernelRows = []row{
	r("kernel", `^usb [\d.-]+: usb disconnect`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Restarted{Text: "USB disconnect"})
	}),
	r("kernel", `^usb [\d.-]+: device (?:descriptor read.*error|not (?:accepting|responding))`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Restarted{Text: "USB disconnect"}) // it went and did not come back whole
	}),
	r("kernel", `^(?:usb [\d.-]+: |option(?:1)? |qmi_wwan|cdc_mbim|cdc_ncm|usbserial|usbcore|usb_wwan|gsm modem \()`, nil),
}

// dongleRows: asterisk's chan_dongle and chan_quectel.
var dongleRows = []row{
	r("chan_dongle", `^gsm registration status *: *(.*)$`, func(h *host, m []string) []threegpp.Fact {
		switch s := strings.ToLower(m[1]); {
		case strings.HasPrefix(s, "registered, home"):
			return one(regCS(threegpp.RegHome))
		case strings.HasPrefix(s, "registered, roaming"):
			return one(regCS(threegpp.RegRoaming))
		case strings.Contains(s, "but searching"):
			return one(regCS(threegpp.RegSearching))
		case strings.Contains(s, "denied"):
			return one(regCS(threegpp.RegDenied))
		case strings.Contains(s, "not searching"):
			return one(regCS(threegpp.RegIdle))
		}
		return nil
	}),
	r("chan_dongle", `^rssi *: *(\d{1,2}), *(?:-|<|>)? ?(-?\d+) ?dbm`, func(h *host, m []string) []threegpp.Fact {
		n := number(m[1])
		if n > 31 {
			return one(threegpp.Signal{NotKnown: true, BER: -1, Source: "chan_dongle"})
		}
		v := float64(-113 + 2*n)
		return one(threegpp.Signal{RSSI: &v, BER: -1, Source: "chan_dongle"})
	}),
	r("chan_dongle", `^(?:mode|submode) *: *no service`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.ServiceState{Service: threegpp.CampNoService, Text: "No Service"})
	}),
	r("chan_dongle", `^(?:device|state|audio|data|voice|sms|manufacturer|model|firmware|imei|imsi|mode|submode|provider name|location area code|cell id|subscriber number|sms service center|use ucs-2 encoding|tasks in queue|commands in queue|call waiting|current device state|desired device state|when change state|calls/channels|active|held|dialing|alerting|incoming|waiting|releasing|initializing) *: `, nil),
}

func regCS(stat threegpp.RegStat) threegpp.Registration {
	f := reg(stat)
	f.Domain = threegpp.CS
	return f
}
