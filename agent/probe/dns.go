package probe

import (
	"context"
	"fmt"
	"net/netip"

	"cellwarden/agent/wayout"

	"golang.org/x/net/dns/dnsmessage"
)

// probeDNS asks for the A record of Host. What it tells of is the resolver,
// not the name: an answer without an address still is an answer.
func probeDNS(ctx context.Context, e Env, s Spec) outcome {
	q, err := wayout.Question(s.Host, dnsmessage.TypeA)
	if err != nil {
		return judge(err)
	}
	servers := e.Way.Servers
	if s.Server.IsValid() {
		servers = []netip.AddrPort{s.Server}
	}
	r, err := e.Way.Exchange(ctx, servers, q)
	if err != nil {
		o := judge(err)
		if o.result == NotSent && wayout.Malformed(err) {
			// Something answered on that port, but not a resolver.
			o = outcome{Timeout, "only unusable answers came"}
		}
		return o
	}
	switch r.RCode {
	case dnsmessage.RCodeSuccess:
	case dnsmessage.RCodeNameError:
		return outcome{NXDomain, r.Note}
	case dnsmessage.RCodeServerFailure:
		return outcome{Refused, "server failure"}
	case dnsmessage.RCodeRefused:
		return outcome{Refused, r.Note}
	default:
		return outcome{Refused, fmt.Sprintf("rcode %d", r.RCode)}
	}
	switch {
	case len(r.Addrs) == 0:
		return outcome{OK, "no address for the name"}
	case !public(r.Addrs[0]):
		// A walled garden often answers every name with its own private host.
		return outcome{OK, "answered a private address " + r.Addrs[0].String()}
	}
	return outcome{OK, r.Note}
}

// sharedSpace is RFC 6598, what carriers use behind their own NAT.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !sharedSpace.Contains(a)
}
