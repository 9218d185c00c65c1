package wayout

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// NotSent is a question that could not be asked; its text says why: no interface, no
// address, not a name. It says nothing of the network.
type NotSent string

func (e NotSent) Error() string { return string(e) }

// NameError is a name that was not resolved.
type NameError struct {
	Host string
	Err  error
}

func (e *NameError) Error() string { return e.Err.Error() }
func (e *NameError) Unwrap() error { return e.Err }

// Failure is how an attempt ended that did not succeed.
type Failure int

// The failures.
const (
	// Unasked: the question could not be asked. It is no evidence at all.
	Unasked Failure = iota
	// Silent: it was asked, and nothing usable came back in time.
	Silent
	// Refused: somebody answered, and said no.
	Refused
)

// Judge tells what the error of a socket means, with a word on what is not plain.
func Judge(err error) (Failure, string) {
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Silent, ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused, ""
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Refused, "connection closed by the other side"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		// No neighbour answered, or a router on the way gave up: the target stayed silent.
		return Silent, "host unreachable"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETDOWN):
		return Unasked, "no route: give the data interface a default route"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return Unasked, "this board's own firewall forbids it"
	case errors.As(err, &netErr) && netErr.Timeout():
		return Silent, ""
	}
	return Unasked, err.Error()
}

// Sent reports whether err is of something that went out.
func Sent(err error) bool {
	f, _ := Judge(err)
	return f != Unasked
}
