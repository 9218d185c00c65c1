package outbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// ext4 mounts a new file system of so many MB on a loop device and gives its
// directory and a counter of the bytes written to the device.
func ext4(b testing.TB, mb int) (dir, image string, written func() int64) {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("SKIP: a loop device needs root")
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		mkfs = "/usr/sbin/mkfs.ext4"
	}
	tmp := b.TempDir()
	image = filepath.Join(tmp, "image")
	dir = filepath.Join(tmp, "mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(image)
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Truncate(int64(mb) << 20); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	run := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			b.Skipf("SKIP: %s: %v %s: needs e2fsprogs, mount and loop devices", name, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run(mkfs, "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	run("mount", "-o", "loop,noatime", image, dir)
	b.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			b.Errorf("umount: %v %s", err, out)
		}
	})
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		b.Fatal(err)
	}
	stat := fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev))
	return dir, image, func() int64 {
		d, err := os.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		if err := unix.Syncfs(int(d.Fd())); err != nil { // what the file system still owes counts too
			b.Fatal(err)
		}
		raw, err := os.ReadFile(stat)
		fields := strings.Fields(string(raw))
		if err != nil || len(fields) < 7 {
			b.Fatalf("%s: %v %q", stat, err, raw)
		}
		sectors, err := strconv.ParseInt(fields[6], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return sectors * 512
	}
}

// The bars for a durable event of 300 bytes, in bytes written to the device.
const (
	flashAlone = 4500
	flashOf32  = 450
)

// TestFlashOnExt4 counts at the block device what a durable event costs, from the
// first one on: with all segments made at Open, and without.
func TestFlashOnExt4(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: writes some 40 MB")
	}
	for _, c := range []struct {
		name     string
		prealloc bool
		group    int
		most     int64
	}{
		{"alone, segments made at Open", true, 1, flashAlone},
		{"in groups of 32, segments made at Open", true, 32, flashOf32},
		{"alone, segments made as they are needed", false, 1, 0},
		{"in groups of 32, segments made as they are needed", false, 32, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, _, written := ext4(t, 64)
			before := written()
			o, _, err := Open(filepath.Join(dir, "outbox"), Options{Prealloc: c.prealloc})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			opened := written()
			const n = 1600
			for i := range n {
				if _, err := o.Append(Event, at(int64(i)), event300); err != nil {
					t.Fatal(err)
				}
				if i%c.group == c.group-1 {
					if err := o.Commit(); err != nil {
						t.Fatal(err)
					}
				}
			}
			per := (written() - opened) / n
			t.Logf("%5d bytes of flash for an event; Open wrote %d KB", per, (opened-before)>>10)
			if c.most > 0 && per > c.most {
				t.Errorf("%d bytes, the bar is %d", per, c.most)
			}
		})
	}
}

// TestPowerCutOnExt4 looks at the device as a power cut right after the last
// commit leaves it: a copy of what has reached it, mounted anew.
func TestPowerCutOnExt4(t *testing.T) {
	dir, image, _ := ext4(t, 64)
	o, _, err := Open(filepath.Join(dir, "outbox"), Options{Prealloc: true})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	const n = 1000
	for i := range n {
		if _, err := o.Append(Event, at(int64(i)), event300); err != nil {
			t.Fatal(err)
		}
		if i%5 == 4 {
			if err := o.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := filepath.Join(t.TempDir(), "after")
	if out, err := exec.Command("cp", image, after).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	cut := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", after, cut).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", cut).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	}()
	back, rep, err := Open(filepath.Join(cut, "outbox"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	t.Logf("the power cut lost %d of %d accepted events", n-rep.Waiting[Event], n)
	if rep.Waiting[Event] != n || rep.Damaged > 0 || rep.StateLost {
		t.Errorf("%s", rep)
	}
}
