package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"cellwarden/agent/board"
	"cellwarden/agent/cli"
	"cellwarden/agent/config"
	"cellwarden/agent/explain"
	"cellwarden/agent/text"
	boards "cellwarden/firmware-targets"
)

// boardName is what the status calls the board.
func boardName(b config.Board) string {
	if b.Target == nil {
		return ""
	}
	return b.Target.Name
}

// applyBoardDefaults sets what the whole process takes from the board: its memory, and where its
// certificates are. The environment wins.
func applyBoardDefaults(b config.Board, cfg config.Config, env cli.Env) {
	if b.Target == nil {
		return
	}
	t := b.Target.Known()
	if t.Memory > 0 && env.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(t.Memory))
	}
	// Read by crypto/x509 at the first handshake.
	if t.Net.CADir != "" && cfg.Uplink.CAFile == "" && env.Getenv("SSL_CERT_DIR") == "" {
		_ = os.Setenv("SSL_CERT_DIR", t.Net.CADir) // fails only for names with "="
	}
}

var targetVerb = cli.Verb{Name: "target", Args: "list | show NAME | check [NAME|FILE] [--json]",
	Do: targetsVerb}

func targetsVerb(_ context.Context, args []string, env cli.Env) int {
	f := flags("target", env)
	asJSON := f.Bool("json", false, "print JSON")
	lang := f.String("lang", "", "zh or en")
	root := f.String("root", "/", "check a copy of another board's /proc, /sys and /dev")
	path := f.String("config", config.DefaultPath, "the config file, beside which board.toml lies")
	var words []string
	for len(args) > 0 {
		if f.Parse(args) != nil {
			return explain.ExitFailed
		}
		if args = f.Args(); len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	name := ""
	if len(words) == 2 {
		name = words[1]
	}
	switch {
	case len(words) == 1 && words[0] == "list":
		return targetList(env)
	case len(words) == 2 && words[0] == "show":
		t, err := boards.Text(name)
		if err != nil {
			return failed(env, err)
		}
		fmt.Fprint(env.Stdout, t)
		return 0
	case (len(words) == 1 || len(words) == 2) && words[0] == "check":
		b, err := config.FindBoard(os.DirFS(*root), name, *path)
		if err != nil {
			return failed(env, err)
		}
		if b.Target == nil {
			return failed(env, fmt.Errorf("target check: this board is not known; name one of: cellwarden target list, or write %s (firmware-targets/README.md)",
				filepath.Join(filepath.Dir(*path), config.BoardFile)))
		}
		return targetCheck(env, b, *root, *asJSON, env.Lang(*lang))
	}
	return failed(env, fmt.Errorf("target: say list, show NAME or check"))
}

func targetList(env cli.Env) int {
	for _, name := range boards.Names() {
		t, err := boards.Get(name)
		if err != nil {
			return failed(env, err)
		}
		fmt.Fprintf(env.Stdout, "%-15s %-7s %-8s %s\n", t.Name, t.Build[0], t.Init, t.Title)
	}
	return 0
}

// targetCheck prints one line a promise, with the cure below what is missing.
func targetCheck(env cli.Env, b config.Board, root string, asJSON bool, lang text.Lang) int {
	checks := board.CheckTarget(root, b.Target, runtime.GOARCH, board.Build)
	code := 0
	for _, c := range checks {
		if c.State == board.CheckMissing {
			code = explain.ExitFault
		}
	}
	if asJSON {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"board": b.Target.Name, "by": b.By, "checks": checks}); err != nil {
			return failed(env, err)
		}
		return code
	}
	fmt.Fprintf(env.Stdout, "%s: %s (%s)\n", b.Target.Name, b.Target.Title, b.By)
	for _, c := range checks {
		state := text.T(lang, "check."+c.State)
		fmt.Fprintf(env.Stdout, "%s %s", cli.Pad(state, 9), text.T(lang, "check."+c.What))
		if c.Found != "" {
			fmt.Fprintf(env.Stdout, ": %s", c.Found)
		}
		fmt.Fprintln(env.Stdout)
		cure := "check.cure_" + c.What
		if c.State == board.CheckFillIn {
			cure = "check.cure_fill_in"
		}
		if c.State == board.CheckMissing || c.State == board.CheckFillIn {
			fmt.Fprintf(env.Stdout, "          %s\n", text.T(lang, cure, c.What))
		}
	}
	return code
}
