package modem

import (
	"strings"
	"testing"

	"cellwarden/modem/at"
	"cellwarden/modem/modemtest"
	"cellwarden/modem/profile"
	"cellwarden/modem/threegpp"
)

// deleted lists what was sent to delete messages.
func deleted(rec *Recorder) string {
	records, _ := rec.Records()
	var sent []string
	for _, r := range records {
		if r.Kind == at.Sent && strings.Contains(r.Line, "+CMGD") {
			sent = append(sent, r.Line)
		}
	}
	return strings.Join(sent, " ")
}

// A message goes only while it is the one that was read: not after another
// program has deleted it and the place has a newer one, which nobody has read.
func TestDeleteOnlyWhatWasRead(t *testing.T) {
	const two = ec20 + "-- script --\n0s sms from=10086 at=2026-01-27T09:00:00+08:00 text=您的流量已用完\n0s sms from=10086 at=2026-01-28T09:00:00+08:00 text=您的流量已用完\n"
	rec := NewRecorder()
	playRecorded(t, scenario(t, two), rec, func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
		stored := facts[threegpp.SMS](m.Ask(t.Context(), SMS))
		if len(stored) != 2 || stored[0].Index != 1 {
			t.Fatalf("stored %+v", stored)
		}
		newer := stored[0]
		newer.At = stored[1].At // another text at the same place, as far as the caller knows
		if a := m.DeleteSMS(t.Context(), newer); deleted(rec) != "" || len(a) != 1 || a[0].Command != "AT+CMGR=1" {
			t.Errorf("sent %q, answers %+v", deleted(rec), a)
		}
		if a := m.DeleteSMS(t.Context(), stored[0]); deleted(rec) != "AT+CMGD=1" || !a[len(a)-1].Accepted() {
			t.Errorf("sent %q, answers %+v", deleted(rec), a)
		}
		m.DeleteSMS(t.Context(), stored[0]) // it is gone: nothing to delete
		if got := deleted(rec); got != "AT+CMGD=1" {
			t.Errorf("sent %q", got)
		}
		if left := facts[threegpp.SMS](m.Ask(t.Context(), SMS)); len(left) != 1 || left[0].Index != 2 {
			t.Errorf("left %+v", left)
		}
	})
}

// Whatever the family: settings, all questions, a message read and one sent leave
// the store as it is.
func TestNoFamilyTouchesTheStore(t *testing.T) {
	set, err := profile.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range set.All() {
		id := Identity{Manufacturer: "Nobody", Model: "N1"}
		if len(p.Examples) > 0 {
			id = p.Examples[0]
		}
		rec := NewRecorder()
		sc := scenario(t, "full\n-- device --\nmanufacturer "+id.Manufacturer+"\nmodel "+id.Model+"\n-- modem --\nreg home\n-- script --\n0s sms from=10086 text=您的流量已用完\n")
		playRecorded(t, sc, rec, func(t *testing.T, m *Modem, _ *modemtest.PipePort) {
			if m.Profile().Name != p.Name {
				t.Fatalf("profile %s, want %s", m.Profile().Name, p.Name)
			}
			if _, err := m.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, q := range profile.Queries {
				m.Ask(t.Context(), q)
			}
			m.ReadSMS(t.Context(), 1)
			if a := m.SendSMS(t.Context(), "10086", "cxll"); !a[0].Accepted() {
				t.Errorf("%s: our own message: %+v", p.Name, a)
			}
			if left := facts[threegpp.SMS](m.Ask(t.Context(), SMS)); len(left) != 1 {
				t.Errorf("%s: left %+v", p.Name, left)
			}
		})
		records, _ := rec.Records()
		for _, r := range records {
			if r.Kind == at.Sent && (strings.Contains(r.Line, "+CMGD") || strings.Contains(r.Line, "+CMGW")) {
				t.Errorf("%s: sent %s", p.Name, r.Line)
			}
		}
	}
}
