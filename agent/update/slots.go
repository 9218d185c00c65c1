package update

import "cellwarden/protocol"

// maxStarts is how often a new binary is started before it is given up: a power
// cut and a stop by hand in the trial are forgiven.
const maxStarts = 3

// maxShort is how often in a row a confirmed binary may be started without lasting
// (see Lasted) before the packaged one runs in its place. An evening of brown-outs
// has hardly so many cuts within minutes of each other; a service manager that
// starts again every ten seconds is there in a minute and a half.
const maxShort = 8

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
//	current ──maxShort starts that did not last──▶ packaged, Failed says why
//
// The zero value starts the packaged binary, and so does whatever cannot be read.
type Slots struct {
	V int `json:"v"`
	// Package is the version of the installed binary that these slots were filled
	// by. When another one is installed it runs: what the integrator did last counts.
	Package string   `json:"package"`
	Current *Binary  `json:"current,omitempty"`
	Trial   *Trial   `json:"trial,omitempty"`
	Short   int      `json:"short,omitempty"`   // starts of Current in a row that have not lasted
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
// changed says that s must be kept. able says that the packaged binary could do the
// work, as far as it can tell: else no start of a confirmed one is counted against it.
func (s *Slots) Start(pkg string, able bool) (b *Binary, trial, changed bool) {
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
	switch {
	case s.Current == nil || !able:
		return s.Current, false, changed
	case s.Short >= maxShort:
		s.Fall(protocol.Refuse(protocol.UpdateCrashed, "confirmed before, then ended early %d times in a row", maxShort))
	default:
		s.Short++
	}
	return s.Current, false, true
}

// Lasted says that the confirmed binary works on: its starts are forgotten.
func (s *Slots) Lasted() (changed bool) {
	changed = s.Short > 0
	s.Short = 0
	return changed
}

// Stopped takes the last start back, which somebody ended in good order: it says
// nothing of the binary.
func (s *Slots) Stopped() (changed bool) {
	changed = s.Short > 0
	s.Short = max(0, s.Short-1)
	return changed
}

// Fall returns from the confirmed binary to the packaged one.
func (s *Slots) Fall(why *protocol.Refusal) {
	if s.Current == nil {
		return
	}
	s.Failed, s.Result, s.Current, s.Short = s.Current.Version, &Result{s.Current.Version, *why}, nil, 0
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
	s.Current, s.Result, s.Trial, s.Short = &b, &Result{Version: b.Version}, nil, 0
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
		s.Package, s.Current, s.Short, changed = pkg, nil, 0, true
	}
	return floor, changed
}
