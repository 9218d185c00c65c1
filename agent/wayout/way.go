package wayout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Mark is set on each socket of the agent (SO_MARK), so that a block of the machine's
// traffic lets it pass.
const Mark = 0x63770001 // "cw", 1

// maxAddresses is how many addresses of one name are tried: two families and a spare;
// more only spends bytes.
const maxAddresses = 3

// NoteByAddress is said when the kernel did not let us bind to the interface.
const NoteByAddress = "bound by source address: binding to the interface was not permitted (needs CAP_NET_RAW)"

// Way is how one connection leaves. The zero value takes any interface, no mark, and
// knows nobody to ask for a name.
type Way struct {
	Interface string           // "" is any
	Mark      int              // SO_MARK of the sockets, 0 none; without the right to set it they go unmarked
	Servers   []netip.AddrPort // who is asked for names, in order
	Cache     *Cache           // of names; nil: each is asked for anew
	// Lookup resolves names where the system's own resolver is to; nil asks Servers.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// DialHook replaces the network in tests; address is always a literal.
	DialHook func(ctx context.Context, network, address string) (net.Conn, error)

	// BindHook binds in tests, which refuse it as an old kernel does.
	BindHook func(fd uintptr, device string) error

	hosts fs.FS // has etc/hosts; nil: there is none
}

// Dial opens one socket to a literal address. The note is "" or says that binding was
// weaker than asked. A connection that could not be tried is a NotSent.
func (w Way) Dial(ctx context.Context, network string, to netip.AddrPort) (conn net.Conn, note string, err error) {
	if w.DialHook != nil {
		conn, err = w.DialHook(ctx, network, to.String())
		return conn, "", err
	}
	// No TCP keepalive: a probe's connection lives for seconds, and on the uplink's
	// one packet each 15 s would cost 0.6 MB a day; the MQTT ping does its work.
	d := net.Dialer{KeepAlive: -1}
	if w.Mark != 0 {
		d.Control = func(_, _ string, raw syscall.RawConn) error { return raw.Control(w.mark) }
	}
	if w.Interface != "" {
		source, err := sourceAddress(w.Interface, to.Addr())
		if err != nil {
			return nil, "", err
		}
		bind := w.BindHook
		if bind == nil {
			bind = func(fd uintptr, device string) error { return unix.BindToDevice(int(fd), device) }
		}
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var bindErr error
			err := raw.Control(func(fd uintptr) {
				w.mark(fd)
				bindErr = bind(fd, w.Interface)
				if errors.Is(bindErr, unix.EPERM) {
					// Kernels before 5.7 want CAP_NET_RAW for SO_BINDTODEVICE.
					note = NoteByAddress
					bindErr = unix.Bind(int(fd), sockaddr(source))
				}
			})
			if err != nil {
				return err
			}
			if bindErr != nil {
				return NotSent(fmt.Sprintf("bind to %s: %v", w.Interface, bindErr))
			}
			return nil
		}
	}
	conn, err = d.DialContext(ctx, network, to.String())
	return conn, note, err
}

func (w Way) mark(fd uintptr) {
	if w.Mark != 0 {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, w.Mark) // needs CAP_NET_ADMIN, as nft does
	}
}

// sourceAddress is the interface's own address in the family of to. Without
// one the kernel would borrow another interface's address, the answers would
// go astray, and a line without a session would look like a black hole.
func sourceAddress(device string, to netip.Addr) (netip.Addr, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return netip.Addr{}, NotSent("no interface " + device)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return netip.Addr{}, NotSent(device + " is down")
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, NotSent(device + ": " + err.Error())
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := p.Addr().Unmap()
		if ip.Is4() == to.Unmap().Is4() && (ip.Is4() || !ip.IsLinkLocalUnicast()) {
			return ip, nil
		}
	}
	family := "IPv6"
	if to.Unmap().Is4() {
		family = "IPv4"
	}
	return netip.Addr{}, NotSent(device + " has no " + family + " address")
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

// Reached is a connection and how it came about, or what was spent on none.
type Reached struct {
	net.Conn
	Note string // as of Way.Dial
	Air  int    // what the lookup of the name put on the air, in bytes with headers
}

// Connect resolves host and opens the first of its addresses that answers, sharing the
// time that is left between them. The deadline of ctx ends the attempt, not the
// connection. A name that was not resolved is a *NameError; of several failures the one
// of an address that was tried counts. Reached is filled in after a failure too, but
// for its Conn.
func (w Way) Connect(ctx context.Context, network, host string, port uint16) (Reached, error) {
	addrs, air, err := w.Resolve(ctx, host)
	r := Reached{Air: air}
	if err != nil {
		return r, &NameError{host, err}
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	worst := error(NotSent("no address"))
	for i, a := range addrs {
		part, cancel := share(ctx, len(addrs)-i)
		conn, note, err := w.Dial(part, network, netip.AddrPortFrom(a, port))
		cancel()
		if err == nil {
			r.Conn, r.Note = conn, note
			return r, nil
		}
		// An address that was tried says more than one that could not be.
		if i == 0 || !Sent(worst) {
			worst, r.Note = err, note
		}
	}
	if Sent(worst) && ctx.Err() != context.Canceled {
		w.Cache.doubt(w.Interface, host) // it may have moved
	}
	return r, worst
}

// share gives the context its part of the time that is left.
func share(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	t, ok := ctx.Deadline()
	if !ok || parts < 2 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(t)/time.Duration(parts))
}

// Leads is where a connection by this way to addr would begin: an address of ours,
// invalid where there is no way. Nothing is sent.
func (w Way) Leads(ctx context.Context, addr net.Addr) netip.Prefix {
	to, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	c, _, err := w.Dial(ctx, "udp", to)
	if err != nil {
		return netip.Prefix{}
	}
	defer c.Close()
	return Network(c.LocalAddr())
}

// Network is an address's own, or for IPv6 its /64: addresses within change by
// themselves.
func Network(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	p, _ := ip.Prefix(min(64, ip.BitLen())) // that many bits it has
	return p
}
