package line

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/machine/dex"
	"cellwarden/agent/machine/evadts"
	"cellwarden/agent/machine/vmcsim"
)

// recorder notes every byte that goes to the machine.
type recorder struct {
	net.Conn
	sent []byte
}

func (r *recorder) Write(p []byte) (int, error) {
	r.sent = append(r.sent, p...)
	return r.Conn.Write(p)
}

// harmless takes away each frame of a read and gives what is left: it must be nothing.
func harmless(sent []byte) []byte {
	frames := [][]byte{{5}, {4}, {0x15}, {0x10, '0'}, {0x10, '1'}, {0x10, ';'}}
	for _, rev := range []dex.Revision{dex.Rev6, dex.Rev1} {
		frames = append(frames, dex.SendRead.Bytes(dex.DefaultID, rev), dex.SendAccept.Bytes(dex.DefaultID, rev))
	}
	for len(sent) > 0 {
		found := false
		for _, f := range frames {
			if bytes.HasPrefix(sent, f) {
				sent, found = sent[len(f):], true
				break
			}
		}
		if !found {
			return sent
		}
	}
	return nil
}

// poll reads one audit from a machine, in virtual time.
func poll(t *testing.T, vmc *vmcsim.DEX, keep func([]byte) error) (end dex.End, sent []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, its := net.Pipe()
		served := make(chan error)
		go func() { served <- vmc.Serve(its) }()
		time.Sleep(10 * time.Millisecond) // the plug goes in
		port := &recorder{Conn: ours}
		end = DEX(t.Context(), port, dex.DefaultID, "", keep)
		its.Close()
		if err := <-served; err != nil {
			t.Error("the machine: ", err)
		}
		sent = port.sent
	})
	if rest := harmless(sent); rest != nil {
		t.Errorf("% X went to the machine, which is no frame of a read", rest)
	}
	return end, sent
}

func kept([]byte) error { return nil }

func soldBoard() *vmcsim.Board {
	b := vmcsim.NewBoard("77")
	for i := range 7 {
		b.Sell(i%2, i%3 == 0)
	}
	b.Happened("EGS")
	return b
}

// Every way in which a line or a machine misbehaves and the audit can still be had.
func TestDEXReadsWhole(t *testing.T) {
	type faults = vmcsim.Faults
	for _, c := range []struct {
		name string
		f    faults
	}{
		{"nothing goes wrong", faults{}},
		{"noise at plug-in", faults{Noise: "\xff\x00\x7f"}},
		{"noise that looks like the beginning of a frame", faults{Noise: "\x10"}},
		{"both call at once", faults{Collide: true}},
		{"the revision is refused, the older one is taken", faults{RefuseRev: "R00L06"}},
		{"the response stands behind the ID", faults{CodeAfter: true}},
		{"it asks for patience", faults{WACK: 5}},
		{"filler everywhere", faults{Filler: true}},
		{"answers after 0.9 s", faults{Late: 900 * time.Millisecond}},
		{"answers after 3 s", faults{Late: 3 * time.Second}},
		{"the audit takes 4 s to build", faults{Build: 4 * time.Second}},
		{"byte by byte, 20 ms apart", faults{Split: true}},
		{"the end of a phase and the next call at once", faults{Glue: true}},
		{"one answer of ours is lost: it asks again", faults{LoseAck: 1}},
		{"two are", faults{LoseAck: 2}},
		{"one is lost: it sends the block again", faults{Resend: 1}},
		{"every call twice", faults{DupENQ: true}},
		{"one block damaged", faults{BadCRC: 1}},
		{"two blocks damaged", faults{BadCRC: 2}},
		{"no EOT anywhere", faults{NoEOT: true}},
		{"deaf to two calls", faults{Mute: 2}},
		{"small blocks", faults{BlockBytes: 24}},
	} {
		for _, master := range []bool{false, true} {
			name := c.name + ", it is slave"
			if master {
				name = c.name + ", it is master"
			}
			if master && (c.f.Collide || c.f.RefuseRev != "" || c.f.Mute > 0 || c.f.CodeAfter) {
				continue // what only a slave does
			}
			t.Run(name, func(t *testing.T) {
				b := soldBoard()
				text := b.Text()
				vmc := &vmcsim.DEX{Board: b, Master: master, Faults: c.f}
				end, _ := poll(t, vmc, kept)
				if end.Reason != dex.Done {
					t.Fatalf("ended by %s: %+v", end.Reason, end)
				}
				if string(end.Audit) != text {
					t.Errorf("read\n%q\nthe machine sent\n%q", end.Audit, text)
				}
				if a := evadts.Parse(end.Audit); a.G85 != evadts.G85OK || a.Sales.Count.V() != 7 {
					t.Errorf("G85 %s, %v vends", a.G85, a.Sales.Count)
				}
				if master && end.Peer != "SIM0000001" {
					t.Errorf("the machine's id is %q", end.Peer)
				}
				if b.Reads != 1 {
					t.Errorf("the machine counts %d reads that succeeded", b.Reads)
				}
			})
		}
	}
}

// And where it cannot be had, the end says why; nothing hangs, nothing else is sent.
func TestDEXGivesUp(t *testing.T) {
	type faults = vmcsim.Faults
	for _, c := range []struct {
		name string
		vmc  vmcsim.DEX
		want dex.Reason
		code string
	}{
		{"nobody there", vmcsim.DEX{Faults: faults{Silent: true}}, dex.NoAnswer, ""},
		{"every block damaged", vmcsim.DEX{Faults: faults{BadCRC: -1}}, dex.Damaged, ""},
		{"every block damaged, it is master", vmcsim.DEX{Master: true, Faults: faults{BadCRC: -1}}, dex.Damaged, ""},
		{"a flood without end", vmcsim.DEX{Faults: faults{Flood: true}}, dex.TooLarge, "00"},
		{"conflict, try again", vmcsim.DEX{Faults: faults{Code: "03"}}, dex.Refused, "03"},
		{"no data", vmcsim.DEX{Faults: faults{Code: "04"}}, dex.Refused, "04"},
		{"it wants to be written", vmcsim.DEX{Master: true, Faults: faults{Ask: 'R'}}, dex.NotARead, ""},
		{"it wants to be configured", vmcsim.DEX{Master: true, Faults: faults{Ask: 'M'}}, dex.NotARead, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := soldBoard()
			c.vmc.Board = b
			end, _ := poll(t, &c.vmc, kept)
			if end.Reason != c.want || end.Code != c.code {
				t.Errorf("ended by %s %q, want %s %q", end.Reason, end.Code, c.want, c.code)
			}
			if end.Audit != nil || b.Reads != 0 || len(b.Deleted()) != 0 {
				t.Errorf("the machine counts %d reads and cleared %v", b.Reads, b.Deleted())
			}
		})
	}
}

// The plug is pulled after each frame of the machine. Either the audit is kept, or
// the machine has cleared nothing.
func TestDEXUnplugInEveryState(t *testing.T) {
	for _, master := range []bool{false, true} {
		for at := 1; ; at++ {
			b := soldBoard()
			var have []byte
			vmc := &vmcsim.DEX{Board: b, Master: master, Faults: vmcsim.Faults{UnplugAt: at}}
			end, _ := poll(t, vmc, func(a []byte) error { have = a; return nil })
			if vmc.Frames() < at { // it never came so far: all is said
				if end.Reason != dex.Done || at < 8 {
					t.Errorf("without a pulled plug it ended by %s after %d frames", end.Reason, vmc.Frames())
				}
				break
			}
			if len(b.Deleted()) > 0 && !strings.Contains(string(have), "EA1*EGS") {
				t.Errorf("unplugged after frame %d: the machine cleared %v, and we have nothing", at, b.Deleted())
			}
			if end.Reason == "" {
				t.Errorf("unplugged after frame %d: no end", at)
			}
		}
	}
}

// The flash is slow: the machine is asked to wait, and the last block acknowledged
// only when the audit is there. Where it cannot be kept, it is never acknowledged.
func TestDEXKeepsBeforeItAcknowledges(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration
		fails error
		want  dex.Reason
	}{
		{"at once", 0, nil, dex.Done},
		{"after two seconds", 2 * time.Second, nil, dex.Done},
		{"never: the flash is full", 10 * time.Millisecond, errors.New("no space left on device"), dex.NotKept},
		{"never: the flash hangs for a minute", time.Minute, nil, dex.NotKept},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := soldBoard()
			vmc := &vmcsim.DEX{Board: b}
			onFlash := false
			end, sent := poll(t, vmc, func(a []byte) error {
				if len(b.Deleted()) > 0 || b.Reads > 0 {
					t.Error("the machine cleared its events before the audit was kept")
				}
				time.Sleep(c.takes)
				onFlash = c.fails == nil
				return c.fails
			})
			if end.Reason != c.want {
				t.Errorf("ended by %s, want %s", end.Reason, c.want)
			}
			if (c.want == dex.Done) != (len(b.Deleted()) == 1 && onFlash) {
				t.Errorf("kept %v, the machine cleared %v", onFlash, b.Deleted())
			}
			if waits := bytes.Contains(sent, []byte("\x10;")); waits != (c.takes > time.Second) {
				t.Errorf("patience was asked for: %v", waits)
			}
		})
	}
}

// The agent stops in the middle: the port is let go at once.
func TestDEXStopsWithTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, its := net.Pipe()
		vmc := &vmcsim.DEX{Board: soldBoard(), Faults: vmcsim.Faults{Late: time.Second}}
		served := make(chan error)
		go func() { served <- vmc.Serve(its) }()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		if end := DEX(ctx, ours, dex.DefaultID, "", kept); end.Reason != dex.Disappeared {
			t.Errorf("ended by %s", end.Reason)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
