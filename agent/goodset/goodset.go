// Package goodset remembers the settings with which all worked: the APN, the bands,
// the dialer's files, the payment parameters that the machine registered. When a line
// dies after one of them changed, that change is the first suspect. It is pure: what
// is read and what is written back is the shell's.
//
// A setting goes through these states:
//
//	seen --all works--> part of the newest good set
//	seen, differs from the newest good set --all works--> part of a new good set
//	seen, differs, and nothing worked since --> suspect
package goodset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what is kept, so that a snapshot stays small.
const (
	maxSets  = 3   // good sets kept, the newest first
	maxKeys  = 48  // settings of one set
	maxKey   = 64  // bytes of a key
	maxValue = 128 // bytes of a value; what is longer is kept as its hash by whoever reads it
)

// Setting is one value as it was read. A secret's Value is a salted hash: it can be
// compared and never be written back; the owner keeps the original.
type Setting struct {
	Value  string `json:"v"`
	Secret bool   `json:"secret,omitempty"`
}

// Set is all settings of one moment at which all worked.
type Set struct {
	ID    int                `json:"id"` // 1, 2, 3 … of this device
	At    time.Time          `json:"at"` // when it was first good; zero: no clock was trusted
	Items map[string]Setting `json:"items"`
}

// Change is one setting that differs.
type Change struct {
	Key      string
	Old, New Setting // a Setting{} was not there
}

// Book is what is kept. The zero Book is ready.
type Book struct {
	Good []Set              `json:"good,omitempty"` // the newest first
	Now  map[string]Setting `json:"now,omitempty"`
	Last int                `json:"last,omitempty"` // the highest ID ever given
	// Worked: with the settings of Now all has worked.
	Worked bool `json:"worked,omitempty"`
}

// See takes what was just read. Keys that were not read this time keep what they were:
// a modem that is mute has not lost its APN. A setting that is gone is told with an
// empty Value. It reports whether anything changed.
func (b *Book) See(read map[string]Setting) (changed bool) {
	if b.Now == nil {
		b.Now = map[string]Setting{}
	}
	for _, key := range slices.Sorted(maps.Keys(read)) {
		s := read[key]
		if key == "" || len(key) > maxKey || len(s.Value) > maxValue || !utf8.ValidString(key+s.Value) {
			continue
		}
		old, ok := b.Now[key]
		switch {
		case ok && old == s:
			continue
		case s.Value == "":
			if !ok {
				continue
			}
			delete(b.Now, key)
		case !ok && len(b.Now) >= maxKeys:
			continue
		default:
			b.Now[key] = s
		}
		changed = true
	}
	if changed {
		b.Worked = false
		if len(b.Good) > 0 && len(Diff(b.Good[0].Items, b.Now)) == 0 {
			b.Worked = true // back to what was good
		}
	}
	return changed
}

// AllWorks says that all works now: the present settings are good. It reports whether
// that is a new good set, and so worth keeping.
func (b *Book) AllWorks(at time.Time) (added bool) {
	if b.Worked || len(b.Now) == 0 {
		return false
	}
	b.Worked = true
	for i, s := range b.Good {
		if len(Diff(s.Items, b.Now)) == 0 { // an old one that is good again comes first
			b.Good = append([]Set{s}, slices.Delete(b.Good, i, i+1)...)
			return i > 0
		}
	}
	b.Last++
	b.Good = append([]Set{{ID: b.Last, At: at, Items: maps.Clone(b.Now)}}, b.Good...)
	b.Good = b.Good[:min(len(b.Good), maxSets)]
	return true
}

// Suspects are the settings that changed since all last worked, by key. None where
// the present ones have worked, or nothing ever has.
func (b Book) Suspects() []Change {
	if b.Worked || len(b.Good) == 0 {
		return nil
	}
	return Diff(b.Good[0].Items, b.Now)
}

// Find is the good set with an ID.
func (b Book) Find(id int) (Set, error) {
	ids := []string{}
	for _, s := range b.Good {
		if s.ID == id {
			return s, nil
		}
		ids = append(ids, fmt.Sprint(s.ID))
	}
	if len(ids) == 0 {
		return Set{}, fmt.Errorf("there is no good set yet; one is kept each time all works")
	}
	return Set{}, fmt.Errorf("there is no good set %d; there are %s", id, strings.Join(ids, ", "))
}

// Diff is what leads from one set of settings to another, by key.
func Diff(old, now map[string]Setting) []Change {
	var out []Change
	for key, s := range old {
		if n := now[key]; n != s {
			out = append(out, Change{key, s, n})
		}
	}
	for key, s := range now {
		if _, ok := old[key]; !ok {
			out = append(out, Change{key, Setting{}, s})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Restore is what has to be written so that the settings are those of a set again. A
// secret cannot be written back: it is named in leave, for its owner.
func (b Book) Restore(s Set) (write []Change, leave []string) {
	for _, c := range Diff(b.Now, s.Items) {
		switch {
		case c.New.Secret || c.Old.Secret:
			leave = append(leave, c.Key)
		default:
			write = append(write, c)
		}
	}
	return write, leave
}
