package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Bounds of what one stream may hold.
const (
	// MaxRanges is the most ranges of one stream. A device that sends a month by
	// priority makes about 1,500 for a while; 4,096 take 30 KB and 4 ms an update.
	MaxRanges = 4096
	// MaxSeq is the largest number taken: beyond 2^53 a JSON reader may round.
	MaxSeq = 1<<53 - 1
)

// span holds lo to hi-1.
type span struct{ lo, hi uint64 }

// Seen is which numbers of one stream have arrived, as ranges in order. Its text is
// that of PostgreSQL's int8multirange.
type Seen struct {
	spans []span
	// Floor: below it holes were closed since there were too many. What still
	// arrives for one of those cannot be told from a repetition.
	Floor uint64
}

// ParseSeen reads the text form: {[1,5),[7,9)}.
func ParseSeen(text string) (Seen, error) {
	var s Seen
	body, ok := strings.CutPrefix(text, "{")
	if body, ok = strings.CutSuffix(body, "}"); !ok {
		return s, fmt.Errorf("ranges %q: want {[1,5),[7,9)}", clean(text, 60))
	}
	for body != "" {
		one, rest, found := strings.Cut(body, ")")
		lo, hi, comma := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(one, ","), "["), ",")
		a, err1 := strconv.ParseUint(lo, 10, 63)
		b, err2 := strconv.ParseUint(hi, 10, 63)
		if err := errors.Join(err1, err2); err != nil || !found || !comma || a >= b || len(s.spans) > 0 && a <= s.spans[len(s.spans)-1].hi {
			return Seen{}, fmt.Errorf("ranges %q: not in order at %q", clean(text, 60), clean(one, 60))
		}
		s.spans = append(s.spans, span{a, b})
		body = rest
	}
	return s, nil
}

func (s Seen) String() string {
	b := make([]byte, 0, 2+12*len(s.spans))
	b = append(b, '{')
	for i, p := range s.spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = strconv.AppendUint(b, p.lo, 10)
		b = append(b, ',')
		b = strconv.AppendUint(b, p.hi, 10)
		b = append(b, ')')
	}
	return string(append(b, '}'))
}

// Add notes that seq arrived, and reports whether it is new.
func (s *Seen) Add(seq uint64) bool {
	// i is the first range that begins after seq.
	i, _ := slices.BinarySearchFunc(s.spans, seq+1, func(p span, v uint64) int { return cmp.Compare(p.lo, v) })
	if i > 0 && seq < s.spans[i-1].hi {
		return false
	}
	left := i > 0 && s.spans[i-1].hi == seq
	right := i < len(s.spans) && s.spans[i].lo == seq+1
	switch {
	case left && right:
		s.spans[i-1].hi = s.spans[i].hi
		s.spans = slices.Delete(s.spans, i, i+1)
	case left:
		s.spans[i-1].hi++
	case right:
		s.spans[i].lo--
	default:
		s.spans = slices.Insert(s.spans, i, span{seq, seq + 1})
	}
	if len(s.spans) > MaxRanges { // only a hostile or broken device comes here: the lowest hole closes
		s.spans[1].lo = s.spans[0].lo
		s.spans = slices.Delete(s.spans, 0, 1)
		s.Floor = s.spans[0].hi
	}
	return true
}

// Holes is how many numbers below the highest have not arrived.
func (s Seen) Holes() (n uint64) {
	at := uint64(1)
	for _, p := range s.spans {
		n += p.lo - at
		at = p.hi
	}
	return n
}

// Count is how many numbers have arrived.
func (s Seen) Count() (n uint64) {
	for _, p := range s.spans {
		n += p.hi - p.lo
	}
	return n
}
