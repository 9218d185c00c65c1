package journal

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
	"cellwarden/protocol"
)

var noon = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) instant.Instant {
	return instant.Instant{Mono: d, Wall: noon.Add(d), Trusted: true, Boot: "b"}
}

func book(t *testing.T) *Book {
	t.Helper()
	b, err := Open(nil, func(s string) string { return "#" + s[len(s)-2:] })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func stored(typ protocol.Type, body any) []core.Effect {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return []core.Effect{core.Store{Type: typ, Body: raw}}
}

func story(b *Book) string {
	var out []string
	for _, e := range b.Since(time.Time{}) {
		out = append(out, strings.TrimRight(strings.Join([]string{e.Kind, e.What, e.Why}, " "), " "))
	}
	return strings.Join(out, ", ")
}

// A card stops, the agent tries, a technician comes: the diary tells it in order, and
// does so after a restart.
func TestDiaryTellsTheStory(t *testing.T) {
	b := book(t)
	seen := func(d time.Duration, fact any) { b.Note(core.Observed{Fact: fact}, at(d), nil) }
	b.Note(core.Started{}, at(0), nil)
	seen(time.Minute, threegpp.ICCID{Value: "89860000000000000011"})
	b.Note(core.Tick{}, at(20*time.Minute), stored(protocol.TypeAlert, protocol.Alert{Class: "sim_absent", Verdict: "confirmed"}))
	b.Note(core.Tick{}, at(30*time.Minute), stored(protocol.TypeRecovery, protocol.Recovery{Step: "reread", Result: "no_help"}))
	b.Note(core.Did{What: "card_changed"}, at(40*time.Minute), nil)
	seen(41*time.Minute, threegpp.ICCID{Value: "89860000000000000022"})
	seen(41*time.Minute, threegpp.ICCID{Value: "89860000000000000022"})
	b.Note(core.Tick{}, at(42*time.Minute), stored(protocol.TypeClear, protocol.Clear{Class: "sim_absent", EndedBy: "recovered", LastedMS: 1_320_000}))
	want := "started, fault sim_absent confirmed, step reread no_help, deed card_changed, card, over sim_absent recovered"
	if got := story(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	again, err := Open(b.Bytes(), b.hash)
	if err != nil || story(again) != want {
		t.Errorf("after a restart: %s, %v", story(again), err)
	}
	if strings.Contains(string(b.Bytes()), "898600") {
		t.Error("a card's number is in the diary")
	}
	if got := b.Since(noon.Add(41 * time.Minute)); len(got) != 2 || got[1].Lasted != 1320 {
		t.Errorf("since 12:41: %+v", got)
	}
}

// A message says what it means, once, however often it is read from the store; nothing
// of its text or its sender is kept.
func TestMessageIsNotedOnceAndNameless(t *testing.T) {
	b := book(t)
	m := threegpp.SMS{From: "10086", At: noon, Text: "尊敬的客户13800138000，您的号码因欠费已停机，请及时充值。"}
	for range 5 {
		b.Note(core.Observed{Fact: m}, at(time.Hour), nil)
		b.Note(core.Observed{Fact: m}, at(5*time.Hour), nil)
	}
	if got := story(b); got != "message stop_arrears" {
		t.Errorf("got %s", got)
	}
	raw, err := json.Marshal(b.entries)
	if err != nil || strings.Contains(string(raw), "138") || strings.Contains(string(raw), "10086") {
		t.Errorf("%s %v", raw, err)
	}
}

// Storms and years stay within bounds.
func TestDiaryIsBounded(t *testing.T) {
	b := book(t)
	for i := range 5000 {
		b.Note(core.Did{What: []string{"moved", "bill_paid"}[i%2]}, at(time.Duration(i)*time.Second), nil)
		v := -90.0
		b.Note(core.Observed{Fact: threegpp.Signal{RSRP: &v}}, at(time.Duration(i)*time.Minute), nil)
	}
	if n := len(b.entries); n > 40 {
		t.Errorf("%d entries of a storm of two kinds in 83 minutes", n)
	}
	for i := range 20000 {
		b.Note(core.Did{What: "moved"}, at(time.Duration(i)*time.Hour), nil)
	}
	first, last := b.entries[0].Unix, b.entries[len(b.entries)-1].Unix
	if len(b.entries) > maxEntries || last-first > int64(Keep/time.Second) {
		t.Errorf("%d entries over %d days", len(b.entries), (last-first)/86400)
	}
	if len(b.levels) > maxLevels || len(b.levels) < maxLevels-1 {
		t.Errorf("%d levels of a day, want %d", len(b.levels), maxLevels)
	}
	if n := len(b.Bytes()); n > 28<<10 {
		t.Errorf("%d bytes for the flash", n)
	}
}

func TestLevelsAreMeans(t *testing.T) {
	b := book(t)
	for i, v := range []float64{-90, -100, -80} {
		s := 10 + float64(i)
		b.Note(core.Observed{Fact: threegpp.Signal{RSRP: &v, SINR: &s}}, at(time.Duration(i)*time.Minute), nil)
	}
	b.Note(core.Observed{Fact: threegpp.Signal{NotKnown: true}}, at(6*time.Minute), nil)
	got := b.Levels()
	if len(got) != 1 || got[0].RSRP != -90 || got[0].SINR != 11 || got[0].Unix != noon.Unix() {
		t.Errorf("%+v", got)
	}
	again, err := Open(b.Bytes(), b.hash)
	if err != nil || len(again.Levels()) != 1 || again.Levels()[0] != got[0] || math.IsNaN(again.Levels()[0].SINR) {
		t.Errorf("after a restart %+v %v", again.Levels(), err)
	}
}

func FuzzOpen(f *testing.F) {
	b := &Book{entries: []Entry{{Unix: 1, Kind: Fault, What: "arrears"}}}
	f.Add(b.Bytes())
	f.Add([]byte("junk"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Open(data, func(s string) string { return s })
		if b == nil || len(b.entries) > maxEntries || len(b.levels) > maxLevels {
			t.Fatalf("%+v %v", b, err)
		}
		b.Note(core.Did{What: "moved"}, at(0), nil)
		if _, err := Open(b.Bytes(), b.hash); err != nil {
			t.Fatal(err)
		}
	})
}
