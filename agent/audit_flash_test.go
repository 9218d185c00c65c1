package agent

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"cellwarden/agent/core"
	"cellwarden/agent/flash"
	"cellwarden/agent/instant"
	"cellwarden/agent/machine"
	"cellwarden/agent/machine/vmcsim"
	"cellwarden/agent/outbox"
	"cellwarden/agent/worker"
	"cellwarden/protocol"
)

// pages is how much of the flash a write in place takes: whole pages, as the slots and
// the outbox were measured to cost at the block layer.
func pages(n int) int { return (n + 4095) / 4096 * 4096 }

// What one audit costs the flash, from the poll to its messages in the outbox: the time
// of the poll, the audit before its acknowledgement, two messages, the counters.
func TestFlashOfAnAudit(t *testing.T) {
	dir := t.TempDir()
	box, _, err := outbox.Open(filepath.Join(dir, "outbox"), outbox.Options{CapBytes: 2 << 20, Prealloc: true})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	files := flash.OpenStateDir(flash.OS{}, dir, "", slog.New(slog.DiscardHandler))
	defer files.Close()
	written := 0
	save := func(name string, data []byte) error {
		written += pages(len(data) + 20) // the head of a slot
		return files.Save(name, data)
	}
	file := worker.AuditFile{Save: save, Load: files.Load}
	now := instant.Instant{Boot: "1f2e3d4c", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC), Trusted: true}
	q := newQueue("vm-000123", box)
	m, err := machine.New(machine.Options{Reader: true, ReadAt: []time.Duration{2 * time.Hour}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	board := vmcsim.NewBoard("77")
	for i := len(board.Columns); i < 36; i++ {
		board.Columns = append(board.Columns, vmcsim.Column{Name: fmt.Sprint(11 + i), Price: 150, Level: 2000})
	}
	step := func(ev machine.Event) {
		for _, e := range m.Step(ev) {
			switch {
			case e.Send != nil:
				body, err := protocol.NewBody(e.Send.Body)
				if err != nil {
					t.Fatal(err)
				}
				written += pages(len(body) + 100) // a commit of its own priority begins a page
				if _, err := q.put(core.Store{Type: e.Send.Type, Priority: machinePriority(e.Send.Type), Body: body, At: now}); err != nil {
					t.Fatal(err)
				}
			case e.Persist != nil:
				if err := q.commit(); err != nil {
					t.Fatal(err)
				}
				if err := save(machineState, deflate(e.Persist)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	poll := func(seq uint64) {
		now = now.Add(24 * time.Hour)
		for i := range 60 {
			board.Sell(i*7%36, i%2 == 0)
		}
		text := []byte(board.Text())
		step(machine.ReadNow{At: machine.At{Instant: now}})
		if err := file.Keep(seq, text); err != nil {
			t.Fatal(err)
		}
		step(machine.AuditRead{At: machine.At{Instant: now}, Seq: seq, Source: "dex", Text: text})
	}
	poll(1)
	poll(2) // the files are made
	const reads = 8
	written = 0
	for n := range uint64(reads) {
		poll(3 + n)
	}
	each := written / reads
	if box.Len() < 2*reads {
		t.Errorf("%d messages of %d reads", box.Len(), reads)
	}
	// The state twice (8 KB at most), the audit (a page), two messages (a page each).
	const most = 28 << 10
	if each > most {
		t.Errorf("%d bytes a read, want at most %d", each, most)
	}
	t.Logf("FIGURE flash: %d bytes for one audit of %d bytes and 36 columns", each, len(board.Text()))
}
