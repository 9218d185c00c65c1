package line

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrNoNinthBit: the port's driver cannot tell the ninth bit of the payment bus.
var ErrNoNinthBit = errors.New("the driver of this port has no mark and space parity: take another UART, or a sniffer")

// tapFlags are what a tap of the bus needs: 9600 baud, 8 bits with space parity, so that
// a byte whose ninth bit is set comes as a parity error, marked FF 00 xx.
const (
	tapControl = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.PARENB | unix.CMSPAR
	tapInput   = unix.INPCK | unix.PARMRK
)

// OpenTap opens a serial port to listen to the payment bus. Nothing can be written to
// it. Some drivers drop the parity without a word: what they took is read back, and
// the port refused where it is gone. (Few keep the flag and lie; there the decoder
// finds no checksum that fits, and its count of bad bytes tells.)
func OpenTap(path string) (io.ReadWriteCloser, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = setTap(fd)
	}
	if err != nil {
		unix.Close(fd)
		unix.Close(wake)
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &tap{fd: fd, wake: wake}, nil
}

// setTap sets the line and reads back what the driver made of it.
func setTap(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return errors.New("not a serial port")
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.New("held by another program")
	}
	t.Iflag, t.Oflag, t.Lflag = tapInput, 0, 0
	t.Cflag = tapControl | unix.B9600
	t.Ispeed, t.Ospeed = unix.B9600, unix.B9600
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return fmt.Errorf("set the line: %w", err)
	}
	got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	return tapTaken(got)
}

// tapTaken says what is missing of what was set.
func tapTaken(t *unix.Termios) error {
	switch {
	case t.Cflag&(unix.PARENB|unix.CMSPAR) != unix.PARENB|unix.CMSPAR || t.Cflag&unix.PARODD != 0:
		return ErrNoNinthBit
	case t.Iflag&tapInput != tapInput || t.Iflag&(unix.IGNPAR|unix.ISTRIP) != 0:
		return fmt.Errorf("%w (marks are not given)", ErrNoNinthBit)
	}
	return nil
}

// tap is an open one.
type tap struct {
	mu   sync.Mutex // held while the descriptor is used
	fd   int
	wake int
	done bool
}

// Read waits for what comes. Close ends it.
func (t *tap) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if t.done {
			return 0, io.ErrClosedPipe
		}
		fds := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}, {Fd: int32(t.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
		if fds[1].Revents != 0 {
			return 0, io.ErrClosedPipe
		}
		n, err := unix.Read(t.fd, p)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF // the adapter was pulled
		}
		return n, nil
	}
}

// Write is refused: a tap only listens.
func (t *tap) Write([]byte) (int, error) {
	return 0, errors.New("a tap of the payment bus only listens")
}

// Close ends a Read that waits, and lets the port go.
func (t *tap) Close() error {
	if _, err := unix.Write(t.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return nil
	}
	t.done = true
	return errors.Join(unix.Close(t.fd), unix.Close(t.wake))
}
