package flash

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// FS is the part of a file system that durable files need. Names are full paths.
type FS interface {
	// MkdirAll makes a directory and its parents, the owner's alone.
	MkdirAll(dir string) error
	// List names the plain files of a directory.
	List(dir string) ([]string, error)
	// Lock takes the directory for this process until Close, or fails at once with
	// ErrLocked.
	Lock(dir string) (io.Closer, error)
	// Open opens an ordinary file to read, and to write if write is set. A link is
	// not followed.
	Open(name string, write bool) (File, error)
	// Create makes a new empty file with these permission bits. What has the name
	// before goes: a link itself, not what it points at.
	Create(name string, mode fs.FileMode) (File, error)
	// Rename replaces to by from. Durable after SyncDir.
	Rename(from, to string) error
	// Remove removes a file. Durable after SyncDir.
	Remove(name string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// Free is the room in bytes for an unprivileged user.
	Free(dir string) (uint64, error)
}

// File is one open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Size is the length now.
	Size() (int64, error)
	// Sync makes what was written durable (fdatasync: contents and length).
	Sync() error
	io.Closer
}

// Errors of an FS that a caller branches on.
var (
	ErrLocked  = errors.New("another process uses it")
	ErrNotFile = errors.New("not an ordinary file")
)

// OwnExe is the file of this very process, also after another has taken its name. It
// is a link of the kernel's own, and the only one that OS.Open follows.
const OwnExe = "/proc/self/exe"

// OS is the operating system's file system.
type OS struct{}

// MkdirAll implements FS.
func (OS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

// List implements FS.
func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Lock implements FS.
func (OS) Lock(dir string) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("flock: %w", err)
	}
	return f, nil
}

// Open implements FS.
func (OS) Open(name string, write bool) (File, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	if name != OwnExe {
		flag |= unix.O_NOFOLLOW
	}
	f, err := open(name, flag)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a link, and none is followed: put the file itself there (%w)", name, err)
	}
	return f, err
}

// OpenForeign opens a file that somebody at the machine names, to read. Links are
// followed. Only an ordinary file is read: opening a FIFO waits for ever, and a
// terminal may be the modem's.
func OpenForeign(name string) (File, error) { return open(name, os.O_RDONLY) }

func open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, ErrNotFile)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return osFile{f}, nil
}

// Create implements FS. The file is new whatever lay there: in a directory where others
// may write, a link of theirs would otherwise lead the content elsewhere.
func (OS) Create(name string, mode fs.FileMode) (File, error) {
	const flag = os.O_RDWR | os.O_CREATE | os.O_EXCL | unix.O_NOFOLLOW
	f, err := os.OpenFile(name, flag, mode)
	if errors.Is(err, fs.ErrExist) {
		if err = os.Remove(name); err == nil || errors.Is(err, fs.ErrNotExist) {
			f, err = os.OpenFile(name, flag, mode)
		}
	}
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir implements FS. File systems that cannot sync a directory say EINVAL and
// keep the order themselves.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err = d.Sync(); errors.Is(err, unix.EINVAL) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// Free implements FS.
func (OS) Free(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return err
		}
	}
}
