package core

import (
	"slices"

	"cellwarden/agent/diag"
)

// separators says which probe best tells two leading classes apart
// (diagnosis.md §6, "best separators for common ties"); any member of the stop
// group stands for the group. Ties that no probe separates are not listed: then
// the cheapest goes first.
var separators = []struct {
	a, b          diag.Code
	probe, target string
}{
	{diag.SuspendedUnspecified, diag.DataBlackHole, "http", "third_party"}, // a portal answers, a hole does not
	{diag.SuspendedUnspecified, diag.DataBlackHole, "tls", "own"},          // so does it with its certificate
	{diag.SuspendedUnspecified, diag.CloudUnreachable, "tcp", "third_party"},
	{diag.SuspendedUnspecified, diag.CloudUnreachable, "tls", "own"},
	{diag.DataBlackHole, diag.CloudUnreachable, "tcp", "third_party"}, // two hosts of other owners
	{diag.DataBlackHole, diag.CarrierOutage, "dns", "carrier"},        // the operator's own resolver
	{diag.DataBlackHole, diag.APNConfig, "dns", "carrier"},
	{diag.CloudUnreachable, "", "tls", "own"}, // a wrong clock, a wrong certificate or a dead service; "": against any
}

// nextProbe takes the probe of queue that best separates the two leading
// candidates of d; the first, which is the cheapest, where none does.
func nextProbe(queue []ProbeSpec, d diag.Diagnosis) (ProbeSpec, []ProbeSpec) {
	at := 0
	if d.Verdict != diag.Confirmed && len(d.Candidates) > 1 {
		a, b := groupOf(d.Candidates[0].Class), groupOf(d.Candidates[1].Class)
		for _, s := range separators {
			if s.a != a && s.a != b || s.b != a && s.b != b && s.b != "" || a == b {
				continue
			}
			if i := slices.IndexFunc(queue, func(q ProbeSpec) bool { return q.Probe == s.probe && q.Target == s.target }); i >= 0 {
				at = i
				break
			}
		}
	}
	return queue[at], slices.Delete(slices.Clone(queue), at, at+1)
}

func groupOf(class diag.Code) diag.Code {
	if slices.Contains(diag.StopGroup, class) {
		return diag.SuspendedUnspecified
	}
	return class
}
