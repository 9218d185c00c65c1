package vmcsim

import (
	"errors"
	"io"
	"sync"
	"time"
)

// errQuiet: nothing came in time. errUnplugged: the plug was pulled.
var (
	errQuiet     = errors.New("nothing came in time")
	errUnplugged = errors.New("unplugged")
)

// line is the wire with its reader. What comes in waits in a bounded channel.
type line struct {
	rw    io.ReadWriter
	in    chan byte
	gone  chan struct{}
	once  sync.Once
	mu    sync.Mutex
	heard []byte
}

// newLine starts the one goroutine that reads; it ends with the wire.
func newLine(rw io.ReadWriter) *line {
	l := &line{rw: rw, in: make(chan byte, 1<<17), gone: make(chan struct{})}
	go func() {
		defer close(l.gone)
		buf := make([]byte, 512)
		for {
			n, err := rw.Read(buf)
			for _, b := range buf[:n] {
				l.in <- b
			}
			l.mu.Lock()
			l.heard = append(l.heard, buf[:n]...)
			l.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return l
}

// byte waits for one.
func (l *line) byte(d time.Duration) (byte, error) {
	select {
	case b := <-l.in:
		return b, nil
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case b := <-l.in:
		return b, nil
	case <-t.C:
		return 0, errQuiet
	case <-l.gone:
		select {
		case b := <-l.in:
			return b, nil
		default:
			return 0, io.EOF
		}
	}
}

// drop forgets what waits.
func (l *line) drop() {
	for {
		select {
		case <-l.in:
		default:
			return
		}
	}
}

// recorded is every byte that the other side ever sent.
func (l *line) recorded() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]byte(nil), l.heard...)
}
