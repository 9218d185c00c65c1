package e2e

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// restAfter: the agent gives back what its start needed after 20 s; then the
	// polls bring back what they use.
	restAfter = 40 * time.Second
	// restFor is how long it is looked at, once a second.
	restFor = 30 * time.Second
	// restBytes is the budget: a board with 64 MB has little more to give.
	restBytes = 12 << 20
)

// An agent with modem and broker and nothing to do stays inside its budget of
// memory (resident, as the kernel counts it; file pages included).
func TestMemoryAtRest(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIPPED: the budget is measured on amd64")
	}
	t.Parallel()
	s := newStand(t, settings{})
	s.healthy()
	<-time.After(restAfter - time.Since(s.agent.began)) // what is measured is a state in time
	var sizes []int
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(restFor); time.Now().Before(end); <-tick.C {
		sizes = append(sizes, s.agent.resident())
	}
	slices.Sort(sizes)
	median := sizes[len(sizes)/2]
	t.Logf("FIGURE at rest: %.1f MB resident (median of %d s; lowest %.1f, highest %.1f)",
		float64(median)/1e6, len(sizes), float64(sizes[0])/1e6, float64(sizes[len(sizes)-1])/1e6)
	if median > restBytes {
		t.Errorf("%d bytes resident at rest, the budget is %d", median, restBytes)
	}
}

// resident is VmRSS, in bytes.
func (m *machine) resident() int {
	m.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	m.t.Fatalf("no VmRSS in %s", text)
	return 0
}
