package install

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"cellwarden/agent/update"
	"cellwarden/protocol"
)

// The files.
const (
	slotsFile    = "slots.json"
	trustFile    = "trust.json"
	jobFile      = "job.json"
	manifestFile = "manifest.json"
	download     = "download"
)

// Slots reads what starts next. What cannot be read is the zero value, which is
// the packaged binary.
func (d Dir) Slots() (update.Slots, error) {
	var s update.Slots
	if err := d.load(slotsFile, &s); err != nil {
		return update.Slots{}, err
	}
	// Nothing outside of the directory is ever started or dropped.
	if c, t := s.Current, s.Trial; c != nil && !isSlot(c.Slot) || t != nil && !isSlot(t.Slot) {
		return update.Slots{}, errors.New("a slot that is neither a nor b")
	}
	return s, nil
}

func isSlot(name string) bool { return name == "a" || name == "b" }

func (d Dir) keep(s update.Slots) error { return d.save(slotsFile, s) }

// Next says what to start, by the path of a whole and verified binary; "" is the
// packaged one. A start of a trial is counted on the flash before: what cannot be
// counted is not tried. A start of a confirmed binary is counted too, and goes on
// without where that fails: a full flash is no reason to leave it. pkg is the version
// of the packaged binary, able as for update.Slots.Start.
func (d Dir) Next(pkg string, able bool) (path string, trial bool) {
	s, err := d.Slots()
	if err != nil {
		return "", false
	}
	for {
		was := s.Current
		b, trial, changed := s.Start(pkg, able)
		if changed {
			if was != nil && s.Current == nil {
				// The floor first: a cut between the two must not forget it.
				if err := d.raise(was.Version); err != nil {
					return "", false // the same is found at the next start
				}
			}
			if err := d.keep(s); err != nil && trial {
				b, trial = s.Current, false
			}
		}
		if b == nil {
			return "", false
		}
		path := d.path(b.Slot)
		err := d.verify(b.Slot, b.Size, b.SHA256)
		switch {
		case err == nil:
			return path, trial
		case !trial && (err == errSize || err == errHash):
			if d.raise(b.Version) == nil { // the floor first, as above
				s.Fall(protocol.Refuse(protocol.UpdateDamaged, "%v", err))
				_ = d.keep(s) // the same is found at the next start
			}
			return "", false
		case !trial:
			return "", false
		}
		s.GiveUp(protocol.Refuse(protocol.UpdateDamaged, "%v", err))
		if err := d.keep(s); err != nil {
			return "", false // the same is found at the next start
		}
	}
}

var errSize = errors.New("the size is not the one that was signed")
var errHash = errors.New("the SHA-256 is not the one that was signed")

// verify holds a file against size and hash, a piece at a time.
func (d Dir) verify(name string, size int64, sum string) error {
	f, err := d.FS.Open(d.path(name), false)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return err
	}
	if n != size {
		return errSize
	}
	have, err := hash(io.NewSectionReader(f, 0, size))
	if err != nil {
		return err
	}
	if have != sum {
		return errHash
	}
	return nil
}

func hash(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, r, make([]byte, piece)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// piece is what is read and written at a time: flash file systems write in pages
// of 2 to 4 KB.
const piece = 16 << 10

// Confirm makes the trial the current binary, and the version the floor.
func (d Dir) Confirm() error {
	s, err := d.Slots()
	if err != nil {
		return err
	}
	if s.Trial == nil {
		return errors.New("no binary is on trial")
	}
	s.Confirm()
	if err := d.keep(s); err != nil {
		return err
	}
	return d.raise(s.Current.Version)
}

// GiveUp ends the trial.
func (d Dir) GiveUp(why *protocol.Refusal) error {
	s, err := d.Slots()
	if err != nil || s.Trial == nil {
		return err
	}
	slot := s.Trial.Slot
	s.GiveUp(why)
	if err := d.keep(s); err != nil {
		return err
	}
	d.drop(slot)
	return nil
}

// trust is what must outlive the slots.
type trust struct {
	Root  []byte `json:"root,omitempty"`  // the document, "" while the packaged one counts
	Floor string `json:"floor,omitempty"` // the newest version that was confirmed
}

// raise moves the floor up to version.
func (d Dir) raise(version string) error {
	var t trust
	if err := d.load(trustFile, &t); err != nil {
		t = trust{} // damaged: the packaged root counts, and what runs is the floor
	}
	if !update.Newer(version, t.Floor) {
		return nil
	}
	t.Floor = version
	return d.save(trustFile, t)
}
