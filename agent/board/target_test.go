package board

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	targets "cellwarden/firmware-targets"

	"golang.org/x/tools/txtar"
)

// Each file is a board's description, a copy of a machine's /proc, /sys and /dev, and
// what `cellwarden target check` must say of the two.
func TestCheckTarget(t *testing.T) {
	files, err := filepath.Glob("testdata/targets/*.txtar")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			root := t.TempDir()
			var file, want string
			var arch, build string
			for _, f := range a.Files {
				switch name, below := strings.CutPrefix(f.Name, "root/"); {
				case below:
					full := filepath.Join(root, name)
					if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
						t.Fatal(err)
					}
					data := strings.ReplaceAll(strings.TrimSuffix(string(f.Data), "\n"), "|", "\x00")
					if err := os.WriteFile(full, []byte(data), 0o644); err != nil {
						t.Fatal(err)
					}
				case f.Name == "board.toml":
					file = string(f.Data)
				case f.Name == "arch":
					arch, build, _ = strings.Cut(strings.TrimSpace(string(f.Data)), " ")
				case f.Name == "want":
					want = string(f.Data)
				}
			}
			b, err := targets.Parse("board.toml", file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, c := range CheckTarget(root, b, arch, build) {
				if c.What == "room" {
					c.Found = "*" // as full as the disk of the tests is
				}
				got.WriteString(c.State + " " + c.What + " " + c.Found + "\n")
			}
			if got.String() != want {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}
			if left, _ := filepath.Glob(filepath.Join(root, "var/lib/cellwarden/.cellwarden-check-*")); len(left) > 0 {
				t.Errorf("the check leaves %v behind", left)
			}
		})
	}
}

// A state directory in memory loses what waits to be sent, however writable.
func TestCheckStateInMemory(t *testing.T) {
	const shm = "/dev/shm"
	if _, err := os.Stat(shm); err != nil {
		t.Skip("SKIPPED, NOT PROVED: no " + shm)
	}
	dir, err := os.MkdirTemp(shm, "cellwarden-check-")
	if err != nil {
		t.Skipf("SKIPPED, NOT PROVED: %v", err)
	}
	defer os.RemoveAll(dir)
	b, err := targets.Parse("k.toml", "name=\"k\"\ntitle=\"k\"\nbuild=[\"amd64\"]\n[paths]\nstate=\""+dir+"\"\nrun=\""+dir+"\"\n")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range CheckTarget("/", b, "amd64", "amd64") {
		found[c.What] = c.State
	}
	if found["state_memory"] != CheckMissing || found["run"] != CheckOK || found["run_flash"] != "" {
		t.Errorf("%v", found)
	}
}
