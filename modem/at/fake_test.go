package at

import (
	"errors"
	"io"
	"strings"
	"sync"
	"time"
)

// memPort is a serial port in memory. The modem's side calls send and receives
// on heard; reads are cut where chop says.
type memPort struct {
	mu     sync.Mutex
	more   *sync.Cond
	out    []byte // modem to host
	closed bool
	stuck  bool          // Write blocks until Close
	freed  chan struct{} // closed by Close
	heard  chan string   // host to modem, as written
	chop   func(n int) int
	empty  int // reads that return (0, nil) first
}

func newMemPort() *memPort {
	p := &memPort{heard: make(chan string, 1024), freed: make(chan struct{}), chop: func(n int) int { return n }}
	p.more = sync.NewCond(&p.mu)
	return p
}

func (p *memPort) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.empty > 0 {
		p.empty--
		return 0, nil
	}
	for len(p.out) == 0 && !p.closed {
		p.more.Wait()
	}
	if p.closed {
		return 0, io.EOF
	}
	n := min(max(p.chop(len(p.out)), 1), len(p.out), len(b))
	copy(b, p.out[:n])
	p.out = p.out[n:]
	return n, nil
}

func (p *memPort) Write(b []byte) (int, error) {
	p.mu.Lock()
	stuck, closed := p.stuck, p.closed
	p.mu.Unlock()
	if closed {
		return 0, errors.New("write after close")
	}
	if stuck {
		<-p.freed
		return 0, io.ErrClosedPipe
	}
	p.heard <- string(b)
	return len(b), nil
}

func (p *memPort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.freed)
		p.more.Broadcast()
	}
	return nil
}

// send is what the modem says.
func (p *memPort) send(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, s...)
	p.more.Broadcast()
}

// answering runs a modem that answers each command with what reply says. It
// ends with the port.
func answering(p *memPort, reply func(cmd string) string) {
	go func() {
		for {
			select {
			case <-p.freed:
				return
			case s := <-p.heard:
				p.send(reply(strings.TrimSuffix(s, "\r")))
			}
		}
	}()
}

// ready answers what proving step asks, and ask the rest.
func ready(ask func(cmd string) string) func(cmd string) string {
	return func(cmd string) string {
		switch cmd {
		case "AT":
			return "\r\nOK\r\n"
		case "AT+CMEE?":
			return "\r\n+CMEE: 1\r\n\r\nOK\r\n"
		case "AT+CFUN?":
			return "\r\n+CFUN: 1\r\n\r\nOK\r\n"
		case "AT+CSCS?":
			return "\r\n+CSCS: \"IRA\"\r\n\r\nOK\r\n"
		case "AT+CMGF?":
			return "\r\n+CMGF: 0\r\n\r\nOK\r\n"
		}
		return ask(cmd)
	}
}

const second = time.Second
