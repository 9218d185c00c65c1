package uplink

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
)

// The file of TLS sessions is the agent's alone, and a write that a power cut broke
// off leaves one file behind however often.
func TestSessionFileIsPrivateAndOne(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tls.sessions")
	if err := os.WriteFile(file+".tmp", []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newSessionCache(file)
	state, err := tls.NewResumptionState([]byte("ticket"), &tls.SessionState{})
	if err != nil {
		t.Fatal(err)
	}
	c.Put("broker", state)
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	if info, err := left[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// FuzzSessionFile: whatever lies there costs a full handshake and no more.
func FuzzSessionFile(f *testing.F) {
	f.Add([]byte(`{"identity":"x","sessions":[{"key":"b","ticket":"dA==","state":"AwQ="}]}`))
	f.Add([]byte(`{"sessions":[{},{},{},{},{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c := newSessionCache(file)
		if len(c.sessions) > maxSessions {
			t.Errorf("%d sessions", len(c.sessions))
		}
		c.use("another certificate")
		if _, ok := c.Get("b"); ok {
			t.Error("a session of another identity is used")
		}
	})
}
