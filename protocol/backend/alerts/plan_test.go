package alerts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol/backend/store"
)

var t0 = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// world carries plans out in memory, as worker.go does in the database.
type world struct {
	now      time.Time
	groups   []Group
	standing []Member
	told     []string
}

func (w *world) run(until time.Duration) {
	for ; w.now.Before(t0.Add(until)); w.now = w.now.Add(5 * time.Second) {
		for _, s := range Plan(w.now, w.groups, w.standing) {
			at := w.now.Sub(t0).String()
			switch s.Do {
			case Open:
				w.groups = append(w.groups, Group{ID: int64(len(w.told) + len(w.groups) + 1), Key: s.Key, Tenant: s.Tenant, Due: w.now.Add(Wait)})
			case Tell:
				w.told = append(w.told, fmt.Sprintf("%s %s %s %d", at, s.Event, s.Key, len(s.Members)))
				w.change(s, func(g *Group) { g.Due, g.SentAt, g.Sent = w.now.Add(Interval), w.now, IDs(s.Members) }, s.Event == "group.cleared")
			case Look:
				w.change(s, func(g *Group) { g.Due = w.now.Add(Interval) }, false)
			case Close:
				w.change(s, func(*Group) {}, true)
			case Escalate:
				w.told = append(w.told, fmt.Sprintf("%s escalated %d %s %.0f", at, s.Level, s.Alert.Device, s.Lost))
				for i := range w.standing {
					if w.standing[i].ID == s.Alert.ID {
						w.standing[i].Escalated = s.Level
					}
				}
			}
		}
	}
}

func (w *world) change(s Step, do func(*Group), remove bool) {
	for i := range w.groups {
		if w.groups[i].ID == s.Group {
			do(&w.groups[i])
			if remove {
				w.groups = append(w.groups[:i], w.groups[i+1:]...)
			}
			return
		}
	}
}

func (w *world) raise(id int64, class, who string) *Member {
	w.standing = append(w.standing, Member{ID: id, Device: fmt.Sprint("cw-", id), Tenant: "cw", Class: class, Who: who, Opened: w.now})
	return &w.standing[len(w.standing)-1]
}

func check(t *testing.T, w *world, want ...string) {
	t.Helper()
	if strings.Join(w.told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(w.told, "\n"), strings.Join(want, "\n"))
	}
}

// Twelve cards of one pool stop within half a minute: one message. Two more a minute
// later: one more message after five minutes. Nothing new: a reminder after half a day.
// All back: one message.
func TestManyFaultsAreOneMessage(t *testing.T) {
	w := &world{now: t0}
	for i := range 12 {
		w.run(time.Duration(i) * 2 * time.Second)
		w.raise(int64(i+1), "over_quota", "owner")
	}
	w.run(90 * time.Second)
	w.raise(13, "over_quota", "owner")
	w.raise(14, "over_quota", "owner")
	w.run(20 * time.Hour)
	w.standing = nil
	w.run(21 * time.Hour)
	check(t, w, "30s group.raised over_quota/owner 12", "5m30s group.changed over_quota/owner 14", "12h5m30s group.changed over_quota/owner 14",
		"20h0m30s group.cleared over_quota/owner 0")
	if len(w.groups) != 0 {
		t.Errorf("%d groups are left open", len(w.groups))
	}
}

// What nobody must do anything about, what comes and goes and what is muted is shown
// and not told; what goes within the wait is not told either.
func TestWhatIsNotTold(t *testing.T) {
	w := &world{now: t0}
	w.raise(1, "carrier_outage", "nobody")
	w.raise(2, "weak_signal", "technician").Unstable = true
	w.raise(3, "sim_absent", "technician").Muted = true
	w.raise(4, "congestion", "operator")
	w.run(20 * time.Second)
	w.standing = w.standing[:3]
	w.run(24 * time.Hour)
	check(t, w)
}

// Who pays and who drives get messages of their own.
func TestWhoActsGetsTheMessage(t *testing.T) {
	w := &world{now: t0}
	w.raise(1, "arrears", "owner")
	w.raise(2, "sim_absent", "technician")
	w.run(time.Minute)
	check(t, w, "30s group.raised arrears/owner 1", "30s group.raised sim_absent/technician 1")
}

// A machine that sells for 32 an hour is told again when it has lost 50, 200 and 1000,
// a quiet one is not, and one that somebody took on is not.
func TestMoneyMakesItLouder(t *testing.T) {
	w := &world{now: t0}
	w.raise(1, "modem_fault", "technician").SalesPH = 32
	w.raise(2, "modem_fault", "technician").SalesPH = 0.1
	w.raise(3, "modem_fault", "technician").SalesPH = 32
	w.standing[2].Acked = true
	w.run(11 * time.Hour)
	check(t, w, "30s group.raised modem_fault/technician 3", "1h33m45s escalated 1 cw-1 50", "6h15m0s escalated 2 cw-1 200")
}

// The same, through a database: one group, its members, an event for the webhook.
func TestGroupsInTheDatabase(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir()+"/cw.db")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's
	now := t0
	s.SetClock(func() time.Time { return now })
	for _, q := range []string{
		"INSERT INTO endpoint (tenant, url, types) VALUES ('cw', 'https://example.org', 'group.*')",
		"INSERT INTO device (id, tenant, dev, created, sales_per_h) VALUES (1, 'cw', 'a', 0, 10), (2, 'cw', 'b', 0, 20)",
	} {
		if _, err := s.DB.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	err = s.Tx(t.Context(), func(tx *store.Tx) error {
		for id := range int64(2) {
			if err := tx.Raise(t.Context(), store.Own{Device: id + 1, Source: "silence", Incident: "i", Class: "silent", Verdict: "likely", Who: "technician", Since: now.UnixMilli()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	look := func(after time.Duration) (n int) {
		now = t0.Add(after)
		n, err := Once(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := look(0) + look(20*time.Second); n != 0 {
		t.Errorf("%d events within the wait", n)
	}
	if n := look(31 * time.Second); n != 1 {
		t.Fatalf("%d events, want one group.raised", n)
	}
	err = s.Tx(t.Context(), func(tx *store.Tx) error {
		return tx.Clear(t.Context(), store.Own{Device: 1, Source: "silence", Class: "silent"}, "recovered")
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := look(6 * time.Minute); n != 1 {
		t.Fatalf("%d events, want one group.changed", n)
	}
	rows, err := s.DB.Query("SELECT type, body FROM outbox ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // only read
	var told []string
	for rows.Next() {
		var typ, body string
		if err := rows.Scan(&typ, &body); err != nil {
			t.Fatal(err)
		}
		told = append(told, typ+fmt.Sprint(strings.Contains(body, `"lost_per_h":30`), strings.Contains(body, `"gone":1`)))
	}
	if got := strings.Join(told, " "); got != "group.raisedtrue false group.changedfalse true" {
		t.Errorf("told %s", got)
	}
	// Exactly one row of a class may be open, whoever writes it.
	_, err = s.DB.Exec(`INSERT INTO alert (tenant, device, source, key, incident, class, verdict, who, act, resumes, unstable, ep, first_seq, last_seq, clear_seq, opened, changed, ended_by, next)
		VALUES ('cw', 2, 'silence', 'other', '', 'silent', '', '', '', '', false, '', 0, 0, 0, 0, 0, '', '')`)
	if !store.Poison(err) {
		t.Errorf("a second open row of the class: %v", err)
	}
}
