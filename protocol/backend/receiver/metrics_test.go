package receiver

import (
	"bufio"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"cellwarden/protocol"
	"cellwarden/protocol/backend/backendtest"
)

// What /metrics says is in Prometheus' text form, each metric with its type, and counts
// what happened; /healthz says that all is well; the API wants its token.
func TestMetricsHealthAndToken(t *testing.T) {
	url, _ := backendtest.Mosquitto(t, open)
	r, _ := running(t, Config{Database: "sqlite:" + t.TempDir() + "/cw.db", Broker: url, Share: "cw", Token: "secret"})
	d := connect(t, url, "cw-1", nil)
	for range 7 {
		d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "sale"})
	}
	d.raw("e", false, []byte("{"))
	within(t, 20*time.Second, "all of it", func() bool { return r.stats.New.Load() == 7 && r.stats.Rejected[0].Load() == 1 })
	get := func(path, token string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close() //nolint:errcheck // only read
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(raw)
	}
	if code, said := get("/healthz", ""); code != 200 || !strings.Contains(said, `"ok":true`) {
		t.Errorf("healthz %d %s", code, said)
	}
	_, text := get("/metrics", "")
	line := regexp.MustCompile(`^[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.e+-]+$`)
	typed := map[string]bool{}
	in := bufio.NewScanner(strings.NewReader(text))
	for in.Scan() {
		l := in.Text()
		if f := strings.Fields(l); strings.HasPrefix(l, "# TYPE ") {
			typed[f[2]] = true
		} else if !strings.HasPrefix(l, "#") && l != "" {
			name, _, _ := strings.Cut(f[0], "{")
			if !line.MatchString(l) || !typed[name] {
				t.Errorf("line %q", l)
			}
		}
	}
	for _, want := range []string{`cw_receiver_envelopes_total{result="new"} 7`, `cw_receiver_rejected_total{reason="unreadable"} 1`, "cw_receiver_broker_up 1", `cw_receiver_holes{of="all"} 0`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if code, _ := get("/api/v1/devices", "wrong"); code != http.StatusUnauthorized {
		t.Errorf("without the token: %d", code)
	}
	if code, said := get("/api/v1/devices", "secret"); code != 200 || !strings.Contains(said, `"cw-1"`) {
		t.Errorf("%d %s", code, said)
	}
	if _, err := New(t.Context(), Config{Database: "sqlite::memory:", Broker: url, Listen: "0.0.0.0:0"}); err == nil {
		t.Error("an open API without a token is taken")
	}
}

// A command reaches a machine that sleeps, and is removed when its answer has come.
func TestACommandToAMachineThatSleeps(t *testing.T) {
	url, _ := backendtest.Mosquitto(t, open)
	r, _ := running(t, Config{Database: "sqlite:" + t.TempDir() + "/cw.db", Broker: url, Share: "cw"})
	d := connect(t, url, "cw-1", nil)
	d.send(protocol.TypeEvent, protocol.MachineEvent{Name: "sale"})
	within(t, 20*time.Second, "the device", func() bool { return r.stats.New.Load() == 1 })
	d.client.Disconnect(50)
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	post := func(body string) int {
		res, err := http.Post("http://"+r.Addr()+"/api/v1/devices/cw-1/commands", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	command := `{"v":1,"id":"c-1","expires":"` + expires + `","do":"report"}`
	if code := post(command); code != 200 {
		t.Fatalf("%d", code)
	}
	if code := post(command); code != http.StatusConflict {
		t.Errorf("the same id again: %d", code)
	}
	got := make(chan string, 4)
	again := connect(t, url, "cw-1", nil)
	again.seq = d.seq
	subscribe(t, again, "cw/cw-1/d", got)
	if said := <-got; said != command {
		t.Errorf("it got %s", said)
	}
	again.send(protocol.TypeReply, protocol.Reply{ID: "c-1", OK: true})
	if said := <-got; said != "" {
		t.Errorf("after its answer %q stands", said)
	}
}
