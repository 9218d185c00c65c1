package core

import (
	"strings"
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/agent/remedy"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

const owner, stranger = "+8613800000000", "+8613900000000"

type smsStand struct {
	t    *testing.T
	c    *Core
	at   instant.Instant
	sent []Remedy
}

func newSMSStand(t *testing.T) *smsStand {
	t.Helper()
	s := &smsStand{t: t, at: instant.Instant{Boot: "b", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}}
	var err error
	s.c, err = New(Options{Device: "vm-1", Salt: "s", Poll: time.Minute, SlowPoll: time.Hour, LinkPoll: time.Minute, ReportEvery: 24 * time.Hour,
		ProbeEvery: 24 * time.Hour, HasModem: true, Steps: []remedy.Step{stepSMS, StepRadioCycle},
		SMS: SMSOptions{To: owner, From: []string{owner}, Code: "k7m2q9"}}, s.at, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.step(PortState{At: At{s.at}, State: "ok"})
	s.step(Observed{At: At{s.at}, Source: "at:+CEREG", Fact: threegpp.Registration{Domain: threegpp.EPS, Stat: threegpp.RegHome, ActiveTimeS: -1}})
	return s
}

func (s *smsStand) step(e Event) {
	for _, x := range s.c.Step(e) {
		if r, ok := x.(Remedy); ok {
			s.sent = append(s.sent, r)
			s.step(RemedyDone{At: At{s.at}, Step: r.Step, Result: remedy.Done})
		}
	}
}

func (s *smsStand) pass(d time.Duration) {
	for end := s.at.Mono + d; s.at.Mono < end; {
		s.at.Mono, s.at.Wall = s.at.Mono+time.Minute, s.at.Wall.Add(time.Minute)
		s.step(Tick{At{s.at}})
	}
}

func (s *smsStand) message(from, text string) {
	s.step(Observed{At: At{s.at}, Source: "at:+CMGR", Fact: threegpp.SMS{From: from, At: s.at.Wall, Text: text, Index: 1}})
}

// The data is stopped, the broker is out of reach, the card can still send: the owner is
// told once, in words that his backend reads.
func TestFaultIsToldOnceByMessageWhenNothingElseGetsOut(t *testing.T) {
	s := newSMSStand(t)
	refused := threegpp.Reject{Cause: threegpp.RejectCause{Protocol: threegpp.ESM, Number: 33}, Procedure: "session", Source: "+CME ERROR"}
	for _, f := range []any{threegpp.SIM{State: threegpp.SIMReady}, threegpp.ContextState{CID: 1}, refused} {
		s.step(Observed{At: At{s.at}, Source: "at:+CGACT", Fact: f, Unsolicited: true})
	}
	s.pass(smsAfter - time.Minute)
	if len(s.sent) != 0 {
		t.Fatalf("a message after nine minutes: %+v", s.sent)
	}
	s.pass(5 * time.Minute)
	if s.c.standing == nil {
		t.Fatalf("no fault stands: %+v", s.c.diag)
	}
	class := string(s.c.standing.Class)
	s.pass(3 * time.Hour)
	texts := []string{}
	for _, r := range s.sent {
		if r.Step == stepSMS {
			texts = append(texts, r.Text)
		}
	}
	if len(texts) != 1 || s.sent[0].To != owner {
		t.Fatalf("messages %v, want one to the owner", texts)
	}
	short, err := protocol.ParseShort(texts[0])
	if err != nil || short.Class != class || short.Device != "vm-1" {
		t.Errorf("%q reads as %+v, %v", texts[0], short, err)
	}
}

func TestMessageAsksForAReportWithTheCodeOnly(t *testing.T) {
	s := newSMSStand(t)
	reports := func() (n int) {
		for _, r := range s.sent {
			if r.Step == stepSMS {
				n++
			}
		}
		return n
	}
	s.message(stranger, "CW k7m2q9 report")
	s.message(owner, "CW wrong1 report")
	s.message(owner, "call me")
	if reports() != 0 {
		t.Fatalf("a stranger, or a wrong code, got a report: %+v", s.sent)
	}
	s.message("13800000000", "cw k7m2q9 report") // the network leaves the country's code away
	if reports() != 1 {
		t.Fatalf("%d reports for the owner's message", reports())
	}
	s.message("13800000000", "cw k7m2q9 report") // read again from the store
	if reports() != 1 {
		t.Errorf("a message that is read again counts again")
	}
	old := s.at
	old.Wall = old.Wall.Add(-time.Hour)
	s.step(Observed{At: At{s.at}, Source: "at:+CMGR", Fact: threegpp.SMS{From: owner, At: old.Wall, Text: "CW k7m2q9 report"}})
	if reports() != 1 {
		t.Errorf("a message of an hour ago was obeyed")
	}
	for i := range 20 {
		s.pass(time.Minute)
		s.message(owner, "CW k7m2q9 report"+strings.Repeat(" ", i))
	}
	if reports() > 10 {
		t.Errorf("%d messages within a month, at most 10", reports())
	}
}

func TestWhoGuessesCodesIsNotHeardForADay(t *testing.T) {
	s := newSMSStand(t)
	for _, code := range []string{"000001", "000002", "000003"} {
		s.message(owner, "CW "+code+" report")
	}
	s.pass(2 * time.Minute)
	s.message(owner, "CW k7m2q9 report")
	if len(s.sent) != 0 {
		t.Errorf("heard after three wrong codes: %+v", s.sent)
	}
}
