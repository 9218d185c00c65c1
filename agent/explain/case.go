// Package explain judges recorded cases with the code that judges live. It
// reads the case format (a JSON array of exchanges with what the device knew
// besides the modem), folds each into diag.Known in order of time, and prints
// the answer. It starts nothing and talks to nothing.
package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/agent/record"
	"cellwarden/modem/threegpp"
	"cellwarden/modem/transcript"
	"cellwarden/protocol"
)

// Limits on a case file: a recording of a day is some hundred kB.
const (
	maxFileBytes = 64 << 20
	maxCases     = 100_000
)

// step is the time between two entries that carry none: ordinary polling.
const step = time.Second

// Case is one situation. Labels (class, accept, ...) are not in it: they are
// never read.
type Case struct {
	ID       string   `json:"id"`
	Vendor   string   `json:"vendor"`
	Model    string   `json:"model"`
	Exchange []Entry  `json:"exchange"`
	Context  *Context `json:"context"`
	// Reading is how much of a text was read; nil for the case format.
	Reading *Reading `json:"-"`
	// Live is what a recording's device said at its end. It is never read for a
	// judgement, only compared with it.
	Live *Live `json:"live,omitempty"`
}

// Live is a verdict given on the device.
type Live struct {
	Class      diag.Code        `json:"class"`
	Verdict    diag.Verdict     `json:"verdict"`
	Candidates []diag.Candidate `json:"candidates"`
}

// Entry is one thing that happened: a command with its reply, unsolicited
// lines, or (in recordings) a fact of the agent's own. At is seconds since the
// recording began; entries without it follow each other by one second.
type Entry struct {
	Cmd     *string   `json:"cmd,omitempty"`
	Resp    []string  `json:"resp,omitempty"`
	URC     []string  `json:"urc,omitempty"`
	Probe   *Probe    `json:"probe,omitempty"`
	Port    *PortFact `json:"port,omitempty"`
	Disturb string    `json:"disturb,omitempty"`
	At      *float64  `json:"at,omitempty"`
	// Recordings of the agent hold what it observed, fact by fact, and the clock
	// wherever it changed.
	Fact  *record.Fact  `json:"fact,omitempty"`
	Clock *record.Clock `json:"clock,omitempty"`
	// Of a text: what a host tool told.
	host []threegpp.Fact
	tool string
}

// PortFact is what the port's owner saw.
type PortFact struct {
	State  string `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// Probe is one reachability test.
type Probe struct {
	Probe  string `json:"probe"`
	Target string `json:"target"`
	Result string `json:"result"`
	Detail string `json:"detail,omitempty"`
}

// Context is what the device knew besides the modem. Absent is unknown.
type Context struct {
	Now          string         `json:"now,omitempty"`
	ClockTrusted *bool          `json:"clock_trusted,omitempty"`
	Plan         *protocol.Plan `json:"plan,omitempty"`
	Usage        *struct {
		CycleBytes uint64 `json:"cycle_bytes"`
		Since      string `json:"since,omitempty"`
	} `json:"usage,omitempty"`
	SIMStatus *protocol.SIMStatus `json:"sim_status,omitempty"`
	LastGood  *struct {
		At    string   `json:"at,omitempty"`
		ICCID string   `json:"iccid,omitempty"`
		IMEI  string   `json:"imei,omitempty"`
		APN   string   `json:"apn,omitempty"`
		PLMN  string   `json:"plmn,omitempty"`
		RSRP  *float64 `json:"rsrp_dbm,omitempty"`
	} `json:"last_good,omitempty"`
	Config *struct {
		APN   string `json:"apn,omitempty"`
		ICCID string `json:"iccid,omitempty"`
		IMEI  string `json:"imei,omitempty"`
	} `json:"config,omitempty"`
	Probes   []Probe `json:"probes,omitempty"`
	Counters *struct {
		TxBytes uint64 `json:"tx_bytes"`
		RxBytes uint64 `json:"rx_bytes"`
	} `json:"counters,omitempty"`
	SMS []struct {
		From string `json:"from,omitempty"`
		At   string `json:"at,omitempty"`
		Text string `json:"text"`
	} `json:"sms,omitempty"`
	History *struct {
		SIMFlips10Min        *int      `json:"sim_flips_10min,omitempty"`
		RSRP                 []float64 `json:"rsrp_dbm,omitempty"`
		USBDrops10Min        *int      `json:"usb_drops_10min,omitempty"`
		RegainedAtCycleStart *bool     `json:"regained_at_cycle_start,omitempty"`
		Onset                string    `json:"onset,omitempty"`
	} `json:"history,omitempty"`
	Neighbours *protocol.Neighbours `json:"neighbours,omitempty"`
	Host       *struct {
		Interface    *string `json:"interface,omitempty"` // "" or "none": there is none
		Up           *bool   `json:"up,omitempty"`
		Address      *string `json:"address,omitempty"`
		DefaultRoute *bool   `json:"default_route,omitempty"`
	} `json:"host,omitempty"` // what the kernel says of the data interface
}

// Read reads cases from r: a JSON array of cases, a single case, or any text in
// which a modem or a host tool speaks, which makes one case with the file's name.
// Errors name the file, the line and, where it is known, the case.
func Read(name string, r io.Reader) ([]Case, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d MiB; split it", name, maxFileBytes>>20)
	}
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return nil, fmt.Errorf("%s: empty; a case file is a JSON array of cases", name)
	}
	if !isCaseFile(trimmed) {
		return []Case{readText(name, data)}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if trimmed[0] == '{' {
		var c Case
		if err := dec.Decode(&c); err != nil {
			return nil, place(name, data, dec.InputOffset(), "", err)
		}
		if err := trailing(dec); err != nil {
			return nil, place(name, data, dec.InputOffset(), c.ID, err)
		}
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("%s: case %q: %w", name, c.ID, err)
		}
		return []Case{c}, nil
	}
	if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
		if err == nil {
			err = fmt.Errorf("found %v where a JSON array of cases begins", tok)
		}
		return nil, place(name, data, dec.InputOffset(), "", err)
	}
	var out []Case
	last := ""
	for dec.More() {
		if len(out) >= maxCases {
			return nil, fmt.Errorf("%s: more than %d cases; split it", name, maxCases)
		}
		var c Case
		if err := dec.Decode(&c); err != nil {
			return nil, place(name, data, dec.InputOffset(), after(last), err)
		}
		if err := c.check(); err != nil {
			return nil, place(name, data, dec.InputOffset(), c.ID, err)
		}
		last = c.ID
		out = append(out, c)
	}
	if _, err := dec.Token(); err != nil {
		return nil, place(name, data, dec.InputOffset(), after(last), err)
	}
	if err := trailing(dec); err != nil {
		return nil, place(name, data, dec.InputOffset(), after(last), err)
	}
	return out, nil
}

func after(id string) string {
	if id == "" {
		return ""
	}
	return "after " + id
}

func trailing(dec *json.Decoder) error {
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("something follows the last case")
	}
	return nil
}

// place names where in the file err was met.
func place(name string, data []byte, offset int64, id string, err error) error {
	switch e := err.(type) {
	case *json.SyntaxError:
		offset = min(max(offset, e.Offset), int64(len(data)))
		for offset < int64(len(data)) && strings.IndexByte(" \t\r\n", data[offset]) >= 0 {
			offset++ // the offender stands after the space
		}
	case *json.UnmarshalTypeError:
		err = fmt.Errorf("%s wants %s, not a %s", orRoot(e.Field), kindWords(e.Type), e.Value)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		offset, err = int64(len(data)), fmt.Errorf("the file ends in the middle")
	}
	offset = min(max(offset, 0), int64(len(data)))
	line := 1 + bytes.Count(data[:offset], []byte("\n"))
	if id != "" {
		return fmt.Errorf("%s:%d: case %s: %w", name, line, id, err)
	}
	return fmt.Errorf("%s:%d: %w", name, line, err)
}

// kindWords names what JSON must hold for t, for people who do not write Go.
func kindWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint64:
		return "a whole number from 0"
	case reflect.Int:
		return "a whole number"
	}
	return "a number"
}

func orRoot(field string) string {
	if field == "" {
		return "the case"
	}
	return field
}

// check refuses what would silently mean nothing.
func (c Case) check() error {
	for i, e := range c.Exchange {
		if e.Cmd == nil && e.URC == nil && e.host == nil && e.Probe == nil && e.Port == nil && e.Disturb == "" && e.Fact == nil && e.Clock == nil {
			return fmt.Errorf("exchange[%d] has neither cmd nor urc", i)
		}
		if e.Fact != nil {
			if _, err := e.Fact.Decode(); err != nil {
				return fmt.Errorf("exchange[%d]: %w", i, err)
			}
		}
		if e.Clock != nil {
			if _, err := time.Parse(time.RFC3339, e.Clock.Wall); err != nil {
				return fmt.Errorf("exchange[%d]: clock: %q is no RFC 3339 time", i, e.Clock.Wall)
			}
		}
	}
	if x := c.Context; x != nil && x.Now != "" {
		if _, err := time.Parse(time.RFC3339, x.Now); err != nil {
			return fmt.Errorf("context.now: %q is no RFC 3339 time", x.Now)
		}
	}
	return nil
}

// Observations turns a case into what the agent would have observed, in order.
// What was known beforehand (plan, platform, last good settings) comes first,
// the exchange follows, then what the device had found at the moment judged.
func (c Case) Observations() []diag.Observation {
	at := instant.Instant{Boot: "case"}
	x := c.Context
	if x == nil {
		x = &Context{}
	}
	if now, err := time.Parse(time.RFC3339, x.Now); err == nil {
		at.Wall = now
		at.Trusted = x.ClockTrusted != nil && *x.ClockTrusted
	}
	var out []diag.Observation
	see := func(source string, fact any) {
		out = append(out, diag.Observation{At: at, Source: source, Fact: fact})
	}
	x.before(see)
	wall := instant.Instant{} // the clock's last word, in recordings
	recorded := false
	for _, e := range c.Exchange {
		if e.At != nil {
			at.Mono = time.Duration(math.Round(*e.At*1000)) * time.Millisecond
		} else {
			at.Mono += step
		}
		if e.Clock != nil {
			wall = at
			wall.Wall, _ = time.Parse(time.RFC3339, e.Clock.Wall) // checked by Read
			at.Trusted = e.Clock.Trusted
		}
		if !wall.IsZero() {
			at.Wall = wall.Wall.Add(at.Mono - wall.Mono)
		}
		recorded = recorded || e.Fact != nil
		e.observe(see)
	}
	if recorded && x.Probes == nil && x.Counters == nil && x.Host == nil {
		return out // the recording ends at the moment judged
	}
	at.Mono += step
	x.after(see)
	return out
}

func (x *Context) before(see func(string, any)) {
	if x.Plan != nil {
		see("plan", diag.PlanFact{Plan: *x.Plan})
	}
	if x.Usage != nil {
		see("meter", diag.Usage{CycleBytes: x.Usage.CycleBytes, Since: x.Usage.Since})
	}
	if x.SIMStatus != nil {
		see("backend", diag.SIMStatusFact{Status: *x.SIMStatus})
	}
	if g := x.LastGood; g != nil {
		see("history", diag.LastGood{At: g.At, ICCID: g.ICCID, IMEI: g.IMEI, APN: g.APN, PLMN: g.PLMN, RSRP: g.RSRP})
	}
	if s := x.Config; s != nil {
		see("config", diag.Settings{APN: s.APN, ICCID: s.ICCID, IMEI: s.IMEI})
	}
	if h := x.History; h != nil {
		see("history", diag.History{SIMFlips10Min: h.SIMFlips10Min, USBDrops10Min: h.USBDrops10Min, RSRP: h.RSRP,
			RegainedAtCycleStart: h.RegainedAtCycleStart, Onset: h.Onset})
	}
	if x.Neighbours != nil {
		see("backend", diag.NeighboursFact{Neighbours: *x.Neighbours})
	}
	for _, m := range x.SMS {
		at, _ := time.Parse(time.RFC3339, m.At)
		see("sms", threegpp.SMS{From: m.From, At: at, Text: m.Text, Index: -1})
	}
}

func (x *Context) after(see func(string, any)) {
	if h := x.Host; h != nil {
		i := diag.Interface{Present: true, UpUnknown: h.Up == nil, AddrUnknown: h.Address == nil, NoRoute: h.DefaultRoute != nil && !*h.DefaultRoute}
		if h.Interface != nil {
			i.Name, i.Present = *h.Interface, *h.Interface != "" && *h.Interface != "none"
		}
		if h.Up != nil {
			i.Up = *h.Up
		}
		if h.Address != nil {
			i.Addr = *h.Address
		}
		see("host", i)
	}
	for _, p := range x.Probes {
		see("probe:"+p.Probe, p.fact())
	}
	if x.Counters != nil {
		see("counters", diag.Traffic{TxBytes: x.Counters.TxBytes, RxBytes: x.Counters.RxBytes})
	}
	see("clock", struct{}{}) // the moment that is judged
}

func (p Probe) fact() diag.ProbeResult {
	return diag.ProbeResult{Probe: p.Probe, Target: p.Target, Result: p.Result, Detail: p.Detail}
}

func (e Entry) observe(see func(string, any)) {
	for _, f := range e.host {
		see("host:"+e.tool, f)
	}
	switch {
	case e.Cmd != nil && transcript.IsHostCommand(*e.Cmd):
		facts, _ := transcript.HostLines(append([]string{*e.Cmd}, e.Resp...)) // the call tells what its lines speak of
		for _, f := range facts {
			see(source("host:", *e.Cmd), f)
		}
	case e.Cmd != nil:
		resp := plain(e.Resp)
		if !transcript.IsCommand(*e.Cmd) {
			resp = withoutTools(resp, see) // a note, or a program that is not known: its lines may still be
		}
		for _, f := range threegpp.Reply(plainCommand(*e.Cmd), resp) {
			see(source("at:", *e.Cmd), f)
		}
	case e.Probe != nil:
		see("probe:"+e.Probe.Probe, e.Probe.fact())
	case e.Port != nil:
		see("port", diag.Port{State: e.Port.State, Detail: e.Port.Detail})
	case e.Disturb != "":
		see("agent", diag.Disturbance{What: e.Disturb})
	case e.Fact != nil:
		if f, err := e.Fact.Decode(); err == nil { // checked by Read
			see(e.Fact.Source, f)
		}
	}
	for _, line := range plain(e.URC) {
		facts := threegpp.URC(line)
		if unparsed(facts) {
			if told, known := transcript.HostLines([]string{line}); known > 0 {
				for _, f := range told {
					see("host", f)
				}
				continue
			}
		}
		for _, f := range facts {
			see(source("urc:", line), f)
		}
	}
}

// withoutTools takes the lines of host tools out of lines, and sees what they tell.
func withoutTools(lines []string, see func(string, any)) []string {
	var rest []string
	for _, line := range lines {
		if unparsed(threegpp.URC(line)) {
			if told, known := transcript.HostLines([]string{line}); known > 0 {
				for _, f := range told {
					see("host", f)
				}
				continue
			}
		}
		rest = append(rest, line)
	}
	return rest
}

// plain takes the modem's lines out of what a log put around them.
func plain(lines []string) []string {
	var out []string
	for _, line := range lines {
		if strings.Contains(line, "\n") {
			out = append(out, line) // a routed message with its text
			continue
		}
		out = append(out, transcript.Plain(line)...)
	}
	if lines != nil && out == nil {
		out = []string{}
	}
	return out
}

func plainCommand(cmd string) string {
	if lines := transcript.Plain(cmd); len(lines) > 0 {
		return lines[0]
	}
	return cmd
}

func unparsed(facts []threegpp.Fact) bool {
	for _, f := range facts {
		if _, ok := f.(threegpp.Unparsed); ok {
			return true
		}
	}
	return false
}

// source names where a fact came from, without arguments that may be secret.
func source(kind, line string) string {
	line = strings.ToUpper(strings.TrimSpace(line))
	line = strings.TrimPrefix(line, "AT")
	if i := strings.IndexAny(line, "=:;,\""); i >= 0 {
		line = line[:i]
	}
	if len(line) > 16 {
		line = line[:16]
	}
	return kind + strings.TrimSpace(line)
}
