// Command footprint prints what the agent costs a small board: the budget table,
// and what each dependency adds to the ARMv7 binary. make footprint runs it.
//
//	go run ./scripts/footprint [-deps]
//
// It builds every ARM target and the package for ARMv7 with the project's own
// scripts, in a temporary folder. -deps prints the second table only, from one
// build. How memory and the cold start are measured it says.
package main

import (
	"cmp"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// limitBytes is the budget of scripts/build.sh for a binary.
const limitBytes = 12 << 20

// packageBytes are the budgets of scripts/package.sh.
var packageBytes = map[string]int64{"deb": 4_500_000, "ipk": 5 << 20}

// shownBytes is the least that has a row of its own.
const shownBytes = 12 << 10

func main() {
	deps := flag.Bool("deps", false, "only what each dependency costs")
	flag.Parse()
	if err := run(os.Stdout, *deps); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, depsOnly bool) error {
	dir, err := os.MkdirTemp("", "cellwarden-footprint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if !depsOnly {
		if err := budget(w, dir); err != nil {
			return err
		}
	}
	if err := script("scripts/build.sh", "-g", "-o", dir, "armv7"); err != nil {
		return err
	}
	total, rows, err := costs(filepath.Join(dir, "cellwarden-armv7"))
	if err != nil {
		return err
	}
	table(w, total, rows)
	return nil
}

func script(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// budget builds what is delivered and prints its sizes.
func budget(w io.Writer, dir string) error {
	fmt.Fprintf(w, "%-34s %12s %12s\n", "budget", "measured", "at most")
	// A script fails for what is over its limit, which the table shows.
	for _, target := range []string{"armv5", "armv6", "armv7", "arm64"} {
		built := script("scripts/build.sh", "-o", dir, target)
		info, err := os.Stat(filepath.Join(dir, "cellwarden-"+target))
		if err != nil {
			return errors.Join(built, err)
		}
		fmt.Fprintf(w, "%-34s %12d %12d\n", "stripped binary, "+target, info.Size(), limitBytes)
	}
	made := script("scripts/package.sh", "-o", dir, "-t", "armv7", "deb", "ipk")
	for _, kind := range []string{"deb", "ipk"} {
		files, err := filepath.Glob(filepath.Join(dir, "*."+kind))
		if err != nil || len(files) != 1 {
			return fmt.Errorf("package.sh made %v, not one .%s: %w", files, kind, made)
		}
		info, err := os.Stat(files[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-34s %12d %12d\n", "."+kind+", armv7", info.Size(), packageBytes[kind])
	}
	fmt.Fprintf(w, "%-34s %12s %12s  go test ./agent/e2e -run AtRest -v\n", "resident at rest (private)", "", "14 (8) MB")
	fmt.Fprintf(w, "%-34s %12s %12s  go test ./agent/e2e -run ColdStart -v\n\n", "cold start to the first verdict", "", "30 s")
	return nil
}

// shared is the row of what belongs to no package: the linker keeps one copy.
const shared = "(types and strings)"

// A cost is what one module or package takes of the binary's file.
type cost struct {
	name      string
	functions int
	text      uint64 // machine code
	data      uint64 // tables and variables with a value
	lines     uint64 // its share of the tables by which Go finds lines, frames and pointers
}

func (c cost) total() uint64 { return c.text + c.data + c.lines }

// costs reads a binary with symbols. A package's share of the tables of lines is
// reckoned, half of them by its number of functions and half by their length, as
// is about true: each function has a fixed head and a tail that grows with it.
func costs(file string) (total uint64, rows []cost, err error) {
	f, err := elf.Open(file)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", file, err)
	}
	var pclntab uint64
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS {
			continue
		}
		total += s.Size
		if s.Name == ".gopclntab" {
			pclntab = s.Size
		}
	}
	by := map[string]*cost{}
	all := cost{}
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF || int(s.Section) >= len(f.Sections) || f.Sections[s.Section].Type == elf.SHT_NOBITS {
			continue
		}
		if strings.HasPrefix(s.Name, "runtime.") && f.Sections[s.Section].Name == ".gopclntab" {
			continue // the tables themselves
		}
		name := group(packageOf(s.Name))
		c := by[name]
		if c == nil {
			c = &cost{name: name}
			by[name] = c
		}
		if f.Sections[s.Section].Name == ".text" {
			c.text += s.Size
			c.functions++
			all.text += s.Size
			all.functions++
		} else {
			c.data += s.Size
		}
	}
	if all.functions == 0 || all.text == 0 {
		return 0, nil, fmt.Errorf("%s: no functions: built without -g?", file)
	}
	rest, shared := cost{name: "(everything smaller)"}, cost{name: shared}
	for _, c := range by {
		if c.name == shared.name {
			shared = *c
			continue
		}
		c.lines = pclntab/2*uint64(c.functions)/uint64(all.functions) + uint64(float64(pclntab/2)*float64(c.text)/float64(all.text))
		if c.total() < shownBytes {
			rest.functions += c.functions
			rest.text += c.text
			rest.data += c.data
			rest.lines += c.lines
			continue
		}
		rows = append(rows, *c)
	}
	slices.SortFunc(rows, func(a, b cost) int { return cmp.Compare(b.total(), a.total()) })
	rows = append(rows, rest)
	counted := shared.text
	for _, c := range rows {
		counted += c.total()
	}
	// Types and strings have symbols without a length: they are what is left.
	shared.lines, shared.data = 0, total-min(counted, total)
	return total, append(rows, shared), nil
}

// packageOf is the package of a symbol's name, "runtime" of "runtime.gcStart".
func packageOf(symbol string) string {
	if strings.HasPrefix(symbol, "type:.") || strings.HasPrefix(symbol, "go:") {
		// type:.eq.cellwarden/agent/diag.Port: the compiler's comparison of a type
		_, of, ok := strings.Cut(strings.TrimPrefix(symbol, "type:."), ".")
		if !ok || strings.HasPrefix(symbol, "go:") || strings.ContainsAny(of, "{}[]* ") {
			return shared
		}
		symbol = of
	}
	symbol, _, _ = strings.Cut(symbol, "[") // type arguments
	slash := strings.LastIndexByte(symbol, '/') + 1
	dot := strings.IndexByte(symbol[slash:], '.')
	if dot < 0 {
		return shared
	}
	// The linker writes %2e for a dot in the last part of a path.
	return strings.ReplaceAll(symbol[:slash+dot], "%2e", ".")
}

// group is the row that a package belongs to: one for each module, and for the
// standard library one for each thing that it is used for.
func group(pkg string) string {
	for _, u := range uses {
		if slices.ContainsFunc(u.packages, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") }) {
			return u.name
		}
	}
	if strings.HasPrefix(pkg, "(") {
		return pkg
	}
	if first, _, _ := strings.Cut(pkg, "/"); strings.Contains(first, ".") {
		return pkg
	}
	return "std " + pkg
}

func table(w io.Writer, total uint64, rows []cost) {
	why := maps.Collect(func(yield func(string, string) bool) {
		for _, u := range uses {
			if !yield(u.name, u.why) {
				return
			}
		}
	})
	fmt.Fprintf(w, "%-34s %8s %8s %8s %8s %6s  %s\n", "ARMv7, bytes", "total", "code", "data", "lines", "share", "what for")
	for _, c := range rows {
		fmt.Fprintf(w, "%-34s %8d %8d %8d %8d %5.1f%%  %s\n", c.name, c.total(), c.text, c.data, c.lines,
			100*float64(c.total())/float64(total), why[c.name])
	}
	fmt.Fprintf(w, "%-34s %8d\n", "all that is loaded", total)
}
