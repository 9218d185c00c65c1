package machine

import (
	"strings"
	"testing"
	"time"

	"cellwarden/agent/instant"
)

// polls runs a Machine for a while, a tick a minute, and gives the local times of day
// at which it wanted to read. answer is what a poll gives.
func polls(t *testing.T, m *Machine, at *instant.Instant, d time.Duration, answer func(n int) Event) (when []string) {
	t.Helper()
	for end := at.Mono + d; at.Mono < end; *at = at.Add(time.Minute) {
		for _, e := range m.Step(Tick{At{*at}}) {
			if e.Poll {
				when = append(when, at.Wall.Add(m.opt.Offset).Format("15:04"))
				m.Step(answer(len(when)))
			}
		}
	}
	return when
}

var noon = instant.Instant{Boot: "b1", Mono: time.Hour, Wall: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC), Trusted: true}

func reader(t *testing.T, kept []byte) *Machine {
	t.Helper()
	m, err := New(Options{Offset: 8 * time.Hour, Reader: true, ReadAt: []time.Duration{2 * time.Hour, 14 * time.Hour}}, kept)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Twice a day, at the times of the config, by the machine's own clock.
func TestReadTwiceADay(t *testing.T) {
	m, at := reader(t, nil), noon
	got := polls(t, m, &at, 48*time.Hour, func(int) Event { return AuditRead{At{at}, uint64(at.Mono), "dex", []byte("VA1*5*1\r\n")} })
	if s := strings.Join(got, " "); s != "14:00 02:00 14:00 02:00" {
		t.Errorf("read at %s", s)
	}
}

// A machine that is silent is asked again after an hour, twice, and then at its time.
func TestRetriesAreFew(t *testing.T) {
	m, at := reader(t, nil), noon
	got := polls(t, m, &at, 24*time.Hour, func(int) Event { return ReadFailed{At{at}, "dex", "no_answer"} })
	if s := strings.Join(got, " "); s != "14:00 15:00 16:00 02:00 03:00 04:00" {
		t.Errorf("read at %s", s)
	}
}

// A device that starts again and again reads no more often for it, and one that was
// off at the time makes up for it.
func TestRestartsDoNotReadAgain(t *testing.T) {
	at := noon
	at.Wall = time.Date(2026, 11, 22, 6, 5, 0, 0, time.UTC) // 14:05
	var kept []byte
	n := 0
	for boot := range 20 {
		m := reader(t, kept)
		at.Boot, at.Mono = string(rune('a'+boot)), time.Minute
		for range 5 {
			for _, e := range m.Step(Tick{At{at}}) {
				if e.Poll {
					n++
				}
				if e.Persist != nil {
					kept = e.Persist
				}
			}
			at = at.Add(time.Minute)
		}
	}
	if n != 1 {
		t.Errorf("read %d times within %d starts, want once", n, 20)
	}
}

// A command reads now, but never within fifteen minutes of the last poll.
func TestReadNow(t *testing.T) {
	m, at := reader(t, nil), noon
	now := func() bool {
		for _, e := range m.Step(ReadNow{At{at}}) {
			if e.Poll {
				return true
			}
		}
		return false
	}
	if m.MayRead(at) != nil || !now() {
		t.Fatal("the first read on demand was refused")
	}
	if err := m.MayRead(at); err == nil || now() {
		t.Error("a second one while the first runs")
	}
	m.Step(ReadFailed{At{at}, "dex", "lost"})
	at = at.Add(14 * time.Minute)
	if err := m.MayRead(at); err == nil || !strings.Contains(err.Error(), "1m0s") || now() {
		t.Errorf("after 14 minutes: %v", err)
	}
	at = at.Add(time.Minute)
	if m.MayRead(at) != nil || !now() {
		t.Error("after 15 minutes it is allowed")
	}
	none, _ := New(Options{}, nil)
	if none.MayRead(at) == nil {
		t.Error("without a port nothing can be read")
	}
}

// Without a clock that is trusted it reads every twelve hours.
func TestReadWithoutAClock(t *testing.T) {
	m, at := reader(t, nil), noon
	at.Trusted = false
	got := polls(t, m, &at, 30*time.Hour, func(int) Event { return AuditRead{At{at}, uint64(at.Mono), "dex", []byte("VA1*5*1\r\n")} })
	if len(got) != 2 {
		t.Errorf("read %d times in 30 h: %v", len(got), got)
	}
}
