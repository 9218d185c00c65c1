package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// maxLines is what a developer reads in a minute.
const maxLines = 25

// README shows the consumers as they are, and they are short.
func TestReadmeShowsTheConsumers(t *testing.T) {
	const path = "../../README.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(raw)
	for lang, file := range map[string]string{"go": "main.go", "python": "consumer.py"} {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown := strings.TrimSpace(string(code))
		if lang == "go" {
			shown = shown[strings.Index(shown, "func main"):]
		}
		if n := strings.Count(shown, "\n") + 1; n > maxLines {
			t.Errorf("%s has %d lines, want %d", file, n, maxLines)
		}
		begin, end := "<!-- "+lang+": cmd/consumer/"+file+" -->\n", "<!-- "+lang+": end -->"
		i, j := strings.Index(doc, begin), strings.Index(doc, end)
		if i < 0 || j < i {
			t.Fatalf("README.md has no place for %s", file)
		}
		doc = doc[:i+len(begin)] + "\n```" + lang + "\n" + shown + "\n```\n\n" + doc[j:]
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if doc != string(raw) {
		t.Error("README.md does not show the consumers as they are: UPDATE=1 go test ./protocol/cmd/consumer")
	}
}

// Both consumers, beside a real broker: a fault, a batch that comes twice, last words
// that stood before they came.
func TestConsumersPrintEachMessageOnce(t *testing.T) {
	url, _ := backendtest.Mosquitto(t, "allow_anonymous true\n")
	broker := strings.Replace(url, "mqtt://", "tcp://", 1)
	bin := filepath.Join(t.TempDir(), "consumer")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(url, "mqtt://"), ":")
	for name, cmd := range map[string]*exec.Cmd{
		"go":     exec.Command(bin, broker),
		"python": exec.Command("sh", "-c", "exec mosquitto_sub -h "+host+" -p "+port+` -c -i py -q 1 -t 'cw/+/+' -F '%t %r %x' | python3 consumer.py`),
	} {
		t.Run(name, func(t *testing.T) {
			for _, program := range []string{"python3", "mosquitto_sub"} {
				if _, err := exec.LookPath(program); err != nil && name == "python" {
					t.Skipf("SKIPPED, NOT PROVED: %s is missing", program)
				}
			}
			pub := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(broker).SetClientID("device"))
			if tok := pub.Connect(); tok.Wait() && tok.Error() != nil {
				t.Fatal(tok.Error())
			}
			defer pub.Disconnect(100)
			send := func(leaf string, retained bool, payload []byte) {
				if tok := pub.Publish("cw/cw-000123/"+leaf, 1, retained, payload); tok.Wait() && tok.Error() != nil {
					t.Fatal(tok.Error())
				}
			}
			golden := func(name string) []byte {
				raw, err := os.ReadFile("../../testdata/golden/" + name + ".json")
				if err != nil {
					t.Fatal(err)
				}
				return []byte(strings.TrimSpace(string(raw)))
			}
			send("l", true, golden("last"))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr, cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() }()
			lines := bufio.NewScanner(out)
			lines.Buffer(nil, 1<<20)
			next := func() string {
				if !lines.Scan() {
					t.Fatalf("the consumer ended: %v", lines.Err())
				}
				return lines.Text()
			}
			if got := next(); !strings.HasPrefix(got, "cw/cw-000123/l ") || !strings.Contains(got, `"over_quota"`) {
				t.Errorf("first %q, want the last words that stood", got)
			}
			// The subscription stands now: what is sent from here arrives.
			event := func(seq uint64) []byte {
				raw, err := protocol.MarshalEnvelope(protocol.Envelope{V: 1, Device: "cw-000123", Epoch: "00000001", Seq: seq, Type: protocol.TypeEvent, Body: []byte(`{"name":"sale"}`)})
				if err != nil {
					t.Fatal(err)
				}
				return raw
			}
			var b protocol.Batcher
			batch, err := b.Encode([][]byte{event(1), event(2)})
			if err != nil {
				t.Fatal(err)
			}
			send("a", false, golden("alert"))
			send("e", false, batch)
			send("e", false, batch)
			send("e", false, event(2))
			send("e", false, event(3))
			var got []string
			for range 4 {
				f := strings.Fields(next())
				got = append(got, strings.Join(f[:3], " "))
			}
			want := "cw-000123 1531 alert, cw-000123 1 event, cw-000123 2 event, cw-000123 3 event"
			if strings.Join(got, ", ") != want {
				t.Errorf("printed %s, want %s", strings.Join(got, ", "), want)
			}
		})
	}
}
