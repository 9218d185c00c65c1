package flash

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// MaxStateBytes bounds what ReadFile reads: state files are small, and a wrong
// path must not fill the memory.
const MaxStateBytes = 1 << 20

// ErrDiskFull and ErrReadOnly are why a state file could not be written.
var (
	ErrDiskFull = errors.New("no space left on the disk")
	ErrReadOnly = errors.New("the file system is read-only")
)

// WriteFile replaces path by data so that a power cut leaves the old content or the
// new, whole. The file is only the owner's to read. It writes path+".tmp" first, which
// a cut may leave behind and the next write replaces.
func WriteFile(fsys FS, path string, data []byte) error {
	err := swap(fsys, path, data, true)
	if err == nil {
		err = fsys.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, explain(err))
	}
	return nil
}

// WriteVolatile replaces path by data, whole for those who read it, and does not sync:
// after a power cut there may be neither. It is for what costs little to make anew, and
// for files in memory.
func WriteVolatile(fsys FS, path string, data []byte) error {
	if err := swap(fsys, path, data, false); err != nil {
		return fmt.Errorf("write %s: %w", path, explain(err))
	}
	return nil
}

func swap(fsys FS, path string, data []byte, durable bool) error {
	tmp := path + ".tmp" // one name: power cuts leave one file, not one each
	f, err := fsys.Create(tmp, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil && durable {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, path)
	}
	if err != nil {
		_ = fsys.Remove(tmp) // half a file on a full disk only takes room
	}
	return err
}

// ReadFile reads a state file; a file that does not exist is nil without error.
func ReadFile(fsys FS, path string) ([]byte, error) {
	f, err := fsys.Open(path, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	size, err := f.Size()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case size > MaxStateBytes:
		return nil, fmt.Errorf("read %s: %d bytes, a state file has at most %d", path, size, MaxStateBytes)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, size), b); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// SetAside renames a state file that cannot be read to path+".bad", so that
// someone can look at it, and the next start finds nothing. An older one kept so
// is replaced.
func SetAside(fsys FS, path string) error {
	if err := fsys.Rename(path, path+".bad"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set %s aside: %w", path, explain(err))
	}
	return nil
}

// explain adds the words that people know to the two faults that they can cure.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: free some or point store.dir elsewhere (%w)", ErrDiskFull, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: remount it or point store.dir elsewhere (%w)", ErrReadOnly, err)
	}
	return err
}

// Export writes a file that somebody named: the whole of it or none, since one that
// broke off must not be taken for the whole. It returns the file's size.
func Export(name string, write func(io.Writer) error) (int64, error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".cellwarden-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	err = write(tmp)
	size, seekErr := tmp.Seek(0, io.SeekCurrent)
	if err := errors.Join(err, seekErr, tmp.Sync(), tmp.Close()); err != nil {
		return 0, err
	}
	return size, os.Rename(tmp.Name(), name)
}

// Mark makes an empty file, the owner's alone.
func Mark(fsys FS, path string) error {
	f, err := fsys.Create(path, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
