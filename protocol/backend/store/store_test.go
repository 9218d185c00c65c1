package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"
	"pgregory.net/rapid"
)

var began = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

// databases gives a fresh store of each kind. PostgreSQL is started once.
func databases(t *testing.T) map[string]func(t *testing.T) *Store {
	url, _ := backendtest.Postgres(t, false)
	n := 0
	open := func(t *testing.T, where string) *Store {
		s, err := Open(t.Context(), where)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	return map[string]func(t *testing.T) *Store{
		"sqlite": func(t *testing.T) *Store { return open(t, "sqlite:"+t.TempDir()+"/cw.db") },
		"postgres": func(t *testing.T) *Store {
			n++
			name := fmt.Sprintf("t%d", n)
			admin := open(t, url)
			if _, err := admin.DB.Exec("CREATE DATABASE " + name); err != nil {
				t.Fatal(err)
			}
			return open(t, strings.Replace(url, "/postgres?", "/"+name+"?", 1))
		},
	}
}

func forBoth(t *testing.T, test func(t *testing.T, s *Store)) {
	for name, open := range databases(t) {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// msg is one message of a device, as the receiver hands it over.
func msg(t testing.TB, dev, ep string, seq uint64, typ protocol.Type, body any) Message {
	t.Helper()
	raw, err := protocol.NewBody(body)
	if err != nil {
		t.Fatal(err)
	}
	at := began.Add(time.Duration(seq) * time.Second)
	if ep > "5" { // a later store
		at = at.Add(24 * time.Hour)
	}
	e := &protocol.Envelope{V: 1, Device: dev, Epoch: ep, Seq: seq, Type: typ, Body: raw,
		At: protocol.Time{Wall: at.Format(time.RFC3339), Trusted: true, Boot: "1f2e3d4c", MonoMS: int64(seq) * 1000}}
	decoded, err := e.DecodeBody()
	if err != nil {
		t.Fatal(err)
	}
	return Message{Tenant: "cw", Device: dev, Arrived: time.Now().UnixMilli(), Envelope: e, Body: decoded}
}

func since(seq uint64) protocol.Time {
	return protocol.Time{Wall: began.Add(time.Duration(seq) * time.Second).Format(time.RFC3339), Trusted: true, Boot: "1f2e3d4c", MonoMS: int64(seq)}
}

// life is a stream of a device in two stores: faults that come, change and go, with
// one clear lost, a blind agent, states, sales and a gap.
func life(t testing.TB, dev string) []Message {
	var list []Message
	for day, ep := range []string{"11111111", "99999999"} {
		seq := uint64(0)
		since := func(seq uint64) protocol.Time { return since(uint64(day*86400) + seq) }
		add := func(typ protocol.Type, body any) {
			seq++
			list = append(list, msg(t, dev, ep, seq, typ, body))
		}
		alert := func(id, class, verdict string, from uint64) {
			add(protocol.TypeAlert, protocol.Alert{Incident: id + ep, Class: class, Verdict: verdict, Since: since(from), Act: &protocol.Action{Who: "owner", Code: class}})
		}
		over := func(id, class, by, next string, from uint64) {
			add(protocol.TypeClear, protocol.Clear{Incident: id + ep, Class: class, Since: since(from), EndedBy: by, FollowsTo: next})
		}
		add(protocol.TypeInventory, protocol.Inventory{Why: "start", IDs: "none", Agent: "1.0.0"})
		for i := range 20 {
			add(protocol.TypeState, protocol.State{Class: "healthy", Verdict: "healthy", UsedBytes: uint64(i) * 1000, QuotaBytes: 30000})
			add(protocol.TypeEvent, protocol.MachineEvent{Name: "sale", Data: json.RawMessage(`{"note":"\u0000 <b>售</b> '; DROP TABLE device;--"}`)})
		}
		alert("a", "weak_signal", "likely", seq)
		alert("a", "weak_signal", "confirmed", seq-1)
		over("a", "weak_signal", "recovered", "", seq-2)
		alert("b", "suspended_unspecified", "likely", seq)
		over("b", "suspended_unspecified", "refined", "over_quota", seq-1)
		alert("b", "over_quota", "confirmed", seq-2)
		// its clear is lost: the next fault ends it
		add(protocol.TypeGap, protocol.Gap{Priority: "alert", Count: 1, FirstSeq: seq, LastSeq: seq, Reason: "damaged"})
		add(protocol.TypeBlind, protocol.Blind{Incident: "x" + ep, Why: protocol.BlindPortHeld, Since: since(seq)})
		add(protocol.TypeBlind, protocol.Blind{Incident: "x" + ep, Why: protocol.BlindPortHeld, Since: since(seq), Over: true})
		alert("c", "sim_absent", "confirmed", seq)
		over("c", "sim_absent", "reseated", "", seq-1)
		// no incident, as the first devices sent it; it stands
		add(protocol.TypeAlert, protocol.Alert{Class: "weak_signal", Verdict: "likely", Since: since(seq)})
	}
	return list
}

// dump is all that does not depend on when things arrived.
func dump(t testing.TB, s *Store) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for name, q := range map[string]string{
		"event":  `SELECT dev, ep, seq, type, at, body FROM event JOIN device ON id = device ORDER BY dev, ep, seq`,
		"state":  `SELECT dev, seq, at, class, used, quota FROM state JOIN device ON id = device ORDER BY dev, at, seq`,
		"stream": `SELECT dev, ep, CAST(seen AS text), floor, newest, gaps, alert_seq, blind_seq FROM stream JOIN device ON id = device ORDER BY dev, ep`,
		"now":    `SELECT dev, state_ep, state_seq, class, used, state, inv_ep, inv_seq, boot FROM device_now JOIN device ON id = device ORDER BY dev`,
		"alert": `SELECT dev, source, key, incident, class, verdict, who, act, ep, first_seq, last_seq, clear_seq, opened, changed, coalesce(closed, 0), ended_by, next
			FROM alert JOIN device ON device.id = device ORDER BY dev, source, key`,
	} {
		rows, err := s.DB.Query(q)
		if err != nil {
			t.Fatal(err)
		}
		cols, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		err = scan(rows, func(r *sql.Rows) error {
			texts, into := make([]sql.NullString, len(cols)), make([]any, len(cols))
			for i := range texts {
				into[i] = &texts[i]
			}
			if err := r.Scan(into...); err != nil {
				return err
			}
			line := ""
			for _, x := range texts {
				line += x.String + "|"
			}
			out[name] = append(out[name], line)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// However a stream is shuffled, doubled and packed, and whichever of two receivers
// takes which part at the same time, the tables are the same.
func TestOrderOfArrivalMakesNoDifference(t *testing.T) {
	forBoth := databases(t)
	var list []Message
	for _, dev := range []string{"cw-1", "cw-2", "cw-3"} {
		list = append(list, life(t, dev)...)
	}
	for name, open := range forBoth {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for i := range list {
				if _, err := s.Ingest(t.Context(), list[i:i+1]); err != nil {
					t.Fatal(err)
				}
			}
			want := dump(t, s)
			if n := len(want["alert"]); n != 3*2*6 {
				t.Fatalf("%d alerts, want 6 a store\n%s", n, strings.Join(want["alert"], "\n"))
			}
			open1 := 0
			for _, line := range want["alert"] {
				if strings.Contains(line, "|0|||") {
					open1++
				}
			}
			if open1 != 3 {
				t.Errorf("%d alerts stand, want 1 a device\n%s", open1, strings.Join(want["alert"], "\n"))
			}
			for round := range 8 {
				rnd := rand.New(rand.NewPCG(uint64(round), 7))
				other := open(t)
				pile := append(slices.Clone(list), list...)
				rnd.Shuffle(len(pile), func(i, j int) { pile[i], pile[j] = pile[j], pile[i] })
				var wg sync.WaitGroup
				half := len(pile) / 2
				for r, part := range [][]Message{pile[:half], pile[half:]} {
					wg.Add(1)
					rnd := rand.New(rand.NewPCG(uint64(round), uint64(r)))
					go func() {
						defer wg.Done()
						for len(part) > 0 {
							n := min(1+rnd.IntN(60), len(part))
							if _, err := other.Ingest(context.Background(), slices.Clone(part[:n])); err != nil {
								t.Errorf("receiver %d: %v", r, err)
								return
							}
							part = part[n:]
						}
					}()
				}
				wg.Wait()
				if got := dump(t, other); !reflect.DeepEqual(got, want) {
					for table := range want {
						for i, line := range want[table] {
							if i >= len(got[table]) || got[table][i] != line {
								t.Fatalf("round %d, %s has %d rows, want %d; the first that differs:\n%v\nwant\n%s", round, table, len(got[table]), len(want[table]), at(got[table], i), line)
							}
						}
					}
					t.Fatal("tables differ")
				}
			}
		})
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(nothing)"
}

// Ranges say of every number whether it came, as a set would.
func TestSeenIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := map[uint64]bool{}
		var s Seen
		for _, n := range rapid.SliceOf(rapid.Uint64Range(1, 60)).Draw(t, "seqs") {
			if s.Add(n) == set[n] {
				t.Fatalf("Add(%d) after %s", n, s)
			}
			set[n] = true
			again, err := ParseSeen(s.String())
			if err != nil || !reflect.DeepEqual(again.spans, s.spans) {
				t.Fatalf("%s reads as %s, %v", s, again, err)
			}
		}
		if int(s.Count()) != len(set) {
			t.Fatalf("%s has %d, want %d", s, s.Count(), len(set))
		}
	})
}

// A device that sends odd numbers only costs a bounded row, and what it sends later
// for a closed hole is counted as late, not taken for new.
func TestOddNumbersAreBounded(t *testing.T) {
	var s Seen
	for n := uint64(1); n < 4*MaxRanges; n += 2 {
		s.Add(n)
	}
	if len(s.spans) > MaxRanges || s.Floor == 0 || len(s.String()) > 60_000 {
		t.Fatalf("%d ranges, floor %d, %d bytes", len(s.spans), s.Floor, len(s.String()))
	}
	if s.Add(2) {
		t.Error("a number below the floor is new")
	}
}

func TestAlertsAreToldOnce(t *testing.T) {
	forBoth(t, func(t *testing.T, s *Store) {
		if _, err := s.DB.Exec("INSERT INTO endpoint (tenant, url) VALUES ('cw', 'https://example.org/hook')"); err != nil {
			t.Fatal(err)
		}
		stream := life(t, "cw-1")
		told := func() (types []string) {
			rows, err := s.Query(t.Context(), "SELECT type FROM outbox ORDER BY n")
			if err != nil {
				t.Fatal(err)
			}
			if err := scan(rows, func(r *sql.Rows) error {
				var x string
				types = append(types, "")
				_ = x
				return r.Scan(&types[len(types)-1])
			}); err != nil {
				t.Fatal(err)
			}
			return types
		}
		for _, m := range append(slices.Clone(stream[:len(stream)/2]), stream[:len(stream)/2]...) {
			if _, err := s.Ingest(t.Context(), []Message{m}); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{
			"alert.raised", "alert.changed", "alert.cleared", // weak signal: likely, confirmed, over
			"alert.raised", "alert.changed", // suspended, known more exactly as over quota
			"alert.raised", "alert.cleared", // the agent was blind
			"alert.cleared", "alert.raised", // another fault: the clear was lost
			"alert.cleared", "alert.raised",
		}
		if got := told(); !reflect.DeepEqual(got, want) {
			t.Errorf("told %v\nwant %v", got, want)
		}
		// A fault that came and went while the line was down is history, no news.
		var old []Message
		for _, m := range stream[:len(stream)/2-1] {
			n := m
			e := *m.Envelope
			e.Device, n.Device, n.Envelope = "cw-2", "cw-2", &e
			old = append(old, n)
		}
		before := len(told())
		if _, err := s.Ingest(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if got := told()[before:]; len(got) != 0 {
			t.Errorf("a backlog whose faults are over told %v", got)
		}
	})
}
