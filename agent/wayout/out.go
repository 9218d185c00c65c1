package wayout

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Out makes the ways of one host. All of them share the cache of names.
type Out struct {
	root    fs.FS
	servers []netip.AddrPort
	cache   *Cache
}

// New prepares the ways. root is os.DirFS("/"); servers are the name servers of the
// config, nil for those of the board.
func New(root fs.FS, servers []netip.AddrPort) *Out {
	return &Out{root: root, servers: servers, cache: &Cache{}}
}

// By is the way over an interface, "" for any, with the name servers as they are now:
// those of the config, else those that the board's dialer wrote down. The system's own
// resolver is asked where the way is any, or where it alone knows whom to ask (a stub on
// the loopback); a board without resolv.conf (Android) has none.
func (o *Out) By(iface string) Way {
	w := Way{Interface: iface, Mark: Mark, Servers: o.servers, Cache: o.cache, hosts: o.root}
	if len(o.servers) > 0 {
		return w
	}
	w.Servers = SystemResolvers(o.root)
	if _, err := fs.Stat(o.root, "etc/resolv.conf"); err == nil && (iface == "" || len(w.Servers) == 0) {
		w.Lookup, w.hosts = systemLookup, nil // it reads etc/hosts itself
	}
	return w
}

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// Choice is which interface the uplink is to take: uplink.interface of the config.
type Choice struct {
	Want     string                          // "any", "data" or a name
	Patterns []string                        // data.interfaces
	Data     func() (name string, err error) // the data interface now; it may come and go under another name
	Route    func(addr string) bool          // whether the kernel would take the data interface; nil: not known
}

// Interface is the interface to bind to now, "" for any.
func (c Choice) Interface() (string, error) {
	switch c.Want {
	case "any":
		return "", nil
	case "data":
		name, err := c.Data()
		if err == nil && name == "" {
			err = fmt.Errorf("there is none of %s", strings.Join(c.Patterns, ", "))
		}
		return name, err
	default:
		return c.Want, nil
	}
}

// OverData says whether the way to addr ("" for anywhere) is the data interface's: by
// the name that is bound to, else by the route that the kernel takes now.
func (c Choice) OverData(addr string) bool {
	switch {
	case c.Want == "data":
		return true
	case c.Want != "any":
		return slices.ContainsFunc(c.Patterns, func(pattern string) bool {
			ok, _ := path.Match(pattern, c.Want) // the config was checked
			return ok
		})
	case c.Route == nil:
		return false
	}
	return c.Route(addr)
}
