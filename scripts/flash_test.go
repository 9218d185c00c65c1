package scripts

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"
)

// durable are the functions that make a file whole and durable, or write one that a
// link can lead astray. They are agent/flash's alone.
var durable = map[string][]string{
	"os": {"Rename", "WriteFile", "Create", "CreateTemp", "Truncate", "Link"},
	"golang.org/x/sys/unix": {"Fsync", "Fdatasync", "Sync", "Syncfs", "SyncFileRange", "Rename", "Renameat", "Renameat2",
		"Ftruncate", "Fallocate"},
	"syscall": {"Fsync", "Fdatasync", "Sync", "Rename", "Renameat", "Ftruncate", "Fallocate"},
}

// notDurable are the other uses, and why each is no file of the agent's.
var notDurable = map[string]string{
	"agent/localapi.Rename":     "a socket takes its name; there is nothing to sync",
	"agent/board.WriteFile":     "a file of sysfs, the LED",
	"agent/board.CreateTemp":    "config check tries whether the directory can be written",
	"agent/board/boardtest":     "for tests",
	"agent/cmd/cellwarden-sign": "makes releases, not on a device",
	"agent/web/doctor/build":    "makes the page, not on a device",
	"agent/demo":                "the demo, not on a device",
}

// What must survive a power cut goes through agent/flash: one place knows the order of
// write, sync and rename, and no temporary file follows a link.
func TestHouseOnlyFlashMakesFilesDurable(t *testing.T) {
	pkgs := tree(t)
	used := map[string]bool{}
	for _, pkg := range slices.Sorted(maps.Keys(pkgs)) {
		if !below(pkg, "agent") || below(pkg, "agent/flash") {
			continue
		}
		for _, f := range pkgs[pkg] {
			ast.Inspect(f.File, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok || !slices.Contains(durable[f.imports[x.Name]], sel.Sel.Name) {
					return true
				}
				for _, key := range []string{pkg, pkg + "." + sel.Sel.Name} {
					if notDurable[key] != "" {
						used[key] = true
						return true
					}
				}
				t.Errorf("%s uses %s.%s: durable files are agent/flash's (WriteFile, WriteVolatile, Slots, StateDir, Export)",
					f.at(n), x.Name, sel.Sel.Name)
				return true
			})
		}
	}
	for key := range notDurable {
		if !used[key] {
			t.Errorf("%s needs no exception any more", key)
		}
	}
	if n := len(pkgs["agent/flash"]); n == 0 {
		t.Error("agent/flash is not there")
	}
}

// The rule bites where it should.
func TestHouseFlashHasTheWriters(t *testing.T) {
	found := map[string]bool{}
	for _, f := range tree(t)["agent/flash"] {
		ast.Inspect(f.File, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(durable[f.imports[x.Name]], sel.Sel.Name) {
					found[sel.Sel.Name] = true
				}
			}
			return true
		})
	}
	for _, name := range []string{"Rename", "Fdatasync"} {
		if !found[name] {
			t.Errorf("%s is seen nowhere: what does the rule look for? It sees %s", name,
				strings.Join(slices.Sorted(maps.Keys(found)), ", "))
		}
	}
}
