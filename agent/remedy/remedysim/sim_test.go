package remedysim

import (
	"maps"
	"slices"
	"testing"
	"time"

	"cellwarden/agent/remedy"
)

// Each class, the same incidents for ladder and watchdog.
func TestLaddersKeepWhatTheyPromise(t *testing.T) {
	w, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	quick := []string{"modem_fault", "modem_off_or_airplane", "sim_absent", "sim_fault", "apn_config", "dialer_down", "data_black_hole", "carrier_outage"}
	untouched := []string{"cloud_unreachable", "weak_signal", "congestion"}
	for _, class := range slices.Sorted(maps.Keys(w.Class)) {
		ladder := w.Play(class, 300, ByLadder(remedy.Builtin, nil))
		dog := w.Play(class, 300, Watchdog)
		if slices.Contains(quick, class) && ladder.Median > 5*time.Minute {
			t.Errorf("%s: half are back within %s of the end of the cause, want 5 min", class, ladder.Median)
		}
		if w.Class[class].Refused && w.Class[class].News > 0 && ladder.NewsMedian > 30*time.Minute {
			t.Errorf("%s: back %s after good news, want 30 min", class, ladder.NewsMedian)
		}
		if slices.Contains(untouched, class) && ladder.Resets > 0 {
			t.Errorf("%s: %.2f resets of the module an incident, want none", class, ladder.Resets)
		}
		if ladder.RateLimited > 0 {
			t.Errorf("%s: the operator rate-limited %d SIMs", class, ladder.RateLimited)
		}
		if ladder.NotBack > 300/20 {
			t.Errorf("%s: %d of 300 did not come back in %s", class, ladder.NotBack, Horizon)
		}
		// Where a reset is no cure, the watchdog disturbs at least ten times as often.
		if dog.Disturb > 2 && ladder.Disturb*10 > dog.Disturb {
			t.Errorf("%s: %.1f disturbances an incident, the watchdog %.1f: want ten times fewer", class, ladder.Disturb, dog.Disturb)
		}
	}
}

// A payment that nobody tells: the patient schedule alone brings the machine back.
func TestPaidBillWithoutNewsComesBackByThePatientSchedule(t *testing.T) {
	in := Incident{Class: "arrears", Over: 90 * time.Minute, Need: "radio_cycle", cause: Cause{Refused: true}}
	out := Climb(remedy.Builtin, in, 1, nil)
	if !out.Came || out.Back > 8*time.Hour {
		t.Errorf("back: %v after %s; the second try comes six to seven hours after the first", out.Came, out.Back)
	}
	if out.Resets > 0 {
		t.Errorf("%d resets of the module for a bill", out.Resets)
	}
}
