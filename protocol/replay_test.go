package protocol

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// An attack that was seen: 65 commands with other ids that expire in the year 9999,
// sent while the device had no clock. Afterwards nothing was obeyed for ever.
func TestManyFarCommandsNeverLockOthersOut(t *testing.T) {
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	year1970 := time.Date(1970, 1, 1, 0, 3, 0, 0, time.UTC)
	cmd := func(id, expires string) Command { return Command{V: 1, ID: id, Expires: expires, Do: "report"} }
	var r Replay
	for i := range 200 {
		if err := r.Accept(cmd(fmt.Sprint("x", i), "9999-12-31T23:59:59Z"), year1970, false); !errors.Is(err, ErrBeyond) {
			t.Fatalf("a command of the year 9999: %v", err)
		}
	}
	for i := range 200 { // as far as is allowed
		_ = r.Accept(cmd(fmt.Sprint("y", i), "2035-12-31T00:00:00Z"), year1970, false)
	}
	if err := r.Accept(cmd("fresh", now.Add(time.Hour).Format(time.RFC3339)), now, true); err != nil {
		t.Errorf("with a clock again, a fresh command: %v", err)
	}
	old := Replay{Floor: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} // kept by an earlier version
	if err := old.Accept(cmd("fresh", now.Add(time.Hour).Format(time.RFC3339)), year1970, false); err != nil {
		t.Errorf("a floor of the year 9999 that was kept on the flash: %v", err)
	}
}

// Whatever is sent, by whatever clock: bounded, never twice under a clock that is
// trusted, and a command of full life is always obeyed.
func TestReplayUnderAnyClock(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		var r Replay
		now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
		obeyed := map[string]bool{}
		for i := range 300 {
			now = now.Add(time.Duration(rnd.IntN(7200)) * time.Second)
			trusted := rnd.IntN(3) > 0
			at := now
			if !trusted {
				at = time.Unix(rnd.Int64N(4e9), 0)
			}
			c := Command{V: 1, ID: fmt.Sprint(rnd.IntN(100)), Do: "report",
				Expires: now.Add(time.Duration(rnd.Int64N(int64(12 * 365 * 24 * time.Hour)))).Format(time.RFC3339)}
			if rnd.IntN(2) == 0 {
				c.Expires = now.Add(time.Duration(rnd.IntN(40*24)) * time.Hour).Format(time.RFC3339)
			}
			err := r.Accept(c, at, trusted)
			if key := c.ID + c.Expires; err == nil && trusted {
				if obeyed[key] {
					t.Fatalf("seed %d step %d: %s was obeyed twice", seed, i, key)
				}
				obeyed[key] = true
			}
			if len(r.Seen) > MaxSeen || r.Floor.After(Horizon) {
				t.Fatalf("seed %d: %d ids, floor %s", seed, len(r.Seen), r.Floor)
			}
		}
		c := Command{V: 1, ID: "new", Do: "report", Expires: now.Add(MaxCommandLife).Format(time.RFC3339)}
		if err := r.Accept(c, now, true); err != nil {
			t.Fatalf("seed %d: a fresh command: %v (floor %s)", seed, err, r.Floor)
		}
	}
}
