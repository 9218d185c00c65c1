package outbox

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

var errPower = errors.New("power cut")

// crashFS is a disk in memory that a power cut can hit at any operation. It then
// keeps of what was not synced: any subset of the 512 byte sectors written, each in
// any of the versions written since the last sync, torn at any byte or full of
// garbage; and any subset of the names made, changed or removed.
type crashFS struct {
	mu    sync.Mutex
	rng   *rand.Rand
	names map[string]*inode
	// Since the last SyncDir:
	pending []nameOp
	durable map[string]*inode

	ops    int // writes, syncs, creations, renames, removals
	cutAt  int // the operation that the power cut hits; 0 never
	off    bool
	locked bool

	room     int64 // bytes all files may have; 0 no limit
	readOnly bool
	fail     func(op, name string) error // nil: nothing fails
}

// nameOp is one change of the directory: a name now means another file, or none.
type nameOp struct {
	name string
	to   *inode
	also string // for a rename: this name goes
}

type inode struct {
	data   []byte // as the running system sees it
	synced []byte // as the flash has it
	dirty  map[int][][]byte
}

func newCrashFS(seed uint64) *crashFS {
	return &crashFS{rng: rand.New(rand.NewPCG(seed, 1)), names: map[string]*inode{}, durable: map[string]*inode{}}
}

// op counts a changing operation. cut means that the power goes in the middle of
// it: the operation may take effect in part.
func (c *crashFS) op(kind, name string) (cut bool, err error) {
	if c.off {
		return false, errPower
	}
	c.ops++
	if c.ops == c.cutAt {
		c.off = true
		return true, errPower
	}
	if c.readOnly && kind != "sync" && kind != "syncdir" {
		return false, syscall.EROFS
	}
	if c.fail != nil {
		return false, c.fail(kind, name)
	}
	return false, nil
}

// restart is the next start of the machine (power) or only of the process.
func (c *crashFS) restart(power bool) {
	c.off, c.locked, c.cutAt = false, false, 0
	if !power {
		return
	}
	names := map[string]*inode{}
	for n, i := range c.durable {
		names[n] = i
	}
	for _, p := range c.pending {
		if c.rng.IntN(2) == 0 {
			continue
		}
		if p.also != "" {
			delete(names, p.also)
		}
		if p.to == nil {
			delete(names, p.name)
		} else {
			names[p.name] = p.to
		}
	}
	done := map[*inode]bool{}
	for _, i := range names {
		if !done[i] {
			done[i] = true
			c.forget(i)
		}
	}
	c.names, c.pending = names, nil
	c.durable = cloneNames(names)
}

func cloneNames(m map[string]*inode) map[string]*inode {
	out := make(map[string]*inode, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// forget loses what of a file was not synced.
func (c *crashFS) forget(i *inode) {
	data := slices.Clone(i.synced)
	if len(i.data) != len(data) && c.rng.IntN(2) == 0 {
		grown := make([]byte, len(i.data))
		copy(grown, data)
		data = grown
	}
	var sectors []int
	for s := range i.dirty {
		sectors = append(sectors, s)
	}
	slices.Sort(sectors)
	for _, s := range sectors {
		versions := i.dirty[s]
		at := s * sectorSize
		if at >= len(data) {
			continue
		}
		old := data[at:min(at+sectorSize, len(data))]
		neu := versions[c.rng.IntN(len(versions))]
		switch c.rng.IntN(8) {
		case 0, 1, 2: // not there
		case 3, 4, 5:
			copy(old, neu)
		case 6: // torn
			copy(old, neu[:c.rng.IntN(len(neu)+1)])
		case 7: // unreadable for the controller, made up by it
			for j := range old {
				old[j] = byte(c.rng.Uint32())
			}
		}
	}
	i.data, i.synced, i.dirty = data, slices.Clone(data), map[int][][]byte{}
}

// size is what all files take.
func (c *crashFS) size() int64 {
	n := int64(0)
	for _, i := range c.names {
		n += int64(len(i.data))
	}
	return n
}

func (c *crashFS) MkdirAll(string) error {
	if c.off {
		return errPower
	}
	return nil
}

func (c *crashFS) List(dir string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return nil, errPower
	}
	var out []string
	for n := range c.names {
		if filepath.Dir(n) == dir {
			out = append(out, filepath.Base(n))
		}
	}
	return out, nil
}

type crashLock struct{ c *crashFS }

func (l crashLock) Close() error { l.c.locked = false; return nil }

func (c *crashFS) Lock(string) (io.Closer, error) {
	if c.off {
		return nil, errPower
	}
	if c.locked {
		return nil, errLocked
	}
	c.locked = true
	return crashLock{c}, nil
}

func (c *crashFS) Open(name string, write bool) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return nil, errPower
	}
	i := c.names[name]
	if i == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if c.readOnly && write {
		return nil, syscall.EROFS
	}
	return &crashFile{c, i, name, write}, nil
}

func (c *crashFS) Create(name string) (File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.op("create", name); err != nil {
		return nil, err
	}
	i := &inode{dirty: map[int][][]byte{}}
	c.names[name] = i
	c.pending = append(c.pending, nameOp{name: name, to: i})
	return &crashFile{c, i, name, true}, nil
}

func (c *crashFS) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.op("rename", from); err != nil {
		return err
	}
	i := c.names[from]
	if i == nil {
		return fs.ErrNotExist
	}
	delete(c.names, from)
	c.names[to] = i
	c.pending = append(c.pending, nameOp{name: to, to: i, also: from})
	return nil
}

func (c *crashFS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.op("remove", name); err != nil {
		return err
	}
	if c.names[name] == nil {
		return fs.ErrNotExist
	}
	delete(c.names, name)
	c.pending = append(c.pending, nameOp{name: name})
	return nil
}

func (c *crashFS) SyncDir(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.op("syncdir", ""); err != nil {
		return err
	}
	c.durable, c.pending = cloneNames(c.names), nil
	return nil
}

type crashFile struct {
	c     *crashFS
	i     *inode
	name  string
	write bool
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.c.off {
		return 0, errPower
	}
	if f.c.fail != nil {
		if err := f.c.fail("read", f.name); err != nil {
			return 0, err
		}
	}
	if off >= int64(len(f.i.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.i.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) WriteAt(b []byte, off int64) (int, error) {
	c := f.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !f.write {
		return 0, syscall.EBADF
	}
	cut, err := c.op("write", f.name)
	if err != nil && !cut {
		return 0, err
	}
	end := int(off) + len(b)
	if grow := int64(end - len(f.i.data)); grow > 0 {
		if c.room > 0 && c.size()+grow > c.room {
			return 0, syscall.ENOSPC
		}
		f.i.data = append(f.i.data, make([]byte, grow)...)
	}
	copy(f.i.data[off:], b)
	for s := int(off) / sectorSize; s*sectorSize < end; s++ {
		version := slices.Clone(f.i.data[s*sectorSize : min((s+1)*sectorSize, len(f.i.data))])
		f.i.dirty[s] = append(f.i.dirty[s], version)
	}
	if cut {
		return 0, errPower
	}
	return len(b), nil
}

func (f *crashFile) Size() (int64, error) {
	if f.c.off {
		return 0, errPower
	}
	return int64(len(f.i.data)), nil
}

func (f *crashFile) Sync() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if _, err := f.c.op("sync", f.name); err != nil {
		return err
	}
	f.i.synced = slices.Clone(f.i.data)
	f.i.dirty = map[int][][]byte{}
	return nil
}

func (f *crashFile) Close() error { return nil }

// segments are the inodes of the segment files, for damage.
func (c *crashFS) segments() []*inode {
	var names []string
	for n := range c.names {
		if strings.HasPrefix(filepath.Base(n), "seg-") {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var out []*inode
	for _, n := range names {
		out = append(out, c.names[n])
	}
	return out
}
