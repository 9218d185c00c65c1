package modemtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// casePace is how far apart the steps of a recording are taken to be where
// nothing else tells: an unsolicited line that no command brought on comes at
// its place in the order times this.
const casePace = 10 * time.Second

// FromCase makes a scenario of one recorded case, a JSON object with
// "exchange": [{"cmd": "AT+CEREG?", "resp": [...]}, {"urc": [...]}, ...].
//
// A command asked again gives the recorded answers in turn, then the last one
// for ever. An answer without a final result is completed with OK, since
// recordings quote lines; an empty answer is silence. Unsolicited lines come
// after the answer that they follow in the recording, in their order, and at
// their place times 10 s where that command is not asked. Of commands that the
// recording does not hold only those that set up the dialogue and identify the
// module are answered; to all others the modem says "+CME ERROR: 4" (operation
// not supported), which is evidence of nothing. A modem that answered nothing at
// all in the recording answers nothing at all here.
//
// A bundle of the agent holds what the agent observed, as facts, and beside it
// the lines of the modem ("lines"): those are played.
func FromCase(data []byte) (*Scenario, error) {
	var c struct {
		ID       string         `json:"id"`
		Vendor   string         `json:"vendor"`
		Model    string         `json:"model"`
		Revision string         `json:"revision"`
		Exchange []recordedStep `json:"exchange"`
		Lines    []string       `json:"lines"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("modemtest: case: %w", err)
	}
	if len(c.Lines) > 0 {
		c.Exchange = stepsOf(c.Lines)
	}
	if len(c.Exchange) == 0 {
		return nil, fmt.Errorf("modemtest: case %q: no exchange to play", c.ID)
	}
	sc := &Scenario{
		Name:    c.ID,
		Heading: "recorded: " + strings.TrimSpace(c.Vendor+" "+c.Model),
		Device:  map[string]string{"unlisted": "unsupported"},
		Start:   DefaultStart,
	}
	for key, v := range map[string]string{"manufacturer": c.Vendor, "model": c.Model, "revision": c.Revision} {
		if v != "" {
			sc.Device[key] = v
		}
	}
	rules := map[string]*rule{}
	answered := false
	counts := map[string]int{}
	after := ""
	for i, step := range c.Exchange {
		place := time.Duration(i) * casePace
		switch {
		case step.Cmd != nil && step.Resp != nil && step.URC == nil:
			key := normalise(*step.Cmd)
			r := rules[key]
			if r == nil {
				r = &rule{key: key}
				rules[key] = r
				sc.modem = append(sc.modem, func(p *Player) { p.setRule(r) })
			}
			a := recordedAnswer(*step.Resp, *step.Cmd)
			r.answers = append(r.answers, a)
			answered = answered || !a.silent
			counts[key]++
			after = key
		case step.Cmd == nil && step.Resp == nil && step.URC != nil:
			lines := trimmed(step.URC)
			if len(lines) == 0 {
				continue
			}
			u := cue{lines: lines, after: after, count: counts[after], by: place}
			if len(counts) == 0 {
				u.count, u.by = 0, 0 // before any command: at the start
			}
			sc.cues = append(sc.cues, u)
		default:
			return nil, fmt.Errorf("modemtest: case %q: exchange[%d] is neither {cmd, resp} nor {urc}", c.ID, i)
		}
	}
	if len(counts) > 0 && !answered {
		sc.Device["unlisted"] = "silent"
	}
	return sc, nil
}

// recordedStep is one exchange of a recording.
type recordedStep struct {
	Cmd  *string   `json:"cmd"`
	Resp *[]string `json:"resp"`
	URC  []string  `json:"urc"`
}

// stepsOf reads the lines of a bundle: "15:04:05.000 > AT+CPIN?", with > before
// a command, < before a line of its answer, ! before what came unasked (a line
// break in it parts two lines) and ~ before what the agent threw away. The
// agent's bare AT proves step and is none of the recording; so is an answer
// whose command fell out of the ring.
func stepsOf(lines []string) []recordedStep {
	var steps []recordedStep
	var answer *[]string
	for _, text := range lines {
		_, rest, _ := strings.Cut(text, " ")
		kind, line, ok := strings.Cut(rest, " ")
		switch {
		case !ok:
		case kind == ">":
			answer = nil
			if !strings.EqualFold(line, "AT") {
				answer = &[]string{}
				steps = append(steps, recordedStep{Cmd: &line, Resp: answer})
			}
		case kind == "<" && answer != nil:
			*answer = append(*answer, line)
		case kind == "!":
			steps = append(steps, recordedStep{URC: strings.Split(line, "\n")})
		}
	}
	return steps
}

// recordedAnswer makes an answer of the lines that a recording quotes.
func recordedAnswer(resp []string, command string) answer {
	lines := trimmed(resp)
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.EqualFold(l, command) }) // the echo
	if len(lines) == 0 {
		return answer{silent: true}
	}
	if !slices.ContainsFunc(lines, isFinal) {
		lines = append(lines, "OK")
	}
	return answer{lines: lines}
}

func trimmed(lines []string) []string {
	var kept []string
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" {
			kept = append(kept, l)
		}
	}
	return kept
}

// isFinal reports whether a line ends an answer (V.250 §5.7.1, TS 27.007 §9.2,
// TS 27.005 §3.2.5, and the vendors' own words).
func isFinal(line string) bool {
	switch line {
	case "OK", "ERROR", "NO CARRIER", "CONNECT", "BUSY", "NO ANSWER", "NO DIALTONE", "SHUT OK", "SEND OK",
		"SEND FAIL", "COMMAND NOT SUPPORT", "TOO MANY PARAMETERS":
		return true
	}
	for _, prefix := range []string{"+CME ERROR", "+CMS ERROR", "+CIS ERROR", "CONNECT ", "ERROR:"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return false
}
