package diag

// missing lists what nobody knows and would matter, and the check that would
// decide between what is left.
func (k *Known) missing(d *Diagnosis) {
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

// decider names the cheapest check that separates the two leading candidates
// (diagnosis.md §6, best separators for common ties).
func (k *Known) decider(d *Diagnosis) string {
	if d.Class == SuspendedUnspecified {
		return "decide.member"
	}
	if d.Class == CloudUnreachable && d.Detail.Key == "detail.clock" {
		return "decide.clock"
	}
	two, first := map[Code]bool{}, d.Class
	if first == Ambiguous && len(d.Candidates) > 0 {
		first = d.Candidates[0].Class
	}
	for i, c := range d.Candidates {
		if i < 3 {
			two[c.Class] = true
		}
	}
	stop := two[SuspendedUnspecified] || two[Arrears] || two[OverQuota] || two[AdminSuspended] || two[ExpiredOrCancelled]
	switch d.Layer {
	case LayerModem:
		if two[ModemOffOrAirplane] {
			return "decide.radio_on"
		}
		return "decide.power"
	case LayerPort:
		if k.unseen() {
			return "decide.port"
		}
		return "decide.power"
	case LayerSIM:
		return "decide.reseat"
	case LayerRadio:
		if two[NoCoverage] && two[AntennaFault] || two[WeakSignal] {
			return "decide.antenna_or_cell"
		}
		return "decide.scan"
	case LayerRegistration:
		switch {
		case first == Congestion:
			return "decide.after_backoff"
		case len(k.rejects) == 0:
			return "decide.reject_cause"
		case two[CarrierOutage]:
			return "decide.neighbours"
		case stop:
			return "decide.platform"
		}
		return "decide.esm_cause"
	case LayerSession:
		switch {
		case first == Congestion:
			return "decide.after_backoff"
		case first == AuthConfig:
			return "decide.credentials"
		case two[APNConfig] && !k.sessionCauseKnown():
			return "decide.esm_cause"
		case two[APNConfig]:
			return "decide.apn"
		case k.sessionCauseKnown():
			return "decide.platform"
		}
		return "decide.next_activation"
	case LayerPath:
		if two[CloudUnreachable] {
			return "decide.second_host"
		}
		if stop {
			return "decide.next_activation"
		}
		return "decide.probes"
	case LayerService:
		return "decide.second_host"
	}
	if k.port.value.State == "unreadable" {
		return "decide.board"
	}
	if len(k.sim) == 0 && k.registered() != yes {
		return "decide.cpin"
	}
	return "decide.more_at"
}
