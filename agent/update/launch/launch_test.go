package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cellwarden/agent/config"
)

// Whatever the config file is, the launcher finds the slots: a key of a later
// version must not keep that version from starting.
func TestLauncherReadsPastTheConfig(t *testing.T) {
	def, within := config.Default.Store.Dir, config.Default.Update.ConfirmWithin.Std()
	for name, tt := range map[string]struct {
		toml   string
		store  string
		within time.Duration
		able   bool
	}{
		"an ordinary file":            {"[store]\ndir = \"/data/cw\"\n[update]\nconfirm_within = \"20m\"\n", "/data/cw", 20 * time.Minute, true},
		"a key of a later version":    {"[store]\ndir = \"/data/cw\"\ncolour = \"blue\"\n[update]\nconfirm_within = \"20m\"\n", "/data/cw", 20 * time.Minute, false},
		"a value of a later version":  {"[modem]\nport = \"auto\"\npoll = [1]\n[store]\ndir = \"/data/cw\"\n", "/data/cw", within, false},
		"no file":                     {"", def, within, false},
		"a relative state directory":  {"[store]\ndir = \"cw\"\n", def, within, false},
		"a time that is none":         {"[update]\nconfirm_within = \"soon\"\n", def, within, false},
		"half a file, after a cut":    {"[store]\ndir = \"/da", def, within, false},
		"noise":                       {"\x00\xff\x00", def, within, false},
		"the key is another's number": {"[store]\ndir = 5\n", def, within, false},
	} {
		file := filepath.Join(t.TempDir(), "cellwarden.toml")
		if tt.toml != "" {
			if err := os.WriteFile(file, []byte("[device]\nid = \"cw-1\"\n"+tt.toml), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if store, within, able := bootConfig(file); store != tt.store || within != tt.within || able != tt.able {
			t.Errorf("%s: %s, %v, %v; want %s, %v, %v", name, store, within, able, tt.store, tt.within, tt.able)
		}
	}
}

// What is tried before a switch: a file that does not run on this machine, or says
// that it is something else, is found out here.
func TestSelfTestOfANewBinary(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		f := filepath.Join(dir, name)
		if err := os.WriteFile(f, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, tt := range []struct{ file, want string }{
		{file("good", "#!/bin/sh\n[ \"$1\" = version ] && echo cellwarden v1.2.0 linux/arm go1.26\n", 0o700), ""},
		{file("other", "#!/bin/sh\necho cellwarden v1.2.0-dirty linux/arm\n", 0o700), "it says it is"},
		{file("dies", "#!/bin/sh\nkill -ILL $$\n", 0o700), "illegal instruction"},
		{file("fails", "#!/bin/sh\necho cellwarden v1.2.0\nexit 1\n", 0o700), "exit status 1"},
		{file("noexec", "#!/bin/sh\necho cellwarden v1.2.0\n", 0o600), "permission denied"},
		{file("foreign", "\x7fELF of another machine", 0o700), "exec format error"},
		{filepath.Join(dir, "missing"), "no such file"},
	} {
		err := SaysVersion(tt.file, "v1.2.0")
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", filepath.Base(tt.file), err, tt.want)
		}
	}
}
