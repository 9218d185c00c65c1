package protocol

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Limits of commands.
const (
	MaxCommand = 16 << 10 // bytes of JSON: a config file fits, a flood does not
	// MaxCommandLife is how far ahead Expires may lie when the clock is trusted.
	// A month: a machine that is stored over the holidays still gets its plan.
	MaxCommandLife = 31 * 24 * time.Hour
	// MaxSeen is how many ids a Replay keeps. A backend sends a few commands a
	// day; with 64 ids of at most MaxID bytes the state stays below 8 KB.
	MaxSeen = 64
)

// Horizon is the latest Expires that any device obeys, and so the highest that a
// Replay's Floor ever gets: ten years, the life of a device, after this version of
// the wire was made. Without it a few commands that expire in the year 9999 would
// refuse all that come after them.
var Horizon = time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)

// What makes a device refuse a command. The texts go into its Reply.
var (
	ErrNoSignature  = errors.New("the command is not signed, and the config demands it")
	ErrBadSignature = errors.New("the signature fits no known key")
	ErrExpired      = errors.New("the command has expired")
	ErrTooFarAhead  = errors.New("the command expires more than 31 days ahead")
	ErrBeyond       = errors.New("the command expires later than any device lives: let it expire within days")
	ErrReplayed     = errors.New("the command was seen before")
)

// DecodeCommand reads a message from the command topic and checks its form. It
// judges neither signature nor expiry nor replay.
func DecodeCommand(payload []byte) (Command, error) {
	var c Command
	if err := checkJSON(payload, MaxCommand); err != nil {
		return Command{}, fmt.Errorf("command: %w", err)
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return Command{}, fmt.Errorf("command: %w", err)
	}
	if err := c.check(); err != nil {
		return Command{}, fmt.Errorf("command: %w", err)
	}
	return c, nil
}

// check holds the fields to forms that contain no newline, on which
// SigningBytes relies.
func (c Command) check() error {
	if c.V > Version {
		return fmt.Errorf("version %d: %w", c.V, ErrTooNew)
	}
	if c.V < 1 {
		return fmt.Errorf("version %d is not supported", c.V)
	}
	if c.ID == "" || len(c.ID) > MaxID || badAt(c.ID) >= 0 {
		return fmt.Errorf("id %q: want 1 to %d of A-Z a-z 0-9 _ : -", clip(c.ID), MaxID)
	}
	if _, err := time.Parse(time.RFC3339, c.Expires); err != nil {
		return fmt.Errorf("expires %q: want RFC 3339, as in 2027-01-31T12:00:00Z", clip(c.Expires))
	}
	if !isWord(c.Do) {
		return fmt.Errorf("do %q: want 1 to 32 of a-z and _", clip(c.Do))
	}
	if len(c.Args) > 0 && !isObject(c.Args) {
		return errors.New("args is not a JSON object")
	}
	return nil
}

// MarshalCommand checks c and writes it as JSON. Args must be compact, as
// SignCommand leaves them, or the signature would not fit what is sent.
func MarshalCommand(c Command) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	out, err := marshal(c)
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	if err := checkJSON(out, MaxCommand); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	return out, nil
}

// signingHead opens the signed bytes, so that a signature made for another
// purpose with the same key never fits.
const signingHead = "cellwarden-command"

// SigningBytes is what Sig signs: seven parts joined by a newline (0x0a), none
// of the first six containing one:
//
//	cellwarden-command
//	<v, decimal>
//	<device id>
//	<id>
//	<expires, exactly as sent>
//	<do>
//	<args: the bytes of the JSON value exactly as sent, nothing if there is none>
//
// The device id is not in the message; it makes a command for one machine
// useless for another.
func (c Command) SigningBytes(device string) []byte {
	var b bytes.Buffer
	for _, part := range []string{signingHead, strconv.Itoa(c.V), device, c.ID, c.Expires, c.Do} {
		b.WriteString(part)
		b.WriteByte('\n')
	}
	b.Write(c.Args)
	return b.Bytes()
}

// SignCommand compacts the args of c, signs it for one device and returns it.
func SignCommand(key ed25519.PrivateKey, device string, c Command) (Command, error) {
	if len(key) != ed25519.PrivateKeySize {
		return Command{}, fmt.Errorf("private key of %d bytes: want %d", len(key), ed25519.PrivateKeySize)
	}
	if err := CheckDeviceID(device); err != nil {
		return Command{}, err
	}
	if len(c.Args) > 0 {
		var b bytes.Buffer
		if err := json.Compact(&b, c.Args); err != nil {
			return Command{}, fmt.Errorf("args: %w", err)
		}
		c.Args = b.Bytes()
	}
	if err := c.check(); err != nil {
		return Command{}, fmt.Errorf("command: %w", err)
	}
	c.Sig = base64.StdEncoding.EncodeToString(ed25519.Sign(key, c.SigningBytes(device)))
	return c, nil
}

// Verify reports whether one of the keys signed c for device. Several keys
// allow a change of keys without a gap. No key at all fails.
func (c Command) Verify(device string, keys ...ed25519.PublicKey) error {
	if c.Sig == "" {
		return ErrNoSignature
	}
	sig, err := base64.StdEncoding.DecodeString(c.Sig)
	if err != nil || len(sig) != ed25519.SignatureSize {
		return ErrBadSignature
	}
	msg := c.SigningBytes(device)
	for _, key := range keys {
		if len(key) == ed25519.PublicKeySize && ed25519.Verify(key, msg, sig) {
			return nil
		}
	}
	return ErrBadSignature
}

// ParsePublicKey reads an Ed25519 public key as configs hold it: base64 of its
// 32 bytes.
func ParsePublicKey(s string) (ed25519.PublicKey, error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("public key: want base64 of %d bytes (44 characters)", ed25519.PublicKeySize)
	}
	return raw, nil
}

// Replay remembers which commands were obeyed, in bounded space. It is kept on
// disk by the device, as JSON; the zero value is an empty one.
//
// When it is full it forgets the id that expires first and raises Floor to that
// moment; a command that expires at or before Floor is refused from then on. So
// a forgotten command cannot come back, whatever the clock says.
type Replay struct {
	Floor time.Time `json:"floor"`
	Seen  []Seen    `json:"seen"`
}

// Seen is one command that was obeyed.
type Seen struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"exp"`
}

// Accept decides whether c, whose signature was judged before, may be obeyed,
// and remembers it if so.
//
// With a trusted clock an expired command is refused, and so is one that
// expires more than MaxCommandLife ahead. With an untrusted clock (1970 after a
// flat battery) the expiry cannot be known, and the command is obeyed: a
// machine that has lost its clock is one that somebody may be trying to repair,
// and the ids and the Floor still stop a replay of what this device obeyed.
// What this leaves open: a command that was held back on its way, never seen
// here, can take effect late.
//
// What was accepted without a clock may expire years ahead. Once the clock is trusted
// nothing of that kind is obeyed any more, so such ids are forgotten, and a Floor that
// they raised comes down: commands that a device obeyed in the dark never lock out
// those that come after. No Expires beyond Horizon is accepted at all.
func (r *Replay) Accept(c Command, now time.Time, trusted bool) error {
	expires, err := time.Parse(time.RFC3339, c.Expires)
	if err != nil {
		return fmt.Errorf("expires: %w", err)
	}
	if expires.After(Horizon) {
		return ErrBeyond
	}
	if r.Floor.After(Horizon) { // kept by a version that knew no horizon
		r.Floor = time.Time{}
	}
	if trusted {
		r.forget(now)
		if !expires.After(now) {
			return ErrExpired
		}
		if expires.Sub(now) > MaxCommandLife {
			return ErrTooFarAhead
		}
	}
	if !expires.After(r.Floor) {
		return ErrReplayed
	}
	for _, s := range r.Seen {
		if s.ID == c.ID {
			return ErrReplayed
		}
	}
	r.Seen = append(r.Seen, Seen{ID: c.ID, Expires: expires})
	for len(r.Seen) > MaxSeen {
		r.evict()
	}
	return nil
}

// forget drops the ids that expired by a trusted clock and raises Floor past
// them: should the clock be lost later, they stay refused.
func (r *Replay) forget(now time.Time) {
	latest := now.Add(MaxCommandLife)
	if r.Floor.After(latest) {
		r.Floor = now
	}
	kept := r.Seen[:0]
	for _, s := range r.Seen {
		switch {
		case s.Expires.After(latest): // refused as too far ahead from now on
		case s.Expires.After(now):
			kept = append(kept, s)
		case s.Expires.After(r.Floor):
			r.Floor = s.Expires
		}
	}
	r.Seen = kept
}

// evict forgets the id that expires first.
func (r *Replay) evict() {
	first := 0
	for i, s := range r.Seen {
		if s.Expires.Before(r.Seen[first].Expires) {
			first = i
		}
	}
	if e := r.Seen[first].Expires; e.After(r.Floor) {
		r.Floor = e
	}
	r.Seen = append(r.Seen[:first], r.Seen[first+1:]...)
}
