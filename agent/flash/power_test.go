package flash_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"cellwarden/agent/flash"
	"cellwarden/agent/flash/flashtest"
)

// A power cut at every operation of a life of ten saves leaves the state that was saved
// last, or the one that was being saved. Small states, one that makes the file grow, and
// a file of the form that earlier versions wrote.
func TestAStateSurvivesACutAtEveryOperation(t *testing.T) {
	states := make([][]byte, 10)
	for i := range states {
		states[i] = fmt.Appendf(nil, `{"save":%d,"fill":"%s"}`, i, bytes.Repeat([]byte("x"), 100+700*i))
	}
	for name, before := range map[string][]byte{"a new disk": nil, "a file of an earlier version": []byte(`{"save":-1}`)} {
		for _, sort := range []struct {
			name string
			save func(*flash.StateDir, flash.FS, []byte) error
			load func(flash.FS) ([]byte, error)
		}{
			{"slots", func(d *flash.StateDir, _ flash.FS, b []byte) error { return d.Save("core", b) },
				func(fs flash.FS) ([]byte, error) { return open(fs).Load("core"), nil }},
			{"whole files", func(_ *flash.StateDir, fs flash.FS, b []byte) error { return flash.WriteFile(fs, "/s/core.state", b) },
				func(fs flash.FS) ([]byte, error) { return flash.ReadFile(fs, "/s/core.state") }},
		} {
			// life saves until the power goes, and says what must be there then.
			life := func(fs *flashtest.FS) (last, tried []byte) {
				if before != nil {
					fs.Put("/s/core.state", before)
				}
				last = before
				d := open(fs)
				for _, s := range states {
					tried = s
					if err := sort.save(d, fs, s); err != nil {
						return last, tried
					}
					last = s
				}
				return last, tried
			}
			whole := flashtest.New(1)
			if last, _ := life(whole); !bytes.Equal(last, states[9]) {
				t.Fatalf("%s, %s: not all was saved", name, sort.name)
			}
			for seed := range uint64(20) {
				for cut := 1; cut <= whole.Ops; cut++ {
					fs := flashtest.New(seed<<16 + uint64(cut))
					fs.CutAt = cut
					last, tried := life(fs)
					fs.Restart(true)
					got, err := sort.load(fs)
					if err != nil || !bytes.Equal(got, last) && !bytes.Equal(got, tried) {
						t.Fatalf("%s, %s, cut at %d, seed %d: %.40q, %v; want %.40q or %.40q", name, sort.name, cut, seed, got, err, last, tried)
					}
				}
			}
		}
	}
}

func open(fs flash.FS) *flash.StateDir {
	return flash.OpenStateDir(fs, "/s", "", slog.New(slog.DiscardHandler))
}

// A state that did not change costs no write and no sync, a small one that changed one
// of each; a new or growing one costs a whole file.
func TestWhatASaveCosts(t *testing.T) {
	fs := flashtest.New(1)
	d := open(fs)
	for _, step := range []struct {
		name, state string
		ops         int
	}{
		{"the first", `{"n":1}`, 5}, // create, write, sync, rename, sync of the directory
		{"the same again", `{"n":1}`, 0},
		{"another", `{"n":2}`, 2},
		{"another", `{"n":3}`, 2},
		{"the same again", `{"n":3}`, 0},
		{"the one before", `{"n":2}`, 2},
	} {
		before := fs.Ops
		if err := d.Save("uplink", []byte(step.state)); err != nil {
			t.Fatal(err)
		}
		if got := fs.Ops - before; got != step.ops {
			t.Errorf("%s: %d operations, want %d", step.name, got, step.ops)
		}
	}
	if err := d.Save("uplink", bytes.Repeat([]byte("g"), 10_000)); err != nil {
		t.Fatal(err)
	}
	before := fs.Ops
	if err := d.Save("uplink", bytes.Repeat([]byte("g"), 11_000)); err != nil || fs.Ops-before != 2 {
		t.Errorf("a little more than what the file grew for: %d operations, %v", fs.Ops-before, err)
	}
}

// A disk that is full or read-only keeps the old state, says what is wrong, and is used
// again when it is well.
func TestASaveOnASickDisk(t *testing.T) {
	fs := flashtest.New(1)
	d := open(fs)
	if err := d.Save("core", []byte("{1}")); err != nil {
		t.Fatal(err)
	}
	fs.ReadOnly = true
	if err := d.Save("core", []byte("{2}")); err == nil || !bytes.Contains([]byte(err.Error()), []byte("read-only: remount it")) {
		t.Errorf("read-only: %v", err)
	}
	if got := open(fs).Load("core"); string(got) != "{1}" {
		t.Errorf("kept %q", got)
	}
	fs.ReadOnly = false
	if err := d.Save("core", []byte("{2}")); err != nil {
		t.Fatal(err)
	}
	if got := open(fs).Load("core"); string(got) != "{2}" {
		t.Errorf("kept %q", got)
	}
}

// A state that cannot be read is kept for someone to look at, and the agent begins
// anew. It can be saved at once.
func TestAnUnreadableStateIsSetAside(t *testing.T) {
	fs := flashtest.New(1)
	fs.Put("/s/core.state", bytes.Repeat([]byte("junk"), 3000))
	d := open(fs)
	if got := d.Load("core"); got != nil {
		t.Errorf("loaded %.20q", got)
	}
	if fs.Names["/s/core.state.bad"] == nil {
		t.Error("it is not set aside")
	}
	if err := d.Save("core", []byte("{new}")); err != nil {
		t.Fatal(err)
	}
	if got := open(fs).Load("core"); string(got) != "{new}" {
		t.Errorf("kept %q", got)
	}
	d.SetAside("core", flash.ErrStateDamaged) // the owner finds no meaning in it
	if got := d.Load("core"); got != nil {
		t.Errorf("loaded %q", got)
	}
}
