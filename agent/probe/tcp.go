package probe

import (
	"context"
	"net"
	"strconv"

	"cellwarden/agent/wayout"
)

// splitHost reads "host:port"; fallback is the port of a bare host, 0 for none.
func splitHost(s string, fallback uint16) (host string, port uint16, err error) {
	host, text, splitErr := net.SplitHostPort(s)
	if splitErr != nil {
		if fallback == 0 || s == "" {
			return "", 0, wayout.NotSent("want host:port")
		}
		return s, fallback, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, wayout.NotSent("want host:port")
	}
	return host, uint16(n), nil
}

// probeTCP opens a connection and drops it with a reset: one packet instead of
// the four of a polite close.
func probeTCP(ctx context.Context, e Env, s Spec) outcome {
	host, port, err := splitHost(s.Host, 0)
	if err != nil {
		return judge(err)
	}
	conn, note, failed := e.connect(ctx, "tcp", host, port)
	if failed != nil {
		return *failed
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // at worst the close is the polite one
	}
	conn.Close()
	return outcome{OK, note}
}
