package install

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"cellwarden/agent/flash/flashtest"
	"cellwarden/protocol"
)

// lives is how many update histories the power test goes through; each is cut at
// random operations.
func lives() int {
	if n, err := strconv.Atoi(os.Getenv("CELLWARDEN_UPDATE_SEEDS")); err == nil {
		return n
	}
	return 24
}

// A whole update, cut at each of its operations in turn, twice over: after every
// cut the board starts a whole and verified binary, and the update comes through.
func TestPowerCutAtEveryStep(t *testing.T) {
	one, two := newRelease("v1.0.0", 3000), newRelease("v1.1.0", 3000)
	site := publish(t, two, one)
	never := func() int { return 0 }
	history := func(name string, fs *flashtest.FS, cuts ...int) {
		b := newBoard(t, fs, one)
		b.name, b.dial = name, site.serve(never)
		offered, done := false, false
		for start := 0; !done; start++ {
			if start > len(cuts)+8 {
				t.Fatalf("%s: not through after %d starts: %+v", name, start, b.reports)
			}
			if len(cuts) > 0 && !fs.Off && fs.CutAt == 0 {
				fs.CutAt, cuts = fs.Ops+cuts[0], cuts[1:]
			}
			exe, version, trial := b.boot(one, two)
			if !fs.Off {
				r := b.open(exe, version)
				switch {
				case trial:
					_ = r.Confirmed() // a cut is seen at the next start
				case version == two.version:
					r.TellResult()
					done = !fs.Off
				default:
					// The backend repeats its offer until it was taken.
					if !offered || r.job == nil && r.slots.Trial == nil {
						offered = r.Offer(protocol.UpdateArgs{URL: "http://s/manifest.json"}, "c-1") == nil
					}
					work(r, 5)
				}
			}
			if fs.Off {
				fs.Restart(true)
				done = false
			}
		}
		if got := b.last(); got != "confirmed" {
			t.Fatalf("%s: the backend heard %q last: %+v", name, got, b.reports)
		}
	}
	whole := flashtest.New(1)
	history("no cut", whole)
	t.Logf("FIGURE one update: %d operations on the flash", whole.Ops)
	for cut := 1; cut <= whole.Ops; cut++ {
		for seed := uint64(0); seed < 4; seed++ {
			history(fmt.Sprintf("cut at %d, seed %d", cut, seed), flashtest.New(seed), cut)
			history(fmt.Sprintf("cut at %d and %d more, seed %d", cut, 1+cut%7, seed), flashtest.New(seed), cut, 1+cut%7)
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
	cuts, confirmed, back, left := 0, 0, 0, 0
	for seed := range uint64(lives()) {
		fs := flashtest.New(seed)
		b := newBoard(t, fs, releases[0])
		broken, sick := map[string]bool{}, map[string]bool{}
		for _, r := range releases[1:] {
			switch fs.Rand.IntN(4) {
			case 0:
				broken[r.version] = true
			case 1:
				sick[r.version] = true
			}
		}
		floor := "v1.0.0" // the newest that was confirmed durably
		early := 0        // starts of it in a row that were cut short, at most
		offer := 1
		var site *site
		for start := 0; offer < len(releases); start++ {
			if start > 400 {
				t.Fatalf("seed %d: stuck at %s", seed, releases[offer].version)
			}
			b.name = fmt.Sprintf("seed %d, start %d", seed, start)
			if fs.Rand.IntN(3) > 0 {
				fs.CutAt = fs.Ops + 1 + fs.Rand.IntN(40)
			}
			exe, version, trial := b.boot(releases...)
			switch {
			case fs.Off || trial:
			case version == floor:
				early++
			case version == releases[0].version && early >= 8: // too many cuts in a row
				left, early = left+1, 0
				floor = version
			default:
				t.Fatalf("%s: %s runs, confirmed is %s", b.name, version, floor)
			}
			if !fs.Off {
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
					if s, err := (Dir{fs, dir}).Slots(); err == nil && s.Current != nil && s.Trial == nil && !fs.Off {
						floor, early = s.Current.Version, 0
					}
				default:
					r.TellResult()
					if n := len(b.reports); n > 0 && b.last() == "rolled_back "+protocol.UpdateUnhealthy || b.last() == "rolled_back "+protocol.UpdateCrashed {
						back++
					}
					if version == releases[offer].version || r.slots.Failed == releases[offer].version {
						offer++
					}
					if offer < len(releases) && r.job == nil && !fs.Off {
						site = publish(t, releases[offer], releases[0], releases[offer-1])
						b.dial = site.serve(func() int { return 200 + fs.Rand.IntN(4000) })
						_ = r.Offer(protocol.UpdateArgs{URL: "http://s/manifest.json"}, "")
					}
					if offer < len(releases) {
						work(r, 40)
					}
					if r.Lasted() == nil && !fs.Off {
						early = 0
					}
				}
			}
			if fs.Off {
				cuts++
				fs.Restart(true)
				// What the cut left of a Confirm decides.
				if s, err := (Dir{fs, dir}).Slots(); err == nil && s.Current != nil {
					floor = s.Current.Version
				}
			}
			fs.CutAt = 0
		}
	}
	t.Logf("FIGURE %d lives, %d cuts, %d confirmed, %d taken back, %d left after eight cuts in a row: always a whole binary", lives(), cuts, confirmed, back, left)
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
		b := newBoard(t, flashtest.New(seed), one)
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
			b.fs.Restart(true)
		}
		if starts != 3 {
			t.Errorf("seed %d: %d starts, want 3", seed, starts)
		}
	}
}

// A confirmed binary that days later crashes at each start is left for the packaged
// one, cut at each operation of that too. The backend hears of it, the floor stays, and
// the same version is taken again when that is said.
func TestConfirmedBinaryCrashesLater(t *testing.T) {
	one, two := newRelease("v1.0.0", 3000), newRelease("v1.1.0", 3000)
	site := publish(t, two, one)
	life := func(name string, seed uint64, cut int) (ops int) {
		b := newBoard(t, flashtest.New(seed), one)
		b.name, b.dial = name, site.serve(func() int { return 0 })
		r := b.open(packaged, one.version)
		offer(t, r)
		if !work(r, 3) {
			t.Fatalf("%s: %+v", name, b.reports)
		}
		exe, version, trial := b.boot(one, two)
		r = b.open(exe, version)
		if err := r.Confirmed(); err != nil || !trial {
			t.Fatalf("%s: trial %v, confirmed: %v", name, trial, err)
		}
		r.TellResult()
		exe, version, _ = b.boot(one, two)
		if err := b.open(exe, version).Lasted(); err != nil || version != two.version {
			t.Fatalf("%s: %s runs: %v", name, version, err)
		}
		// From here on it crashes before it can do anything.
		before := b.fs.Ops
		if cut > 0 {
			b.fs.CutAt = before + cut
		}
		for early := 0; ; early++ {
			if exe, version, _ = b.boot(one, two); !b.fs.Off && version == one.version {
				r = b.open(exe, version)
				r.TellResult()
				if !b.fs.Off {
					// A cut may have forgotten the start that it hit, or kept it.
					if early < 8 || early > 9 || cut == 0 && early != 8 {
						t.Errorf("%s: taken back after %d starts", name, early)
					}
					break
				}
			}
			if early > 12 {
				t.Fatalf("%s: still starts %s", name, version)
			}
			if b.fs.Off {
				b.fs.Restart(true)
			}
		}
		ops = b.fs.Ops - before
		if got := b.last(); got != "rolled_back "+protocol.UpdateCrashed {
			t.Errorf("%s: the backend heard %q", name, got)
		}
		// A cut before the answer is on the flash only has it told again.
		if st := r.Status(); st.Floor != two.version || st.Failed != two.version || st.Current != "" {
			t.Errorf("%s: %+v", name, st)
		}
		for _, tt := range []struct {
			again bool
			want  string
		}{{false, "refused " + protocol.UpdateVersion}, {true, "installed"}} {
			if err := r.Offer(protocol.UpdateArgs{URL: "http://s/manifest.json", Again: tt.again}, ""); err != nil {
				t.Fatal(err)
			}
			work(r, 3)
			if got := b.last(); got != tt.want {
				t.Errorf("%s: offered again %v: %q, want %q", name, tt.again, got, tt.want)
			}
		}
		return ops
	}
	whole := life("no cut", 1, 0)
	t.Logf("FIGURE eight starts and the return: %d operations on the flash", whole)
	for cut := 1; cut <= whole; cut++ {
		for seed := uint64(0); seed < 4; seed++ {
			life(fmt.Sprintf("cut at %d, seed %d", cut, seed), seed, cut)
		}
	}
}

// A confirmed binary that the flash has lost is told of as well, and what somebody
// stops or a config keeps from running does not count against one.
func TestConfirmedBinaryDamagedLater(t *testing.T) {
	one, two := newRelease("v1.0.0", 3000), newRelease("v1.1.0", 3000)
	site := publish(t, two)
	b := newBoard(t, flashtest.New(1), one)
	b.dial = site.serve(func() int { return 0 })
	r := b.open(packaged, one.version)
	offer(t, r)
	work(r, 3)
	exe, version, _ := b.boot(one, two)
	if err := b.open(exe, version).Confirmed(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		b.strange = i >= 10
		if exe, version, _ = b.boot(one, two); version != two.version {
			t.Fatalf("start %d: %s runs", i, version)
		}
		if !b.strange {
			if err := b.open(exe, version).Stopped(); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.fs.Names[exe].Data[1000] ^= 1
	if exe, version, _ = b.boot(one, two); version != one.version {
		t.Fatalf("%s runs", version)
	}
	r = b.open(exe, version)
	r.TellResult()
	if got := b.last(); got != "rolled_back "+protocol.UpdateDamaged || r.Status().Floor != two.version {
		t.Errorf("heard %q, floor %s", got, r.Status().Floor)
	}
}
