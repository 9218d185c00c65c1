package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dnsKeep: a broker's address is asked for again after this long, or as soon
	// as it does not answer.
	dnsKeep = time.Hour
	// dnsBytes is what a lookup of both families is taken to cost, whether it was
	// answered or not: two questions of 60 B and two answers of 100 B, with headers.
	dnsBytes = 320
	// maxAddrs is how many addresses of one broker are tried in one attempt: two
	// families and a spare.
	maxAddrs = 3
)

// cached is one answer of the resolver.
type cached struct {
	addrs []netip.Addr
	at    time.Time
}

// stageError says at which stage connecting failed.
type stageError struct {
	why Why
	err error
}

func (e *stageError) Error() string { return string(e.why) + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// dial opens the TCP connection to b.
func (u *Uplink) dial(ctx context.Context, b broker) (*counted, error) {
	device, err := u.device()
	if err != nil {
		return nil, &stageError{WhyBind, err}
	}
	addrs, err := u.resolve(ctx, b.host, device)
	if err != nil {
		return nil, &stageError{WhyDNS, err}
	}
	deadline, _ := ctx.Deadline()
	for i, a := range addrs {
		// Each address gets its share of what is left.
		share := time.Until(deadline) / time.Duration(len(addrs)-i)
		d := u.dialer(device)
		d.Timeout = share
		conn, dialErr := d.DialContext(ctx, "tcp", net.JoinHostPort(a.String(), b.port))
		if dialErr == nil {
			c := newCounted(conn)
			u.dialled(c)
			return c, nil
		}
		err = dialErr
	}
	delete(u.dns, b.host) // it may have moved
	why := WhyConnect
	var bind *bindError
	switch {
	case errors.As(err, &bind):
		why = WhyBind
	case isTimeout(err):
		why = WhyTimeout
	}
	return nil, &stageError{why, err}
}

// device is the interface to bind to now, "" for any.
func (u *Uplink) device() (string, error) {
	if u.opt.Interface == nil {
		return "", nil
	}
	return u.opt.Interface()
}

// dialer is bound to the interface name, if any. Go's TCP keepalive is off: at 15 s
// it would cost 0.6 MB a day; the MQTT ping does its work.
func (u *Uplink) dialer(name string) *net.Dialer {
	d := &net.Dialer{KeepAlive: -1}
	if name != "" || u.opt.Mark != 0 {
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			if ctlErr := c.Control(func(fd uintptr) {
				if u.opt.Mark != 0 {
					_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, u.opt.Mark) // needs CAP_NET_ADMIN, as nft does
				}
				if name == "" {
					return
				}
				err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name)
			}); ctlErr != nil {
				return ctlErr
			}
			if err != nil {
				return &bindError{name, err}
			}
			return nil
		}
	}
	return d
}

// moved reports whether a new connection to the broker would begin at another
// address of ours than this one does: Ethernet or Wi-Fi came or went, or the
// modem's session has a new address, and this connection is dead. Nothing is sent.
func (u *Uplink) moved(l *link) bool {
	device, err := u.device()
	if err != nil {
		return false // what is under way will tell
	}
	c, err := u.dialer(device).Dial("udp", l.tcp.RemoteAddr().String())
	if err != nil {
		return false // no way at all, for now
	}
	defer c.Close()
	return network(c.LocalAddr()) != network(l.tcp.LocalAddr())
}

// network is an address's own, or for IPv6 its /64: addresses within change by
// themselves.
func network(a net.Addr) netip.Prefix {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := ap.Addr().Unmap().WithZone("")
	p, _ := ip.Prefix(min(64, ip.BitLen())) // that many bits it has
	return p
}

type bindError struct {
	name string
	err  error
}

func (e *bindError) Error() string { return fmt.Sprintf("bind to interface %s: %v", e.name, e.err) }
func (e *bindError) Unwrap() error { return e.err }

// resolve gives the addresses of host, from memory while they are fresh. When
// the resolver fails, the last answer is used however old.
func (u *Uplink) resolve(ctx context.Context, host, device string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	known, ok := u.dns[host]
	if ok && time.Since(known.at) < dnsKeep {
		return known.addrs, nil
	}
	addrs, err := u.lookup(ctx, host, device)
	u.emit(Traffic{WireBytes: dnsBytes})
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%s has no address", host)
	}
	if err != nil {
		if ok {
			return known.addrs, nil
		}
		return nil, err
	}
	addrs = addrs[:min(len(addrs), maxAddrs)]
	u.dns[host] = cached{addrs, time.Now()}
	return addrs, nil
}

func (u *Uplink) lookup(ctx context.Context, host, device string) ([]netip.Addr, error) {
	if u.opt.Resolve != nil {
		return u.opt.Resolve(ctx, host)
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return u.dialer(device).DialContext(ctx, network, addr)
	}}
	return r.LookupNetIP(ctx, "ip", host)
}

// open gives the connection on which MQTT is spoken, the TCP connection under
// it, and what TLS agreed, if it was used.
func (u *Uplink) open(ctx context.Context, b broker) (net.Conn, *counted, *tls.ConnectionState, error) {
	var cfg *tls.Config
	if b.tls { // files are read before the air is used
		var err error
		if cfg, err = u.tlsConfig(b); err != nil {
			return nil, nil, nil, err
		}
	}
	if !b.tls {
		tcp, err := u.dial(ctx, b)
		if err != nil {
			return nil, nil, nil, err
		}
		return tcp, tcp, nil, nil
	}
	conn, tcp, err := u.shake(ctx, b, cfg)
	if date, ok := u.untimely(err); ok {
		cfg.Time = func() time.Time { return date }
		conn, tcp, err = u.shake(ctx, b, cfg)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	cs := conn.ConnectionState()
	u.dated(cs)
	return conn, tcp, &cs, nil
}

// shake dials b and makes the TLS handshake.
func (u *Uplink) shake(ctx context.Context, b broker, cfg *tls.Config) (*tls.Conn, *counted, error) {
	tcp, err := u.dial(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	conn := tls.Client(&cork{counted: tcp}, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		u.emit(tcp.since())
		tcp.abort()
		if len(cfg.Certificates) > 0 {
			if k, ok := cfg.Certificates[0].PrivateKey.(*tpmKey); ok && k.failed != nil {
				return nil, nil, &stageError{WhyOwnCert, k.failed}
			}
		}
		return nil, nil, &stageError{WhyTLS, err}
	}
	return conn, tcp, nil
}

// cork holds back what is written until something is read: the last words of a
// TLS handshake and the CONNECT make one segment instead of two, with one
// acknowledgement. From pull on it does nothing; before that one goroutine at a
// time may use it.
type cork struct {
	*counted
	held   []byte
	pulled atomic.Bool
}

func (c *cork) Read(p []byte) (int, error) {
	if !c.pulled.Load() && len(c.held) > 0 {
		held := c.held
		c.held = nil
		if _, err := c.counted.Write(held); err != nil {
			return 0, err
		}
	}
	return c.counted.Read(p)
}

func (c *cork) Write(p []byte) (int, error) {
	if c.pulled.Load() {
		return c.counted.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

func (c *cork) pull() { c.pulled.Store(true) }

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
