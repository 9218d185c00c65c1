package core

import (
	"strings"

	"cellwarden/agent/clean"
	"cellwarden/protocol"
)

const (
	// maxForeign bounds a text of the backend that is kept and shown: the words of
	// platforms have 20 bytes, a time has 25, what a carrier says raw a sentence.
	maxForeign = 120
	// openDigits is the longest run of digits that is kept: dates and error codes have
	// fewer, a telephone number has seven or more.
	openDigits = 6
)

// foreign makes a text that somebody else wrote fit to be kept, logged and shown: not
// too long, nothing in it that acts on a terminal, and with its telephone numbers,
// cards and subscribers masked.
func foreign(s string) string {
	s = clean.Line(s)
	if len(s) > maxForeign {
		s = strings.ToValidUTF8(s[:maxForeign], "")
	}
	b := []byte(s)
	for i := 0; i < len(b); {
		run := i
		for run < len(b) && b[run] >= '0' && b[run] <= '9' {
			run++
		}
		for j := i; run-i > openDigits && j < run; j++ {
			b[j] = '*'
		}
		i = max(run, i+1)
	}
	return string(b)
}

// foreignStatus is what is kept of a platform's status. The card's number is compared
// by the caller, never kept.
func foreignStatus(s protocol.SIMStatus) protocol.SIMStatus {
	s.ICCID = ""
	for _, f := range []*string{&s.State, &s.Reason, &s.AsOf, &s.Since, &s.ResumeAt, &s.UsedAsOf, &s.ExpiresAt, &s.Source, &s.CarrierRaw} {
		*f = foreign(*f)
	}
	return s
}
