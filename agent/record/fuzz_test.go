package record

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"cellwarden/agent/diag"
	"cellwarden/agent/instant"
	"cellwarden/modem/threegpp"
)

// FuzzRing: lines of a modem, one of them now and then followed by a step of either
// clock: the ring stays in its bound, in order, and what it exports is read back.
func FuzzRing(f *testing.F) {
	f.Add([]byte("+CSQ: 20,99\n+CEREG: 1\n+CPIN: READY\n+CMT: \"10086\"\n"), uint16(1))
	f.Add([]byte("+CIMI: 460000000000001\n\xff\xfe\n460\n+QCCID: 89860000000000000000\n"), uint16(9000))
	f.Add([]byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, text []byte, step uint16) {
		const most = 4 << 10
		r := Ring{Max: most}
		at := instant.Instant{Boot: "b", Wall: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
		for i, line := range splitLines(text) {
			at.Mono += time.Duration(step) * time.Second
			at.Wall = at.Wall.Add(time.Duration(int(step)*(i%3-1)) * time.Minute)
			at.Trusted = i%2 == 0
			facts := threegpp.URC(line)
			if i%4 == 0 {
				facts = append(facts, threegpp.Unparsed{Line: line})
			}
			for _, fact := range facts {
				o := Mask(diag.Observation{At: at, Source: fmt.Sprint("urc:", i%7), Fact: fact}, hash)
				if err := r.Add(o); err != nil {
					t.Fatal(err)
				}
				if r.Bytes() > most && r.Len() > 1 {
					t.Fatalf("%d bytes in %d entries", r.Bytes(), r.Len())
				}
			}
		}
		out := r.Export()
		raw, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		var back []Entry
		if err := json.Unmarshal(raw, &back); err != nil || len(back) != len(out) {
			t.Fatalf("%d entries came back as %d: %v", len(out), len(back), err)
		}
		facts := 0
		for _, e := range back {
			if e.Fact == nil {
				continue
			}
			facts++
			if _, err := e.Fact.Decode(); err != nil {
				t.Fatal(err)
			}
		}
		if facts != r.Len() {
			t.Fatalf("%d facts exported of %d", facts, r.Len())
		}
	})
}

// splitLines gives at most 64 lines of 200 bytes: more is slow and shows nothing new.
func splitLines(text []byte) []string {
	var lines []string
	for part := range slices.Chunk(text, 200) {
		lines = append(lines, splitAt(part)...)
	}
	return lines[:min(len(lines), 64)]
}

func splitAt(b []byte) (lines []string) {
	from := 0
	for i, c := range b {
		if c == '\n' {
			lines, from = append(lines, string(b[from:i])), i+1
		}
	}
	return append(lines, string(b[from:]))
}
