package agent

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/core"
	"cellwarden/agent/instant"
	"cellwarden/agent/machine"
	"cellwarden/agent/machine/mdb"
	"cellwarden/agent/machine/vmcsim"
	"cellwarden/agent/outbox"
	"cellwarden/protocol"
)

// publishCost is what one PUBLISH and its PUBACK cost beside the payload: MQTT, TLS, TCP
// and IP headers, as the uplink counts them.
const publishCost = 220

// A day of 100 sales and two audits of 36 columns costs at most 6 KB on the air: sales
// wait for company, and an audit goes by what changed in it.
func TestASellingDayOnTheAir(t *testing.T) {
	box, _, err := outbox.Open(filepath.Join(t.TempDir(), "outbox"), outbox.Options{CapBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	now := instant.Instant{Boot: "1f2e3d4c-0000", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC), Trusted: true}
	q := newQueue("vm-000123", box)
	q.hold, q.now = config.Default.Machine.SalesWithin.Std(), func() instant.Instant { return now }
	m, err := machine.New(machine.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	board := vmcsim.NewBoard("77")
	for i := len(board.Columns); i < 36; i++ {
		board.Columns = append(board.Columns, vmcsim.Column{Name: fmt.Sprint(11 + i), Price: 150, Level: 2000})
	}
	for i := range board.Columns {
		board.Columns[i].Count, board.Columns[i].Value, board.Columns[i].Level = int64(500+40*i), int64(75_000+6000*i), 2000
	}
	step := func(ev machine.Event) {
		for _, e := range m.Step(ev) {
			if e.Send == nil {
				continue
			}
			body, err := protocol.NewBody(e.Send.Body)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := q.put(core.Store{Type: e.Send.Type, Priority: machinePriority(e.Send.Type), Body: body, At: now}); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.commit(); err != nil {
			t.Fatal(err)
		}
	}
	air, publishes, sales := 0, 0, 0
	send := func() {
		for items := q.Take(protocol.BatchItems, protocol.BatchBytes); len(items) > 0; items = q.Take(protocol.BatchItems, protocol.BatchBytes) {
			var lines [][]byte
			var seqs []uint64
			for _, i := range items {
				lines, seqs = append(lines, i.Payload), append(seqs, i.Seq)
				if i.Type == protocol.TypeSale {
					sales++
				}
			}
			payload := lines[0]
			if len(lines) > 1 {
				var b protocol.Batcher
				if payload, err = b.Encode(lines); err != nil {
					t.Fatal(err)
				}
			}
			air, publishes = air+len(payload)+publishCost, publishes+1
			q.Ack(seqs)
		}
	}
	seq := uint64(0)
	audit := func() {
		seq++
		step(machine.AuditRead{At: machine.At{Instant: now}, Seq: seq, Source: "dex", Text: []byte(board.Text())})
		send()
	}
	audit() // yesterday's: what is sent the first time goes whole
	air, publishes = 0, 0
	for i := range 100 {
		now = now.Add(9 * time.Minute)
		col := i * 7 % len(board.Columns)
		board.Sell(col, i%3 == 0)
		step(machine.Heard{At: machine.At{Instant: now}, Event: mdb.Event{Kind: mdb.Sale, Pay: []string{"cashless", "cash"}[i%2], Item: col, Price: 150, Raw: 15,
			Decimals: 2, Currency: "156"}})
		send()
		if i == 50 {
			audit()
		}
	}
	audit()
	now = now.Add(5 * time.Hour)
	send()
	if sales != 100 {
		t.Errorf("%d of 100 sales went out", sales)
	}
	if air > 6<<10 {
		t.Errorf("%d bytes on the air in %d messages, want at most %d", air, publishes, 6<<10)
	}
	t.Logf("FIGURE air: %d bytes for 100 sales and two audits of %d bytes, in %d messages", air, len(board.Text()), publishes)
}
