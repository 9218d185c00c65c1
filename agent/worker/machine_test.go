package worker

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/device"
	"cellwarden/agent/flash"
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
	return NewMachine(hw, opt, AuditFiles{flash.OS{}, filepath.Join(t.TempDir(), "audits")}, slog.New(slog.DiscardHandler), events), events
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
				if got, err := w.files.Read(7); err != nil || string(got) != text {
					t.Errorf("on the flash %q, %v", got, err)
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

// What is on the flash is found by its number, and goes when it is older.
func TestAuditFiles(t *testing.T) {
	f := AuditFiles{flash.OS{}, filepath.Join(t.TempDir(), "audits")}
	if len(f.Numbers()) != 0 {
		t.Error("there is none yet")
	}
	for _, seq := range []uint64{3, 12, 4} {
		if err := f.Keep(seq, []byte("audit")); err != nil {
			t.Fatal(err)
		}
	}
	if err := flash.WriteFile(f.FS, filepath.Join(f.Dir, "audit-x.dex"), nil); err != nil {
		t.Fatal(err)
	}
	if got := f.Numbers(); !slices.Equal(got, []uint64{3, 4, 12}) {
		t.Errorf("numbers %v", got)
	}
	f.Tidy(12)
	if got := f.Numbers(); !slices.Equal(got, []uint64{12}) {
		t.Errorf("after tidying %v", got)
	}
}
