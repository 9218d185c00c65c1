package board

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"golang.org/x/sys/unix"
)

// A state that is written many times a day goes to a file of two slots, written
// in turn and in place. A power cut spoils at most the slot that was being
// written, and the other one still holds the state before. Replacing a file of
// 4.6 KB on ext4 costs the flash 70 KB (inode, directory, journal), a slot 8.6 KB
// (TestBytesToFlashPerWrite).

const (
	slotMagic = "CWS1"
	slotHead  = 20      // magic, generation, length, checksum of generation, length and data
	slotUnit  = 4 << 10 // slots begin on flash pages and file system blocks
)

// ErrStateDamaged means that neither slot of a file can be read.
var ErrStateDamaged = errors.New("the state file is damaged")

// Slots is a file of two slots. It is not safe for concurrent use.
type Slots struct {
	path string
	f    *os.File
	size int // of one slot
	gen  uint64
	next int // the slot to write
}

// OpenSlots opens the file, or makes it, and returns the state kept last; nil
// when there is none yet. A file whose slots are both spoilt is ErrStateDamaged:
// SetAside it and open again. stateBytes is the expected size of the state; a
// larger one makes the file grow.
func OpenSlots(path string, stateBytes int) (*Slots, []byte, error) {
	content, err := ReadState(path)
	if err != nil {
		return nil, nil, err
	}
	s := &Slots{path: path, size: slotFor(stateBytes)}
	var state []byte
	if len(content) > 0 {
		var ok bool
		if state, ok = s.latest(content); !ok {
			return nil, nil, fmt.Errorf("board: %s: %w", path, ErrStateDamaged)
		}
	}
	if len(content) == 0 || len(content) != 2*s.size {
		if err := s.make(state); err != nil {
			return nil, nil, err
		}
		return s, state, nil
	}
	if err := s.open(); err != nil {
		return nil, nil, err
	}
	return s, state, nil
}

// latest finds the newer good slot; ok is false when the file is neither fresh
// nor has one.
func (s *Slots) latest(content []byte) (state []byte, ok bool) {
	half := len(content) / 2
	fresh := true
	for i := range 2 {
		part := content[i*half : (i+1)*half]
		gen, data, good := readSlot(part)
		if good && gen > s.gen {
			s.gen, state, s.next = gen, data, 1-i
		}
		for _, b := range part {
			fresh = fresh && b == 0
		}
	}
	return state, s.gen > 0 || fresh
}

func readSlot(b []byte) (gen uint64, data []byte, ok bool) {
	if len(b) < slotHead || string(b[:4]) != slotMagic {
		return 0, nil, false
	}
	n := binary.BigEndian.Uint32(b[12:])
	if uint64(n) > uint64(len(b)-slotHead) {
		return 0, nil, false
	}
	data = b[slotHead : slotHead+int(n)]
	if slotSum(b[4:16], data) != binary.BigEndian.Uint32(b[16:]) {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(b[4:]), data, true
}

func slotSum(head, data []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(head), crc32.IEEETable, data)
}

func slotFor(n int) int { return (n + slotHead + slotUnit - 1) / slotUnit * slotUnit }

func appendSlot(b []byte, gen uint64, data []byte) []byte {
	at := len(b)
	b = append(b, slotMagic...)
	b = binary.BigEndian.AppendUint64(b, gen)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	b = binary.BigEndian.AppendUint32(b, slotSum(b[at+4:at+16], data))
	return append(b, data...)
}

// make writes a new file, whole or not at all, with every block taken.
func (s *Slots) make(state []byte) error {
	s.size = max(s.size, slotFor(len(state)))
	if 2*s.size > MaxStateBytes {
		return fmt.Errorf("board: write %s: a state of %d bytes, at most %d", s.path, len(state), MaxStateBytes/2-slotHead)
	}
	content := make([]byte, 0, 2*s.size)
	if state != nil {
		s.gen++
		content = appendSlot(content, s.gen, state)
	}
	if err := WriteFileAtomic(s.path, content[:2*s.size]); err != nil {
		return err
	}
	s.next = 1
	return s.open()
}

func (s *Slots) open() error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("board: open %s: %w", s.path, explainDisk(err))
	}
	if s.f != nil {
		_ = s.f.Close() // the old file, already replaced
	}
	s.f = f
	return nil
}

// Write keeps a state. It is on disk when Write returns nil; after an error the
// state before is still there.
func (s *Slots) Write(state []byte) error {
	if len(state)+slotHead > s.size {
		return s.make(state)
	}
	slot := appendSlot(make([]byte, 0, slotHead+len(state)), s.gen+1, state)
	_, err := s.f.WriteAt(slot, int64(s.next*s.size))
	if err == nil {
		err = unix.Fdatasync(int(s.f.Fd()))
	}
	if err != nil {
		return fmt.Errorf("board: write %s: %w", s.path, explainDisk(err))
	}
	s.gen++
	s.next = 1 - s.next
	return nil
}

// Close closes the file; nothing depends on it.
func (s *Slots) Close() error { return s.f.Close() }
