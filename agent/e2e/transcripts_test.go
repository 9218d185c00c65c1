package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cellwarden/agent/diag"
)

const transcripts = "testdata/transcripts-open.json"

type transcript struct {
	ID       string   `json:"id"`
	Class    string   `json:"class"`
	Accept   []string `json:"accept"`
	Exchange []struct {
		Cmd  string   `json:"cmd"`
		Resp []string `json:"resp"`
	} `json:"exchange"`
}

// asked are the commands that the agent puts to some family of modems when it
// diagnoses: only a recording that answers these says anything through a port.
var asked = []string{"+CPIN?", "+CFUN?", "+CREG?", "+CGREG?", "+CEREG?", "+C5GREG?", "+COPS?", "+CSQ", "+CESQ", "+CGATT?",
	"+CGACT?", "+CGPADDR", "+CGDCONT?", "+CEER", "+CCID", "+CIMI", "+CGMI", "+CGMM", "+CGMR", "I", "+QENG", "+CPSI?", "+QCSQ", "+QNWINFO", "+CNMP?"}

// enough: at least two different commands of the agent's were recorded.
func (c transcript) enough() bool {
	have := map[string]bool{}
	for _, x := range c.Exchange {
		cmd := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(x.Cmd)), "AT")
		for _, a := range asked {
			if cmd == a || strings.TrimSuffix(cmd, "?") == a || strings.HasPrefix(cmd, a+"=") {
				have[a] = true
			}
		}
	}
	return len(have) >= 2
}

// playedAtOnce bounds how many simulators and agents run beside each other.
const playedAtOnce = 20

// What real modems said, played through a pty into the binary: no error, no
// panic, and no confirmed verdict that the recording's label does not allow.
func TestTranscriptsThroughThePort(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(transcripts)
	if err != nil {
		t.Fatal(err)
	}
	var cases []transcript
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs(transcripts)
	if err != nil {
		t.Fatal(err)
	}
	room := make(chan struct{}, playedAtOnce)
	counts := make(chan string, len(cases))
	played := 0
	t.Run("play", func(t *testing.T) {
		for _, c := range cases {
			if !c.enough() {
				continue
			}
			played++
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				room <- struct{}{}
				defer func() { <-room }()
				counts <- c.play(t, file)
			})
		}
	})
	close(counts)
	sum := map[string]int{}
	for kind := range counts {
		sum[kind]++
	}
	t.Logf("FIGURE transcripts: %d of %d have enough replies and were played: %v", played, len(cases), sum)
	if played < 20 {
		t.Errorf("only %d were played", played)
	}
}

func (c transcript) play(t *testing.T, file string) string {
	modem := newModem(t, "", "-case", file, "-id", c.ID)
	out, errs, code := runAgent(t, nil, "diagnose", "--direct", modem.port, "--json")
	var d diag.Diagnosis
	if err := json.Unmarshal([]byte(out), &d); err != nil || strings.Contains(errs, "panic") {
		t.Fatalf("exit %d: %v\n%s%s", code, err, out, errs)
	}
	if want := map[bool]int{true: 0, false: 3}[d.Class == diag.Healthy]; code != want {
		t.Errorf("%s: exit %d, want %d", d.Class, code, want)
	}
	accept := c.Accept
	if len(accept) == 0 {
		accept = []string{c.Class}
	}
	switch right := slices.Contains(accept, string(d.Class)); {
	case d.Verdict == diag.Undecided:
		return "undecided"
	case right:
		return "right"
	case d.Class == diag.Healthy && d.Detail.Key == "detail.unproved":
		return "modem online, path not tested" // it asks the modem alone, and says so
	case d.Verdict == diag.Confirmed:
		t.Errorf("confirmed %s, accepted are %v; evidence %+v", d.Class, accept, d.Evidence)
		return "confidently wrong"
	}
	t.Logf("%s %s, accepted are %v", d.Verdict, d.Class, accept)
	return "wrong"
}
