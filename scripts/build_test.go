package scripts

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// limitBytes is the largest binary that the boards have room for; build.sh, which
// also refuses a larger one, says why.
const limitBytes = 12 << 20

// testOnly are modules for tests, the demo and tools. One of them in the binary
// is a broker or a test library on a vending machine.
var testOnly = []string{"github.com/mochi-mqtt/server/v2", "github.com/creack/pty", "github.com/rogpeppe/go-internal",
	"go.uber.org/goleak", "golang.org/x/tools", "honnef.co/go/tools", "pgregory.net/rapid"}

// The binary of the most common board: one file, nothing to install beside it,
// small, and it runs.
func TestARMv7Binary(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in -short: builds the device's binary")
	}
	dir := t.TempDir()
	build := exec.Command("./build.sh", "-o", dir, "armv7")
	build.Env = append(os.Environ(), "VERSION=v0.0.1-held")
	// Over the limit the script fails after the build, so that the rest is still
	// worth knowing.
	out, err := build.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("build.sh armv7: %v", err)
	}
	bin := filepath.Join(dir, "cellwarden-armv7")
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > limitBytes {
		t.Errorf("%d bytes, %d over the limit of %d", info.Size(), info.Size()-limitBytes, limitBytes)
	}

	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != elf.EM_ARM || f.Class != elf.ELFCLASS32 {
		t.Errorf("is for %v, %v", f.Machine, f.Class)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("has %v: not static, it would need the board's C library", p.Type)
		}
	}
	if f.Section(".symtab") != nil || f.Section(".debug_info") != nil {
		t.Error("is not stripped")
	}

	built, err := buildinfo.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range built.Deps {
		if slices.Contains(testOnly, dep.Path) {
			t.Errorf("%s is linked in", dep.Path)
		}
	}
	for _, s := range built.Settings {
		switch {
		case s.Key == "GOARM" && !strings.HasPrefix(s.Value, "7"):
			t.Errorf("built for GOARM=%s", s.Value)
		case s.Key == "-gcflags", s.Key == "-overlay":
			t.Errorf("built with %s: the product is what stock Go makes of the source", s.Key)
		}
	}

	qemu, err := exec.LookPath("qemu-arm")
	if err != nil {
		t.Skip("SKIPPED: no qemu-arm here, so the binary was not run (Debian: apt-get install qemu-user)")
	}
	said, err := exec.Command(qemu, "-cpu", "cortex-a7", bin, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "v0.0.1-held") {
		t.Errorf("version on an emulated Cortex-A7: %v: %s", err, said)
	}

	t.Run("TLS", func(t *testing.T) { provesTLS(t, []string{qemu, "-cpu", "cortex-a7"}, bin) })

	// It says what the program says that the tests run: the judgement of recorded
	// faults, in Chinese, and a board. Exit code 3 is "fault found".
	for _, args := range [][]string{
		{"explain", "--lang", "zh", "../agent/explain/testdata/dialect-cases.json"},
		{"target", "show", "am335x"},
	} {
		board, _ := exec.Command(qemu, append([]string{"-cpu", "cortex-a7", bin}, args...)...).Output()
		plain, _ := exec.Command("go", append([]string{"run", "../agent/cmd/cellwarden"}, args...)...).Output()
		if len(plain) < 500 || !bytes.Equal(board, plain) {
			t.Errorf("%v: an ordinary build says\n%s\nthe board's\n%s", args, plain, board)
		}
	}
}

// What the device runs reaches no simulator, whatever the rows allow.
func TestDeviceReachesNoSimulator(t *testing.T) {
	pkgs := tree(t)
	from := map[string]string{"agent/cmd/cellwarden": ""}
	for todo := []string{"agent/cmd/cellwarden"}; len(todo) > 0; todo = todo[1:] {
		for _, f := range pkgs[todo[0]] {
			for _, imported := range f.imports {
				ours, found := strings.CutPrefix(imported, module)
				if _, seen := from[ours]; found && !seen {
					from[ours] = todo[0]
					todo = append(todo, ours)
				}
			}
		}
	}
	if len(from) < 10 {
		t.Fatalf("only %v reached: the walk is broken", slices.Sorted(maps.Keys(from)))
	}
	for _, s := range simulators {
		if by, reached := from[s]; reached {
			t.Errorf("%s is linked into the device's binary by %s", s, by)
		}
	}
}

// The backend's side and its libraries are in the same module and in no device: the
// linker's own list says so, for the device's operating system.
func TestDeviceLinksNoBackend(t *testing.T) {
	list := func(pkg string) string {
		cmd := exec.Command("go", "list", "-deps", pkg)
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm", "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	backend, device := list("../protocol/backend/store"), list("../agent/cmd/cellwarden")
	for _, name := range []string{module + "protocol/backend", "github.com/jackc", "modernc.org", "github.com/pressly/goose", "github.com/eclipse/paho.golang",
		"github.com/rabbitmq", "github.com/invopop", "github.com/santhosh-tekuri", "database/sql"} {
		if strings.Contains(device, "\n"+name) {
			t.Errorf("the device's binary links %s", name)
		}
	}
	if !strings.Contains(backend, "\ngithub.com/jackc") || !strings.Contains(device, "\n"+module+"agent/core\n") {
		t.Fatal("the lists are not what they should be")
	}
}
