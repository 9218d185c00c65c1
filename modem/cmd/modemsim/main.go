// Command modemsim plays a scenario as a modem on a pseudo terminal, for hands
// and eyes and for tests of whole programs. It is package modemtest with flags;
// it simulates the AT port only and carries no data.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"cellwarden/modem/modemtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "modemsim:", err)
		}
		stop()
		os.Exit(1)
	}
}

const usage = `usage: modemsim [flags] SCENARIO.txtar | NAME
       modemsim [flags] -case FILE.json -id ID
       modemsim -list-settings

Plays a modem on a pseudo terminal and prints its path. NAME is a built-in
scenario: %s.

`

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("modemsim", flag.ContinueOnError)
	flags.SetOutput(stderr)
	link := flags.String("link", "", "make `PATH` a symbolic link to the terminal; it stays the same when the port vanishes and comes back")
	control := flags.String("control", "", "take script lines without a time on the unix socket `SOCK`, and answer ok or error")
	seed := flags.Uint64("seed", 1, "seed of the noise")
	speed := flags.Float64("speed", 1, "run the scenario `X` times as fast")
	caseFile := flags.String("case", "", "play a recorded case from `FILE`, a JSON array of cases")
	id := flags.String("id", "", "which case of -case")
	verbose := flags.Bool("v", false, "print the dialogue on standard error")
	list := flags.Bool("list-settings", false, "list what scenario lines there are, and end")
	flags.Usage = func() {
		fmt.Fprintf(stderr, usage, strings.Join(modemtest.BuiltinNames(), ", "))
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *list {
		return listSettings(stdout)
	}
	if !(*speed > 0 && *speed <= maxSpeed) {
		return fmt.Errorf("-speed %g: more than 0 and at most %d", *speed, maxSpeed)
	}
	sc, err := load(flags.Args(), *caseFile, *id)
	if err != nil {
		return err
	}
	if sc.Device["clock"] == "" {
		withClock := *sc
		withClock.Start = time.Now()
		sc = &withClock
	}
	return play(ctx, sc, *link, *control, *seed, *speed, *verbose, stdout, stderr)
}

// maxSpeed plays a month in half a minute; beyond it the gaps between bytes
// are below what a timer keeps.
const maxSpeed = 100_000

func play(ctx context.Context, sc *modemtest.Scenario, link, control string, seed uint64, speed float64, verbose bool, stdout, stderr io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var trace func(time.Duration, modemtest.Direction, []byte)
	if verbose {
		d := &dialogue{to: stderr}
		trace = d.trace
		defer d.flush()
	}
	modem, err := modemtest.StartPTYTraced(ctx, link, modemtest.NewPlayer(sc, seed), modemtest.NewClock(speed), trace)
	if err != nil {
		return err
	}
	controlled := make(chan error, 1)
	if control == "" {
		controlled <- nil
	} else {
		l, err := listen(control)
		if err != nil {
			return errors.Join(err, modem.Close())
		}
		go func() { controlled <- modemtest.ServeControl(ctx, l, modem.Do) }()
	}
	fmt.Fprintln(stdout, modem.Path())
	err = modem.Wait()
	cancel()
	return errors.Join(err, <-controlled)
}

// listen opens the control socket. A socket that nobody serves is left over
// from a killed run and is replaced.
func listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if conn, dialErr := net.Dial("unix", path); dialErr == nil {
		_ = conn.Close() // nothing was said
		return nil, fmt.Errorf("%w: another modemsim serves it", err)
	}
	info, statErr := os.Lstat(path)
	if statErr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%w: it is not a socket; name another path", err)
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// load finds the scenario that the arguments name.
func load(args []string, caseFile, id string) (*modemtest.Scenario, error) {
	switch {
	case caseFile != "" && len(args) > 0:
		return nil, fmt.Errorf("a scenario and -case are both given; give one")
	case caseFile != "":
		return loadCase(caseFile, id)
	case len(args) != 1:
		return nil, fmt.Errorf("give one scenario file, or one of %s", strings.Join(modemtest.BuiltinNames(), ", "))
	}
	if _, err := os.Stat(args[0]); errors.Is(err, os.ErrNotExist) && !strings.ContainsAny(args[0], "./") {
		return modemtest.Builtin(args[0])
	}
	return modemtest.ParseFile(args[0])
}

func loadCase(file, id string) (*modemtest.Scenario, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var cases []json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		return nil, fmt.Errorf("%s: not an array of cases: %w", file, err)
	}
	var ids []string
	for i, c := range cases {
		var head struct{ ID string }
		if err := json.Unmarshal(c, &head); err != nil {
			return nil, fmt.Errorf("%s: case %d: %w", file, i, err)
		}
		if head.ID == id {
			return modemtest.FromCase(c)
		}
		ids = append(ids, head.ID)
	}
	return nil, fmt.Errorf("%s: no case %q; there are %s", file, id, strings.Join(ids, ", "))
}

func listSettings(to io.Writer) error {
	var b strings.Builder
	b.WriteString("COMMAND [options] -> LINE | LINE\n    the explicit reply to a command; options: [after 30s] [split 3] [urc-inside LINE] [prompt]\n")
	for _, s := range modemtest.Settings() {
		where := ""
		if s.Event {
			where = " (script and control only)"
		}
		fmt.Fprintf(&b, "%s\n    %s%s\n", s.Usage, s.Help, where)
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// A dialogue prints whole lines, with their direction and time. Each direction
// has its own line in hand: a host that types is echoed between its letters.
type dialogue struct {
	to io.Writer

	mu   sync.Mutex
	host halfLine
	sim  halfLine
}

type halfLine struct {
	at   time.Duration
	text []byte
}

func (d *dialogue) trace(at time.Duration, dir modemtest.Direction, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	half := &d.sim
	if dir == modemtest.FromHost {
		half = &d.host
	}
	for _, c := range b {
		if len(half.text) == 0 {
			half.at = at
		}
		half.text = append(half.text, c)
		if c == '\n' || c == '\r' || len(half.text) == maxPrinted {
			d.print(half, dir)
		}
	}
}

// maxPrinted breaks lines of noise.
const maxPrinted = 160

// print ends the line in hand. The caller holds the lock.
func (d *dialogue) print(half *halfLine, dir modemtest.Direction) {
	if line := bytes.Trim(half.text, "\r\n"); len(line) > 0 {
		fmt.Fprintf(d.to, "%10s %s %s\n", half.at.Round(time.Millisecond), dir, quote(line))
	}
	half.text = half.text[:0]
}

func (d *dialogue) flush() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.print(&d.host, modemtest.FromHost)
	d.print(&d.sim, modemtest.ToHost)
}

// quote shows a line as it is where it is plain text.
func quote(line []byte) string {
	q := fmt.Sprintf("%+q", line)
	plain := string(line)
	if strings.ReplaceAll(plain, `"`, `\"`) == q[1:len(q)-1] {
		return plain
	}
	return q
}
