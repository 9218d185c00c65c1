package update

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A delta is gzip over the word deltaMagic and then records until the end, each
// made of three numbers and two runs of bytes:
//
//	uvarint add    bytes that are added, one by one, to the old file's
//	uvarint insert bytes that are new
//	varint  seek   how far the place in the old file moves before add
//	add bytes, insert bytes
//
// Code that moved keeps its bytes but for the addresses in it, so that the added
// ones are nearly all zero, which gzip makes small.
const deltaMagic = "CWD1"

var errDelta = errors.New("delta: damaged")

// delta rebuilds the new file while it is read: 45 KB of memory, most of it gzip's
// window, whatever the files are.
type delta struct {
	in          *bufio.Reader
	old         io.ReaderAt
	size, place int64 // of old, in old
	add, insert int64 // left of the record
	begun       bool
	buf         [4 << 10]byte // of the old file
}

// OpenDelta reads patch against old, which has size bytes. What comes out is to be
// measured by the caller: a damaged delta may say anything and never ends early
// without an error.
func OpenDelta(old io.ReaderAt, size int64, patch io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(patch)
	if err != nil {
		return nil, fmt.Errorf("delta: %w", err)
	}
	return &delta{in: bufio.NewReader(z), old: old, size: size}, nil
}

func (d *delta) Read(p []byte) (int, error) {
	if !d.begun {
		d.begun = true
		var magic [len(deltaMagic)]byte
		if _, err := io.ReadFull(d.in, magic[:]); err != nil || string(magic[:]) != deltaMagic {
			return 0, errDelta
		}
	}
	for d.add == 0 && d.insert == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if d.add == 0 {
		n, err := io.ReadFull(d.in, p[:min(int64(len(p)), d.insert)])
		d.insert -= int64(n)
		return n, whole(err)
	}
	p = p[:min(int64(len(p)), d.add, int64(len(d.buf)))]
	if _, err := io.ReadFull(d.in, p); err != nil {
		return 0, whole(err)
	}
	if n, err := d.old.ReadAt(d.buf[:len(p)], d.place); n < len(p) {
		return 0, fmt.Errorf("delta: the old file: %w", err)
	}
	for i := range p {
		p[i] += d.buf[i]
	}
	d.add -= int64(len(p))
	d.place += int64(len(p))
	return len(p), nil
}

// next reads the numbers of a record. Only here may the patch end.
func (d *delta) next() error {
	add, err := binary.ReadUvarint(d.in)
	if err != nil {
		return err // io.EOF between two records
	}
	insert, err := binary.ReadUvarint(d.in)
	if err != nil {
		return whole(err)
	}
	seek, err := binary.ReadVarint(d.in)
	if err != nil {
		return whole(err)
	}
	if add > MaxBinary || insert > MaxBinary || add+insert == 0 || seek > d.size || seek < -d.size {
		return errDelta
	}
	d.place += seek
	if d.place < 0 || d.place+int64(add) > d.size {
		return errDelta
	}
	d.add, d.insert = int64(add), int64(insert)
	return nil
}

// whole calls an end in the middle of something what it is.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
