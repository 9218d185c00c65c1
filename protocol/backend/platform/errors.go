package platform

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// A Kind is what an error asks of the caller.
type Kind string

// The kinds of errors. A mapping file's frame table names them.
const (
	OK        Kind = "ok"
	Empty     Kind = "empty"     // answered, and there is nothing
	Token     Kind = "token"     // log in again, once
	Refused   Kind = "refused"   // user, password, key or signature: the account stops until somebody acts
	Rate      Kind = "rate"      // too often: slower
	Busy      Kind = "busy"      // again later
	NoCard    Kind = "no_card"   // not this customer's, or not in the system: ask weekly
	Parameter Kind = "parameter" // our mistake: count, do not repeat
	Malformed Kind = "malformed" // a login page, half a body
	Away      Kind = "away"      // the network, 5xx
	Skewed    Kind = "clock"     // refused, and our clock is off by the Date that came with it
	Other     Kind = "other"     // a code that the mapping does not know
)

var kinds = []Kind{OK, Empty, Token, Refused, Rate, Busy, NoCard, Parameter, Malformed, Away, Skewed, Other}

// An Error is a call that gave no answer. It names neither card nor secret.
type Error struct {
	Account, Call string
	Kind          Kind
	Code          string        // the platform's
	Text          string        // the platform's, masked
	After         time.Duration // not before; 0 when the platform did not say
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %s", e.Account, e.Call, hints[e.Kind])
	if e.Code != "" {
		s += ": code " + e.Code
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

var hints = map[Kind]string{
	Empty:     "no value",
	Token:     "the platform takes no token of ours",
	Refused:   "login or signature refused: see to the account's user, password, key and address list",
	Rate:      "asked too often",
	Busy:      "busy, again later",
	NoCard:    "the platform knows no such card of this customer",
	Parameter: "a parameter is refused",
	Malformed: "the answer is not what this platform sends",
	Away:      "no answer",
	Skewed:    "refused, and the clock of this machine is wrong: signed calls need the time to the minute",
	Other:     "a code that the mapping file does not know",
}

// KindOf says what err asks for; Away for what is no Error.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Other
	}
	return Away
}

// identity is what might be a card, a number, a token or a key: seven and more of
// letters and digits with a digit among them.
var identity = regexp.MustCompile(`[0-9A-Za-z+/=_-]*[0-9][0-9A-Za-z+/=_-]*`)

func mask(s string) string {
	return clip(identity.ReplaceAllStringFunc(s, func(w string) string {
		if len(w) < 7 {
			return w
		}
		return "***"
	}), 120)
}
