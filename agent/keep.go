package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"cellwarden/agent/board"
	"cellwarden/agent/core"
	"cellwarden/agent/meter"

	"golang.org/x/sys/unix"
)

// meterStateBytes is what the meter's slots are made for: plans, books and the
// history of one card.
const meterStateBytes = 8 << 10

// stateDir keeps the snapshots. The meter's is written often and goes into two
// slots of one file, a fraction of the flash that replacing a file costs; what
// it has counted since is kept in memory (run, a tmpfs), so that a kill loses
// nothing while a power cut loses what the config allows.
type stateDir struct {
	dir, run string // run is "" where there is no tmpfs
	log      *slog.Logger
	slots    *board.Slots // nil: the meter's file could not be opened
}

// openState opens the directory and returns what was kept of the meter, the
// newest last.
func openState(dir, run string, log *slog.Logger) (*stateDir, [][]byte) {
	d := &stateDir{dir: dir, log: log}
	if onTmpfs(run) {
		d.run = run
	}
	slots, kept, err := board.OpenSlots(d.path("meter"), meterStateBytes)
	if errors.Is(err, board.ErrStateDamaged) {
		d.setAside("meter", err)
		slots, kept, err = board.OpenSlots(d.path("meter"), meterStateBytes)
	}
	if err != nil {
		log.Error("the meter cannot keep its state", "error", err)
	}
	d.slots = slots
	states := [][]byte{kept}
	if d.run != "" {
		if now, err := board.ReadState(d.runPath()); err == nil {
			states = append(states, now)
		}
	}
	return d, states
}

// onTmpfs reports whether dir is in memory: only there a write at each look is
// for nothing.
func onTmpfs(dir string) bool {
	var st unix.Statfs_t
	return dir != "" && unix.Statfs(dir, &st) == nil && st.Type == unix.TMPFS_MAGIC
}

func (d *stateDir) path(name string) string { return filepath.Join(d.dir, name+".state") }
func (d *stateDir) runPath() string         { return filepath.Join(d.run, "meter.state") }

// Save implements saver.
func (d *stateDir) Save(name string, data []byte) error {
	switch {
	case name == "meter" && d.slots != nil:
		return d.slots.Write(data)
	case name == "meter.now":
		if d.run == "" {
			return nil
		}
		tmp := d.runPath() + ".tmp" // in memory: nothing to sync
		if err := os.WriteFile(tmp, data, 0o600); err != nil {
			return err
		}
		return os.Rename(tmp, d.runPath())
	}
	return board.WriteFileAtomic(d.path(name), data)
}

func (d *stateDir) close() {
	if d.slots != nil {
		_ = d.slots.Close()
	}
}

func (d *stateDir) load(name string) []byte {
	data, err := board.ReadState(d.path(name))
	if err != nil {
		d.setAside(name, err)
		return nil
	}
	return data
}

func (d *stateDir) setAside(name string, why error) {
	d.log.Warn("kept state cannot be read and is set aside", "name", name, "error", why)
	if err := board.SetAside(d.path(name)); err != nil {
		d.log.Error("kept state cannot be set aside", "name", name, "error", err)
	}
}

// salt is drawn once; identities are hashed with it, so that a copied state
// file tells nobody a card's number.
func (d *stateDir) salt() (string, error) {
	var raw [16]byte
	data := d.load("salt")
	if n, err := hex.Decode(raw[:], data[:min(len(data), hex.EncodedLen(len(raw)))]); err == nil && n == len(raw) && len(data) == hex.EncodedLen(len(raw)) {
		return string(data), nil
	}
	if data != nil {
		d.setAside("salt", errors.New("it is not 32 hex digits; a known card will look new"))
	}
	if _, err := rand.Read(raw[:]); err != nil {
		return "", err
	}
	s := hex.EncodeToString(raw[:])
	if err := d.Save("salt", []byte(s)); err != nil {
		d.log.Error("salt not kept; a swapped card will look new after the next start", "error", err)
	}
	return s, nil
}

// runOrDir is where a file belongs that a reboot makes void: in memory, where
// there is such a place.
func (d *stateDir) runOrDir() string {
	if d.run != "" {
		return d.run
	}
	return d.dir
}

// settleBlock has the machine's traffic stopped or not, as it shall be. What
// failed is tried again at the next look.
func (l *loop) settleBlock() {
	err := l.block.Settle()
	if err != nil && l.saved["block"] == nil {
		l.log.Error("the machine's traffic is not as the config orders", "error", err)
	}
	l.saved["block"] = err
	l.troubles.file("block", err, l.hw.Now())
}

// watchLinks brings the kernel's last words on deleted interfaces. Without them
// the agent works on: the polls count, and lose what moved since the last one.
func (l *loop) watchLinks(ctx context.Context) error {
	err := l.hw.WatchLinks(ctx, func(r meter.Reading) {
		select {
		case l.events <- core.LinkGone{At: l.at(), Reading: r}:
		case <-ctx.Done():
		}
	})
	if err != nil {
		l.log.Warn("deleted interfaces are not heard of any more", "error", err)
	}
	return nil
}
