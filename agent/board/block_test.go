package board

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBlockScript(t *testing.T) {
	b := NewBlock(t.TempDir(), []string{"wwan*", "ppp0", "usb?", "*", "a\"b"})
	got := b.script()
	for _, want := range []string{`oifname { "wwan*", "ppp0" } counter drop`, "meta mark 0x63770001 accept", "dport 53 accept", "delete table inet cellwarden"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "usb") || strings.Contains(got, `a"b`) {
		t.Errorf("a pattern that nft does not know:\n%s", got)
	}
}

// An interface under a name that no pattern fits, or that nft cannot be told as a
// pattern, is blocked by its name once it carries data.
func TestBlockOfTheInterfaceInUse(t *testing.T) {
	b := NewBlock(t.TempDir(), []string{"wwan*", "usb?"})
	for _, name := range []string{"", "wwan3", "usb0", "eth7", "eth7"} {
		b.Over(name)
	}
	if got := b.script(); !strings.Contains(got, `oifname { "wwan*", "usb0", "eth7" } counter drop`) || !b.stale {
		t.Errorf("stale %v\n%s", b.stale, got)
	}
}

func TestBlockRefusesWithoutAnInterface(t *testing.T) {
	b := NewBlock(t.TempDir(), []string{"usb?"})
	b.Want(true)
	if err := b.Settle(); err == nil || !strings.Contains(err.Error(), "data.interfaces") || b.On() {
		t.Errorf("%v, on %v", err, b.On())
	}
}

func TestBlockLeftByACrashIsKnown(t *testing.T) {
	dir := t.TempDir()
	if NewBlock(dir, nil).On() {
		t.Error("on without a marker")
	}
	if err := os.WriteFile(filepath.Join(dir, "blocked"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := NewBlock(dir, nil)
	if !b.On() {
		t.Error("the marker of a run before is not seen")
	}
	b.Want(true) // as that run did, which may have had other interfaces
	if err := b.Settle(); err == nil {
		t.Error("the table of another config was taken for this one's")
	}
}
