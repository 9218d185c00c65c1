package install

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
)

var errPower = errors.New("power cut")

// crashFS is a flash in memory that a power cut can hit at any operation. It then
// keeps of what was not synced any part: of a file's pages each in its old or its
// last content, torn or made up; of the names made, changed or removed any subset.
type crashFS struct {
	rng     *rand.Rand
	names   map[string]*inode
	durable map[string]*inode
	pending []nameOp

	ops, cutAt int // cutAt 0: never
	off        bool
	room       uint64 // 0: endless
}

type nameOp struct {
	name, also string
	to         *inode
}

type inode struct {
	data, synced []byte
	dirty        map[int]bool // pages written since the last sync
}

const page = 512

func newCrashFS(seed uint64) *crashFS {
	return &crashFS{rng: rand.New(rand.NewPCG(seed, 1)), names: map[string]*inode{}, durable: map[string]*inode{}}
}

// op counts a changing operation; cut means that the power goes in its middle.
func (c *crashFS) op() (cut bool, err error) {
	if c.off {
		return false, errPower
	}
	if c.ops++; c.ops == c.cutAt {
		c.off = true
		return true, errPower
	}
	return false, nil
}

// restart is the next start of the board after a cut.
func (c *crashFS) restart() {
	names := maps.Clone(c.durable)
	for _, p := range c.pending {
		if c.rng.IntN(2) == 0 {
			continue
		}
		if p.also != "" {
			delete(names, p.also)
		}
		if delete(names, p.name); p.to != nil {
			names[p.name] = p.to
		}
	}
	for _, i := range names {
		c.forget(i)
	}
	c.names, c.durable, c.pending = names, maps.Clone(names), nil
	c.off, c.cutAt = false, 0
}

func (c *crashFS) forget(i *inode) {
	if len(i.dirty) == 0 && len(i.data) == len(i.synced) {
		return
	}
	data := slices.Clone(i.synced)
	if c.rng.IntN(2) == 0 { // the length is there, the contents are not
		data = append(data[:min(len(data), len(i.data))], make([]byte, max(0, len(i.data)-len(data)))...)
	}
	for _, p := range slices.Sorted(maps.Keys(i.dirty)) {
		if p*page >= len(data) || p*page >= len(i.data) {
			continue
		}
		old, neu := data[p*page:min((p+1)*page, len(data))], i.data[p*page:min((p+1)*page, len(i.data))]
		switch c.rng.IntN(4) {
		case 0:
			copy(old, neu)
		case 1:
			copy(old, neu[:c.rng.IntN(len(neu)+1)])
		case 2:
			for j := range old {
				old[j] = byte(c.rng.Uint32())
			}
		}
	}
	i.data, i.synced, i.dirty = data, slices.Clone(data), map[int]bool{}
}

func (c *crashFS) Open(name string, flag int) (File, error) {
	if c.off {
		return nil, errPower
	}
	i := c.names[name]
	if flag&os.O_TRUNC != 0 && i != nil {
		if _, err := c.op(); err != nil {
			return nil, err
		}
		i.data, i.dirty = nil, map[int]bool{}
	}
	if i == nil {
		if flag&os.O_CREATE == 0 {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		if _, err := c.op(); err != nil {
			return nil, err
		}
		i = &inode{dirty: map[int]bool{}}
		c.names[name] = i
		c.pending = append(c.pending, nameOp{name: name, to: i})
	}
	return &crashFile{c, i}, nil
}

func (c *crashFS) Rename(from, to string) error {
	if _, err := c.op(); err != nil {
		return err
	}
	i := c.names[from]
	if i == nil {
		return fs.ErrNotExist
	}
	delete(c.names, from)
	c.names[to] = i
	c.pending = append(c.pending, nameOp{name: to, also: from, to: i})
	return nil
}

func (c *crashFS) Remove(name string) error {
	if c.off {
		return errPower
	}
	if c.names[name] == nil {
		return fs.ErrNotExist
	}
	if _, err := c.op(); err != nil {
		return err
	}
	delete(c.names, name)
	c.pending = append(c.pending, nameOp{name: name})
	return nil
}

func (c *crashFS) SyncDir(string) error {
	if _, err := c.op(); err != nil {
		return err
	}
	c.durable, c.pending = maps.Clone(c.names), nil
	return nil
}

func (c *crashFS) Free(string) (uint64, error) {
	if c.room == 0 {
		return 1 << 40, nil
	}
	return c.room - min(c.room, c.used()), nil
}

func (c *crashFS) used() (n uint64) {
	for name, i := range c.names {
		if strings.HasPrefix(name, dir) {
			n += uint64(len(i.data))
		}
	}
	return n
}

type crashFile struct {
	c *crashFS
	i *inode
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	if f.c.off {
		return 0, errPower
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
	cut, err := f.c.op()
	if err != nil && !cut {
		return 0, err
	}
	if grow := int(off) + len(b) - len(f.i.data); grow > 0 {
		if free, _ := f.c.Free(""); free < uint64(grow) {
			return 0, syscall.ENOSPC
		}
		f.i.data = append(f.i.data, make([]byte, grow)...)
	}
	copy(f.i.data[off:], b)
	for p := int(off) / page; p*page < int(off)+len(b); p++ {
		f.i.dirty[p] = true
	}
	return len(b), err
}

func (f *crashFile) Size() (int64, error) { return int64(len(f.i.data)), nil }

func (f *crashFile) Sync() error {
	if _, err := f.c.op(); err != nil {
		return err
	}
	f.i.synced, f.i.dirty = slices.Clone(f.i.data), map[int]bool{}
	return nil
}

func (f *crashFile) Close() error { return nil }
