package agent

import (
	"io"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/outbox"
	"cellwarden/agent/uplink"
	"cellwarden/protocol"
)

// What a report counts, the shell tells: what waits, what was dropped, what the
// agent's own session took today.
func TestAReportCountsWhatWaits(t *testing.T) {
	q := openQueue(t, t.TempDir(), outbox.Options{CapBytes: 128 << 10, SegmentBytes: 4 << 10})
	l := &loop{hw: bareHardware(trustedNow), queue: q, budget: newBudget(1000, nil, func([]byte) error { return nil })}
	if n, counts := l.tally(); n != 0 || len(counts) != 0 {
		t.Errorf("at the start %d, %v", n, counts)
	}
	body := `{"name":"x","data":"` + strings.Repeat("x", 500) + `"}`
	for q.box.Stats().Evicted == 0 {
		q.must(t, protocol.TypeState, core.State, trustedNow(), body)
		if err := q.commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.budget.spend(777, trustedNow()); err != nil {
		t.Fatal(err)
	}
	n, counts := l.tally()
	if want := map[string]int{"dropped": int(q.box.Stats().Evicted), "air": 777}; n != q.box.Len() || n == 0 || !maps.Equal(counts, want) {
		t.Errorf("%d waiting, %v, want %v", n, counts, want)
	}
}

// The end of the device's certificate is shown on the spot and told to the
// backend; a renewed one takes the trouble away.
func TestCertificateExpiryIsTold(t *testing.T) {
	q := openQueue(t, t.TempDir(), outbox.Options{})
	l := &loop{hw: bareHardware(trustedNow), log: slog.New(slog.NewTextHandler(io.Discard, nil)), events: make(chan core.Event, 8),
		queue: q, troubles: troubles{}, commitEvery: time.Second}
	handle := func(e uplink.Event) {
		t.Helper()
		l.fromUplink(e, nil)
		for len(l.events) > 0 {
			l.take(<-l.events)
		}
	}
	handle(uplink.CertExpiring{DaysLeft: 12})
	if tr := l.troubles["cert"]; tr.Key != "cert_expiring" || len(tr.Args) != 1 || tr.Args[0] != "12" {
		t.Errorf("%+v", l.troubles)
	}
	if err := q.commit(); err != nil {
		t.Fatal(err)
	}
	items := q.Take(4, 1<<16)
	if len(items) != 1 || items[0].Type != protocol.TypeWarning {
		t.Fatalf("%+v", items)
	}
	env, err := protocol.UnmarshalEnvelope(items[0].Payload)
	if err != nil || string(env.Body) != `{"kind":"certificate","used_bytes":0,"days":12}` {
		t.Errorf("%v %s", err, env.Body)
	}
	handle(uplink.CertRenewed{})
	if len(l.troubles) > 0 {
		t.Errorf("%+v", l.troubles)
	}
}
