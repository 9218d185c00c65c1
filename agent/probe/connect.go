package probe

import (
	"context"
	"errors"
	"net"

	"cellwarden/agent/wayout"
)

// connect opens a connection to host and port, which the deadline of ctx ends. The
// outcome is set on failure.
func (e Env) connect(ctx context.Context, network, host string, port uint16) (net.Conn, string, *outcome) {
	r, err := e.Way.Connect(ctx, network, host, port)
	if err == nil {
		if t, ok := ctx.Deadline(); ok {
			if err = r.SetDeadline(t); err != nil {
				r.Close()
			}
		}
	}
	if err == nil {
		return r.Conn, r.Note, nil
	}
	var name *wayout.NameError
	if errors.As(err, &name) {
		o := unresolved(name)
		return nil, "", &o
	}
	o := judge(err)
	if o.detail == "" {
		o.detail = r.Note
	}
	return nil, "", &o
}

// unresolved says what a failed lookup means for a probe that needed the
// address: a name that does not exist is an answer, a silent resolver is not
// evidence about this target.
func unresolved(err error) outcome {
	if errors.Is(err, wayout.ErrNotFound) {
		return outcome{NXDomain, ""}
	}
	return outcome{NotSent, "name not resolved: " + err.Error()}
}

// judge turns the error of a socket into a result.
func judge(err error) outcome {
	f, detail := wayout.Judge(err)
	switch f {
	case wayout.Silent:
		return outcome{Timeout, detail}
	case wayout.Refused:
		return outcome{Refused, detail}
	}
	return outcome{NotSent, detail}
}
