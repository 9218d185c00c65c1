package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/instant"
	"cellwarden/agent/outbox"
	"cellwarden/protocol"
)

func openQueue(t testing.TB, dir string, opt outbox.Options) *queue {
	t.Helper()
	box, _, err := outbox.Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	return newQueue("cw-1", box)
}

func (q *queue) must(t testing.TB, typ protocol.Type, p core.Priority, at instant.Instant, body string) uint64 {
	t.Helper()
	seq, err := q.put(core.Store{Type: typ, Priority: p, Body: json.RawMessage(body), At: at})
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

// In 1970: a flat battery, and no network yet.
var in1970 = instant.Instant{Boot: "22222222-3333-4444-8555-666666666666", Mono: time.Minute, Wall: time.Unix(60, 0)}

func TestRecordsOf1970GetTheirTrueTime(t *testing.T) {
	dir := t.TempDir()
	q := openQueue(t, dir, outbox.Options{})
	q.must(t, protocol.TypeEvent, core.EventPriority, in1970, `{"name":"sale"}`)
	if err := q.commit(); err != nil {
		t.Fatal(err)
	}
	sent := func(q *queue) protocol.Time {
		t.Helper()
		items := q.Take(8, 1<<16)
		if len(items) != 1 {
			t.Fatalf("%d items", len(items))
		}
		q.Release([]uint64{items[0].Seq})
		env, err := protocol.UnmarshalEnvelope(items[0].Payload)
		if err != nil {
			t.Fatal(err)
		}
		return env.At
	}
	if at := sent(q); at.Wall != "1970-01-01T00:01:00.000Z" || at.Trusted || at.Corrected || at.Boot != "22222222" || at.MonoMS != 60_000 {
		t.Errorf("before the time is known: %+v", at)
	}

	// An hour after the start the network tells the time, by way of the loop.
	l := &loop{queue: q, troubles: troubles{}}
	l.bootKnown(instant.Instant{Boot: in1970.Boot, Mono: time.Hour, Wall: time.Unix(3600, 0)})
	if at := sent(q); at.Corrected {
		t.Errorf("corrected by a clock that nobody vouches for: %+v", at)
	}
	l.bootKnown(instant.Instant{Boot: in1970.Boot, Mono: time.Hour, Wall: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC), Trusted: true})
	want := protocol.Time{Wall: "2026-11-22T04:01:00.000Z", Trusted: true, Boot: "22222222", MonoMS: 60_000, Corrected: true}
	if at := sent(q); at != want {
		t.Errorf("%+v, want %+v", at, want)
	}
	if len(l.troubles) > 0 {
		t.Error(l.troubles)
	}

	// It holds over a restart, also when the device has booted since.
	if err := q.box.Close(); err != nil {
		t.Fatal(err)
	}
	if at := sent(openQueue(t, dir, outbox.Options{})); at != want {
		t.Errorf("after a restart: %+v", at)
	}
}

func TestAlertsPassTheBacklog(t *testing.T) {
	q := openQueue(t, t.TempDir(), outbox.Options{})
	for i := range 3 {
		q.must(t, protocol.TypeEvent, core.EventPriority, in1970, fmt.Sprintf(`{"name":"sale","data":%d}`, i))
	}
	q.must(t, protocol.TypeAlert, core.Alert, in1970, `{"class":"sim_absent"}`)
	if err := q.commit(); err != nil {
		t.Fatal(err)
	}
	<-q.Wake()
	items := q.Take(2, 1<<16)
	if len(items) != 2 || !items[0].Urgent || items[0].Type != protocol.TypeAlert || items[1].Urgent || items[1].Seq != 1 {
		t.Errorf("%+v", items)
	}
}

// A record that is no message, by a fault of an older version, must neither be
// sent nor stand in the way, nor make the rest look like nothing.
func TestUnreadableRecordsAreSkipped(t *testing.T) {
	q := openQueue(t, t.TempDir(), outbox.Options{})
	for range 3 {
		if _, err := q.box.Append(outbox.Event, outbox.Stamp{}, []byte("event\n{\"name\":")); err != nil {
			t.Fatal(err)
		}
	}
	good := q.must(t, protocol.TypeEvent, core.EventPriority, in1970, `{"name":"sale"}`)
	if err := q.commit(); err != nil {
		t.Fatal(err)
	}
	items := q.Take(2, 1<<16)
	if len(items) != 1 || items[0].Seq != good {
		t.Fatalf("%+v", items)
	}
	q.Ack([]uint64{good})
	if n := q.box.Len(); n != 0 {
		t.Errorf("%d left", n)
	}
}

func TestGapsAreTakenOverOnlyWhenTheirReportIsDurable(t *testing.T) {
	dir := t.TempDir()
	opt := outbox.Options{CapBytes: 128 << 10, SegmentBytes: 4 << 10}
	q := openQueue(t, dir, opt)
	body := `{"name":"x","data":"` + strings.Repeat("x", 500) + `"}`
	for len(q.box.Gaps()) == 0 {
		q.must(t, protocol.TypeState, core.State, in1970, body)
		if err := q.commit(); err != nil {
			t.Fatal(err)
		}
	}
	lost := q.box.Gaps()[0]
	report := func(g outbox.Gap) (core.Store, error) {
		return core.Store{Type: protocol.TypeGap, Priority: core.EventPriority, Body: fmt.Appendf(nil, `{"count":%d}`, g.Count), At: in1970}, nil
	}

	if err := q.gaps(func(outbox.Gap) (core.Store, error) { return core.Store{}, errors.New("no") }); err == nil || len(q.box.Gaps()) != 1 {
		t.Fatalf("%v, %+v: a gap without a report was taken over", err, q.box.Gaps())
	}
	// The report is staged and its commit failed: told once, and kept.
	seq := q.must(t, protocol.TypeGap, core.EventPriority, in1970, `{}`)
	q.reports[seq] = lost
	if err := q.gaps(report); err != nil || len(q.box.Gaps()) != 1 || q.box.Staged() != 1 {
		t.Fatalf("%v, %d gaps, %d staged", err, len(q.box.Gaps()), q.box.Staged())
	}
	// The commit worked at last.
	if err := q.commit(); err != nil {
		t.Fatal(err)
	}
	if err := q.gaps(report); err != nil || len(q.box.Gaps()) != 0 || len(q.reports) != 0 {
		t.Fatalf("%v, %+v", err, q.box.Gaps())
	}
	// The ordinary way.
	for len(q.box.Gaps()) == 0 {
		q.must(t, protocol.TypeState, core.State, in1970, body)
		if err := q.commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.gaps(report); err != nil || len(q.box.Gaps()) != 0 {
		t.Fatalf("%v, %+v", err, q.box.Gaps())
	}
	if items := q.Take(8, 1<<16); len(items) < 2 || items[0].Type != protocol.TypeGap || items[1].Type != protocol.TypeGap {
		t.Errorf("the reports are not the first to go: %+v", items)
	}
}

// A message that no envelope carries is refused when it is handed in: accepted, it
// would be told durable and then dropped on its way out without a word.
func TestWhatNoEnvelopeCarriesIsNotAccepted(t *testing.T) {
	q := openQueue(t, t.TempDir(), outbox.Options{})
	for name, body := range map[string]string{
		"nested deep": `{"data":` + strings.Repeat("[", 15) + strings.Repeat("]", 15) + `}`,
		"17 KB":       `{"data":"` + strings.Repeat("x", 17<<10) + `"}`,
		"no object":   `[1]`,
		"not UTF-8":   "{\"data\":\"\xff\"}",
	} {
		_, err := q.put(core.Store{Type: protocol.TypeEvent, Priority: core.EventPriority, Body: json.RawMessage(body), At: in1970})
		if err == nil || q.box.Staged() != 0 {
			t.Errorf("%s: %v, %d staged", name, err, q.box.Staged())
		}
	}
	// The most that the local API takes: 4 KB of what HTML would have escaped.
	body, err := protocol.NewBody(protocol.MachineEvent{Name: "a", Data: json.RawMessage(`"` + strings.Repeat("<&>", 1364) + `"`)})
	if err != nil {
		t.Fatal(err)
	}
	q.must(t, protocol.TypeEvent, core.EventPriority, in1970, string(body))
	if err := q.commit(); err != nil {
		t.Fatal(err)
	}
	if items := q.Take(8, 1<<16); len(items) != 1 || !strings.Contains(string(items[0].Payload), "<&><&>") {
		t.Errorf("%d items", len(items))
	}
}
