package wayout

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Errors of Resolve that a caller branches on.
var (
	ErrNotFound = errors.New("no such name")
	ErrSilent   = errors.New("the DNS servers are silent")
	ErrNoServer = errors.New("no DNS server is known; set probes.dns")
)

// Bounds of the cache.
const (
	// minTTL: a reconnect within the hour costs no lookup, whatever the name's owner
	// says; an address that does not answer is doubted at once.
	minTTL = time.Hour
	// maxTTL: a broker that moved must be found again within a day.
	maxTTL = 24 * time.Hour
	// staleFor is how long an expired entry still serves while no server
	// answers: a dead resolver must not cut a broker that lives.
	staleFor = 7 * 24 * time.Hour
	// maxCached names: brokers, NTP and probe hosts are fewer than ten, on two ways.
	maxCached = 32
	// resolveTimeout bounds Resolve when the caller's context does not.
	resolveTimeout = 10 * time.Second
	// lookupBytes is what a lookup by the system's resolver is taken to cost, whether
	// it was answered or not: two questions of 60 B and two answers of 100 B.
	lookupBytes = 320
)

// Cache keeps the answers to names, each by the interface on which it was asked: what a
// walled garden answers must not lead another line astray. It is safe for use from
// several goroutines; questions for the same name at the same time may both be sent.
// A nil Cache keeps nothing.
type Cache struct {
	mu    sync.Mutex
	names map[string]cached
}

type cached struct {
	addrs   []netip.Addr
	expires time.Time
}

func cacheKey(iface, host string) string {
	return iface + "/" + strings.ToLower(strings.TrimSuffix(host, "."))
}

// doubt has host asked for anew at the next need. Its addresses still serve when no
// server answers then.
func (c *Cache) doubt(iface, host string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := cacheKey(iface, host)
	if old, ok := c.names[key]; ok && time.Now().Before(old.expires) {
		old.expires = time.Now()
		c.names[key] = old
	}
}

func (c *Cache) get(key string) (cached, bool) {
	if c == nil {
		return cached{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.names[key]
	return e, ok
}

func (c *Cache) drop(key string) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, key)
}

func (c *Cache) put(key string, e cached) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[string]cached{}
	}
	if _, have := c.names[key]; !have && len(c.names) >= maxCached {
		var first string
		for k, v := range c.names {
			if first == "" || v.expires.Before(c.names[first].expires) {
				first = k
			}
		}
		delete(c.names, first)
	}
	c.names[key] = e
}

// Resolve returns the addresses of host, IPv4 first; AAAA is asked only when there is
// no A. air is what that put on the air, in bytes. It returns ErrNotFound for a name
// that does not exist, ErrSilent when no server answered and ErrNoServer when nobody can
// be asked. A literal is returned as it is.
func (w Way) Resolve(ctx context.Context, host string) (addrs []netip.Addr, air int, err error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, 0, nil
	}
	if addrs := w.fromHosts(host); len(addrs) > 0 {
		return addrs, 0, nil
	}
	key := cacheKey(w.Interface, host)
	old, have := w.Cache.get(key)
	if have && time.Now().Before(old.expires) {
		return old.addrs, 0, nil
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, resolveTimeout)
		defer cancel()
	}
	got, ttl, air, err := w.ask(ctx, strings.ToLower(strings.TrimSuffix(host, ".")))
	switch {
	case err == nil:
		got = got[:min(len(got), maxAddresses)]
		w.Cache.put(key, cached{got, time.Now().Add(min(max(ttl, minTTL), maxTTL))})
		return got, air, nil
	case errors.Is(err, ErrNotFound):
		w.Cache.drop(key)
		return nil, air, fmt.Errorf("%s: %w", host, ErrNotFound)
	case have && time.Now().Before(old.expires.Add(staleFor)) && !errors.Is(err, context.Canceled):
		return old.addrs, air, nil
	}
	if f, _ := Judge(err); f == Silent {
		err = ErrSilent
	}
	return nil, air, fmt.Errorf("%s: %w", host, err)
}

// ask asks the system's resolver or the servers; ttl 0 is not known.
func (w Way) ask(ctx context.Context, host string) (addrs []netip.Addr, ttl time.Duration, air int, err error) {
	if w.Lookup != nil {
		addrs, err = w.Lookup(ctx, host)
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound || err == nil && len(addrs) == 0 {
			err = fmt.Errorf("%w: it has no address", ErrNotFound)
		}
		return addrs, 0, lookupBytes, err
	}
	for _, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		q, err := Question(host, t)
		if err != nil {
			return nil, 0, air, err
		}
		r, err := w.Exchange(ctx, w.Servers, q)
		air += r.Air
		if err != nil {
			return nil, 0, air, err
		}
		switch r.RCode {
		case dnsmessage.RCodeSuccess:
		case dnsmessage.RCodeNameError:
			return nil, 0, air, ErrNotFound
		default:
			return nil, 0, air, fmt.Errorf("DNS server answered rcode %d", r.RCode)
		}
		if len(r.Addrs) > 0 {
			return r.Addrs, r.TTL, air, nil
		}
		if r.Truncated {
			return nil, 0, air, errors.New("DNS answer was truncated before the first address")
		}
	}
	return nil, 0, air, fmt.Errorf("%w: it has no address", ErrNotFound)
}

// fromHosts looks a name up in etc/hosts, where an owner may pin a broker.
func (w Way) fromHosts(host string) []netip.Addr {
	if w.hosts == nil {
		return nil
	}
	var found []netip.Addr
	eachLine(w.hosts, "etc/hosts", func(fields []string) {
		a, err := netip.ParseAddr(fields[0])
		if err != nil || len(found) == maxAddresses {
			return
		}
		for _, name := range fields[1:] {
			if strings.HasPrefix(name, "#") {
				return
			}
			if strings.EqualFold(strings.TrimSuffix(name, "."), strings.TrimSuffix(host, ".")) {
				found = append(found, a.Unmap())
				return
			}
		}
	})
	return found
}

// resolverFiles are where dialers leave the carrier's servers, the most
// specific first: pppd, OpenWrt's netifd (new and old), systemd-resolved's
// upstream list, the system's own file. Paths are relative to the root.
var resolverFiles = []string{
	"etc/ppp/resolv.conf",
	"tmp/resolv.conf.d/resolv.conf.auto",
	"tmp/resolv.conf.auto",
	"run/systemd/resolve/resolv.conf",
	"etc/resolv.conf",
}

// maxNamesFile bounds what is read of such a file or of etc/hosts.
const maxNamesFile = 16 << 10

// SystemResolvers reads the servers that the board's dialer wrote down, from
// the first file that names any. Loopback servers are left out: a local stub
// does not answer on the data interface. root is os.DirFS("/").
func SystemResolvers(root fs.FS) []netip.AddrPort {
	for _, name := range resolverFiles {
		if found := readResolvConf(root, name); len(found) > 0 {
			return found
		}
	}
	return nil
}

func readResolvConf(root fs.FS, name string) []netip.AddrPort {
	var found []netip.AddrPort
	eachLine(root, name, func(fields []string) {
		if len(fields) < 2 || fields[0] != "nameserver" {
			return
		}
		a, err := netip.ParseAddr(fields[1])
		if err != nil || a.IsLoopback() || a.IsUnspecified() {
			return
		}
		found = append(found, netip.AddrPortFrom(a.Unmap(), dnsPort))
	})
	return found
}

// eachLine gives the words of each line that has any, of the first maxNamesFile bytes.
func eachLine(root fs.FS, name string, f func(words []string)) {
	file, err := root.Open(name)
	if err != nil {
		return
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for read := 0; lines.Scan() && read < maxNamesFile; read += len(lines.Bytes()) + 1 {
		if words := strings.Fields(lines.Text()); len(words) > 0 {
			f(words)
		}
	}
}

const dnsPort = 53
