package meter

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// modemWorld is a board beside a modem that counts by itself.
type modemWorld struct {
	*rig
	rng    *rand.Rand
	truth  uint64  // everything that moved since the first look
	modem  float64 // what the modem shows
	factor float64 // of what the kernel counts
	flash  []byte
	cuts   int
}

func (w *modemWorld) traffic() {
	n := w.rng.Uint64N(60 << 10)
	w.rx += n
	w.truth += n
	w.modem += float64(n) * w.factor
	w.at = w.at.Add(time.Duration(1+w.rng.IntN(20)) * time.Second)
}

func (w *modemWorld) lookAndKeep() {
	w.look()
	if w.m.Due(w.at) {
		w.flash = w.m.Snapshot()
		w.m.Saved(w.at)
	}
}

// cut takes the power from the board, and from the modem too where it resets.
func (w *modemWorld) cut(reset bool) {
	w.cuts++
	if reset {
		w.modem = 0
	}
	m, err := Restore(w.flash, Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.m = m
	w.at.Boot = fmt.Sprint("boot-", w.cuts)
	w.at.Wall = w.at.Wall.Add(time.Duration(w.rng.IntN(3000)) * time.Second)
	w.at.Mono, w.rx, w.tx = 5*time.Second, 0, 0
}

func newModemWorld(t *testing.T, seed uint64, factor float64) *modemWorld {
	w := &modemWorld{rig: newRig(t, time.Date(2026, 5, 1, 8, 0, 0, 0, beijing)), rng: rand.New(rand.NewPCG(seed, 31)), factor: factor}
	w.modem = float64(w.rng.IntN(1 << 30))
	w.flash = w.m.Snapshot()
	return w
}

// Looks, readings of the modem, power cuts, kills and resets of the modem in any
// order: never a byte more than moved, whatever the modem's framing.
func TestModemBytesNeverCountTwice(t *testing.T) {
	var recovered, cuts, truth, counted uint64
	for seed := range uint64(3000) {
		w := newModemWorld(t, seed, []float64{1, 1.04, 0.97, 1.06}[seed%4])
		for range 120 {
			switch w.rng.IntN(16) {
			case 0:
				w.cut(w.rng.IntN(3) == 0)
				cuts++
			case 1: // kill -9
				m, err := Restore(w.m.Snapshot(), Options{})
				if err != nil {
					t.Fatal(err)
				}
				w.m = m
			case 2:
				w.modem = 0 // the modem alone was restarted
			case 3, 4, 5:
				w.m.ModemBytes(uint64(w.modem), 0, w.at)
			case 6, 7, 8, 9:
				w.lookAndKeep()
			default:
				w.traffic()
			}
			if got := w.m.lifetime(); got > w.truth {
				t.Fatalf("seed %d: counted %d, moved %d", seed, got, w.truth)
			}
			if got := w.m.inRows(); got != w.m.lifetime() {
				t.Fatalf("seed %d: rows hold %d of %d", seed, got, w.m.lifetime())
			}
		}
		w.lookAndKeep()
		recovered += w.m.Recovered()
		truth += w.truth
		counted += w.m.lifetime()
	}
	t.Logf("%d cuts, moved %d, counted %d, of it brought back by the modem %d", cuts, truth, counted, recovered)
	if recovered == 0 {
		t.Error("nothing was ever brought back: the test proves nothing")
	}
}

// A power cut to the board alone costs nothing but the slack for framing.
func TestModemBytesCloseTheGapOfAPowerCut(t *testing.T) {
	w := newModemWorld(t, 1, 1)
	for range 10 {
		w.traffic()
		w.look()
	}
	w.m.ModemBytes(uint64(w.modem), 0, w.at)
	w.look()
	w.flash = w.m.Snapshot()
	w.m.Saved(w.at)
	w.rx += 100 * kB // counted, not kept
	w.truth += 100 * kB
	w.modem += 100 * float64(kB)
	w.look()
	w.cut(false)
	w.rx += 16 * kB // since the start, before anyone looked
	w.truth += 16 * kB
	w.modem += 16 * float64(kB)
	w.m.ModemBytes(uint64(w.modem), 0, w.at)
	w.look()
	lost := w.truth - w.m.lifetime()
	t.Logf("moved %d, lost %d of %d at risk", w.truth, lost, 100*kB)
	if lost > (100+16)*kB/(modemSlack+1)+1 || w.m.Recovered() == 0 {
		t.Errorf("lost %d, want at most a seventeenth of what moved since", lost)
	}
}

// The bytes of a modem that another card was put into are no one's to claim.
func TestModemBytesDoNotCrossACardSwap(t *testing.T) {
	w := newModemWorld(t, 2, 1)
	w.m.SetSIM("card-1", w.at)
	w.m.ModemBytes(uint64(w.modem), 0, w.at)
	w.look()
	w.flash = w.m.Snapshot()
	w.modem += 100 * float64(kB)
	w.cut(false)
	w.m.SetSIM("card-2", w.at)
	w.m.ModemBytes(uint64(w.modem), 0, w.at)
	w.look()
	if got := w.m.lifetime(); got != 0 {
		t.Errorf("%d bytes went to a card", got)
	}
}
