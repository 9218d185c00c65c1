package modemtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// overrunTime is how long the modem waits for a host that reads nothing. A
// UART would not wait at all; a test host under load deserves some patience.
const overrunTime = 2 * time.Second

// A PTY is a simulated modem on a pseudo terminal, raw from the start: in
// cooked mode the terminal would echo the modem's words back as commands.
type PTY struct {
	*Runner
	link string
	done chan struct{}
	err  error // of Serve, once done is closed
	stop context.CancelFunc

	mu     sync.Mutex
	cond   sync.Cond
	master *os.File // nil while the port is away
	slave  *os.File // held open, so that the master outlives each host
	closed bool
}

// StartPTY plays p on a new pseudo terminal until ctx ends or Close. Where
// link is not "", a symbolic link of that name leads to the terminal, also
// after the port vanished and came back under another name.
func StartPTY(ctx context.Context, link string, p *Player, clock Clock) (*PTY, error) {
	return StartPTYTraced(ctx, link, p, clock, nil)
}

// StartPTYTraced is StartPTY with a trace of all bytes; see Runner.Trace.
func StartPTYTraced(ctx context.Context, link string, p *Player, clock Clock, trace func(time.Duration, Direction, []byte)) (*PTY, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &PTY{Runner: NewRunner(p, clock), link: link, done: make(chan struct{}), stop: cancel}
	t.Trace = trace
	t.cond.L = &t.mu
	line := ptyLine{t}
	if err := line.Return(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer close(t.done)
		t.err = t.Serve(ctx, line)
		cancel()
	}()
	return t, nil
}

// Path is where a host opens the port: the link, or else the terminal itself,
// "" while it is away.
func (t *PTY) Path() string {
	if t.link != "" {
		return t.link
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slave == nil {
		return ""
	}
	return t.slave.Name()
}

// Close stops the modem, removes the link and waits for the end.
func (t *PTY) Close() error {
	t.stop()
	return t.Wait()
}

// Wait waits until the modem has stopped and returns why, nil for an order.
func (t *PTY) Wait() error {
	<-t.done
	return t.err
}

// ptyLine is the modem's side of a PTY.
type ptyLine struct{ t *PTY }

// Return makes the terminal and the link.
func (l ptyLine) Return() error {
	t := l.t
	master, slave, err := openRaw()
	if err != nil {
		return fmt.Errorf("modemtest: pty: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.link != "" {
		if err := relink(slave.Name(), t.link); err != nil {
			return fmt.Errorf("modemtest: pty: %w", errors.Join(err, master.Close(), slave.Close()))
		}
	}
	t.master, t.slave = master, slave
	t.cond.Broadcast()
	return nil
}

// Vanish hangs the terminal up: the host's reads fail or end.
func (l ptyLine) Vanish() error {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unplug()
}

// unplug removes terminal and link. The caller holds the lock.
func (t *PTY) unplug() error {
	if t.master == nil {
		return nil
	}
	var err error
	if t.link != "" {
		err = os.Remove(t.link)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	err = errors.Join(err, t.slave.Close(), t.master.Close())
	t.master, t.slave = nil, nil
	return err
}

func (l ptyLine) Close() error {
	t := l.t
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.cond.Broadcast()
	return t.unplug()
}

// current waits for the terminal while it is away.
func (t *PTY) current() (master, slave *os.File, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.master == nil && !t.closed {
		t.cond.Wait()
	}
	if t.closed {
		return nil, nil, io.EOF
	}
	return t.master, t.slave, nil
}

func (l ptyLine) Read(b []byte) (int, error) {
	for {
		master, slave, err := l.t.current()
		if err != nil {
			return 0, err
		}
		n, err := master.Read(b)
		if err == nil {
			// A host that claimed the port (TIOCEXCL) and was killed would
			// keep it for ever, because our own descriptor keeps the terminal
			// alive. On a real port the claim ends with the last close.
			_ = control(slave, func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
			return n, nil
		}
		if !errors.Is(err, os.ErrClosed) {
			return 0, err
		}
	}
}

// Write gives up after overrunTime, as a UART loses what nobody reads.
func (l ptyLine) Write(b []byte) (int, error) {
	l.t.mu.Lock()
	master := l.t.master
	l.t.mu.Unlock()
	if master == nil {
		return len(b), nil
	}
	if err := master.SetWriteDeadline(time.Now().Add(overrunTime)); err != nil && !errors.Is(err, os.ErrClosed) {
		return 0, err
	}
	_, err := master.Write(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, os.ErrClosed) {
		return 0, err
	}
	return len(b), nil
}

// openRaw opens a pseudo terminal in raw mode, its master under Go's poller so
// that Close ends a pending read.
func openRaw() (master, slave *os.File, err error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = slave.Close() // the first error tells more
		}
	}()
	fd := -1
	err = control(blocking, func(old int) error {
		var err error
		fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	err = errors.Join(err, blocking.Close())
	if err != nil {
		return nil, nil, err
	}
	if err = unix.SetNonblock(fd, true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fd))
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err = control(slave, makeRaw); err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	return master, slave, nil
}

// makeRaw is cfmakeraw(3).
func makeRaw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// control runs do on f's descriptor without making it blocking, as Fd would.
func control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// relink makes link lead to target in one step. It replaces a symbolic link
// and nothing else.
func relink(target, link string) error {
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		return fmt.Errorf("%s exists and is not a symbolic link; name another path", link)
	}
	temporary := link + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, link)
}
