package meter

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"cellwarden/agent/instant"
)

// seal puts a right checksum on a wrong body, so that the fuzzer gets past it.
func seal(body []byte) []byte {
	return binary.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body))
}

func FuzzRestore(f *testing.F) {
	m := New(Options{})
	at := instant.Instant{Boot: "a", Mono: time.Hour, Wall: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC), Trusted: true}
	if err := m.SetPlan("", plan30, at); err != nil {
		f.Fatal(err)
	}
	for i := range uint64(50) {
		at = at.Add(time.Hour)
		m.Look(at, []Reading{{Interface: "wwan0", Index: 3, RxBytes: i * 1000, Bits: 64}})
	}
	s := m.Snapshot()
	f.Add(s[5 : len(s)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Restore(seal(append([]byte("CWMT\x02"), body...)), Options{})
		if err != nil {
			return
		}
		// Whatever was accepted must work and fit again.
		m.Look(at, []Reading{{Interface: "wwan0", Index: 3, RxBytes: 1, Bits: 64}})
		m.Usage(at)
		m.Cycles(at)
		if out := m.Snapshot(); len(out) > MaxSnapshotBytes {
			t.Fatalf("%d bytes", len(out))
		} else if _, err := Restore(out, Options{}); err != nil {
			t.Fatalf("own snapshot refused: %v", err)
		}
	})
}

// BenchmarkLook is one poll of a device with a year of history.
func BenchmarkLook(b *testing.B) {
	m := New(Options{})
	at := instant.Instant{Boot: "a", Mono: time.Hour, Wall: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC), Trusted: true}
	if err := m.SetPlan("", plan30, at); err != nil {
		b.Fatal(err)
	}
	var rx uint64
	for range 400 * 24 {
		rx += 40 << 10
		at = at.Add(time.Hour)
		m.Look(at, []Reading{{Interface: "wwan0", Index: 3, RxBytes: rx, Bits: 64}})
	}
	b.ReportAllocs()
	for b.Loop() {
		rx += 100
		at = at.Add(10 * time.Second)
		m.Look(at, []Reading{{Interface: "wwan0", Index: 3, RxBytes: rx, Bits: 64}})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	m := New(Options{})
	at := instant.Instant{Boot: "a", Mono: time.Hour, Wall: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC), Trusted: true}
	var rx uint64
	for range 400 * 24 {
		rx += 40 << 10
		at = at.Add(time.Hour)
		m.Look(at, []Reading{{Interface: "wwan0", Index: 3, RxBytes: rx, Bits: 64}})
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Snapshot()
	}
}
