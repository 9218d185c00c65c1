package localapi

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a connection may take to bring its request while others wait: a
// local program sends it at once.
const patience = 400 * time.Millisecond

// crowd is a listener that always has room for one more: when too many are there, the
// one that has waited longest without a request under way has to go, of whoever holds
// the most. Connections that are idle, or drip a header byte by byte, keep nobody out.
type crowd struct {
	net.Listener
	most int
	left chan struct{} // somebody has gone

	mu     sync.Mutex
	guests []*guest // the oldest first
}

// guest is one connection. who is the user at the other end of the socket, or the
// address of a network connection.
type guest struct {
	net.Conn
	who     any
	since   atomic.Int64 // when it came, or its last request was answered: UnixNano
	serving atomic.Int32 // requests under way
	leave   func()
}

func newCrowd(l net.Listener, most int) *crowd {
	return &crowd{Listener: l, most: most, left: make(chan struct{}, 1)}
}

// Accept waits for a connection and makes room for it.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: conn, who: peer(conn)}
	g.since.Store(time.Now().UnixNano())
	g.leave = sync.OnceFunc(func() { c.remove(g) })
	for !c.enter(g) {
		select { // everybody is served, or has just come
		case <-c.left:
		case <-time.After(patience):
		}
	}
	return g, nil
}

// enter adds g. Where there is no room it sends somebody away, and says whether it
// could.
func (c *crowd) enter(g *guest) bool {
	c.mu.Lock()
	if len(c.guests) < c.most {
		c.guests = append(c.guests, g)
		c.mu.Unlock()
		return true
	}
	held := map[any]int{g.who: 1}
	for _, x := range c.guests {
		held[x.who]++
	}
	var out *guest
	for _, x := range c.guests {
		if x.serving.Load() == 0 && time.Since(time.Unix(0, x.since.Load())) >= patience && (out == nil || held[x.who] > held[out.who]) {
			out = x
		}
	}
	c.mu.Unlock()
	if out == nil {
		return false
	}
	out.Close()
	return c.enter(g)
}

func (c *crowd) remove(g *guest) {
	c.mu.Lock()
	c.guests = slices.DeleteFunc(c.guests, func(x *guest) bool { return x == g })
	c.mu.Unlock()
	select {
	case c.left <- struct{}{}:
	default:
	}
}

// Close ends the connection and leaves the crowd.
func (g *guest) Close() error {
	g.leave()
	return g.Conn.Close()
}

type guestKey struct{}

// knowGuest lets a request find its connection.
func knowGuest(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	if g, ok := c.(*guest); ok {
		return context.WithValue(ctx, guestKey{}, g)
	}
	return ctx
}

// served marks a connection while a request of it is under way.
func served(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
			g.serving.Add(1)
			defer func() { // its next request may be on the way: patience begins anew
				g.since.Store(time.Now().UnixNano())
				g.serving.Add(-1)
			}()
		}
		h.ServeHTTP(w, r)
	})
}

// peer is who is at the other end.
func peer(c net.Conn) any {
	u, ok := c.(*net.UnixConn)
	if !ok {
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			return c.RemoteAddr().String()
		}
		return host
	}
	uid := -1
	if raw, err := u.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { // a peer that has gone has no user: it keeps -1
			if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
				uid = int(cred.Uid)
			}
		})
	}
	return uid
}
