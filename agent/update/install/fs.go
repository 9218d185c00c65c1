// Package install carries out what package update allows: it fetches manifest and
// binary, writes the free slot, has it tried, and starts the right binary at each
// start of the service. All it keeps lies in one directory:
//
//	slots.json     what starts next (update.Slots)
//	trust.json     the root and the newest version that ran
//	job.json       the update under way, and how far it is
//	manifest.json  its manifest
//	download       the form under way
//	a, b           the slots
//
// It decides nothing about versions, keys or budgets.
package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the part of a file system that is used. Names are full paths. Tests put
// one under it that forgets what was not synced.
type FS interface {
	// Open opens a file as os.OpenFile does; a new one is the owner's to run.
	Open(name string, flag int) (File, error)
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
	Size() (int64, error)
	// Sync makes contents and length durable.
	Sync() error
	io.Closer
}

// OS is the operating system's file system.
type OS struct{}

// Open implements FS.
func (OS) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o700)
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
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
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

// openStick opens a file that somebody at the machine names. Only an ordinary one is
// read: opening a FIFO waits for ever, and a terminal may be the modem's.
func openStick(name string) (osFile, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return osFile{}, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not an ordinary file", name)
	}
	if err != nil {
		_ = f.Close()
		return osFile{}, err
	}
	return osFile{f}, nil
}

// maxState bounds a state file: the manifest is the largest.
const maxState = 64 << 10

// Dir is the directory of the updates.
type Dir struct {
	FS   FS
	Path string
}

func (d Dir) path(name string) string { return filepath.Join(d.Path, name) }

// read reads a small file; one that is not there is nil without an error.
func (d Dir) read(name string) ([]byte, error) {
	f, err := d.FS.Open(d.path(name), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, maxState))
}

// write replaces a file so that a power cut leaves the old content or the new.
func (d Dir) write(name string, data []byte) error {
	tmp := d.path(name + ".tmp")
	f, err := d.FS.Open(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.FS.Rename(tmp, d.path(name))
	}
	if err != nil {
		_ = d.FS.Remove(tmp) // half a file on a full disk only takes room
		return err
	}
	return d.FS.SyncDir(d.Path)
}

// load reads name into v. What is not there or cannot be read leaves v as it is:
// everything kept here has a safe zero value.
func (d Dir) load(name string, v any) error {
	data, err := d.read(name)
	if err != nil || data == nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func (d Dir) save(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.write(name, data)
}

// drop removes files that are no longer needed; only room is lost by one that
// stays.
func (d Dir) drop(names ...string) {
	gone := false
	for _, n := range names {
		gone = d.FS.Remove(d.path(n)) == nil || gone
	}
	if gone {
		_ = d.FS.SyncDir(d.Path)
	}
}
