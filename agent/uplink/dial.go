package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"cellwarden/agent/wayout"
)

// stageError says at which stage connecting failed.
type stageError struct {
	why Why
	err error
}

func (e *stageError) Error() string { return string(e.why) + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// dial opens the TCP connection to b.
func (u *Uplink) dial(ctx context.Context, b broker) (*counted, error) {
	way, err := u.opt.Way()
	if err != nil {
		return nil, &stageError{WhyBind, err}
	}
	r, err := u.reach(ctx, way, b)
	if r.Air > 0 {
		u.emit(Traffic{WireBytes: uint64(r.Air)})
	}
	if r.Note != u.note {
		u.note = r.Note
		u.emit(WeakBind{Note: r.Note})
	}
	if err == nil {
		c := newCounted(r.Conn)
		u.dialled(c)
		return c, nil
	}
	if errors.Is(err, errOvertaken) {
		return nil, err
	}
	var name *wayout.NameError
	var notSent wayout.NotSent
	why := WhyConnect
	switch {
	case errors.As(err, &name):
		why = WhyDNS
	case errors.As(err, &notSent):
		why = WhyBind
	case isTimeout(err):
		why = WhyTimeout
	}
	return nil, &stageError{why, err}
}

// overtaken is how long an attempt that has reached nobody stands against a Nudge.
const overtaken = 2 * time.Second

// errOvertaken ends an attempt that began before the path was back.
var errOvertaken = errors.New("the path is back; a new attempt is quicker")

// reach connects by way. A Nudge that comes when the attempt is old breaks it off; one
// that comes before counts for the wait after it.
func (u *Uplink) reach(ctx context.Context, way wayout.Way, b broker) (wayout.Reached, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began, done, joined, young := time.Now(), make(chan struct{}), make(chan struct{}), false
	go func() {
		defer close(joined)
		for {
			select {
			case <-done:
				return
			case <-u.nudge:
				if young = time.Since(began) < overtaken; !young {
					cancel(errOvertaken)
				}
			}
		}
	}()
	r, err := way.Connect(ctx, "tcp", b.host, b.port)
	close(done)
	<-joined
	switch {
	case err != nil && context.Cause(ctx) == errOvertaken:
		err = errOvertaken
	case err != nil && young:
		u.Nudge()
	}
	return r, err
}

// moved reports whether a new connection to the broker would begin at another
// address of ours than this one does: Ethernet or Wi-Fi came or went, or the
// modem's session has a new address, and this connection is dead. Nothing is sent.
func (u *Uplink) moved(ctx context.Context, l *link) bool {
	way, err := u.opt.Way()
	if err != nil {
		return false // what is under way will tell
	}
	from := way.Leads(ctx, l.tcp.RemoteAddr())
	return from.IsValid() && from != wayout.Network(l.tcp.LocalAddr())
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
