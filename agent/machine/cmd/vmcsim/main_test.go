package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/machine/dex"
	"cellwarden/agent/machine/evadts"
	"cellwarden/agent/machine/line"
	"cellwarden/modem/at"
)

// What it plays can be read over a real terminal, in either role.
func TestPlaysAMachine(t *testing.T) {
	for _, master := range []bool{false, true} {
		link := filepath.Join(t.TempDir(), "machine")
		ctx, cancel := context.WithCancel(t.Context())
		said, out := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- run(ctx, "dex", link, master, time.Millisecond, out) }()
		buf := make([]byte, 200)
		n, err := said.Read(buf)
		if err != nil || !strings.Contains(string(buf[:n]), link) {
			t.Fatalf("it said %q, %v", buf[:n], err)
		}
		port, err := at.OpenPort(link, 9600)
		if err != nil {
			t.Fatal(err)
		}
		end := line.DEX(t.Context(), port, dex.DefaultID, "", func([]byte) error { return nil })
		if end.Reason != dex.Done || end.Master != master {
			t.Errorf("ended by %s, the machine began: %v", end.Reason, end.Master)
		}
		if a := evadts.Parse(end.Audit); a.G85 != evadts.G85OK || a.Sales.Count.V() == 0 {
			t.Errorf("G85 %s, %v vends", a.G85, a.Sales.Count)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if err := run(t.Context(), "fax", "", false, time.Second, io.Discard); err == nil || !strings.Contains(err.Error(), "dex or ddcmp") {
		t.Errorf("another protocol: %v", err)
	}
}
