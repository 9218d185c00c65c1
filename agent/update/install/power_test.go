package install

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"cellwarden/protocol"
)

// lives is how many update histories the power test goes through; each is cut at
// random operations.
func lives() int {
	if n, err := strconv.Atoi(os.Getenv("CELLWARDEN_UPDATE_SEEDS")); err == nil {
		return n
	}
	return 60
}

// A whole update, cut at each of its operations in turn, twice over: after every
// cut the board starts a whole and verified binary, and the update comes through.
func TestPowerCutAtEveryStep(t *testing.T) {
	one, two := newRelease("v1.0.0", 3000), newRelease("v1.1.0", 3000)
	site := publish(t, two, one)
	never := func() int { return 0 }
	history := func(name string, fs *crashFS, cuts ...int) {
		b := newBoard(t, fs, one)
		b.name, b.dial = name, site.serve(never)
		offered, done := false, false
		for start := 0; !done; start++ {
			if start > len(cuts)+8 {
				t.Fatalf("%s: not through after %d starts: %+v", name, start, b.reports)
			}
			if len(cuts) > 0 && !fs.off && fs.cutAt == 0 {
				fs.cutAt, cuts = fs.ops+cuts[0], cuts[1:]
			}
			exe, version, trial := b.boot(one, two)
			if !fs.off {
				r := b.open(exe, version)
				switch {
				case trial:
					_ = r.Confirmed() // a cut is seen at the next start
				case version == two.version:
					r.TellResult()
					done = !fs.off
				default:
					// The backend repeats its offer until it was taken.
					if !offered || r.job == nil && r.slots.Trial == nil {
						offered = r.Offer(protocol.UpdateArgs{URL: "http://s/manifest.json"}, "c-1") == nil
					}
					work(r, 5)
				}
			}
			if fs.off {
				fs.restart()
				done = false
			}
		}
		if got := b.last(); got != "confirmed" {
			t.Fatalf("%s: the backend heard %q last: %+v", name, got, b.reports)
		}
	}
	whole := newCrashFS(1)
	history("no cut", whole)
	t.Logf("FIGURE one update: %d operations on the flash", whole.ops)
	for cut := 1; cut <= whole.ops; cut++ {
		for seed := uint64(0); seed < 4; seed++ {
			history(fmt.Sprintf("cut at %d, seed %d", cut, seed), newCrashFS(seed), cut)
			history(fmt.Sprintf("cut at %d and %d more, seed %d", cut, 1+cut%7, seed), newCrashFS(seed), cut, 1+cut%7)
		}
	}
}

// Long lives: good, crashing and sick releases one after the other, a link that
// breaks, a flash that is cut at random operations, also while a trial starts.
func TestPowerHistories(t *testing.T) {
	releases := []release{newRelease("v1.0.0", 5000)}
	for i := 1; i < 7; i++ {
		releases = append(releases, newRelease(fmt.Sprintf("v1.%d.0", i), 5000+100*i))
	}
	cuts, confirmed, back := 0, 0, 0
	for seed := range uint64(lives()) {
		fs := newCrashFS(seed)
		b := newBoard(t, fs, releases[0])
		broken, sick := map[string]bool{}, map[string]bool{}
		for _, r := range releases[1:] {
			switch fs.rng.IntN(4) {
			case 0:
				broken[r.version] = true
			case 1:
				sick[r.version] = true
			}
		}
		floor := "v1.0.0" // the newest that was confirmed durably
		offer := 1
		var site *site
		for start := 0; offer < len(releases); start++ {
			if start > 400 {
				t.Fatalf("seed %d: stuck at %s", seed, releases[offer].version)
			}
			b.name = fmt.Sprintf("seed %d, start %d", seed, start)
			if fs.rng.IntN(3) > 0 {
				fs.cutAt = fs.ops + 1 + fs.rng.IntN(40)
			}
			exe, version, trial := b.boot(releases...)
			if !fs.off && !trial && version != floor {
				t.Fatalf("%s: %s runs, confirmed is %s", b.name, version, floor)
			}
			if !fs.off {
				r := b.open(exe, version)
				switch {
				case trial && broken[version]: // ends at once: the launcher sees it and starts again
				case trial && sick[version]:
					_ = Dir{fs, dir}.GiveUp(protocol.Refuse(protocol.UpdateUnhealthy, "no broker"))
				case trial:
					if r.Confirmed() == nil {
						confirmed++
					}
					// Durable or not shows at the next start; both are right.
					if s, err := (Dir{fs, dir}).Slots(); err == nil && s.Current != nil && s.Trial == nil && !fs.off {
						floor = s.Current.Version
					}
				default:
					r.TellResult()
					if n := len(b.reports); n > 0 && b.last() == "rolled_back "+protocol.UpdateUnhealthy || b.last() == "rolled_back "+protocol.UpdateCrashed {
						back++
					}
					if version == releases[offer].version || r.slots.Failed == releases[offer].version {
						offer++
					}
					if offer < len(releases) && r.job == nil && !fs.off {
						site = publish(t, releases[offer], releases[0], releases[offer-1])
						b.dial = site.serve(func() int { return 200 + fs.rng.IntN(4000) })
						_ = r.Offer(protocol.UpdateArgs{URL: "http://s/manifest.json"}, "")
					}
					if offer < len(releases) {
						work(r, 40)
					}
				}
			}
			if fs.off {
				cuts++
				fs.restart()
				// What the cut left of a Confirm decides.
				if s, err := (Dir{fs, dir}).Slots(); err == nil && s.Current != nil {
					floor = s.Current.Version
				}
			}
			fs.cutAt = 0
		}
	}
	t.Logf("FIGURE %d lives, %d cuts, %d confirmed, %d taken back: always a whole binary", lives(), cuts, confirmed, back)
	if confirmed == 0 || back == 0 || cuts == 0 {
		t.Errorf("the histories show too little: %d cuts, %d confirmed, %d taken back", cuts, confirmed, back)
	}
}

// A new binary that browns the board out at each start is given up as one that
// crashes is: the counter is on the flash before it starts.
func TestBrownOutAtEachStart(t *testing.T) {
	one, two := newRelease("v1.0.0", 3000), newRelease("v1.1.0", 3000)
	site := publish(t, two)
	for seed := range uint64(40) {
		b := newBoard(t, newCrashFS(seed), one)
		b.name, b.dial = fmt.Sprintf("seed %d", seed), site.serve(func() int { return 0 })
		r := b.open(packaged, one.version)
		offer(t, r)
		if !work(r, 3) {
			t.Fatalf("seed %d: %+v", seed, b.reports)
		}
		starts := 0
		for {
			_, version, trial := b.boot(one, two)
			if !trial {
				if version != one.version {
					t.Errorf("seed %d: %s runs", seed, version)
				}
				break
			}
			if starts++; starts > 3 {
				t.Fatalf("seed %d: started %d times", seed, starts)
			}
			b.fs.restart()
		}
		if starts != 3 {
			t.Errorf("seed %d: %d starts, want 3", seed, starts)
		}
	}
}
