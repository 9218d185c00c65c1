package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"cellwarden/agent/diag"
	"cellwarden/agent/text"
)

// Answer is what is printed for one case, one JSON object a line.
type Answer struct {
	ID         string           `json:"id"`
	Class      diag.Code        `json:"class"`
	Verdict    diag.Verdict     `json:"verdict"`
	Layer      diag.Layer       `json:"layer,omitempty"`
	Detail     string           `json:"detail,omitempty"`
	Candidates []diag.Candidate `json:"candidates"`
	Evidence   []Evidence       `json:"evidence"`
	Against    []Evidence       `json:"against,omitempty"`
	Unknown    []string         `json:"unknown,omitempty"`
	DecideBy   string           `json:"decide_by,omitempty"`
	Act        Act              `json:"act"`
	Read       *Reading         `json:"read,omitempty"` // of a text that is no case file
}

// Evidence is one weighed fact in words.
type Evidence struct {
	For      diag.Code `json:"for"`
	Fact     string    `json:"fact"`
	Source   string    `json:"source"`
	WeightDB float64   `json:"weight_db"`
}

// Act says who does what.
type Act struct {
	Who       string `json:"who"`
	What      string `json:"what"`
	ResumesAt string `json:"resumes_at,omitempty"`
}

// Judge folds a case and diagnoses it.
func Judge(c Case, table *diag.Weights) diag.Diagnosis {
	var k diag.Known
	for _, o := range c.Observations() {
		k.Observe(o)
	}
	return diag.Diagnose(&k, table)
}

// AnswerOf words a diagnosis for id in lang.
func AnswerOf(id string, d diag.Diagnosis, lang text.Lang) Answer {
	a := Answer{ID: id, Class: d.Class, Verdict: d.Verdict, Layer: d.Layer, Candidates: d.Candidates,
		Detail: text.Render(lang, d.Detail), DecideBy: text.Render(lang, d.DecideBy),
		Evidence: evidence(d.Evidence, lang), Against: evidence(d.Against, lang),
		Act: Act{Who: d.Act.Who, What: text.Render(lang, d.Act.What), ResumesAt: d.Act.ResumesAt}}
	for _, u := range d.Unknown {
		a.Unknown = append(a.Unknown, text.Render(lang, u))
	}
	if a.Candidates == nil {
		a.Candidates = []diag.Candidate{}
	}
	return a
}

func evidence(es []diag.Evidence, lang text.Lang) []Evidence {
	out := []Evidence{}
	for _, e := range es {
		out = append(out, Evidence{e.For, text.Render(lang, e.Fact), e.Source, e.WeightDB})
	}
	return out
}

// Options of a run.
type Options struct {
	JSON    bool
	Trace   bool // each observation, the weight it gave and the verdict's change
	Lang    text.Lang
	Weights *diag.Weights // nil: the built-in table
}

// Exit codes of Files.
const (
	ExitHealthy = 0
	ExitFailed  = 1
	ExitFault   = 3
)

// Files judges every case of the files in order and prints the answers to out.
// It returns the exit code: 3 where a fault was found, 1 on an error (with the
// error), 0 when all is well.
func Files(out io.Writer, files []string, opt Options) (int, error) {
	if len(files) == 0 {
		return ExitFailed, fmt.Errorf("explain: no file given; usage: cellwarden explain [--json] FILE…, - for standard input")
	}
	code := ExitHealthy
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for _, name := range files {
		cases, err := readFile(name)
		if err != nil {
			return ExitFailed, fmt.Errorf("explain: %w", err)
		}
		for _, c := range cases {
			d := Judge(c, opt.Weights)
			if d.Verdict != diag.AllWell {
				code = ExitFault
			}
			a := AnswerOf(c.ID, d, opt.Lang)
			a.Read = c.Reading
			if opt.JSON {
				err = enc.Encode(a)
			} else {
				err = printAnswer(out, a, opt.Lang)
			}
			if err == nil && opt.Trace {
				err = trace(out, c, opt)
			}
			if err != nil {
				return ExitFailed, fmt.Errorf("explain: writing the answer: %w", err)
			}
		}
	}
	return code, nil
}

func readFile(name string) ([]Case, error) {
	if name == "-" {
		return Read("standard input", os.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(name, f)
}

func printAnswer(w io.Writer, a Answer, lang text.Lang) error {
	t := func(key string) string { return text.T(lang, key) }
	_, err := fmt.Fprintf(w, "%s: %s (%s)\n", a.ID, text.Class(lang, a.Class).Title, t("verdict."+string(a.Verdict)))
	if a.Detail != "" {
		fmt.Fprintf(w, "  %s\n", a.Detail)
	}
	for _, e := range a.Evidence {
		fmt.Fprintf(w, "  + %s  [%s, %+.0f dB %s]\n", e.Fact, e.Source, e.WeightDB, e.For)
	}
	for _, e := range a.Against {
		fmt.Fprintf(w, "  - %s  [%s, %+.0f dB %s]\n", e.Fact, e.Source, e.WeightDB, e.For)
	}
	for _, u := range a.Unknown {
		fmt.Fprintf(w, "  ? %s\n", u)
	}
	if a.Verdict != diag.AllWell {
		for _, c := range a.Candidates {
			fmt.Fprintf(w, "  %3.0f%%  %s\n", 100*c.P, text.Class(lang, c.Class).Title)
		}
		if a.DecideBy != "" {
			fmt.Fprintf(w, "  > %s\n", a.DecideBy)
		}
		fmt.Fprintf(w, "  = %s: %s\n", t("who."+a.Act.Who), a.Act.What)
		if a.Act.ResumesAt != "" {
			fmt.Fprintf(w, "    %s\n", a.Act.ResumesAt)
		}
	}
	if a.Read != nil {
		printReading(w, *a.Read, lang)
	}
	return err
}

// printReading says how much of a text was read, and what was not understood.
func printReading(w io.Writer, r Reading, lang text.Lang) {
	say := func(key string, args ...string) {
		fmt.Fprintf(w, "  # %s\n", text.T(lang, key, args...))
	}
	n := strconv.Itoa
	say("read.lines", n(r.Lines), n(r.Used), n(r.Passed), n(r.Unread))
	if r.Used == 0 {
		say("read.nothing")
	}
	for _, u := range r.List {
		say("read.unread", n(u.Line), u.Text, text.T(lang, "read.why."+u.Why))
	}
	if more := r.Unread - len(r.List); more > 0 && len(r.List) > 0 {
		say("read.more", n(more))
	}
	if r.Cut != "" {
		say("read.cut." + r.Cut)
	}
}

// weightWords lists a rule's weights in decibans, the largest first.
func weightWords(weights map[string]float64) string {
	classes := slices.Collect(maps.Keys(weights))
	slices.SortFunc(classes, func(a, b string) int {
		if c := cmp.Compare(math.Abs(weights[b]), math.Abs(weights[a])); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	var b strings.Builder
	for i, class := range classes {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %+g", class, weights[class])
	}
	return b.String()
}

// trace prints each observation, and the verdict wherever it changes.
func trace(w io.Writer, c Case, opt Options) error {
	var k diag.Known
	seen := map[string]bool{}
	last := ""
	for _, o := range c.Observations() {
		k.Observe(o)
		if f, ok := o.Fact.(fmt.Stringer); ok {
			fmt.Fprintf(w, "  %7.1fs %-14s %s\n", o.At.Mono.Seconds(), o.Source, f)
		} else {
			fmt.Fprintf(w, "  %7.1fs %-14s %T\n", o.At.Mono.Seconds(), o.Source, o.Fact)
		}
		now := map[string]bool{}
		for _, t := range diag.TraceOf(&k, opt.Weights) {
			line := fmt.Sprintf("%s %s  %s", t.Channel, text.Render(opt.Lang, t.Fact), weightWords(t.Weights))
			now[line] = true
			if !seen[line] {
				fmt.Fprintf(w, "           %s %s\n", "+", line)
			}
		}
		for _, line := range slices.Sorted(maps.Keys(seen)) {
			if !now[line] {
				fmt.Fprintf(w, "           %s %s\n", "-", line)
			}
		}
		seen = now
		d := diag.Diagnose(&k, opt.Weights)
		if v := fmt.Sprintf("%s (%s)", d.Class, d.Verdict); v != last {
			fmt.Fprintf(w, "           => %s\n", v)
			last = v
		}
	}
	if c.Live != nil {
		_, err := fmt.Fprintf(w, "           the device said %s (%s)\n", c.Live.Class, c.Live.Verdict)
		return err
	}
	return nil
}
