package at

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// Why a port could not be opened. The error's text says what to do about it.
var (
	ErrNoPort     = errors.New("no such port")
	ErrPermission = errors.New("no permission")
	ErrHeld       = errors.New("held by another program")
	ErrNotTTY     = errors.New("not a serial port")
)

// portBaud is the speed asked of a UART. USB modems ignore it; 115200 is what
// modules on a UART come with.
const portBaud = 115200

// portPaths are where the guard looks; tests have trees of their own.
type portPaths struct{ proc, lock string }

var systemPaths = portPaths{proc: "/proc", lock: "/run/lock"}

// A Port is a serial port that is safe to hand around: nothing reaches the
// descriptor after Close (its number may by then be another file's), and no
// second program of ours opens it meanwhile.
//
// The lock is flock(2) on a descriptor of the port's own device node: it needs
// no writable directory, ends with the process, and is what agetty, minicom and
// picocom use too. Lock files (LCK..ttyUSB2 in /run/lock) of older programs are
// read and respected, never written.
type Port struct {
	name string
	lock int // a descriptor of the device that carries the lock, -1 when closed
	dev  serial.Port

	mu      sync.Mutex
	closed  bool
	writing bool // a Write is inside the driver
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
	lock, err := unix.Open(real, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err, paths)
	}
	if _, err := unix.IoctlGetTermios(lock, unix.TCGETS); err != nil {
		unix.Close(lock)
		return nil, fmt.Errorf("at: open %s: %w: name a tty such as /dev/ttyUSB2", path, ErrNotTTY)
	}
	// Opening a port that somebody holds does no harm; setting its line does.
	if h, held := holder(real, paths); held {
		unix.Close(lock)
		return nil, heldError(path, h)
	}
	if err := unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(lock)
		return nil, heldError(path, flockHolder(info, paths))
	}
	// InitialStatusBits stays nil: setting them fails on a pty.
	dev, err := serial.Open(real, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		unix.Close(lock)
		return nil, openError(path, err, paths)
	}
	return &Port{name: path, lock: lock, dev: dev}, nil
}

// String is the path that the port was opened by.
func (p *Port) String() string { return p.name }

// Read blocks until something arrives or the port is closed.
func (p *Port) Read(b []byte) (int, error) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return 0, ErrClosed
	}
	return p.dev.Read(b)
}

// Write is for one goroutine, which must be ready to be abandoned: the driver
// knows no timeout. A Write that is stuck keeps the device open until it comes
// back, and closes it then.
func (p *Port) Write(b []byte) (int, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return 0, ErrClosed
	}
	p.writing = true
	p.mu.Unlock()

	done := 0
	var err error
	for done < len(b) && err == nil {
		var n int
		n, err = p.dev.Write(b[done:])
		done += n
		if err == nil && n == 0 {
			break
		}
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = false
	if p.closed {
		return done, errors.Join(ErrClosed, p.release())
	}
	return done, err
}

// Close releases the lock at once, and the device unless a Write is stuck in
// it, in which case output is flushed to free it and the Write closes it.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	if p.writing {
		// Dropping what waits to be sent is what wakes a writer.
		_ = unix.IoctlSetInt(p.lock, unix.TCFLSH, unix.TCOFLUSH)
		_ = unix.IoctlSetInt(p.lock, unix.TIOCNXCL, 0)
		return p.unlock()
	}
	return p.release()
}

// release closes the device; p.mu is held. The driver's Close ends a Read.
func (p *Port) release() error { return errors.Join(p.dev.Close(), p.unlock()) }

func (p *Port) unlock() error {
	if p.lock < 0 {
		return nil
	}
	fd := p.lock
	p.lock = -1
	return unix.Close(fd)
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
			has = has || target == device
			master = master || strings.HasSuffix(target, "/ptmx")
		}
		if has && !(master && strings.HasPrefix(device, "/dev/pts/")) {
			return process(pid, paths), true
		}
	}
	return Holder{}, false
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
