package modemtest

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// cases reads testdata/cases.json: ten cases of the corpus file
// transcripts-open.json of 2026-11-22, exchange and labels as there.
func cases(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	byID := map[string]json.RawMessage{}
	for _, c := range list {
		var head struct{ ID string }
		if err := json.Unmarshal(c, &head); err != nil {
			t.Fatal(err)
		}
		byID[head.ID] = c
	}
	return byID
}

func fromCase(t *testing.T, id string) *Player {
	t.Helper()
	sc, err := FromCase(cases(t)[id])
	if err != nil {
		t.Fatal(err)
	}
	return NewPlayer(sc, 1)
}

// Every recorded command, asked in the recorded order, gets its recorded
// lines, and the unsolicited lines come in the recorded order.
func TestEveryCaseIsPlayedAsRecorded(t *testing.T) {
	for id, data := range cases(t) {
		t.Run(id, func(t *testing.T) {
			var c struct {
				Exchange []struct {
					Cmd  string
					Resp []string
					URC  []string
				}
			}
			if err := json.Unmarshal(data, &c); err != nil {
				t.Fatal(err)
			}
			p := fromCase(t, id)
			var wantURCs, gotURCs []string
			for _, step := range c.Exchange {
				if step.Cmd == "" {
					wantURCs = append(wantURCs, trimmed(step.URC)...)
					continue
				}
				lines, _, silent := p.Ask(0, step.Cmd)
				want := trimmed(step.Resp)
				if len(lines) > len(want) { // a missing OK was added
					lines = lines[:len(want)]
				}
				if silent != (len(want) == 0) || !slices.Equal(lines, want) {
					t.Errorf("%s\n got %q\nwant %q", step.Cmd, lines, want)
				}
				gotURCs = append(gotURCs, p.Unsolicited(0)...)
			}
			gotURCs = append(gotURCs, p.Unsolicited(time.Hour)...)
			if !slices.Equal(gotURCs, wantURCs) {
				t.Errorf("unsolicited\n got %q\nwant %q", gotURCs, wantURCs)
			}
		})
	}
}

func TestCaseURCsComeByTimeWhereNobodyAsks(t *testing.T) {
	p := fromCase(t, "luat-780e-hot-unplug")
	if got := p.Unsolicited(9 * time.Second); len(got) > 0 {
		t.Errorf("too early: %q", got)
	}
	if got := p.Unsolicited(50 * time.Second); len(got) != 5 || got[4] != "+CPIN: SIM REMOVED 0" {
		t.Errorf("got %q", got)
	}
}

func TestCaseInventsNoEvidence(t *testing.T) {
	p := fromCase(t, "norco-ec20-no-sim")
	for _, tt := range []struct{ command, want string }{
		{"AT+CPIN?", "+CME ERROR: 10"},
		{"AT+CMEE=1;+CEREG=2", "OK"},
		{"ATE0", "OK"},
		{"AT+CGMI", "Quectel | OK"},
		{"AT+CSQ", "+CME ERROR: 4"},
		{"AT+CEREG?", "+CME ERROR: 4"},
		{`AT+QENG="servingcell"`, "+CME ERROR: 4"},
		{"AT+CMGL=4", "+CME ERROR: 4"},
		{"ATD*99#", "+CME ERROR: 4"},
	} {
		if got := ask(p, 0, tt.command); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.command, got, tt.want)
		}
	}
	if got := ask(fromCase(t, "particle-an003-modem-dead"), 0, "ATE0"); got != "silence" {
		t.Errorf("a dead modem answers ATE0: %s", got)
	}
}

func TestCasesThatCannotBePlayedAreRefused(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{"id":"a","exchange":[]}`, `modemtest: case "a": no exchange to play`},
		{`{"id":"a","exchange":[{"cmd":"AT"}]}`, `modemtest: case "a": exchange[0] is neither {cmd, resp} nor {urc}`},
		{`{"id":"a","exchange":[{"urc":["RING"]},{"cmd":"AT","resp":[],"urc":["x"]}]}`, `modemtest: case "a": exchange[1] is neither {cmd, resp} nor {urc}`},
		{`[]`, `modemtest: case: json: cannot unmarshal array into Go value of type `},
	} {
		if _, err := FromCase([]byte(tt.in)); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s\n got %v\nwant %s", tt.in, err, tt.want)
		}
	}
}

func FuzzFromCase(f *testing.F) {
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		f.Fatal(err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		f.Fatal(err)
	}
	for _, c := range list {
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sc, err := FromCase(data)
		if err != nil {
			return
		}
		p := NewPlayer(sc, 1)
		p.Write(0, []byte("AT\rAT+CPIN?\r"))
		for _, o := range p.Advance(time.Hour) {
			if o.Kind != Bytes {
				t.Fatalf("a recording moved the port: %+v", o)
			}
		}
	})
}

func TestCaseURCKeepsItsPlaceAmongRepeatedCommands(t *testing.T) {
	sc, err := FromCase([]byte(`{"id":"x","exchange":[{"cmd":"AT+CREG?","resp":["+CREG: 2,1"]},{"cmd":"AT+CREG?","resp":["+CREG: 2,1"]},{"urc":["+CREG: 0"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlayer(sc, 1)
	if got := ask(p, 0, "AT+CREG?"); got != "+CREG: 2,1 | OK" {
		t.Errorf("a quoted line without its OK: %s", got)
	}
	if got := p.Unsolicited(0); len(got) > 0 {
		t.Errorf("after the first asking already: %q", got)
	}
	ask(p, 0, "AT+CREG?")
	if got := p.Unsolicited(0); !slices.Equal(got, []string{"+CREG: 0"}) {
		t.Errorf("after the second asking: %q", got)
	}
}

// The flight recorder's export holds facts for explain and, for the simulator,
// the lines of the modem.
func TestBundleIsPlayed(t *testing.T) {
	sc, err := FromCase([]byte(`{"id":"recording","vendor":"Quectel","model":"EC20F","revision":"R1",
		"exchange":[{"at":0,"fact":{"kind":"sim","source":"at:+CPIN","value":{}}}],
		"lines":["08:00:00.000 < OK","08:00:00.100 > AT","08:00:00.150 < OK","08:00:01.000 > AT+CPIN?","08:00:01.050 < +CPIN: READY","08:00:01.060 < OK",
			"08:00:02.000 ! +CGEV: NW DETACH","08:00:03.000 > AT+CPIN?","08:00:03.050 < +CME ERROR: 10","08:00:04.000 > AT+COPS?","08:00:09.000 ~ AT+COPS?"]}`))
	if err != nil {
		t.Fatal(err)
	}
	p := NewPlayer(sc, 1)
	if got := ask(p, 0, "AT+CPIN?"); got != "+CPIN: READY | OK" {
		t.Errorf("first %s", got)
	}
	if got := p.Unsolicited(time.Second); len(got) != 1 || got[0] != "+CGEV: NW DETACH" {
		t.Errorf("unsolicited %q", got)
	}
	for range 2 {
		if got := ask(p, time.Second, "AT+CPIN?"); got != "+CME ERROR: 10" {
			t.Errorf("then %s", got)
		}
	}
	if got := ask(p, time.Second, "AT+COPS?"); got != "silence" {
		t.Errorf("unanswered: %s", got)
	}
	if got := ask(p, time.Second, "AT+CGMR"); got != "R1 | OK" {
		t.Errorf("revision: %s", got)
	}
}
