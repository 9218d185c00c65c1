package protocol

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Fields are added, never changed: what the first devices of version 1 sent, kept
// in testdata/older for ever, reads as it did.
func TestWhatOlderDevicesSendStillReads(t *testing.T) {
	paths, err := filepath.Glob("testdata/older/*.json")
	if err != nil || len(paths) < 13 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw = []byte(strings.TrimSpace(string(raw)))
		switch {
		case name == "command":
			c, err := DecodeCommand(raw)
			if err != nil || c.Verify("cw-000123", testPub) != nil {
				t.Errorf("%s: %v", name, err)
			}
		case strings.HasPrefix(name, "status_"):
			s, err := DecodeStatus(raw)
			if err != nil || s.Up != (name == "status_up") || (s.Why == "stop") != (name == "status_stop") {
				t.Errorf("%s: %+v %v", name, s, err)
			}
		default:
			e, err := UnmarshalEnvelope(raw)
			if err != nil || string(e.Type) != name {
				t.Errorf("%s: %v", name, err)
				continue
			}
			body, err := e.DecodeBody()
			if again, _ := NewBody(body); err != nil || string(again) != string(e.Body) {
				t.Errorf("%s: %v; a field changed its form\nhave %s\nwant %s", name, err, again, e.Body)
			}
		}
	}
}

// A status has its place: which of two is later can be told where both are of one
// boot, in whatever order a broker delivers them.
func TestStatusKnowsItsOrder(t *testing.T) {
	at := func(up bool, boot string, mono int64) Status { return Status{V: 1, Up: up, Boot: boot, MonoMS: mono} }
	for _, c := range []struct {
		what         string
		s, before    Status
		later, known bool
	}{
		{"the will of one connection after its up", at(false, "a", 5), at(true, "a", 5), true, true},
		{"up again, on a new connection", at(true, "a", 9), at(false, "a", 5), true, true},
		{"a late will overtakes nothing", at(false, "a", 5), at(true, "a", 9), false, true},
		{"a repetition", at(true, "a", 5), at(true, "a", 5), false, true},
		{"another boot", at(true, "b", 1), at(false, "a", 5), false, false},
		{"an older device", Status{V: 1}, at(true, "a", 5), false, false},
	} {
		if later, known := c.s.After(c.before); later != c.later || known != c.known {
			t.Errorf("%s: later %v, known %v", c.what, later, known)
		}
	}
}

// One bad line of a batch takes nothing from the others.
func TestGoodLinesOfABatchAreKept(t *testing.T) {
	raw := func(seq uint64, dev string) []byte {
		b, err := MarshalEnvelope(Envelope{V: 1, Device: dev, Epoch: "9a0b1c2d", Seq: seq, Type: TypeEvent, Body: []byte(`{"name":"sale"}`)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var b Batcher
	payload, err := b.Encode([][]byte{raw(1, "cw-1"), []byte(`{"v":1,`), raw(2, "other"), raw(3, "cw-1")})
	if err != nil {
		t.Fatal(err)
	}
	items, err := DecodeItems("cw/cw-1/e", payload)
	if err != nil || len(items) != 4 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for i, bad := range []bool{false, true, true, false} {
		if (items[i].Err != nil) != bad {
			t.Errorf("line %d: %v", i+1, items[i].Err)
		}
	}
	if _, err := DecodePublish("cw/cw-1/e", payload); err == nil {
		t.Error("DecodePublish took a batch with a bad line")
	}
}
