package flash

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func reopen(t *testing.T, path string) (*Slots, []byte) {
	t.Helper()
	s, state, err := OpenSlots(OS{}, path, 100)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, state
}

func TestSlotsKeepTheLastState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter")
	s, state := reopen(t, path)
	if state != nil {
		t.Errorf("a new file holds %q", state)
	}
	if _, state = reopen(t, path); state != nil {
		t.Errorf("a file never written holds %q", state)
	}
	for i := range 5 {
		want := strings.Repeat("s", i+1)
		if err := s.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, state = reopen(t, path); string(state) != want {
			t.Errorf("%q, want %q", state, want)
		}
	}
	big := bytes.Repeat([]byte("g"), 3*slotUnit) // grows the file
	if err := s.Write(big); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(append(big, '!')); err != nil {
		t.Fatal(err)
	}
	s, state = reopen(t, path) // and shrinks to what is expected no further than it must
	if len(state) != len(big)+1 {
		t.Errorf("%d bytes", len(state))
	}
	if err := s.Write([]byte("small again")); err != nil {
		t.Fatal(err)
	}
	if _, state = reopen(t, path); string(state) != "small again" {
		t.Errorf("%q", state)
	}
	if err := s.Write(make([]byte, MaxStateBytes)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too much: %v", err)
	}
}

// A power cut in the middle of a write leaves the new state or the one before,
// wherever it comes.
func TestSlotsSurviveATornWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter")
	s, _ := reopen(t, path)
	for _, x := range []string{"the first state", "the one before"} {
		if err := s.Write([]byte(x)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write([]byte("the new state, longer")); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range after {
		torn := append(append([]byte(nil), after[:cut]...), before[cut:]...)
		state, ok := (&Slots{}).latest(torn)
		if !ok || string(state) != "the one before" && string(state) != "the new state, longer" {
			t.Fatalf("cut at %d: %q", cut, state)
		}
	}
}

func TestSlotsBothSpoilt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meter")
	if err := os.WriteFile(path, bytes.Repeat([]byte("junk"), 2048), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenSlots(OS{}, path, 100); !errors.Is(err, ErrStateDamaged) {
		t.Fatalf("%v", err)
	}
	if err := SetAside(OS{}, path); err != nil {
		t.Fatal(err)
	}
	if _, state := reopen(t, path); state != nil {
		t.Errorf("%q", state)
	}
}

func FuzzSlots(f *testing.F) {
	f.Add(append(appendSlot(nil, 3, []byte("state")), make([]byte, 25)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if state, ok := (&Slots{}).latest(b); !ok && state != nil {
			t.Fatalf("%q from a damaged file", state)
		}
	})
}

// What one write really costs: ext4 on a loop device, as the block layer counts.
func TestBytesToFlashPerWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT PROVED: a loop device needs root")
	}
	dir := t.TempDir()
	img, mnt := filepath.Join(dir, "img"), filepath.Join(dir, "mnt")
	run := func(args ...string) string {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("SKIPPED, NOT PROVED: %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("mkdir", mnt)
	run("truncate", "-s", "32M", img)
	run("mkfs.ext4", "-q", "-b", "4096", img)
	dev := run("losetup", "-f", "--show", img)
	t.Cleanup(func() { run("losetup", "-d", dev) })
	run("mount", dev, mnt)
	t.Cleanup(func() { run("umount", mnt) })
	written := func() int {
		run("sync", "-f", mnt)
		b, err := os.ReadFile("/sys/block/" + filepath.Base(dev) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.Fields(string(b))[6])
		if err != nil {
			t.Fatal(err)
		}
		return n * 512
	}
	const state, n = 4600, 40
	s, _, err := OpenSlots(OS{}, filepath.Join(mnt, "slots"), state)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cost := func(write func() error) int {
		before := written()
		for range n {
			if err := write(); err != nil {
				t.Fatal(err)
			}
		}
		return (written() - before) / n
	}
	slots := cost(func() error { return s.Write(make([]byte, state)) })
	atomic := cost(func() error { return WriteFile(OS{}, filepath.Join(mnt, "file"), make([]byte, state)) })
	t.Logf("%d bytes of state cost the flash %d in a slot, %d in a file replaced", state, slots, atomic)
	if slots > 16<<10 {
		t.Errorf("a slot costs %d bytes", slots)
	}
}
