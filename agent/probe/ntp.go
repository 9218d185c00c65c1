package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"cellwarden/agent/wayout"

	"github.com/beevik/ntp"
)

// Facts of RFC 5905 and RFC 4330.
const (
	ntpPort   = 123
	ntpSize   = 48
	ntpServer = 4 // mode
	// maxStratum: 16 and above is unsynchronised.
	maxStratum = 15
	// maxHeld is how long a request may be under way and with the server: the times at
	// which it came and left are that close.
	maxHeld = time.Minute
)

// ntpEarliest: none of our servers speaks of a time before it.
var ntpEarliest = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// errNTPRefused is an answer that says it is not to be used.
var errNTPRefused = errors.New("ntp server gives no time")

// Sample is one comparison of the wall clock with a server.
type Sample struct {
	Offset time.Duration // to be added to Env.Now
	RTT    time.Duration // the offset is right within half of it
}

// SNTP asks one server ("host" or "host:port") once, in 48 bytes each way,
// and once more when half of the context's time has passed unanswered.
func SNTP(ctx context.Context, e Env, server string) (Sample, error) {
	s, _, err := e.sntp(ctx, server)
	if err != nil {
		return Sample{}, fmt.Errorf("ntp %s: %w", server, err)
	}
	return s, nil
}

func (e Env) sntp(ctx context.Context, server string) (Sample, string, error) {
	host, port, err := splitHost(server, ntpPort)
	if err != nil {
		return Sample{}, "", err
	}
	conn, note, failed := e.connect(ctx, "udp", host, port)
	if failed != nil {
		return Sample{}, "", errCert{*failed}
	}
	defer conn.Close()
	ours := &ntpConn{Conn: conn, ctx: ctx}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	tries := []time.Duration{0} // 0: as long as the library waits
	if t, ok := ctx.Deadline(); ok {
		tries = []time.Duration{time.Until(t) / 2, time.Until(t) / 2}
	}
	var lastErr error
	for _, wait := range tries {
		sent, mono := e.now(), time.Now()
		r, err := ntp.QueryWithOptions("server", ntp.QueryOptions{
			Timeout: wait,
			Dialer:  func(string, string) (net.Conn, error) { return ours, nil },
			// A step of the wall clock in between does no harm.
			GetSystemTime: func() time.Time { return sent.Add(time.Since(mono)) },
		})
		switch {
		case ctx.Err() != nil:
			return Sample{}, note, ctx.Err()
		case err == nil:
			if err := usable(r, sent); err != nil {
				return Sample{}, note, err
			}
			return Sample{Offset: r.ClockOffset, RTT: r.RTT}, note, nil
		case errors.Is(err, ntp.ErrInvalidTransmitTime), errors.Is(err, ntp.ErrServerTickedBackwards):
			return Sample{}, note, fmt.Errorf("%w: %w", errNTPRefused, err)
		case judge(err).result == Refused:
			return Sample{}, note, err
		}
		lastErr = err
	}
	return Sample{}, note, lastErr
}

// usable judges an answer as RFC 4330 §5 does. Validate of the library asks for more:
// routers that serve time often leave the reference time and the root delay empty.
func usable(r *ntp.Response, sent time.Time) error {
	switch {
	case r.Stratum == 0:
		return fmt.Errorf("%w: kiss of death %q", errNTPRefused, printable(r.KissCode))
	case r.Stratum > maxStratum:
		return fmt.Errorf("%w: stratum %d", errNTPRefused, r.Stratum)
	case r.Leap == ntp.LeapNotInSync:
		return fmt.Errorf("%w: it is not synchronised itself", errNTPRefused)
	case r.Time.Before(ntpEarliest):
		return fmt.Errorf("%w: it says %s", errNTPRefused, r.Time.UTC().Format(time.DateOnly))
	case sent.Add(r.ClockOffset).Sub(r.Time).Abs() > maxHeld:
		return fmt.Errorf("%w: its two times are too far apart", errNTPRefused)
	}
	return nil
}

// ntpConn hands the library only datagrams that answer its request, told by the random
// transmit time that an answer repeats: the library takes the first that comes, which
// anybody on the way may have forged. It stays open for a second try.
type ntpConn struct {
	net.Conn
	ctx    context.Context
	cookie [8]byte
}

func (c *ntpConn) Write(p []byte) (int, error) {
	if len(p) >= ntpSize {
		copy(c.cookie[:], p[40:])
	}
	return c.Conn.Write(p)
}

// maxDatagrams is how many strange datagrams are read before giving up: the
// socket is connected, so an honest network sends none.
const maxDatagrams = 16

func (c *ntpConn) Read(p []byte) (int, error) {
	for range maxDatagrams {
		n, err := c.Conn.Read(p)
		if err != nil || n >= ntpSize && p[0]&7 == ntpServer && bytes.Equal(p[24:32], c.cookie[:]) {
			return n, err
		}
	}
	return 0, wayout.ErrNotOurs
}

func (c *ntpConn) SetDeadline(t time.Time) error {
	err := c.Conn.SetDeadline(t)
	if c.ctx.Err() != nil { // it may have ended just before, and be undone by this
		err = c.Conn.SetDeadline(time.Unix(1, 0))
	}
	return err
}

func (c *ntpConn) Close() error { return nil }

// probeNTP tells whether a time server answers, and how far the clock is off.
func probeNTP(ctx context.Context, e Env, s Spec) outcome {
	got, note, err := e.sntp(ctx, s.Host)
	var failed errCert
	switch {
	case err == nil:
		return outcome{OK, join(note, fmt.Sprintf("offset %+.3fs", got.Offset.Seconds()))}
	case errors.As(err, &failed):
		return failed.outcome
	case errors.Is(err, errNTPRefused):
		return outcome{Refused, err.Error()}
	case errors.Is(err, wayout.ErrNotOurs):
		return outcome{Timeout, "only unusable answers came"}
	}
	return judge(err)
}
