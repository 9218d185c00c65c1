package flash

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A name given at the machine is read where it is a file; a FIFO would hold the agent
// up for ever, and a terminal may be the modem's.
func TestStickIsAnOrdinaryFile(t *testing.T) {
	dir := t.TempDir()
	fifo, file := filepath.Join(dir, "fifo"), filepath.Join(dir, "m.json")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, dir, "/dev/ptmx", "/dev/null"} {
		if f, err := OpenForeign(name); err == nil {
			f.Close()
			t.Errorf("%s is read", name)
		}
	}
	f, err := OpenForeign(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(io.NewSectionReader(f, 0, 100)); err != nil || string(b) != "{}" {
		t.Errorf("%q %v", b, err)
	}
}
