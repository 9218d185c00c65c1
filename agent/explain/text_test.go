package explain

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cellwarden/agent/diag"
	"cellwarden/agent/text"
)

// TestAnyTextIsJudged: what a technician has is enough: no case format.
func TestAnyTextIsJudged(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		class      diag.Code
		verdict    diag.Verdict
	}{
		{"a terminal", "AT+CPIN?\n+CPIN: SIM PIN\nOK\nAT+CSQ\n+CSQ: 21,99\nOK\n", diag.SIMLocked, ""},
		{"stamps in brackets first", "[10:05:01.123] >>> AT+CPIN?<CR>\n[10:05:01.130] <<< +CPIN: SIM PUK<CR><LF>\n[10:05:01.131] <<< OK<CR><LF>\n", diag.SIMLocked, ""},
		{"mmcli", "  Status   |                  state: failed\n           |          failed reason: sim-missing\n           |            power state: on\n", diag.SIMAbsent, ""},
		{"uqmi's JSON", "{\"registration\":\"registered\",\"plmn_mcc\":460,\"plmn_mnc\":0}\n", diag.Healthy, ""},
		{"mbimcli", "[/dev/cdc-wdm0] Radio state retrieved: 'fcc-locked'\n", diag.ModemOffOrAirplane, ""},
		{"nothing of a modem's", "Dear all, our machine has no service. Thank you.\n", diag.Ambiguous, diag.Undecided},
		{"a bare number", "42\n", diag.Ambiguous, diag.Undecided},
	} {
		cases, err := Read("/tmp/visit.log", strings.NewReader(tc.text))
		if err != nil || len(cases) != 1 || cases[0].ID != "visit.log" || cases[0].Reading == nil {
			t.Fatalf("%s: %+v, %v", tc.name, cases, err)
		}
		d := Judge(cases[0], nil)
		lead := d.Class
		if d.Verdict == diag.Undecided && len(d.Candidates) > 0 && tc.verdict == "" {
			lead = d.Candidates[0].Class
		}
		if lead != tc.class || tc.verdict != "" && d.Verdict != tc.verdict {
			t.Errorf("%s: %s (%s), want %s %s", tc.name, d.Class, d.Verdict, tc.class, tc.verdict)
		}
	}
}

// TestTextSaysWhatWasRead: one object a file, with how much of it was read; and
// the same in words.
func TestTextSaysWhatWasRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "visit.log")
	body := "hello\nAT+CPIN?\n+CPIN: READY\nOK\n+XYZZY: 460001234567890\nAT+CSQ\n"
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := Files(&out, []string{path, path}, Options{JSON: true, Lang: text.EN}); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&out)
	for range 2 {
		var a Answer
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		if r := a.Read; a.ID != "visit.log" || r == nil || r.Lines != 6 || r.Used != 3 || r.Passed != 1 || r.Unread != 2 || len(r.List) != 2 || r.List[0].Line != 5 {
			t.Errorf("%s: %+v", a.ID, a.Read)
		}
	}
	if dec.More() {
		t.Error("more than one object a file")
	}
	out.Reset()
	if _, err := Files(&out, []string{path}, Options{Lang: text.EN}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"6 lines: 3 read, 1 passed over, 2 not understood", "line 5 not understood: +XYZZY:", "line 6 not understood: AT+CSQ (no answer is shown)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "460001234567890") {
		t.Error("an identity is shown")
	}
}

// TestRawFormsInsideOfCases: a case may hold lines as a log or a tool wrote them.
func TestRawFormsInsideOfCases(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want diag.Code
	}{
		"a library's log": {`{"exchange": [{"cmd": "AT+CPIN?", "resp": ["[1606201008470ms][INFO][CELL]: AT RX (21): <cr><ln>+CPIN: SIM PUK<cr><ln><cr><ln>OK<cr><ln>"]}]}`, diag.SIMLocked},
		"a tool":          {`{"exchange": [{"cmd": "mmcli -m 0", "resp": ["  Status | state: failed", "         | failed reason: sim-missing"]}]}`, diag.SIMAbsent},
		"a tool's log":    {`{"exchange": [{"urc": ["[modem0] state changed (locked -> failed)", "[modem0] error initializing: Modem in failed state: sim-missing"]}]}`, diag.SIMAbsent},
		"chat":            {`{"exchange": [{"cmd": "AT+CPIN?^M", "resp": ["AT+CPIN?^M^M", "+CPIN: SIM PIN^M", "^M", "OK^M"]}]}`, diag.SIMLocked},
	} {
		cases, err := Read("f.json", strings.NewReader(tc.file))
		if err != nil {
			t.Fatal(err)
		}
		d := Judge(cases[0], nil)
		if len(d.Candidates) == 0 || d.Candidates[0].Class != tc.want {
			t.Errorf("%s: %s (%s) %v, want %s", name, d.Class, d.Verdict, d.Candidates, tc.want)
		}
	}
}
