package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"cellwarden/agent"
	"cellwarden/agent/cli"
	"cellwarden/agent/config"
	"cellwarden/agent/explain"
	"cellwarden/agent/flash"
	"cellwarden/agent/text"
	"cellwarden/agent/web/access"
)

var pinVerb = cli.Verb{Name: "pin", Args: "set [--role read|act]", Do: setPIN}

// setPIN asks for the PIN of the page, never as an argument: others could read it in
// the list of processes.
func setPIN(_ context.Context, args []string, env cli.Env) int {
	f := flags("pin", env)
	as := f.String("role", "act", "read: sees all; act: presses buttons too")
	path := f.String("config", config.DefaultPath, "the config file, which says where the agent keeps things")
	if len(args) == 0 || args[0] != "set" {
		return failed(env, errors.New("pin: say set"))
	}
	if f.Parse(args[1:]) != nil {
		return explain.ExitFailed
	}
	role, err := access.ParseRole(*as)
	if err != nil {
		return failed(env, fmt.Errorf("pin set: --role: %w", err))
	}
	cfg, _, err := config.LoadOn(os.DirFS("/"), *path)
	if err != nil {
		return failed(env, err)
	}
	lang := env.Lang("")
	fmt.Fprint(env.Stderr, text.T(lang, "pin.ask")+" ")
	line, err := bufio.NewReader(io.LimitReader(env.Stdin, 256)).ReadString('\n')
	if err != nil && !(errors.Is(err, io.EOF) && line != "") {
		return failed(env, fmt.Errorf("pin set: no PIN was given: %w", err))
	}
	if err := keepPIN(cfg.Store.Dir, role, strings.TrimSpace(line)); err != nil {
		return failed(env, err)
	}
	fmt.Fprintln(env.Stdout, text.T(lang, "pin.set"))
	return 0
}

// keepPIN puts one role's PIN beside the other's. The file belongs to whom the
// directory belongs to, so that the agent can read what root has set.
func keepPIN(dir string, role access.Role, pin string) error {
	pins, err := agent.LoadPins(dir)
	if err != nil {
		return err
	}
	if err := pins.Set(role, pin); err != nil {
		return err
	}
	file := filepath.Join(dir, agent.PinFile)
	if err := flash.WriteFile(flash.OS{}, file, pins.Bytes()); err != nil {
		return fmt.Errorf("%w; run this as root or as the agent's user", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Chown(file, int(st.Uid), int(st.Gid)); err != nil {
			return fmt.Errorf("the agent may not be able to read the PIN: %w", err)
		}
	}
	return os.Chmod(file, 0o600)
}
