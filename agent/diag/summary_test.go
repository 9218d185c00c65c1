package diag

import (
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// A card that is refused for data and for calls is shown with the cause for data,
// whichever the modem told last; one refused for calls alone with that.
func TestSummaryShowsTheCauseForData(t *testing.T) {
	reject := func(p threegpp.Protocol, n int) any {
		return threegpp.Reject{Cause: threegpp.RejectCause{Protocol: p, Number: n}}
	}
	for _, tt := range []struct {
		facts []any
		want  string
	}{
		{[]any{reject(threegpp.EMM, 8), reject(threegpp.MM, 8)}, "EMM #8"},
		{[]any{reject(threegpp.MM, 2), reject(threegpp.MM, 6)}, "MM #6"},
		{[]any{reject(threegpp.EMM, 7), reject(threegpp.EMM, 8)}, "EMM #8"},
	} {
		var k Known
		for i, f := range tt.facts {
			k.Observe(Observation{At: instant.Instant{Mono: time.Duration(i+1) * time.Second}, Source: "at:+CREG", Fact: f})
		}
		if got := k.Summary().Cause.String(); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.facts, got, tt.want)
		}
	}
}
