package flash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Private refuses directories that anybody else may write, and those that lie below
// one where others may put another directory in their place. What is verified or kept
// there, and used later by its name, is only as safe as they are. Trusted are the
// agent's own user and root, and a directory above with the sticky bit, such as /tmp.
func Private(dirs ...string) error {
	for _, dir := range dirs {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		paths := []string{abs}
		if real, err := filepath.EvalSymlinks(abs); err == nil && real != abs {
			paths = append(paths, real) // the way by which a link leads there counts as well
		}
		for _, p := range paths {
			if err := private(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func private(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		err := checkStep(at, at != dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // what is not there yet is the agent's to make
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// checkStep looks at one directory on the way; above says that it only holds the next.
func checkStep(dir string, above bool) error {
	link, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if uid, ok := owner(link); ok && uid != 0 && int(uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, the agent is %d: chown it", dir, uid, os.Geteuid())
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if above && info.Mode()&fs.ModeSticky != 0 {
		return nil // what is there cannot be moved away by others
	}
	perm := info.Mode().Perm()
	open := perm & 0o022
	if st, ok := info.Sys().(*syscall.Stat_t); above && ok && (st.Gid == 0 || int(st.Gid) == os.Getegid()) {
		open = perm & 0o002 // a system's own group, or the user's
	}
	if open == 0 {
		return nil
	}
	cure := "chmod 700 it"
	if above {
		cure = "chmod " + strings.TrimLeft(fmt.Sprintf("%o", perm&^0o022), "0") + " it"
	}
	return fmt.Errorf("%s can be written by others (%v): %s", dir, perm, cure)
}

func owner(info fs.FileInfo) (uint32, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}
