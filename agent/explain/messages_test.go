package explain

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"cellwarden/agent/diag"
)

// TestMessagesInSituations puts each labelled message of package carrier into two
// situations: a card that is denied, and a session over which nothing passes. A
// stop with its reason names the member, whatever is known besides; a message
// that names no stop never makes one of the members be said.
func TestMessagesInSituations(t *testing.T) {
	const denied = `{"cmd": "AT+CPIN?", "resp": ["+CPIN: READY", "OK"]}, {"cmd": "AT+CSQ", "resp": ["+CSQ: 22,99", "OK"]},
		{"cmd": "AT+CEREG?", "resp": ["+CEREG: 0,3", "OK"]}`
	const mute = `{"cmd": "AT+CPIN?", "resp": ["+CPIN: READY", "OK"]}, {"cmd": "AT+CSQ", "resp": ["+CSQ: 22,99", "OK"]},
		{"cmd": "AT+CEREG?", "resp": ["+CEREG: 0,1", "OK"]}, {"cmd": "AT+CGPADDR=1", "resp": ["+CGPADDR: 1,\"10.21.37.13\"", "OK"]}`
	const probes = `"probes": [{"probe": "dns", "target": "carrier", "result": "timeout"}, {"probe": "tcp", "target": "third_party", "result": "timeout"},
		{"probe": "broker", "target": "own", "result": "timeout"}, {"probe": "dns", "target": "carrier", "result": "timeout"},
		{"probe": "tcp", "target": "third_party", "result": "timeout"}, {"probe": "broker", "target": "own", "result": "timeout"}],
		"counters": {"tx_bytes": 2413, "rx_bytes": 0},`
	members := map[string]diag.Code{"arrears": diag.Arrears, "quota": diag.OverQuota, "expired": diag.ExpiredOrCancelled, "admin": diag.AdminSuspended, "imei": diag.IMEILock}
	said := 0
	for _, file := range []string{"messages", "unseen", "unseen2", "unseen3", "unseen4", "unseen5", "unseen6", "unseen7", "others"} {
		data, err := os.ReadFile("../carrier/testdata/" + file + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(data), "\n") {
			part := strings.Split(line, "\t")
			if len(part) != 3 || line[0] == '#' || strings.Contains(part[0], "|") {
				continue
			}
			for name, exchange := range map[string]string{"denied": denied, "mute": mute} {
				extra := ""
				if name == "mute" {
					extra = probes
				}
				var sms []string
				for _, piece := range strings.Split(part[2], " // ") {
					text, _ := json.Marshal(piece)
					sms = append(sms, `{"from": "`+part[1]+`", "at": "2026-08-12T10:05:00+08:00", "text": `+string(text)+`}`)
				}
				cases, err := Read("case", strings.NewReader(`{"exchange": [`+exchange+`], "context": {"now": "2026-08-12T10:40:00+08:00", "clock_trusted": true, `+
					`"last_good": {"at": "2026-08-12T09:40:00+08:00"}, `+extra+`"sms": [`+strings.Join(sms, ", ")+`]}}`))
				if err != nil {
					t.Fatal(err)
				}
				d := Judge(cases[0], nil)
				said++
				if want, stop := members[part[0]]; stop {
					if d.Class != want || d.Verdict == diag.Undecided {
						t.Errorf("%s: %s (%s) %v, want %s: %s", name, d.Class, d.Verdict, d.Candidates, want, part[2])
					}
					continue
				}
				for _, c := range members {
					if d.Verdict != diag.Undecided && d.Class == c {
						t.Errorf("%s: %s (%s) by a message that names no stop: %s", name, d.Class, d.Verdict, part[2])
					}
				}
				if d.Verdict == diag.Confirmed && !slices.Contains([]diag.Code{diag.SuspendedUnspecified, diag.CarrierOutage}, d.Class) {
					t.Errorf("%s: %s confirmed: %s", name, d.Class, part[2])
				}
			}
		}
	}
	t.Logf("%d judged", said)
	if said < 900 {
		t.Errorf("only %d were judged", said)
	}
}
