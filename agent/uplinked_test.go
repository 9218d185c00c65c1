package agent

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/outbox"
	"cellwarden/agent/uplink"
	"cellwarden/protocol"
)

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
