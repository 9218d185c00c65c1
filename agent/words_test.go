package agent

import (
	"fmt"
	"io/fs"
	"syscall"
	"testing"

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
