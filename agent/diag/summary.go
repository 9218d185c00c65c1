package diag

import (
	"cellwarden/agent/carrier"
	"slices"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// Summary is what is known, in the fields that people look at. Nil and "" mean
// not known.
type Summary struct {
	Port         Port
	PortKnown    bool
	SIM          threegpp.SIMState
	Registration *threegpp.Registration
	Registered   *bool
	Cause        threegpp.RejectCause
	Signal       *threegpp.Signal
	Grade        threegpp.SignalGrade
	Cell         *threegpp.ServingCell
	Operator     *threegpp.Operator
	Identity     threegpp.ModemIdentity
	APN          string
	Attached     *bool
	SessionUp    *bool
	Address      string
	Probes       []ProbeAt
	IMEI         string // clear: for comparison and hashing only, never to be shown
	ICCID        string // likewise
	HomePLMN     string
	ServingPLMN  string
	ResumedSMS   bool // the newest message that says anything says paid or resumed
}

// ProbeAt is the newest result of one probe, target and host.
type ProbeAt struct {
	At     instant.Instant
	Result ProbeResult
}

// Summary reads what is known.
func (k *Known) Summary() Summary {
	s := Summary{Port: k.port.value, PortKnown: k.port.ok, Identity: k.identity.value, APN: k.apnNow(),
		IMEI: k.imei.value.Value, ICCID: k.iccid.value.Value, HomePLMN: k.homePLMN(), ServingPLMN: k.servingPLMN()}
	last, _ := k.simNow()
	s.SIM = last.state
	if r, _, ok := k.dataReg(); ok {
		s.Registration = &r
	}
	s.Registered = boolOf(k.registered())
	// The newest; one of the circuit domain only where data has none.
	for _, c := range slices.Backward(k.rejects) {
		if k.within(c.at, rejectWindow) && (!s.Cause.Known() || s.Cause.Protocol == threegpp.MM && c.rej.Cause.Protocol != threegpp.MM) {
			s.Cause = c.rej.Cause
		}
	}
	if k.signal.ok && k.unknownRun == 0 {
		v := k.signal.value
		s.Signal, s.Grade = &v, k.grade()
	}
	if k.cell.ok {
		v := k.cell.value
		s.Cell = &v
	}
	if k.operator.ok {
		v := k.operator.value
		s.Operator = &v
	}
	if k.attach.ok {
		v := k.attach.value.Attached
		s.Attached = &v
	}
	s.SessionUp = boolOf(k.sessionIsUp())
	first := 0
	for cid, c := range k.contexts {
		if c.value.Active && threegpp.UsableAddress(c.value.Addr) && (s.Address == "" || cid < first) {
			s.Address, first = c.value.Addr, cid
		}
	}
	for _, p := range k.probes {
		s.Probes = upsert(s.Probes, ProbeAt{p.at, p.res})
	}
	told, _ := k.lastWord()
	s.ResumedSMS = told == carrier.Resumed
	return s
}

func upsert(list []ProbeAt, p ProbeAt) []ProbeAt {
	for i, old := range list {
		if old.Result.Probe == p.Result.Probe && old.Result.Target == p.Result.Target && old.Result.Host == p.Result.Host {
			list[i] = p
			return list
		}
	}
	return append(list, p)
}

func boolOf(t tri) *bool {
	if t == unknown {
		return nil
	}
	b := t == yes
	return &b
}
