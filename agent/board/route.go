package board

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
)

// Route netlink by hand: one dump request, one notification, two attributes.
// vishvananda/netlink adds 0.26 MB to the ARMv7 binary for this (2.16 to 2.42 MB
// of a program that does nothing else).

const (
	// routeBuffer holds one datagram of the kernel, which makes them at most
	// 32 KiB.
	routeBuffer = 32 << 10
	// dumpTries: a dump during which an interface came or went is marked and
	// asked for again.
	dumpTries = 4
	// dumpWait bounds the wait for the kernel, which answers within the call.
	dumpWait = 2 * time.Second
	// Where rx_bytes and tx_bytes lie in struct rtnl_link_stats64 and, with
	// 32-bit words, in struct rtnl_link_stats.
	rx64, tx64, stats64Len = 16, 24, 32
	rx32, tx32, stats32Len = 8, 12, 16
	// attrType masks the flags off an attribute's type (NLA_TYPE_MASK).
	attrType = 0x3fff
)

var errInterrupted = errors.New("the list of interfaces kept changing")

// route is a route netlink socket.
type route struct {
	fd  int
	seq uint32
	buf []byte
}

// openRoute opens a socket, subscribed to the given groups.
func openRoute(groups uint32) (*route, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("board: netlink: %w", err)
	}
	wait := unix.NsecToTimeval(int64(dumpWait))
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups})
	}
	if err != nil {
		_ = unix.Close(fd) // the bind's error is the one to tell
		return nil, fmt.Errorf("board: netlink: %w", err)
	}
	return &route{fd: fd, buf: make([]byte, routeBuffer)}, nil
}

func (r *route) close() error { return unix.Close(r.fd) }

// links asks for all interfaces.
func (r *route) links() ([]link, error) {
	for range dumpTries {
		links, whole, err := r.dumpOnce()
		if err != nil {
			return nil, fmt.Errorf("board: netlink: %w", err)
		}
		if whole {
			return links, nil
		}
	}
	return nil, fmt.Errorf("board: netlink: %w", errInterrupted)
}

func (r *route) dumpOnce() (links []link, whole bool, err error) {
	r.seq++
	req := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(req[0:], uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(req[8:], r.seq)
	if err := unix.Sendto(r.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, false, err
	}
	whole = true
	for {
		n, err := unix.Read(r.fd, r.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		done := false
		for _, m := range messages(r.buf[:n]) {
			if m.seq != r.seq {
				continue // the rest of an answer that was given up
			}
			if m.flags&unix.NLM_F_DUMP_INTR != 0 {
				whole = false
			}
			switch m.kind {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				return nil, false, m.errno()
			case unix.RTM_NEWLINK:
				if k, ok := parseLink(m.body); ok {
					links = append(links, k)
				}
			}
		}
		if done {
			return links, whole, nil
		}
	}
}

// message is one netlink message.
type message struct {
	kind, flags uint16
	seq         uint32
	body        []byte
}

func (m message) errno() error {
	if len(m.body) < 4 {
		return unix.EBADMSG
	}
	code := int32(binary.NativeEndian.Uint32(m.body))
	if code >= 0 {
		return unix.EBADMSG
	}
	return unix.Errno(-code)
}

// messages splits a datagram; it stops at the first length that cannot be.
func messages(b []byte) []message {
	var out []message
	for len(b) >= unix.SizeofNlMsghdr {
		n := int64(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > int64(len(b)) {
			break
		}
		out = append(out, message{
			kind: binary.NativeEndian.Uint16(b[4:]), flags: binary.NativeEndian.Uint16(b[6:]),
			seq: binary.NativeEndian.Uint32(b[8:]), body: b[unix.SizeofNlMsghdr:n],
		})
		b = b[min(align4(int(n)), len(b)):]
	}
	return out
}

// parseLink reads a link message. Without the 64-bit counters (kernels before
// 2.6.35) it takes the 32-bit ones; without any it is no link of ours.
func parseLink(b []byte) (k link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, false
	}
	if b[0] != unix.AF_UNSPEC {
		return link{}, false // AF_BRIDGE: a port left its bridge, the interface stays
	}
	k.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	wide := false
	b = b[unix.SizeofIfInfomsg:]
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			break
		}
		data := b[unix.SizeofRtAttr:n]
		switch binary.NativeEndian.Uint16(b[2:]) & attrType {
		case unix.IFLA_IFNAME:
			k.name = cString(data)
		case unix.IFLA_STATS64:
			if len(data) >= stats64Len {
				k.rx, k.tx = binary.NativeEndian.Uint64(data[rx64:]), binary.NativeEndian.Uint64(data[tx64:])
				wide, ok = true, true
			}
		case unix.IFLA_STATS:
			if len(data) >= stats32Len && !wide {
				k.rx, k.tx = uint64(binary.NativeEndian.Uint32(data[rx32:])), uint64(binary.NativeEndian.Uint32(data[tx32:]))
				ok = true
			}
		}
		b = b[min(align4(n), len(b)):]
	}
	return k, ok && k.index > 0 && k.name != ""
}

func align4(n int) int { return (n + 3) &^ 3 }

func cString(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// counterBits is the width that a driver's counters may have: on a 32-bit
// kernel the older drivers count in unsigned long.
func counterBits() int {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		switch m := unix.ByteSliceToString(u.Machine[:]); m {
		case "x86_64", "aarch64", "aarch64_be", "mips64", "riscv64", "ppc64", "ppc64le", "s390x", "loongarch64":
			return 64
		}
		return 32
	}
	if math.MaxInt > math.MaxInt32 {
		return 64
	}
	return 32
}

// LinkEvent is one interface that came, changed or went. A zero Reading means
// that events were lost: look at once. Gone carries the last counters, of every
// interface: what made it is no longer known when it is deleted, so Skip may be
// set on one of the line, and the meter knows its own by the index.
type LinkEvent struct {
	Gone    bool
	Reading meter.Reading
}

// LinkWatch is a subscription to the kernel's link events.
type LinkWatch struct {
	file *os.File
	bits int
}

// OpenLinkWatch subscribes; what happens from now on is not missed.
func OpenLinkWatch() (*LinkWatch, error) {
	r, err := openRoute(unix.RTMGRP_LINK)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(r.fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("board: netlink: %w", err), r.close())
	}
	// A non-blocking descriptor waits in the runtime's poller, where a deadline
	// ends the wait.
	return &LinkWatch{file: os.NewFile(uintptr(r.fd), "netlink"), bits: counterBits()}, nil
}

// Close ends the subscription.
func (w *LinkWatch) Close() error { return w.file.Close() }

// Run calls tell for each interface of the selection that comes or changes and
// for every one that goes, until ctx ends. With it nothing that an interface
// moved between two polls is lost when it is deleted.
func (w *LinkWatch) Run(ctx context.Context, now func() instant.Instant, sel func() Selection, tell func(LinkEvent)) error {
	stop := context.AfterFunc(ctx, func() { _ = w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	l := Links{bits: w.bits}
	buf := make([]byte, routeBuffer)
	for {
		n, err := w.file.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			tell(LinkEvent{})
			continue
		case err != nil:
			return fmt.Errorf("board: netlink: %w", err)
		}
		for _, m := range messages(buf[:n]) {
			if m.kind != unix.RTM_NEWLINK && m.kind != unix.RTM_DELLINK {
				continue
			}
			k, ok := parseLink(m.body)
			if !ok {
				continue
			}
			ours, gone := sel().has(defaultSysRoot, k.name), m.kind == unix.RTM_DELLINK
			if ours || gone {
				tell(LinkEvent{Gone: gone, Reading: l.reading(now(), k, ours)})
			}
		}
	}
}
