package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cellwarden/agent/config"
	"cellwarden/agent/localapi"
)

// socketClient is what any HTTP client on the machine would be.
func socketClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
}

// post puts one body and returns code and answer.
func post(t *testing.T, c *http.Client, query, body string) (int, localapi.Receipt, localapi.Problem) {
	t.Helper()
	resp, err := c.Post("http://cellwarden/v1/events"+query, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := drain(resp.Body)
	var r localapi.Receipt
	var p localapi.Problem
	if json.Unmarshal([]byte(answer), &r) != nil || json.Unmarshal([]byte(answer), &p) != nil {
		t.Fatalf("%d: no JSON: %q", resp.StatusCode, answer)
	}
	return resp.StatusCode, r, p
}

// The commands look for the daemon where it listens unless it is told otherwise.
func TestSocketByDefault(t *testing.T) {
	t.Parallel()
	_, errs, code := runAgent(t, []string{"CELLWARDEN_SOCKET=", "LANG=en_US.UTF-8"}, "status", "--socket", filepath.Join(t.TempDir(), "none"))
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	hasAll(t, "status without a daemon", errs, "not running", "systemctl start cellwarden", "diagnose --direct")
	if localapi.DefaultSocket != config.Default.API.Socket {
		t.Errorf("the commands look at %s, the daemon listens at %s", localapi.DefaultSocket, config.Default.API.Socket)
	}
}

func TestLocalAPI(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page := l.Addr().String()
	l.Close()
	m := newMachine(t, nil, plain("none")+fmt.Sprintf("[api]\nhttp = %q\n", page))
	m.start()
	c := socketClient(m.socket)

	t.Run("durable", func(t *testing.T) {
		code, r, _ := post(t, c, "", `{"name":"sale","level":"info","data":{"cents":250},"at":"2026-11-22T10:00:00+08:00"}`)
		if code != http.StatusCreated || !r.Durable || r.Seq == 0 || !strings.Contains(r.ID, "-") {
			t.Errorf("%d %+v", code, r)
		}
	})
	t.Run("at once", func(t *testing.T) {
		code, r, _ := post(t, c, "?durable=false", `{"name":"temperature","data":4.5}`)
		if code != http.StatusAccepted || r.Durable || r.ID == "" {
			t.Errorf("%d %+v", code, r)
		}
	})
	t.Run("refused", func(t *testing.T) {
		for body, want := range map[string]string{
			`{"name":"sale","amount":1}`: "amount",
			`{"name":"a sale"}`:          "name",
			`{"name":`:                   "line 1",
			`{"name":"sale","data":"` + strings.Repeat("x", 5000) + `"}`:  "data",
			`{"name":"sale","data":"` + strings.Repeat("x", 70000) + `"}`: "larger",
			`{"name":"sale","level":"loud"}`:                              "level",
			``:                                                            "empty",
		} {
			code, _, p := post(t, c, "", body)
			if code != http.StatusBadRequest || p.Error == "" || p.Hint == "" || !strings.Contains(p.Place+p.Error, want) {
				t.Errorf("%.40q: %d %+v, want %q named", body, code, p, want)
			}
		}
	})
	t.Run("50 at once", func(t *testing.T) {
		var mu sync.Mutex
		seqs := map[uint64]bool{}
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				resp, err := c.Post("http://cellwarden/v1/events", "application/json", strings.NewReader(fmt.Sprintf(`{"name":"n.%d"}`, i)))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				var r localapi.Receipt
				if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || resp.StatusCode != http.StatusCreated || !r.Durable {
					t.Errorf("%d %+v %v", resp.StatusCode, r, err)
				}
				mu.Lock()
				seqs[r.Seq] = true
				mu.Unlock()
			})
		}
		wg.Wait()
		if len(seqs) != 50 {
			t.Errorf("%d different numbers", len(seqs))
		}
	})
	t.Run("survives a kill", func(t *testing.T) {
		before := m.status().Outbox.Waiting
		m.kill()
		m.start()
		if after := m.status().Outbox.Waiting; after < 51 || after < before-1 { // the one that was not to be durable may be gone
			t.Errorf("%d wait, %d did", after, before)
		}
	})
	t.Run("status", func(t *testing.T) {
		out, _, _ := m.run("status", "--json")
		var s map[string]any
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"v", "device", "version", "at", "uptime_s", "diagnosis", "since", "standing", "modem", "sim", "radio", "network", "probes", "outbox", "uplink", "troubles"} {
			if _, ok := s[key]; !ok {
				t.Errorf("status --json has no %q", key)
			}
		}
		if s["v"] != 1.0 || s["device"] != device {
			t.Errorf("v %v, device %v", s["v"], s["device"])
		}
		zh, _, _ := m.run("status", "--lang", "zh")
		if !strings.ContainsAny(zh, "层设备数据版本") {
			t.Errorf("status --lang zh: %s", zh)
		}
	})
	t.Run("page", func(t *testing.T) {
		for path, want := range map[string]string{"/": "<title>cellwarden", "/v1/status": `"diagnosis"`} {
			resp, err := http.Get("http://" + page + path)
			if err != nil {
				t.Fatal(err)
			}
			text := drain(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK || !strings.Contains(text, want) {
				t.Errorf("%s: %d %.200s", path, resp.StatusCode, text)
			}
		}
		// Whoever reaches the page may look and nothing else.
		resp, err := http.Post("http://"+page+"/v1/events", "application/json", strings.NewReader(`{"name":"sale"}`))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("an event over the page: %d", resp.StatusCode)
		}
	})
}
