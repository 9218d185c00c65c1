package modemtest

import (
	"context"
	"errors"
	"io"
	"sync"
)

// pipeBuffer is the room of each direction of a Pipe, as of a tty: a host that
// writes on while the modem takes nothing is held up at last.
const pipeBuffer = 4096

// ErrGone is what Reopen returns while the port is away.
var ErrGone = errors.New("modemtest: no such port: it vanished")

// A PipePort is the host's end of a simulated modem in memory. After the port
// vanished, reads and writes fail; Reopen gives a new end once it is back.
type PipePort struct {
	wire     *wire
	toHost   *buffer
	fromHost *buffer
}

// Pipe starts a modem in memory and returns the host's end. It works under
// testing/synctest. The modem stops when ctx ends.
func Pipe(ctx context.Context, sc *Scenario, clock Clock) *PipePort {
	w := &wire{runner: NewRunner(NewPlayer(sc, 1), clock)}
	w.cond.L = &w.mu
	port := w.plugIn()
	go func() {
		_ = w.runner.Serve(ctx, w) // a wire fails only by being closed
	}()
	return port
}

// Do performs one script line now.
func (port *PipePort) Do(line string) error { return port.wire.runner.Do(line) }

// Reopen gives a new end of the same modem, as a program that opens the port
// again gets; the old end is closed. It is ErrGone while the port is away, and
// io.ErrClosedPipe when the modem has stopped.
func (port *PipePort) Reopen() (*PipePort, error) {
	w := port.wire
	w.mu.Lock()
	gone, stopped := w.gone, w.stopped
	w.mu.Unlock()
	switch {
	case stopped:
		return nil, io.ErrClosedPipe
	case gone:
		return nil, ErrGone
	}
	return w.plugIn(), nil
}

// Read returns what the modem said; io.EOF after the port vanished or was closed.
func (port *PipePort) Read(b []byte) (int, error) { return port.toHost.Read(b) }

// Write waits while the modem takes nothing and the buffer is full.
func (port *PipePort) Write(b []byte) (int, error) { return port.fromHost.Write(b) }

// Close closes the host's end; the modem plays on and may be Reopened.
func (port *PipePort) Close() error {
	port.toHost.Close()
	port.fromHost.Close()
	return nil
}

// A wire is the modem's end: one modem, and one PipePort after the other.
type wire struct {
	runner *Runner

	mu            sync.Mutex
	cond          sync.Cond
	port          *PipePort
	gone, stopped bool
}

func (w *wire) plugIn() *PipePort {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.port != nil {
		_ = w.port.Close() // always nil
	}
	w.port = &PipePort{wire: w, toHost: newBuffer(), fromHost: newBuffer()}
	w.cond.Broadcast()
	return w.port
}

// Read reads from whichever end is plugged in, and waits while none is.
func (w *wire) Read(b []byte) (int, error) {
	for {
		w.mu.Lock()
		port := w.port
		w.mu.Unlock()
		n, err := port.fromHost.Read(b)
		if err == nil {
			return n, nil
		}
		w.mu.Lock()
		for w.port == port && !w.stopped {
			w.cond.Wait()
		}
		stopped := w.stopped
		w.mu.Unlock()
		if stopped {
			return 0, io.EOF
		}
	}
}

// Write loses what a closed end does not take, as a cable does.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	port := w.port
	w.mu.Unlock()
	if _, err := port.toHost.Write(b); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return 0, err
	}
	return len(b), nil
}

func (w *wire) Vanish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = true
	return w.port.Close()
}

func (w *wire) Return() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone = false
	return nil
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.cond.Broadcast()
	return w.port.Close()
}

// A buffer is one direction: bounded, and closed from either side.
type buffer struct {
	mu     sync.Mutex
	cond   sync.Cond
	data   []byte
	closed bool
}

func newBuffer() *buffer {
	b := &buffer{}
	b.cond.L = &b.mu
	return b
}

func (b *buffer) Read(to []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.data) == 0 && !b.closed {
		b.cond.Wait()
	}
	if len(b.data) == 0 {
		return 0, io.EOF
	}
	n := copy(to, b.data)
	b.data = b.data[n:]
	b.cond.Broadcast()
	return n, nil
}

func (b *buffer) Write(from []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	done := 0
	for done < len(from) {
		for len(b.data) == pipeBuffer && !b.closed {
			b.cond.Wait()
		}
		if b.closed {
			return done, io.ErrClosedPipe
		}
		n := min(len(from)-done, pipeBuffer-len(b.data))
		b.data = append(b.data, from[done:done+n]...)
		done += n
		b.cond.Broadcast()
	}
	return done, nil
}

func (b *buffer) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.cond.Broadcast()
}
