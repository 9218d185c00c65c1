// Package launch says which binary starts, and becomes it.
//
// The service always starts the installed binary: `cellwarden run`. That one is the
// launcher: it looks which binary is to run, and becomes it. A binary on trial runs
// below the launcher, which ends it when it does not prove itself and so needs
// nobody's help: no watchdog, no restart by the service manager.
//
// It knows nothing of the agent: no version is judged here, nothing is fetched.
package launch

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"cellwarden/agent/config"
	"cellwarden/agent/flash"
	"cellwarden/agent/update/install"
	"cellwarden/protocol"

	"github.com/BurntSushi/toml"
)

// What the launcher tells a binary that it starts:
const (
	envSlot     = "CELLWARDEN_SLOT"     // the file that runs
	envPackage  = "CELLWARDEN_PACKAGE"  // version of the launcher
	envLauncher = "CELLWARDEN_LAUNCHER" // file of the launcher
	envTrial    = "CELLWARDEN_TRIAL"    // set: on trial, the launcher waits above
)

const (
	// stopTimeout is what a binary on trial gets to end: what Run needs at most.
	stopTimeout = 15 * time.Second
	// crashPause keeps a binary that dies at once from burning the processor.
	crashPause = 2 * time.Second
	// selfTest bounds one call of the new binary: on an ARM9 it takes a second.
	selfTest = 30 * time.Second
)

// Dir is where updates live, below store.dir.
func Dir(store string) install.Dir {
	return install.Dir{FS: flash.OS{}, Path: filepath.Join(store, "update")}
}

// OnTrial reports whether the launcher waits above this process to see it prove itself.
func OnTrial() bool { return os.Getenv(envTrial) != "" }

// PackageVersion is the version of the installed binary.
func PackageVersion(own string) string {
	if v := os.Getenv(envPackage); v != "" {
		return v
	}
	return own
}

// Start starts the right binary. It returns ok false when that is this one, and
// otherwise only when all is over, with the exit code.
func Start(ctx context.Context, configFile, version string, log *slog.Logger) (code int, ok bool) {
	if os.Getenv(envSlot) != "" {
		return 0, false
	}
	exe, err := os.Executable()
	if err != nil {
		log.Error("the launcher does not know its own file; the packaged binary runs", "error", err)
		return 0, false
	}
	store, within, able := bootConfig(configFile)
	d := Dir(store)
	if err := flash.Private(store, d.Path); err != nil {
		log.Error("the packaged binary runs: others could change what is started", "error", err)
		return 0, false
	}
	for ctx.Err() == nil {
		file, trial := d.Next(version, able)
		if file == "" {
			return 0, false
		}
		env := append(os.Environ(), envSlot+"="+file, envPackage+"="+version, envLauncher+"="+exe)
		if !trial {
			err := syscall.Exec(file, os.Args, env)
			log.Error("the slot does not start; the packaged binary runs", "slot", file, "error", err)
			return 0, false
		}
		log.Info("a new binary is on trial", "slot", file)
		code, why := try(ctx, file, append(env, envTrial+"=1"), within)
		if ctx.Err() != nil {
			return code, true
		}
		s, err := d.Slots()
		switch {
		case err != nil || s.Trial == nil:
			continue // confirmed: it becomes this process
		case why.Code == protocol.UpdateUnhealthy || s.Trial.Spent():
			log.Error("the new binary is taken back", "code", why.Code, "detail", why.Detail)
			if err := d.GiveUp(why); err != nil {
				log.Error("that cannot be kept; the packaged binary runs", "error", err)
				return 0, false
			}
		default:
			log.Warn("the new binary ended and is started again", "detail", why.Detail)
			wait(ctx, crashPause)
		}
	}
	return 0, true
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// try runs a binary on trial until it ends, and ends it after within.
func try(ctx context.Context, file string, env []string, within time.Duration) (code int, why *protocol.Refusal) {
	// Pdeathsig goes by the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	limit, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	child := exec.CommandContext(limit, file)
	child.Args, child.Env = os.Args, env
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = stopTimeout // then it is killed
	if err := child.Start(); err != nil {
		return 1, protocol.Refuse(protocol.UpdateCrashed, "%v", err)
	}
	err := child.Wait()
	late := ctx.Err() == nil && limit.Err() != nil
	switch {
	case late:
		return 1, protocol.Refuse(protocol.UpdateUnhealthy, "not confirmed within %v", within)
	case child.ProcessState == nil:
		return 1, protocol.Refuse(protocol.UpdateCrashed, "%v", err)
	}
	return max(0, child.ProcessState.ExitCode()), protocol.Refuse(protocol.UpdateCrashed, "ended in the trial: %v", child.ProcessState)
}

// Again makes this process the launcher again, so that it starts the right
// binary. Below a launcher it only ends.
func Again(log *slog.Logger) int {
	if OnTrial() {
		return 0
	}
	file := os.Getenv(envLauncher)
	if file == "" {
		var err error
		if file, err = os.Executable(); err != nil {
			log.Error("not started anew", "error", err)
			return 1
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == envSlot || name == envPackage || name == envLauncher
	})
	log.Error("not started anew; the service manager has to", "error", syscall.Exec(file, os.Args, env))
	return 1
}

// bootConfig reads what the launcher needs of the config. A file that this version
// refuses, such as one with keys of a later version, must not keep that later
// version from starting: then just these two keys are read, and able is false, since
// this version would not run in that one's place.
func bootConfig(file string) (store string, within time.Duration, able bool) {
	root := os.DirFS("/")
	if c, _, err := config.LoadOn(root, file); err == nil {
		return c.Store.Dir, c.Update.ConfirmWithin.Std(), true
	}
	var c struct {
		Device struct {
			Target string `toml:"target"`
		} `toml:"device"`
		Store struct {
			Dir string `toml:"dir"`
		} `toml:"store"`
		Update struct {
			Within string `toml:"confirm_within"`
		} `toml:"update"`
	}
	if data, err := os.ReadFile(file); err == nil {
		_, _ = toml.Decode(string(data), &c) // what cannot be read is the default
	}
	store, within = config.Default.Store.Dir, config.Default.Update.ConfirmWithin.Std()
	if filepath.IsAbs(c.Store.Dir) {
		store = c.Store.Dir
	} else if b, err := config.FindBoard(root, c.Device.Target, file); err == nil && b.Target != nil && b.Target.Known().Paths.State != "" {
		store = b.Target.Known().Paths.State
	}
	if d, err := time.ParseDuration(c.Update.Within); err == nil && d > 0 {
		within = d
	}
	return store, within, false
}

// SaysVersion runs `file version` and wants to hear version: a binary for another
// processor, on a file system without execution, or damaged does not come so far.
func SaysVersion(file, version string) error {
	ctx, cancel := context.WithTimeout(context.Background(), selfTest)
	defer cancel()
	said, err := exec.CommandContext(ctx, file, "version").Output()
	if err != nil {
		return fmt.Errorf("%s version: %w", filepath.Base(file), err)
	}
	for word := range strings.FieldsSeq(string(said)) {
		if word == version {
			return nil
		}
	}
	return fmt.Errorf("it says it is %.64q", strings.TrimSpace(string(said)))
}
