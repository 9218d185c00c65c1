package diag

import (
	"slices"
	"time"

	"cellwarden/agent/instant"
)

// missing lists what nobody knows and would matter, and the check that would
// decide between what is left.
func (k *sight) missing(d *Diagnosis) {
	say := func(key string) { d.Unknown = append(d.Unknown, phrase(key)) }
	if d.Verdict == AllWell {
		return
	}
	stop := d.Class == SuspendedUnspecified
	for _, c := range d.Candidates {
		for _, m := range members {
			stop = stop || c.Class == m && c.P >= 0.1
		}
	}
	if stop {
		if !k.simStatus.ok {
			say("unknown.platform")
		}
		switch {
		case !k.plan.ok:
			say("unknown.plan")
		case !k.usage.ok:
			say("unknown.usage")
		}
		if !k.Now.Trusted {
			say("unknown.clock")
		}
		if !k.lastGood.ok {
			say("unknown.last_good")
		}
	}
	switch d.Layer {
	case LayerRegistration:
		if k.registered() == no && len(k.rejects) == 0 {
			say("unknown.reject_cause")
		}
		if !k.signal.ok {
			say("unknown.signal")
		}
	case LayerRadio:
		if !k.neighbours.ok {
			say("unknown.neighbours")
		}
	case "":
		if len(k.sim) == 0 && !k.imsi.ok && !k.iccid.ok {
			say("unknown.sim")
		}
		if k.registered() == unknown {
			say("unknown.registration")
		}
		if !k.signal.ok {
			say("unknown.signal")
		}
		if len(k.probes) == 0 {
			say("unknown.path")
		}
	}
	if d.Verdict != Confirmed || d.Class == SuspendedUnspecified {
		d.DecideBy = phrase(k.decider(d)) // a confirmed verdict is decided, but for the group's member
	}
}

// A question is asked about a judgement that stands between candidates.
type question struct {
	first Code // the leading class
	among map[Code]bool
}

func (q *question) stop() bool {
	return slices.ContainsFunc(StopGroup, func(c Code) bool { return q.among[c] })
}

// decider names the cheapest check that separates the leading candidates
// (SOURCES.md 1, best separators for common ties): the layer at fault asks.
func (k *sight) decider(d *Diagnosis) string {
	if d.Class == SuspendedUnspecified {
		return "decide.member"
	}
	if d.Class == CloudUnreachable && d.Detail.Key == "detail.clock" {
		return "decide.clock"
	}
	q := &question{first: d.Class, among: map[Code]bool{}}
	if q.first == Ambiguous && len(d.Candidates) > 0 {
		q.first = d.Candidates[0].Class
	}
	for i, c := range d.Candidates {
		if i < 3 {
			q.among[c.Class] = true
		}
	}
	for _, r := range ladder {
		if r.layer == d.Layer {
			return r.ask(k, q)
		}
	}
	if k.port.value.State == "held" {
		return "decide.release_port"
	}
	if k.maybeAsleep() && k.silent() > 0 {
		return "decide.wake"
	}
	if k.port.value.State == "unreadable" {
		return "decide.board"
	}
	if len(k.sim) == 0 && k.registered() != yes {
		return "decide.cpin"
	}
	return "decide.more_at"
}

// BackOffLeft is how long the network's own timer (T3346, T3396) still runs; 0 none is
// known of. The module alone counts it down: what it said first is counted from then.
func (k *Known) BackOffLeft(now instant.Instant) time.Duration {
	if !k.backoff.ok || k.backoff.at.Boot != now.Boot {
		return 0
	}
	return max(0, time.Duration(k.backoff.value.Seconds)*time.Second-now.Sub(k.backoff.at))
}
