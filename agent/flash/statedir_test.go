package flash

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var quiet = slog.New(slog.DiscardHandler)

// In a directory where others may write, a name of ours may be a link of theirs. What
// we write never goes where it leads; what we read is never from there.
func TestLinksAreNotFollowed(t *testing.T) {
	dir, theirs := t.TempDir(), filepath.Join(t.TempDir(), "theirs")
	for _, name := range []string{"core.state.tmp", "core.state"} {
		if err := os.WriteFile(theirs, []byte("{precious}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(theirs, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		d := OpenStateDir(OS{}, dir, "", quiet)
		if got := d.Load("core"); got != nil && strings.Contains(string(got), "precious") {
			t.Errorf("%s: read %q through a link", name, got)
		}
		if err := d.Save("core", []byte("{ours}")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(theirs); err != nil || string(got) != "{precious}" {
			t.Errorf("%s: the file behind the link holds %q, %v", name, got, err)
		}
		info, err := os.Lstat(filepath.Join(dir, "core.state"))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: the state is %v, %v", name, info.Mode(), err)
		}
		if got := OpenStateDir(OS{}, dir, "", quiet).Load("core"); string(got) != "{ours}" {
			t.Errorf("%s: kept %q", name, got)
		}
		for _, left := range []string{"core.state.tmp", "core.state", "core.state.bad"} {
			if err := os.Remove(filepath.Join(dir, left)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
}

// A directory that another may write is used, for the agent must run, and complained
// about with the cure.
func TestAStateDirectoryOpenToOthersIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for mode, want := range map[fs.FileMode]string{0o700: "", 0o777: "chmod 700 it"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		d := OpenStateDir(OS{}, dir, "", slog.New(slog.NewTextHandler(&log, nil)))
		if err := d.Save("core", []byte("{}")); err != nil {
			t.Errorf("%o: %v", mode, err)
		}
		if got := log.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%o: %q, want %q", mode, got, want)
		}
	}
}

// The uplink saves beside the loop.
func TestSavesOfDifferentNamesAtOnce(t *testing.T) {
	dir := t.TempDir()
	d := OpenStateDir(OS{}, dir, "", quiet)
	defer d.Close()
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			for n := range 20 {
				if err := d.Save(fmt.Sprint("state", i), fmt.Appendf(nil, "{%d}", n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	for i := range 8 {
		if got := d.Load(fmt.Sprint("state", i)); string(got) != "{19}" {
			t.Errorf("state%d: %q", i, got)
		}
	}
}

// The salt is drawn once; one that is damaged is drawn anew and the old one kept aside.
func TestSalt(t *testing.T) {
	dir := t.TempDir()
	salt := func() string {
		t.Helper()
		s, err := OpenStateDir(OS{}, dir, "", quiet).Salt()
		if err != nil || len(s) != 32 {
			t.Fatalf("%q, %v", s, err)
		}
		return s
	}
	first := salt()
	if again := salt(); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if err := os.WriteFile(filepath.Join(dir, "salt.state"), []byte(first[:31]+"x"), 0o600); err != nil {
		t.Fatal(err)
	}
	anew := salt()
	if anew == first || salt() != anew {
		t.Errorf("after damage: %s, before %s", anew, first)
	}
	if _, err := os.Stat(filepath.Join(dir, "salt.state.bad")); err != nil {
		t.Error(err)
	}
}

// The way to a directory matters as well: who may write above it can put another in
// its place.
func TestDirectoriesAboveAreLookedAt(t *testing.T) {
	for name, tt := range map[string]struct {
		mode fs.FileMode
		want string
	}{
		"the owner's":            {0o755, ""},
		"all write":              {0o777, "can be written by others"},
		"all write, sticky":      {0o777 | fs.ModeSticky, ""},
		"the user's group may":   {0o775, ""},
		"all but the group":      {0o757, "can be written by others"},
		"nobody may even look":   {0o700, ""},
		"only others, for worse": {0o702, "can be written by others"},
	} {
		above := filepath.Join(t.TempDir(), "above")
		dir := filepath.Join(above, "state")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(above, tt.mode); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{dir, link, filepath.Join(dir, "not", "yet")} {
			err := Private(p)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: %v, want %q", name, p, err, tt.want)
			}
		}
	}
}
