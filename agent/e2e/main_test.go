package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The programs under test, built once.
var agentBin, modemBin string

// atOnce is how many tests run beside each other. They wait nearly all the
// time, so it does not go by the number of processors.
const atOnce = "40"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "cellwarden-e2e-")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir) // what is left is in the system's temporary directory
	os.Exit(code)
}

// build makes the agent as boards get it, with the flags of scripts/build.sh, and
// the simulator as anybody builds it.
func build(dir string) error {
	agentBin, modemBin = filepath.Join(dir, "cellwarden"), filepath.Join(dir, "modemsim")
	for _, args := range [][]string{
		{"../../scripts/build.sh", "-o", dir, "host"},
		{"go", "build", "-o", modemBin, "cellwarden/modem/cmd/modemsim"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// patient bounds every wait that has no bound of its own. It only ends a test
// that would fail anyway, so it leaves room for a busy machine.
const patient = 3 * time.Minute

// pollEvery is how often a condition outside of this process is looked at:
// nothing tells when it becomes true.
const pollEvery = 100 * time.Millisecond

// until waits for a condition and returns how long that took.
func until(t testing.TB, what string, limit time.Duration, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !ok() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-tick.C
	}
	return time.Since(began)
}

// promised judges a measured time against what is promised of it, where make bench has
// a quiet machine: beside other work no machine keeps a time.
func promised(t testing.TB, what string, took, most time.Duration) {
	t.Helper()
	if took <= most {
		return
	}
	if os.Getenv("CELLWARDEN_BENCH") == "" {
		t.Logf("%s took %s, promised on a quiet machine are %s (judged by make bench)", what, seconds(took), seconds(most))
		return
	}
	t.Errorf("%s took %s, promised are %s", what, seconds(took), seconds(most))
}

// seconds is a measured time as the logs show it.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
