package agent

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"cellwarden/agent/cli"
	"cellwarden/agent/instant"
)

// A full disk is named by its directory; the error itself is the log's.
func TestDiskTroublesNameTheDirectory(t *testing.T) {
	tr := troubles{}
	err := fmt.Errorf("outbox: %w", &fs.PathError{Op: "write", Path: "/var/lib/cellwarden/outbox/seg-0001", Err: syscall.ENOSPC})
	tr.file("outbox", err, instant.Instant{})
	if got := tr["outbox"]; got.Key != "disk_full" || len(got.Args) != 1 || got.Args[0] != "/var/lib/cellwarden/outbox" {
		t.Errorf("%+v", got)
	}
	tr.file("outbox", syscall.EROFS, instant.Instant{})
	if got := tr["outbox"]; got.Key != "disk_readonly" || got.Args[0] != "read-only file system" {
		t.Errorf("%+v", got)
	}
}

func TestProfilesFitAConsole(t *testing.T) {
	var out, errs bytes.Buffer
	if code := profilesVerb(t.Context(), nil, cli.Env{Stdout: &out, Stderr: &errs}); code != 0 || !strings.Contains(out.String(), "quectel-ec2x    EC20, ") {
		t.Errorf("exit %d:\n%s%s", code, &out, &errs)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
	if code := profilesVerb(t.Context(), []string{"--jsno"}, cli.Env{Stdout: &out, Stderr: &errs}); code != 1 {
		t.Errorf("a wrong flag: exit %d", code)
	}
}
