package remedy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// world plays an engine on a virtual clock. Each step takes a second.
type world struct {
	t     *testing.T
	e     *Engine
	now   time.Duration
	in    Input
	seen  []string
	since map[string]time.Duration
}

func newWorld(t *testing.T, seed string) *world {
	return &world{t: t, e: New(Builtin, seed, State{}, 0), in: Input{Card: "card-1", Sure: true}, since: map[string]time.Duration{}}
}

// judge says what the diagnosis now is.
func (w *world) judge(class string) {
	if w.in.Class != class {
		w.in.Class, w.in.Since = class, w.now
	}
}

// run lets the time go on in steps of a second and notes what is done.
func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; w.now += time.Second {
		w.in.Now = w.now
		if got := w.e.Look(w.in); got.Step != "" {
			w.seen = append(w.seen, fmt.Sprintf("%s %s", w.now.Round(time.Second), got.Step))
			w.e.Ended(w.now+time.Second, Done)
		}
	}
}

// restart is a power cut: what was kept comes back, the monotonic clock begins anew.
func (w *world) restart() {
	data, err := json.Marshal(w.e.State())
	if err != nil {
		w.t.Fatal(err)
	}
	var kept State
	if err := json.Unmarshal(data, &kept); err != nil {
		w.t.Fatal(err)
	}
	w.now, w.in.Since = 0, 0
	w.e = New(Builtin, "vm-1", kept, 0)
	if step, _ := w.e.Interrupted(); step != "" {
		w.e.Ended(0, Interrupted)
	}
}

func (w *world) steps() (out []string) {
	for _, s := range w.seen {
		_, step, _ := strings.Cut(s, " ")
		out = append(out, step)
	}
	return out
}

func TestMuteModemClimbsFromReopenToPowerCut(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.judge("modem_fault")
	w.run(10 * time.Minute)
	want := []string{"reopen", "soft_reset", "reset_line", "usb_power", "power_cut"}
	if got := w.steps(); !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", w.seen, want)
	}
}

func TestModemThatNothingHelpsIsHeld(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.judge("modem_fault")
	w.run(24 * time.Hour)
	resets := 0
	for _, s := range w.steps() {
		if s == "reset_line" || s == "soft_reset" {
			resets++
		}
	}
	if resets > 6 {
		t.Errorf("%d module resets in a day, at most 6: %v", resets, w.seen)
	}
}

func TestClimbEndsWhenServiceIsBack(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.judge("modem_fault")
	w.run(14 * time.Second)
	w.judge("healthy")
	w.run(time.Hour / 2)
	if got := w.steps(); len(got) > 2 || got[0] != "reopen" {
		t.Errorf("took %v after service was back", w.seen)
	}
	w.judge("modem_fault") // within the hour: it goes on where it stopped
	before := len(w.seen)
	w.run(time.Minute)
	if got := w.steps()[before:]; len(got) == 0 || got[0] == "reopen" {
		t.Errorf("a modem that fails again at once took %v, want the next rung", got)
	}
}

func TestRefusalThatSticksIsTriedOnThePatientSchedule(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.in.Able = func(s Step) bool { return s != "sim_switch" }
	w.judge("arrears")
	w.run(60 * time.Hour)
	if got := w.steps(); len(got) < 3 || len(got) > 4 || slices.ContainsFunc(got, func(s string) bool { return s != "radio_cycle" }) {
		t.Fatalf("took %v, want three or four radio cycles", w.seen)
	}
	for i, least := range []time.Duration{60 * time.Minute, 6 * time.Hour, 24 * time.Hour} {
		at, _ := time.ParseDuration(strings.Fields(w.seen[i])[0])
		before := time.Duration(0)
		if i > 0 {
			before, _ = time.ParseDuration(strings.Fields(w.seen[i-1])[0])
		}
		if wait := at - before; wait < least || wait > least*5/4+5*time.Minute {
			t.Errorf("cycle %d came %s after the one before, want %s and up to a quarter more", i+1, wait, least)
		}
	}
}

func TestGoodNewsBringsTheRadioCycleForwardOnce(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.in.Able = func(s Step) bool { return s != "sim_switch" }
	w.judge("arrears")
	w.run(10 * time.Minute)
	w.e.Tell(w.now, "sms_topup", 0)
	w.run(5 * time.Second)
	if got := w.steps(); len(got) != 1 || got[0] != "radio_cycle" {
		t.Fatalf("took %v, want one radio cycle at once", w.seen)
	}
	w.e.Tell(w.now, "platform_active", 0)
	w.run(50 * time.Minute)
	if len(w.seen) != 1 {
		t.Errorf("took %v: a second cycle within the hour breaks N1 of TS.34", w.seen)
	}
	w.run(20 * time.Minute)
	if len(w.seen) != 2 {
		t.Errorf("took %v: the second news waits for the hour, it is not lost", w.seen)
	}
}

func TestCloudThatIsAwayNeverTouchesTheModem(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.judge("cloud_unreachable")
	w.run(48 * time.Hour)
	for _, s := range w.steps() {
		if Builtin.Disturbs(Step(s)) > DisturbsNothing {
			t.Errorf("took %s", s)
		}
	}
}

func TestNothingIsDoneWhile(t *testing.T) {
	for name, set := range map[string]func(*Input){
		"a payment runs":           func(in *Input) { in.HeldUntil = time.Hour },
		"a technician is at work":  func(in *Input) { in.PausedUntil = time.Hour },
		"the network says to wait": func(in *Input) { in.BackOff = time.Hour },
		"packets pass":             func(in *Input) { in.Passing = true },
	} {
		w := newWorld(t, "vm-1")
		set(&w.in)
		w.judge("data_black_hole")
		w.run(59 * time.Minute)
		for _, s := range w.steps() {
			if Builtin.Disturbs(Step(s)) >= DisturbsSession {
				t.Errorf("%s: took %s", name, s)
			}
		}
		w.in.Passing = false
		w.run(30 * time.Minute)
		if !slices.Contains(w.steps(), "redial") {
			t.Errorf("%s: nothing was done afterwards either: %v", name, w.seen)
		}
	}
}

func TestBusyMachineIsWaitedForTenMinutesAtMost(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.in.Busy = true
	w.judge("dialer_down")
	w.run(9 * time.Minute)
	if len(w.seen) != 0 {
		t.Errorf("took %v while the machine was busy", w.seen)
	}
	w.run(2 * time.Minute)
	if len(w.seen) == 0 {
		t.Errorf("a machine that never rests is never helped")
	}
}

func TestUnsureVerdictClimbsOnlyTheCautiousLadder(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.in.Sure = false
	w.judge("modem_fault")
	w.run(24 * time.Hour)
	for _, s := range w.steps() {
		if Builtin.Forbids("ambiguous", Step(s)) {
			t.Errorf("took %s on an undecided verdict", s)
		}
	}
}

// A board that is killed in the middle of each step, in a loop, and whose clock of
// the run starts at zero each time: no budget is ever exceeded, and none is refreshed.
func TestNoBudgetIsRefreshedByKillsAndRestarts(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, "vm-1")
		spent := map[string][]time.Duration{}
		real := time.Duration(0)
		classes := make([]string, 0, len(Builtin.Class))
		for c := range Builtin.Class {
			classes = append(classes, c)
		}
		slices.Sort(classes)
		for real < 30*time.Hour {
			d := time.Duration(1+rnd.IntN(90)) * time.Second
			w.now += d
			real += d
			if rnd.IntN(20) == 0 {
				w.judge(classes[rnd.IntN(len(classes))])
			}
			if rnd.IntN(50) == 0 {
				w.e.Tell(w.now, "sms_topup", 0)
			}
			w.in.Now = w.now
			got := w.e.Look(w.in)
			if got.Step != "" {
				if Builtin.Forbids(got.Class, got.Step) {
					t.Fatalf("seed %d: %s was taken for %s, which forbids it", seed, got.Step, got.Class)
				}
				for _, b := range Builtin.Step[got.Step].Spends {
					row := Builtin.Budget[b]
					spent[b] = append(spent[b], real)
					if n := len(spent[b]); n > row.Limit && real-spent[b][n-1-row.Limit] < time.Duration(row.Per) {
						t.Fatalf("seed %d: %s: %d within %s, limit %d", seed, b, row.Limit+1, real-spent[b][n-1-row.Limit], row.Limit)
					}
				}
			}
			switch {
			case rnd.IntN(6) == 0:
				w.restart() // in the middle of the step
			case got.Step != "":
				w.e.Ended(w.now, Done)
			}
		}
	}
}

func TestStepsThatTheBoardCannotTakeArePassedOver(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.in.Able = func(s Step) bool { return s == "reopen" || s == "power_cut" }
	w.judge("modem_fault")
	w.run(2 * time.Minute)
	if got := w.steps(); !slices.Equal(got, []string{"reopen", "power_cut"}) {
		t.Errorf("took %v", w.seen)
	}
	w.in.Now = w.now
	if d := w.e.Look(w.in); d.Why != WhyExhausted {
		t.Errorf("says %q, want that nothing more can be done", d.Why)
	}
}

func TestTwoCardsHaveTheirOwnBudgets(t *testing.T) {
	w := newWorld(t, "vm-1")
	w.judge("arrears")
	w.e.Tell(w.now, "sms_topup", 0)
	w.run(3 * time.Second)
	w.in.Card = "card-2"
	w.e.Tell(w.now, "sms_topup", 0)
	w.run(3 * time.Second)
	if got := w.steps(); !slices.Equal(got, []string{"radio_cycle", "radio_cycle"}) {
		t.Errorf("took %v, want one cycle for each card", w.seen)
	}
}

// Machines of one district do not act in the same second after an outage.
func TestDistrictDoesNotActInStep(t *testing.T) {
	at := map[string]int{}
	for i := range 50 {
		w := newWorld(t, fmt.Sprintf("vm-%d", i))
		w.judge("carrier_outage")
		w.run(20 * time.Minute)
		at[w.seen[0]]++
	}
	for first, n := range at {
		if n > 10 {
			t.Errorf("%d of 50 machines acted at %s", n, first)
		}
	}
}

func TestTableSaysWhereItIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"[class.x]\nrungs=[{step=\"fly\",after=\"1s\"}]\nreason=\"r\"": `t: [class.x] "fly" is no step`,
		"[step.a]\ndisturbs=\"radio\"\ntimeout=\"1s\"\ndoes=\"d\"":     "t: [step.a] cuts the line and draws on no budget",
		"[step.a]\ndisturbs=\"sky\"":                                   `t: [step.a] disturbs = "sky"; one of nothing, card, session, radio, module, board`,
		"[budget.b]\nlimit=0":                                          "t: [budget.b] limit (1 or more), per, of (card or machine) and reason are required",
		"[step.a]\ndisturbs=\"nothing\"\ntimeout=\"1s\"\ndoes=\"d\"\n[class.x]\npatient=\"a\"\nreason=\"r\"":             `t: [class.x] patient = "a" has no waits`,
		"[step.a]\ndisturbs=\"nothing\"\ntimeout=\"1s\"\ndoes=\"d\"\n[class.x]\nnews=\"a\"\nnever=[\"a\"]\nreason=\"r\"": `t: [class.x] step "a" is forbidden by its own never`,
		"[class.x]\nspeed=1": `t: unknown key "class.x.speed"`,
	} {
		if _, err := ParseTable("t", text); err == nil || err.Error() != want {
			t.Errorf("said %v\nwant %s", err, want)
		}
	}
}
