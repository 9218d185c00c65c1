package outbox

import (
	"slices"
	"testing"

	"cellwarden/agent/flash/flashtest"
)

// FuzzOpen opens a store whose files hold anything: it must open, deliver in order,
// accept, and find the same again.
func FuzzOpen(f *testing.F) {
	fs, _ := stored(f, 12)
	segs := segments(fs)
	f.Add(segs[0].Data, segs[1].Data, fs.Names["/s/state"].Data)
	f.Add(segs[1].Data, segs[0].Data, []byte{})
	f.Add([]byte(segMagic), segs[0].Data[:1000], []byte(stateMagic))
	f.Add([]byte{}, segs[0].Data[sectorSize:], fs.Names["/s/state"].Data[:slotSize])
	// A segment of many records with holes, and large numbers.
	wide := (&segHeader{prio: State, epoch: 5, gen: maxGen / 2, size: 4096, base: maxSeq/2 - 99}).encode()
	wide = append(wide, make([]byte, 4096-sectorSize)...)
	for i := range 30 {
		putRecord(wide[sectorSize+i*96:], head{prio: State, first: i%2 == 0, index: uint16(i * 2000), gen: maxGen / 2, seq: maxSeq/2 - 30 + uint64(i)}, nil)
	}
	f.Add(wide, wide, []byte{})
	f.Fuzz(func(t *testing.T, a, b, st []byte) {
		fs := flashtest.New(1)
		for name, data := range map[string][]byte{"seg-0000": a, "seg-0001": b, "state": st} {
			data = slices.Clone(data)
			fs.Put("/s/"+name, data)
		}
		var before int
		for life := range 2 {
			o, rep, err := Open("/s", small(fs))
			if err != nil || len(rep.Troubles) > 0 {
				t.Fatalf("open: %v, %v", err, rep.Troubles)
			}
			var last [priorities]uint64
			recs := o.Peek(1<<20, 1<<30)
			for _, r := range recs {
				if r.Seq <= last[r.Priority] {
					t.Fatalf("%s %d after %d", r.Priority, r.Seq, last[r.Priority])
				}
				last[r.Priority] = r.Seq
			}
			if len(recs) != o.Len() && len(recs) < maxWindow {
				t.Fatalf("Len %d, delivered %d", o.Len(), len(recs))
			}
			if life == 1 && len(recs) != before {
				t.Fatalf("%d records in the second life, %d in the first", len(recs), before)
			}
			put(t, o, Alert, "new")
			commit(t, o)
			before = o.Len()
			o.Stats()
			if err := o.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
	})
}
