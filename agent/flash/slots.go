package flash

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A state that is written many times a day goes to a file of two slots, written
// in turn and in place. A power cut spoils at most the slot that was being
// written, and the other one still holds the state before. Replacing a file of
// 4.6 KB on ext4 costs the flash 70 KB (inode, directory, journal), a slot 8.6 KB, and
// one of up to 4,076 bytes 4.4 KB (TestBytesToFlashPerWrite).

const (
	slotMagic = "CWS1"
	slotHead  = 20      // magic, generation, length, checksum of generation, length and data
	slotUnit  = 4 << 10 // slots begin on flash pages and file system blocks
	growShare = 4       // a file that grows has this share of the state to spare
	plainMark = '{'     // a state that an earlier version kept as a whole file begins so
)

// ErrStateDamaged means that neither slot of a file can be read.
var ErrStateDamaged = errors.New("the state file is damaged")

// Slots is a file of two slots. It is not safe for concurrent use.
type Slots struct {
	fs   FS
	path string
	f    File // nil until the first write
	size int  // of one slot
	gen  uint64
	next int               // the slot to write
	sum  [sha256.Size]byte // of the state that the file holds, when there is one
	kept bool
}

// OpenSlots reads the file and returns the state kept last; nil when there is none
// yet. It writes nothing: the file is made by the first Write. A file whose slots are
// both spoilt is ErrStateDamaged: SetAside it and open again. A whole file with a JSON
// object, as earlier versions kept it, is a state too; the first Write changes its form. stateBytes is the expected size
// of the state; a larger one makes the file grow.
func OpenSlots(fsys FS, path string, stateBytes int) (*Slots, []byte, error) {
	content, err := ReadFile(fsys, path)
	if err != nil {
		return nil, nil, err
	}
	s := &Slots{fs: fsys, path: path, size: slotFor(stateBytes)}
	if len(content) == 0 {
		return s, nil, nil
	}
	state, ok := s.latest(content)
	switch half := len(content) / 2; {
	case ok && half >= s.size && half%slotUnit == 0 && len(content)%2 == 0:
		s.size = half // it grew once, and will need the room again
		err = s.open()
	case ok: // of another size: made anew by the next write
	case content[0] == plainMark:
		return s, content, nil
	default:
		return nil, nil, fmt.Errorf("%s: %w", path, ErrStateDamaged)
	}
	if err != nil && !errors.Is(err, ErrReadOnly) {
		return nil, nil, err
	}
	// What was read may be the page cache's alone after a kill: the first write counts.
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
	size := s.size
	if len(state)+slotHead > size {
		size = slotFor(len(state) + len(state)/growShare) // and not again for the next few bytes
	}
	if 2*size > MaxStateBytes {
		return fmt.Errorf("write %s: a state of %d bytes, at most %d", s.path, len(state), MaxStateBytes/2-slotHead)
	}
	content := appendSlot(make([]byte, 0, 2*size), s.gen+1, state)
	if err := WriteFile(s.fs, s.path, content[:2*size]); err != nil {
		return err
	}
	s.size, s.gen, s.next = size, s.gen+1, 1
	return s.open()
}

func (s *Slots) open() error {
	f, err := s.fs.Open(s.path, true)
	if err != nil {
		return fmt.Errorf("open %s: %w", s.path, explain(err))
	}
	if s.f != nil {
		_ = s.f.Close() // the old file, already replaced
	}
	s.f = f
	return nil
}

// Write keeps a state. It is on disk when Write returns nil; after an error the
// state before is still there. A state that the file holds already costs nothing.
func (s *Slots) Write(state []byte) error {
	sum := sha256.Sum256(state)
	if s.kept && sum == s.sum {
		return nil
	}
	s.kept = false // after an error it is not known which of the two a cut would leave
	if err := s.write(state); err != nil {
		return err
	}
	s.sum, s.kept = sum, true
	return nil
}

func (s *Slots) write(state []byte) error {
	if s.f == nil || len(state)+slotHead > s.size {
		return s.make(state)
	}
	slot := appendSlot(make([]byte, 0, slotHead+len(state)), s.gen+1, state)
	_, err := s.f.WriteAt(slot, int64(s.next*s.size))
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, explain(err))
	}
	s.gen++
	s.next = 1 - s.next
	return nil
}

// Close closes the file; nothing depends on it.
func (s *Slots) Close() error {
	if s.f == nil {
		return nil
	}
	return s.f.Close()
}
