package update

import "cellwarden/protocol"

// maxStarts is how often a new binary is started before it is given up: a power
// cut and a stop by hand in the trial are forgiven.
const maxStarts = 3

// Binary is a file in a slot.
type Binary struct {
	Slot    string `json:"slot"` // a, b
	Version string `json:"version"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
}

// Trial is a binary that has not proved itself. Need is what the one before it had
// reached and it must reach too: modem, broker.
type Trial struct {
	Binary
	Starts int      `json:"starts"`
	Need   []string `json:"need,omitempty"`
}

// Spent reports whether the trial may not be started again.
func (t *Trial) Spent() bool { return t.Starts >= maxStarts }

// Slots say what starts next. They are kept whole at each change, so that a power
// cut leaves one of these states:
//
//	packaged ──Try──▶ packaged + trial ──Confirm──▶ current
//	current  ──Try──▶ current + trial  ──Confirm──▶ the new current
//	                        │ GiveUp, or maxStarts starts
//	                        ▼
//	                  as before, Failed says why
//
// The zero value starts the packaged binary, and so does whatever cannot be read.
type Slots struct {
	V int `json:"v"`
	// Package is the version of the installed binary that these slots were filled
	// by. When another one is installed it runs: what the integrator did last counts.
	Package string   `json:"package"`
	Current *Binary  `json:"current,omitempty"`
	Trial   *Trial   `json:"trial,omitempty"`
	Failed  string   `json:"failed,omitempty"`  // the version that was taken back last
	Result  *Result  `json:"result,omitempty"`  // of the last trial, until the backend is told
	Refused *Refused `json:"refused,omitempty"` // the last refusal, for the status
}

// Result is how a trial ended. Code is "" when it was confirmed.
type Result struct {
	Version string `json:"version"`
	protocol.Refusal
}

// Refused is an offer that was refused.
type Refused struct {
	Version string `json:"version,omitempty"`
	At      string `json:"at,omitempty"` // RFC 3339; "" without a trusted clock
	protocol.Refusal
}

// Free is the slot that may be written: not the one that runs.
func (s *Slots) Free() string {
	if s.Current != nil && s.Current.Slot == "a" {
		return "b"
	}
	return "a"
}

// Try sets b up for its first start.
func (s *Slots) Try(b Binary, pkg string, need []string) {
	s.V, s.Package, s.Trial, s.Failed, s.Refused = format, pkg, &Trial{Binary: b, Need: need}, "", nil
}

// Start says which binary starts: nil is the packaged one. trial says that this
// start is one of a trial; then s has counted it and must be kept before.
// changed says that s must be kept.
func (s *Slots) Start(pkg string) (b *Binary, trial, changed bool) {
	if s.Package != pkg {
		return nil, false, false
	}
	if s.Trial != nil {
		if !s.Trial.Spent() {
			s.Trial.Starts++
			return &s.Trial.Binary, true, true
		}
		s.GiveUp(protocol.Refuse(protocol.UpdateCrashed, "started %d times and never confirmed", maxStarts))
		changed = true
	}
	return s.Current, false, changed
}

// GiveUp ends a trial badly.
func (s *Slots) GiveUp(why *protocol.Refusal) {
	if s.Trial == nil {
		return
	}
	s.Failed, s.Result, s.Trial = s.Trial.Version, &Result{s.Trial.Version, *why}, nil
}

// Confirm ends a trial well.
func (s *Slots) Confirm() {
	if s.Trial == nil {
		return
	}
	b := s.Trial.Binary
	s.Current, s.Result, s.Trial = &b, &Result{Version: b.Version}, nil
}

// Settle is for the agent's start: pkg is what is installed. Slots that another
// package filled are given up; what they ran stays in the floor that is returned,
// so that nothing older is taken afterwards.
func (s *Slots) Settle(pkg string) (floor string, changed bool) {
	if s.Current != nil {
		floor = s.Current.Version
	}
	if s.Package != pkg && (s.Current != nil || s.Trial != nil) {
		if s.Trial != nil {
			s.GiveUp(protocol.Refuse(protocol.UpdateReplacedBy, "the installed package is now %s", pkg))
		}
		s.Package, s.Current, changed = pkg, nil, true
	}
	return floor, changed
}
