package transcript

import (
	"strings"

	"cellwarden/modem/threegpp"
)

// mmRows: mmcli (plain and -K), and ModemManager's log.
var mmRows = []row{
	r("mmcli", `^(?:status)?[ |]*state ?: '?(failed|locked|disabled|disabling|enabling|enabled|searching|registered|connecting|connected|disconnecting|initializing|unknown)'?(?: \(.*\))?$`, func(h *host, m []string) []threegpp.Fact { return mmState(m[1]) }),
	r("mmcli", `^modem\.generic\.state +: (\w+)`, func(h *host, m []string) []threegpp.Fact { return mmState(m[1]) }),
	r("mmcli", `^(?:modem\.generic\.state-failed-reason|failed reason) *: '?([\w-]+)'?`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("mmcli", `^(?:modem\.generic\.power-state|power state) *: '?(on|low|off)'?`, func(h *host, m []string) []threegpp.Fact {
		return power(map[string]int{"on": 1, "low": 4, "off": 0}[strings.ToLower(m[1])])
	}),
	r("mmcli", `^(?:modem\.generic\.unlock-required|(?:status *\| *)?lock) *: '?(sim-pin|sim-puk|none|sim-pin2|sim-puk2|ph-[\w-]+|--)'?$`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("mmcli", `^(?:modem\.generic\.signal-quality\.value|signal quality) *: '?(\d+)'?%?(?: *'?\((recent|cached)\)|'? \(\w+\))?`, func(h *host, m []string) []threegpp.Fact {
		return quality(number(m[1]), "mmcli")
	}),
	r("mmcli", `^(?:modem\.3gpp\.registration-state|(?:3gpp[ |]*)?registration) *: '?([\w-]+)'?$`, func(h *host, m []string) []threegpp.Fact { return registration(m[1]) }),
	r("mmcli", `^(?:modem\.3gpp\.operator-code|operator (?:id|code)) *: '?(\d{5,6})'?`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Operator{PLMN: m[1], AcT: -1})
	}),
	r("mmcli", `^(?:modem\.3gpp\.packet-service-state|packet service(?: state)?) *: '?(attached|detached)'?`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Attach{Attached: strings.EqualFold(m[1], "attached")})
	}),
	r("mmcli", `^(?:modem\.3gpp\.registration-reject-cause|reject cause) *: '?(\d+)'?`, func(h *host, m []string) []threegpp.Fact { return denied(number(m[1])) }),
	r("mmcli", `^(?:bearer\.status\.connected|(?:status[ |]*)?connected) *: '?(yes|no)'?`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "yes") {
			return up("")
		}
		return down()
	}),
	r("mmcli", `^(?:bearer\.properties\.apn|(?:properties[ |]*)?apn) *: '?([\w.-]{2,60})'?$`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.ContextConfig{CID: 1, APN: m[1]})
	}),
	r("mmcli", `^(?:bearer\.ipv4-config\.address|(?:ipv4 configuration[ |]*)?address) *: '?(\d+\.\d+\.\d+\.\d+)'?`, func(h *host, m []string) []threegpp.Fact { return up(m[1]) }),
	r("mmcli", `^(?:modem\.|bearer\.|sim\.|\*?\.? ?)(?:generic|3gpp|status|properties|dbus-path|cdma|hardware|system|bearer|ipv4|ipv6|stats|type|ports)[\w.-]*(?:\[\d+\]|\.length|\.value\[\d+\])? *:`, nil),
	r("mmcli", `^(?:general|hardware|system|numbers|modes|bands|ip|3gpp|sim|status|bearer|properties|statistics)? *\|? *(?:path|device id|manufacturer|model|firmware revision|carrier config|carrier config revision|h/w revision|supported|current|equipment id|device|physdev|drivers|plugin|primary port|ports|own|unlock retries|access tech|enabled locks|operator name|primary sim path|sim slot paths|ue mode of operation|initial bearer path|initial bearer apn|initial bearer ip type|pdn|method|prefix|gateway|dns|mtu|duration|bytes rx|bytes tx|attempts|attempts-failed|failed-attempts|ip type|roaming|suspended|multiplexed|ip timeout|interface|emergency only|active|imsi|iccid|operator id|gid1|pco|uplink-speed|downlink-speed|start date) *:`, nil),
	// ModemManager's log
	r("ModemManager", `3gpp registration state changed \([\w-]+ (?:->|→|-+>) ([\w-]+)\)`, func(h *host, m []string) []threegpp.Fact { return registration(m[1]) }),
	r("ModemManager", `connection attempt #?\d+ failed: (?:\w+: )?['"]?([\w -]+)`, func(h *host, m []string) []threegpp.Fact {
		if f := sessionCause(strings.ReplaceAll(strings.TrimSpace(m[1]), " ", "-"), "ModemManager"); f != nil {
			return f
		}
		return noSession(m[1])
	}),
	// Back from connecting: it did not come about. The reason, if any, has its own line.
	r("ModemManager", `state changed \(connecting (?:->|→|-+>) (registered|enabled|searching)\)`, func(h *host, m []string) []threegpp.Fact {
		return append(mmState(m[1]), noSession("connecting failed")...)
	}),
	r("ModemManager", `state changed \([\w-]+ (?:->|→|-+>) (\w+)\)`, func(h *host, m []string) []threegpp.Fact { return mmState(m[1]) }),
	r("ModemManager", `modem in failed state: ([\w-]+)`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("ModemManager", `error initializing: (?:.*: )?(sim-missing|sim-error)`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("ModemManager", `check unlock status: (sim (?:not inserted|failure|busy|wrong|pin required|puk required))`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("ModemManager", `\b(sim missing|sim-missing|sim not inserted)\b`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("ModemManager", `modemmanager1\.error\.mobileequipment\.(?:gprs\.?)?(\w+)`, func(h *host, m []string) []threegpp.Fact {
		name := strings.ToLower(m[1])
		if f := sessionCause(name, "ModemManager"); f != nil {
			return f
		}
		return sim(map[string]string{"simnotinserted": "sim-missing", "simpin": "sim-pin", "simpuk": "sim-puk", "simfailure": "sim-error", "simwrong": "sim-wrong"}[name])
	}),
	r("ModemManager", `\[\S+\] simple connect (?:started|state)|simple connect state \(\d/\d\): |new bearer created|modem for device .* (?:successfully created|claimed)|port .* (?:released|claimed)`, nil),
	r("ModemManager", `modem couldn't be initialized:?$`, nil),
	r("ModemManager", `signal quality updated \((\d+)\)`, func(h *host, m []string) []threegpp.Fact { return quality(number(m[1]), "ModemManager") }),
	r("ModemManager", `couldn't (?:enable|set) (?:power|interface).*(?:hw|hardware) radio`, func(h *host, m []string) []threegpp.Fact { return power(4) }),
}

// mmState is a modem's state (MMModemState). What lies above "enabled" says how
// it stands with the network.
func mmState(word string) []threegpp.Fact {
	switch strings.ToLower(word) {
	case "searching":
		return one(reg(threegpp.RegSearching))
	case "registered":
		return one(reg(threegpp.RegHome))
	case "connected":
		return append(one(reg(threegpp.RegHome)), up("")...)
	}
	return nil
}

// quality is ModemManager's figure in per cent: of a CSQ of 31. Zero is what it
// shows where it knows nothing.
func quality(percent int, source string) []threegpp.Fact {
	if percent <= 0 || percent > 100 {
		return nil
	}
	rssi := -113 + 2*float64(percent*31/100)
	return one(threegpp.Signal{RSSI: &rssi, BER: -1, Source: source})
}

// qmiRows: qmicli and uqmi.
var qmiRows = []row{
	r("qmicli", `^registration state ?: '([\w-]+)'`, func(h *host, m []string) []threegpp.Fact {
		h.stat = registrations[strings.ToLower(m[1])]
		return registration(m[1])
	}),
	r("qmicli", `^roaming status ?: '(on|off)'`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "on") && h.stat == threegpp.RegHome {
			return one(reg(threegpp.RegRoaming))
		}
		return nil
	}),
	r("qmicli", `^ps ?: '(attached|detached)'`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Attach{Attached: strings.EqualFold(m[1], "attached")})
	}),
	r("qmicli", `^(?:registration )?reject cause ?: '?(\d+)`, func(h *host, m []string) []threegpp.Fact { return denied(number(m[1])) }),
	r("qmicli", `^(?:registration )?reject(?:ion)? cause ?: '([a-z-]+)'`, func(h *host, m []string) []threegpp.Fact { return deniedBy(m[1]) }),
	r("qmicli", `^mcc ?: '(\d{3})'`, func(h *host, m []string) []threegpp.Fact { h.mcc = m[1]; return nil }),
	r("qmicli", `^mnc ?: '(\d{1,3})'`, func(h *host, m []string) []threegpp.Fact {
		if h.mcc == "" {
			return nil
		}
		mnc := m[1]
		if len(mnc) == 1 {
			mnc = "0" + mnc
		}
		return one(threegpp.Operator{PLMN: h.mcc + mnc, AcT: -1})
	}),
	r("qmicli", `^(lte|wcdma|gsm|umts|5g|nr5g|hdr|cdma(?: 1x)?)(?: service)?:$`, func(h *host, m []string) []threegpp.Fact {
		h.section = map[string]string{"lte": "lte", "wcdma": "umts", "umts": "umts", "gsm": "gsm", "5g": "nr", "nr5g": "nr"}[strings.ToLower(m[1])]
		return nil
	}),
	r("qmicli", `^rssi ?: '(-?\d+(?:\.\d+)?) dbm'`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Signal{RAT: h.section, RSSI: level(m[1]), BER: -1, Source: "qmicli"})
	}),
	r("qmicli", `^rsrp ?: '(-?\d+(?:\.\d+)?) dbm'`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Signal{RAT: "lte", RSRP: level(m[1]), BER: -1, Source: "qmicli"})
	}),
	r("qmicli", `^rsrq ?: '(-?\d+(?:\.\d+)?) db'`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Signal{RAT: "lte", RSRQ: level(m[1]), BER: -1, Source: "qmicli"})
	}),
	r("qmicli", `^snr ?: '(-?\d+(?:\.\d+)?) db'`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Signal{RAT: "lte", SINR: level(m[1]), BER: -1, Source: "qmicli"})
	}),
	r("qmicli", `^card state ?: '(present|absent|error: [\w-]+)(?: \(\d+\))?'`, func(h *host, m []string) []threegpp.Fact {
		if why, ok := strings.CutPrefix(strings.ToLower(m[1]), "error: "); ok {
			if f := sim(why); f != nil {
				return f
			}
			return sim("error")
		}
		if strings.EqualFold(m[1], "present") {
			return nil // in the slot; whether it can be used, its application says
		}
		return sim(m[1])
	}),
	r("qmicli", `^application state ?: '([\w-]+)'`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("qmicli", `^pin1 state ?: '(blocked|permanently-blocked)'`, func(h *host, m []string) []threegpp.Fact { return sim("sim-puk") }),
	r("qmicli", `^(?:operating )?mode ?: '(online|low-power|persistent-low-power|offline|factory-test|reset|shutting-down|mode-only-low-power)'`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "online") {
			return power(1)
		}
		return power(4)
	}),
	r("qmicli", `^hw restricted ?: '(yes|no)'`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "yes") {
			return power(4)
		}
		return nil
	}),
	r("qmicli", `^connection status ?: '(connected|disconnected)'`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "connected") {
			return up("")
		}
		return down()
	}),
	r("qmicli", `^ipv4 address ?: (\d+\.\d+\.\d+\.\d+)`, func(h *host, m []string) []threegpp.Fact { return up(m[1]) }),
	r("qmicli", `verbose call end reason ?\((\d+), ?(\d+)\)`, func(h *host, m []string) []threegpp.Fact {
		if m[1] == "6" { // 3GPP specification
			return refused(number(m[2]), "", "qmi")
		}
		return noSession("call end " + m[1] + "," + m[2])
	}),
	r("qmicli", `^call end reason \(\d+\): '?([\w-]+)'?`, nil),
	r("qmicli", `couldn't (?:start network|connect).*(?:qmi protocol error|callfailed)`, func(h *host, m []string) []threegpp.Fact { return noSession("CallFailed") }),
	r("qmicli", `^error: .*qmi protocol error \(\d+\)`, nil),
	r("qmicli", `packet data handle|network started|^\[/dev/cdc-wdm\d\] (?:successfully|profile|service status|client id|operating mode|network)`, nil),
	r("qmicli", `^(?:cs|selected network|radio interfaces|current plmn|detailed status|description|status|capability|hdr status|imsi|cid|service|data service capabilities|\[\d\]|domain|lac|cell id|tac|rat|io|ecio|antenna|pin1 retries|puk1 retries|primary|slot \[\d\]|application \[\d\]|type|personalization state|active pdn|forbidden|location area code|3gpp)[\w ()/'-]*: ?(?:'.*'|\d*)?$`, nil),
	r("uqmi", `^\{? *"?registration"? ?: ?"([\w_]+)"`, func(h *host, m []string) []threegpp.Fact { return registration(m[1]) }),
	r("uqmi", `"rssi" ?: ?(-?\d+)`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Signal{RAT: "lte", RSSI: level(m[1]), BER: -1, Source: "uqmi"})
	}),
	r("uqmi", `"pin1_status" ?: ?"(\w+)"`, func(h *host, m []string) []threegpp.Fact {
		return sim(map[string]string{"blocked": "sim-puk", "permanently_blocked": "sim-puk", "not_verified": "sim-pin"}[strings.ToLower(m[1])])
	}),
	r("uqmi", `^"?(sim_absent|sim not inserted|sim not initialized|uim uninitialized)"?$`, func(h *host, m []string) []threegpp.Fact {
		return sim(strings.ReplaceAll(m[1], "uim uninitialized", "sim_not_ready"))
	}),
	r("uqmi", `^"(connected|disconnected)"$`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "connected") {
			return up("")
		}
		return down()
	}),
	r("uqmi", `waiting for (?:network registration|sim initialization)|unable to connect ipv4|starting network \w+|setting up \w+|"(?:call failed|no effect|policy mismatch|out of call|not provisioned|unknown error|failed to connect)"|unable to connect`, nil),
	r("uqmi", `^\{? *"(?:plmn_mcc|plmn_mnc|plmn_description|roaming|type|rsrq|rsrp|snr|ecio|pin1_verify_tries|pin1_unblock_tries|pin2_\w+|ip-family|ip|gateway|subnet|dns1|dns2|mtu)" ?:|^[{}],?$`, nil),
}

// mbimRows: mbimcli and umbim.
var mbimRows = []row{
	r("mbimcli", `^(?:register state|registerstate) ?: '?([\w-]+)'?`, func(h *host, m []string) []threegpp.Fact {
		f := registration(m[1])
		if h.cause && len(f) == 1 && f[0].(threegpp.Registration).Stat == threegpp.RegDenied {
			return nil // told, with its cause, a line before
		}
		return f
	}),
	r("mbimcli", `^(?:network error|nwerror|nw error) ?: '?([\w-]+)'?`, func(h *host, m []string) []threegpp.Fact {
		f := deniedBy(m[1])
		if n := number(m[1]); f == nil && n > 0 {
			f = denied(n)
		}
		h.cause = f != nil
		return f
	}),
	r("mbimcli", `^(?:ready state|readystate) ?: '?([\w-]+)'?`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("mbimcli", `^(?:hardware|software) radio state ?: '(on|off)'`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "off") {
			return power(4)
		}
		return nil
	}),
	r("mbimcli", `radio state retrieved: '([\w-]+)'`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "fcc-locked") || strings.EqualFold(m[1], "off") {
			return power(4)
		}
		return nil
	}),
	r("mbimcli", `^packet service state ?: '(attached|detached|attaching)'`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Attach{Attached: strings.EqualFold(m[1], "attached")})
	}),
	r("mbimcli", `^activation state ?: '(activated|deactivated)'`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "activated") {
			return up("")
		}
		return down()
	}),
	r("mbimcli", `^rssi ?(?:\[0-31\])? ?: '?(\d{1,2})'?(?: \(.*\))?$`, func(h *host, m []string) []threegpp.Fact {
		if n := number(m[1]); n >= 0 && n <= 31 {
			v := float64(-113 + 2*n)
			return one(threegpp.Signal{RSSI: &v, BER: -1, Source: "mbimcli"})
		}
		return one(threegpp.Signal{NotKnown: true, BER: -1, Source: "mbimcli"})
	}),
	r("mbimcli", `^(?:pin type|pintype) ?: '?(pin1|puk1)'?`, func(h *host, m []string) []threegpp.Fact {
		return sim(map[string]string{"pin1": "sim-pin", "puk1": "sim-puk"}[strings.ToLower(m[1])])
	}),
	r("mbimcli", `operation failed: ([A-Za-z]+)$`, func(h *host, m []string) []threegpp.Fact {
		return sim(map[string]string{"simnotinserted": "sim-missing", "pinrequired": "sim-pin", "badsim": "sim-error"}[strings.ToLower(m[1])])
	}),
	r("mbimcli", `^provider id ?: '(\d{5,6})'`, func(h *host, m []string) []threegpp.Fact { return one(threegpp.Operator{PLMN: m[1], AcT: -1}) }),
	r("mbimcli", `^(?:\[/dev/\S+\] [\w ]+:?|register mode|available data classes|current cellular class|provider name|roaming text|registration flags|highest available data class|uplink speed|downlink speed|session id|voice call state|ip type|context type|error rate|rssi threshold|error rate threshold|subscriber id|sim iccid|telephone numbers.*|ready info) ?:? ?(?:'.*')?$`, nil),
}

// cmRows: quectel-CM and the programs made of it.
var cmRows = []row{
	r("quectel-CM", `requestgetsimstatus simstatus: (sim_\w+)`, func(h *host, m []string) []threegpp.Fact { return sim(m[1]) }),
	r("quectel-CM", `requestregistrationstate2? mcc: (\d+), mnc: (\d+), ps: (attached|detached)`, func(h *host, m []string) []threegpp.Fact {
		out := one(threegpp.Attach{Attached: strings.EqualFold(m[3], "attached")})
		if strings.EqualFold(m[3], "attached") {
			out = append(out, reg(threegpp.RegHome))
			mnc := m[2]
			if len(mnc) == 1 {
				mnc = "0" + mnc
			}
			return append(out, threegpp.Operator{PLMN: m[1] + mnc, AcT: -1})
		}
		return out
	}),
	r("quectel-CM", `requestquerydatacall ipv4connectionstatus: (connected|disconnected)`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "connected") {
			return up("")
		}
		return down()
	}),
	r("quectel-CM", `requestsetupdatacall wdsconnectionipv4handle: 0x([0-9a-f]+)`, func(h *host, m []string) []threegpp.Fact { return up("") }),
	r("quectel-CM", `call_end_reason_type(?: is|:|=) ?(\d+)`, func(h *host, m []string) []threegpp.Fact { h.endType = m[1]; return nil }),
	r("quectel-CM", `call_end_reason_verbose(?: is|:|=) ?(\d+)`, func(h *host, m []string) []threegpp.Fact {
		if h.endType == "6" {
			return refused(number(m[1]), "", "quectel-CM")
		}
		return nil
	}),
	r("quectel-CM", `requestsetprofile\[\d+\] ([\w.-]+)/`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.ContextConfig{CID: 1, APN: m[1], Set: true})
	}),
	r("quectel-CM", `(?:lease of|obtained, lease|ip addr(?:ess)?:?) ?(\d+\.\d+\.\d+\.\d+)(?: obtained)?`, func(h *host, m []string) []threegpp.Fact { return up(m[1]) }),
	r("quectel-CM", `requestgetsignalinfo .*rsrp:? ?(-?\d+)`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Signal{RAT: "lte", RSRP: level(m[1]), BER: -1, Source: "quectel-CM"})
	}),
	r("quectel-CM", `\b(?:request\w+ |wds_|qmuxresult|qmuxerror|qmi_|quectelqconnectmanager|quectel_qmi|find /sys|find qmichannel|find usbnet_adapter|auto find|qmiwwan|udhcpc|busybox udhcpc|ifconfig \w+|ip -4|no modem|get clientwds|get clientdms|get clientnas|get clientuim|get clientwda|call_end_reason is|try to requestsetupdatacall|network interface)`, nil),
}

// nmRows: NetworkManager's log; the reasons are NMDeviceStateReason.
var nmRows = []row{
	r("NetworkManager", `reason '(?:gsm-)?(sim-not-inserted|sim-pin-required|sim-puk-required|sim-wrong|registration-denied|registration-timeout|registration-not-searching|apn-failed|pin-check-failed)'`, func(h *host, m []string) []threegpp.Fact {
		switch strings.ToLower(m[1]) {
		case "registration-denied":
			return denied(0)
		case "registration-timeout":
			return one(reg(threegpp.RegSearching))
		case "registration-not-searching":
			return one(reg(threegpp.RegIdle))
		}
		return sim(strings.TrimSuffix(strings.ToLower(m[1]), "-required"))
	}),
	r("NetworkManager", `failed to connect '.*': .*?(option-unsubscribed|user-authentication-failed|missing-or-unknown-apn|unknown-apn|operator-determined-barring|service option not subscribed|serviceoptionnotsubscribed)`, func(h *host, m []string) []threegpp.Fact {
		return sessionCause(strings.ReplaceAll(m[1], " ", "-"), "NetworkManager")
	}),
	r("NetworkManager", `modem-broadband\[\S+\]: (?:ipv4 static configuration|  address (\d+\.\d+\.\d+\.\d+))`, func(h *host, m []string) []threegpp.Fact {
		if len(m) > 1 && m[1] != "" {
			return up(m[1])
		}
		return nil
	}),
	r("NetworkManager", `device \(\S+\): (?:state change|activation|link)|modem\["?\S+"?\]|modem-broadband\[\S+\]|audit: op=|policy: (?:set|auto)|dhcp4 \(`, nil),
}
