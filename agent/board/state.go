package board

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MaxStateBytes bounds what ReadState reads: state files are small, and a wrong
// path must not fill the memory.
const MaxStateBytes = 1 << 20

// ErrDiskFull and ErrReadOnly are why a state file could not be written.
var (
	ErrDiskFull = errors.New("no space left on the disk")
	ErrReadOnly = errors.New("the file system is read-only")
)

// WriteFileAtomic replaces path by data so that a power cut leaves the old
// content or the new, whole. The file is only the owner's to read. It writes
// path+".tmp" first, which a cut may leave behind and the next write replaces.
func WriteFileAtomic(path string, data []byte) error {
	if err := writeFileAtomic(path, data); err != nil {
		return fmt.Errorf("board: write %s: %w", path, explainDisk(err))
	}
	return nil
}

func writeFileAtomic(path string, data []byte) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp) // a half file on a full disk only takes room
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename durable. File systems that cannot sync a directory say
// EINVAL and keep the order themselves.
func syncDir(dir string) error {
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

// ReadState reads a state file; a file that does not exist is nil without error.
func ReadState(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("board: read %s: %w", path, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("board: read %s: not a file", path)
	case info.Size() > MaxStateBytes:
		return nil, fmt.Errorf("board: read %s: %d bytes, a state file has at most %d", path, info.Size(), MaxStateBytes)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("board: read %s: %w", path, err)
	}
	return b, nil
}

// SetAside renames a state file that cannot be read to path+".bad", so that
// someone can look at it, and the next start finds nothing. An older one kept so
// is replaced.
func SetAside(path string) error {
	if err := os.Rename(path, path+".bad"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("board: set %s aside: %w", path, explainDisk(err))
	}
	return nil
}

// explainDisk adds the words that people know to the two faults that they can cure.
func explainDisk(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: free some or point state_dir elsewhere (%w)", ErrDiskFull, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: remount it or point state_dir elsewhere (%w)", ErrReadOnly, err)
	}
	return err
}
