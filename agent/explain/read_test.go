package explain

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cellwarden/agent/diag"
)

// TestMalformedFilesAreNamedWithTheirPlace: the message says which file, which
// line, which case, and what is wrong.
func TestMalformedFilesAreNamedWithTheirPlace(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", `f.json: empty; a case file is a JSON array of cases`},
		{"only space", " \n\t ", `f.json: empty; a case file is a JSON array of cases`},
		{"cut off", "[\n {\"id\": \"a\", \"exchange\": []},\n {\"id\": \"b\",", `f.json:3: case after a: the file ends in the middle`},
		{"cut off after a case", "[\n {\"id\": \"a\"}\n", `f.json:3: case after a: the file ends in the middle`},
		{"a comma too many", "[\n {\"id\": \"a\"},\n]", `f.json:3: case after a: invalid character ']' looking for beginning of value`},
		{"second case broken", "[\n {\"id\": \"a\"},\n {\"id\": \"b\", \"exchange\": 7}\n]", `f.json:3: case after a: exchange wants a list, not a number`},
		{"wrong kind deep inside", "[\n {\"id\": \"a\",\n  \"context\": {\"plan\": {\"quota_bytes\": \"much\"}}}\n]", `f.json:3: context.plan.quota_bytes wants a whole number from 0, not a string`},
		{"a negative count", "[{\"id\": \"a\", \"context\": {\"usage\": {\"cycle_bytes\": -1}}}]", `f.json:1: context.usage.cycle_bytes wants a whole number from 0, not a number -1`},
		{"a line that is no text", "[{\"id\": \"a\", \"exchange\": [{\"cmd\": \"AT\", \"resp\": [1]}]}]", `f.json:1: exchange.resp wants a text, not a number`},
		{"an entry of nothing", "[\n {\"id\": \"a\", \"exchange\": [{\"cmd\": \"AT\", \"resp\": [\"OK\"]},\n  {\"resp\": [\"OK\"]}]}\n]", `f.json:3: case a: exchange[1] has neither cmd nor urc`},
		{"a time that is none", "[{\"id\": \"a\", \"context\": {\"now\": \"yesterday\"}}]", `f.json:1: case a: context.now: "yesterday" is no RFC 3339 time`},
		{"two documents", "[]\n[]", `f.json:2: something follows the last case`},
		{"one case and more", "{\"id\": \"a\"}\n{}", `f.json:2: case a: something follows the last case`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Read("f.json", strings.NewReader(tc.text))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestReadTakesOneCaseOrManyAndMoreThanItKnows(t *testing.T) {
	for name, text := range map[string]string{
		"one case":          `{"id": "a", "exchange": [{"cmd": "AT", "resp": ["OK"]}]}`,
		"an array":          `[{"id": "a", "exchange": [{"cmd": "AT", "resp": ["OK"]}]}]`,
		"labels and others": `[{"id": "a", "class": "healthy", "accept": ["arrears"], "moon": {"x": [1]}, "exchange": [{"cmd": "AT", "resp": ["OK"], "note": "x"}]}]`,
	} {
		cases, err := Read(name, strings.NewReader(text))
		if err != nil || len(cases) != 1 || cases[0].ID != "a" || len(cases[0].Exchange) != 1 {
			t.Errorf("%s: %v, %v", name, cases, err)
		}
	}
	if cases, err := Read("none", strings.NewReader("[]")); err != nil || len(cases) != 0 {
		t.Errorf("an empty array: %v, %v", cases, err)
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	well := write("well.json", `[{"id": "w", "exchange": [{"cmd": "AT+CPIN?", "resp": ["+CPIN: READY", "OK"]}, {"cmd": "AT+CEREG?", "resp": ["+CEREG: 0,1", "OK"]}], "context": {"probes": [{"probe": "tls", "target": "own", "result": "ok"}]}}]`)
	ill := write("ill.json", `[{"id": "i", "exchange": [{"cmd": "AT+CFUN?", "resp": ["+CFUN: 4", "OK"]}]}]`)
	for _, tc := range []struct {
		name  string
		files []string
		code  int
		err   string
	}{
		{"healthy", []string{well}, ExitHealthy, ""},
		{"a fault", []string{ill}, ExitFault, ""},
		{"a fault among healthy ones", []string{well, ill, well}, ExitFault, ""},
		{"no such file", []string{well, filepath.Join(dir, "none.json")}, ExitFailed, "explain: open " + filepath.Join(dir, "none.json") + ": no such file or directory"},
		{"no file", nil, ExitFailed, "explain: no file given; usage: cellwarden explain [--json] FILE…, - for standard input"},
	} {
		var out bytes.Buffer
		code, err := Files(&out, tc.files, Options{JSON: true})
		said := ""
		if err != nil {
			said = err.Error()
		}
		if code != tc.code || said != tc.err {
			t.Errorf("%s: exit %d (%s), want %d (%s)", tc.name, code, said, tc.code, tc.err)
		}
	}
}

// FuzzRead: no file brings explain down; what is read is judged without a panic.
func FuzzRead(f *testing.F) {
	for _, name := range allFiles {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[:min(len(data), 3000)])
	}
	f.Add([]byte(`{"id":"a","exchange":[{"probe":{"probe":"dns","target":"own","result":"ok"},"at":1e300},{"urc":["+CEREG: 3"],"at":-5},{"port":{"state":"silent"}},{"disturb":"scan"}]}`))
	f.Add([]byte(`[{"context":{"now":"2026-10-01T00:00:00+08:00","clock_trusted":true,"plan":{"cycle_day":31,"quota_bytes":1},"usage":{"cycle_bytes":18446744073709551615}}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cases, err := Read("f", bytes.NewReader(data))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("an error without its place: %v", err)
			}
			return
		}
		for _, c := range cases {
			d := Judge(c, nil)
			if d.Verdict == diag.Undecided && d.Class != diag.Ambiguous {
				t.Errorf("undecided, yet %s", d.Class)
			}
			AnswerOf(c.ID, d, "en")
		}
	})
}
