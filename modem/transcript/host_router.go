package transcript

import (
	"strings"

	"cellwarden/modem/threegpp"
)

// routerRows: routers and other tools that show a modem's state in words.
var routerRows = []row{
	r("gammu", `^network state *: (home network|roaming network|no network|requesting network|registration to network denied)`, func(h *host, m []string) []threegpp.Fact {
		return one(regCS(map[string]threegpp.RegStat{"home network": threegpp.RegHome, "roaming network": threegpp.RegRoaming, "no network": threegpp.RegIdle,
			"requesting network": threegpp.RegSearching, "registration to network denied": threegpp.RegDenied}[strings.ToLower(m[1])]))
	}),
	r("gammu", `^(?:packet network state|gprs|network|name in phone|name from gammu|device|manufacturer|firmware|network level|signal strength|network) +: `, nil),
	r("gsmctl", `^(?:registered \((home|roaming)\)|(not registered, searching|registration denied|not registered))$`, func(h *host, m []string) []threegpp.Fact {
		return registration(map[string]string{"": m[1], "not registered, searching": "searching", "registration denied": "denied", "not registered": "idle"}[strings.ToLower(m[2])])
	}),
	r("RouterOS", `^registration-status: (registered|denied|searching|not-registered|roaming)`, func(h *host, m []string) []threegpp.Fact { return registration(m[1]) }),
	r("RouterOS", `^pin-status: (.*)$`, func(h *host, m []string) []threegpp.Fact {
		switch s := strings.ToLower(m[1]); {
		case strings.Contains(s, "puk"):
			return sim("sim-puk")
		case strings.Contains(s, "sim not inserted"), strings.Contains(s, "no sim"):
			return sim("sim-missing")
		case strings.Contains(s, "pin required"), strings.Contains(s, "sim pin"):
			return sim("sim-pin")
		}
		return nil
	}),
	r("RouterOS", `^(rssi|rsrp|rsrq|sinr): ?(-?\d+(?:\.\d+)?) ?dbm?$`, func(h *host, m []string) []threegpp.Fact {
		s := threegpp.Signal{RAT: "lte", BER: -1, Source: "RouterOS"}
		v := level(m[2])
		switch strings.ToLower(m[1]) {
		case "rssi":
			s.RSSI = v
		case "rsrp":
			s.RSRP = v
		case "rsrq":
			s.RSRQ = v
		default:
			s.SINR = v
		}
		return one(s)
	}),
	r("RouterOS", `^(?:current-operator|current-cellid|access-technology|session-uptime|functionality|lac|data-class|enb-id|sector-id|phy-cellid|subscriber-number|uicc): `, nil),
	r("IOS", `^sim status ?= ?(.*)$`, func(h *host, m []string) []threegpp.Fact {
		switch s := strings.ToLower(m[1]); {
		case strings.Contains(s, "puk"):
			return sim("sim-puk")
		case strings.Contains(s, "lock"):
			return sim("sim-pin")
		case strings.Contains(s, "not inserted"), strings.Contains(s, "absent"), strings.Contains(s, "removed"):
			return sim("sim-missing")
		case s == "ok":
			return sim("ready")
		}
		return nil
	}),
	r("IOS", `^current (?:rssi|lte rssi) ?= ?(-?\d+) ?dbm`, func(h *host, m []string) []threegpp.Fact {
		return one(threegpp.Signal{RSSI: level(m[1]), BER: -1, Source: "IOS"})
	}),
	r("IOS", `^current service status ?= ?(normal|no service|emergency only|limited service)`, func(h *host, m []string) []threegpp.Fact {
		switch strings.ToLower(m[1]) {
		case "normal":
			return one(reg(threegpp.RegHome))
		case "no service":
			return one(threegpp.ServiceState{Service: threegpp.CampNoService, Text: m[1]})
		}
		return one(threegpp.ServiceState{Service: threegpp.CampLimited, Text: m[1]})
	}),
	r("IOS", `^(?:packet session status|data packet session status) ?= ?(active|inactive|dormant)`, func(h *host, m []string) []threegpp.Fact {
		if strings.EqualFold(m[1], "inactive") {
			return down()
		}
		return up("")
	}),
	r("IOS", `^modem (?:firmware version|status|radio mode|last) ?=|^radio power mode ?= ?(?:online|on)`, nil),
	r("IOS", `^radio power mode ?= ?(?:low power|off)`, func(h *host, m []string) []threegpp.Fact { return power(4) }),
	// A ping counts where it was sent over the modem's interface.
	r("ping", `(\d+)% packet loss`, func(h *host, m []string) []threegpp.Fact {
		if h.ping == "" {
			return nil
		}
		f := threegpp.ModemProbe{Probe: "ping", Target: h.ping, OK: m[1] != "100", Result: "ok", Detail: m[1] + " % lost"}
		if !f.OK {
			f.Result = "timeout"
		}
		return one(f)
	}),
	r("ping", `^(?:\d+ bytes from |ping \S+ \(|--- \S+ ping statistics|rtt min/avg|round-trip min|from \S+ icmp_seq)`, nil),
}
