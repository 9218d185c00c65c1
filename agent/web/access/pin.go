package access

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Role is what somebody may do on the page.
type Role int

// Roles, each with all that stands before it.
const (
	Nobody Role = iota
	Reader      // sees everything that the page shows
	Actor       // presses its buttons too
)

// roleNames are the roles that have a PIN, as the file and the CLI name them.
var roleNames = map[string]Role{"read": Reader, "act": Actor}

// ParseRole reads "read" or "act".
func ParseRole(s string) (Role, error) {
	if r, ok := roleNames[s]; ok {
		return r, nil
	}
	return Nobody, fmt.Errorf("%.16q is no role: read or act", s)
}

// Bounds of a PIN. Six digits, with three tries before a lock that grows to an hour,
// take a guesser decades; a hash alone does not protect so short a word, so that the
// file stays with the service's user.
const (
	pinLeast = 6
	pinMost  = 64
	rounds   = 100_000 // PBKDF2-SHA256: a third of a second on a small ARM core
)

// hashed is one PIN as it is kept.
type hashed struct {
	Salt   []byte `json:"salt"`
	Hash   []byte `json:"hash"`
	Rounds int    `json:"rounds"`
}

// Pins are the PINs of one device. The zero value has none.
type Pins struct{ by map[Role]hashed }

// ParsePins reads what Bytes wrote; nothing is no PIN at all.
func ParsePins(data []byte) (Pins, error) {
	p := Pins{by: map[Role]hashed{}}
	if len(data) == 0 {
		return p, nil
	}
	var kept map[string]hashed
	if err := json.Unmarshal(data, &kept); err != nil {
		return p, fmt.Errorf("pins: %w", err)
	}
	for name, h := range kept {
		role, err := ParseRole(name)
		if err != nil {
			return p, fmt.Errorf("pins: %w", err)
		}
		if len(h.Salt) < 16 || len(h.Hash) != sha256.Size || h.Rounds < 1000 || h.Rounds > 10_000_000 {
			return p, fmt.Errorf("pins: %s: damaged; set it again with cellwarden pin set --role %s", name, name)
		}
		p.by[role] = h
	}
	return p, nil
}

// Bytes is what to keep.
func (p Pins) Bytes() []byte {
	out := map[string]hashed{}
	for name, role := range roleNames {
		if h, ok := p.by[role]; ok {
			out[name] = h
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic("access: " + err.Error()) // maps of bytes and numbers always marshal
	}
	return b
}

// Set gives a role a PIN.
func (p *Pins) Set(role Role, pin string) error {
	switch {
	case role != Reader && role != Actor:
		return errors.New("pins: a PIN is for read or for act")
	case len(pin) < pinLeast || len(pin) > pinMost:
		return fmt.Errorf("pins: want %d to %d characters", pinLeast, pinMost)
	case strings.Count(pin, pin[:1]) == len(pin) || strings.Contains("0123456789876543210", pin):
		return errors.New("pins: this one is tried first by whoever guesses: take another")
	}
	for other, h := range p.by {
		if other != role && h.matches(pin) {
			return errors.New("pins: the other role has this PIN already")
		}
	}
	salt := make([]byte, 16)
	rand.Read(salt) // never fails since Go 1.24
	hash, err := pbkdf2.Key(sha256.New, pin, salt, rounds, sha256.Size)
	if err != nil {
		return fmt.Errorf("pins: %w", err)
	}
	if p.by == nil {
		p.by = map[Role]hashed{}
	}
	p.by[role] = hashed{salt, hash, rounds}
	return nil
}

// Has reports whether any role has a PIN.
func (p Pins) Has() bool { return len(p.by) > 0 }

// Role is whose PIN it is, Nobody's when none fits. Each PIN is compared, whichever
// fits, so that the time tells nothing.
func (p Pins) Role(pin string) Role {
	got := Nobody
	if len(pin) > pinMost {
		return got
	}
	for role, h := range p.by {
		if h.matches(pin) {
			got = max(got, role)
		}
	}
	return got
}

func (h hashed) matches(pin string) bool {
	hash, err := pbkdf2.Key(sha256.New, pin, h.Salt, h.Rounds, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(hash, h.Hash) == 1
}
