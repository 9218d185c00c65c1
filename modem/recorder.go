package modem

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"cellwarden/modem/at"
	"cellwarden/modem/threegpp"
)

// Limits of the recorder. They bound what a fault report can hold and what the
// agent spends on it: about 20 full polls in a tenth of a megabyte.
const (
	recorderLines = 1500
	recorderBytes = 128 << 10
	// recorderSlack is how many lines may fall out before the rest is moved up.
	recorderSlack = 256
	// recorderLine is where one line is cut; a message text or +CEER may be longer.
	recorderLine = 400
)

// A Record is one line that passed the serial line, with its identities masked.
type Record struct {
	At   time.Time
	Kind byte // at.Sent, at.Received, at.Unasked, at.Dropped
	Line string
}

// A Recorder keeps the newest traffic of a modem, over re-opens, in a bounded
// ring. Lines are redacted before they are kept. It is safe for concurrent use.
type Recorder struct {
	// Log, where set before the first use, is told of each line as it is kept. It
	// is called in turn, from the line's own goroutines, and must not block them.
	Log func(Record)

	mu    sync.Mutex
	ring  []Record
	head  int // where the oldest kept line is; what is before it has fallen out
	bytes int
	lost  int
}

// NewRecorder returns an empty one.
func NewRecorder() *Recorder { return &Recorder{} }

func (r *Recorder) trace(kind byte, at time.Time, line string) {
	line = redactLines(line)
	if len(line) > recorderLine {
		line = strings.ToValidUTF8(line[:recorderLine], "") + "…"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Log != nil {
		r.Log(Record{at, kind, line})
	}
	r.ring = append(r.ring, Record{at, kind, line})
	r.bytes += len(line)
	for len(r.ring)-r.head > recorderLines || r.bytes > recorderBytes {
		r.bytes -= len(r.ring[r.head].Line)
		r.ring[r.head] = Record{}
		r.head++
		r.lost++
	}
	if r.head > recorderSlack {
		r.ring = append(r.ring[:0], r.ring[r.head:]...)
		r.head = 0
	}
}

func redactLines(line string) string {
	if !strings.Contains(line, "\n") {
		return threegpp.Redact(line)
	}
	parts := strings.Split(line, "\n")
	for i, p := range parts {
		parts[i] = threegpp.Redact(p)
	}
	return strings.Join(parts, "\n")
}

// Records returns what is kept, oldest first, and how many lines fell out.
func (r *Recorder) Records() (kept []Record, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Record(nil), r.ring[r.head:]...), r.lost
}

// step is one exchange or one run of unsolicited lines.
type step struct {
	at   time.Time
	cmd  string // "" for unsolicited lines
	resp []string
	urc  []string
}

func (r *Recorder) steps() []step {
	records, _ := r.Records()
	var steps []step
	open := -1 // the exchange whose answer is still coming
	for _, rec := range records {
		switch rec.Kind {
		case at.Sent:
			steps = append(steps, step{at: rec.At, cmd: rec.Line, resp: []string{}})
			open = len(steps) - 1
		case at.Received:
			if open >= 0 {
				steps[open].resp = append(steps[open].resp, rec.Line)
			}
		case at.Unasked:
			lines := strings.Split(rec.Line, "\n")
			if last := len(steps) - 1; last >= 0 && steps[last].cmd == "" {
				steps[last].urc = append(steps[last].urc, lines...)
			} else {
				steps = append(steps, step{at: rec.At, urc: lines})
			}
		}
	}
	return steps
}

// Case exports what is kept as one case for "cellwarden explain": the JSON form
// of recorded transcripts, {"exchange": [{"cmd", "resp"}, {"urc"}]}. id names it.
func (r *Recorder) Case(id string, who Identity) ([]byte, error) {
	type exchange struct {
		Cmd  string    `json:"cmd,omitempty"`
		Resp *[]string `json:"resp,omitempty"`
		URC  []string  `json:"urc,omitempty"`
	}
	out := struct {
		ID       string     `json:"id"`
		Vendor   string     `json:"vendor"`
		Model    string     `json:"model"`
		Exchange []exchange `json:"exchange"`
	}{ID: id, Vendor: who.Manufacturer, Model: who.Model, Exchange: []exchange{}}
	for _, s := range r.steps() {
		if s.cmd == "" {
			out.Exchange = append(out.Exchange, exchange{URC: s.urc})
		} else {
			out.Exchange = append(out.Exchange, exchange{Cmd: s.cmd, Resp: &s.resp})
		}
	}
	text, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		return nil, fmt.Errorf("modem: export: %w", err)
	}
	return append(text, '\n'), nil
}

// Scenario exports what is kept as a scenario file for the simulator: the first
// answer to each command, then each change at its time, and the unsolicited
// lines at theirs. Masked identities stay masked.
func (r *Recorder) Scenario(title string, who Identity) []byte {
	var modem, script strings.Builder
	answers := map[string]string{}
	var start time.Time
	for i, s := range r.steps() {
		if i == 0 {
			start = s.at
		}
		after := s.at.Sub(start).Round(time.Millisecond)
		if s.cmd == "" {
			for _, line := range s.urc {
				fmt.Fprintf(&script, "%v urc %s\n", after, escape(line))
			}
			continue
		}
		cmd := strings.TrimPrefix(s.cmd, "AT")
		if cmd == "" || strings.Contains(cmd, "->") || strings.Contains(cmd, "[") {
			continue // a bare AT proves step; a command that no scenario line can hold
		}
		answer := "silence"
		if len(s.resp) > 0 {
			lines := make([]string, len(s.resp))
			for i, line := range s.resp {
				lines[i] = escape(line)
			}
			answer = strings.Join(lines, " | ")
		}
		rule := cmd + " -> " + answer + "\n"
		switch old, asked := answers[cmd]; {
		case !asked:
			modem.WriteString(rule)
		case old != answer:
			fmt.Fprintf(&script, "%v %s", after, rule)
		}
		answers[cmd] = answer
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n-- device --\n", strings.ReplaceAll(title, "\n", " "))
	for _, kv := range [][2]string{{"manufacturer", who.Manufacturer}, {"model", who.Model}, {"revision", who.Revision}} {
		if kv[1] != "" {
			fmt.Fprintf(&b, "%-13s %s\n", kv[0], kv[1])
		}
	}
	fmt.Fprintf(&b, "-- modem --\n%s-- script --\n%s", modem.String(), script.String())
	return []byte(b.String())
}

func escape(line string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "\t", `\t`).Replace(line)
}
