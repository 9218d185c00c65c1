// Command vmcsim plays a vending machine's audit port on a pseudo terminal, to try the
// agent by hand:
//
//	go run ./agent/machine/cmd/vmcsim -link /tmp/machine dex
//
// It sells one product every few seconds. -master makes it call first, as changers do;
// ddcmp instead of dex speaks DDCMP.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"cellwarden/agent/machine/vmcsim"
)

func main() {
	link := flag.String("link", "/tmp/machine", "where the terminal can be found")
	master := flag.Bool("master", false, "DEX: the machine calls first")
	every := flag.Duration("every", 5*time.Second, "how often something is sold")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: vmcsim [flags] dex|ddcmp")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Arg(0), *link, *master, *every, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vmcsim:", err)
		os.Exit(1)
	}
}

// run plays until ctx ends. It says where the terminal is once that can be opened.
func run(ctx context.Context, protocol, link string, master bool, every time.Duration, out io.Writer) error {
	board := vmcsim.NewBoard("42")
	board.Happened("EGS")
	var serve func(io.ReadWriter) error
	switch protocol {
	case "dex":
		serve = (&vmcsim.DEX{Board: board, Master: master}).Serve
	case "ddcmp":
		serve = (&vmcsim.DDCMP{Board: board}).Serve
	default:
		return fmt.Errorf("%q: dex or ddcmp", protocol)
	}
	end, agent, err := pty.Open()
	if err != nil {
		return err
	}
	defer end.Close()
	defer agent.Close() // held open, so that the agent may come and go
	if err := raw(agent); err != nil {
		return err
	}
	_ = os.Remove(link) // of a run before; what else has the name makes the next line fail
	if err := os.Symlink(agent.Name(), link); err != nil {
		return err
	}
	defer os.Remove(link)
	fmt.Fprintf(out, "the machine's %s port is %s (%s)\n", protocol, link, agent.Name())
	done := make(chan error, 1)
	go func() { done <- serve(end) }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case err := <-done:
			return err
		case <-tick.C:
			board.Sell(n%2, n%3 == 0)
		}
	}
}

// raw keeps the terminal from changing or echoing what goes through it.
func raw(tty *os.File) error {
	fd := int(tty.Fd())
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}
