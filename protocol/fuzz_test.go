package protocol

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A sequence of commands and clocks, one of each in four bytes: by a clock that is
// trusted none is obeyed twice or out of its time, what is remembered stays bounded and
// comes back from the flash as it was, and a command of full life is obeyed at the end.
func FuzzCommandSequence(f *testing.F) {
	f.Add([]byte("\x01\x10\x01\x00\x01\x10\x01\x00\x02\x40\x00\xff"))
	f.Add([]byte(strings.Repeat("\x03\x90\x00\x07", MaxSeen+3)))
	f.Fuzz(func(t *testing.T, steps []byte) {
		now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
		if most := 4 * (MaxSeen + 20); len(steps) > most {
			steps = steps[:most]
		}
		var r Replay
		obeyed := map[string]bool{}
		for i := 0; len(steps) >= 4; i, steps = i+1, steps[4:] {
			id, life, trusted, pass := steps[0], steps[1], steps[2]&1 == 1, steps[3]
			now = now.Add(time.Duration(pass) * time.Hour)
			at := now
			if !trusted {
				at = time.Unix(int64(pass)*20_000_000, 0) // 1970 to 2131
			}
			expires := now.Add(time.Duration(int(life)-32) * 12 * time.Hour)
			if steps[2]&2 != 0 { // years ahead
				expires = now.AddDate(int(life), 0, 0)
			}
			c := Command{V: 1, ID: fmt.Sprint("c", id), Do: "report", Expires: expires.UTC().Format(time.RFC3339)}
			if err := r.Accept(c, at, trusted); err == nil && trusted {
				if key := c.ID + c.Expires; obeyed[key] {
					t.Fatalf("step %d: %s obeyed twice", i, key)
				} else {
					obeyed[key] = true
				}
				if !expires.After(now) || expires.Sub(now) > MaxCommandLife {
					t.Fatalf("step %d: obeyed %s, at %s", i, c.Expires, now)
				}
			}
			if len(r.Seen) > MaxSeen || r.Floor.After(Horizon) {
				t.Fatalf("step %d: %d ids, floor %s", i, len(r.Seen), r.Floor)
			}
			if i%16 != 0 {
				continue
			}
			kept, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			r = Replay{}
			if err := json.Unmarshal(kept, &r); err != nil {
				t.Fatal(err)
			}
		}
		last := Command{V: 1, ID: "last", Do: "report", Expires: now.Add(MaxCommandLife).Format(time.RFC3339)}
		if err := r.Accept(last, now, true); err != nil && now.Add(MaxCommandLife).Before(Horizon) {
			t.Fatalf("a fresh command: %v (floor %s)", err, r.Floor)
		}
	})
}

// A public key is 32 bytes in base64 and nothing else.
func FuzzParsePublicKey(f *testing.F) {
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, ed25519.PublicKeySize)))
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 43) + "=")
	f.Fuzz(func(t *testing.T, s string) {
		key, err := ParsePublicKey(s)
		if (err == nil) != (len(key) == ed25519.PublicKeySize) {
			t.Fatalf("%q gives %x, %v", s, key, err)
		}
		if err != nil {
			return
		}
		if again, err := ParsePublicKey(base64.StdEncoding.EncodeToString(key)); err != nil || !key.Equal(again) {
			t.Fatalf("%q does not come back: %v", s, err)
		}
		if c := (Command{V: 1, ID: "a", Do: "report", Expires: "2026-11-22T04:00:00Z", Sig: base64.StdEncoding.EncodeToString(make([]byte, ed25519.SignatureSize))}); c.Verify("d", key) == nil && key[31] != 0 {
			t.Fatalf("%x takes an empty signature", key)
		}
	})
}
