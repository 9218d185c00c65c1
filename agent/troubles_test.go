package agent

import (
	"testing"

	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// Readings of +CPMS? as a card of 50 places fills and is emptied.
func TestFullMessageStoreIsATrouble(t *testing.T) {
	tr := troubles{}
	for _, tt := range []struct {
		said string
		want string
	}{
		{`+CPMS: "SM",2,50,"SM",2,50,"SM",2,50`, ""},
		{`+CPMS: "SM",47,50,"SM",47,50,"SM",47,50`, ""},
		{`+CPMS: "SM",48,50,"SM",48,50,"SM",48,50`, "48"},
		{`+CPMS: "SM",50,50,"SM",50,50,"SM",50,50`, "50"},
		{`+CMTI: "SM",7`, "50"}, // an announcement is no reading
		{`+CPMS: "SM",12,50,"SM",12,50,"SM",12,50`, ""},
	} {
		for _, f := range append(threegpp.Reply("AT+CPMS?", []string{tt.said, "OK"}), threegpp.URC(tt.said)...) {
			if s, ok := f.(threegpp.SMSStored); ok {
				tr.messages(s, instant.Instant{})
			}
		}
		got := ""
		if x, ok := tr["messages"]; ok {
			got = x.Args[0]
			if x.Key != "sms_full" {
				t.Errorf("%s: %s", tt.said, x.Key)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.said, got, tt.want)
		}
	}
}
