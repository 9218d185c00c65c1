package probe

import (
	"net/netip"
	"sort"
)

// Targets are the hosts to ask, as the config names them.
type Targets struct {
	Name       string   // a well-known name, asked of the carrier's resolver; "" leaves it out
	ThirdParty []string // "address:port", by literal, of different owners
	HTTPURL    string   // a page that answers 204; "" leaves it out
	Own        []string // "host:port" of the own service, over TLS
	Brokers    []string // broker URLs
	NTP        []string
	// WhitelistOnly: the SIM reaches only listed hosts (定向), so third parties
	// prove nothing and are not asked.
	WhitelistOnly bool
	// Servers are DNS servers to ask beside the carrier's.
	Servers []netip.AddrPort
}

// Round lists the questions in the order of their cost on the air, the
// cheapest first; equal ones stay in the order of the layers. Whoever asks may
// stop as soon as the verdict is decided.
func Round(t Targets) []Spec {
	var round []Spec
	add := func(s Spec) { round = append(round, s) }
	if t.Name != "" {
		add(Spec{Probe: DNS, Target: Carrier, Host: t.Name})
	}
	if !t.WhitelistOnly {
		if t.Name != "" {
			for _, server := range t.Servers {
				add(Spec{Probe: DNS, Target: ThirdParty, Host: t.Name, Server: server})
			}
		}
		for _, h := range t.ThirdParty {
			add(Spec{Probe: TCP, Target: ThirdParty, Host: h})
		}
		if t.HTTPURL != "" {
			add(Spec{Probe: HTTP, Target: ThirdParty, Host: t.HTTPURL})
		}
		for _, h := range t.NTP {
			add(Spec{Probe: NTP, Target: ThirdParty, Host: h})
		}
	}
	for _, h := range t.Brokers {
		add(Spec{Probe: Broker, Target: Own, Host: h})
	}
	for _, h := range t.Own {
		add(Spec{Probe: TLS, Target: Own, Host: h})
	}
	sort.SliceStable(round, func(i, j int) bool { return Cost(round[i]) < Cost(round[j]) })
	return round
}
