package probe

import (
	"context"
	"errors"
	"net"
	"time"
)

// Connect opens a TCP connection to host and port on the way that probes take: the
// interface and the name servers of e. The deadline of ctx ends the attempt, not the
// connection.
func (e Env) Connect(ctx context.Context, host string, port uint16) (net.Conn, error) {
	conn, _, failed := e.connect(ctx, "tcp", host, port)
	if failed != nil {
		if failed.detail == "" {
			return nil, errors.New(failed.result)
		}
		return nil, errors.New(failed.result + ": " + failed.detail)
	}
	return conn, conn.SetDeadline(time.Time{})
}
