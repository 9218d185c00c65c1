// Command demo tells one story from "online" to "over quota" and back with the
// real agent, on any computer with Go: no root, no modem, no outside service.
// Package demo has the story; this is its flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"cellwarden/agent/demo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stat, err := os.Stdout.Stat()
	tty := err == nil && stat.Mode()&os.ModeCharDevice != 0
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr, tty); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
		stop()
		os.Exit(1)
	}
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, tty bool) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	fast := flags.Bool("fast", false, "as fast as it goes, with no time to read")
	verbose := flags.Bool("v", false, "the agent's log on standard error")
	keep := flags.Bool("keep-page", false, "leave the agent and its web page running at the end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q; the demo takes flags only", flags.Arg(0))
	}
	opt := demo.Options{Out: stdout, TTY: tty, Fast: *fast, KeepPage: *keep, Version: "demo"}
	if *verbose {
		opt.Log = stderr
	}
	_, err := demo.Run(ctx, opt)
	if *keep && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
