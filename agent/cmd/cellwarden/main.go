// Command cellwarden is the agent and its tools in one binary: verbs, flags, exit
// codes. Package agent runs the agent; the verbs that only ask it are in package cli.
package main

import (
	"os"
	"runtime/debug"
	"time"

	"cellwarden/agent/cli"
)

// version is set by the build: -ldflags "-X main.version=...".
var version = "dev"

// The live heap is 0.2 MB when idle. A quarter of growth keeps the garbage of the
// start (config, weights, texts) near 1 MB instead of 2; the limit is soft, counts
// all that the runtime has and stands well above it.
const (
	gcPercent   = 25
	memoryLimit = 12 << 20
)

func main() {
	debug.SetGCPercent(gcPercent)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	stat, err := os.Stdout.Stat()
	os.Exit(cli.Main(os.Args[1:], cli.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		TTY:      err == nil && stat.Mode()&os.ModeCharDevice != 0,
		Location: time.Local, Version: version, Hooks: hooks(version),
	}))
}
