package flash

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A slot is verified and then started by its name: nothing is started from a
// directory that somebody else may write.
func TestSlotsLieWhereNobodyElseWrites(t *testing.T) {
	for name, tt := range map[string]struct {
		mode  os.FileMode
		owner int
		want  string
	}{
		"the agent's own":  {0o700, os.Geteuid(), ""},
		"others may look":  {0o755, os.Geteuid(), ""},
		"the group writes": {0o770, os.Geteuid(), "can be written by others"},
		"all write":        {0o777, os.Geteuid(), "can be written by others"},
		"sticky, as /tmp":  {0o777 | os.ModeSticky, os.Geteuid(), "can be written by others"},
		"a stranger's":     {0o700, 12345, "belongs to user 12345"},
	} {
		dir := filepath.Join(t.TempDir(), "update")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, tt.mode); err != nil { // past the umask
			t.Fatal(err)
		}
		if tt.owner != os.Geteuid() {
			if os.Geteuid() != 0 {
				continue // only root gives a directory away
			}
			if err := os.Chown(dir, tt.owner, -1); err != nil {
				t.Fatal(err)
			}
		}
		err := Private(dir)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if err := Private(filepath.Join(t.TempDir(), "absent")); err != nil {
		t.Errorf("where nothing is: %v", err)
	}
}
