// Command cellwarden is the agent and its tools in one binary. It does not
// decide anything: package cli has the verbs, package agent the agent.
package main

import (
	"os"
	"runtime/debug"
	"time"

	"cellwarden/agent"
	"cellwarden/agent/cli"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "dev"

// The heap is small and lives long: a quarter of the default growth keeps the
// resident size low, the limit is soft and stands above the live heap of some
// 3 MB. Measured idle on amd64: 11.7 MB resident, 12.3 with 50 and 12 MiB; two
// thirds of it are pages of the binary's file.
const (
	gcPercent   = 25
	memoryLimit = 8 << 20
)

func main() {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	stat, err := os.Stdout.Stat()
	os.Exit(cli.Main(os.Args[1:], cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		TTY:      err == nil && stat.Mode()&os.ModeCharDevice != 0,
		Location: time.Local, Version: version, Hooks: agent.Hooks(version),
	}))
}
