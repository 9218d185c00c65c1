// Package scripts has no code of its own: beside the project's shell commands
// it keeps the tests of what the whole tree has promised. Which package may
// import which, what the pure ones may not do, what the device's binary holds.
package scripts

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "cellwarden/"

// arrows says for every package which of ours it may import: the rows of the
// house, arrows pointing down. A package without a row imports none. An arrow that
// would have to point up is the sign that something is in the wrong room.
var arrows = map[string][]string{
	"modem/threegpp":   {},
	"modem/profile":    {"modem/threegpp"},
	"modem/at":         {},
	"modem":            {"modem/at", "modem/profile", "modem/threegpp"},
	"modem/modemtest":  {},
	"modem/transcript": {"modem/threegpp"},

	"protocol": {},
	// Clients of SIM platforms, and servers that play those.
	"protocol/backend/platform":              {"protocol"},
	"protocol/backend/platform/platformtest": {},
	"protocol/backend/fleet":                 {"protocol"},
	"firmware-targets":                       {},

	"agent/instant": {},
	"agent/carrier": {"modem/threegpp"},
	"agent/meter":   {"agent/instant", "protocol"},
	"agent/remedy":  {},
	"agent/clean":   {},
	"agent/goodset": {},
	// remedysim is no part of the device: it plays ladders beside a watchdog.
	"agent/remedy/remedysim": {"agent/remedy"},
	"agent/cmd/waits":        {"agent/remedy", "agent/remedy/remedysim"},
	"agent/diag":             {"agent/carrier", "agent/instant", "agent/meter", "modem/threegpp", "protocol"},
	// text, though no pure package, is a table to the core: a key goes in, the
	// same words come out. Its mutex guards the tables, which are read from the
	// binary when a language is first used.
	"agent/text":    {"agent/diag"},
	"agent/core":    {"agent/goodset", "agent/clean", "agent/carrier", "agent/diag", "agent/instant", "agent/meter", "agent/record", "agent/remedy", "agent/text", "modem/threegpp", "protocol"},
	"agent/record":  {"agent/carrier", "agent/diag", "agent/instant", "modem/threegpp"},
	"agent/explain": {"agent/diag", "agent/instant", "agent/record", "agent/text", "modem/threegpp", "modem/transcript", "protocol"},

	"agent/config":          {"agent/remedy", "agent/diag", "protocol", "firmware-targets"},
	"agent/board":           {"agent/diag", "agent/flash", "agent/instant", "agent/meter", "agent/wayout", "firmware-targets"},
	"agent/board/boardtest": {},
	"agent/wayout":          {},
	"agent/probe":           {"agent/diag", "agent/instant", "agent/wayout"},
	"agent/flash":           {},
	"agent/flash/flashtest": {"agent/flash"},
	"agent/outbox":          {"agent/flash"},
	"agent/uplink":          {"agent/flash", "agent/instant", "agent/outbox", "agent/wayout", "protocol"},

	"agent/machine/crc16":  {},
	"agent/machine/evadts": {"agent/machine/crc16"},
	"agent/machine/audit":  {"agent/machine/evadts", "agent/instant"},
	"agent/machine/dex":    {"agent/machine/crc16"},
	"agent/machine/ddcmp":  {"agent/machine/crc16"},
	"agent/machine/mdb":    {},
	"agent/machine":        {"agent/machine/audit", "agent/machine/evadts", "agent/machine/mdb", "agent/instant", "protocol"},
	"agent/machine/line":   {"agent/machine/dex", "agent/machine/ddcmp", "agent/machine/mdb"},
	"agent/machine/vmcsim": {},

	"agent/machine/cmd/vmcsim": {"agent/machine/vmcsim"},

	// The machine's hardware as functions; what a probe or a question of the time is
	// comes from the packages that ask.
	"agent/device": {"agent/remedy", "agent/machine/ddcmp", "agent/machine/line", "agent/board", "agent/config", "agent/core", "agent/diag", "agent/instant", "agent/meter", "agent/probe", "agent/wayout",
		"firmware-targets", "modem", "modem/at", "modem/profile", "modem/threegpp", "protocol"},

	"agent/update":         {"protocol"},
	"agent/update/install": {"agent/flash", "agent/update", "protocol"},
	"agent/update/launch":  {"agent/config", "agent/flash", "agent/update/install", "protocol"},

	"agent/journal":          {"agent/carrier", "agent/core", "agent/instant", "modem/threegpp", "protocol"},
	"agent/localapi":         {"agent/journal", "agent/core", "agent/diag", "protocol", "agent/instant", "agent/meter", "modem/threegpp"},
	"agent/localapi/fixture": {"agent/diag", "agent/localapi", "agent/text", "protocol"},
	"agent/localapi/view":    {"agent/journal", "agent/machine/evadts", "agent/carrier", "agent/diag", "agent/localapi", "agent/text", "protocol"},
	// doctor is the judgement in a browser, and no part of the device.
	"agent/web/doctor":       {"agent/diag", "agent/explain", "agent/text"},
	"agent/web/doctor/wasm":  {"agent/web/doctor"},
	"agent/web/doctor/build": {},
	"agent/web/access":       {},
	"agent/web":              {"agent/journal", "agent/diag", "agent/localapi", "agent/localapi/view", "agent/text", "agent/web/access"},
	"agent/cli":              {"agent/journal", "agent/clean", "agent/diag", "agent/flash", "agent/localapi", "agent/machine/evadts", "agent/localapi/view", "agent/text", "protocol"},

	"agent": top,
	"agent/cmd/cellwarden": {"agent", "agent/board", "agent/cli", "agent/config", "agent/device", "agent/diag",
		"agent/explain", "agent/localapi", "agent/text", "agent/update/launch", "agent/worker", "firmware-targets",
		"modem", "modem/profile", "agent/flash", "agent/web/access"},
	// One goroutine each: requests in, events out. None knows the loop.
	"agent/worker": {"agent/machine", "agent/machine/dex", "agent/machine/ddcmp", "agent/machine/line", "agent/machine/mdb", "agent/board", "agent/core", "agent/device", "agent/meter", "agent/instant", "agent/remedy", "agent/update",
		"agent/update/install", "modem", "modem/threegpp", "protocol"},
	// It makes releases; no device has it.
	"agent/cmd/cellwarden-sign": {"agent/update", "protocol"},
	"agent/cmd/demo":            top,
	"agent/demo":                top,
	"modem/cmd/modemsim":        {"modem/modemtest"},

	// The other end of the wire: the operator's backend. No device has it.
	"protocol/schema":          {},
	"protocol/cmd/consumer":    {"protocol"},
	"protocol/backend/ingest":  {"protocol", "protocol/backend/store"},
	"protocol/backend/mqtt":    {"protocol/backend/ingest", "protocol/backend/store"},
	"protocol/backend/amqp":    {"protocol/backend/ingest"},
	"protocol/backend/webhook": {"protocol/backend/store", "protocol/schema"},
	"protocol/backend/deploy":  {},
	"protocol/backend/alerts":  {"protocol/backend/store"},
	"protocol/backend/receiver": {"protocol", "protocol/backend/alerts", "protocol/backend/amqp", "protocol/backend/ingest", "protocol/backend/mqtt",
		"protocol/backend/store", "protocol/backend/webhook"},
	"protocol/cmd/demo-backend": {"protocol", "protocol/backend/receiver", "protocol/backend/store", "protocol/backend/webhook"},
	// It plays machines with the agent's core for the backend's sake; no device has it.
	"protocol/backend/fleetsim": {"agent/core", "agent/diag", "agent/instant", "agent/meter", "agent/remedy", "modem/modemtest", "modem/profile", "modem/threegpp",
		"protocol", "protocol/backend/fleet"},
	"protocol/cmd/cellwarden-fleet": {"protocol/backend/fleetsim"},
	"protocol/backend/watch":        {"protocol", "protocol/backend/fleet", "protocol/backend/platform", "protocol/backend/store"},
	"protocol/backend/web":          {"protocol", "protocol/backend/fleet", "protocol/backend/store", "protocol/backend/webhook"},
	"protocol/cmd/cellwarden-receiver": {"protocol", "protocol/backend/mqtt", "protocol/backend/platform", "protocol/backend/receiver",
		"protocol/backend/store", "protocol/backend/watch", "protocol/backend/web"},
	"protocol/backend/store":       {"protocol"},
	"protocol/backend/backendtest": {},
}

// top marks what stands above all and wires it together.
var top = []string{"*"}

// simulators are for tests, the demo and hands-on use; never in the agent.
var simulators = []string{"agent/machine/vmcsim", "modem/modemtest", "agent/board/boardtest", "agent/flash/flashtest", "agent/localapi/fixture"}

// pure are the packages whose answers depend on their input alone, so that what
// a modem said can be replayed for ever.
var pure = []string{"modem/threegpp", "modem/transcript", "modem/profile", "protocol", "agent/instant", "agent/carrier", "agent/remedy", "agent/goodset", "agent/clean",
	"agent/diag", "agent/meter", "agent/record", "agent/core", "agent/journal", "agent/update",
	"agent/machine/crc16", "agent/machine/evadts", "agent/machine/audit", "protocol/backend/fleet", "agent/machine/dex",
	"agent/machine/ddcmp", "agent/machine/mdb", "agent/machine"}

// impure are packages of the standard library that a pure package does not
// import, and why. A name stands for what is below it too.
var impure = map[string]string{
	"os":          "files and the environment belong to the shell",
	"net":         "the network belongs to the shell",
	"sync":        "state has one owner, so there is nothing to lock",
	"context":     "nothing here waits, so there is nothing to cancel",
	"syscall":     "the kernel belongs to the shell",
	"runtime":     "the answer must not depend on the machine",
	"unsafe":      "nothing here needs it",
	"log":         "say it in an effect or a returned error",
	"math/rand":   "the same events must give the same answer; take a seed from the shell",
	"crypto/rand": "the same events must give the same answer; take a seed from the shell",
	"testing":     "only tests test",
}

// computes are below a name in impure and yet only compute. Of sync that holds for what
// is made at its first use, and then always the same: see forbidden.
var computes = []string{"net/netip", "net/url", "sync"}

// modules are those of others that a pure package may use: they read and write
// values, nothing else.
var modules = []string{"github.com/BurntSushi/toml", "github.com/warthog618/sms"}

// forbidden are functions that a pure package does not use, by package.
var forbidden = map[string]map[string]string{
	"time": reason("the time comes in with the event (agent/instant)",
		"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Local", "LoadLocation"),
	"sync": reason("state has one owner, so there is nothing to lock",
		"Mutex", "RWMutex", "Locker", "WaitGroup", "Once", "OnceFunc", "Cond", "NewCond", "Pool", "Map"),
	"fmt": reason("it returns what it has to say", "Print", "Printf", "Println", "Scan", "Scanf", "Scanln"),
}

func reason(why string, names ...string) map[string]string {
	m := map[string]string{}
	for _, n := range names {
		m[n] = why
	}
	return m
}

// below reports whether the import path p is name or lies under it.
func below(p, name string) bool { return p == name || strings.HasPrefix(p, name+"/") }

// A file is one parsed Go file with what it imports, by local name.
type file struct {
	*ast.File
	imports map[string]string
}

var fset = token.NewFileSet()

func read(parsed *ast.File) file {
	f := file{parsed, map[string]string{}}
	for _, spec := range parsed.Imports {
		imported := strings.Trim(spec.Path.Value, "`\"")
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		f.imports[name] = imported
	}
	return f
}

// tree reads every package of the module, by its folder below the root, without
// tests. All build tags count.
func tree(t *testing.T) map[string][]file {
	t.Helper()
	pkgs := map[string][]file{}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != ".." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("..", filepath.Dir(p))
		if err != nil {
			return err
		}
		pkgs[filepath.ToSlash(rel)] = append(pkgs[filepath.ToSlash(rel)], read(parsed))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs["modem/threegpp"]) == 0 {
		t.Fatal("the tree was not found")
	}
	return pkgs
}

func (f file) at(n ast.Node) string {
	pos := fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", strings.TrimPrefix(filepath.ToSlash(pos.Filename), "../"), pos.Line)
}

func TestImportsPointDown(t *testing.T) {
	pkgs := tree(t)
	for _, pkg := range slices.Sorted(maps.Keys(pkgs)) {
		allowed := arrows[pkg]
		for _, f := range pkgs[pkg] {
			for _, imported := range f.imports {
				ours, found := strings.CutPrefix(imported, module)
				if found && !slices.Contains(allowed, "*") && !slices.Contains(allowed, ours) {
					t.Errorf("%s imports %s, which %s may not: its row in arrows (scripts/house_test.go) has %v; if the arrow points down, add it, if not, the code is in the wrong room", f.at(f), ours, pkg, allowed)
				}
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(arrows)) {
		for _, ours := range arrows[pkg] {
			if _, known := arrows[ours]; !known && ours != "*" {
				t.Errorf("the row of %s allows %s, which has no row", pkg, ours)
			}
		}
	}
}

// The rows themselves point down: no package can reach itself, and nothing that
// a pure package reaches is a shell, with text as the one exception.
func TestArrowsHaveNoWayBackUp(t *testing.T) {
	var reach func(pkg string, seen map[string]bool)
	reach = func(pkg string, seen map[string]bool) {
		for _, next := range arrows[pkg] {
			if next != "*" && !seen[next] {
				seen[next] = true
				reach(next, seen)
			}
		}
	}
	for pkg := range arrows {
		seen := map[string]bool{}
		reach(pkg, seen)
		if seen[pkg] {
			t.Errorf("%s can reach itself", pkg)
		}
		if !slices.Contains(pure, pkg) {
			continue
		}
		for next := range seen {
			if !slices.Contains(pure, next) && next != "agent/text" {
				t.Errorf("pure package %s reaches %s, which is not pure", pkg, next)
			}
		}
	}
}

func TestPurePackagesOnlyCompute(t *testing.T) {
	pkgs := tree(t)
	for _, pkg := range pure {
		if len(pkgs[pkg]) == 0 {
			t.Errorf("pure package %s is not there", pkg)
		}
		for _, f := range pkgs[pkg] {
			for _, why := range impurities(f) {
				t.Errorf("pure package %s: %s", pkg, why)
			}
		}
	}
}

// impurities lists what a file of a pure package may not have, with the reason.
func impurities(f file) []string {
	var found []string
	for name, imported := range f.imports {
		if name == "." || name == "_" && imported != "embed" {
			found = append(found, fmt.Sprintf("%s imports %s as %q: what it uses would not be seen", f.at(f), imported, name))
		}
		if strings.HasPrefix(imported, module) {
			continue
		}
		if strings.Contains(strings.Split(imported, "/")[0], ".") {
			if !slices.ContainsFunc(modules, func(m string) bool { return below(imported, m) }) {
				found = append(found, fmt.Sprintf("%s imports %s: only %v are known to compute and do nothing else", f.at(f), imported, modules))
			}
			continue
		}
		for bad, why := range impure {
			if below(imported, bad) && !slices.Contains(computes, imported) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", f.at(f), imported, why))
			}
		}
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, f.at(n)+" has a go statement: only the shell starts goroutines")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if why := forbidden[f.imports[x.Name]][n.Sel.Name]; why != "" {
					found = append(found, fmt.Sprintf("%s uses %s.%s: %s", f.at(n), x.Name, n.Sel.Name, why))
				}
			}
		}
		return true
	})
	return found
}

// The rule must bite: each of these is one way to break it.
func TestImpuritiesAreSeen(t *testing.T) {
	for _, c := range []struct{ name, imports, body, want string }{
		{"the file system", `"os"`, `os.Getenv("X")`, "imports os:"},
		{"below a forbidden name", `"net/http"`, `http.NoBody.Close()`, "imports net/http:"},
		{"a lock", `"sync"`, `new(sync.Mutex).Lock()`, "uses sync.Mutex:"},
		{"a counter of many", `"sync/atomic"`, `new(atomic.Int32).Add(1)`, "imports sync/atomic:"},
		{"a table made at its first use", `"sync"`, `_ = sync.OnceValue(table)`, ""},
		{"another's module", `"golang.org/x/sys/unix"`, `unix.Getpid()`, "only ["},
		{"the clock", `"time"`, `time.Now()`, "uses time.Now:"},
		{"the clock as a value", `"time"`, `now := time.Now; now()`, "uses time.Now:"},
		{"the clock by another name", `clock "time"`, `clock.Sleep(1)`, "uses clock.Sleep:"},
		{"the clock in hiding", `. "time"`, `Now()`, "would not be seen"},
		{"a goroutine", ``, `go func() {}()`, "go statement"},
		{"standard output", `"fmt"`, `fmt.Println()`, "uses fmt.Println:"},
		{"only time's arithmetic", `"time"`, `_ = 5 * time.Second`, ""},
		{"addresses", `"net/netip"`, `netip.MustParseAddr("::1")`, ""},
		{"a package whose name begins alike", `"ost"`, `ost.F()`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := "package p\n"
			if c.imports != "" {
				src += "import " + c.imports + "\n"
			}
			parsed, err := parser.ParseFile(fset, "p.go", src+"func f() { "+c.body+" }\n", parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(impurities(read(parsed)), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("said %q, want %q in it", got, c.want)
			}
		})
	}
}
