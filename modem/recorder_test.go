package modem

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/modem/at"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/threegpp"
)

// A recorded fault, played back, gives the same facts: that is what makes a
// field fault a test.
func TestExportPlaysBack(t *testing.T) {
	rec := NewRecorder()
	var who Identity
	ask := []Query{SIM, Registration, Operator, Attach}
	run := func(t *testing.T, sc *modemtest.Scenario, rec *Recorder, wait time.Duration) []string {
		var got []string
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			p := modemtest.Pipe(ctx, sc, modemtest.NewClock(1))
			m, err := Open(ctx, Spec{Opener: func(context.Context) (io.ReadWriteCloser, error) { return p, nil }, Recorder: rec})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			who = m.Identity()
			if _, err := m.Init(ctx); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for _, q := range ask {
					for _, a := range m.Ask(ctx, q) {
						for _, f := range a.Facts {
							got = append(got, fmt.Sprintf("%s: %s", q, f))
						}
					}
				}
				time.Sleep(wait)
			}
			synctest.Wait()
			for range len(m.Unsolicited()) {
				got = append(got, "event: "+(<-m.Unsolicited()).Line)
			}
		})
		return got
	}
	first := run(t, scenario(t, ec20+"-- script --\n20s reg denied cause=7\n20s urc +CGEV: NW DETACH\n"), rec, 30*time.Second)
	if !strings.Contains(strings.Join(first, "\n"), "NW DETACH") {
		t.Fatalf("nothing to record: %q", first)
	}

	t.Run("as a scenario", func(t *testing.T) {
		text := rec.Scenario("recorded in the field", who)
		sc, err := modemtest.Parse("export", text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		again := run(t, sc, nil, 30*time.Second)
		if strings.Join(again, "\n") != strings.Join(first, "\n") {
			t.Errorf("played back\n%s\nrecorded\n%s\nfrom\n%s", strings.Join(again, "\n"), strings.Join(first, "\n"), text)
		}
	})
	t.Run("as a case", func(t *testing.T) {
		text, err := rec.Case("field-1", who)
		if err != nil {
			t.Fatal(err)
		}
		var c struct {
			ID       string
			Vendor   string
			Exchange []struct {
				Cmd       string
				Resp, URC []string
			}
		}
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		if c.ID != "field-1" || c.Vendor != "Quectel" {
			t.Errorf("head %+v", c)
		}
		var denied, detached bool
		for _, e := range c.Exchange {
			if (e.Cmd == "") == (len(e.URC) == 0) {
				t.Errorf("neither a command nor unsolicited lines: %+v", e)
			}
			for _, f := range threegpp.Reply(e.Cmd, e.Resp) {
				r, ok := f.(threegpp.Registration)
				denied = denied || ok && r.Stat == threegpp.RegDenied
			}
			detached = detached || strings.Contains(strings.Join(e.URC, " "), "NW DETACH")
		}
		if !denied || !detached {
			t.Errorf("the case lost the fault: denied %v, detached %v", denied, detached)
		}
		if _, err := modemtest.FromCase(text); err != nil {
			t.Errorf("the simulator refuses it: %v", err)
		}
	})
}

func TestRecorderIsBounded(t *testing.T) {
	r := NewRecorder()
	for i := range 3 * recorderLines {
		r.trace(at.Received, time.Time{}, fmt.Sprintf("+X: %d", i))
	}
	kept, lost := r.Records()
	if len(kept) != recorderLines || lost != 2*recorderLines || kept[len(kept)-1].Line != fmt.Sprintf("+X: %d", 3*recorderLines-1) {
		t.Errorf("%d kept, %d lost", len(kept), lost)
	}
	r = NewRecorder()
	for range recorderLines {
		r.trace(at.Received, time.Time{}, "+CEER: "+strings.Repeat("long ", 500))
	}
	kept, _ = r.Records()
	size := 0
	for _, k := range kept {
		size += len(k.Line)
	}
	if size > recorderBytes || len(kept) < recorderBytes/recorderLine-2 {
		t.Errorf("%d lines, %d bytes", len(kept), size)
	}
}

func TestExportHoldsOddLines(t *testing.T) {
	r := NewRecorder()
	at0 := time.Unix(0, 0)
	for i, rec := range []Record{
		{Kind: at.Unasked, Line: "+CMT: ,23\n0791FAKE"},
		{Kind: at.Sent, Line: "AT"},
		{Kind: at.Received, Line: "OK"},
		{Kind: at.Sent, Line: "AT+X?"},
		{Kind: at.Received, Line: `+X: "a|b\c"	d`},
		{Kind: at.Received, Line: "OK"},
		{Kind: at.Dropped, Line: "AT+X?"},
		{Kind: at.Sent, Line: "AT+MUTE?"},
		{Kind: at.Sent, Line: "AT+MUTE?"},
		{Kind: at.Received, Line: "ERROR"},
	} {
		r.trace(rec.Kind, at0.Add(time.Duration(i)*time.Second), rec.Line)
	}
	want := "odd\n-- device --\nmodel         M\n-- modem --\n" +
		"+X? -> +X: \"a\\|b\\\\c\"\\td | OK\n+MUTE? -> silence\n-- script --\n" +
		"0s urc +CMT: ,23\n0s urc 0791FAKE\n8s +MUTE? -> ERROR\n"
	got := string(r.Scenario("odd", Identity{Model: "M"}))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := modemtest.Parse("odd", []byte(got)); err != nil {
		t.Error(err)
	}
}
