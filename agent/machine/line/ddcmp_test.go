package line

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"cellwarden/agent/machine/ddcmp"
	"cellwarden/agent/machine/evadts"
	"cellwarden/agent/machine/vmcsim"
)

// onlyReads goes over all that was sent: control messages, and data that are who are
// you, read list 2 or finish. It returns the first message that is none.
func onlyReads(sent []byte, code bool) []byte {
	for len(sent) > 0 {
		switch {
		case len(sent) >= 8 && sent[0] == 5 && (sent[1] == 1 || sent[1] == 2 || sent[1] == 6):
			sent = sent[8:]
		case len(sent) >= 10 && sent[0] == 0x81 && len(sent) >= 10+int(sent[1]) && sent[2] == 0x40:
			text := sent[8 : 8+int(sent[1])]
			who := len(text) == 16 && bytes.HasPrefix(text, []byte{0x77, 0xE0}) && (code || bytes.Equal(text[3:7], make([]byte, 4)))
			if !who && !bytes.Equal(text, []byte{0x77, 0xE2, 0, 2, 1, 0, 0, 0, 0}) && !bytes.Equal(text, []byte{0x77, 0xFF}) {
				return text
			}
			sent = sent[10+int(sent[1]):]
		default:
			return sent
		}
	}
	return nil
}

func pollDDCMP(t *testing.T, vmc *vmcsim.DDCMP, codes ddcmp.Codes, keep func([]byte) error) (end ddcmp.End) {
	t.Helper()
	var sent []byte
	synctest.Test(t, func(t *testing.T) {
		ours, its := net.Pipe()
		served := make(chan error)
		go func() { served <- vmc.Serve(its) }()
		time.Sleep(10 * time.Millisecond)
		port := &recorder{Conn: ours}
		end = DDCMP(t.Context(), port, codes, time.Date(2026, 11, 22, 4, 21, 7, 0, time.UTC), keep)
		its.Close()
		if err := <-served; err != nil {
			t.Error("the machine: ", err)
		}
		sent = port.sent
	})
	if bad := onlyReads(sent, codes != ddcmp.Codes{}); bad != nil {
		t.Errorf("% X was sent, which is no message of a read", bad)
	}
	return end
}

func TestDDCMPReadsWhole(t *testing.T) {
	type faults = vmcsim.DDCMPFaults
	for _, c := range []struct {
		name string
		f    faults
	}{
		{"nothing goes wrong", faults{}},
		{"deaf to three calls", faults{Mute: 3}},
		{"answers 150 ms late", faults{Late: 150 * time.Millisecond}},
		{"the audit takes 10 s to build", faults{Build: 5 * time.Second}},
		{"a header damaged", faults{BadHeader: 1}},
		{"data damaged twice", faults{BadData: 2}},
		{"an ACK of ours is lost", faults{LoseACK: 1}},
		{"two are", faults{LoseACK: 2}},
		{"it refuses a message once", faults{NACK: 1}},
		{"the last block is not marked", faults{NoLast: true}},
		{"byte by byte", faults{Split: true}},
		{"noise before", faults{Noise: "\xff\x00\xaa"}},
		{"its answer carries the ACK", faults{Carry: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := soldBoard()
			text := b.Text()
			vmc := &vmcsim.DDCMP{Board: b, Faults: c.f}
			kept := ""
			end := pollDDCMP(t, vmc, ddcmp.Codes{}, func(a []byte) error { kept = string(a); return nil })
			if end.Reason != ddcmp.Done {
				t.Fatalf("ended by %s: %+v", end.Reason, end)
			}
			if string(end.Audit) != text || kept != text {
				t.Errorf("read\n%q\nthe machine sent\n%q", end.Audit, text)
			}
			if vmc.List != 2 || b.Reads != 0 || len(b.Deleted()) != 0 {
				t.Errorf("list %d was read, the machine cleared %v", vmc.List, b.Deleted())
			}
			if vmc.Code != [2]uint16{} {
				t.Errorf("the codes %04X were sent unasked", vmc.Code)
			}
			if end.Peer != "77" || evadts.Parse(end.Audit).G85 != evadts.G85OK {
				t.Errorf("the machine says it is %q", end.Peer)
			}
		})
	}
}

func TestDDCMPGivesUp(t *testing.T) {
	type faults = vmcsim.DDCMPFaults
	for _, c := range []struct {
		name string
		f    faults
		want ddcmp.Reason
	}{
		{"nobody there", faults{Silent: true}, ddcmp.NoAnswer},
		{"it refuses us", faults{Reject: true}, ddcmp.Refused},
		{"all data damaged", faults{BadData: -1}, ddcmp.Lost},
		{"a flood without end", faults{Flood: true}, ddcmp.TooLarge},
		{"a block is missing", faults{Skip: 2}, ddcmp.Damaged},
		{"it refuses every message", faults{NACK: 99}, ddcmp.Lost},
	} {
		t.Run(c.name, func(t *testing.T) {
			end := pollDDCMP(t, &vmcsim.DDCMP{Board: soldBoard(), Faults: c.f}, ddcmp.Codes{}, kept)
			if end.Reason != c.want || end.Audit != nil {
				t.Errorf("ended by %s, want %s", end.Reason, c.want)
			}
		})
	}
	end := pollDDCMP(t, &vmcsim.DDCMP{Board: soldBoard()}, ddcmp.Codes{}, func([]byte) error { return errors.New("disk full") })
	if end.Reason != ddcmp.NotKept {
		t.Errorf("with a full disk it ended by %s", end.Reason)
	}
}

// The code that the operator configured is sent, as he wrote it.
func TestDDCMPCodes(t *testing.T) {
	vmc := &vmcsim.DDCMP{Board: soldBoard()}
	if end := pollDDCMP(t, vmc, ddcmp.Codes{Security: 0x1234, Pass: 0x5678}, kept); end.Reason != ddcmp.Done ||
		vmc.Code != [2]uint16{0x1234, 0x5678} {
		t.Errorf("%s, codes %04X", end.Reason, vmc.Code)
	}
}

func TestDDCMPUnplugInEveryState(t *testing.T) {
	for at := 1; ; at++ {
		vmc := &vmcsim.DDCMP{Board: soldBoard(), Faults: vmcsim.DDCMPFaults{UnplugAt: at}}
		end := pollDDCMP(t, vmc, ddcmp.Codes{}, kept)
		if end.Reason == "" {
			t.Errorf("unplugged after message %d: no end", at)
		}
		if vmc.Messages() < at {
			if end.Reason != ddcmp.Done || at < 8 {
				t.Errorf("%s after %d messages", end.Reason, vmc.Messages())
			}
			return
		}
	}
}
