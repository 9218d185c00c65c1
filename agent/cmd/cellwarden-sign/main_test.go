package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A release as protocol/REFERENCE.md describes it: keys, a root, a manifest, then a
// change of keys and a release that bridges it.
func TestARelease(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	do := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		err := run(args, &out)
		said := out.String()
		if err != nil {
			said += err.Error()
		}
		if !strings.Contains(said, want) || strings.HasPrefix(want, "!") {
			t.Fatalf("%v: %s, want %q", args, said, want)
		}
	}
	for _, k := range []string{"an", "bo", "chen"} {
		do("key ", "key", in(k))
		if info, err := os.Stat(in(k)); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("secret key %s: %v %v", k, info.Mode(), err)
		}
	}
	do("file exists", "key", in("an"))
	do("2 of 2 keys", "root", "-version", "1", "-threshold", "2", "-expires", "2040-01-01", "-o", in("root1.json"), in("an.pub"), in("bo.pub"))
	do("too_few_keys", "show", "-root", in("root1.json"), in("root1.json"))
	for _, k := range []string{"an", "bo"} {
		do(`"version": 1`, "sign", "-key", in(k), in("root1.json"))
	}
	body := bytes.Repeat([]byte("machine code, "), 500)
	for name, head := range map[string]string{"old": "v1.0.0", "new": "v1.1.0"} {
		if err := os.WriteFile(in(name), append([]byte(head), body...), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	do("does not hold the version", "manifest", "-version", "v1.2.0", "-target", "armv7", "-expires", "2040-01-01", "-binary", in("new"), "-o", dir)
	do(".gz", "manifest", "-version", "v1.1.0", "-target", "armv7", "-expires", "2040-01-01", "-binary", in("new"), "-from", in("old"), "-o", dir)
	manifest := in("cellwarden-v1.1.0-armv7.json")
	do("too_few_keys", "show", "-root", in("root1.json"), manifest)
	do("v1.1.0", "sign", "-key", in("an"), manifest)
	do("v1.1.0", "sign", "-key", in("bo"), manifest)
	do("taken by devices that have root 1", "show", "-root", in("root1.json"), manifest)

	do("root 2", "root", "-version", "2", "-threshold", "2", "-expires", "2040-01-01", "-o", in("root2.json"), in("bo.pub"), in("chen.pub"))
	do(`"version": 2`, "sign", "-key", in("bo"), in("root2.json"))
	do(`"version": 2`, "sign", "-key", in("chen"), in("root2.json"))
	do("not taken after root 1", "show", "-root", in("root1.json"), in("root2.json"))
	do(`"version": 2`, "sign", "-key", in("an"), in("root2.json"))
	do("taken by devices that have root 1", "show", "-root", in("root1.json"), in("root2.json"))
	do(".gz", "manifest", "-version", "v1.1.0", "-target", "armv7", "-expires", "2040-01-01", "-binary", in("new"), "-roots", in("root2.json"), "-o", dir)
	do("v1.1.0", "sign", "-key", in("bo"), manifest)
	do("v1.1.0", "sign", "-key", in("chen"), manifest)
	do("taken by devices", "show", "-root", in("root1.json"), manifest)
	do("taken by devices", "show", "-root", in("root2.json"), manifest)
}
