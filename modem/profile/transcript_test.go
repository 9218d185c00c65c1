package profile

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cellwarden/modem/threegpp"
)

var update = flag.Bool("update", false, "write what the parsers make of the transcripts into them")

// Beside each profile lies a transcript, testdata/<profile>.txt: what a modem of
// the family said ("# capture", with the case of the diagnosis corpus of
// 2026-11-22) and, for commands that no capture has, an example in the form that
// the named manual or driver shows. "> " leads a command, "< " a line of its
// answer, "! " an unsolicited line, "= " what the parsers make of it.
//
// Every command that a profile names as the family's own has an answer here, and
// no line of any answer stays unparsed but those listed.
func TestTranscripts(t *testing.T) {
	for _, p := range builtin(t).All() {
		t.Run(p.Name, func(t *testing.T) {
			file := filepath.Join("testdata", p.Name+".txt")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, asked := replay(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s differs from what the parsers make of it now; run with -update and read the difference\n%s", file, difference(string(text), got))
			}
			for q, r := range p.Recipes {
				if r.Ground {
					continue
				}
				for i, cmd := range r.Commands {
					if !slices.Contains(asked, cmd) && !(r.Any && i > 0) {
						t.Errorf("%s: %s has no answer in %s", q, cmd, file)
					}
				}
			}
		})
	}
}

// unknown are lines of captures that stay raw, each with its reason.
var unknown = map[string]string{
	"HTTP get failed ! error code = 7150":                "printed by the host's sketch",
	"Modem hangup - possibly due to an unregistered SIM": "printed by the host's tool",
}

// replay returns the transcript with what the parsers make of it now, and the
// commands that it answers.
func replay(t *testing.T, text string) (out string, asked []string) {
	t.Helper()
	var b strings.Builder
	var command string
	var answer []string
	tell := func(facts []threegpp.Fact) {
		for _, f := range facts {
			switch f := f.(type) {
			case threegpp.Done:
				continue
			case threegpp.Unparsed:
				if unknown[f.Line] == "" {
					t.Errorf("%s: unparsed %q", command, f.Line)
				}
			}
			b.WriteString("= " + f.Kind() + ": " + f.String() + "\n")
		}
	}
	flush := func() {
		if command != "" {
			tell(threegpp.Reply(command, answer))
		}
		command, answer = "", nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "= "):
			continue
		case strings.HasPrefix(line, "< "):
			answer = append(answer, line[2:])
			b.WriteString(line + "\n")
			continue
		}
		flush()
		b.WriteString(line + "\n")
		switch {
		case strings.HasPrefix(line, "> "):
			command = line[2:]
			name, value, set := strings.Cut(command, "=")
			command := strings.ToUpper(name)
			if set {
				command += "=" + value
			}
			asked = append(asked, command)
		case strings.HasPrefix(line, "! "):
			tell(threegpp.URC(line[2:]))
		}
	}
	flush()
	return b.String(), asked
}

// difference is the first line in which two texts differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "file " + w[i] + "\nnow  " + g[i]
		}
	}
	return "one is longer"
}
