// Package device is this machine's hardware as functions: clock, modem port, data
// interfaces, name servers, reset lines, the LED. It decides nothing and runs nothing
// by itself; package worker calls it from one goroutine each. The demo and the tests
// hand the agent a Hardware of their own.
package device

import (
	"context"
	"io"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/meter"
	"cellwarden/agent/remedy"
	"cellwarden/agent/wayout"
	"cellwarden/modem"
	"cellwarden/modem/profile"
	"cellwarden/modem/threegpp"
)

// Hardware is everything outside that the agent touches. New gives the
// device's own; the demo and the tests give others.
type Hardware struct {
	Now func() instant.Instant
	// Timer fires once Now has reached mono. A clock that runs faster than real
	// time (the demo's) fires sooner.
	Timer func(mono time.Duration) (c <-chan time.Time, stop func())
	// OpenModem opens and prepares the modem; nil: there is none.
	OpenModem func(ctx context.Context) (Modem, error)
	// Links reads the data interfaces, and says which one carries data now.
	Links func() ([]meter.Reading, diag.Interface, error)
	// WatchLinks tells the last counters of each interface that is deleted, until
	// ctx ends; a zero Reading says that some were missed. Nil: only polls count.
	WatchLinks func(ctx context.Context, gone func(meter.Reading)) error
	RunProbe   func(ctx context.Context, s core.ProbeSpec) diag.ProbeResult
	// Way is the way out over an interface, "" for any. Nil: the agent makes its own.
	Way func(iface string) wayout.Way
	// OverData says whether the way to addr ("ip:port", "" for anywhere) is the
	// data interface's. Nil: only where the config binds the uplink to it.
	OverData func(addr string) bool
	// HearTime is told every time that comes from outside, by the names of
	// board.TimeSource: the modem's network time, a time server's, the date of the
	// broker's certificate. Nil: nobody listens.
	HearTime func(source string, at time.Time)
	// ResetModem presses the line that resets a modem whose port is "silent" or
	// "absent". Nil: none is wired.
	ResetModem func(ctx context.Context, state string) error
	// Redial tells the dialer to hang up and dial, as a step and once the modem is back
	// after a reset. Nil: it needs no telling, or nobody knows how.
	Redial func(ctx context.Context) error
	// Hands are further steps of package remedy that this board can take, each with the
	// state of the AT port.
	Hands map[remedy.Step]func(ctx context.Context, port string) error
	// ShowState shows on the board whether all is well. Nil: it cannot.
	ShowState func(good bool)
	// OpenAudit opens the machine's audit port for one poll, OpenBus the one that
	// listens to its payment bus. Nil: not configured.
	OpenAudit func() (io.ReadWriteCloser, error)
	OpenBus   func() (io.ReadWriteCloser, error)
	// AskTime asks a time server. Nil: none can be asked.
	AskTime func(ctx context.Context, server string) (time.Time, error)
}

// Modem is an open modem. *modem.Modem is one.
type Modem interface {
	Ask(ctx context.Context, q modem.Query) []modem.Answer
	Unsolicited() <-chan modem.Event
	Done() <-chan struct{}
	ReadSMS(ctx context.Context, index int) []modem.Answer
	SendSMS(ctx context.Context, to, text string) []modem.Answer
	DeleteSMS(ctx context.Context, stored threegpp.SMS) []modem.Answer
	Do(ctx context.Context, cmd string, timeout time.Duration) []modem.Answer
	Profile() *profile.Profile
	Port() string
	Close() error
}

// NetworkTime picks what the modem says of the time, for HearTime.
func NetworkTime(facts []threegpp.Fact) (time.Time, bool) {
	for _, f := range facts {
		if t, ok := f.(threegpp.NetworkTime); ok && t.NITZ {
			return t.Time, true
		}
	}
	return time.Time{}, false
}
