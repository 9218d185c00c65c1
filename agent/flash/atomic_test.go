package flash

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if b, err := ReadFile(OS{}, path); b != nil || err != nil {
		t.Errorf("nothing there: %q, %v", b, err)
	}
	for _, content := range []string{"one", "the second, longer", "3"} {
		if err := WriteFile(OS{}, path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := ReadFile(OS{}, path); err != nil || string(b) != content {
			t.Errorf("%q, %v", b, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := SetAside(OS{}, path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path + ".bad"); err != nil || string(b) != "3" {
		t.Errorf("%q, %v", b, err)
	}
	if err := SetAside(OS{}, path); err != nil {
		t.Errorf("nothing to set aside: %v", err)
	}
	if _, err := ReadFile(OS{}, dir); err == nil || !strings.Contains(err.Error(), "not an ordinary file") {
		t.Errorf("a directory: %v", err)
	}
	if err := os.Truncate(path+".bad", MaxStateBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(OS{}, path+".bad"); err == nil || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("a huge file: %v", err)
	}
}

// A full and a read-only file system, for real: tmpfs of one page.
func TestFullAndReadOnlyDisks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT PROVED: mounting a tiny tmpfs needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8k"); err != nil {
		t.Skipf("SKIPPED, NOT PROVED: no tmpfs here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "state")
	if err := WriteFile(OS{}, path, []byte("good")); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(OS{}, path, make([]byte, 64<<10))
	if !errors.Is(err, ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some") {
		t.Errorf("full: %v", err)
	}
	if b, err := ReadFile(OS{}, path); err != nil || string(b) != "good" {
		t.Errorf("the old state did not survive: %q, %v", b, err)
	}
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a half file was left on the full disk: %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(OS{}, path, []byte("x")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
}
