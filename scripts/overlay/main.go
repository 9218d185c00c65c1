// Command overlay writes what the device's binary is built from besides the
// sources as they are: files for go build's -overlay.
//
//	go run ./scripts/overlay DIR     writes DIR/overlay.json and the files it names
//	go run ./scripts/overlay -list   prints every cut: its name, a tab, its marker,
//	                                 and every packed file in the same way
//
// Some functions of the standard library return at once, since what they lead to
// would always be linked in and no part of the agent uses it (table.go). Tables and
// texts are deflated (package packed). Nothing outside of DIR is written. It is run
// in the folder of the module.
//
// The table is made for one release of Go. With another release, or where a file
// reads differently, the binary is built without that cut, which is said; it is
// larger then, and both build.sh's limit and the test of the binary speak.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"cellwarden/firmware-targets/packed"
)

// release is the Go that the table is made for.
const release = "go1.26"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: overlay DIR | -list")
		os.Exit(2)
	}
	if os.Args[1] == "-list" {
		for _, c := range cuts {
			fmt.Printf("%s\t%s\n", c.name, c.marker)
		}
		if err := eachPacked(".", func(path, text string) {
			fmt.Printf("%s\t%s\n", path, marker(text))
		}); err != nil {
			fatal(err)
		}
		return
	}
	if err := write(os.Args[1], "."); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "overlay:", err)
	os.Exit(1)
}

// write fills dir; module is the folder of the module.
func write(dir, module string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if module, err = filepath.Abs(module); err != nil {
		return err
	}
	stubs := filepath.Join(module, "scripts", "overlay", "_stubs")
	o := overlay{dir: dir, stubs: stubs, text: map[string]string{}, replace: map[string]string{}}
	env, err := goCommand("env", "GOROOT", "GOVERSION")
	if err != nil {
		return err
	}
	root, version, _ := strings.Cut(env, "\n")
	o.src = filepath.Join(root, "src")
	if version == release || strings.HasPrefix(version, release+".") {
		for _, c := range cuts {
			if err := o.apply(c); err != nil {
				fmt.Fprintf(os.Stderr, "overlay: %s: %v: built without this cut\n", c.name, err)
			}
		}
	} else {
		fmt.Fprintf(os.Stderr, "overlay: made for %s, this is %s: built without any cut\n", release, version)
	}
	if err := eachPacked(module, func(path, text string) { o.text[path] = packed.Pack(text) }); err != nil {
		return err
	}
	return o.save()
}

// eachPacked calls f with every file of packedFiles.
func eachPacked(module string, f func(path, text string)) error {
	for _, pattern := range packedFiles {
		paths, err := filepath.Glob(filepath.Join(module, pattern))
		if err != nil {
			return err
		}
		if len(paths) == 0 {
			return fmt.Errorf("%s: there is no such file: correct packedFiles", pattern)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f(path, string(b))
		}
	}
	return nil
}

// marker is what a binary that holds the plain text would hold: the first line
// with an end to it that is long enough to be found nowhere else.
func marker(text string) string {
	for line := range strings.Lines(text) {
		if len(line) > 40 && !strings.Contains(line, "\t") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// An overlay collects the files that are replaced.
type overlay struct {
	dir, src, stubs string

	text    map[string]string // a file's path: what it reads as now
	replace map[string]string // a file's path: another file, or "" for none
}

// apply makes the edits of one cut, or none when one does not fit.
func (o *overlay) apply(c cut) error {
	text := map[string]string{}
	for _, e := range c.edits {
		path := filepath.Join(o.src, e.file)
		s, ok := text[path]
		if !ok {
			if s, ok = o.text[path]; !ok {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				s = string(b)
			}
		}
		if !strings.Contains(s, e.old) {
			return fmt.Errorf("%s no longer has %q", e.file, e.old)
		}
		text[path] = strings.ReplaceAll(s, e.old, e.new)
	}
	for pkg, stub := range c.stub {
		if err := o.standIn(pkg, stub); err != nil {
			return err
		}
	}
	for path, s := range text {
		o.text[path] = s
	}
	return nil
}

// standIn replaces a whole package by one file.
func (o *overlay) standIn(pkg, stub string) error {
	b, err := os.ReadFile(filepath.Join(o.stubs, stub))
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(o.src, pkg, "*.go"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("no package " + pkg)
	}
	for _, f := range files {
		o.replace[f] = ""
	}
	o.text[filepath.Join(o.src, pkg, stub)] = string(b)
	return nil
}

// save writes the files and the list of them.
func (o *overlay) save() error {
	n := 0
	for path, s := range o.text {
		n++
		file := filepath.Join(o.dir, fmt.Sprintf("%d-%s", n, filepath.Base(path)))
		if err := os.WriteFile(file, []byte(s), 0o644); err != nil {
			return err
		}
		o.replace[path] = file
	}
	list, err := json.MarshalIndent(map[string]any{"Replace": o.replace}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.dir, "overlay.json"), list, 0o644)
}

func goCommand(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
