// Package diag goes from what is known to what is wrong. It is pure: facts are
// folded into Known, and Diagnose(Known) is a function of Known alone, so the
// same facts give the same verdict for ever, live and in explain.
package diag

import "cellwarden/protocol"

// Verdict says how far the evidence goes.
type Verdict string

// Verdicts, strongest first.
const (
	Confirmed Verdict = "confirmed"
	Likely    Verdict = "likely"
	Undecided Verdict = "undecided"
	AllWell   Verdict = "healthy"
)

// Layer is a gate of the ladder from the port to the service. The lowest broken
// one speaks; those above are masked.
type Layer string

// Layers, lowest first.
const (
	LayerPort         Layer = "port"         // G0 the port answers AT
	LayerModem        Layer = "modem"        // G1 the radio is enabled
	LayerSIM          Layer = "sim"          // G2 the card is ready
	LayerRadio        Layer = "radio"        // G3 a cell is heard
	LayerRegistration Layer = "registration" // G4 the network takes us
	LayerSession      Layer = "session"      // G5 a session with an address
	LayerPath         Layer = "path"         // G6 packets pass
	LayerService      Layer = "service"      // G7 the own service answers
)

// Layers in order.
var Layers = []Layer{LayerPort, LayerModem, LayerSIM, LayerRadio, LayerRegistration, LayerSession, LayerPath, LayerService}

// GateState is how one layer stands.
type GateState string

// Gate states. Unknown is not failed.
const (
	GatePassed  GateState = "passed"
	GateFailed  GateState = "failed"
	GateUnknown GateState = "unknown"
	GateMasked  GateState = "masked" // a lower one failed, this one cannot be judged
)

// Gate is one layer's state and the fact that decided it.
type Gate struct {
	Layer Layer     `json:"layer"`
	State GateState `json:"state"`
	Fact  Text      `json:"fact"`
}

// Text is one sentence for people, as a key into agent/text and its arguments.
// English is filled in where it leaves the agent (text.English).
type Text struct {
	Key     string   `json:"key,omitempty"`
	Args    []string `json:"args,omitempty"`
	English string   `json:"en,omitempty"`
}

// Evidence is one weighed fact. WeightDB is in decibans for the class For:
// +10 makes it ten times likelier, negative speaks against it.
type Evidence struct {
	For      Code    `json:"for"`
	Fact     Text    `json:"fact"`
	Source   string  `json:"source"`  // "at:+CPIN?", "urc:+CEREG", "probe:dns", "meter", "backend", "sms", "clock"
	Channel  string  `json:"channel"` // one letter of diagnosis.md §5.1
	WeightDB float64 `json:"weight_db"`
	Rule     string  `json:"rule"` // its row in the weight table
}

// Candidate is a class with its posterior probability.
type Candidate struct {
	Class Code    `json:"class"`
	P     float64 `json:"p"`
}

// Action is what to do. What and Steps are keys into agent/text through the
// class; ResumesAt is RFC 3339 or "".
type Action struct {
	Who       string `json:"who"` // owner, technician, operator, backend, nobody
	What      Text   `json:"what"`
	ResumesAt string `json:"resumes_at,omitempty"`
}

// Diagnosis is the judgement of one instant.
type Diagnosis struct {
	Class      Code        `json:"class"`
	Verdict    Verdict     `json:"verdict"`
	Layer      Layer       `json:"layer,omitempty"` // the lowest failed gate, "" when healthy
	Detail     Text        `json:"detail"`          // a refinement: "interference", "one-way", ... may be empty
	Candidates []Candidate `json:"candidates"`      // best first, at most five
	Evidence   []Evidence  `json:"evidence"`        // for the class, strongest first
	Against    []Evidence  `json:"against"`         // against it, strongest first
	Unknown    []Text      `json:"unknown"`         // what nobody knows and would matter
	DecideBy   Text        `json:"decide_by"`       // what would decide it
	Act        Action      `json:"act"`
	Gates      []Gate      `json:"gates"`
	MarginDB   float64     `json:"margin_db"` // to the second candidate
}

// ProbeResult is one reachability test. Probe: dns tcp http tls ntp broker.
// Target: carrier, third_party or own. Result: ok timeout refused redirect
// bad_cert nxdomain cert_not_yet_valid; not_sent is a question that could not be
// asked (no address, no CA bundle, own firewall) and is evidence of nothing.
type ProbeResult struct {
	Probe, Target, Result, Detail string
	Millis                        int64 // how long it took; 0 not known
	Host                          string
}

// Traffic is what moved on the data interface in about the last minute.
type Traffic struct{ TxBytes, RxBytes uint64 }

// Usage is what the meter counted in this cycle. Since is RFC 3339.
type Usage struct {
	CycleBytes uint64
	Since      string
}

// PlanFact is the plan now in force, PlanFact{} when none is known.
type PlanFact struct{ Plan protocol.Plan }

// SIMStatusFact is what the backend last pushed of the SIM.
type SIMStatusFact struct{ Status protocol.SIMStatus }

// NeighboursFact is what the backend last said of machines nearby.
type NeighboursFact struct{ Neighbours protocol.Neighbours }

// LastGood is the fingerprint of the last time all worked. Fields not known
// are "" or nil. ICCID and IMEI may be salted hashes: they are only compared.
type LastGood struct {
	At, ICCID, IMEI, APN, PLMN string
	RSRP                       *float64
}

// Settings is what is configured now, where known.
type Settings struct{ APN, ICCID, IMEI string }

// History is what the agent remembers beyond the present poll.
type History struct {
	SIMFlips10Min        *int
	USBDrops10Min        *int
	RSRP                 []float64
	RegainedAtCycleStart *bool
	Onset                string // RFC 3339, when the present trouble began
}
