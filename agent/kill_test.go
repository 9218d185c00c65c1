package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cellwarden/agent/localapi"
	"cellwarden/protocol"
)

// TestKill9OfTheAgent: the whole agent is killed again and again while the
// machine's software hands in events and the broker takes them. Every event that
// was accepted arrives, and no number names two events.
func TestKill9OfTheAgent(t *testing.T) {
	t.Parallel()
	kills := 12
	if testing.Short() {
		kills = 2
	}
	addr := mosquittoOn(t, "max_queued_messages 0")
	c := newConsole(t, addr)
	dir, sock := t.TempDir(), filepath.Join(shortDir(t), "s")
	accepted := map[string]string{} // receipt to payload
	for kill := range kills {
		cmd := helperAgent(t, dir, helperEnv+"_BROKER="+addr, helperEnv+"_SOCKET="+sock)
		client := localapi.NewClient(sock)
		lines := 5 + kill*7%40
		for n := 0; ; n++ {
			if n == lines {
				// While the next one is on its way.
				go func() { _ = cmd.Process.Kill() }()
			}
			what := fmt.Sprintf("%d.%d", kill, n)
			ctx, cancel := context.WithTimeout(t.Context(), testPatience)
			r, err := client.PutEvent(ctx, localapi.Event{Name: "sale", Data: fmt.Appendf(nil, "%q", what)}, true)
			cancel()
			if err != nil {
				break
			}
			if was, ok := accepted[r.ID]; ok {
				t.Fatalf("number %s was given to %s and to %s", r.ID, was, what)
			}
			accepted[r.ID] = what
		}
		_ = cmd.Wait()
	}
	helperAgent(t, dir, helperEnv+"_BROKER="+addr)
	got := map[string]string{}
	limit := time.After(4 * testPatience)
	twice, missing := 0, len(accepted)
	for missing > 0 {
		select {
		case e := <-c.got:
			if e.Type != protocol.TypeEvent {
				continue
			}
			body, err := e.DecodeBody()
			m, ok := body.(*protocol.MachineEvent)
			if err != nil || !ok {
				t.Fatalf("%v %T", err, body)
			}
			id, data := fmt.Sprintf("%s-%d", e.Epoch, e.Seq), string(m.Data)
			if was, ok := got[id]; ok {
				if twice++; was != data {
					t.Fatalf("number %s came as %s and as %s", id, was, data)
				}
				continue
			}
			got[id] = data
			if want, ok := accepted[id]; ok {
				if data != fmt.Sprintf("%q", want) {
					t.Fatalf("%s: %s, want %q", id, data, want)
				}
				missing--
			}
		case <-limit:
			t.Fatalf("%d of %d accepted events did not arrive", missing, len(accepted))
		}
	}
	t.Logf("%d accepted over %d kills, all arrived; %d came twice", len(accepted), kills, twice)
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "cw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
