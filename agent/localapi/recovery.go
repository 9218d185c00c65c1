package localapi

import (
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/diag"
	"cellwarden/protocol"
)

// Recovery is what the agent does by itself to bring the line back. Step names and
// reasons are those of package remedy; their words are in agent/text.
type Recovery struct {
	Why     string         `json:"why,omitempty"`  // why nothing is done now
	Next    string         `json:"next,omitempty"` // the step that is waited for
	NextInS int64          `json:"next_in_s,omitempty"`
	Running string         `json:"running,omitempty"`
	PausedS int64          `json:"paused_s,omitempty"` // what is left of repair mode
	HeldS   int64          `json:"held_s,omitempty"`   // what is left of the machine's own hold
	Lines   []RecoveryLine `json:"lines"`              // the newest last
	Able    bool           `json:"able"`               // this machine can take a step at all
}

// RecoveryLine is one step that was taken.
type RecoveryLine struct {
	At     protocol.Time `json:"at"`
	Class  diag.Code     `json:"class"`
	Step   string        `json:"step"`
	Result string        `json:"result,omitempty"`
}

// BuildRecovery is the core's picture of recovery, for people.
func BuildRecovery(v core.RemedyView) *Recovery {
	s := func(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
	r := &Recovery{Why: string(v.Why), Next: string(v.Next), NextInS: s(v.NextIn), Running: string(v.Running), PausedS: s(v.PausedLeft),
		HeldS: s(v.HeldLeft), Lines: []RecoveryLine{}, Able: len(v.CanDoAtMost) > 0}
	for _, l := range v.Lines {
		r.Lines = append(r.Lines, RecoveryLine{At: core.WireTime(l.At), Class: l.Class, Step: string(l.Step), Result: l.Result})
	}
	return r
}
