package at

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// Why a port could not be opened. The error's text says what to do about it.
var (
	ErrNoPort     = errors.New("no such port")
	ErrPermission = errors.New("no permission")
	ErrHeld       = errors.New("held by another program")
	ErrNotTTY     = errors.New("not a serial port")
	ErrBlind      = errors.New("the board's serial ports cannot be listed")
)

// portBaud is the speed asked of a UART. USB modems ignore it; 115200 is what
// modules on a UART come with.
const portBaud = 115200

// emptyRead ends a Read of the library that found nothing after all: another program
// took it. writePiece is what every driver takes at once when it says that it takes
// something: cdc_acm's smallest buffer.
const (
	emptyRead  = 100 * time.Millisecond
	writePiece = 64
)

// portPaths are where the guard looks; tests have trees of their own.
type portPaths struct{ proc, lock string }

var systemPaths = portPaths{proc: "/proc", lock: "/run/lock"}

// A Port is a serial port that is safe to hand around: nothing reaches the
// descriptor after Close (its number may by then be another file's), and no
// second program of ours opens it meanwhile.
//
// Bytes go through go.bug.st/serial. Its traps are kept off from here: it closes its
// descriptor under a Read or Write that is in it, which then works on the file that
// gets the number next, so it is closed once both are out; its Read can only be ended by
// that Close and its Write by nothing, so both are called when the kernel says that
// there is something to do, by a second descriptor of ours.
//
// The lock is flock(2) on our descriptor: it needs no writable directory, ends
// with the process, and is what agetty, minicom and picocom use too. Lock files
// (LCK..ttyUSB2 in /run/lock) of older programs are read and respected, never
// written.
type Port struct {
	name string
	fd   int // of the device: it carries the lock and tells when the device is ready
	wake int // an eventfd that becomes readable with Close and stays so
	dev  serial.Port

	mu      sync.Mutex
	closed  bool
	writing bool
	users   int // calls that use dev and fd; the last one closes them after Close
}

// OpenPort opens and locks the serial port at path (/dev/ttyUSB2, or a link to
// it). baud 0 means 115200. The port's modem-control lines are left as they
// are, since a pty has none; closing drops DTR, which may end a data call that
// runs over this same port.
func OpenPort(path string, baud int) (*Port, error) { return openPort(path, baud, systemPaths) }

func openPort(path string, baud int, paths portPaths) (*Port, error) {
	if baud == 0 {
		baud = portBaud
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, openError(path, err, paths)
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, openError(path, err, paths)
	}
	if info.Mode()&fs.ModeCharDevice == 0 {
		return nil, fmt.Errorf("at: open %s: %w: name a tty such as /dev/ttyUSB2", path, ErrNotTTY)
	}
	// Not an os.File: that would wake the runtime's poller for every byte.
	fd, err := unix.Open(real, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err, paths)
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("at: open %s: %w: name a tty such as /dev/ttyUSB2", path, ErrNotTTY)
	}
	// Opening a port that somebody holds does no harm; setting its line does.
	if h, held := holder(real, paths); held {
		unix.Close(fd)
		return nil, heldError(path, h)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		return nil, heldError(path, flockHolder(info, paths))
	}
	// InitialStatusBits stays nil: setting them fails on a pty.
	dev, err := serial.Open(real, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		unix.Close(fd)
		return nil, openError(path, err, paths)
	}
	if err := dev.SetReadTimeout(emptyRead); err != nil {
		return nil, errors.Join(fmt.Errorf("at: open %s: %w", path, err), dev.Close(), unix.Close(fd))
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("at: open %s: %w", path, err), dev.Close(), unix.Close(fd))
	}
	return &Port{name: path, fd: fd, wake: wake, dev: dev}, nil
}

// String is the path that the port was opened by.
func (p *Port) String() string { return p.name }

// Read blocks until something arrives or the port is closed.
func (p *Port) Read(b []byte) (int, error) {
	if !p.enter() {
		return 0, ErrClosed
	}
	defer p.leave()
	for {
		if err := p.wait(unix.POLLIN); err != nil {
			return 0, err
		}
		n, err := p.read(b)
		var pe *serial.PortError
		switch {
		case n > 0:
			return n, nil
		case errors.As(err, &pe) && pe.Code() == serial.PortClosed: // the device is gone
			return 0, io.EOF
		case err != nil:
			return 0, err
		}
	}
}

// read calls the library, which panics where a descriptor is beyond what select(2) can
// hold (1,023): the program has too many files open.
func (p *Port) read(b []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, fmt.Errorf("at: read %s: %v: too many open files?", p.name, r)
		}
	}()
	return p.dev.Read(b)
}

// Write is for one goroutine. It blocks while the modem takes nothing; Close
// ends it.
func (p *Port) Write(b []byte) (int, error) {
	if !p.enter() {
		return 0, ErrClosed
	}
	p.setWriting(true)
	defer func() {
		p.setWriting(false)
		p.leave()
	}()
	done := 0
	for done < len(b) {
		if err := p.wait(unix.POLLOUT); err != nil {
			return done, err
		}
		n, err := p.dev.Write(b[done:min(len(b), done+writePiece)])
		done += n
		if err != nil && err != unix.EINTR && err != unix.EAGAIN {
			return done, err
		}
	}
	return done, nil
}

// wait blocks until the device is ready for event, or Close. What is wrong with
// the device shows in the Read or Write that follows.
func (p *Port) wait(event int16) error {
	fds := [2]unix.PollFd{{Fd: int32(p.fd), Events: event}, {Fd: int32(p.wake), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds[:], -1)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case fds[1].Revents != 0:
			return ErrClosed
		}
		return nil
	}
}

// enter takes part in the use of fd; it is refused after Close.
func (p *Port) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.users++
	return true
}

func (p *Port) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users--
	if p.closed && p.users == 0 {
		_ = p.release() // what was written was written
	}
}

func (p *Port) setWriting(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = on
}

// Close releases the lock at once and ends a Read and a Write that are under
// way. It waits for neither; the last of them closes the descriptor.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.writing {
		// The kernel would wait for what the modem does not take.
		_ = unix.IoctlSetInt(p.fd, unix.TCFLSH, unix.TCOFLUSH)
	}
	// The library's close, which lets others in, may come later. A device that is gone
	// refuses this.
	_ = unix.IoctlSetInt(p.fd, unix.TIOCNXCL, 0)
	err := unix.Flock(p.fd, unix.LOCK_UN)
	_, wakeErr := unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 1})
	if p.users == 0 {
		err = errors.Join(err, p.release())
	}
	return errors.Join(err, wakeErr)
}

// release closes the descriptors; p.mu is held and nobody uses them.
func (p *Port) release() error {
	return errors.Join(p.dev.Close(), unix.Close(p.fd), unix.Close(p.wake))
}

// openError says why a port did not open, and what to do.
func openError(path string, err error, paths portPaths) error {
	var pe *serial.PortError
	busy := errors.As(err, &pe) && pe.Code() == serial.PortBusy || errors.Is(err, unix.EBUSY)
	denied := errors.As(err, &pe) && pe.Code() == serial.PermissionDenied || errors.Is(err, fs.ErrPermission)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("at: open %s: %w: is the modem plugged in and powered? (ls /dev/ttyUSB* /dev/ttyACM*)", path, ErrNoPort)
	case denied:
		return fmt.Errorf("at: open %s: %w: run as root or add the user to the group dialout", path, ErrPermission)
	case busy:
		h, _ := holder(path, paths)
		return heldError(path, h)
	}
	return fmt.Errorf("at: open %s: %w", path, err)
}

// A Holder is a program that has a port open or locked.
type Holder struct {
	PID  int    // 0: not known
	Name string // "ModemManager"; "" when not known
	Lock string // the lock file that names it, "" when it was found otherwise
}

func (h Holder) String() string {
	switch {
	case h.PID == 0:
		return "another program"
	case h.Name == "":
		return fmt.Sprintf("pid %d", h.PID)
	}
	return fmt.Sprintf("%s (pid %d)", h.Name, h.PID)
}

// A HeldError names who holds a port; it is an ErrHeld.
type HeldError struct {
	Path string
	By   Holder
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("at: open %s: held by %s: %s", e.Path, e.By, e.By.cure())
}

// Is makes a HeldError an ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

func heldError(path string, h Holder) error { return &HeldError{Path: path, By: h} }

func (h Holder) cure() string {
	switch h.Name {
	case "ModemManager":
		return "let it ignore this port with a udev rule, ENV{ID_MM_PORT_IGNORE}=\"1\""
	case "pppd":
		return "give the agent another of the modem's ports, this one carries the data"
	case "":
		return "stop that program, or give the agent another of the modem's ports"
	}
	return "stop " + h.Name + ", or give the agent another of the modem's ports"
}

// HolderOf tells who holds the port at path, as far as /proc and lock files
// tell: without root the descriptors of other users' programs are hidden.
func HolderOf(path string) (Holder, bool) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return holder(path, systemPaths)
}

func holder(device string, paths portPaths) (Holder, bool) {
	if h, ok := descriptorHolder(device, paths); ok {
		return h, true
	}
	return lockHolder(device, paths)
}

// descriptorHolder looks for another process that has device open. On a pty the
// program at the other end (a simulator) often keeps this end open as well: a
// process that also has the master side is no rival.
func descriptorHolder(device string, paths portPaths) (Holder, bool) {
	self := fmt.Sprint(os.Getpid())
	pids, _ := filepath.Glob(filepath.Join(paths.proc, "[0-9]*"))
	for _, dir := range pids {
		pid := filepath.Base(dir)
		if pid == self {
			continue
		}
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue
		}
		has, master := false, false
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if err != nil {
				continue
			}
			has = has || target == device && sameTTY(filepath.Join(dir, "fd", fd.Name()), device)
			master = master || strings.HasSuffix(target, "/ptmx")
		}
		if has && !(master && strings.HasPrefix(device, "/dev/pts/")) {
			return process(pid, paths), true
		}
	}
	return Holder{}, false
}

// sameTTY reports whether what a process calls device is ours: each container
// has a /dev/pts/0 of its own.
func sameTTY(fd, device string) bool {
	if !strings.HasPrefix(device, "/dev/pts/") {
		return true
	}
	var theirs, ours unix.Stat_t
	return unix.Stat(fd, &theirs) != nil || unix.Stat(device, &ours) != nil || theirs.Dev == ours.Dev
}

// lockHolder reads the lock file that older programs keep (pppd, smstools).
func lockHolder(device string, paths portPaths) (Holder, bool) {
	file := filepath.Join(paths.lock, "LCK.."+filepath.Base(device))
	text, err := os.ReadFile(file)
	if err != nil {
		return Holder{}, false
	}
	fields := strings.Fields(string(text)) // the pid, perhaps the program's name
	if len(fields) == 0 {
		return Holder{}, false
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil || pid <= 0 || pid == os.Getpid() {
		return Holder{}, false
	}
	if _, err := os.Stat(filepath.Join(paths.proc, strconv.Itoa(pid))); err != nil {
		return Holder{}, false // its owner is gone
	}
	h := process(strconv.Itoa(pid), paths)
	h.Lock = file
	return h, true
}

// flockHolder looks up who has the flock of a device, in /proc/locks:
// "1: FLOCK  ADVISORY  WRITE 123 00:18:5 0 EOF".
func flockHolder(info fs.FileInfo, paths portPaths) Holder {
	stat, ok := info.Sys().(*syscall.Stat_t)
	text, err := os.ReadFile(filepath.Join(paths.proc, "locks"))
	if err != nil || !ok {
		return Holder{}
	}
	inode := fmt.Sprintf(":%d", stat.Ino)
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "FLOCK" && strings.HasSuffix(f[5], inode) {
			return process(f[4], paths)
		}
	}
	return Holder{}
}

func process(pid string, paths portPaths) Holder {
	h := Holder{}
	h.PID, _ = strconv.Atoi(pid) // 0 is not known
	if name, err := os.ReadFile(filepath.Join(paths.proc, pid, "comm")); err == nil {
		h.Name = strings.TrimSpace(string(name))
	}
	return h
}
