// Package doctor is the judgement without an agent: a technician pastes what a modem
// said into one page, and the page, offline, says what is wrong. The same pure code
// that runs on the device is compiled to WebAssembly; this package is its door. It is
// no part of the device's binary; `make doctor-page` builds the page.
package doctor

import (
	"encoding/json"
	"strings"

	"cellwarden/agent/diag"
	"cellwarden/agent/explain"
	"cellwarden/agent/text"
)

// MaxPaste is the longest text that is judged, in bytes.
const MaxPaste = 4 << 20

// Words is one answer in one language.
type Words struct {
	Title   string             `json:"title"`
	Line    string             `json:"line"`
	Verdict string             `json:"verdict"`
	Who     string             `json:"who"`
	What    string             `json:"what"`
	Returns string             `json:"returns"`
	Steps   []string           `json:"steps"`
	Detail  string             `json:"detail"`
	For     []explain.Evidence `json:"for"`
	Against []explain.Evidence `json:"against"`
	Unknown []string           `json:"unknown"`
	Decide  string             `json:"decide"`
	Others  []Other            `json:"others"`
}

// Other is a class that the evidence leaves.
type Other struct {
	Title   string `json:"title"`
	Percent int    `json:"percent"`
}

// Case is one answer.
type Case struct {
	ID      string       `json:"id"`
	Class   diag.Code    `json:"class"`
	Verdict diag.Verdict `json:"verdict"`
	EN      Words        `json:"en"`
	ZH      Words        `json:"zh"`
}

// Answer is all that the page shows.
type Answer struct {
	Cases []Case `json:"cases"`
	Error string `json:"error,omitempty"`
}

// Judge reads a paste in any form that explain reads, and answers as JSON.
func Judge(paste string) []byte {
	out, err := json.Marshal(judge(paste))
	if err != nil {
		return []byte(`{"cases":[],"error":"the answer could not be written"}`)
	}
	return out
}

func judge(paste string) Answer {
	a := Answer{Cases: []Case{}}
	if strings.TrimSpace(paste) == "" {
		return a
	}
	if len(paste) > MaxPaste {
		a.Error = "more than 4 MB: paste the part around the fault"
		return a
	}
	cases, err := explain.Read("paste", strings.NewReader(paste))
	if err != nil {
		a.Error = err.Error()
		return a
	}
	for _, c := range cases {
		d := explain.Judge(c, nil)
		a.Cases = append(a.Cases, Case{ID: c.ID, Class: d.Class, Verdict: d.Verdict,
			EN: words(d, text.EN), ZH: words(d, text.ZH)})
	}
	return a
}

func words(d diag.Diagnosis, lang text.Lang) Words {
	c := text.Class(lang, d.Class, d.Detail.Key)
	a := explain.AnswerOf("", d, lang)
	w := Words{Title: c.Title, Line: c.Line, Verdict: text.T(lang, "verdict."+string(d.Verdict)), Who: text.T(lang, "who."+d.Act.Who),
		What: a.Act.What, Returns: c.Returns, Steps: c.Steps, Detail: a.Detail, For: a.Evidence, Against: a.Against,
		Unknown: a.Unknown, Decide: a.DecideBy}
	for _, x := range a.Candidates {
		w.Others = append(w.Others, Other{text.Class(lang, x.Class).Title, int(100*x.P + 0.5)})
	}
	return w
}
