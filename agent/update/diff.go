package update

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"index/suffixarray"
	"io"
)

// How WriteDelta looks for what is alike. It runs where releases are made: the
// device's binary does not hold it.
const (
	// anchor is how many equal bytes begin a match: fewer are found by chance in
	// any code.
	anchor = 20
	// tries is how many places of an anchor are compared.
	tries = 32
	// drop ends a match when so many more bytes differ than are equal since its
	// best end: a function that was rewritten, not one that moved.
	drop = 48
)

// WriteDelta writes the delta that makes neu from old.
func WriteDelta(w io.Writer, old, neu []byte) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	out := []byte(deltaMagic)
	index := suffixarray.New(old)
	place := 0   // in old, after the last record
	shift := 0   // old place minus new place of the last match
	literal := 0 // where the bytes of neu begin that no record has yet
	var pending record
	flush := func(upto int) {
		pending.insert = neu[pending.end:upto]
		out = pending.append(out, old, neu, &place)
	}
	for i := 0; i+anchor <= len(neu); {
		at, ok := find(index, old, neu, i, shift)
		if !ok {
			i++
			continue
		}
		from, to := extend(old, neu, at, i, literal)
		flush(from)
		pending = record{begin: from, end: to, old: at - (i - from)}
		shift, literal, i = at-i, to, to
	}
	flush(len(neu))
	if _, err := z.Write(out); err != nil {
		return err
	}
	return z.Close()
}

// record is one match, neu[begin:end] on old[old:], and the new bytes after it.
type record struct {
	begin, end, old int
	insert          []byte
}

func (r record) append(out, old, neu []byte, place *int) []byte {
	add := r.end - r.begin
	if add+len(r.insert) == 0 {
		return out
	}
	out = binary.AppendUvarint(out, uint64(add))
	out = binary.AppendUvarint(out, uint64(len(r.insert)))
	out = binary.AppendVarint(out, int64(r.old-*place))
	for i := range add {
		out = append(out, neu[r.begin+i]-old[r.old+i])
	}
	*place = r.old + add
	return append(out, r.insert...)
}

// find gives the place in old that goes on longest as neu does from i; the one
// that carries on the last match is preferred, since what follows moved alike.
func find(index *suffixarray.Index, old, neu []byte, i, shift int) (at int, ok bool) {
	want := neu[i : i+anchor]
	longest := 0
	if p := i + shift; p >= 0 && p+anchor <= len(old) && bytes.Equal(old[p:p+anchor], want) {
		at, longest = p, 2*equal(old[p:], neu[i:])
	}
	for _, p := range index.Lookup(want, tries) {
		if n := equal(old[p:], neu[i:]); n > longest {
			at, longest = p, n
		}
	}
	return at, longest > 0
}

func equal(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// extend grows the match of old[at:] and neu[i:] both ways as long as more bytes
// are equal than not, back to low at most.
func extend(old, neu []byte, at, i, low int) (from, to int) {
	from, to = i, i
	for j, score, best := 0, 0, 0; i+j < len(neu) && at+j < len(old) && score > best-drop; j++ {
		if neu[i+j] == old[at+j] {
			score++
		} else {
			score--
		}
		if score > best {
			best, to = score, i+j+1
		}
	}
	for j, score, best := 1, 0, 0; i-j >= low && at-j >= 0 && score > best-drop; j++ {
		if neu[i-j] == old[at-j] {
			score++
		} else {
			score--
		}
		if score > best {
			best, from = score, i-j
		}
	}
	return from, to
}
