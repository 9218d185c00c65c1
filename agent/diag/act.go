package diag

import (
	_ "embed"
	"time"

	"cellwarden/agent/meter"
	"cellwarden/firmware-targets/packed"

	"github.com/BurntSushi/toml"
)

//go:embed phrases.toml
var phrasesTOML string

var phrases = func() map[string]struct{ EN, ZH string } {
	var m map[string]struct{ EN, ZH string }
	if _, err := toml.Decode(packed.Text(phrasesTOML), &m); err != nil {
		panic("diag: phrases.toml: " + err.Error()) // embedded, and read by every test
	}
	return m
}()

func phrase(key string) Text { return Text{Key: key, English: phrases[key].EN} }

// Phrase renders a decide.*, unknown.* or detail.* key; ok is false for others.
func Phrase(lang, key string) (string, bool) {
	p, ok := phrases[key]
	if lang == "zh" {
		return p.ZH, ok
	}
	return p.EN, ok
}

// whoActs is domain.md's table: who has to do something about each class.
var whoActs = map[Code]string{
	Arrears: "owner", OverQuota: "owner", AdminSuspended: "owner", ExpiredOrCancelled: "owner",
	SuspendedUnspecified: "owner", IMEILock: "owner",
	SIMAbsent: "technician", SIMFault: "technician", SIMLocked: "technician", WeakSignal: "technician",
	NoCoverage: "technician", AntennaFault: "technician", ModemOffOrAirplane: "technician", ModemFault: "technician",
	RATBandConfig: "technician", APNConfig: "technician", AuthConfig: "technician",
	CarrierOutage: "operator", Congestion: "nobody", DataBlackHole: "operator", RoamingBarred: "owner",
	CloudUnreachable: "backend", Healthy: "nobody", Ambiguous: "technician",
}

// Who says who acts on a class: owner, technician, operator, backend, nobody.
func Who(c Code) string { return whoActs[c] }

func (k *Known) act(d *Diagnosis) {
	d.Act.Who = whoActs[d.Class]
	d.Act.What = Text{Key: "class." + string(d.Class) + ".what"}
	if d.Class == OverQuota {
		p := k.plan.value.Plan
		switch {
		case k.simStatus.value.Status.ResumeAt != "":
			d.Act.ResumesAt = k.simStatus.value.Status.ResumeAt
		case k.Now.Trusted && p.CycleDay > 0:
			if c, ok := meter.Cycle(p, k.Now.Wall); ok {
				back := c.End
				if k.usedUpBeforeTurn() {
					back = c.Start.Add(resumeLag) // the cycle has turned, the restart lags: at the latest then
				}
				d.Act.ResumesAt = back.Format(time.RFC3339)
			}
		}
		switch {
		case p.Pool:
			d.Detail = phrase("detail.pool")
		case p.OnExhaust == "throttle":
			d.Detail = phrase("detail.throttled")
		}
	}
	if d.Class == SIMFault && k.flips() >= 3 {
		d.Detail = phrase("detail.intermittent")
	}
	if d.Class == ModemFault && k.freshRestarts() >= 2 {
		d.Detail = phrase("detail.restarts")
	}
	if d.Class == ModemFault && k.unseen() {
		d.Detail = phrase("detail.unseen")
	}
}

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
