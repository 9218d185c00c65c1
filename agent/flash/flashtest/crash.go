// Package flashtest is a disk in memory that a power cut can hit at any operation, for
// the tests of all that keeps durable files.
package flashtest

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"cellwarden/agent/flash"
)

// Sector is what a power cut tears at most, in bytes.
const Sector = 512

// ErrPower is what every operation says once the power went.
var ErrPower = errors.New("power cut")

// FS is a disk in memory that a power cut can hit at any operation. It then
// keeps of what was not synced: any subset of the 512 byte sectors written, each in
// any of the versions written since the last sync, torn at any byte or full of
// garbage; and any subset of the names made, changed or removed.
type FS struct {
	// Rand draws what a cut leaves; a test may draw from it too.
	Rand *rand.Rand
	// Names are the files as the running system sees them.
	Names map[string]*Inode

	Ops    int  // writes, syncs, creations, renames, removals so far
	CutAt  int  // the operation that the power cut hits; 0 never
	Off    bool // the power is off until Restart
	Locked bool // somebody holds the directory

	Room     int64  // bytes that the files may have; 0 no limit
	Under    string // only files whose names begin so count for Room; "" all
	ReadOnly bool
	Fail     func(op, name string) error // nil: nothing fails

	mu sync.Mutex
	// Since the last SyncDir:
	pending []nameOp
	durable map[string]*Inode
}

// nameOp is one change of the directory: a name now means another file, or none.
type nameOp struct {
	name string
	to   *Inode
	also string // for a rename: this name goes
}

// Inode is one file.
type Inode struct {
	Data   []byte // as the running system sees it
	synced []byte // as the flash has it
	dirty  map[int][][]byte
}

// New is an empty disk; equal seeds draw equal cuts.
func New(seed uint64) *FS {
	return &FS{Rand: rand.New(rand.NewPCG(seed, 1)), Names: map[string]*Inode{}, durable: map[string]*Inode{}}
}

// Put lays a file on the disk, durably.
func (c *FS) Put(name string, data []byte) {
	i := &Inode{Data: slices.Clone(data), synced: slices.Clone(data), dirty: map[int][][]byte{}}
	c.Names[name], c.durable[name] = i, i
}

// Copy is a disk of its own with the same files, all of them durable.
func (c *FS) Copy() *FS {
	out := New(1)
	for n, i := range c.Names {
		out.Put(n, i.Data)
	}
	return out
}

// op counts a changing operation. cut means that the power goes in the middle of
// it: the operation may take effect in part.
func (c *FS) op(kind, name string) (cut bool, err error) {
	if c.Off {
		return false, ErrPower
	}
	c.Ops++
	if c.Ops == c.CutAt {
		c.Off = true
		return true, ErrPower
	}
	if c.ReadOnly && kind != "sync" && kind != "syncdir" {
		return false, syscall.EROFS
	}
	if c.Fail != nil {
		return false, c.Fail(kind, name)
	}
	return false, nil
}

// Restart is the next start of the machine (power) or only of the process.
func (c *FS) Restart(power bool) {
	c.Off, c.Locked, c.CutAt = false, false, 0
	if !power {
		return
	}
	names := map[string]*Inode{}
	for n, i := range c.durable {
		names[n] = i
	}
	for _, p := range c.pending {
		if c.Rand.IntN(2) == 0 {
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
	done := map[*Inode]bool{}
	for _, n := range slices.Sorted(maps.Keys(names)) { // in one order, so that a seed is one cut
		if i := names[n]; !done[i] {
			done[i] = true
			c.forget(i)
		}
	}
	c.Names, c.pending = names, nil
	c.durable = maps.Clone(names)
}

// forget loses what of a file was not synced.
func (c *FS) forget(i *Inode) {
	data := slices.Clone(i.synced)
	if len(i.Data) != len(data) && c.Rand.IntN(2) == 0 {
		grown := make([]byte, len(i.Data))
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
		at := s * Sector
		if at >= len(data) {
			continue
		}
		old := data[at:min(at+Sector, len(data))]
		neu := versions[c.Rand.IntN(len(versions))]
		switch c.Rand.IntN(8) {
		case 0, 1, 2: // not there
		case 3, 4, 5:
			copy(old, neu)
		case 6: // torn
			copy(old, neu[:c.Rand.IntN(len(neu)+1)])
		case 7: // unreadable for the controller, made up by it
			for j := range old {
				old[j] = byte(c.Rand.Uint32())
			}
		}
	}
	i.Data, i.synced, i.dirty = data, slices.Clone(data), map[int][][]byte{}
}

// Size is what the files below Under take.
func (c *FS) Size() int64 {
	n := int64(0)
	for name, i := range c.Names {
		if strings.HasPrefix(name, c.Under) {
			n += int64(len(i.Data))
		}
	}
	return n
}

// MkdirAll implements flash.FS.
func (c *FS) MkdirAll(string) error {
	if c.Off {
		return ErrPower
	}
	return nil
}

// List implements flash.FS.
func (c *FS) List(dir string) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Off {
		return nil, ErrPower
	}
	var out []string
	for n := range c.Names {
		if filepath.Dir(n) == dir {
			out = append(out, filepath.Base(n))
		}
	}
	return out, nil
}

type crashLock struct{ c *FS }

func (l crashLock) Close() error { l.c.Locked = false; return nil }

// Lock implements flash.FS.
func (c *FS) Lock(string) (io.Closer, error) {
	if c.Off {
		return nil, ErrPower
	}
	if c.Locked {
		return nil, flash.ErrLocked
	}
	c.Locked = true
	return crashLock{c}, nil
}

// Open implements flash.FS.
func (c *FS) Open(name string, write bool) (flash.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Off {
		return nil, ErrPower
	}
	i := c.Names[name]
	if i == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if c.ReadOnly && write {
		return nil, syscall.EROFS
	}
	return &crashFile{c, i, name, write}, nil
}

// Create implements flash.FS.
func (c *FS) Create(name string, _ fs.FileMode) (flash.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Names[name] != nil {
		if _, err := c.op("remove", name); err != nil {
			return nil, err
		}
		delete(c.Names, name)
		c.pending = append(c.pending, nameOp{name: name})
	}
	if _, err := c.op("create", name); err != nil {
		return nil, err
	}
	i := &Inode{dirty: map[int][][]byte{}}
	c.Names[name] = i
	c.pending = append(c.pending, nameOp{name: name, to: i})
	return &crashFile{c, i, name, true}, nil
}

// Rename implements flash.FS.
func (c *FS) Rename(from, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.op("rename", from); err != nil {
		return err
	}
	i := c.Names[from]
	if i == nil {
		return fs.ErrNotExist
	}
	delete(c.Names, from)
	c.Names[to] = i
	c.pending = append(c.pending, nameOp{name: to, to: i, also: from})
	return nil
}

// Remove implements flash.FS.
func (c *FS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.op("remove", name); err != nil {
		return err
	}
	if c.Names[name] == nil {
		return fs.ErrNotExist
	}
	delete(c.Names, name)
	c.pending = append(c.pending, nameOp{name: name})
	return nil
}

// SyncDir implements flash.FS.
func (c *FS) SyncDir(string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.op("syncdir", ""); err != nil {
		return err
	}
	c.durable, c.pending = maps.Clone(c.Names), nil
	return nil
}

// Free implements flash.FS.
func (c *FS) Free(string) (uint64, error) {
	if c.Room == 0 {
		return 1 << 40, nil
	}
	return uint64(max(0, c.Room-c.Size())), nil
}

type crashFile struct {
	c     *FS
	i     *Inode
	name  string
	write bool
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if f.c.Off {
		return 0, ErrPower
	}
	if f.c.Fail != nil {
		if err := f.c.Fail("read", f.name); err != nil {
			return 0, err
		}
	}
	if off >= int64(len(f.i.Data)) {
		return 0, io.EOF
	}
	n := copy(b, f.i.Data[off:])
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
	if grow := int64(end - len(f.i.Data)); grow > 0 {
		if c.Room > 0 && c.Size()+grow > c.Room {
			return 0, syscall.ENOSPC
		}
		f.i.Data = append(f.i.Data, make([]byte, grow)...)
	}
	copy(f.i.Data[off:], b)
	for s := int(off) / Sector; s*Sector < end; s++ {
		version := slices.Clone(f.i.Data[s*Sector : min((s+1)*Sector, len(f.i.Data))])
		f.i.dirty[s] = append(f.i.dirty[s], version)
	}
	if cut {
		return 0, ErrPower
	}
	return len(b), nil
}

func (f *crashFile) Size() (int64, error) {
	if f.c.Off {
		return 0, ErrPower
	}
	return int64(len(f.i.Data)), nil
}

func (f *crashFile) Sync() error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	if _, err := f.c.op("sync", f.name); err != nil {
		return err
	}
	f.i.synced = slices.Clone(f.i.Data)
	f.i.dirty = map[int][][]byte{}
	return nil
}

func (f *crashFile) Close() error { return nil }
