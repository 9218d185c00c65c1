package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPostgresKeepsEachMessageOnce runs the statements of REFERENCE.md in a real
// PostgreSQL: what a device sent plain, in batches, twice and after later messages
// stands in the table once, in the order of recording, over a change of the store.
func TestPostgresKeepsEachMessageOnce(t *testing.T) {
	readme, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	var statements []string // create, insert, history
	for _, part := range strings.Split(string(readme), "```sql\n")[1:] {
		statements = append(statements, strings.TrimSuffix(strings.TrimSpace(part[:strings.Index(part, "```")]), ";"))
	}
	if len(statements) != 3 {
		t.Fatalf("%d blocks of SQL in REFERENCE.md, want 3", len(statements))
	}
	psql := postgres(t)

	const device, perStore = "cw-000123", 60
	topic := Topic{DefaultPrefix, device, LeafEvent}.String()
	rnd := rand.New(rand.NewPCG(1, 2))
	var script strings.Builder
	fmt.Fprintf(&script, "%s;\nPREPARE put(text, text, bigint, text, json, json) AS %s;\n", statements[0], statements[1])
	var want []string
	sent := 0
	for _, ep := range []string{"9a0b1c2d", "00000001"} { // a new store, whose name happens to sort first
		var raws [][]byte
		for seq := uint64(1); seq <= perStore; seq++ {
			body, err := NewBody(MachineEvent{Name: "sale", Data: json.RawMessage(`{"note":"it's\u0000 \"售\"","n":` + strconv.FormatUint(seq, 10) + `}`)})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := MarshalEnvelope(Envelope{V: Version, Device: device, Epoch: ep, Seq: seq, Type: TypeEvent, At: Time{Wall: "1970-01-01T00:00:09.000Z", MonoMS: 9000}, Body: body})
			if err != nil {
				t.Fatal(err)
			}
			raws = append(raws, raw)
			want = append(want, fmt.Sprintf("%s|%d|event|%s", ep, seq, body))
		}
		var payloads [][]byte
		var batch Batcher
		for i := 0; i < perStore; {
			n := min(1+rnd.IntN(8), perStore-i)
			payload := raws[i]
			if n > 1 {
				if payload, err = batch.Encode(raws[i : i+n]); err != nil {
					t.Fatal(err)
				}
			}
			payloads = append(payloads, payload, payload) // the PUBACK was lost
			i += n
		}
		payloads = append(payloads, raws...) // and all of it once more, packed differently
		rnd.Shuffle(len(payloads), func(i, j int) { payloads[i], payloads[j] = payloads[j], payloads[i] })
		for _, p := range payloads {
			envelopes, err := DecodePublish(topic, p)
			if err != nil {
				t.Fatal(err)
			}
			script.WriteString("BEGIN;\n")
			for _, e := range envelopes {
				at, err := json.Marshal(e.At)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&script, "EXECUTE put('%s', '%s', %d, '%s', '%s', '%s');\n", e.Device, e.Epoch, e.Seq, e.Type, at, bytes.ReplaceAll(e.Body, []byte("'"), []byte("''")))
				sent++
			}
			script.WriteString("COMMIT;\n")
		}
	}
	fresh := strings.Fields(psql(script.String()))
	if len(fresh) != len(want) {
		t.Errorf("%d of %d inserts said that the message is new, want %d", len(fresh), sent, len(want))
	}
	history := strings.NewReplacer("$1", "'"+device+"'", "type, at, body", "type, body").Replace(statements[2])
	got := strings.Split(strings.TrimSpace(psql(history+";")), "\n")
	if len(got) != len(want) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("row %d is %s, want %s", i+1, got[i], want[i])
		}
	}
	t.Logf("%d messages sent, %d kept, in order", sent, len(got))
}

// postgres starts a server of its own, on a socket in a directory of its own, and
// returns what runs a script and gives its rows.
func postgres(t *testing.T) func(script string) string {
	t.Helper()
	bin := func(name string) string {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 { // where Debian has it
			return found[len(found)-1]
		}
		t.Skipf("SKIPPED, NOT PROVED: %s is missing (apt install postgresql)", name)
		return ""
	}
	initdb, server, client := bin("initdb"), bin("postgres"), bin("psql")
	dir, err := os.MkdirTemp("", "cw-pg") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // the server refuses to be root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("SKIPPED, NOT PROVED: there is no user postgres, and the server refuses to run as root")
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	command := func(name string, args ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.Command(name, args...)
		var out bytes.Buffer
		cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = dir, attr, &out, &out
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		return cmd, &out
	}
	if cmd, out := command(initdb, "-N", "-A", "trust", "-U", "cw", "-E", "UTF8", "-D", data); true {
		if err := cmd.Run(); err != nil {
			t.Fatalf("initdb: %v\n%s", err, out)
		}
	}
	cmd, out := command(server, "-D", data, "-k", dir, "-h", "", "-F")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // at once; Wait tells
		_ = cmd.Wait()
	})
	run := func(script string) (string, error) {
		c, out := command(client, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", dir, "-U", "cw", "postgres")
		c.Stdin = strings.NewReader(script)
		err := c.Run()
		return out.String(), err
	}
	deadline := time.Now().Add(time.Minute)
	for {
		said, err := run("SELECT 1;")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not answer: %v %s\n%s", err, said, out)
		}
		time.Sleep(50 * time.Millisecond) // nothing tells when it listens
	}
	return func(script string) string {
		t.Helper()
		said, err := run(script)
		if err != nil {
			t.Fatalf("psql: %v\n%s", err, said)
		}
		return said
	}
}
