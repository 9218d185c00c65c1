package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	// minTTL: an entry below a minute would cost 200 bytes before each reconnect.
	minTTL = time.Minute
	// maxTTL: a broker that moved must be found again within a day.
	maxTTL = 24 * time.Hour
	// staleFor is how long an expired entry still serves while no server
	// answers: a dead resolver must not cut a broker that lives.
	staleFor = 7 * 24 * time.Hour
	// maxCached names: brokers, NTP and probe hosts are fewer than ten.
	maxCached = 32
	// resolveTimeout bounds Resolve when the caller's context does not.
	resolveTimeout = 10 * time.Second
)

// Resolver finds addresses with its own servers, so that a board without
// resolv.conf (Android) or with another interface's resolver still finds its
// broker through the modem. Safe for use from several goroutines; queries for
// the same name at the same time may both be sent.
type Resolver struct {
	// Env tells interface and dial hooks; its Resolver field names the servers
	// unless Servers is set. Its Lookup is not used.
	Env Env
	// Servers is asked before each query, because a new session may bring new
	// ones. Nil means Env.Resolver.
	Servers func() []netip.AddrPort

	mu    sync.Mutex
	cache map[string]cached
}

type cached struct {
	addrs   []netip.Addr
	expires time.Time
}

// Resolve returns the addresses of host, IPv4 first; AAAA is asked only when
// there is no A. It returns ErrNotFound for a name that does not exist,
// ErrSilent when no server answered and ErrNoServer when nobody can be asked.
// A literal is returned as it is.
func (r *Resolver) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	key := strings.ToLower(strings.TrimSuffix(host, "."))
	old, have := r.lookup(key)
	if have && time.Now().Before(old.expires) {
		return old.addrs, nil
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, resolveTimeout)
		defer cancel()
	}
	got, err := r.ask(ctx, key)
	switch {
	case err == nil:
		r.store(key, got)
		return got.addrs, nil
	case errors.Is(err, ErrNotFound):
		r.Forget(key)
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	case have && time.Now().Before(old.expires.Add(staleFor)) && !errors.Is(err, context.Canceled):
		return old.addrs, nil
	}
	if judge(err).result == Timeout {
		err = ErrSilent
	}
	return nil, fmt.Errorf("%s: %w", key, err)
}

// Forget drops what is cached for host. Call it when none of the addresses
// could be reached.
func (r *Resolver) Forget(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.cache, strings.ToLower(strings.TrimSuffix(host, ".")))
}

func (r *Resolver) ask(ctx context.Context, host string) (cached, error) {
	servers := r.Env.Resolver
	if r.Servers != nil {
		servers = r.Servers()
	}
	for _, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		q, err := question(host, t)
		if err != nil {
			return cached{}, err
		}
		got, _, err := r.Env.exchange(ctx, servers, q)
		if err != nil {
			return cached{}, err
		}
		switch got.rcode {
		case dnsmessage.RCodeSuccess:
		case dnsmessage.RCodeNameError:
			return cached{}, ErrNotFound
		default:
			return cached{}, fmt.Errorf("DNS server answered rcode %d", got.rcode)
		}
		if len(got.addrs) > 0 {
			ttl := min(max(got.ttl, minTTL), maxTTL)
			return cached{addrs: got.addrs, expires: time.Now().Add(ttl)}, nil
		}
		if got.truncated {
			return cached{}, errors.New("DNS answer was truncated before the first address")
		}
	}
	return cached{}, fmt.Errorf("%w: it has no address", ErrNotFound)
}

func (r *Resolver) lookup(key string) (cached, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.cache[key]
	return c, ok
}

func (r *Resolver) store(key string, c cached) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cache == nil {
		r.cache = map[string]cached{}
	}
	if _, have := r.cache[key]; !have && len(r.cache) >= maxCached {
		var first string
		for k, v := range r.cache {
			if first == "" || v.expires.Before(r.cache[first].expires) {
				first = k
			}
		}
		delete(r.cache, first)
	}
	r.cache[key] = c
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

// maxResolvConf bounds what is read of such a file; glibc reads three servers.
const maxResolvConf = 16 << 10

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
	f, err := root.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	var found []netip.AddrPort
	lines := bufio.NewScanner(f)
	for read := 0; lines.Scan() && read < maxResolvConf; read += len(lines.Bytes()) + 1 {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		a, err := netip.ParseAddr(fields[1])
		if err != nil || a.IsLoopback() || a.IsUnspecified() {
			continue
		}
		found = append(found, netip.AddrPortFrom(a.Unmap(), dnsPort))
	}
	return found
}

const dnsPort = 53
