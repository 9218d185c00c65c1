package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cellwarden/agent/cli"
	"cellwarden/agent/localapi"
	boards "cellwarden/firmware-targets"
)

// Where a board's agent listens, the commands must look.
func TestCommandsFindTheSocketOfEveryBoard(t *testing.T) {
	known := append([]string{localapi.DefaultSocket}, localapi.BoardSockets...)
	for _, name := range boards.Names() {
		b, err := boards.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if s := b.Paths.Run + "/" + filepath.Base(localapi.DefaultSocket); !slices.Contains(known, s) {
			t.Errorf("%s listens at %s, the commands look at %v", name, s, known)
		}
	}
}

func target(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	env := cli.Env{Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Hooks: hooks("test")}
	code = cli.Main(append([]string{"target"}, args...), env)
	return out.String(), errs.String(), code
}

func TestTargetVerb(t *testing.T) {
	out, _, code := target(t, "list")
	if n := strings.Count(out, "\n"); code != 0 || n != len(boards.Names()) || !strings.Contains(out, "mt7688          mipsle  procd    MediaTek MT7688") {
		t.Errorf("list: exit %d, %d lines:\n%s", code, n, out)
	}
	// What show prints is a start for a file of one's own.
	out, _, code = target(t, "show", "imx6ull")
	if _, err := boards.Parse("board.toml", out); err != nil || code != 0 {
		t.Errorf("show: exit %d, %v", code, err)
	}
	own := filepath.Join(t.TempDir(), "board.toml")
	if err := os.WriteFile(own, []byte("name=\"k2\"\ntitle=\"kiosk 2\"\nbuild=[\"arm64\"]\ntemplate=[\"gpio\"]\n[modem]\nuart=\"/dev/ttyAMA9\"\nbaud=115200\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code = target(t, "check", own, "--root", t.TempDir())
	for _, want := range []string{"k2: kiosk 2 (" + own + ")", "MISSING   modem's UART: /dev/ttyAMA9\n          Enable it in the device tree", "fill in   GPIO line"} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
	if code != 3 {
		t.Errorf("check of a board where things are missing: exit %d", code)
	}
	out, _, code = target(t, "check", own, "--lang", "zh", "--root", t.TempDir())
	if code != 3 || !strings.Contains(out, "缺失      模组串口: /dev/ttyAMA9") {
		t.Errorf("check --lang zh: exit %d\n%s", code, out)
	}
	out, _, code = target(t, "check", "--json", own)
	if code != 3 || !strings.Contains(out, `"what": "uart"`) {
		t.Errorf("check --json: exit %d\n%s", code, out)
	}
	_, errs, code := target(t, "check", "imx7")
	if code != 1 || !strings.Contains(errs, "there is no such board") {
		t.Errorf("an unknown board: exit %d: %s", code, errs)
	}
	if _, errs, code = target(t, "frobnicate"); code != 1 || !strings.Contains(errs, "say list, show NAME or check") {
		t.Errorf("an unknown word: exit %d: %s", code, errs)
	}
}

// Every line that the check can print has its words in both languages: a file that
// promises everything on a machine that has nothing.
func TestTargetCheckWords(t *testing.T) {
	example, err := os.ReadFile("../../../firmware-targets/example/board.toml")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "board.toml")
	if err := os.WriteFile(own, example, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, lang := range []string{"en", "zh"} {
		out, _, code := target(t, "check", own, "--lang", lang, "--root", t.TempDir())
		if code != 3 || strings.Contains(out, "check.") {
			t.Errorf("%s: exit %d\n%s", lang, code, out)
		}
	}
}

// On a fresh machine /etc/cellwarden is not there: the verb makes it, and never writes
// over a file that somebody has edited.
func TestConfigExampleBeginsAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "etc", "cellwarden", "cellwarden.toml")
	if err := writeExample(name); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeExample(name); err == nil || !strings.Contains(err.Error(), "edit it") {
		t.Errorf("written over: %v", err)
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != "mine" {
		t.Errorf("%q %v", b, err)
	}
}
