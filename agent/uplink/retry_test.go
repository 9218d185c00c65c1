package uplink

import (
	"encoding/json"
	"testing"
	"time"

	"cellwarden/agent/instant"
)

func at(boot string, mono time.Duration) instant.Instant {
	return instant.Instant{Boot: boot, Mono: mono}
}

// TestAttemptsArePersisted: an agent that is killed and started again every
// second knocks no more often than the allowance; TS.34 4.2_REQ_012.
func TestAttemptsArePersisted(t *testing.T) {
	timing := Timing{}.withDefaults()
	var kept []byte = []byte("{}")
	allowed := 0
	for second := range 3600 {
		var s State
		if err := json.Unmarshal(kept, &s); err != nil {
			t.Fatal(err)
		}
		if s.take(at("boot1", time.Duration(second)*time.Second), timing) == 0 {
			allowed++
		}
		var err error
		if kept, err = json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	}
	// TS.34 8.2.3: at most 30 an hour after a permanent refusal (F2).
	if most := timing.Attempts + int(time.Hour/timing.Attempt); allowed > most || allowed > 30 {
		t.Errorf("%d attempts in the first hour, want at most %d and 30", allowed, most)
	}
	if allowed < timing.Attempts {
		t.Errorf("only %d attempts", allowed)
	}
}

func TestTakeSaysHowLong(t *testing.T) {
	timing := Timing{Attempts: 2, Attempt: time.Minute}.withDefaults()
	var s State
	if a, b := s.take(at("b", 0), timing), s.take(at("b", 0), timing); a != 0 || b != 0 {
		t.Fatalf("the first two waited %s, %s", a, b)
	}
	if w := s.take(at("b", 20*time.Second), timing); w != 40*time.Second {
		t.Errorf("wait %s, want 40s", w)
	}
	if w := s.take(at("b", time.Minute), timing); w > time.Millisecond {
		t.Errorf("wait %s after a minute", w)
	}
}

// TestElapsedAcrossBoots: without a trusted clock on both sides nobody knows
// how long the machine was off, and nothing is forgiven.
func TestElapsedAcrossBoots(t *testing.T) {
	wall := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	trusted := func(boot string, w time.Time) instant.Instant {
		return instant.Instant{Boot: boot, Wall: w, Trusted: true}
	}
	for _, tt := range []struct {
		name     string
		from, to instant.Instant
		want     time.Duration
	}{
		{"same boot", at("a", time.Minute), at("a", time.Hour), 59 * time.Minute},
		{"same boot, wall jumps back a year", instant.Instant{Boot: "a", Wall: wall, Trusted: true}, instant.Instant{Boot: "a", Mono: time.Minute, Wall: wall.AddDate(-1, 0, 0), Trusted: true}, time.Minute},
		{"other boot, both trusted", trusted("a", wall), trusted("b", wall.Add(time.Hour)), time.Hour},
		{"other boot, clock in 1970", trusted("a", wall), at("b", time.Hour), 0},
		{"other boot, clock went back", trusted("a", wall), trusted("b", wall.Add(-time.Hour)), 0},
	} {
		if got := elapsed(tt.from, tt.to); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestBackoff: doubling to a limit, spread by half both ways.
func TestBackoff(t *testing.T) {
	timing := Timing{}.withDefaults()
	var s State
	var got []time.Duration
	for range 20 {
		got = append(got, s.backoff(false, timing, 0.5))
	}
	want := []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 900, 900}
	for i, w := range want {
		if got[i] != w*time.Second {
			t.Errorf("wait %d is %s, want %s", i, got[i], w*time.Second)
		}
	}
	if last := got[len(got)-1]; last != timing.RetryMax {
		t.Errorf("the 20th wait is %s", last)
	}
	if low, high := s.backoff(false, timing, 0), s.backoff(false, timing, 0.999); low != timing.RetryMax/2 || high < timing.RetryMax*14/10 {
		t.Errorf("spread from %s to %s", low, high)
	}
	if r := s.backoff(true, timing, 0.5); r != timing.RefusedMin {
		t.Errorf("first refusal waits %s", r)
	}
	for range 20 {
		s.backoff(true, timing, 0.5)
	}
	if r := s.backoff(true, timing, 0.5); r != timing.RefusedMax {
		t.Errorf("refusals end at %s", r)
	}
}

// TestKeepAliveIsLearned: a NAT that forgets an idle flow halves it, an outage
// does not, and a connection that lives lets it grow again.
func TestKeepAliveIsLearned(t *testing.T) {
	const limit = 20 * time.Minute
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	var s State
	if ka := s.keepAlive(limit); ka != limit {
		t.Errorf("first %s", ka)
	}
	s.ended(limit, time.Hour, true, now)
	s.returned(limit, now.Add(20*time.Minute))
	if ka := s.keepAlive(limit); ka != limit {
		t.Errorf("an outage of 20 min changed it to %s", ka)
	}
	for i, want := range []time.Duration{10 * time.Minute, 5 * time.Minute, 4 * time.Minute, 4 * time.Minute} {
		s.ended(s.keepAlive(limit), time.Hour, true, now)
		s.returned(limit, now.Add(10*time.Second))
		if ka := s.keepAlive(limit); ka != want {
			t.Errorf("lost ping %d: %s, want %s", i+1, ka, want)
		}
	}
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	s = State{}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	s.ended(4*time.Minute, 24*time.Hour, false, now)
	if ka := s.keepAlive(limit); ka != 5*time.Minute {
		t.Errorf("after a day without loss: %s", ka)
	}
	for range 20 {
		s.ended(s.keepAlive(limit), 24*time.Hour, false, now)
	}
	if ka := s.keepAlive(limit); ka != limit {
		t.Errorf("it grew to %s, want the limit", ka)
	}
	if ka := s.keepAlive(time.Minute); ka != time.Minute {
		t.Errorf("a config of one minute became %s", ka)
	}
}

func TestAllowance(t *testing.T) {
	var a allowance
	now := time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)
	passed := 0
	for i := range 100 {
		if a.take(now.Add(time.Duration(i)*100*time.Millisecond), 10, 6*time.Second) {
			passed++
		}
	}
	if passed != 11 { // ten at once, one after six of ten seconds
		t.Errorf("%d passed", passed)
	}
}
