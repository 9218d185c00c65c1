package scripts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The same source in two folders gives the same bytes: no path of the folder is in
// the binary, and nothing of its state.
func TestSameBytesInAnotherFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds the device's binary twice")
	}
	other := filepath.Join(t.TempDir(), "another folder")
	for _, part := range []string{"agent", "firmware-targets", "modem", "protocol", "scripts", "go.mod", "go.sum"} {
		if err := os.MkdirAll(other, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-R", filepath.Join("..", part), other).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
	}
	var built [2][]byte
	for i, root := range []string{"..", other} {
		dir := t.TempDir()
		cmd := exec.Command("./scripts/build.sh", "-o", dir, "armv7")
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "VERSION=v0.0.1-held")
		out, err := cmd.CombinedOutput()
		b, read := os.ReadFile(filepath.Join(dir, "cellwarden-armv7"))
		if read != nil {
			t.Fatalf("%s: %v: %s", root, err, out)
		}
		built[i] = b
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Errorf("%d and %d bytes, and not the same", len(built[0]), len(built[1]))
	}
}
