package meter

import (
	"testing"
	"time"

	"cellwarden/agent/instant"
	"cellwarden/protocol"
)

// useFor moves mb megabytes a day for some days, and returns where the clock is then.
func useFor(m *Meter, at instant.Instant, counter *uint64, days int, mb float64) instant.Instant {
	for range days {
		*counter += uint64(mb * 1e6)
		at = at.Add(24 * time.Hour)
		m.Look(at, []Reading{{Interface: "wwan0", Index: 2, RxBytes: *counter, Bits: 64}})
	}
	return at
}

func adviceMeter(t *testing.T, p protocol.Plan) (*Meter, instant.Instant, *uint64) {
	t.Helper()
	m := New(Options{})
	at := instant.Instant{Boot: "b", Mono: time.Hour, Wall: time.Date(2026, 1, 1, 4, 0, 0, 0, time.UTC), Trusted: true}
	m.SetSIM("card", at)
	if err := m.SetPlan("card", p, at); err != nil {
		t.Fatal(err)
	}
	counter := new(uint64)
	m.Look(at, []Reading{{Interface: "wwan0", Index: 2, Bits: 64}})
	return m, at, counter
}

// Three months of 1.5 MB a day on a plan of 30 MB: it never held, 100 MB would have.
func TestAdviceNamesTheQuotaThatFits(t *testing.T) {
	m, at, n := adviceMeter(t, protocol.Plan{QuotaBytes: 30e6, CycleDay: 1, OnExhaust: "stop"})
	at = useFor(m, at, n, 100, 1.5)
	a := m.Advise(at)
	if a.Cycles != 3 || a.Short != 3 || a.FitBytes != 100e6 {
		t.Errorf("%d cycles, short in %d, fits %d MB; want 3, 3 and 100", a.Cycles, a.Short, a.FitBytes/1e6)
	}
	if a.MostBytes < 44e6 || a.MostBytes > 48e6 || a.MedianBytes > a.MostBytes {
		t.Errorf("most %d, median %d; want about 46 MB", a.MostBytes, a.MedianBytes)
	}
}

func TestAdviceIsSilentWithoutTwoFullCycles(t *testing.T) {
	m, at, n := adviceMeter(t, protocol.Plan{QuotaBytes: 30e6, CycleDay: 1})
	at = useFor(m, at, n, 40, 1.5)
	if a := m.Advise(at); a.FitBytes != 0 {
		t.Errorf("advises %d MB after one full cycle", a.FitBytes/1e6)
	}
}

func TestAdviceSaysWhatOverageCosts(t *testing.T) {
	m, at, n := adviceMeter(t, protocol.Plan{QuotaBytes: 30e6, CycleDay: 1, OnExhaust: "overage", OveragePerMB: 0.29, Currency: "CNY"})
	at = useFor(m, at, n, 20, 2)
	a := m.Advise(at)
	if a.OverageBytes != 10e6 || a.OverageCost < 2.89 || a.OverageCost > 2.91 {
		t.Errorf("%d bytes over for %.2f; want 10 MB for 2.90", a.OverageBytes, a.OverageCost)
	}
	if !a.RechargeBy.IsZero() {
		t.Errorf("asks for a recharge by %s, though nothing stops", a.RechargeBy)
	}
}

func TestAdviceSaysUntilWhenToAct(t *testing.T) {
	m, at, n := adviceMeter(t, protocol.Plan{CycleDay: 1, Expires: "2026-02-10"})
	at = useFor(m, at, n, 30, 1)
	a := m.Advise(at)
	want := time.Date(2026, 2, 5, 0, 0, 0, 0, time.UTC)
	if d := a.RechargeBy.Sub(want); d < -24*time.Hour || d > 24*time.Hour {
		t.Errorf("act by %s, want five days before 10 February", a.RechargeBy)
	}
}
