package explain

import (
	"bytes"
	"path/filepath"

	"cellwarden/modem/transcript"
)

// Reading says how much of a text was read.
type Reading struct {
	Lines  int                 `json:"lines"`  // that are not blank
	Used   int                 `json:"used"`   // commands, answers, messages of the modem, words of a tool
	Passed int                 `json:"passed"` // other text
	Unread int                 `json:"unread"` // looks like a modem's, and was not understood
	List   []transcript.Unread `json:"unread_lines,omitempty"`
	Forms  []string            `json:"forms,omitempty"` // what stood around the modem's lines, and the tools met
	Cut    string              `json:"left_out,omitempty"`
}

// caseKeys are the keys of which a case file has at least one.
var caseKeys = [...]string{`"exchange"`, `"context"`, `"cmd"`, `"resp"`, `"urc"`, `"id"`}

// isCaseFile tells the case format, whole or damaged, from other text. A text
// may begin with a bracket too: a time stamp, the JSON of a host tool.
func isCaseFile(trimmed []byte) bool {
	if trimmed[0] != '[' && trimmed[0] != '{' {
		return false
	}
	inner := bytes.TrimSpace(trimmed[1:])
	if len(inner) == 0 || inner[0] == ']' || inner[0] == '}' {
		return true
	}
	if inner[0] != '{' && inner[0] != '"' {
		return false
	}
	for _, key := range caseKeys {
		if bytes.Contains(trimmed, []byte(key)) {
			return true
		}
	}
	return false
}

// readText makes one case of any text. What was not understood is told in its
// Reading; a text of which nothing was understood is a case that says nothing.
func readText(name string, data []byte) Case {
	t := transcript.Read(data)
	c := Case{ID: filepath.Base(name), Reading: &Reading{Lines: t.Lines, Used: t.Used, Passed: t.Passed,
		Unread: t.UnreadTotal, List: t.Unread, Forms: t.Forms, Cut: t.Cut}}
	for _, e := range t.Entries {
		switch {
		case e.Cmd != "":
			cmd, resp := e.Cmd, e.Resp
			if resp == nil {
				resp = []string{}
			}
			c.Exchange = append(c.Exchange, Entry{Cmd: &cmd, Resp: resp})
		case e.URC != nil:
			c.Exchange = append(c.Exchange, Entry{URC: e.URC})
		default:
			c.Exchange = append(c.Exchange, Entry{host: e.Facts, tool: e.Tool})
		}
	}
	return c
}
