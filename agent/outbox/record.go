package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// Priority orders records. Larger is delivered first and evicted last.
type Priority uint8

// The priorities, lowest first. The numbers are on the flash.
const (
	Metric Priority = iota
	State
	Event
	Alert

	priorities = 4
)

// String is the word used on the wire.
func (p Priority) String() string {
	switch p {
	case Metric:
		return "metric"
	case State:
		return "state"
	case Event:
		return "event"
	case Alert:
		return "alert"
	}
	return "priority " + strconv.Itoa(int(p))
}

// Stamp is one instant by both clocks.
type Stamp struct {
	Boot    string // first 8 hex digits of the kernel's boot id, "" not known
	MonoMS  int64  // milliseconds since boot, CLOCK_BOOTTIME
	WallMS  int64  // milliseconds since 1970; a hint unless Trusted
	Trusted bool   // the wall clock was known to be right
}

// Record is one accepted message.
type Record struct {
	Seq      uint64
	Priority Priority
	At       Stamp
	Payload  []byte
}

// Correct puts the wall clock of a stamp right that was taken before the time was
// known. bootWallMS is the wall clock, in milliseconds since 1970, at which boot
// began (wall now minus CLOCK_BOOTTIME now). A stamp of another boot, or one that
// was trusted, comes back as it is.
func Correct(at Stamp, boot string, bootWallMS int64) (Stamp, bool) {
	if at.Trusted || at.Boot == "" || at.Boot != boot {
		return at, false
	}
	at.WallMS = bootWallMS + at.MonoMS
	at.Trusted = true
	return at, true
}

// stamp is a Stamp as it is on the flash.
type stamp struct {
	boot       uint32
	trusted    bool
	mono, wall int64
}

var errBoot = errors.New("outbox: boot id must be 8 hex digits or empty")

func (s Stamp) pack() (stamp, error) {
	out := stamp{trusted: s.Trusted, mono: s.MonoMS, wall: s.WallMS}
	if s.Boot == "" {
		return out, nil
	}
	boot, err := bootNumber(s.Boot)
	out.boot = boot
	return out, err
}

func bootNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 {
		return 0, errBoot
	}
	return uint32(n), nil
}

func (s stamp) unpack() Stamp {
	out := Stamp{MonoMS: s.mono, WallMS: s.wall, Trusted: s.trusted}
	if s.boot != 0 {
		out.Boot = fmt.Sprintf("%08x", s.boot)
	}
	return out
}

func (s stamp) put(b []byte) {
	var flags uint32
	if s.trusted {
		flags = 1
	}
	le.PutUint32(b, s.boot)
	le.PutUint32(b[4:], flags)
	le.PutUint64(b[8:], uint64(s.mono))
	le.PutUint64(b[16:], uint64(s.wall))
}

func getStamp(b []byte) stamp {
	return stamp{
		boot: le.Uint32(b), trusted: le.Uint32(b[4:])&1 != 0,
		mono: int64(le.Uint64(b[8:])), wall: int64(le.Uint64(b[16:])),
	}
}

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

const (
	recordMagic   = 0x57c7
	recordVersion = 1
	recordHead    = 48
	recordAlign   = 8

	flagTrusted = 1 << 2
	flagFirst   = 1 << 3
)

// head is the header of a record.
type head struct {
	prio   Priority
	first  bool // first of its commit
	length int
	index  uint16
	gen    uint32
	seq    uint64
	at     stamp
	sum    uint32 // CRC of the payload
}

// footprint is what a payload of n bytes takes in a segment.
func footprint(n int) int { return alignUp(recordHead+n, recordAlign) }

func alignUp(n, to int) int { return (n + to - 1) / to * to }

// putRecord writes a record to b, which must have room, and returns its footprint.
// The padding is zeroed.
func putRecord(b []byte, h head, payload []byte) int {
	flags := byte(h.prio)
	if h.at.trusted {
		flags |= flagTrusted
	}
	if h.first {
		flags |= flagFirst
	}
	le.PutUint16(b, recordMagic)
	b[2] = recordVersion
	b[3] = flags
	le.PutUint16(b[4:], uint16(len(payload)))
	le.PutUint16(b[6:], h.index)
	le.PutUint32(b[8:], h.gen)
	le.PutUint32(b[12:], h.at.boot)
	le.PutUint64(b[16:], h.seq)
	le.PutUint64(b[24:], uint64(h.at.mono))
	le.PutUint64(b[32:], uint64(h.at.wall))
	le.PutUint32(b[40:], crc(payload))
	le.PutUint32(b[44:], crc(b[:44]))
	n := recordHead + copy(b[recordHead:], payload)
	size := footprint(len(payload))
	clear(b[n:size])
	return size
}

// Numbers beyond these were never drawn; taking them over would soon overflow.
const (
	maxSeq = 1 << 62
	maxGen = 1 << 31
)

func sane(gen uint32, seqs ...uint64) bool {
	for _, s := range seqs {
		if s >= maxSeq {
			return false
		}
	}
	return gen < maxGen
}

// getHead reads a record header. It is false for anything but an intact one.
func getHead(b []byte) (head, bool) {
	if len(b) < recordHead || le.Uint16(b) != recordMagic || b[2] != recordVersion ||
		le.Uint32(b[44:]) != crc(b[:44]) || !sane(le.Uint32(b[8:]), le.Uint64(b[16:])) {
		return head{}, false
	}
	return head{
		prio: Priority(b[3] & 3), first: b[3]&flagFirst != 0,
		length: int(le.Uint16(b[4:])), index: le.Uint16(b[6:]),
		gen: le.Uint32(b[8:]), seq: le.Uint64(b[16:]),
		at: stamp{
			boot: le.Uint32(b[12:]), trusted: b[3]&flagTrusted != 0,
			mono: int64(le.Uint64(b[24:])), wall: int64(le.Uint64(b[32:])),
		},
		sum: le.Uint32(b[40:]),
	}, true
}
