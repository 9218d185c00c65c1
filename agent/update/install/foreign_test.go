package install

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A name given at the machine is read where it is a file; a FIFO would hold the agent
// up for ever, and a terminal may be the modem's.
func TestStickIsAnOrdinaryFile(t *testing.T) {
	dir := t.TempDir()
	fifo, file := filepath.Join(dir, "fifo"), filepath.Join(dir, "m.json")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, dir, "/dev/ptmx", "/dev/null"} {
		if f, err := openStick(name); err == nil {
			f.Close()
			t.Errorf("%s is read", name)
		}
	}
	f, err := openStick(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "{}" {
		t.Errorf("%q %v", b, err)
	}
}

// A portal's redirect names the subscriber behind its host.
func TestPortalIsToldByItsHostAlone(t *testing.T) {
	for location, want := range map[string]string{
		"http://portal.example/?msisdn=13900000042": `status 302 to "portal.example"`,
		"/login?imsi=460009988776655":               "status 302 to no host",
		"://":                                       "status 302 to no host",
	} {
		_, err := answered(&http.Response{StatusCode: 302, Header: http.Header{"Location": {location}}}, 0)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", location, err, want)
		}
	}
	if got := told("https://host/site/m.json?ticket=x"); got != "https://host/site/m.json" {
		t.Errorf("told %s", got)
	}
}
