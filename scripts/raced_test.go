package scripts

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// notRaced are packages that start goroutines and still run without the race detector,
// with the reason.
var notRaced = map[string]string{
	"agent/e2e":                    "its goroutines only wait for the built binary, which is another process",
	"agent/board/boardtest":        "helpers without tests of their own; they run in the tests of agent/board",
	"agent/cmd/cellwarden":         "the binary itself: its tests start it as a process",
	"protocol/backend/backendtest": "helpers without tests of their own",
	"protocol/backend/fleetbench":  "measurements, which the race detector would spoil",
	"scripts":                      "no goroutine beside those of go test",
}

// The list of the Makefile names every package whose code or tests start goroutines or
// lock, so that a new one cannot be forgotten.
func TestHouseRacedPackages(t *testing.T) {
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(strings.ReplaceAll(string(text), "\\\n", " "), "\nRACED := ")
	if !found {
		t.Fatal("the Makefile has no list RACED")
	}
	list, _, _ = strings.Cut(list, "\n")
	raced := strings.Fields(list)
	for _, pkg := range raced {
		if files, _ := filepath.Glob("../" + pkg + "/*_test.go"); len(files) == 0 {
			t.Errorf("the Makefile's RACED names %s, which has no tests", pkg)
		}
	}
	for _, pkg := range folders(t) {
		why := concurrent(t, pkg)
		if why != "" && !slices.Contains(raced, pkg) && notRaced[pkg] == "" {
			t.Errorf("%s %s: add it to RACED in the Makefile, or to notRaced with a reason", pkg, why)
		}
	}
}

// folders are those with tests.
func folders(t *testing.T) []string {
	t.Helper()
	var out []string
	for pkg := range tree(t) {
		if files, _ := filepath.Glob("../" + pkg + "/*_test.go"); len(files) > 0 {
			out = append(out, pkg)
		}
	}
	slices.Sort(out)
	return out
}

// concurrent says what in a package, tests included, works beside something else.
func concurrent(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob("../" + pkg + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	why := ""
	for _, name := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range parsed.Imports {
			switch strings.Trim(imported.Path.Value, `"`) {
			case "sync", "sync/atomic", "golang.org/x/sync/errgroup", "testing/synctest", "net/http/httptest":
				why = "imports " + imported.Path.Value + " (" + filepath.Base(name) + ")"
			}
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok {
				why = "has a go statement (" + filepath.Base(name) + ")"
			}
			return true
		})
	}
	return why
}
