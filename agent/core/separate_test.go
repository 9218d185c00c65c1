package core

import (
	"testing"

	"cellwarden/agent/diag"
)

func TestTheSeparatingProbeGoesFirst(t *testing.T) {
	queue := []ProbeSpec{{"dns", "carrier", "n", 200}, {"tcp", "third_party", "a", 300}, {"http", "third_party", "h", 900}, {"tcp", "own", "o", 300}}
	for _, tt := range []struct {
		a, b diag.Code
		v    diag.Verdict
		want string
	}{
		{diag.OverQuota, diag.DataBlackHole, diag.Likely, "http"},
		{diag.CloudUnreachable, diag.DataBlackHole, diag.Undecided, "tcp"},
		{diag.DataBlackHole, diag.CarrierOutage, diag.Undecided, "dns"},
		{diag.WeakSignal, diag.AntennaFault, diag.Undecided, "dns"},
		{diag.OverQuota, diag.DataBlackHole, diag.Confirmed, "dns"},
		{diag.Arrears, diag.OverQuota, diag.Likely, "dns"},
	} {
		got, rest := nextProbe(queue, diag.Diagnosis{Verdict: tt.v, Candidates: []diag.Candidate{{Class: tt.a}, {Class: tt.b}}})
		if got.Probe != tt.want || len(rest) != 3 {
			t.Errorf("%s or %s (%s): %v, %d left", tt.a, tt.b, tt.v, got, len(rest))
		}
	}
	withTLS := []ProbeSpec{{"dns", "carrier", "n", 200}, {"tcp", "third_party", "a", 300}, {"tls", "own", "o", 5000}}
	for _, tt := range []struct {
		a, b diag.Code
		from []ProbeSpec
		want string
	}{
		{diag.CloudUnreachable, diag.WeakSignal, withTLS, "tls"},              // nothing cheaper tells them apart
		{diag.DataBlackHole, diag.CloudUnreachable, withTLS, "tcp"},           // first whether others answer
		{diag.DataBlackHole, diag.CloudUnreachable, withTLS[2:], "tls"},       // then the own service's handshake
		{diag.Arrears, diag.DataBlackHole, withTLS, "tls"},                    // a portal shows its certificate; no page is configured
		{diag.Arrears, diag.DataBlackHole, append(queue, withTLS[2]), "http"}, // the page is cheaper
		{diag.NoCoverage, diag.AntennaFault, withTLS, "dns"},                  // no handshake for what it cannot tell
	} {
		if got, _ := nextProbe(tt.from, diag.Diagnosis{Verdict: diag.Undecided, Candidates: []diag.Candidate{{Class: tt.a}, {Class: tt.b}}}); got.Probe != tt.want {
			t.Errorf("%s or %s: %v, want %s", tt.a, tt.b, got, tt.want)
		}
	}
	if queue[0].Probe != "dns" || queue[2].Probe != "http" {
		t.Errorf("the configured round changed: %v", queue)
	}
}
