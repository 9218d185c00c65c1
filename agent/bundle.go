package agent

import (
	"encoding/json"
	"io"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/explain"
	"cellwarden/agent/record"
	"cellwarden/modem"
)

// bundle is the flight recorder's export: a case that explain reads, and beside
// it the modem's own lines, redacted as they were read, for people.
type bundle struct {
	ID       string         `json:"id"`
	Vendor   string         `json:"vendor"`
	Model    string         `json:"model"`
	Revision string         `json:"revision,omitempty"`
	Agent    string         `json:"agent"`
	Context  bundleContext  `json:"context"`
	Live     explain.Live   `json:"live"`
	Thinned  int            `json:"thinned,omitempty"` // entries that a full ring let go
	Exchange []record.Entry `json:"exchange"`
	Lines    []string       `json:"lines,omitempty"`
}

type bundleContext struct {
	Now          string `json:"now"`
	ClockTrusted bool   `json:"clock_trusted"`
}

// writeBundle exports what the judgement rests on. Identities in it are the
// salted hashes that the core compares.
func writeBundle(w io.Writer, rec *modem.Recorder, version string, v core.View, r core.Recording) error {
	who := v.Known.Identity
	b := bundle{ID: "recording", Vendor: who.Manufacturer, Model: who.Model, Revision: who.Revision, Agent: version,
		Context: bundleContext{v.Now.Wall.Format(time.RFC3339), v.Now.Trusted},
		Live:    explain.Live{Class: r.Diagnosis.Class, Verdict: r.Diagnosis.Verdict, Candidates: r.Diagnosis.Candidates},
		Thinned: r.Dropped, Exchange: r.Entries}
	if rec != nil {
		lines, _ := rec.Records()
		for _, l := range lines {
			b.Lines = append(b.Lines, l.At.UTC().Format("15:04:05.000 ")+string(rune(l.Kind))+" "+l.Line)
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode([]bundle{b})
}
