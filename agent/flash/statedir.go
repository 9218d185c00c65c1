package flash

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The states of a StateDir that it treats by name.
const (
	Meter = "meter"
	// nowSuffix after a name means what is newer than the state of that name and kept
	// in memory only (a tmpfs), so that a kill loses nothing and the flash is spared.
	nowSuffix = ".now"

	saltName = "salt"
)

// stateSizes are what the slots of a state are made for where a page is not enough.
var stateSizes = map[string]int{
	Meter:     8 << 10,          // plans, books and the history of one card
	"journal": 28 << 10,         // thirty days, deflated; both slots stay below 64 KB
	"machine": 8<<10 - slotHead, // habit by the hour of the week, counters and stock of 40 columns, deflated
}

// pageState fills one page of the flash with its slot.
const pageState = slotUnit - slotHead

// StateDir is the directory of the snapshots, each in two slots of a file of its own:
// a fraction of the flash that replacing a file costs, and nothing when nothing
// changed. It is safe for concurrent use; who saves one name does not wait for another.
type StateDir struct {
	fs       FS
	dir, run string // run is "" where there is no tmpfs
	log      *slog.Logger

	mu     sync.Mutex // of the map
	states map[string]*state
}

// state is one name of a StateDir.
type state struct {
	mu    sync.Mutex
	slots *Slots // nil: not open
}

func (d *StateDir) state(name string) *state {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.states[name]
	if s == nil {
		s = &state{}
		d.states[name] = s
	}
	return s
}

// OpenStateDir opens dir; run is where what a reboot makes void belongs, when it is in
// memory. A directory that others may write is used, and complained about.
func OpenStateDir(fsys FS, dir, run string, log *slog.Logger) *StateDir {
	d := &StateDir{fs: fsys, dir: dir, log: log, states: map[string]*state{}}
	if onTmpfs(run) {
		d.run = run
	}
	if err := Private(dir); err != nil {
		log.Error("others could change what the agent keeps", "error", err)
	}
	return d
}

// Writable looks, without writing, whether the file system takes writes: a kernel that
// has met errors sets it read-only, and nothing may have to be kept for hours.
func (d *StateDir) Writable() error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.dir, &st); err == nil && st.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("%w: %s", ErrReadOnly, d.dir)
	}
	return nil // what else is wrong shows when something is written
}

// Kept is what was kept of a name, the newest last: on the flash, and in memory since.
func (d *StateDir) Kept(name string) [][]byte {
	states := [][]byte{d.Load(name)}
	if d.run != "" {
		if now, err := ReadFile(OS{}, d.runPath(name)); err == nil && now != nil {
			states = append(states, now)
		}
	}
	return states
}

// onTmpfs reports whether dir is in memory: only there a write at each look is
// for nothing.
func onTmpfs(dir string) bool {
	var st unix.Statfs_t
	return dir != "" && unix.Statfs(dir, &st) == nil && st.Type == unix.TMPFS_MAGIC
}

func (d *StateDir) path(name string) string    { return filepath.Join(d.dir, name+".state") }
func (d *StateDir) runPath(name string) string { return filepath.Join(d.run, name+".state") }

// Save keeps a state under name. After an error the one before is still there. A name
// that ends in ".now" is kept in memory, where there is such a place, else not at all.
func (d *StateDir) Save(name string, data []byte) error {
	if name, now := strings.CutSuffix(name, nowSuffix); now {
		if d.run == "" {
			return nil
		}
		return WriteVolatile(OS{}, d.runPath(name), data)
	}
	st := d.state(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.slots == nil {
		if _, err := d.open(st, name); err != nil {
			// It could not be set aside when it was loaded; perhaps it can be now.
			if SetAside(d.fs, d.path(name)) != nil {
				return err
			}
			if _, err = d.open(st, name); err != nil {
				return err
			}
		}
	}
	return st.slots.Write(data)
}

// Load gives the state kept under name, nil when there is none. What cannot be read is
// set aside: the agent must run, whatever a power cut did.
func (d *StateDir) Load(name string) []byte {
	st := d.state(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.close()
	data, err := d.open(st, name)
	if err != nil {
		d.setAside(name, err)
	}
	return data
}

// open opens the slots of a name and gives what they hold.
func (d *StateDir) open(st *state, name string) ([]byte, error) {
	slots, data, err := OpenSlots(d.fs, d.path(name), max(stateSizes[name], pageState))
	if err == nil {
		st.slots = slots
	}
	return data, err
}

func (st *state) close() {
	if st.slots != nil {
		_ = st.slots.Close()
		st.slots = nil
	}
}

// SetAside keeps a state that means nothing to its owner for someone to look at; the
// next Load finds nothing.
func (d *StateDir) SetAside(name string, why error) {
	st := d.state(name)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.close()
	d.setAside(name, why)
}

func (d *StateDir) setAside(name string, why error) {
	d.log.Warn("kept state cannot be read and is set aside", "name", name, "error", why)
	if err := SetAside(d.fs, d.path(name)); err != nil {
		d.log.Error("kept state cannot be set aside", "name", name, "error", err)
	}
}

// Salt is drawn once; identities are hashed with it, so that a copied state
// file tells nobody a card's number.
func (d *StateDir) Salt() (string, error) {
	var raw [16]byte
	data, err := ReadFile(d.fs, d.path(saltName))
	if err != nil {
		d.SetAside(saltName, err)
	}
	if n, err := hex.Decode(raw[:], data[:min(len(data), hex.EncodedLen(len(raw)))]); err == nil && n == len(raw) && len(data) == hex.EncodedLen(len(raw)) {
		return string(data), nil
	}
	if data != nil {
		d.SetAside(saltName, errors.New("it is not 32 hex digits; a known card will look new"))
	}
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	s := hex.EncodeToString(raw[:])
	if err := WriteFile(d.fs, d.path(saltName), []byte(s)); err != nil {
		d.log.Error("salt not kept; a swapped card will look new after the next start", "error", err)
	}
	return s, nil
}

// Run is where a file belongs that a reboot makes void: in memory, where there is such
// a place.
func (d *StateDir) Run() string {
	if d.run != "" {
		return d.run
	}
	return d.dir
}

// Close closes the files; nothing depends on it.
func (d *StateDir) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, st := range d.states {
		st.mu.Lock()
		st.close()
		st.mu.Unlock()
	}
}
