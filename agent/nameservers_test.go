package agent

import (
	"cellwarden/agent/config"
	"fmt"
	"testing"
	"testing/fstest"
)

func TestOwnNameServers(t *testing.T) {
	linux := fstest.MapFS{"etc/resolv.conf": {Data: []byte("nameserver 10.0.0.1\n")}}
	android := fstest.MapFS{"etc/ppp/resolv.conf": {Data: []byte("nameserver 10.64.0.1\n")}}
	if ownServers(config.Probes{}, linux) != nil {
		t.Error("the system's resolver was passed over")
	}
	for name, c := range map[string]struct {
		probes config.Probes
		root   fstest.MapFS
		want   string
	}{
		"configured":                     {config.Probes{DNS: []string{"223.5.5.5"}}, linux, "[223.5.5.5:53]"},
		"Android: what the dialer wrote": {config.Probes{}, android, "[10.64.0.1:53]"},
		"Android: nothing yet":           {config.Probes{}, fstest.MapFS{}, "[]"},
	} {
		servers := ownServers(c.probes, c.root)
		if servers == nil {
			t.Errorf("%s: the system's resolver is taken", name)
			continue
		}
		if got := fmt.Sprint(servers()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// A new session brings new servers.
	servers := ownServers(config.Probes{}, android)
	android["etc/ppp/resolv.conf"].Data = []byte("nameserver 10.65.0.1\n")
	if got := fmt.Sprint(servers()); got != "[10.65.0.1:53]" {
		t.Error(got)
	}
}
