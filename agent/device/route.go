package device

import (
	"net"
	"net/netip"

	"cellwarden/agent/diag"
	"cellwarden/agent/meter"
)

// dataInterface is the one that carries data: the first of the selection that
// has an address, else the first that is there.
func dataInterface(readings []meter.Reading) diag.Interface {
	var first diag.Interface
	for _, r := range readings {
		if r.Skip {
			continue
		}
		d := diag.Interface{Name: r.Interface, Present: true}
		if nic, err := net.InterfaceByIndex(r.Index); err == nil {
			d.Up = nic.Flags&net.FlagUp != 0
			d.Addr = address(nic)
		}
		if d.Addr != "" && d.Up {
			return d
		}
		if !first.Present {
			first = d
		}
	}
	return first
}

// somewhere is an address of the wide internet, to ask the kernel for its
// default route; nothing is sent there.
const somewhere = "223.5.5.5:53"

// routedFrom is the local address that the kernel would send from to addr; ""
// when there is no way. A connected UDP socket asks without sending.
func routedFrom(addr string) string {
	if addr == "" {
		addr = somewhere
	}
	c, err := net.Dial("udp", addr)
	if err != nil {
		return ""
	}
	defer c.Close()
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return ""
	}
	return local.Addr().Unmap().String()
}

// address is the interface's first address that leads anywhere.
func address(nic *net.Interface) string {
	addrs, err := nic.Addrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr().String()
		}
	}
	return ""
}
