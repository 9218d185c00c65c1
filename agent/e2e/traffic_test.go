package e2e

import (
	"regexp"
	"strings"
	"testing"
)

// identity is a run of digits as long as an IMSI, IMEI or ICCID.
var identity = regexp.MustCompile(`[0-9A-F]{14,}`)

// log.level = "debug" shows the modem's traffic: commands, answers, unsolicited
// lines and what was dropped, without numbers and message texts; "info" shows none.
func TestModemTrafficInTheLog(t *testing.T) {
	t.Parallel()
	for level, shown := range map[string]bool{"debug": true, "info": false} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			modem := newModem(t, "healthy-quectel")
			m := newMachine(t, nil, plain(modem.port)+"\n[log]\nlevel = \""+level+"\"\n")
			m.start()
			until(t, "the card's number", patient, func() bool {
				s := m.status()
				return s.Network.Registration == "home" && s.SIM.ICCID != ""
			})
			modem.do("sms from=10086 text=您的流量已用完")
			until(t, "the message", patient, func() bool {
				log := m.log.String()
				return !shown || strings.Contains(log, `line="+CMGR:`) && strings.Contains(log, `line="+CMTI:`)
			})
			log := m.log.String()
			for _, line := range []string{`kind=> line=AT+CPIN?`, `kind=< line="+CPIN: READY"`, `kind=> line=AT+CIMI`, `kind=< line=46000…(15)`, `kind=! line="+CMTI: \"SM\",`} {
				if strings.Contains(log, line) != shown {
					t.Errorf("%s at level %s: %v\n%s", line, level, !shown, log)
				}
			}
			if found := identity.FindString(strings.ReplaceAll(log, t.Name(), "")); found != "" {
				t.Errorf("an identity is in the log: %s", found)
			}
		})
	}
}
