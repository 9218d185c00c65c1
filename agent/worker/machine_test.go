package worker

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/device"
	"cellwarden/agent/instant"
	"cellwarden/agent/machine"
	"cellwarden/agent/machine/dex"
	"cellwarden/agent/machine/mdb"
	"cellwarden/agent/machine/vmcsim"
)

// bench is a Machine worker with its machine at the other end of a pipe, in virtual
// time.
func bench(t *testing.T, opt MachineOptions, serve func(io.ReadWriter)) (*Machine, chan machine.Event) {
	t.Helper()
	began := time.Now()
	now := func() instant.Instant { return instant.Instant{Boot: "b", Mono: time.Since(began), Wall: time.Now()} }
	open := func() (io.ReadWriteCloser, error) {
		if serve == nil {
			return nil, errors.New("no such port")
		}
		ours, its := net.Pipe()
		go serve(its)
		return ours, nil
	}
	events := make(chan machine.Event, 16)
	hw := device.Hardware{Now: now, Timer: device.Timer(now), OpenAudit: open, OpenBus: open}
	return NewMachine(hw, opt, inMemory(), slog.New(slog.DiscardHandler), events), events
}

// One poll by either protocol: the audit is on the flash under its number, and told.
func TestMachinePoll(t *testing.T) {
	for _, by := range []string{"dex", "ddcmp"} {
		t.Run(by, func(t *testing.T) {
			board := vmcsim.NewBoard("5")
			board.Sell(0, true)
			text := board.Text()
			synctest.Test(t, func(t *testing.T) {
				w, events := bench(t, MachineOptions{Audit: by, ID: dex.DefaultID}, func(rw io.ReadWriter) {
					if by == "dex" {
						(&vmcsim.DEX{Board: board}).Serve(rw)
					} else {
						(&vmcsim.DDCMP{Board: board}).Serve(rw)
					}
				})
				go w.RunAudit(t.Context())
				if !w.Request(7) {
					t.Fatal("the poll was refused")
				}
				e, ok := (<-events).(machine.AuditRead)
				if !ok || e.Seq != 7 || e.Source != by || string(e.Text) != text {
					t.Fatalf("told %+v", e)
				}
				if seq, got, err := w.file.Kept(); seq != 7 || err != nil || string(got) != text {
					t.Errorf("on the flash number %d: %q, %v", seq, got, err)
				}
			})
		})
	}
}

// A port that cannot be opened, and a machine that does not answer, are told.
func TestMachinePollFails(t *testing.T) {
	for want, serve := range map[string]func(io.ReadWriter){
		"no_port":   nil,
		"no_answer": func(rw io.ReadWriter) { (&vmcsim.DEX{Faults: vmcsim.Faults{Silent: true}}).Serve(rw) },
	} {
		synctest.Test(t, func(t *testing.T) {
			w, events := bench(t, MachineOptions{Audit: "dex", ID: dex.DefaultID}, serve)
			go w.RunAudit(t.Context())
			w.Request(1)
			if e, ok := (<-events).(machine.ReadFailed); !ok || e.Reason != want {
				t.Errorf("told %+v, want %s", e, want)
			}
		})
	}
}

// The bus is heard, lost, and heard again.
func TestMachineBusComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, events := bench(t, MachineOptions{Bus: "sniffer"}, func(rw io.ReadWriter) {
			buf := make([]byte, 16)
			rw.Read(buf)
			rw.Read(buf)
			io.WriteString(rw, "x,00,0000002000,13,02000C\r\nx,80,0000002020,,ACK\r\n")
			rw.(io.Closer).Close()
		})
		go w.RunBus(t.Context())
		var got []mdb.Kind
		for len(got) < 6 {
			got = append(got, (<-events).(machine.Heard).Event.Kind)
		}
		if !slices.Equal(got, []mdb.Kind{mdb.Speaks, mdb.Sale, mdb.Silent, mdb.Speaks, mdb.Sale, mdb.Silent}) {
			t.Errorf("heard %v", got)
		}
	})
}

// What is on the flash comes back with its number; the newest counts.
func TestAuditFile(t *testing.T) {
	f := inMemory()
	if seq, _, err := f.Kept(); seq != 0 || err != nil {
		t.Errorf("there is none yet: %d, %v", seq, err)
	}
	text := strings.Repeat("PA2*1*100*1*100\r\n", 500)
	for _, seq := range []uint64{3, 12} {
		if err := f.Keep(seq, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if seq, got, err := f.Kept(); seq != 12 || string(got) != text || err != nil {
		t.Errorf("number %d, %d bytes, %v", seq, len(got), err)
	}
	if n := len(f.Load(AuditState)); n > 4000 {
		t.Errorf("%d bytes on the flash for %d", n, len(text))
	}
	full := AuditFile{Save: func(string, []byte) error { return errors.New("no space left") }}
	if full.Keep(1, []byte(text)) == nil {
		t.Error("a full flash took it")
	}
}

// inMemory is an AuditFile of a test.
func inMemory() AuditFile {
	var mu sync.Mutex
	kept := map[string][]byte{}
	return AuditFile{
		Save: func(name string, data []byte) error {
			mu.Lock()
			defer mu.Unlock()
			kept[name] = slices.Clone(data)
			return nil
		},
		Load: func(name string) []byte { mu.Lock(); defer mu.Unlock(); return kept[name] },
	}
}
