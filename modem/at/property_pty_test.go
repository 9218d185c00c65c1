package at

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ptySide is the modem's end of a real terminal.
type ptySide struct {
	master *os.File
	mu     sync.Mutex
	heard  chan string
	closed chan struct{}
}

func newPTYSide(master *os.File) *ptySide {
	p := &ptySide{master: master, heard: make(chan string, 1024), closed: make(chan struct{})}
	go func() {
		defer close(p.closed)
		var line strings.Builder
		buf := make([]byte, 256)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			for _, b := range buf[:n] {
				line.WriteByte(b)
				if b == '\r' || b == '\x1a' {
					p.heard <- line.String()
					line.Reset()
				}
			}
		}
	}()
	return p
}

// send does not wait for a host that reads nothing: a UART would not either.
func (p *ptySide) send(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.master.SetWriteDeadline(time.Now().Add(patience))
	_, _ = p.master.WriteString(s)
}

func (p *ptySide) hears() <-chan string  { return p.heard }
func (p *ptySide) gone() <-chan struct{} { return p.closed }

// patience is how long a real terminal may take under load.
const patience = 20 * time.Second

// TestNeverOutOfStepOnPTY is TestNeverOutOfStep with a real terminal, the real
// port and the real clock. Lines wait rather than work, so many run at once;
// the modem's delays are a quarter of those in simulation, and a line is asked
// little: about twelve seconds in all. CELLWARDEN_PTY_SEEDS sets the number of
// lines.
func TestNeverOutOfStepOnPTY(t *testing.T) {
	t.Parallel()
	const commands, slow = 3, time.Millisecond / 4
	seeds := 64
	if n, err := strconv.Atoi(os.Getenv("CELLWARDEN_PTY_SEEDS")); err == nil {
		seeds = n
	}
	if testing.Short() {
		seeds = 8
	}
	sum := &tally{did: map[string]int{}}
	var wait sync.WaitGroup
	for seed := range seeds {
		master, path := rawPTY(t)
		// Kept open, so that a re-open does not hang the modem's side up.
		keep, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		u := newUnruly(seed, slow)
		side := newPTYSide(master)
		u.port = side
		h := &host{seed: seed, u: u, rnd: rand.New(rand.NewPCG(uint64(seed), 8))}
		h.fatal = func(format string, args ...any) {
			t.Errorf(format, args...)
			runtime.Goexit()
		}
		h.open = func() *Dialogue {
			port, err := OpenPort(path, 0)
			if err != nil {
				h.fatal("seed %d: %v", seed, err)
			}
			return New(port, Options{IsURC: isTestURC})
		}
		wait.Go(func() {
			defer func() {
				keep.Close()
				master.Close()
				<-side.closed
			}()
			h.run(commands, 2*second, func() { time.Sleep(time.Second) })
			sum.add(h)
		})
	}
	wait.Wait()
	sum.check(t, []string{"echo", "split line", "URC inside a reply", "noise", "prompt", "prompt never comes", "CR only"}, 1)
}
