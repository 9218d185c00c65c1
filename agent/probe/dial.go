package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// notSentError is a question that could not be asked; its text says why.
type notSentError string

func (e notSentError) Error() string { return string(e) }

// maxAddresses is how many addresses of one name a probe tries: a second one
// covers a dead IPv4 path beside a live IPv6 one, more only spends bytes.
const maxAddresses = 2

// noteByAddress is said when the kernel did not let us bind to the interface.
const noteByAddress = "bound by source address: binding to the interface was not permitted (needs CAP_NET_RAW)"

// dial opens one socket to a literal address, bound to the data interface. The
// note is "" or says that binding was weaker than asked.
func (e Env) dial(ctx context.Context, network string, to netip.AddrPort) (conn net.Conn, note string, err error) {
	if e.Dial != nil {
		conn, err = e.Dial(ctx, network, to.String())
		return conn, "", err
	}
	// No TCP keepalive: a probe's connection lives for seconds.
	d := net.Dialer{KeepAlive: -1}
	if e.Mark != 0 {
		d.Control = func(_, _ string, raw syscall.RawConn) error { return raw.Control(e.mark) }
	}
	if e.Interface != "" {
		source, err := sourceAddress(e.Interface, to.Addr())
		if err != nil {
			return nil, "", err
		}
		bind := e.bind
		if bind == nil {
			bind = func(fd uintptr, device string) error { return unix.BindToDevice(int(fd), device) }
		}
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var bindErr error
			err := raw.Control(func(fd uintptr) {
				e.mark(fd)
				bindErr = bind(fd, e.Interface)
				if errors.Is(bindErr, unix.EPERM) {
					// Kernels before 5.7 want CAP_NET_RAW for SO_BINDTODEVICE.
					note = noteByAddress
					bindErr = unix.Bind(int(fd), sockaddr(source))
				}
			})
			if err != nil {
				return err
			}
			if bindErr != nil {
				return notSentError(fmt.Sprintf("bind to %s: %v", e.Interface, bindErr))
			}
			return nil
		}
	}
	conn, err = d.DialContext(ctx, network, to.String())
	return conn, note, err
}

func (e Env) mark(fd uintptr) {
	if e.Mark != 0 {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, e.Mark) // needs CAP_NET_ADMIN, as nft does
	}
}

// sourceAddress is the interface's own address in the family of to. Without
// one the kernel would borrow another interface's address, the answers would
// go astray, and a line without a session would look like a black hole.
func sourceAddress(device string, to netip.Addr) (netip.Addr, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return netip.Addr{}, notSentError("no interface " + device)
	}
	if ifi.Flags&net.FlagUp == 0 {
		return netip.Addr{}, notSentError(device + " is down")
	}
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, notSentError(device + ": " + err.Error())
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
	return netip.Addr{}, notSentError(device + " has no " + family + " address")
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Addr: a.As16()}
}

// addresses resolves the host of "host:port"; a literal costs nothing.
func (e Env) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	lookup := e.Lookup
	if lookup == nil {
		lookup = (&Resolver{Env: e}).Resolve
	}
	return lookup(ctx, host)
}

// connect resolves host and opens the first of its addresses that answers,
// sharing the time that is left between them. The outcome is set on failure.
func (e Env) connect(ctx context.Context, network, host string, port uint16) (net.Conn, string, *outcome) {
	addrs, err := e.addresses(ctx, host)
	if err != nil {
		o := unresolved(err)
		return nil, "", &o
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	worst := outcome{NotSent, "no address"}
	for i, a := range addrs {
		part, cancel := share(ctx, len(addrs)-i)
		conn, note, err := e.dial(part, network, netip.AddrPortFrom(a, port))
		cancel()
		if err == nil {
			if t, ok := ctx.Deadline(); ok {
				if err = conn.SetDeadline(t); err != nil {
					conn.Close()
					o := judge(err)
					return nil, "", &o
				}
			}
			return conn, note, nil
		}
		o := judge(err)
		if o.detail == "" {
			o.detail = note
		}
		// An address that was tried says more than one that could not be.
		if i == 0 || worst.result == NotSent {
			worst = o
		}
	}
	return nil, "", &worst
}

// unresolved says what a failed lookup means for a probe that needed the
// address: a name that does not exist is an answer, a silent resolver is not
// evidence about this target.
func unresolved(err error) outcome {
	if errors.Is(err, ErrNotFound) {
		return outcome{NXDomain, ""}
	}
	return outcome{NotSent, "name not resolved: " + err.Error()}
}
