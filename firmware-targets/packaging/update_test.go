package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// releases puts into the root dir what an updates' server would have, for a target:
// the real program as v2.1.0, also as a delta, and one that crashes as v2.2.0, signed as
// protocol/REFERENCE.md tells a vendor to.
func releases(t *testing.T, dir, target string) {
	t.Helper()
	work, site := t.TempDir(), filepath.Join(dir, "releases")
	if err := os.MkdirAll(site, 0o755); err != nil {
		t.Fatal(err)
	}
	tool := filepath.Join(work, "cellwarden-sign")
	run(t, "go", "build", "-C", root, "-o", tool, "./agent/cmd/cellwarden-sign")
	signed := func(document string) {
		for _, key := range []string{"an", "bo"} {
			run(t, tool, "sign", "-key", filepath.Join(work, key), document)
		}
	}
	args := []string{"root", "-version", "1", "-threshold", "2", "-expires", "2099-12-31", "-o", filepath.Join(site, "root.json")}
	for _, key := range []string{"an", "bo", "chen"} {
		run(t, tool, "key", filepath.Join(work, key))
		args = append(args, filepath.Join(work, key+".pub"))
	}
	run(t, tool, args...)
	signed(filepath.Join(site, "root.json"))

	// The delta is from what the package v2.0.0 holds.
	for _, version := range []string{"v2.0.0", "v2.1.0"} {
		args := []string{"-e", "2099-06-30", "-o", filepath.Join(work, version)}
		if version == "v2.1.0" {
			args = []string{"-e", "2099-06-30", "-f", filepath.Join(work, "v2.0.0"), "-o", site}
		}
		release := exec.Command(root+"/scripts/release.sh", append(args, target)...)
		release.Env = append(os.Environ(), "VERSION="+version)
		if out, err := release.CombinedOutput(); err != nil {
			t.Fatalf("release.sh: %v: %s", err, out)
		}
	}
	const crashing = `package main

import "os"

func main() {
	if os.Args[1] != "version" {
		panic("a release that crashes")
	}
	os.Stdout.WriteString("cellwarden v2.2.0\n")
}
`
	source, crasher := filepath.Join(work, "crash.go"), filepath.Join(work, "crash")
	if err := os.WriteFile(source, []byte(crashing), 0o600); err != nil {
		t.Fatal(err)
	}
	compile := exec.Command("go", "build", "-o", crasher, source)
	compile.Env = append(os.Environ(), goEnv[target]...)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	run(t, tool, "manifest", "-version", "v2.2.0", "-target", target, "-expires", "2099-06-30", "-binary", crasher, "-o", site)
	for _, version := range []string{"v2.1.0", "v2.2.0"} {
		manifest := filepath.Join(site, "cellwarden-"+version+"-"+target+".json")
		signed(manifest)
		run(t, tool, "show", "-root", filepath.Join(site, "root.json"), manifest)
	}
}
